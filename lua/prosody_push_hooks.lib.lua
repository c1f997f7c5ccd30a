-- The events of Prosody that lead to pushes, whatever the protocol.

local jid_join = require "util.jid".join;
local jid_node = require "util.jid".node;

local sessions = prosody.hosts[module.host].sessions;

local xmlns_jingle_message = "urn:xmpp:jingle-message:0";

-- push: what prosody_push.lib.lua gives.
return function (push)
	local guarded = push.guarded;

	-- A call, or its end, on its way to whoever is connected: without an archive nothing else tells of it.
	module:hook("message/bare", guarded("a push for a call", function (event)
		local stanza = event.stanza;
		if stanza.attr.to and stanza:child_with_ns(xmlns_jingle_message) then
			push.addressed(jid_node(stanza.attr.to), event.origin, stanza.attr.to, stanza);
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
		local origin = event.origin;
		push.addressed(user, origin, stanza.attr.to or jid_join(origin.username, origin.host), stanza, event.id);
	end));

	-- Stream management: a session whose client does not answer is woken through the registration that it holds.
	module:hook("smacks-ack-delayed", guarded("a push for a late ack", function (event)
		push.smacks.acks_late(event.origin, event.queue, event.stanza);
	end));

	module:hook("smacks-hibernation-start", guarded("a push at the start of hibernation", function (event)
		push.smacks.hibernates(event.origin, event.queue);
	end));

	module:hook("smacks-hibernation-stanza-queued", guarded("a push for a queued stanza", function (event)
		push.smacks.queued(event.origin, event.stanza);
	end));

	module:hook("smacks-hibernation-end", guarded("the end of hibernation", function (event)
		push.smacks.resumed(event.resumed);
	end));

	module:hook("resource-bind", guarded("binding a registration", function (event)
		push.registrations.binds(event.session);
	end));

	module:hook_global("user-deleted", guarded("forgetting a deleted account", function (event)
		if event.host == module.host then
			push.registrations.forget(event.username);
		end
	end));
end
