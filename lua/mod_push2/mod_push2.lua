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
	local identifier, record = push.registrations.again(session, tag);
	if not identifier then
		local err;
		record = { timestamp = os.time(); grant_id = session.push_grant_id };
		identifier, err = engine:enable(user, session.client_id, session.resource, tag, record);
		if not identifier then return nil, err; end
		if not push.registrations.enable(session, tag, identifier, record) then return nil; end
	end
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

-- Handles an inline <enable> and returns the element for the answer.
local function enable_inline(session, tag)
	local ok, err = enable(session, tag);
	if ok then return st.stanza("enabled", { xmlns = xmlns_push }); end
	return st.stanza("failed", { xmlns = xmlns_push }):add_child(push.failure(err));
end

module:hook("advertise-bind-features", guarded("the features for a bind request", function (event)
	event.features:tag("feature", { var = xmlns_push }):up();
end));

module:hook("enable-bind-features", guarded("push2 enable in a bind request", function (event)
	local tag = event.request:get_child("enable", xmlns_push);
	if tag then event.result:add_child(enable_inline(event.session, tag)); end
end));

module:hook("advertise-sasl-features", guarded("the features for an authentication", function (event)
	event.features:tag("push", { xmlns = xmlns_push }):up();
end));

module:hook_tag(xmlns_sasl2, "authenticate", function (session, auth)
	session.sasl2_push2_request = auth:get_child("enable", xmlns_push);
end, 100);

-- Moves the request into the event, before a resumed session replaces the session that made the request.
module:hook("sasl2/c2s/success", function (event)
	event.push2_request, event.session.sasl2_push2_request = event.session.sasl2_push2_request, nil;
end, 120);

-- After the session has got its resource, or has been resumed.
module:hook("sasl2/c2s/success", guarded("push2 enable in an authentication", function (event)
	if event.push2_request then event.success:add_child(enable_inline(event.session, event.push2_request)); end
end), 50);


---- Events that are only Push 2.0's ----

-- Registrations in the event belong to mod_cloud_notify.
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
