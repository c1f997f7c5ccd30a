-- App servers that are out of reach for a while. A device that is owed a push gets it once when its app server is back.
local prosody = require "spec.support.prosody";
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local faulty = require "spec.support.faulty";
local net = require "spec.support.net";
local push2 = require "spec.support.push2";
local registered = require "spec.support.registered";
local st = require "util.stanza";

local PUSH = "push.example.test";

local server, app, juliet, phone;

-- For each protocol: its module, the stores of its registrations and of its owed pushes, and functions that enable push, and
-- that return the name in a push.
local protocols = {
	{
		title = "XEP-0357"; module = "cloud_notify"; store = "cloud_notify"; owed = "cloud_notify_owed"; options = {};
		enable = function (session, name) session:enable_push { jid = PUSH, node = name }; end;
		name_in = function (push) return appserver.read(push).node; end;
	};
	{
		title = "Push 2.0"; module = "push2"; store = "push2_registrations"; owed = "push2_owed";
		options = { enable = { "push2" }, disable = { "cloud_notify" } };
		enable = function (session, name)
			local iq = push2.iq(push2.enable { client = name, service = "pusher@"..PUSH, push2.match("all") });
			assert.equal("result", session:iq(iq).attr.type);
		end;
		name_in = function (push) return push2.read(push).client; end;
	};
};

local function start(protocol, options)
	local opts = { version = os.getenv("PROSODY"), module = "ours", options = options or {} };
	for name, value in pairs(protocol.options) do opts[name] = value; end
	server = prosody.start(opts);
	app = appserver.connect(server, PUSH);
	juliet = client.connect(server, "juliet");
end

-- Registers a device of romeo's that is away.
local function device(protocol, name)
	local session = client.connect(server, "romeo", { resource = name });
	protocol.enable(session, name);
	session:close();
	session:gone();
end

local function write(body)
	juliet:message { to = "romeo@example.test", body = body };
	juliet:sync();
end

local function come_back()
	app = appserver.connect(server, PUSH);
end

local function owed(protocol)
	local n = 0;
	for _, record in pairs(server:stored("romeo", protocol.owed) or {}) do
		if record.owed then n = n + 1; end
	end
	return n;
end

-- The number of devices that are owed a push, in memory.
local function are_owed(protocol)
	return server:eval([[
		local n = 0;
		for _, app_server in ipairs(module:shared("/*/prosody_push/protocols")[module.host.."/"..(...)].app_servers()) do
			n = n + app_server.owed;
		end
		return n;
	]], protocol.module);
end

local function is_written(protocol, n)
	net.wait(function () return owed(protocol) == n; end, ("%d devices in the store of owed pushes"):format(n));
end

-- A server on which the phone is owed a push, because its app server is away.
local function owes_phone(protocol)
	start(protocol);
	device(protocol, "phone");
	app:disconnect();
	write("Romeo?");
	is_written(protocol, 1);
end

for _, protocol in ipairs(protocols) do
	describe("a push that is owed by "..protocol.title, function ()
		after_each(function () server:stop(); end);

		it("is sent once when the app server is back, for all messages that came meanwhile", function ()
			start(protocol);
			device(protocol, "phone");
			app:disconnect();
			for i = 1, 3 do write("Romeo "..i); end
			is_written(protocol, 1);
			come_back();
			app:expect(1, 15);
			is_written(protocol, 0);
			assert.equal(1, app:settled());
			write("Here again?");
			app:expect(2);
			assert.is_truthy(next(server:stored("romeo", protocol.store)), "the registration is there");
		end);

		it("is not sent when the client has come back by itself", function ()
			owes_phone(protocol);
			local session = client.connect(server, "romeo", { resource = "phone" });
			protocol.enable(session, "phone");
			is_written(protocol, 0);
			assert.equal(0, are_owed(protocol));
			come_back();
			assert.equal(0, app:settled());
			session:close();
		end);

		it("is not sent when a client whose ack was late answers", function ()
			start(protocol, { smacks_max_ack_delay = 0.5 });
			phone = client.connect(server, "romeo", { resource = "phone", smacks = true });
			protocol.enable(phone, "phone");
			phone:acked();
			app:disconnect();
			phone:stall();
			write("Romeo?");
			is_written(protocol, 1);
			phone:unstall();
			phone:acked();
			is_written(protocol, 0);
			assert.equal(0, are_owed(protocol));
			come_back();
			assert.equal(0, app:settled());
			phone:close();
		end);

		it("has all that the client asked for if the module was reloaded while it was in flight", function ()
			start(protocol);
			device(protocol, "phone");
			app.answer = "none";
			write("Romeo?");
			local push = app:expect(1);
			server:reload(protocol.module);
			app:send(st.error_reply(push, "wait", "resource-constraint"));
			local again = app:expect(2, 15);
			assert.equal(protocol.name_in(push), protocol.name_in(again));
		end);

		for _, ending in ipairs({ "reload", "restart", "kill -9" }) do
			it("survives a "..ending, function ()
				owes_phone(protocol);
				if ending == "reload" then
					server:reload(protocol.module);
				else
					if ending == "kill -9" then server:kill(); end
					server:restart();
				end
				assert.equal(1, owed(protocol));
				come_back();
				app:expect(1, 15);
				assert.equal(0, are_owed(protocol));
				assert.equal(1, app:settled());
				-- Push 2.0 has no answers: a push counts as accepted only later.
				if protocol.title == "XEP-0357" then is_written(protocol, 0); end
			end);
		end

		for _, fault in ipairs({ { "users", "owed", "raise" }, { "get", "owed", "raise" }, { "get", "owed", "no" }, { "get", "store", "no" } }) do
			local method, store, how = table.unpack(fault);
			it(("survives a %s that fails by %s at first"):format(protocol[store]..":"..method, how), function ()
				owes_phone(protocol);
				faulty.clock(server, protocol.module);
				faulty.store(server, method, how, protocol[store], protocol.module);
				-- A silent push is owed for this. It may not take the place of the stored one, which is important.
				juliet:message { to = "romeo@example.test", st.stanza("received", { xmlns = "urn:xmpp:receipts", id = "m1" }) };
				juliet:sync();
				if store == "owed" then net.wait(function () return are_owed(protocol) > 0; end, "what is owed in memory"); end
				faulty.ahead(server, 2);
				net.wait(function () return server:log():find("again in a minute", 1, true); end, "the next try");
				faulty.store_works(server, true);
				net.wait(function () return are_owed(protocol) == 2; end, "what is owed from before");
				local _, record = next(server:stored("romeo", protocol.owed));
				assert.equal("important", record.owed);
				come_back();
				faulty.ahead(server, 700);
				app:expect(1, 15);
			end);
		end

		it("is not sent to a client that came back before it could be read", function ()
			owes_phone(protocol);
			faulty.clock(server, protocol.module);
			faulty.store(server, "users", "raise", protocol.owed, protocol.module);
			phone = client.connect(server, "romeo", { resource = "phone" });
			protocol.enable(phone, "phone");
			faulty.store_works(server, true);
			is_written(protocol, 0);
			assert.equal(0, are_owed(protocol));
			phone:close();
		end);

		it("is not tried for each device while the app server is away, and is sent to all when it is back", function ()
			start(protocol, { push_max_devices = 50, push_owed_per_second = 20 });
			faulty.clock(server, protocol.module);
			local names = {};
			for i = 1, 18 do
				names[i] = ("phone%02d"):format(i);
				device(protocol, names[i]);
			end
			app:disconnect();
			write("Romeo?");
			server:wait_log("App server [^\n]*push.example.test is away %(wait/remote%-server%-timeout, [^\n]*%)");
			is_written(protocol, 18);
			local _, failed = server:log():gsub("Push for romeo to [^\n]* failed ?o?n? ?i?t?s? ?w?a?y?", "");
			for i = 1, 20 do write("Romeo "..i); end
			local _, failed_later = server:log():gsub("Push for romeo to [^\n]* failed ?o?n? ?i?t?s? ?w?a?y?", "");
			assert.is_true(failed_later <= failed + 3, failed_later.." pushes were tried");
			come_back();
			-- A Push 2.0 service does not confirm a push. It counts as back after a minute without an error: the clock is set ahead.
			if protocol.title == "Push 2.0" then
				app:expect(1, 20);
				faulty.ahead(server, 61);
			end
			app:expect(18, 30);
			is_written(protocol, 0);
			assert.equal(18, app:settled());
			assert.same(18, #registered.identifiers(server:stored("romeo", protocol.store)));
			server:wait_log("info\tApp server [^\n]*push.example.test is back after %d+ [^\n]*: ");
		end);
	end);
end

describe("a module that sees each push", function ()
	it("sees an owed push when it is sent again, and can change or block it", function ()
		start(protocols[1]);
		for i = 1, 2 do device(protocols[1], "phone"..i); end
		server:eval([[
			module:hook("cloud_notify/push", function (event)
				event.notification_stanza.tags[1]:text_tag("seen", event.username..event.push_info.node);
				if event.push_info.node == "phone2" and prosody.spec_block then return true; end
			end);
		]]);
		app:disconnect();
		write("Romeo?");
		is_written(protocols[1], 2);
		server:eval("prosody.spec_block = true");
		come_back();
		local push = app:expect(1, 15);
		assert.equal("romeophone1", push.tags[1]:get_child_text("seen"));
		is_written(protocols[1], 0);
		assert.equal(1, app:settled());
		server:stop();
	end);
end);

describe("a push that has had no answer for a second", function ()
	it("is owed after a kill -9, and is not owed after its answer", function ()
		start(protocols[1]);
		device(protocols[1], "phone");
		app.answer = "none";
		write("Romeo?");
		app:send(st.reply(app:expect(1)));
		assert.equal(1, app:settled());
		write("Wherefore?");
		app:expect(2);
		is_written(protocols[1], 1);
		server:kill();
		server:restart();
		come_back();
		app:expect(1, 15);
		is_written(protocols[1], 0);
		assert.equal(1, app:settled());
		server:stop();
	end);
end);

describe("a module that does not let pushes out, in the name of the app server", function ()
	it("ends no registration, and the device is pushed once the module lets pushes out", function ()
		start(protocols[1], { push_max_errors = 2 });
		phone = client.connect(server, "romeo", { resource = "phone" });
		phone:enable_push { jid = "push.elsewhere.test", node = "n" };
		phone:close();
		phone:gone();
		-- As a whitelist does. Once it is open, a hook answers in the app server's name.
		server:eval([[
			local st = require "util.stanza";
			module:hook("route/remote", function (event)
				local stanza = event.stanza;
				if stanza.attr.to ~= "push.elsewhere.test" or stanza.attr.type ~= "set" then return; end
				if prosody.spec_open then
					prosody.spec_out = (prosody.spec_out or 0) + 1;
					module:send(st.reply(stanza));
					return true;
				end
				module:send(st.error_reply(stanza, "cancel", "not-allowed", "Communication with remote domains is not enabled"));
				return true;
			end, 1000);
		]]);
		for i = 1, 5 do write("Romeo "..i); end
		server:wait_log("failed on its way %(cancel/not%-allowed");
		is_written(protocols[1], 1);
		assert.is_truthy(server:stored("romeo")["push.elsewhere.test<n"]);
		server:eval("prosody.spec_open = true");
		net.wait(function () return server:eval("return prosody.spec_out") == 1; end, "the push that is let out", 15);
		is_written(protocols[1], 0);
		server:stop();
	end);
end);

describe("push stats", function ()
	it("shows which app servers are away, since when, why, and how many devices are owed a push there", function ()
		start({ options = { enable = { "admin_shell" } } }, { push_max_devices = 12 });
		for i = 1, 12 do device(protocols[1], "phone"..i); end
		app:disconnect();
		for i = 1, 12 do write("Romeo "..i); end
		is_written(protocols[1], 12);
		local out = server:prosodyctl("shell", "push", "stats");
		assert.matches("app server push%.example%.test: away since %d%d%d%d%-%d%d%-%d%d [%d:]+, "
			.."last error remote%-server%-timeout, 12 owed", out);
		server:stop();
	end);
end);
