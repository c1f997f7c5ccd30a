-- XEP-0357: Push Notifications. Hooks Prosody's events; the rules are in Rust, see prosody_push.lib.lua.

local jid_join = require "util.jid".join;
local jid_node = require "util.jid".node;
local st = require "util.stanza";

local push = module:require "prosody_push";
local engine, guarded = push.engine, push.guarded;

local sessions = prosody.hosts[module.host].sessions;

local xmlns_push = "urn:xmpp:push:0";
local xmlns_jingle_message = "urn:xmpp:jingle-message:0";
local xmlns_pubsub = "http://jabber.org/protocol/pubsub";

local function try_again(event)
	event.origin.send(st.error_reply(event.stanza, "wait", "internal-server-error"));
	return true;
end

local function hook_iq(name, handler)
	module:hook("iq-set/self/"..xmlns_push..":"..name, guarded("push "..name, handler, try_again));
end

module:hook("account-disco-info", guarded("the account's features", function (event)
	event.reply:tag("feature", { var = xmlns_push }):up();
end));

hook_iq("enable", function (event)
	local origin, stanza = event.origin, event.stanza;
	local tag = stanza.tags[1];
	local user = origin.username;
	local identifier, jid = engine:address(tag.attr.jid, tag.attr.node, stanza.attr.from);
	if not identifier then
		origin.send(st.error_reply(stanza, "modify", "bad-request", jid));
		return true;
	end

	local options = tag:get_child("x", "jabber:x:data");
	-- The reference's record: both read each other's store.
	local record = {
		jid = jid;
		node = tag.attr.node;
		include_payload = tag.attr.include_payload;
		options = options;
		timestamp = os.time();
		client_id = origin.client_id;
		resource = not origin.client_id and origin.resource or nil;
		language = stanza.attr["xml:lang"];
	};
	local condition, text = engine:refusal(identifier, record, tag);
	if condition then
		origin.send(st.error_reply(stanza, "modify", condition, text));
		return true;
	end
	record.options = options and st.preserialize(options);
	local allowed = module:fire_event("cloud_notify/registration", { origin = origin, stanza = stanza, push_info = record });
	if allowed == false then return true; end -- the handler has answered
	if not push.enable(user, identifier, record) then return try_again(event); end

	origin.push_identifier, origin.push_settings, origin.first_hibernated_push = identifier, record, nil;
	origin.log("info", "Push notifications enabled: %s, %s", user, identifier);
	origin.send(st.reply(stanza));
	return true;
end);

hook_iq("disable", function (event)
	local origin, stanza = event.origin, event.stanza;
	local attr = stanza.tags[1].attr;
	if not attr.jid then
		origin.send(st.error_reply(stanza, "modify", "bad-request", "Missing jid"));
		return true;
	end
	if push.disable(origin.username, attr.jid, attr.node) == nil then return try_again(event); end
	origin.send(st.reply(stanza));
	return true;
end);

-- §8: the app server ends a registration itself.
module:hook("message/bare", guarded("a remote disable", function (event)
	local stanza = event.stanza;
	local pubsub = stanza:get_child("pubsub", xmlns_pubsub);
	local affiliation = pubsub and pubsub:get_child("affiliation", xmlns_pubsub);
	if not affiliation or stanza.attr.type == "error" or not stanza.attr.to then return; end
	-- Otherwise it is a message like any other.
	return push.revoke(jid_node(stanza.attr.to), stanza.attr.from, pubsub.attr.node,
		affiliation.attr.jid, affiliation.attr.affiliation) or nil;
end), 10);

-- A call, or its end, on its way to whoever is connected: without an archive nothing else tells of it.
module:hook("message/bare", guarded("a push for a call", function (event)
	local stanza = event.stanza;
	if stanza.attr.to and stanza:child_with_ns(xmlns_jingle_message) then
		push.addressed(jid_node(stanza.attr.to), stanza.attr.to, stanza);
	end
end), -0.5);

-- No session took the message.
local function no_session(event)
	local stanza = event.stanza;
	local user = event.username or stanza.attr.to and jid_node(stanza.attr.to) or event.origin.username;
	push.offline(user, stanza);
end
module:hook("message/offline/handle", guarded("a push for an offline message", no_session), 1);
module:hook("message/bare/groupchat", guarded("a push for a groupchat message", no_session), 1);

-- A user with no session at all hears of the message when it is handled as an offline one.
module:hook("archive-message-added", guarded("a push for an archived message", function (event)
	local stanza, user = event.stanza, event.for_user;
	if not user or not sessions[user] then return; end
	push.addressed(user, stanza.attr.to or jid_join(event.origin.username, event.origin.host), stanza, event.id);
end));

-- Stream management: a session whose client does not answer is woken through the registration that it holds.
module:hook("smacks-ack-delayed", guarded("a push for a late ack", function (event)
	push.acks_late(event.origin, event.queue, event.stanza);
end));

module:hook("smacks-hibernation-start", guarded("a push at the start of hibernation", function (event)
	push.hibernates(event.origin, event.queue);
end));

module:hook("smacks-hibernation-stanza-queued", guarded("a push for a queued stanza", function (event)
	push.queued(event.origin, event.stanza);
end));

module:hook("smacks-hibernation-end", guarded("the end of hibernation", function (event)
	push.resumed(event.resumed);
end));

module:hook("resource-bind", guarded("binding a registration", function (event)
	push.binds(event.session);
end));

module:hook("cloud-notify-ping", guarded("a ping", function (event)
	push.ping(event.user, event.push_services);
end));

-- Before mod_iq, which would fire an event of its own for each.
module:hook("iq/host", guarded("the answer to a push", function (event)
	local stanza = event.stanza;
	if (stanza.attr.type == "result" or stanza.attr.type == "error") and stanza.attr.id then
		return push.answer(stanza);
	end
end), 10);

module:hook_global("user-deleted", guarded("forgetting a deleted account", function (event)
	if event.host == module.host then
		push.forget(event.username);
	end
end));

-- For the modules of Tigase's extensions: switches one on while `extension`, a module, is loaded, and announces it.
-- luacheck: globals extend
function extend(extension, name, features)
	push.extend(name, true);
	extension:hook("account-disco-info", function (event)
		for _, feature in ipairs(features) do event.reply:tag("feature", { var = feature }):up(); end
	end);
	function extension.unload()
		push.extend(name, false);
	end
end

module.save, module.restore, module.unload = push.save, push.restore, push.unload;

module:log("info", "Push notifications by prosody-push %s", push.version);
