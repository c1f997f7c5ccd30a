-- A client whose connection is dead while the server still waits for an ack. mod_smacks reports a late ack once, but every later
-- message has to wake the device, too.
local prosody = require "spec.support.prosody";
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local net = require "spec.support.net";
local push2 = require "spec.support.push2";
local st = require "util.stanza";

local PUSH, ROOM = "push.example.test", "push2.example.test";

local server, app, juliet, phone;

local function start(more, ack_delay)
	local opts = { version = os.getenv("PROSODY"), module = "ours" };
	for name, value in pairs(more or {}) do opts[name] = value; end
	-- The text of a push shows which message it is for.
	opts.options = { smacks_max_ack_delay = ack_delay or 0.5, smacks_hibernation_time = 300, push_notification_with_body = true };
	server = prosody.start(opts);
	app = appserver.connect(server, PUSH);
	juliet = client.connect(server, "juliet");
	phone = client.connect(server, "romeo", { resource = "phone", smacks = true });
	phone:enable_push({ jid = PUSH, node = "phone" });
	phone:acked();
end

local function write(body, ...)
	juliet:message { to = "romeo@example.test", body = body, ... };
end

-- The connection dies, and the server waits in vain for the ack of the stanza that `send` sends. The default is a chat state, which
-- wakes no device.
local function becomes_late(send)
	phone:stall();
	if send then
		send();
	else
		write(nil, st.stanza("composing", { xmlns = "http://jabber.org/protocol/chatstates" }));
	end
	net.wait(function ()
		return phone:session(".awaiting_ack and session.delayed_ack_timer == nil and not session.hibernating");
	end, "the late ack of "..phone.jid);
end

-- The texts of the pushes that have come, "-" for a silent one.
local function pushed()
	local texts = {};
	for i, push in ipairs(app.pushes) do texts[i] = appserver.read(push).summary["last-message-body"] or "-"; end
	return texts;
end

-- Waits until `push explain` has the words in a decision about romeo's devices.
local function explained(words)
	net.wait(function ()
		return server:eval([[
			local protocol = module:shared("/*/prosody_push/protocols")[module.host.."/cloud_notify"];
			for _, decision in ipairs(protocol.decisions("romeo")) do
				if decision.text:find(..., 1, true) then return true; end
			end
		]], words);
	end, "the decision: "..words);
end

local function arrives(body)
	phone:expect(function (stanza) return stanza:get_child_text("body") == body; end, body);
end

local function room_says(room, body)
	room:send(st.message({ from = ROOM.."/Juliet", to = phone.jid, type = "groupchat", id = body }, body));
end

for _, archive in ipairs({ "with", "without" }) do
	describe("a session whose ack is late, "..archive.." an archive,", function ()
		local opts = { disable = archive == "without" and { "mam" } or nil };
		after_each(function () server:stop(); end);

		it("is not woken once its client answers again, and is woken when an ack is late again", function ()
			-- The delay is as long as a stanza waits for others, so that the next ack is late only after that wait.
			start(opts, 1);
			becomes_late();
			local room = appserver.connect(server, ROOM);
			room_says(room, "All");
			room:settled();
			-- Within the second for which the room's message waits for others.
			phone:unstall();
			phone:acked();
			arrives("All");
			write("Here?");
			phone:acked();
			arrives("Here?");
			becomes_late();
			assert.equal(0, app:settled(), "the client has the room's message, which is not pushed");
			write("Gone?");
			app:expect(1);
			phone:sleep();
			app:settled();
			assert.same({ "Gone?" }, pushed(), "hibernation pushes nothing again");
			write("Asleep?");
			app:expect(2);
			app:settled();
			assert.same({ "Gone?", "Asleep?" }, pushed());
		end);

		it("is woken once by every later message", function ()
			start(opts);
			becomes_late();
			assert.equal(0, app:settled());
			for i = 1, 2 do
				write("Romeo "..i);
				app:expect(i);
			end
			-- Pushed after the second for which the last message waits in the queue.
			local room = appserver.connect(server, ROOM);
			room_says(room, "All");
			app:expect(3);
			app:settled();
			assert.same({ "Romeo 1", "Romeo 2", "All" }, pushed());
		end);

		it("is woken once by the message whose ack is late", function ()
			start(opts);
			becomes_late(function () write("Romeo?"); end);
			app:expect(1);
			write("Again");
			app:expect(2);
			phone:sleep();
			app:settled();
			assert.same({ "Romeo?", "Again" }, pushed());
		end);

		it("is woken once by the carbon of a message to another client", function ()
			start(opts);
			phone:iq(st.stanza("iq", { type = "set" }):tag("enable", { xmlns = "urn:xmpp:carbons:2" }));
			phone:acked();
			local laptop = client.connect(server, "romeo", { resource = "laptop" });
			becomes_late();
			juliet:message { to = laptop.jid, body = "To the laptop" };
			app:expect(1);
			local room = appserver.connect(server, ROOM);
			room_says(room, "All");
			app:expect(2);
			app:settled();
			assert.same({ "To the laptop", "All" }, pushed());
		end);

		it("is woken after a reload, too", function ()
			start(opts);
			becomes_late();
			server:reload();
			for i = 1, 2 do
				write("Romeo "..i);
				app:expect(i);
				server:reload();
			end
			phone:unstall();
			phone:acked();
			write("Here?");
			arrives("Here?");
			server:reload();
			app:settled();
			assert.same({ "Romeo 1", "Romeo 2" }, pushed());
		end);
	end);
end

describe("a session whose ack is late", function ()
	before_each(function () start(); end);
	after_each(function () server:stop(); end);

	it("is woken once by a room's message and once by an IQ to its full JID", function ()
		local room = appserver.connect(server, ROOM);
		becomes_late();
		room_says(room, "All");
		app:expect(1);
		juliet:send(st.iq({ type = "get", to = phone.jid, id = "version" }):tag("query", { xmlns = "jabber:iq:version" }));
		app:expect(2);
		write("Romeo?");
		app:expect(3);
		phone:sleep();
		app:settled();
		assert.same({ "All", "-", "Romeo?" }, pushed());
	end);

	it("is woken once by a subscription request", function ()
		becomes_late();
		juliet:send(st.presence({ to = "romeo@example.test", type = "subscribe" }));
		app:expect(1);
		-- The message either waits together with the request, or comes after it.
		write("Romeo?");
		app:expect(2);
		phone:sleep();
		app:settled();
		local texts = pushed();
		assert.same({ 2, "Romeo?" }, { #texts, texts[2] }, table.concat(texts, ", "));
	end);

	it("is woken for a call once, at once", function ()
		becomes_late();
		local before = net.now();
		juliet:message { to = "romeo@example.test", st.stanza("propose", { xmlns = "urn:xmpp:jingle-message:0", id = "c1" }) };
		app:expect(1);
		assert.is_true(net.now() - before < 0.9, "without the second that others wait");
		write("Romeo?");
		app:expect(2);
		phone:sleep();
		assert.equal(2, app:settled());
	end);

	it("has decisions that explain why its device was woken, and why not before", function ()
		write("Here?");
		arrives("Here?");
		explained("not sent: its session has it: connected, or it waits there");
		becomes_late();
		explained("chat state (");
		explained("not sent: there is nothing to show, and nothing that the client must know");
		write("Romeo?");
		app:expect(1);
		explained("sent, taken after");
		explained("not sent: it was pushed there before");
	end);
end);

describe("a late ack of an inactive client (mod_csi_simple)", function ()
	before_each(function () start({ enable = { "csi_simple" } }); end);
	after_each(function () server:stop(); end);

	it("wakes the device for the message whose flush requested the ack, and for every later one", function ()
		phone:send(st.stanza("inactive", { xmlns = "urn:xmpp:csi:0" }));
		net.wait(function () return phone:session(".state") == "inactive"; end, "the inactive client");
		phone:acked();
		becomes_late(function () write("Romeo 1"); end);
		app:expect(1);
		for i = 2, 3 do
			write("Romeo "..i);
			app:expect(i);
		end
		phone:sleep();
		app:settled();
		assert.same({ "Romeo 1", "Romeo 2", "Romeo 3" }, pushed());
	end);
end);

describe("a session whose ack is late and that also holds a registration of Push 2.0", function ()
	local service;
	before_each(function ()
		start({ enable = { "push2" } });
		service = appserver.connect(server, ROOM);
		assert.equal("result", phone:iq(push2.iq(push2.enable { service = ROOM, push2.match("important") })).attr.type);
		phone:acked();
	end);
	after_each(function () server:stop(); end);

	it("is woken once by each protocol for every message", function ()
		becomes_late();
		server:reload("push2");
		for i = 1, 2 do
			write("Romeo "..i);
			app:expect(i);
			service:expect(i);
		end
		phone:sleep();
		write("Romeo 3");
		app:expect(3);
		service:expect(3);
		app:settled();
		assert.same({ "Romeo 1", "Romeo 2", "Romeo 3" }, pushed());
		assert.equal(3, service:settled());
	end);
end);
