-- Quiet where the user wants it, by both protocols: what he has set for a chat in any of his clients (XEP-0492), what he has read
-- elsewhere (XEP-0333, XEP-0490), and patience while he is at another client.
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local faulty = require "spec.support.faulty";
local net = require "spec.support.net";
local pep = require "spec.support.pep";
local prosody = require "spec.support.prosody";
local push2 = require "spec.support.push2";
local tigase = require "spec.support.tigase";
local st = require "util.stanza";

local PUSH, WORLD = "push.example.test", "push2.example.test";
local BARE, JULIET = "romeo@example.test", "juliet@example.test";
local ROOMS = "rooms.example.test";
local xmlns_muc, xmlns_markers = "http://jabber.org/protocol/muc", "urn:xmpp:chat-markers:0";

local server, app, world, juliet, desk;

local function start(options, enable)
	server = prosody.start {
		version = os.getenv("PROSODY"), module = "ours", options = options,
		enable = { "pep", "bookmarks", "csi_simple", "push2", table.unpack(enable or {}) }, components = { [ROOMS] = "muc" };
	};
	app, world = appserver.connect(server, PUSH), appserver.connect(server, WORLD);
	juliet = client.connect(server, "juliet");
	desk = client.connect(server, "romeo", { resource = "desk" });
end

local function stop()
	server:stop();
end

-- The phone registers by both protocols, and its session hibernates, or ends.
local function asleep(opts)
	opts = opts or {};
	app.pushes = {};
	local phone = client.connect(server, "romeo", { resource = "phone", smacks = true });
	phone:enable_push({ jid = PUSH, node = "phone", table.unpack(opts) });
	assert.equal("result", phone:iq(push2.iq(push2.enable { service = PUSH, push2.match("important", opts.match) })).attr.type);
	for _, room in ipairs(opts.rooms or {}) do
		phone:send(st.presence({ to = room.."/Monty" }):tag("x", { xmlns = xmlns_muc }));
		phone:expect(function (stanza) return stanza.name == "presence" and stanza.attr.from == room.."/Monty"; end, "the room");
	end
	phone:acked();
	if opts.gone then
		phone:close();
		phone:gone();
	else
		phone:sleep();
	end
	return phone;
end

local function awake(phone)
	client.resume(server, "romeo", phone):close();
end

-- Decisions for the phone, of both protocols, in words, the newest first; without those that leave a message to its session.
local function decisions()
	return server:eval([[
		local all = {};
		for _, name in ipairs({ "cloud_notify", "push2" }) do
			local texts = {};
			for _, decision in ipairs(module:shared("/*/prosody_push/protocols")[module.host.."/"..name].decisions("romeo")) do
				if not decision.text:find("its session has it") then table.insert(texts, decision.text); end
			end
			all[name] = texts;
		end
		return all;
	]]);
end

-- Waits until the newest decision of each protocol is as the pattern says.
local function decided(pattern)
	local last;
	local ok = pcall(net.wait, function ()
		last = decisions();
		return (last.cloud_notify[1] or ""):find(pattern) and (last.push2[1] or ""):find(pattern);
	end, "the decision "..pattern, 5);
	assert.is_true(ok, ("%s is not: %s; %s"):format(pattern, last.cloud_notify[1], last.push2[1]));
end

-- What a stanza leads to: calls `send` and gives "pushed" or the reason, by both protocols alike.
local function outcome(send)
	local before = decisions();
	local n = { cloud_notify = #before.cloud_notify, push2 = #before.push2 };
	send();
	local after;
	net.wait(function ()
		after = decisions();
		return #after.cloud_notify > n.cloud_notify and #after.push2 > n.push2;
	end, "the decisions");
	-- A stanza may come by several ways.
	local function of(name)
		local texts = after[name];
		for i = 1, #texts - n[name] do
			if texts[i]:find(": sent") then return "pushed"; end
		end
		return texts[1]:match(": not sent: (.*)") or texts[1]:match(": (waits)") or texts[1]:match(": (held)");
	end
	assert.equal(of("cloud_notify"), of("push2"));
	return of("cloud_notify");
end

local NEVER = "the user has set this chat to notify never (XEP-0492)";
local ON_MENTION = "the user has set this chat to notify on mention (XEP-0492), and the message does not mention the user";
local ROOM_ON_MENTION = "of this room only mentions are pushed (push_rooms), and it does not mention the user";

local function says(body, ...)
	local more = { ... };
	return outcome(function () juliet:message { to = BARE, body = body or "Romeo?", table.unpack(more) }; end);
end

local function ok(reply)
	assert.equal("result", reply.attr.type, tostring(reply));
end

-- The explain journal is bounded; each case starts anew.
local options = { push_explain = 1000, smacks_hibernation_time = 300 };

local function with(more)
	for name, value in pairs(options) do more[name] = more[name] or value; end
	return more;
end

describe("a setting in the user's bookmarks", function ()
	setup(function () start(with {}); end);
	teardown(stop);

	it("is heeded, changed and deleted by whichever client, while the phone sleeps", function ()
		local phone = asleep();
		assert.equal("pushed", says());
		ok(pep.set(desk, JULIET, { "never" }));
		assert.equal(NEVER, says());
		local tablet = client.connect(server, "romeo", { resource = "tablet" });
		ok(pep.set(tablet, JULIET, { "on-mention" }));
		assert.equal(ON_MENTION, says("hello"));
		assert.equal("pushed", says("hello, Romeo"));
		ok(pep.set(tablet, JULIET, { "always" }));
		assert.equal("pushed", says("hello"));
		ok(pep.set(desk, JULIET, { "never" }));
		assert.equal(NEVER, says());
		ok(pep.retract(tablet, pep.bookmarks, JULIET));
		assert.equal("pushed", says());
		for _, what in ipairs({ "purge", "delete" }) do
			ok(pep.set(desk, JULIET, { "never" }));
			assert.equal(NEVER, says());
			ok(pep.clear(tablet, pep.bookmarks, what));
			assert.equal("pushed", says(), what);
		end
		tablet:close();
		awake(phone);
	end);

	it("is the most exact one, of both versions of the specification", function ()
		local phone = asleep();
		for _, case in ipairs({
			{ NEVER, { "never", "client", "phone" }, { "always" } };
			{ "pushed", { "never", "client", "pc" }, { "always" } };
			{ NEVER, { "never", "client" }, { "always" }, { "on-mention", "gateway" } };
			{ ON_MENTION, { "never" }, { "on-mention", "client", "phone" }, { "always", "client" } };
			{ "pushed", { "never", "client", "pc" } };
			{ NEVER, pep.notify_0({ "never" }) };
			{ ON_MENTION, pep.notify_0({ "never", "pc" }, { "on-mention", "mobile" }) };
			{ NEVER, st.stanza("notify", { xmlns = "urn:xmpp:notification-settings:1" })
				:tag("never"):tag("advanced"):tag("always", { xmlns = "urn:example" }):reset() };
		}) do
			ok(pep.set(desk, JULIET, table.unpack(case, 2)));
			assert.equal(case[1], says("hello"));
		end
		ok(pep.retract(desk, pep.bookmarks, JULIET));
		awake(phone);
	end);

	it("is read for a user without a session, also after a restart, with all that he has", function ()
		local phone = asleep { gone = true };
		ok(pep.set(desk, JULIET, { "never" }));
		for i = 1, 20 do ok(pep.set(desk, ("room%d@%s"):format(i, WORLD), { "on-mention" })); end
		desk:close();
		desk:gone();
		assert.equal(NEVER, says());
		server:restart();
		app, juliet = appserver.connect(server, PUSH), client.connect(server, "juliet");
		assert.equal(NEVER, says());
		assert.equal("pushed", outcome(function ()
			local mercutio = client.connect(server, "mercutio");
			mercutio:message { to = BARE, body = "Romeo?" };
			mercutio:close();
		end));
		world = appserver.connect(server, WORLD);
		desk = client.connect(server, "romeo", { resource = "desk" });
		ok(pep.clear(desk, pep.bookmarks, "delete"));
		assert.is_nil(phone:session(".username"));
	end);

	it("silences all that comes from there, and calls as well, where it is never", function ()
		local phone = asleep();
		ok(pep.set(desk, JULIET, { "never" }));
		assert.equal(NEVER, outcome(function () juliet:message { to = BARE, tigase.call("c1", "audio") }; end));
		ok(pep.set(desk, JULIET, { "on-mention" }));
		assert.equal("pushed", outcome(function () juliet:message { to = BARE, tigase.call("c2", "audio") }; end));
		assert.equal("pushed", says("as you said", st.stanza("reply", { xmlns = "urn:xmpp:reply:0", to = BARE, id = "1" })));
		ok(pep.clear(desk, pep.bookmarks, "delete"));
		awake(phone);
	end);

	it("is dropped with the oldest bookmark, where the node keeps no more", function ()
		local phone = asleep();
		ok(pep.publish(desk, pep.bookmarks, JULIET, pep.bookmark({ "never" }), "2"));
		assert.equal(NEVER, says());
		for i = 1, 2 do ok(pep.publish(desk, pep.bookmarks, ("room%d@%s"):format(i, WORLD), pep.bookmark(), "2")); end
		assert.equal("pushed", says());
		ok(pep.clear(desk, pep.bookmarks, "delete"));
		awake(phone);
	end);
end);

describe("a setting of a room", function ()
	local OWN, REMOTE = "verona@"..ROOMS, "mantua@"..WORLD;
	local phone;

	setup(function ()
		start(with {});
		juliet:send(st.presence({ to = OWN.."/Juliet" }):tag("x", { xmlns = xmlns_muc }));
		juliet:expect(function (stanza) return stanza.attr.from == OWN.."/Juliet"; end, "the room");
		juliet:iq(st.stanza("iq", { type = "set", to = OWN }):tag("query", { xmlns = xmlns_muc.."#owner" })
			:tag("x", { xmlns = "jabber:x:data", type = "submit" }));
	end);
	teardown(stop);

	-- The room of another server is joined as well.
	local function enter()
		phone = client.connect(server, "romeo", { resource = "phone", smacks = true });
		phone:enable_push({ jid = PUSH, node = "phone" });
		phone:iq(push2.iq(push2.enable { service = PUSH, push2.match("important") }));
		for _, room in ipairs({ OWN, REMOTE }) do phone:send(st.presence({ to = room.."/Monty" }):tag("x", { xmlns = xmlns_muc })); end
		phone:expect(function (stanza) return stanza.attr.from == OWN.."/Monty"; end, "the room");
		-- A room that the session has not asked is not believed.
		net.wait(function ()
			for _, stanza in ipairs(world.others) do
				if stanza.name == "presence" and stanza.attr.from == phone.jid then return true; end
			end
		end, "the presence for the remote room");
		world:send(st.presence({ from = REMOTE.."/Monty", to = phone.jid }):tag("x", { xmlns = xmlns_muc.."#user" })
			:tag("item", { affiliation = "none", role = "participant" }):up():tag("status", { code = "110" }));
		phone:expect(function (stanza) return stanza.attr.from == REMOTE.."/Monty"; end, "the remote room");
		phone:acked();
		phone:sleep();
	end

	local function in_own(body)
		return outcome(function () juliet:message { to = OWN, type = "groupchat", body = body }; end);
	end

	local n = 0;
	local function in_remote(body)
		n = n + 1;
		return outcome(function ()
			world:send(st.message({ from = REMOTE.."/Mercutio", to = phone.jid, type = "groupchat", id = "r"..n }, body));
		end);
	end

	it("holds for one of this server and for one of another", function ()
		enter();
		assert.same({ "pushed", "pushed" }, { in_own("hello"), in_remote("hello") });
		for _, room in ipairs({ OWN, REMOTE }) do ok(pep.set(desk, room, { "on-mention" })); end
		assert.same({ ON_MENTION, ON_MENTION }, { in_own("hello"), in_remote("hello") });
		assert.same({ "pushed", "pushed" }, { in_own("Monty: hello"), in_remote("hello, Monty") });
		for _, room in ipairs({ OWN, REMOTE }) do ok(pep.set(desk, room, { "never" })); end
		assert.same({ NEVER, NEVER }, { in_own("Monty: hello"), in_remote("hello, Monty") });
		ok(pep.clear(desk, pep.bookmarks, "delete"));
		awake(phone);
	end);

	it("comes after what the client says for its own registration", function ()
		ok(pep.set(desk, JULIET, { "always" }));
		local quiet = asleep { match = { filters = { { JULIET } } } };
		juliet:message { to = BARE, body = "hello" };
		net.wait(function () return decisions().push2[1]:find("the client filters"); end, "the filter");
		awake(quiet);
		ok(pep.set(desk, JULIET, { "never" }));
		quiet = asleep { match = { filters = { { JULIET, "mention" } } } };
		juliet:message { to = BARE, body = "hello, Romeo" };
		net.wait(function () return decisions().push2[1]:find("sent, no error"); end, "the push");
		assert.is_truthy(decisions().cloud_notify[1]:find(NEVER, 1, true));
		awake(quiet);
		ok(pep.clear(desk, pep.bookmarks, "delete"));
	end);
end);

describe("push_rooms = \"mentions\"", function ()
	setup(function () start(with { push_rooms = "mentions" }); end);
	teardown(stop);

	local function configure(room, fields)
		local form = st.stanza("iq", { type = "set", to = room }):tag("query", { xmlns = xmlns_muc.."#owner" })
			:tag("x", { xmlns = "jabber:x:data", type = "submit" })
			:tag("field", { var = "FORM_TYPE" }):text_tag("value", xmlns_muc.."#roomconfig"):up();
		for name, value in pairs(fields) do form:tag("field", { var = "muc#roomconfig_"..name }):text_tag("value", value):up(); end
		ok(juliet:iq(form));
	end

	it("lets mentions through, of public rooms and of rooms that are not bookmarked", function ()
		local rooms = {};
		for name, fields in pairs({
			public = { publicroom = "1", membersonly = "0" }; hidden = { publicroom = "0", membersonly = "0" };
			members = { publicroom = "1", membersonly = "1" }; unknown = { publicroom = "0", membersonly = "1" };
		}) do
			local room = name.."@"..ROOMS;
			rooms[name] = room;
			juliet:send(st.presence({ to = room.."/Juliet" }):tag("x", { xmlns = xmlns_muc }));
			juliet:expect(function (stanza) return stanza.attr.from == room.."/Juliet"; end, "the room");
			configure(room, fields);
			ok(juliet:iq(st.stanza("iq", { type = "set", to = room }):tag("query", { xmlns = xmlns_muc.."#admin" })
				:tag("item", { affiliation = "member", jid = BARE })));
			if name ~= "unknown" then ok(pep.set(desk, room)); end
		end
		local phone = asleep { rooms = { rooms.public, rooms.hidden, rooms.members, rooms.unknown } };
		local function said(room, body)
			return outcome(function () juliet:message { to = rooms[room], type = "groupchat", body = body }; end);
		end
		assert.same({ ROOM_ON_MENTION, "pushed" }, { said("public", "hello"), said("public", "Monty?") });
		assert.same({ "pushed", "pushed" }, { said("hidden", "hello"), said("members", "hello") });
		assert.same({ ROOM_ON_MENTION, "pushed" }, { said("unknown", "hello"), said("unknown", "Monty?") });
		ok(pep.set(desk, rooms.public, { "always" }));
		assert.equal("pushed", said("public", "hello"));
		assert.equal("pushed", says("hello"), "no room");
		awake(phone);
	end);

	it("silences nobody whose bookmarks cannot be read", function ()
		ok(pep.clear(desk, pep.bookmarks, "delete"));
		local ROOM = "unbookmarked@"..ROOMS;
		juliet:send(st.presence({ to = ROOM.."/Juliet" }):tag("x", { xmlns = xmlns_muc }));
		juliet:expect(function (stanza) return stanza.attr.from == ROOM.."/Juliet"; end, "the room");
		configure(ROOM, { publicroom = "0", membersonly = "0" });
		local phone = asleep { rooms = { ROOM } };
		local function said() return outcome(function () juliet:message { to = ROOM, type = "groupchat", body = "hello" }; end); end
		assert.equal(ROOM_ON_MENTION, said());
		for _, how in ipairs({ "an error", "raise" }) do
			server:eval([[
				local how = ...;
				local pep = prosody.hosts[module.host].modules.pep;
				prosody.sound_get = prosody.sound_get or pep.get_pep_service;
				pep.get_pep_service = function (user)
					if how == "raise" then error("the disk is on fire"); end
					return { get_items = function () return false, how; end };
				end
			]], how);
			for _, name in ipairs({ "cloud_notify", "push2" }) do server:reload(name); end
			assert.equal("pushed", said(), how);
		end
		server:wait_log("Bookmarks cannot be read, first those of romeo");
		server:eval("prosody.hosts[module.host].modules.pep.get_pep_service = prosody.sound_get");
		for _, name in ipairs({ "cloud_notify", "push2" }) do server:reload(name); end
		assert.equal(ROOM_ON_MENTION, said());
		awake(phone);
	end);
end);

-- The id of juliet's newest message in romeo's archive, as the desk got it.
local function archive_id(id)
	local message = desk:expect(function (stanza) return stanza.name == "message" and stanza.attr.id == id; end, "the message");
	return message:get_child("stanza-id", "urn:xmpp:sid:0").attr.id;
end

local READ = "the user has read it with another client";

describe("what is read elsewhere while its push is held", function ()
	before_each(function () start(with { push_coalesce = true }); end);
	after_each(stop);

	-- One push has no answer, and the next two messages are held behind it.
	local function hold(prefix)
		app.answer = "none";
		for i = 1, 3 do
			assert.equal(i == 1 and "pushed" or "held", outcome(function ()
				juliet:message { to = BARE, body = "Romeo?", id = prefix..i };
			end));
		end
		return #app.pushes;
	end

	for what, read in pairs({
		["a marker (XEP-0333)"] = function (id)
			desk:message { to = JULIET, st.stanza("displayed", { xmlns = xmlns_markers, id = id }) };
		end;
		["an item of the user's PEP (XEP-0490)"] = function (id) ok(pep.read(desk, JULIET, BARE, archive_id(id))); end;
	}) do
		it("leaves no more, by "..what, function ()
			local phone = asleep { gone = true };
			local prefix = what:match("%u%u%u%-%d+");
			local before = hold(prefix);
			read(prefix.."2");
			assert.is_truthy(decisions().cloud_notify[1]:find("held"), "the third is not read");
			read(prefix.."3");
			decided("it had been held%): not sent: "..READ);
			assert.equal(before, app:settled());
			assert.is_nil(phone:session(".username"));
		end);
	end
end);

describe("what is read elsewhere", function ()
	teardown(stop);

	it("is pushed no more when it comes to a session that sleeps later, and not while it waits with others", function ()
		start(with {});
		local phone = asleep();
		-- In the second in which stanzas of a queue are collected.
		juliet:message { to = BARE, body = "Romeo?", id = "m1" };
		desk:message { to = JULIET, st.stanza("displayed", { xmlns = xmlns_markers, id = "m1" }) };
		decided(READ);
		assert.equal(0, app:settled());
		awake(phone);
		stop();
	end);

	it("is taken away, once and silently, with push_take_away", function ()
		start(with { push_take_away = true });
		local phone = asleep { gone = true };
		assert.equal("pushed", outcome(function () juliet:message { to = BARE, body = "Romeo?", id = "m1" }; end));
		app:expect(2);
		ok(pep.read(desk, JULIET, BARE, archive_id("m1")));
		app:expect(4);
		decided("another client has read what it shows%): sent");
		for i = 3, 4 do
			local push = app.pushes[i];
			if push.name == "iq" then
				assert.is_nil(appserver.read(push).summary["last-message-body"]);
			else
				assert.equal("low", push2.read(push).priority);
			end
		end
		ok(pep.read(desk, JULIET, BARE, "unknown"));
		desk:message { to = JULIET, st.stanza("displayed", { xmlns = xmlns_markers, id = "m1" }) };
		assert.equal(4, app:settled());
		assert.is_nil(phone:session(".username"));
	end);
end);

describe("push_patience", function ()
	before_each(function ()
		start(with { push_patience = 60 });
		faulty.clock(server, "cloud_notify");
		server:reload("push2");
	end);
	after_each(stop);

	-- Until timers have fired by the new time: none takes longer than a twentieth of a second.
	local function later(seconds)
		faulty.ahead(server, seconds);
		server:eval([[
			local promise = require "util.promise";
			return promise.new(function (resolve)
				local left = 4;
				local function tick()
					left = left - 1;
					if left == 0 then resolve(true); else module:add_timer(1, tick); end
				end
				module:add_timer(1, tick);
			end);
		]]);
	end

	for what, act in pairs({
		["has sent a message"] = function () desk:message { to = "mercutio@example.test", body = "hi" }; end;
		["has sent a marker"] = function () desk:message { to = JULIET, st.stanza("displayed", { xmlns = xmlns_markers, id = "x" }) }; end;
		["types"] = function ()
			desk:message { to = JULIET, st.stanza("composing", { xmlns = "http://jabber.org/protocol/chatstates" }) };
		end;
		["is active (XEP-0352)"] = function ()
			desk:send(st.stanza("active", { xmlns = "urn:xmpp:csi:0" }));
			desk:sync();
		end;
	}) do
		it("lets a push wait while another client "..what..", and it leaves in time when the desk goes silent", function ()
			asleep { gone = true };
			act();
			assert.equal("waits", says());
			assert.equal("waits", says());
			assert.equal("pushed", outcome(function () juliet:message { to = BARE, tigase.call("c1", "audio") }; end), "a call");
			local before = app:settled();
			later(50);
			assert.equal(before, app:settled());
			later(61);
			app:expect(before + 2);
			decided("it had waited while another client was in use%): sent");
			assert.equal(before + 2, app:settled(), "one for both");
		end);
	end

	it("drops the push if the message is read at the desk meanwhile", function ()
		asleep { gone = true };
		desk:message { to = JULIET, body = "hi" };
		assert.equal("waits", outcome(function () juliet:message { to = BARE, body = "Romeo?", id = "m1" }; end));
		desk:message { to = JULIET, st.stanza("displayed", { xmlns = xmlns_markers, id = "m1" }) };
		decided("it had waited while another client was in use%): not sent: "..READ);
		later(61);
		assert.equal(0, app:settled());
	end);

	it("lets nothing wait for a desk that was silent or says so, and the push survives a reload and a restart", function ()
		asleep { gone = true };
		desk:message { to = JULIET, st.stanza("gone", { xmlns = "http://jabber.org/protocol/chatstates" }) };
		assert.equal("pushed", says());
		desk:send(st.stanza("active", { xmlns = "urn:xmpp:csi:0" }));
		desk:send(st.stanza("inactive", { xmlns = "urn:xmpp:csi:0" }));
		desk:sync();
		assert.equal("pushed", says());
		desk:message { to = JULIET, body = "hi" };
		assert.equal("waits", says());
		local before = app:settled();
		for _, name in ipairs({ "cloud_notify", "push2" }) do server:reload(name); end
		assert.equal(before, app:settled());
		server:restart();
		app = appserver.connect(server, PUSH);
		faulty.clock(server, "cloud_notify");
		server:reload("push2");
		later(1);
		assert.equal(0, app:settled());
		later(61);
		app:expect(2);
	end);
end);
