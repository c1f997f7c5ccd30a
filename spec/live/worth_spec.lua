-- The importance of each kind of stanza (rules.md §1), for a user who is away and for sessions that hibernate: by XEP-0357, and by
-- Push 2.0 for a client with the profile "important" and for one with the profile "all".
local prosody = require "spec.support.prosody";
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local net = require "spec.support.net";
local push2 = require "spec.support.push2";
local tigase = require "spec.support.tigase";
local st = require "util.stanza";

local PUSH, PUSH2, ROOMS = "push.example.test", "push2.example.test", "rooms.example.test";
local BARE = "romeo@example.test";
local xmlns_muc = "http://jabber.org/protocol/muc";

local server, app, app2, juliet;

local function start(opts)
	opts = opts or {};
	opts.version, opts.module, opts.enable = os.getenv("PROSODY"), "ours", opts.enable or { "push2" };
	opts.components = { [ROOMS] = "muc" };
	server = prosody.start(opts);
	app, app2 = appserver.connect(server, PUSH), appserver.connect(server, PUSH2);
	juliet = client.connect(server, "juliet", { resource = "balcony" });
	-- A queued stanza waits a second for others; here it waits only a moment.
	server:eval([[
		local timer = require "util.timer";
		local add_task = timer.add_task;
		function timer.add_task(delay, ...) return add_task(delay == 1 and 0.05 or delay, ...); end
	]]);
end

-- Waits for the end of the current batches: a timer that is set now fires after theirs.
local function batches_left()
	server:eval("prosody.spec_left = false; module:add_timer(1, function () prosody.spec_left = true; end)");
	net.wait(function () return server:eval("return prosody.spec_left"); end, "the end of a batch");
end

-- Connects a session that registers with one protocol or with both.
local function registers(resource, profile, node, opts)
	opts = opts or {};
	opts.resource = resource;
	local session = client.connect(server, "romeo", opts);
	if node then
		local fields = { jid = PUSH, node = node };
		for i, child in ipairs(opts) do fields[i] = child; end
		assert.equal("result", session:enable_push(fields).attr.type);
	end
	if profile then
		assert.equal("result", session:iq(push2.iq(push2.enable { service = PUSH2, client = profile, push2.match(profile) })).attr.type);
	end
	return session;
end

-- Returns the pushes that have come: by XEP-0357, and by Push 2.0 for the profiles "important" and "all".
local function woken()
	app:settled();
	app2:settled();
	local found = { xep = {}, important = {}, all = {} };
	for _, push in ipairs(app.pushes) do
		table.insert(found.xep, appserver.read(push).summary["last-message-body"] and "text" or "silent");
	end
	for _, push in ipairs(app2.pushes) do
		local read = push2.read(push);
		table.insert(found[read.client], read.priority..(read.voip and "!" or ""));
	end
	app.pushes, app2.pushes = {}, {};
	local function listed(list) return list[1] and table.concat(list, " "); end
	return { xep = listed(found.xep), important = listed(found.important), all = listed(found.all) };
end

local CALL = { xep = "text", important = "high!", all = "high!" };
local SHOW = { xep = "text", important = "normal", all = "normal" };
local SILENT = { xep = "silent", all = "low" };
local NOTHING = { all = "low" };
-- No push, not even for the profile "all".
local NEVER = {};

local function tag(name, xmlns, attr)
	attr = attr or {};
	attr.xmlns = xmlns;
	return st.stanza(name, attr);
end

local function body(text)
	return st.stanza("body"):text(text);
end

local function omemo(xmlns, has_payload)
	local encrypted = tag("encrypted", xmlns):text_tag("header", "", { sid = "1" });
	if has_payload then encrypted:text_tag("payload", "AA=="); end
	return encrypted:reset();
end

local function jmi(name, id)
	return tag(name, "urn:xmpp:jingle-message:0", { id = id });
end

local function fallback(xmlns)
	return tag("fallback", "urn:xmpp:fallback:0", { ["for"] = xmlns });
end

local function chat_state(name)
	return tag(name, "http://jabber.org/protocol/chatstates");
end

local function event(payload)
	local items = tag("event", "http://jabber.org/protocol/pubsub#event"):tag("items", { node = "n" }):tag("item", { id = "1" });
	if payload then items:add_child(payload); end
	return items:reset();
end

local function jingle(action, description)
	return tag("jingle", "urn:xmpp:jingle:1", { action = action, sid = "j"..description })
		:tag("content", { creator = "initiator", name = "c" }):tag("description", { xmlns = description, media = "audio" }):reset();
end

local eme = tag("encryption", "urn:xmpp:eme:0", { namespace = "urn:xmpp:omemo:2" });
local no_store = tag("no-store", "urn:xmpp:hints");
local invite = tag("x", xmlns_muc.."#user"):tag("invite", { from = "juliet@example.test" }):text_tag("reason", "Come"):reset();
local conference = tag("x", "jabber:x:conference", { jid = "verona@"..ROOMS });
local reactions = tag("reactions", "urn:xmpp:reactions:0", { id = "m" }):text_tag("reaction", "👍"):reset();
local retract = tag("retract", "urn:xmpp:message-retract:1", { id = "m" });
local retract_0 = tag("apply-to", "urn:xmpp:fasten:0", { id = "m" }):tag("retract", { xmlns = "urn:xmpp:message-retract:0" }):reset();
local absent = tag("notification", "http://quobis.com/xmpp/muc#push", { jid = "verona@"..ROOMS });
local notification = tag("notification", "urn:xmpp:push:0");
local notification2 = tag("notification", "urn:xmpp:push2:0"):text_tag("client", "x");

-- Name, expected pushes, children; `type` (default: chat), `from` (an occupant of a room, or the room; default: juliet). `offline`: the
-- expected pushes for a user who is away, if they differ because Prosody then does not deliver the stanza. `kind`: the kind of a stanza
-- that is no message; it goes to a full JID.
local ROWS = {
	{ "a call", CALL, tigase.call("w1", "audio") };
	{ "a call invite", CALL, tag("invite", "urn:xmpp:call-invites:0")
		:tag("jingle", { sid = "1", jid = "juliet@example.test/balcony" }):reset() };
	{ "a Jingle session", CALL, jingle("session-initiate", "urn:xmpp:jingle:apps:rtp:1"), kind = "iq", type = "set", offline = NEVER };
	{ "the end of a call that did not ring", NEVER, jmi("retract", "w0") };
	{ "a finished call that did not ring", NEVER, jmi("finish", "w0") };
	{ "the other party's ringing", NEVER, jmi("ringing", "w2") };
	{ "the other party's proceed", NEVER, jmi("proceed", "w2") };

	{ "a text", SHOW, body "Romeo?" };
	{ "a normal message", SHOW, body "Romeo?", type = "normal" };
	{ "a room's text", SHOW, body "All: Romeo?", type = "groupchat", from = "verona@"..PUSH.."/Monty" };
	{ "a private message in a room", SHOW, body "Psst", tag("x", xmlns_muc.."#user"), from = "verona@"..PUSH.."/Monty" };
	{ "a text with a subject", SHOW, st.stanza("subject"):text("Love"), body "Romeo?", type = "normal" };
	{ "a text with a chat state", SHOW, body "Romeo?", chat_state "active" };
	{ "a text with a request for a receipt", SHOW, body "Romeo?", tag("request", "urn:xmpp:receipts") };
	{ "a reply with a fallback", SHOW, body "> Juliet!\nRomeo?", fallback "urn:xmpp:reply:0" };
	{ "OMEMO", SHOW, body "encrypted", omemo("eu.siacs.conversations.axolotl", true) };
	{ "OMEMO without a body", SHOW, omemo("eu.siacs.conversations.axolotl", true) };
	{ "OMEMO 0", SHOW, omemo("urn:xmpp:omemo:0", true) };
	{ "OMEMO 1", SHOW, omemo("urn:xmpp:omemo:1", true) };
	{ "OMEMO 2", SHOW, omemo("urn:xmpp:omemo:2", true) };
	{ "OX", SHOW, tag("openpgp", "urn:xmpp:openpgp:0"):text("AA==") };
	{ "legacy PGP", SHOW, tag("x", "jabber:x:encrypted"):text("AA==") };
	{ "EME alone", SHOW, eme };
	{ "an invitation", SHOW, conference };
	{ "an invitation with a body", SHOW, body "Come to Verona", conference };
	{ "a mediated invitation", SHOW, invite, from = "verona@"..PUSH };
	{ "a mediated invitation with a body", SHOW, body "Come", invite, conference, from = "verona@"..PUSH, type = "normal" };
	{ "a room's notification to an absent member", SHOW, st.stanza("body"), absent, no_store, from = "verona@"..PUSH };
	{ "a room's notification to an absent member, with a text", SHOW, body "Romeo?", absent, no_store, from = "verona@"..PUSH };
	{ "a text with no-store", SHOW, body "Romeo?", no_store };
	{ "OMEMO with no-store", SHOW, omemo("urn:xmpp:omemo:2", true), no_store };
	-- In Push 2.0 a correction is not important.
	{ "a correction", { xep = "text", all = "low" }, body "Romeo!", tag("replace", "urn:xmpp:message-correct:0", { id = "m" }) };

	{ "a retraction", SILENT, retract };
	{ "a retraction with a fallback", SILENT, retract, body "/me took a message back", fallback "urn:xmpp:message-retract:1" };
	{ "a retraction of version 0", SILENT, retract_0 };
	{ "a retraction of version 0 with a fallback", SILENT, retract_0, body "took a message back", fallback "urn:xmpp:message-retract:0" };
	{ "a reaction", SILENT, reactions };
	{ "a reaction with a fallback", SILENT, reactions, body "👍", fallback "urn:xmpp:reactions:0" };
	{ "a reaction with a fallback for all", SILENT, reactions, body "👍", fallback() };
	{ "a marker", SILENT, tag("displayed", "urn:xmpp:chat-markers:0", { id = "m" }) };
	{ "a marker with a chat state", SILENT, tag("displayed", "urn:xmpp:chat-markers:0", { id = "m" }), chat_state "active" };
	{ "a receipt", SILENT, tag("received", "urn:xmpp:receipts", { id = "m" }) };
	{ "an error", SILENT, body "Romeo?", tag("error"):tag("gone", { xmlns = "urn:ietf:params:xml:ns:xmpp-stanzas" }):reset(),
		type = "error", kind = "message", offline = NEVER };
	{ "an OMEMO key transport", SILENT, omemo("eu.siacs.conversations.axolotl") };
	{ "an OMEMO 2 key transport", SILENT, omemo("urn:xmpp:omemo:2"), eme };
	{ "an IQ of type get", SILENT, tag("query", "jabber:iq:version"), kind = "iq", type = "get", offline = NEVER };
	{ "an IQ of type set", SILENT, tag("push", "urn:example:up"), kind = "iq", type = "set", offline = NEVER };
	{ "a file offer", SILENT, jingle("session-initiate", "urn:xmpp:jingle:apps:file-transfer:5"), kind = "iq", type = "set",
		offline = NEVER };
	{ "a headline with a body", SILENT, body "News", type = "headline", offline = NEVER };
	{ "an event with a body", SILENT, event(), body "News", from = PUSH, type = "normal" };

	{ "a presence", NOTHING, kind = "presence", offline = NEVER };
	{ "an unavailable presence", NOTHING, kind = "presence", type = "unavailable", offline = NEVER };
	{ "composing", NOTHING, chat_state "composing" };
	{ "gone", NOTHING, chat_state "gone" };
	{ "a chat state with no-store", NOTHING, chat_state "paused", no_store };
	{ "a receipt with no-store", NOTHING, tag("received", "urn:xmpp:receipts", { id = "m" }), no_store };
	{ "a headline", NOTHING, tag("x", "urn:example:news"), type = "headline", offline = NEVER };
	{ "an event", NOTHING, event(), from = PUSH, type = "normal" };
	{ "a room's subject", NOTHING, st.stanza("subject"):text("Verona"), type = "groupchat", from = "verona@"..PUSH.."/Monty" };
	{ "a room's empty subject", NOTHING, st.stanza("subject"), type = "groupchat", from = "verona@"..PUSH.."/Monty" };

	{ "the result of an IQ", NEVER, tag("query", "jabber:iq:version"), kind = "iq", type = "result", offline = NEVER };
	{ "the error of an IQ", NEVER, tag("error"), kind = "iq", type = "error", offline = NEVER };
	{ "a push", NEVER, notification2, from = PUSH, type = "normal" };
	{ "an event that is a push", NEVER, event(notification), from = PUSH, type = "normal" };
	{ "an event that is a push with a body", NEVER, event(notification), body "New message", from = PUSH, type = "headline" };
	{ "an event that is a push of Push 2.0", NEVER, event(notification2), from = PUSH, type = "normal" };
};

local ids = 0;

-- Sends a row's stanza to the bare JID, or to each of the full JIDs.
local function send(row, full)
	ids = ids + 1;
	for _, to in ipairs(row.kind and full or { BARE }) do
		local stanza = st.stanza(row.kind or "message", { to = to, id = "w"..ids, type = row.type or not row.kind and "chat" or nil });
		for i = 3, #row do stanza:add_direct_child(st.clone(row[i])); end
		if row.from or row.kind == "iq" then
			stanza.attr.from = row.from or PUSH;
			app:send(stanza);
		else
			juliet:send(stanza);
		end
	end
	juliet:sync();
	app:settled();
end

describe("the importance for a user who is away:", function ()
	setup(function ()
		start();
		registers("n", "important", "n"):close();
		registers("all", "all"):close();
	end);
	teardown(function () server:stop(); end);

	for _, row in ipairs(ROWS) do
		it(row[1], function ()
			send(row, { BARE.."/n" });
			assert.same(row.offline or row[2], woken());
		end);
	end

	it("a message to oneself wakes no device", function ()
		local laptop = client.connect(server, "romeo", { resource = "laptop" });
		laptop:message { to = BARE, body = "Note to self" };
		assert.same(NEVER, woken());
		laptop:close();
	end);
end);

describe("the importance for a session that hibernates:", function ()
	local phone, tablet;
	local function sleeps()
		app.pushes, app2.pushes = {}, {};
		phone, tablet = registers("phone", "important", "n", { smacks = true }), registers("tablet", "all", nil, { smacks = true });
		for _, session in ipairs({ phone, tablet }) do
			session:iq(st.stanza("iq", { type = "set" }):tag("enable", { xmlns = "urn:xmpp:carbons:2" }));
		end
		phone:acked();
		tablet:acked();
		phone:sleep();
		tablet:sleep();
		batches_left();
		woken();
	end
	setup(function ()
		start();
		sleeps();
	end);
	teardown(function () server:stop(); end);

	for _, row in ipairs(ROWS) do
		it(row[1], function ()
			send(row, { phone.jid, tablet.jid });
			batches_left();
			assert.same(row[2], woken());
		end);
	end

	it("the carbon of a message that the user sent", function ()
		local laptop = client.connect(server, "romeo", { resource = "laptop", presence = false });
		laptop:message { to = "juliet@example.test", body = "Juliet!" };
		batches_left();
		assert.same(NEVER, woken());
		laptop:close();
	end);

	it("the carbon of a message that another client of the user received", function ()
		local laptop = client.connect(server, "romeo", { resource = "laptop", presence = false });
		juliet:message { to = laptop.jid, body = "Romeo?" };
		batches_left();
		assert.same(SHOW, woken());
		laptop:close();
	end);

	it("pages of the archive that the client requested", function ()
		for _, session in ipairs({ phone, tablet }) do
			local back = client.resume(server, "romeo", session);
			back:acked();
			back:close();
		end
		phone = registers("phone", "important", "n", { smacks = true });
		tablet = registers("tablet", "all", nil, { smacks = true });
		for _, session in ipairs({ phone, tablet }) do
			session:acked();
			session.stream.stalled = true;
			session:send(st.iq({ type = "set", id = "q" }):tag("query", { xmlns = "urn:xmpp:mam:2" })
				:tag("set", { xmlns = "http://jabber.org/protocol/rsm" }):text_tag("max", "3"));
			net.wait(function () return session:session(".outgoing_stanza_queue:count_unacked()") == 4; end, "three results and the end");
			session:sleep();
		end
		batches_left();
		assert.same(NEVER, woken());
	end);
end);

describe("the importance of a subscription request", function ()
	setup(function () start(); end);
	teardown(function () server:stop(); end);

	local function asks(who, kind)
		who:send(st.presence { type = kind or "subscribe", to = BARE });
		who:sync();
		batches_left();
		return woken();
	end

	it("to a user without a session: one push with a text", function ()
		registers("n", "important", "n"):close();
		registers("all", "all"):close();
		assert.same(SHOW, asks(juliet));
		assert.same(NEVER, asks(juliet), "the request is pending");
		assert.same(SHOW, asks(client.connect(server, "benvolio")), "somebody else");
	end);

	it("to a user with another device connected: one push with a text", function ()
		local laptop = client.connect(server, "romeo", { resource = "laptop" });
		local mercutio = client.connect(server, "mercutio");
		assert.same(SHOW, asks(mercutio));
		laptop:expect(function (stanza) return stanza.attr.type == "subscribe" and stanza.attr.from == mercutio.bare; end, "the request");
		assert.same(NEVER, asks(mercutio), "the request is pending");
		laptop:close();
	end);

	it("to a user who has answered or granted it: no push", function ()
		local laptop = client.connect(server, "romeo", { resource = "laptop" });
		laptop:iq(st.stanza("iq", { type = "get" }):tag("query", { xmlns = "jabber:iq:roster" }));
		laptop:send(st.presence { type = "subscribed", to = "mercutio@example.test" });
		laptop:sync();
		laptop:close();
		assert.same(NEVER, asks(client.connect(server, "mercutio")));
	end);

	it("and of other presences about subscriptions: no push", function ()
		local benvolio = client.connect(server, "benvolio");
		for _, kind in ipairs({ "unsubscribe", "subscribed", "unsubscribed", "probe" }) do
			assert.same(NEVER, asks(benvolio, kind), kind);
		end
	end);

	it("to sessions that hibernate: one push with a text", function ()
		local phone, tablet = registers("phone", "important", "n", { smacks = true }), registers("tablet", "all", nil, { smacks = true });
		for _, resource in ipairs({ "n", "all" }) do
			client.connect(server, "romeo", { resource = resource }):iq(push2.disable());
		end
		phone:acked();
		tablet:acked();
		phone:sleep();
		tablet:sleep();
		batches_left();
		woken();
		local benvolio = client.connect(server, "benvolio");
		assert.same(SHOW, asks(benvolio));
		assert.same(NEVER, asks(benvolio), "the request is pending");
	end);
end);

describe("the importance of a message in a room", function ()
	local ROOM = "verona@"..ROOMS;
	setup(function () start(); end);
	teardown(function () server:stop(); end);

	local function join(who, nick)
		who:send(st.presence({ to = ROOM.."/"..nick }):tag("x", { xmlns = xmlns_muc }):up());
		who:expect(function (stanza) return stanza.name == "presence" and stanza.attr.from == ROOM.."/"..nick; end, "the room");
	end

	it("from the user, under any nickname: no push", function ()
		join(juliet, "Juliet");
		juliet:iq(st.stanza("iq", { type = "set", to = ROOM }):tag("query", { xmlns = xmlns_muc.."#owner" })
			:tag("x", { xmlns = "jabber:x:data", type = "submit" }));
		local phone, tablet = registers("phone", "important", "n", { smacks = true }), registers("tablet", "all", nil, { smacks = true });
		local same, other = client.connect(server, "romeo", { resource = "same" }), client.connect(server, "romeo", { resource = "other" });
		join(phone, "Monty");
		join(tablet, "Monty");
		join(same, "Monty");
		join(other, "Montague the younger");
		phone:acked();
		tablet:acked();
		phone:sleep();
		tablet:sleep();
		batches_left();
		woken();
		same:message { to = ROOM, type = "groupchat", body = "It is I" };
		batches_left();
		assert.same(NEVER, woken(), "the same nickname");
		other:message { to = ROOM, type = "groupchat", body = "It is I" };
		batches_left();
		assert.same(NEVER, woken(), "another nickname");
		juliet:message { to = ROOM, type = "groupchat", body = "It is not" };
		batches_left();
		assert.same(SHOW, woken(), "another occupant");
	end);
end);

describe("unknown senders", function ()
	local ROOM = "verona@"..ROOMS;
	setup(function ()
		start { enable = { "cloud_notify_extensions" } };
		server:eval([[
			local rostermanager = require "core.rostermanager";
			for user, contact in pairs({ romeo = "juliet@example.test", juliet = "romeo@example.test" }) do
				local roster = rostermanager.load_roster(user, module.host);
				roster[contact] = { subscription = "both", groups = {} };
				assert(rostermanager.save_roster(user, module.host, roster));
			end
		]]);
	end);
	teardown(function () server:stop(); end);

	local function pushes()
		batches_left();
		return woken().xep;
	end

	it("are determined by the message in a carbon, not by the carbon", function ()
		local phone = registers("phone", nil, "n", { smacks = true, tigase.ignore_unknown() });
		phone:iq(st.stanza("iq", { type = "set" }):tag("enable", { xmlns = "urn:xmpp:carbons:2" }));
		local laptop = client.connect(server, "romeo", { resource = "laptop", presence = false });
		phone:acked();
		phone:sleep();
		batches_left();
		woken();
		client.connect(server, "mercutio"):message { to = laptop.jid, body = "Romeo!" };
		assert.is_nil(pushes());
		server:wait_log("No push for romeo to push.example.test<n: the sender is not in the roster");
		juliet:message { to = laptop.jid, body = "Romeo?" };
		assert.equal("text", pushes());
		laptop:close();
		client.resume(server, "romeo", phone):close();
	end);

	it("are not filtered if the roster cannot be read", function ()
		registers("phone", nil, "n", { tigase.ignore_unknown() }):close();
		woken();
		local mercutio = client.connect(server, "mercutio");
		mercutio:message { to = BARE, body = "Romeo!" };
		assert.is_nil(pushes(), "the roster can be read");
		for _, fault in ipairs({ "return nil, 'the disk is on fire'", "error('the disk is on fire')" }) do
			server:eval([[
				local rostermanager = require "core.rostermanager";
				prosody.spec_subscribed = prosody.spec_subscribed or rostermanager.is_contact_subscribed;
				rostermanager.is_contact_subscribed = load(...);
			]], fault);
			mercutio:message { to = BARE, body = "Romeo!" };
			assert.equal("text", pushes(), fault);
		end
		server:eval([[require "core.rostermanager".is_contact_subscribed = prosody.spec_subscribed]]);
		mercutio:message { to = BARE, body = "Romeo!" };
		assert.is_nil(pushes(), "it can be read again");
	end);

	it("do not include rooms, which send private messages and invitations", function ()
		registers("phone", nil, "n", { tigase.ignore_unknown() }):close();
		woken();
		server:eval([[
			local message = require "util.stanza".message({ from = (...).."/Monty", to = "romeo@example.test", type = "chat", id = "pm" }, "Psst")
				:tag("x", { xmlns = "http://jabber.org/protocol/muc#user" }):up();
			module:context((...):match("@(.*)")):send(message);
		]], ROOM);
		assert.equal("text", pushes(), "a private message");
		juliet:send(st.presence({ to = ROOM.."/Juliet" }):tag("x", { xmlns = xmlns_muc }):up());
		juliet:iq(st.stanza("iq", { type = "set", to = ROOM }):tag("query", { xmlns = xmlns_muc.."#owner" })
			:tag("x", { xmlns = "jabber:x:data", type = "submit" }));
		juliet:send(st.message({ to = ROOM }):tag("x", { xmlns = xmlns_muc.."#user" }):tag("invite", { to = BARE }):up():up());
		juliet:sync();
		assert.equal("text", pushes(), "a mediated invitation");
	end);

	it("do not include rooms on other servers that the user has joined", function ()
		local phone = registers("phone", nil, "n", { smacks = true, tigase.ignore_unknown() });
		phone:send(st.presence({ to = "mantua@"..PUSH2.."/Monty" }):tag("x", { xmlns = xmlns_muc }):up());
		phone:sync();
		app2:send(st.presence({ from = "mantua@"..PUSH2.."/Monty", to = phone.jid }):tag("x", { xmlns = xmlns_muc.."#user" })
			:tag("item", { affiliation = "none", role = "participant" }):up():tag("status", { code = "110" }):reset());
		app2:settled();
		phone:acked();
		phone:sleep();
		batches_left();
		woken();
		app2:send(st.message({ from = "mantua@"..PUSH2.."/Paris", to = phone.jid, type = "chat", id = "p1" }, "Psst"));
		app2:settled();
		assert.equal("text", pushes());
		app2:send(st.message({ from = "elsewhere@"..PUSH2.."/Paris", to = phone.jid, type = "chat", id = "p2" }, "Psst"));
		app2:settled();
		assert.is_nil(pushes());
		client.resume(server, "romeo", phone):close();
	end);
end);
