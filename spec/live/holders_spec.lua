-- Which session of a user holds a registration, and how the registration's device is woken when a session ends, when the server
-- stops, and when it starts.
local prosody = require "spec.support.prosody";
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local net = require "spec.support.net";
local push2 = require "spec.support.push2";
local registered = require "spec.support.registered";
local st = require "util.stanza";

local PUSH, ROOM = "push.example.test", "push2.example.test";
local HELD = PUSH.."<n";

local server, app, juliet;

local function start(options, more)
	local opts = { version = os.getenv("PROSODY"), module = "ours", options = { smacks_hibernation_time = 300 } };
	for name, value in pairs(more or {}) do opts[name] = value; end
	for name, value in pairs(options or {}) do opts.options[name] = value; end
	server = prosody.start(opts);
	app = appserver.connect(server, PUSH);
	juliet = client.connect(server, "juliet");
end

-- Connects a client of romeo's, with stream management.
local function connect(resource, smacks)
	return client.connect(server, "romeo", { resource = resource, smacks = smacks == nil or smacks });
end

local function enable(phone)
	assert.equal("result", phone:enable_push({ jid = PUSH, node = "n" }).attr.type);
	phone:acked();
	return phone;
end

-- For a client that has read the archive, mod_smacks hands back no stanzas: the archive has them.
local function reads_archive(phone)
	assert.equal("result", phone:iq(st.stanza("iq", { type = "set" }):tag("query", { xmlns = "urn:xmpp:mam:2" })).attr.type);
	phone:acked();
	return phone;
end

local function write(body, ...)
	juliet:message { to = "romeo@example.test", body = body, ... };
end

local function arrives(phone, body)
	phone:expect(function (stanza) return stanza:get_child_text("body") == body; end, body);
	if phone.sm_id then phone:acked(); end
end

local function composing()
	write(nil, st.stanza("composing", { xmlns = "http://jabber.org/protocol/chatstates" }));
end

-- Returns "!" for each push that alerts the user, "-" for each silent one.
local function kinds()
	local found = {};
	for i, push in ipairs(app.pushes) do
		found[i] = appserver.read(push).summary["last-message-body"] and "!" or "-";
	end
	return table.concat(found);
end

local function bound() return registered.bound(server, "romeo"); end

local function timeout(phone) return phone:session(".hibernating_watchdog.timeout"); end

-- Waits until `push explain` has the words in a decision about the user's devices.
local function explained(words, user)
	net.wait(function ()
		return server:eval([[
			local user, words = ...;
			local protocol = module:shared("/*/prosody_push/protocols")[module.host.."/cloud_notify"];
			for _, decision in ipairs(protocol.decisions(user)) do
				if decision.text:find(words, 1, true) then return true; end
			end
		]], user or "romeo", words);
	end, "the decision: "..words);
end

describe("a client that comes back under another resource", function ()
	after_each(function () server:stop(); end);

	it("and enables takes its registration from its hibernating session", function ()
		start();
		local old = enable(connect("old"));
		old:sleep();
		assert.equal(72 * 3600, timeout(old));
		local new = enable(connect("new"));
		assert.same({ old = "none", new = HELD }, bound());
		assert.equal(300, timeout(old), "mod_smacks's timeout again");
		write("Here?");
		arrives(new, "Here?");
		new:sleep();
		assert.equal(72 * 3600, timeout(new));
		write("Asleep?");
		app:expect(1);
		app:settled();
		assert.equal("!", kinds(), "the old session's queue wakes no device");
	end);

	it("takes its registration from an old session that only seems to be alive", function ()
		start();
		local old = enable(connect("old"));
		old:stall();
		local new = enable(connect("new"));
		write("Here?");
		arrives(new, "Here?");
		old:sleep();
		assert.same({ old = "none", new = HELD }, bound());
		assert.equal(300, timeout(old));
		write("Still here?");
		arrives(new, "Still here?");
		new:sleep();
		write("Asleep?");
		app:expect(1);
		app:settled();
		assert.equal("!", kinds());
	end);

	it("takes its registration from an old session whose ack is late", function ()
		start({ smacks_max_ack_delay = 1 });
		local old = enable(connect("old"));
		old:stall();
		composing();
		net.wait(function () return old:session(".awaiting_ack and session.delayed_ack_timer == nil"); end, "the late ack");
		local new = enable(connect("new"));
		assert.same({ old = "none", new = HELD }, bound());
		write("Here?");
		arrives(new, "Here?");
		new:sleep();
		write("Asleep?");
		app:expect(1);
		app:settled();
		assert.equal("!", kinds());
	end);

	it("takes its registration over a reload, too", function ()
		start();
		local old = enable(connect("old"));
		old:stall();
		local new = enable(connect("new"));
		server:reload();
		assert.same({ old = HELD, new = HELD }, bound());
		old:sleep();
		assert.same({ old = "none", new = HELD }, bound());
		new:sleep();
		assert.same({ old = "none", new = HELD }, bound(), "the new session was the last to enable");
		server:reload();
		assert.same({ old = "none", new = HELD }, bound());
		assert.same({ 300, 72 * 3600 }, { timeout(old), timeout(new) });
	end);

	it("takes its registration of Push 2.0 if it has a user agent id", function ()
		start({}, { enable = { "push2" } });
		-- As SASL2 does before it binds a resource.
		server:eval([[module:hook("pre-resource-bind", function (event)
			if event.session.username == "romeo" then event.session.client_id = "agent"; end
		end, 100)]]);
		local service = appserver.connect(server, ROOM);
		local function ask(phone)
			assert.equal("result", phone:iq(push2.iq(push2.enable { service = ROOM, push2.match("important") })).attr.type);
			phone:acked();
		end
		local old = connect("old");
		ask(old);
		old:sleep();
		local new = connect("new");
		assert.equal("agent", new:session(".push_registration_id"), "the new session holds it from its binding on");
		assert.is_nil((old:session(".push_registration_id")));
		assert.equal(300, timeout(old));
		write("Here?");
		arrives(new, "Here?");
		new:sleep();
		write("Asleep?");
		service:expect(1);
		assert.equal(1, service:settled());
	end);

	it("in a new tab is pushed for the new session only, while the closed tab's session hibernates", function ()
		start();
		-- As in Converse.js: a closed tab sends nothing, and the next tab has a resource of its own.
		local closed = connect("converse-1");
		closed:sleep();
		local tab = enable(connect("converse-2"));
		write("Here?");
		arrives(tab, "Here?");
		tab:sleep();
		write("Asleep?");
		app:expect(1);
		local newest = enable(connect("converse-3"));
		assert.same({ ["converse-1"] = "none", ["converse-2"] = "none", ["converse-3"] = HELD }, bound());
		write("Here again?");
		arrives(newest, "Here again?");
		newest:sleep();
		write("Asleep again?");
		app:expect(2);
		app:settled();
		assert.equal("!!", kinds());
	end);
end);

-- On 13.0 a client cannot resume if too many stanzas wait for it.
if os.getenv("PROSODY") ~= "0.12" then
	describe("a session that cannot be resumed", function ()
		after_each(function () server:stop(); end);

		local function fail_to_resume()
			start({ smacks_max_queue_size = 5, smacks_hibernation_time = 2, push_max_hibernation_timeout = 4 });
			local phone = enable(connect("phone"));
			phone:sleep();
			for _ = 1, 8 do composing(); end
			app.pushes = {};
			client.resume(server, "romeo", phone, "failed"):close();
			assert.is_true(phone:session(".hibernating") ~= nil);
			return phone;
		end

		it("ends and wakes no device when its client is back under another resource", function ()
			local phone = fail_to_resume();
			enable(connect("other"));
			assert.same({ phone = "none", other = HELD }, bound());
			assert.equal(2, timeout(phone));
			phone:gone();
			assert.equal(0, app:settled());
		end);

		it("ends when its client does not come back", function ()
			local phone = fail_to_resume();
			net.wait(function () return phone:session(".hibernating_watchdog ~= nil"); end, "the watchdog of the session");
			phone:gone();
		end);
	end);
end

describe("a registration that two sessions hold", function ()
	local first, second;
	before_each(function ()
		start({ smacks_max_ack_delay = 1, smacks_max_queue_size = 10 }, { enable = { "admin_shell" } });
		first = enable(connect("first"));
		second = enable(connect("second"));
	end);
	after_each(function () server:stop(); end);

	it("gets no push while one of them answers, and one push for each message when both sleep", function ()
		second:sleep();
		assert.same({ first = HELD, second = HELD }, bound());
		write("Here?");
		arrives(first, "Here?");
		explained("not sent: its client is connected and answers");
		assert.equal(0, app:settled());
		local text = server:prosodyctl("shell", "push", "explain", "romeo@example.test");
		assert.matches(HELD.."\n%s+message %(.-%): not sent: its client is connected and answers", text);
		first:sleep();
		assert.same({ first = "none", second = HELD }, bound());
		write("Asleep?");
		app:expect(1);
		write("Still asleep?");
		app:expect(2);
		app:settled();
		assert.equal("!!", kinds());
	end);

	it("gets no push while one of them answers, even if the other's queue is nearly full", function ()
		second:sleep();
		for _ = 1, 9 do composing(); end
		assert.equal(9, second:session(".outgoing_stanza_queue:count_unacked()"));
		first:acked();
		assert.equal(0, app:settled());
	end);

	it("gets one push for each message when one of them sleeps and the other's ack is late", function ()
		second:sleep();
		first:stall();
		composing();
		net.wait(function () return first:session(".awaiting_ack and session.delayed_ack_timer == nil"); end, "the late ack");
		write("Asleep?");
		app:expect(1);
		write("Still asleep?");
		app:expect(2);
		first:sleep();
		app:settled();
		assert.equal("!!", kinds());
	end);
end);

describe("a hibernation that ends", function ()
	it("causes no push while another session that holds the registration answers", function ()
		start({ smacks_hibernation_time = 1, push_max_hibernation_timeout = 2, push_wake_before_timeout = 1 });
		enable(connect("first"));
		local second = enable(connect("second"));
		second:sleep();
		second:gone();
		assert.equal(0, app:settled());
		server:stop();
	end);
end);

describe("a client without a user agent id", function ()
	before_each(function () start(); end);
	after_each(function () server:stop(); end);

	it("holds its registration again when it binds the resource with which it enabled", function ()
		enable(connect("phone")):close();
		local phone = connect("phone");
		phone:acked();
		assert.same({ phone = HELD }, bound());
		assert.equal(PUSH, phone:session(".push_settings.jid"));
		write("Here?");
		arrives(phone, "Here?");
		explained("not sent: its session has it");
		assert.equal(0, app:settled());
		phone:sleep();
		assert.equal(72 * 3600, timeout(phone));
		write("Asleep?");
		app:expect(1);
		app:settled();
		assert.equal("!", kinds());
	end);

	it("takes its registration from its hibernating session when it binds", function ()
		enable(connect("phone")):sleep();
		-- Prosody ends the old session: the resource is the same.
		local phone = connect("phone");
		phone:acked();
		assert.same({ phone = HELD }, bound());
		assert.is_nil((phone:session(".hibernating")));
		write("Here?");
		arrives(phone, "Here?");
		assert.equal(0, app:settled());
	end);

	it("is back, too, if another module gives its registration to the session that binds", function ()
		enable(connect("phone")):sleep();
		server:eval([[
			local old = prosody.full_sessions["romeo@example.test/phone"];
			module:hook("resource-bind", function (event)
				event.session.push_identifier, event.session.push_settings = old.push_identifier, old.push_settings;
			end, 10);
		]]);
		local tablet = connect("tablet");
		tablet:acked();
		assert.same({ phone = "none", tablet = HELD }, bound(), "the older session has let go");
		write("Here?");
		arrives(tablet, "Here?");
		assert.equal(0, app:settled());
		tablet:sleep();
		write("Asleep?");
		app:expect(1);
	end);

	it("is not woken when it binds its resource again, for what its dead session held", function ()
		reads_archive(enable(connect("phone"))):stall();
		write("Where are you?");
		local phone = reads_archive(connect("phone"));
		assert.same({ phone = HELD }, bound());
		assert.equal(0, app:settled());
		-- When this session ends, no other takes its place.
		phone:stall();
		write("And now?");
		phone:close();
		app:expect(1);
		app:settled();
		assert.equal("!", kinds());
	end);

	it("does not hold its registration under another resource", function ()
		enable(connect("phone")):close();
		local laptop = connect("laptop");
		assert.same({ laptop = "none" }, bound());
		write("Romeo?");
		arrives(laptop, "Romeo?");
		app:expect(1);
		laptop:sleep();
		write("Asleep?");
		app:expect(2);
		app:settled();
		assert.equal("!!", kinds());
	end);
end);

describe("a session that ends", function ()
	after_each(function () server:stop(); end);

	for _, case in ipairs({
		{ what = "without resumption"; smacks = "unresumable"; stop = "cut" };
		{ what = "by a proper close"; smacks = true; stop = "close" };
	}) do
		local what = case.what;
		for _, reads in ipairs({ true, false }) do
			it(what..", wakes its device once for unacknowledged messages of "..(reads and "a client that reads the archive" or "a client"),
				function ()
				start();
				local phone = enable(connect("phone", case.smacks));
				if reads then reads_archive(phone); end
				phone:stall();
				write("Romeo?");
				write("Again, Romeo?");
				assert.equal(0, app:settled(), "it is connected");
				phone[case.stop](phone);
				app:expect(1);
				phone:gone();
				app:settled();
				assert.equal("!", kinds(), "the two messages waited together");
				local before = #app.pushes;
				write("Gone?");
				app:expect(before + 1);
				assert.equal(before + 1, app:settled());
			end);
		end

		it(what..", does not wake its device if everything is acknowledged", function ()
			start();
			local phone = reads_archive(enable(connect("phone", case.smacks)));
			write("Romeo?");
			arrives(phone, "Romeo?");
			net.wait(function () return phone:session(".outgoing_stanza_queue:count_unacked()") == 0; end, "the acks");
			phone[case.stop](phone);
			phone:gone();
			assert.equal(0, app:settled());
		end);

		it(what..", wakes its device only for messages, even if another client is connected", function ()
			start();
			local laptop = connect("laptop");
			local phone = reads_archive(enable(connect("phone", case.smacks)));
			phone:stall();
			composing();
			juliet:send(st.presence({ to = phone.jid }));
			write("Romeo?");
			arrives(laptop, "Romeo?");
			phone[case.stop](phone);
			app:expect(1);
			phone:gone();
			app:settled();
			assert.equal("!", kinds());
		end);

		it(what..", wakes its device once without an archive, too", function ()
			start({}, { disable = { "mam" } });
			local phone = enable(connect("phone", case.smacks));
			phone:stall();
			write("Romeo?");
			phone[case.stop](phone);
			app:expect(1);
			phone:gone();
			app:settled();
			assert.equal("!", kinds());
		end);
	end

	it("pushes the stanzas of its last second", function ()
		start();
		local room = appserver.connect(server, ROOM);
		local laptop = connect("laptop");
		local phone = enable(connect("phone"));
		phone:sleep();
		-- No other event reports a room's message.
		room:send(st.message({ from = ROOM.."/Juliet", to = phone.jid, type = "groupchat", id = "r1" }, "All"));
		room:settled();
		-- The watchdog fires.
		server:eval([[
			local dog = prosody.hosts[module.host].sessions.romeo.sessions.phone.hibernating_watchdog;
			dog:callback();
		]]);
		phone:gone(0.5);
		assert.equal(1, app:settled());
		assert.equal("!", kinds());
		laptop:close();
	end);
end);

describe("a server that stops", function ()
	-- Stops the server as a signal does. 0.12 handles signals only with mod_posix.
	local function stop()
		server:eval([[module:add_timer(0, function ()
			prosody.main_thread:run(function () prosody.shutdown("the spec wants it"); end);
		end)]]);
		net.wait(function () return app.stream.closed; end, "the end of the app server's connection");
		server:stop();
	end

	it("first sends held pushes", function ()
		start({ push_coalesce = true });
		enable(connect("phone")):close();
		app.answer = "none";
		write("Romeo?");
		app:expect(1);
		write("Romeo? Romeo?");
		explained("held");
		assert.equal(1, app:settled());
		stop();
		assert.equal(2, #app.pushes);
		assert.equal("!!", kinds());
	end);

	it("first sends pushes for the waiting stanzas of a hibernating session", function ()
		start();
		local room = appserver.connect(server, ROOM);
		local phone = enable(connect("phone"));
		phone:sleep();
		room:send(st.message({ from = ROOM.."/Juliet", to = phone.jid, type = "groupchat", id = "r1" }, "All"));
		room:settled();
		stop();
		assert.equal(1, #app.pushes);
		assert.equal("!", kinds());
	end);

	it("does not push a message a second time", function ()
		start();
		local phone = enable(connect("phone"));
		phone:sleep();
		write("Romeo?");
		app:expect(1);
		stop();
		assert.equal(1, #app.pushes);
	end);

	it("wakes the device of a client that has not acknowledged an archived message", function ()
		start();
		local phone = reads_archive(enable(connect("phone")));
		phone:stall();
		write("Romeo?");
		assert.equal(0, app:settled());
		stop();
		assert.equal(1, #app.pushes);
		assert.equal("!", kinds());
	end);
end);

describe("a queue of which four fifths are full", function ()
	local phone;
	before_each(function ()
		start({ smacks_max_queue_size = 10, push_explain = 100 }, { enable = { "admin_shell" } });
		phone = enable(connect("phone"));
	end);
	after_each(function () server:stop(); end);

	-- Sends `n` stanzas that wake no device.
	local function fill(n)
		for i = 1, n do
			if i % 2 == 1 then
				composing();
			else
				juliet:send(st.presence({ to = phone.jid }));
			end
		end
		juliet:sync();
	end

	it("wakes the device once, silently, and again when it has doubled", function ()
		phone:sleep();
		fill(7);
		assert.equal(0, app:settled());
		fill(1);
		app:expect(1);
		fill(7);
		assert.equal(1, app:settled());
		fill(1);
		app:expect(2);
		fill(15);
		app:settled();
		assert.equal("--", kinds());
		assert.equal(31, phone:session(".outgoing_stanza_queue:count_unacked()"));
		local text = server:prosodyctl("shell", "push", "explain", "romeo@example.test");
		assert.equal(2, select(2, text:gsub("its session's queue is four fifths full%): sent, taken after %d+ ms", "")), text);
	end);

	it("wakes the device again when it has filled again after a resumption", function ()
		phone:sleep();
		fill(8);
		app:expect(1);
		local again = client.resume(server, "romeo", phone);
		phone.sm_id, again.sm_id = nil, phone.sm_id;
		phone = again;
		phone:acked();
		phone:sleep();
		fill(7);
		assert.equal(1, app:settled());
		fill(1);
		app:expect(2);
		app:settled();
		assert.equal("--", kinds());
	end);

	it("that filled while the client was connected wakes the device when the session hibernates", function ()
		phone:stall();
		fill(9);
		phone:sleep();
		app:expect(1, 2);
		app:settled();
		assert.equal("-", kinds());
	end);
end);

describe("a queue of a client whose ack is late", function ()
	it("wakes the device once, silently, when it is four fifths full, and again after the client has answered", function ()
		start({ smacks_max_queue_size = 10, smacks_max_ack_delay = 1 });
		local phone = enable(connect("phone"));
		phone:stall();
		composing();
		net.wait(function () return phone:session(".awaiting_ack and session.delayed_ack_timer == nil"); end, "the late ack");
		for _ = 2, 7 do composing(); end
		assert.equal(0, app:settled());
		composing();
		app:expect(1);
		composing();
		assert.equal(1, app:settled());
		phone:unstall();
		phone:acked();
		phone:sleep();
		for _ = 1, 7 do composing(); end
		assert.equal(1, app:settled());
		composing();
		app:expect(2, 2);
		app:settled();
		assert.equal("--", kinds());
		server:stop();
	end);
end);

describe("a server that starts", function ()
	local APP = "app.example.test";
	after_each(function () server:stop(); end);

	local function start_with_users(...)
		start({}, { components = { [APP] = "spec_app" } });
		for _, user in ipairs({ ... }) do
			local phone = client.connect(server, user, { resource = "phone" });
			assert.equal("result", phone:enable_push({ jid = APP, node = user }).attr.type);
			phone:close();
		end
	end

	-- The number of pushes that have come, and the newest.
	local function pushed()
		local n, last = server:eval("return prosody.spec_app.count, tostring(prosody.spec_app.last)");
		return n, last;
	end

	it("wakes the registered devices, silently, with push_wake_on_start", function ()
		start_with_users("romeo");
		server:restart({ push_wake_on_start = true });
		net.wait(function () return pushed() == 1; end, "the push to the user's device");
		local _, push = pushed();
		assert.matches("node='romeo'", push);
		assert.not_matches("last-message-body", push, 1, true);
		explained("ping (the server has started): sent");
	end);

	it("wakes no device without push_wake_on_start", function ()
		start_with_users("romeo");
		server:restart();
		server:eval("return require 'util.promise'.new(function (done) module:add_timer(0, done); end)");
		assert.equal(0, (pushed()));
		assert.not_matches("Waking the devices", server:log(), 1, true);
	end);

	it("wakes only the devices of users who are not back yet", function ()
		start_with_users("romeo", "mercutio");
		server:restart({ push_wake_on_start = true });
		local mercutio = client.connect(server, "mercutio", { resource = "phone" });
		assert.equal(APP.."<mercutio", mercutio:session(".push_identifier"));
		server:eval("prosody.spec_app.reset()");
		-- All users' turns, which are spread over a minute, come at once.
		server:eval([[
			local timer = require "util.timer";
			local add_task = timer.add_task;
			timer.add_task = function (delay, callback, ...)
				return add_task(math.min(delay, 0.01), function (...)
					local again = callback(...);
					return again and math.min(again, 0.01);
				end, ...);
			end
			prosody.events.fire_event("server-started");
			timer.add_task = add_task;
		]]);
		explained("ping (the server has started): not sent: its session has it", "mercutio");
		net.wait(function () return pushed() == 1; end, "the push to the other's device");
		assert.matches("node='romeo'", (select(2, pushed())));
	end);
end);
