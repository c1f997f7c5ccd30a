-- Sessions that hibernate or whose acks are late, with real connections that are cut, stalled and resumed.
local prosody = require "spec.support.prosody";
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local net = require "spec.support.net";
local st = require "util.stanza";

local PUSH = "push.example.test";

local server, app, juliet, phone;

local function start(options, opts)
	opts = opts or {};
	opts.version, opts.module = os.getenv("PROSODY"), "ours";
	options.push_notification_important_body = "New Message!";
	opts.options = options;
	server = prosody.start(opts);
	app = appserver.connect(server, PUSH);
	juliet = client.connect(server, "juliet", { smacks = false });
	phone = client.connect(server, "romeo", { resource = "phone", smacks = true });
	phone:enable_push({ jid = PUSH, node = "phone" });
	-- The phone would be woken for stanzas that it has not acknowledged.
	phone:acked();
end

local function write(body, ...)
	juliet:message { to = "romeo@example.test", body = body, ... };
end

local function kinds()
	local found = {};
	for i, push in ipairs(app.pushes) do
		found[i] = appserver.read(push).summary["last-message-body"] and "important" or "unimportant";
	end
	return found;
end

local chat_state = st.stanza("composing", { xmlns = "http://jabber.org/protocol/chatstates" });
-- A silent stanza: it shows nothing, but the client has to learn of it.
local marker = st.stanza("displayed", { xmlns = "urn:xmpp:chat-markers:0", id = "m1" });

describe("a hibernating session", function ()
	before_each(function () start({ smacks_hibernation_time = 300 }); end);
	after_each(function () server:stop(); end);

	it("is woken by the next message", function ()
		phone:sleep();
		assert.equal(0, app:settled());
		write("Romeo?");
		app:expect(1);
		assert.same({ "important" }, kinds());
		assert.equal("integer", math.type(phone:session(".first_hibernated_push")));
	end);

	it("is woken at once for stanzas that waited when it fell asleep", function ()
		phone.stream.stalled = true;
		write("Romeo?");
		local before = net.now();
		phone:sleep();
		app:expect(1);
		assert.is_true(net.now() - before < 0.9, "without the second that others wait");
		assert.same({ "important" }, kinds());
	end);

	it("is woken once for many important stanzas, and once for unimportant ones", function ()
		phone:sleep();
		for i = 1, 5 do
			write(nil, marker);
			write("Romeo "..i);
		end
		app:expect(2);
		local found = kinds();
		table.sort(found);
		assert.same({ "important", "unimportant" }, found);
		assert.equal(2, app:settled());
	end);

	it("is not woken for stanzas without importance", function ()
		local room = appserver.connect(server, "push2.example.test");
		phone:sleep();
		write(nil, chat_state);
		juliet:send(st.presence({ to = phone.jid }));
		juliet:send(st.presence({ to = phone.jid, type = "unavailable" }));
		juliet:message { to = phone.jid, type = "headline", st.stanza("event", { xmlns = "http://jabber.org/protocol/pubsub#event" }) };
		room:send(st.message({ from = "push2.example.test", to = phone.jid, type = "groupchat" }):text_tag("subject", "Verona"));
		room:send(st.iq({ from = "push2.example.test/juliet", to = phone.jid, type = "result", id = "asked" }));
		room:settled();
		write("Romeo?");
		app:expect(1);
		assert.equal(1, app:settled());
		assert.same({ "important" }, kinds());
	end);

	it("is not woken for stanzas that it has acknowledged", function ()
		write("Romeo?");
		phone:expect(function (stanza) return stanza:get_child_text("body") == "Romeo?"; end, "the message");
		phone:acked();
		phone:sleep();
		assert.equal(0, app:settled());
	end);

	it("is woken for a call at once", function ()
		phone:sleep();
		local before = net.now();
		write(nil, st.stanza("propose", { xmlns = "urn:xmpp:jingle-message:0", id = "sid" }));
		app:expect(1);
		assert.is_true(net.now() - before < 0.9);
		write("Are you there?");
		app:expect(2);
		assert.same({ "important", "important" }, kinds());
		assert.equal(2, app:settled(), "the queue does not push the call again");
	end);

	it("that comes back in time is not woken", function ()
		phone:sleep();
		write("Romeo?");
		local again = client.resume(server, "romeo", phone);
		again:expect(function (stanza) return stanza:get_child_text("body") == "Romeo?"; end, "the message");
		assert.is_nil((phone:session(".first_hibernated_push")));
		assert.equal("push.example.test<phone", phone:session(".push_identifier"));
		phone:acked();
		phone = again;
		phone:sleep();
		write(nil, marker);
		app:expect(1);
		assert.same({ "unimportant" }, kinds());
		assert.equal(1, app:settled(), "the stanza that waited then was dropped");
	end);

	it("is woken only through its own registration, other devices through the archive", function ()
		local tablet = client.connect(server, "romeo", { resource = "tablet" });
		tablet:enable_push({ jid = PUSH, node = "tablet" });
		tablet:close();
		phone:sleep();
		write("Romeo?");
		app:expect(2);
		assert.equal("tablet", appserver.read(app.pushes[1]).node);
		assert.equal("phone", appserver.read(app.pushes[2]).node);
		assert.equal(2, app:settled());
	end);

	it("beside others is woken once for each registration, even if two sessions share one", function ()
		local other = client.connect(server, "romeo", { resource = "other", smacks = true });
		other:enable_push({ jid = PUSH, node = "phone" });
		local watch = client.connect(server, "romeo", { resource = "watch", smacks = true });
		watch:enable_push({ jid = PUSH, node = "watch" });
		for _, sleeper in ipairs({ other, watch }) do
			sleeper:acked();
			sleeper:sleep();
		end
		phone:sleep();
		write("Romeo?");
		app:expect(2);
		-- After any push that would follow the other sessions' second of waiting.
		write(nil, marker);
		app:expect(4);
		local nodes = {};
		for i, push in ipairs(app.pushes) do
			local read = appserver.read(push);
			nodes[i] = read.node..(read.summary["last-message-body"] and "!" or "");
		end
		table.sort(nodes);
		app:settled();
		assert.same({ "phone", "phone!", "watch", "watch!" }, { table.unpack(nodes, 1, 4) });
	end);

	it("with a long queue costs no more: the queue is not touched", function ()
		phone:sleep();
		server:eval([[
			local function touched() error("the queue was touched"); end
			module:fire_event("smacks-hibernation-stanza-queued", {
				origin = prosody.hosts[module.host].sessions.romeo.sessions.phone;
				stanza = require "util.stanza".message({ from = "juliet@example.test", type = "chat" }, "Romeo?");
				queue = setmetatable({}, { __index = touched, __len = touched, __pairs = touched });
			});
		]]);
		app:expect(1);
		assert.same({ "important" }, kinds());
		assert.not_matches("the queue was touched", server:log());
	end);

	it("keeps waiting stanzas over a reload", function ()
		phone:sleep();
		write("Romeo?");
		server:reload();
		app:expect(1);
		assert.same({ "important" }, kinds());
		assert.equal(1, app:settled());
	end);

	it("lets a handler see the stanza and block the push", function ()
		server:eval([[module:hook("cloud_notify/push", function (event)
			prosody.seen = { event.original_stanza:get_child_text("body"), event.push_info.node };
			return true;
		end)]]);
		phone:sleep();
		write("Romeo?");
		net.wait(function () return server:eval("return prosody.seen"); end, "the handler");
		assert.same({ "Romeo?", "phone" }, server:eval("return prosody.seen"));
		assert.equal(0, app:settled());
		assert.is_nil((phone:session(".first_hibernated_push")));
	end);
end);

describe("a room that reflects the user's own message", function ()
	it("wakes no device of the user", function ()
		start({ smacks_hibernation_time = 300 });
		local room = appserver.connect(server, "push2.example.test");
		phone:sleep();
		server:eval("prosody.hosts[module.host].sessions.romeo.sessions.phone.rooms_joined = { ['push2.example.test'] = 'Montague' }");
		for _, nick in ipairs({ "Montague", "Capulet" }) do
			room:send(st.message({ from = "push2.example.test/"..nick, to = phone.jid, type = "groupchat", id = nick }, "I am "..nick));
		end
		room:settled();
		app:expect(1);
		assert.equal(1, app:settled());
		assert.same({ "important" }, kinds());
		server:stop();
	end);
end);

describe("a session whose acks are late", function ()
	it("is woken, and not again when it hibernates", function ()
		start({ smacks_max_ack_delay = 1, smacks_hibernation_time = 300 });
		phone.stream.stalled = true;
		write("Romeo?");
		app:expect(1);
		assert.same({ "important" }, kinds());
		phone:sleep();
		assert.equal(1, app:settled());
		server:stop();
	end);
end);

describe("hibernation", function ()
	after_each(function () server:stop(); end);

	local function timeout() return phone:session(".hibernating_watchdog.timeout"); end

	it("lasts as long as push_max_hibernation_timeout while nothing is pushed, then ends", function ()
		start({ smacks_hibernation_time = 1, push_max_hibernation_timeout = 3 });
		local before = net.now();
		phone:sleep();
		assert.equal(3, timeout());
		phone:gone();
		assert.is_true(net.now() - before > 3);
		assert.equal(0, app:settled());
	end);

	it("has mod_smacks's timeout again after the first important push", function ()
		start({ smacks_hibernation_time = 2, push_max_hibernation_timeout = 300 });
		phone:sleep();
		write(nil, marker);
		app:expect(1);
		assert.equal(300, timeout());
		write("Romeo?");
		app:expect(2);
		assert.equal(2, timeout());
		phone:gone();
	end);

	it("has mod_smacks's timeout again when the registration ends", function ()
		start({ smacks_hibernation_time = 2, push_max_hibernation_timeout = 300 });
		phone:sleep();
		assert.equal(300, timeout());
		local laptop = client.connect(server, "romeo", { resource = "laptop" });
		laptop:disable_push({ jid = PUSH });
		assert.equal(2, timeout());
		phone:gone();
	end);

	it("keeps the longer timeout over a reload, and has mod_smacks's again after an unload", function ()
		start({ smacks_hibernation_time = 2, push_max_hibernation_timeout = 300 });
		phone:sleep();
		server:reload();
		assert.equal(300, timeout());
		server:unload();
		assert.equal(2, timeout());
		phone:gone();
	end);

	it("is never made shorter", function ()
		start({ smacks_hibernation_time = 300, push_max_hibernation_timeout = 3 });
		phone:sleep();
		assert.equal(300, timeout());
	end);

	it("accepts a period in words", function ()
		start({ smacks_hibernation_time = 300, push_max_hibernation_timeout = "3 days" });
		phone:sleep();
		assert.equal(3 * 86400, timeout());
	end);

	it("wakes the device once more before it ends, with push_wake_before_timeout", function ()
		start({ smacks_hibernation_time = 1, push_max_hibernation_timeout = 4, push_wake_before_timeout = 2 });
		local before = net.now();
		phone:sleep();
		app:expect(1);
		assert.is_true(net.now() - before > 1.5 and phone:session(".username") == "romeo", "before the end");
		assert.same({ "unimportant" }, kinds());
		phone:gone();
		assert.equal(1, app:settled());
	end);

	it("leaves nothing behind when its client binds its resource again", function ()
		start({ smacks_hibernation_time = 300, push_wake_before_timeout = 10 });
		phone:sleep();
		client.connect(server, "romeo", { resource = "phone" }):sync();
		assert.is_nil(server:eval([[return next(module:shared("/"..module.host.."/prosody_push/watches")) and "a watch"]]));
	end);

	it("that was resumed in time does not wake the device before its old end", function ()
		start({ smacks_hibernation_time = 1, push_max_hibernation_timeout = 3, push_wake_before_timeout = 2 });
		phone:sleep();
		phone = client.resume(server, "romeo", phone);
		phone:acked();
		phone:sleep();
		app:expect(1);
		phone:gone();
		assert.equal(1, app:settled(), "one for the second hibernation, none for the first");
	end);

	for _, archive in ipairs({ "with", "without" }) do
		it("that ends, "..archive.." an archive, keeps the queued message and pushes each device only once", function ()
			start({ smacks_hibernation_time = 2 }, { disable = archive == "without" and { "mam" } or nil });
			local tablet = client.connect(server, "romeo", { resource = "tablet" });
			tablet:enable_push({ jid = PUSH, node = "tablet" });
			tablet:close();
			phone:sleep();
			write("Romeo?");
			phone:gone();
			app:settled();
			local nodes = {};
			for i, push in ipairs(app.pushes) do nodes[i] = appserver.read(push).node; end
			table.sort(nodes);
			assert.same({ "phone", "tablet" }, nodes);
			phone = client.connect(server, "romeo", { resource = "phone" });
			phone:expect(function (stanza) return stanza:get_child_text("body") == "Romeo?"; end, "the message");
		end);
	end
end);

describe("a client with a user agent id", function ()
	it("holds its registration again with a new session", function ()
		start({});
		phone:close();
		-- As SASL2 does before it binds.
		server:eval([[module:hook("pre-resource-bind", function (event) event.session.client_id = "agent-1"; end, 100)]]);
		phone = client.connect(server, "romeo", { resource = "phone" });
		phone:enable_push({ jid = PUSH, node = "phone" });
		assert.equal("agent-1", server:stored("romeo")["push.example.test<phone"].client_id);
		phone:close();
		phone = client.connect(server, "romeo", { resource = "phone" });
		assert.equal("push.example.test<phone", phone:session(".push_identifier"));
		assert.equal(PUSH, phone:session(".push_settings.jid"));
		write("Romeo?");
		assert.equal(0, app:settled(), "it is connected");
		phone:close();
		write("Romeo?");
		assert.equal(1, app:settled());
		server:stop();
	end);
end);
