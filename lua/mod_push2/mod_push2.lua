-- Push 2.0, a draft. Hooks Prosody's events; the rules are in Rust, see prosody_push.lib.lua.

local st = require "util.stanza";

local push = module:require "prosody_push";
local engine, guarded = push.engine, push.guarded;
module:require "prosody_push_hooks"(push);

local xmlns_push = "urn:xmpp:push2:0";
local xmlns_sasl2 = "urn:xmpp:sasl:2";

push.announce(module);


---- Registrations ----

-- Makes the registration that <enable/> asks for. Returns true, or nil and an error.
local function enable(session, tag)
	local user = session.username;
	local record = { timestamp = os.time(); grant_id = session.push_grant_id };
	local identifier, err = engine:enable(user, session.client_id, session.resource, tag, record);
	if not identifier then return nil, err; end
	if push.registrations.enable(user, identifier, record) == nil then return nil; end
	push.registrations.bind(session, identifier, record);
	session.log("info", "Push notifications enabled: %s, %s at %s", user, identifier, record.service);
	return true;
end

local function hook_iq(name, action)
	module:hook("iq-set/self/"..xmlns_push..":"..name, guarded("push2 "..name, function (event)
		local origin, stanza = event.origin, event.stanza;
		local ok, err = action(origin, stanza.tags[1]);
		origin.send(ok and st.reply(stanza) or push.refusal(stanza, err));
		return true;
	end, function (event)
		event.origin.send(push.refusal(event.stanza));
		return true;
	end));
end

hook_iq("enable", enable);

hook_iq("disable", function (session)
	return push.registrations.disable_client(session) ~= nil;
end);


---- Inline: SASL2 (XEP-0388) and Bind 2 (XEP-0386) ----

-- What comes of <enable>, as an element for the answer.
local function enable_inline(session, tag)
	local ok, err = enable(session, tag);
	if ok then return st.stanza("enabled", { xmlns = xmlns_push }); end
	return st.stanza("failed", { xmlns = xmlns_push }):add_child(push.failure(err));
end

module:hook("advertise-bind-features", guarded("what may be in a bind request", function (event)
	event.features:tag("feature", { var = xmlns_push }):up();
end));

module:hook("enable-bind-features", guarded("push2 enable in a bind request", function (event)
	local tag = event.request:get_child("enable", xmlns_push);
	if tag then event.result:add_child(enable_inline(event.session, tag)); end
end));

module:hook("advertise-sasl-features", guarded("what may be in an authentication", function (event)
	event.features:tag("push", { xmlns = xmlns_push }):up();
end));

module:hook_tag(xmlns_sasl2, "authenticate", function (session, auth)
	session.sasl2_push2_request = auth:get_child("enable", xmlns_push);
end, 100);

-- Before a session that is resumed takes the place of the one that asked.
module:hook("sasl2/c2s/success", function (event)
	event.push2_request, event.session.sasl2_push2_request = event.session.sasl2_push2_request, nil;
end, 120);

-- When the session has its resource, or has been resumed.
module:hook("sasl2/c2s/success", guarded("push2 enable in an authentication", function (event)
	if event.push2_request then event.success:add_child(enable_inline(event.session, event.push2_request)); end
end), 50);


---- Events that are only Push 2.0's ----

-- A client's `grace`: who writes with one client is left in peace on the others.
local active = guarded("the activity of a session", function (event)
	push.sent(event.origin, event.stanza);
end);
module:hook("pre-message/bare", active);
module:hook("pre-message/full", active);

-- Registrations that the event brings are mod_cloud_notify's.
module:hook("cloud-notify-ping", guarded("a ping", function (event)
	if not event.push_services then push.ping(event.user); end
end));

module:hook("message/host", guarded("the error of a push", function (event)
	local stanza = event.stanza;
	if stanza.attr.type == "error" and stanza.attr.id then
		return push.answer(event.origin, stanza);
	end
end), 10);

push.load_admin();

module.save, module.restore, module.unload = push.save, push.restore, push.unload;

module:log("info", "Push 2.0 notifications by prosody-push %s", push.version);
