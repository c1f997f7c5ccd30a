-- The events of Prosody that lead to pushes, in every protocol.

local rostermanager = require "core.rostermanager";
local user_exists = require "core.usermanager".user_exists;
local jid_bare = require "util.jid".bare;
local jid_join = require "util.jid".join;
local jid_node = require "util.jid".node;

local host = module.host;
local sessions = prosody.hosts[host].sessions;

-- Whether mod_presence will deliver a subscription request. It does not if the user has accepted or preapproved it, or has not
-- answered it yet.
local function is_news(user, from)
	return not (rostermanager.is_contact_subscribed(user, host, from)
		or rostermanager.is_contact_preapproved(user, host, from)
		or rostermanager.is_contact_pending_in(user, host, from));
end

-- push: the table that prosody_push.lib.lua returns.
return function (push)
	local guarded = push.guarded;

	-- Calls are also seen here, because without mod_mam no archive event reports them.
	local function on_its_way(event)
		local stanza, origin = event.stanza, event.origin;
		if not push.is_about_call(stanza) then return; end
		local to = stanza.attr.to or jid_join(origin.username, origin.host);
		local user = jid_node(to);
		if user and user_exists(user, host) then push.addressed(user, origin, to, stanza); end
	end
	module:hook("message/bare", guarded("a push for a call", on_its_way), -0.5);
	module:hook("message/full", guarded("a push for a call", on_its_way), -0.5);

	-- The user accepts or ends a call, so the other devices stop ringing. Or the message reports that the user has read a chat, or
	-- shows that the user is active. mod_carbons comes after this: a carbon in a queue does not say which client it was.
	local function sent(event)
		local stanza, origin = event.stanza, event.origin;
		push.sent(origin, stanza);
		if not push.is_about_call(stanza) then return; end
		push.addressed(origin.username, origin, stanza.attr.to or jid_join(origin.username, origin.host), stanza);
	end
	for _, kind in ipairs({ "bare", "full" }) do
		module:hook("pre-message/"..kind, guarded("a message that a user sends", sent), -0.4);
	end

	-- A subscription request, before mod_presence handles it.
	local function asked(event)
		local stanza = event.stanza;
		local user = stanza.attr.type == "subscribe" and stanza.attr.to and jid_node(stanza.attr.to);
		if user and user_exists(user, host) and is_news(user, jid_bare(stanza.attr.from)) then push.asked(user, stanza); end
	end
	module:hook("presence/bare", guarded("a push for a request", asked), 0.5);
	module:hook("presence/full", guarded("a push for a request", asked), 0.5);

	module:hook("presence/full", guarded("the nicknames of a user", push.rooms.track), 1);

	-- No session received the message.
	local function no_session(event)
		local stanza = event.stanza;
		local user = event.username or stanza.attr.to and jid_node(stanza.attr.to) or event.origin.username;
		push.offline(user, stanza);
	end
	module:hook("message/offline/handle", guarded("a push for an offline message", no_session), 1);
	module:hook("message/bare/groupchat", guarded("a push for a groupchat message", no_session), 1);

	-- For a user without a session, the offline event reports the message.
	module:hook("archive-message-added", guarded("a push for an archived message", function (event)
		local stanza, user = event.stanza, event.for_user;
		if not user or not sessions[user] then return; end
		local origin = event.origin;
		push.addressed(user, origin, stanza.attr.to or jid_join(origin.username, origin.host), stanza, event.id);
	end));

	-- Stream management: a client that does not answer is woken through the registration that its session holds.
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

	-- The session that binds a resource. An old session of that resource ends meanwhile; if the client is the same, it is back.
	local beginning;
	module:hook("pre-resource-bind", guarded("a session that begins", function (event)
		beginning = event.session;
		module:add_timer(0, function () beginning = nil; end);
	end));

	module:hook("pre-resource-unbind", guarded("pushes for a session that ends", function (event)
		if beginning and push.registrations.takes_place(beginning, event.session) then return; end
		push.smacks.ends(event.session);
	end), 10);

	module:hook("resource-bind", guarded("binding a registration", function (event)
		push.registrations.binds(event.session);
	end));

	-- With stream management, mod_smacks answers for each stanza that the other server did not acknowledge, and the others have arrived. It
	-- sets session.smacks to false when it has done so.
	module:hook("s2sout-destroyed", guarded("pushes on a stream that ended", function (event)
		local session = event.session;
		if session.smacks == nil then push.stream_ended(session.to_host); end
	end));

	-- A stream that the other server opened may have our stanzas, too (XEP-0288).
	module:hook("s2sin-destroyed", guarded("pushes on a stream that ended", function (event)
		local session = event.session;
		if session.outgoing and session.smacks == nil then push.stream_ended(session.from_host); end
	end));

	-- Before mod_s2s closes its connections.
	module:hook_global("server-stopping", guarded("pushes when the server stops", push.stops), 100);

	-- Fires `handler` with the name of a user of this host.
	local function hook_account(name, what, handler, priority)
		module:hook_global(name, guarded(what, function (event)
			if event.host == host then handler(event.username); end
		end), priority);
	end
	hook_account("user-deleted", "forgetting a deleted account", function (user)
		push.retry.forget(user);
		push.registrations.forget(user);
	end);
	local load_again = push.background("an account that was disabled or enabled", push.registrations.load_again);
	-- Before mod_c2s closes the sessions, which hand their queues back.
	hook_account("user-disabled", "the end of pushes to a disabled account", load_again, 300);
	hook_account("user-enabled", "pushes to an account that is enabled again", load_again);

	-- A client may authenticate by a token of mod_tokenauth. Its registrations end with the grant of the token.
	module:hook("authentication-success", guarded("the grant of a session", function (event)
		local handler = event.session.sasl_handler;
		local token = handler and handler.token_info;
		event.session.push_grant_id = token and token.grant and token.grant.id or nil;
	end));

	local remove_granted = push.background("registrations of a client whose access was revoked", function (event)
		push.registrations.remove_granted(event.username, event.id);
	end);
	module:hook("token-grant-revoked", guarded("a revoked grant", function (event)
		if event.username and event.id then remove_granted({ username = event.username, id = event.id }); end
	end));

	module:require "prosody_push_start"(push);
end
