-- The administrator's commands in the shell, the user's ad-hoc command, and the warnings in the log at the start.
local prosody = require "spec.support.prosody";
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local net = require "spec.support.net";
local push2 = require "spec.support.push2";
local registered = require "spec.support.registered";
local st = require "util.stanza";

local PUSH = "push.example.test";

local server, app, service, juliet;

local function start(options, more)
	local opts = {
		version = os.getenv("PROSODY"), module = "ours", options = options, enable = { "admin_shell", "push2", "adhoc" },
	};
	for name, value in pairs(more or {}) do opts[name] = value; end
	server = prosody.start(opts);
	app = appserver.connect(server, PUSH);
	service = appserver.connect(server, "push2.example.test");
	juliet = client.connect(server, "juliet");
end

-- As an administrator types it: prosodyctl shell push …
local function shell(...)
	return (server:prosodyctl("shell", "push", ...));
end

-- Registers romeo's phone by XEP-0357 and romeo's tablet by Push 2.0.
local function two_devices()
	local phone = client.connect(server, "romeo", { resource = "phone" });
	phone:enable_push { jid = PUSH, node = "n" };
	phone:close();
	local tablet = client.connect(server, "romeo", { resource = "tablet" });
	tablet:iq(push2.iq(push2.enable { service = service.jid, push2.match("important") }));
	tablet:close();
end

local function write(text)
	juliet:message { to = "romeo@example.test", body = text };
end

describe("prosodyctl shell push", function ()
	setup(function () start(); end);
	teardown(function () server:stop(); end);
	before_each(function ()
		server:store("romeo", nil);
		server:store("romeo", nil, "push2_registrations");
		server:reload();
		server:reload("push2");
		app.pushes, service.pushes, app.answer, service.answer = {}, {}, "result", "result";
		two_devices();
	end);

	it("list shows the devices of one user or of all users", function ()
		local phone = client.connect(server, "romeo", { resource = "mobile", smacks = true });
		phone:enable_push { jid = PUSH, node = "m" };
		phone:acked();
		phone:sleep();
		write("Romeo?");
		net.wait(function () return #app.pushes >= 2 end, "two pushes");
		app:settled();
		for _, text in ipairs({ shell("list", "romeo@example.test"), shell("list") }) do
			assert.matches("romeo@example.test", text, 1, true);
			assert.matches("push.example.test<n\n%s+XEP%-0357 at push.example.test, made %d+ seconds? ago, "
				.."last push taken %d+ seconds? ago, no session", text);
			assert.matches("push.example.test<m\n.*session mobile hibernates", text);
			assert.matches("tablet\n%s+Push 2.0 at push2.example.test, .*no push taken yet, as far as is known", text);
			assert.matches("3 devices", text, 1, true);
		end
		client.resume(server, "romeo", phone):close();
	end);

	it("list shows the devices at an app server, in the order of their users", function ()
		for _, user in ipairs({ "mercutio", "benvolio" }) do
			server:store(user, {
				["push.example.test<there"] = { jid = "push.example.test", node = "there", timestamp = 1 };
				["elsewhere.example.test<"..user] = { jid = "elsewhere.example.test", node = user, timestamp = 2 };
			});
		end
		local text = shell("list", "Elsewhere.example.test");
		for _, user in ipairs({ "mercutio", "benvolio" }) do server:store(user, nil); end
		assert.is_nil(text:find("there", 1, true) and text:find("push.example.test", 1, true));
		assert.matches("benvolio@.*elsewhere.example.test<benvolio.*mercutio@.*elsewhere.example.test<mercutio.*2 devices", text);
		assert.matches("0 devices", shell("list", "nobody.example.test"), 1, true);
	end);

	it("list shows a device's failures", function ()
		app.answer = { "cancel", "item-not-found" };
		write("Romeo?");
		app:settled();
		assert.matches("1 failure", shell("list", "romeo@example.test"), 1, true);
	end);

	it("list and test show which devices are never woken", function ()
		server:store("romeo", {
			["push.example.test<n"] = { jid = PUSH, node = "n", timestamp = 5 };
			["push.example.test<odd"] = { node = "odd", timestamp = 9 };
			["push.example.test<1"] = { jid = PUSH, node = "1", timestamp = 1 };
			["push.example.test<2"] = { jid = PUSH, node = "2", timestamp = 2 };
			["push.example.test<3"] = { jid = PUSH, node = "3", timestamp = 3 };
			["push.example.test<4"] = { jid = PUSH, node = "4", timestamp = 4 };
			["push.example.test<0"] = { jid = PUSH, node = "0", timestamp = 0 };
		});
		server:reload();
		local text = shell("list", "romeo@example.test");
		assert.matches("push.example.test<0\n[^\n]*never woken: the user has too many devices %(push_max_devices%)", text);
		assert.matches("push.example.test<odd\n[^\n]*never woken: its record in the store cannot be read", text);
		assert.equal(2, select(2, text:gsub("never woken", "")), text);
		assert.matches("<odd: never woken: its record", shell("test", "romeo@example.test", "push.example.test<odd"));
		assert.matches("<0: never woken: the user has too many", shell("test", "romeo@example.test", "push.example.test<0"));
		assert.equal(0, app:settled());
		assert.matches("<1: taken after", shell("test", "romeo@example.test", "push.example.test<1"));
	end);

	it("prints no line that a client wrote", function ()
		local phone = client.connect(server, "romeo", { resource = "phone" });
		phone:enable_push { jid = PUSH, node = "n\njuliet@example.test\n  1  push.example.test<hers\194\133" };
		phone:close();
		assert.is_nil(shell("list"):find("\n%s*juliet@") or shell("list"):find("\194\133", 1, true));
	end);

	it("prints no line that an app server wrote", function ()
		app.answer = { "cancel", "item-not-found", "no\nOK: 9 devices tested" };
		local text = shell("test", "romeo@example.test", "1");
		assert.matches("9 devices tested", text, 1, true);
		assert.is_nil(text:find("\n%W*OK: 9 devices"), text);
	end);

	it("explain shows decisions, newest first, and never the text of a message", function ()
		write("a private word");
		app:settled();
		app.answer = { "cancel", "item-not-found", "no such token" };
		juliet:message { to = "romeo@example.test", st.stanza("received", { xmlns = "urn:xmpp:receipts", id = "m" }) };
		juliet:message { to = "romeo@example.test", st.stanza("no-store", { xmlns = "urn:xmpp:hints" }) };
		app:settled();
		local text = shell("explain", "romeo@example.test");
		-- Both modules decide on each message, the second one perhaps a millisecond later: the order is that of each device.
		local decisions = { ["push.example.test<n"] = {}, tablet = {} };
		for device, decision in text:gmatch("%d  (%S+)\n%s+[^\n]-: ([^\n]+)") do
			table.insert(decisions[device], (decision:gsub("%d+ ms", "N ms")));
		end
		assert.same({
			["push.example.test<n"] = {
				"not sent: there is nothing to show, and the sender asks not to store it (no-store)", "sent, item-not-found after N ms",
				"sent, taken after N ms";
			};
			tablet = { "not sent: it is not important", "not sent: it is not important", "sent, no error so far" };
		}, decisions);
		assert.matches("message (no client took it): sent", text, 1, true);
		assert.not_matches("private", text, 1, true);
		assert.matches("%d%d%d%d%-%d%d%-%d%d %d%d:%d%d:%d%d  push.example.test<n", text);
	end);

	it("explain says why it has no decisions", function ()
		assert.matches("There are no registrations", (shell("explain", "mercutio@example.test"):gsub("there", "There")), 1, true);
		local phone = client.connect(server, "benvolio");
		phone:enable_push { jid = PUSH, node = "b" };
		phone:close();
		assert.matches("Nothing has happened for this user", shell("explain", "benvolio@example.test"), 1, true);
	end);

	it("test wakes the devices and shows the answers", function ()
		local text = shell("test", "romeo@example.test");
		assert.matches("push.example.test<n: taken after %d+ ms", text);
		assert.matches("tablet: sent, and no error came back within 5 seconds", text, 1, true);
		assert.equal(1, #app.pushes);
		assert.equal(1, #service.pushes);
		app.answer = { "cancel", "item-not-found", "no such token" };
		text = shell("test", "romeo@example.test", "1");
		assert.matches("push.example.test<n: cancel/item%-not%-found %(no such token%) after %d+ ms", text);
		assert.matches("1 device tested", text, 1, true);
		service.answer = { "wait", "resource-constraint" };
		assert.matches("tablet: wait/resource%-constraint %(no text%) after", shell("test", "romeo@example.test", "tablet"));
	end);

	it("test shows an error that this server itself sends at once", function ()
		local laptop = client.connect(server, "romeo", { resource = "laptop" });
		laptop:iq(push2.iq(push2.enable { service = "nobody@example.test", push2.match("important") }));
		laptop:close();
		assert.matches("laptop: cancel/service%-unavailable %(.+%) after %d+ ms", shell("test", "romeo@example.test", "laptop"));
		laptop = client.connect(server, "romeo", { resource = "laptop" });
		laptop:iq(push2.disable());
		laptop:close();
	end);

	it("test ends when the module is reloaded", function ()
		app.answer = "none";
		-- The reload follows after the push has left.
		server:eval([[
			module:hook("cloud_notify/push", function ()
				module:add_timer(0, function () require "core.modulemanager".reload(module.host, "cloud_notify"); end);
			end);
		]]);
		assert.matches("push.example.test<n: not known: the module was unloaded meanwhile", shell("test", "romeo@example.test", "1"), 1, true);
		server:reload("spec_control");
	end);

	it("test says that another module blocks the push", function ()
		server:eval([[
			module:hook("cloud_notify/push", function () return true; end);
		]]);
		assert.matches("push.example.test<n: .*not sent: another module blocked it", shell("test", "romeo@example.test", "1"));
		server:reload("spec_control");
	end);

	it("remove ends one registration", function ()
		local phone = client.connect(server, "romeo", { resource = "phone" });
		phone:enable_push { jid = PUSH, node = "n" };
		assert.matches("Removed tablet", shell("remove", "romeo@example.test", "tablet"), 1, true);
		assert.is_nil(server:stored("romeo", "push2_registrations"));
		assert.matches("Removed push.example.test<n", shell("remove", "romeo@example.test", "1"), 1, true);
		server:wait_log("Push registration removed: romeo, push.example.test<n %(by the administrator%)");
		assert.is_nil(server:stored("romeo"));
		assert.same({ phone = "none" }, registered.bound(server, "romeo"));
		phone:close();
	end);

	it("stats shows the counters", function ()
		write("Romeo?");
		app:settled();
		local text = shell("stats");
		assert.matches("example.test, XEP-0357", text, 1, true);
		assert.matches("pushes important +1\n", text);
		assert.matches("answers result +1\n", text);
		assert.matches("example.test, Push 2.0", text, 1, true);
		assert.matches("in flight +%d+\n", text);
	end);

	it("says what is wrong with a command", function ()
		for _, case in ipairs({
			{ "There is no host nowhere.test", "list", "romeo@nowhere.test" };
			{ "is not a user's address", "explain", "example.test" };
			{ "Give the user's address", "explain" };
			{ "There is no such device", "test", "romeo@example.test", "9" };
			{ "There is no such device", "remove", "romeo@example.test" };
			{ "Neither cloud_notify nor push2 is loaded", "list", "romeo@push.example.test" };
		}) do
			assert.matches(case[1], shell(table.unpack(case, 2)), 1, true);
		end
		assert.is_truthy(server:stored("romeo"));
	end);
end);

describe("prosodyctl shell push check", function ()
	after_each(function () server:stop(); end);

	local function check()
		return server:prosodyctl("shell", "push", "check");
	end

	it("succeeds where all is well", function ()
		start({ contact_uri = "mailto:postmaster@example.test" }, { s2s = true });
		two_devices();
		local text, ok = check();
		assert.is_true(ok, text);
		assert.matches("Nothing keeps phones from ringing; 2 app servers answered", text, 1, true);
	end);

	it("says which app servers cannot be reached, since when and why, and fails", function ()
		start({ contact_uri = "mailto:postmaster@example.test" }, { s2s = true });
		two_devices();
		for node, jid in pairs({ a = "push.nowhere.invalid", b = "push.nowhere.invalid", c = "push2.example.test" }) do
			local phone = client.connect(server, "mercutio");
			phone:enable_push { jid = jid, node = node };
			phone:close();
		end
		service:disconnect();
		juliet:message { to = "mercutio@example.test", body = "Peace!" };
		server:wait_log("mercutio to push.nowhere.invalid<%a failed");
		local text, ok = check();
		assert.is_false(ok, text);
		assert.matches("example.test: app server push.nowhere.invalid cannot be reached: remote%-server%-not%-found %([^)]+%), "
			.."its last error was remote%-server%-not%-found; 2 registrations%. Is s2s open", text);
		assert.matches("app server push2.example.test cannot be reached: [^\n]*; 1 registration%.", text);
		assert.is_nil(text:find("app server push.example.test", 1, true), text);
		assert.matches("Error: 3 things to look after", text, 1, true);
	end);

	it("says when what is installed is not what runs", function ()
		local dir = os.tmpname();
		assert(os.execute(("rm %s && cp -r lua %s"):format(dir, dir)));
		start({ contact_uri = "mailto:postmaster@example.test" }, { s2s = true, modules = dir });
		assert(os.execute(("sed -i 's/^local VERSION = .*/local VERSION = \"9.9.9\";/' %s/prosody_push_loader.lib.lua"):format(dir)));
		assert.matches("prosody%-push 9%.9%.9 is installed, and Prosody still runs version [%d.]+: restart Prosody", (check()));
		os.execute("rm -r "..dir);
	end);

	for name, case in pairs({
		smacks_max_ack_delay = { { smacks_max_ack_delay = 600 }, {}, "smacks_max_ack_delay is 600: " };
		["smacks_max_ack_delay in words"] = os.getenv("PROSODY") ~= "0.12"
			and { { smacks_max_ack_delay = "never" }, {}, "smacks_max_ack_delay is never: " } or nil;
		read_timeout = { {}, { network_settings = { read_timeout = 7200 } }, "network_settings.read_timeout is 7200 seconds: " };
		contact_uri = { { contact_uri = "xmpp:example.test" }, {}, "contact_uri is not a mailto: or https: address: " };
	}) do
		it("looks at "..name, function ()
			case[1].contact_uri = case[1].contact_uri or "mailto:postmaster@example.test";
			start(case[1], { s2s = true, global = case[2] });
			local text, ok = check();
			assert.matches("example.test: "..case[3], text, 1, true);
			assert.matches("Error: One thing to look after", text, 1, true);
			assert.is_false(ok);
		end);
	end

	it("names a module of others of our names", function ()
		start({ contact_uri = "mailto:postmaster@example.test" }, { s2s = true });
		server:unload("cloud_notify");
		server:eval([[
			prosody.hosts[module.host].modules.cloud_notify = { module = module };
		]]);
		assert.matches("mod_cloud_notify is not the one of prosody%-push: nothing here", (check()));
		server:eval([[prosody.hosts[module.host].modules.cloud_notify = nil]]);
	end);
end);

describe("push_explain", function ()
	it("bounds the decisions that are kept for a user, or switches them off", function ()
		for value, n in pairs({ [3] = 3, [false] = 0 }) do
			start({ push_explain = value });
			two_devices();
			for _ = 1, 5 do write("Romeo?"); end
			app:settled();
			local count = server:eval([[return #module:shared("/*/prosody_push/protocols")["example.test/cloud_notify"].decisions("romeo")]]);
			assert.equal(n, count);
			server:stop();
		end
	end);
end);

describe("a server without the administrator's module, or without mod_adhoc,", function ()
	for _, name in ipairs({ "adhoc", "push_admin" }) do
		it("pushes all the same: without "..name, function ()
			start({}, { enable = { "admin_shell", "push2" }, disable = { name } });
			two_devices();
			write("Romeo?");
			app:expect(1);
			service:expect(1);
			assert.is_false(server:eval([[return require "core.modulemanager".is_loaded(module.host, ...) or false]], name));
			server:stop();
		end);
	end

	it("keeps pushing after that module is unloaded", function ()
		start();
		two_devices();
		server:unload("adhoc");
		server:eval([[assert(require "core.modulemanager".unload("*", "push_admin"))]]);
		write("Romeo?");
		app:expect(1);
		service:expect(1);
		assert.is_nil(shell("list"):find("device", 1, true));
		server:stop();
	end);
end);

describe("the ad-hoc commands of a user", function ()
	setup(function () start(); end);
	teardown(function () server:stop(); end);

	local NODE = "urn:prosody-push:devices";

	local function command(who, attr, fields, node)
		attr.xmlns, attr.node = "http://jabber.org/protocol/commands", node or NODE;
		local iq = st.stanza("iq", { type = "set", to = server.host }):tag("command", attr);
		if fields then
			iq:tag("x", { xmlns = "jabber:x:data", type = "submit" }):tag("field", { var = node and "device" or "devices" });
			for _, value in ipairs(fields) do iq:text_tag("value", value); end
		end
		return who:iq(iq:reset()).tags[1];
	end

	it("lists the user's devices and removes the chosen ones", function ()
		two_devices();
		local romeo = client.connect(server, "romeo", { resource = "desktop" });
		local items = romeo:iq(st.stanza("iq", { type = "get", to = server.host })
			:tag("query", { xmlns = "http://jabber.org/protocol/disco#items", node = "http://jabber.org/protocol/commands" }));
		local found;
		for item in items.tags[1]:childtags("item") do if item.attr.node == NODE then found = item.attr.name; end end
		assert.equal("Devices with push notifications", found);
		local reply = command(romeo, { action = "execute" });
		assert.equal("executing", reply.attr.status);
		local options = {};
		for field in reply:get_child("x", "jabber:x:data"):childtags("field") do
			for option in field:childtags("option") do options[#options + 1] = option:get_child_text("value"); end
		end
		table.sort(options);
		assert.same({ "push.example.test<n", "tablet" }, options);
		reply = command(romeo, { action = "complete", sessionid = reply.attr.sessionid }, { "push.example.test<n", "another's" });
		assert.equal("completed", reply.attr.status);
		assert.equal("Removed: push.example.test<n", reply:get_child_text("note"));
		server:wait_log("Push registration removed: romeo, push.example.test<n %(by the user%)");
		assert.is_nil(server:stored("romeo"));
		assert.is_truthy(server:stored("romeo", "push2_registrations").tablet);
		romeo:close();
	end);

	local WAKE = "urn:prosody-push:wake";

	-- The value of the option for a device, as the form has it.
	local function value_of(reply, device)
		for field in reply:get_child("x", "jabber:x:data"):childtags("field") do
			for option in field:childtags("option") do
				if option.attr.label:find(device, 1, true) == 1 then return option:get_child_text("value"); end
			end
		end
		return "another's";
	end

	it("wakes a device and says what became of it, and where to look next", function ()
		two_devices();
		app.pushes = {};
		local romeo = client.connect(server, "romeo", { resource = "desktop" });
		local function wake(device)
			local reply = command(romeo, { action = "execute" }, nil, WAKE);
			assert.equal("executing", reply.attr.status);
			reply = command(romeo, { action = "complete", sessionid = reply.attr.sessionid }, { value_of(reply, device) }, WAKE);
			return reply:get_child_text("note"), reply.attr.status, reply.attr.sessionid;
		end
		local note, status = wake("push.example.test<n");
		assert.matches("^push.example.test<n: taken after %d+ ms%. The server has done its part", note);
		assert.equal("completed", status);
		assert.equal(1, #app.pushes);
		app.answer = { "cancel", "item-not-found", "no such token" };
		assert.matches("<n: cancel/item%-not%-found %(no such token%) after .* Open the client", (wake("push.example.test<n")));
		-- This takes longer than the command waits for.
		local session;
		note, status, session = wake("tablet");
		assert.equal("executing", status);
		assert.matches("tablet: no answer yet", note, 1, true);
		local reply = command(romeo, { action = "next", sessionid = session }, nil, WAKE);
		assert.equal("completed", reply.attr.status);
		assert.matches("tablet: sent, and no error came back within 5 seconds. A push service", reply:get_child_text("note"), 1, true);
		assert.equal("There is no such device", (wake("another's")));
		romeo:close();
		app.answer = "result";
	end);

	it("does not wake without end", function ()
		local mercutio = client.connect(server, "mercutio");
		mercutio:enable_push { jid = PUSH, node = "m" };
		app.pushes = {};
		local note;
		for _ = 1, 9 do
			local reply = command(mercutio, { action = "execute" }, nil, WAKE);
			reply = command(mercutio, { action = "complete", sessionid = reply.attr.sessionid }, { value_of(reply, PUSH) }, WAKE);
			note = reply:get_child_text("note");
		end
		assert.matches("not sent: too many devices were woken in the last minute. Wait", note, 1, true);
		assert.is_true(#app.pushes >= 5 and #app.pushes < 9);
		mercutio:close();
	end);

	it("shows no devices of another user", function ()
		two_devices();
		local reply = command(juliet, { action = "execute" });
		assert.equal("completed", reply.attr.status);
		assert.equal("No device is woken for this account.", reply:get_child_text("note"));
		reply = command(juliet, { action = "execute" }, { "tablet" });
		assert.equal("No device is woken for this account.", reply:get_child_text("note"));
		local romeo = client.connect(server, "romeo", { resource = "desktop" });
		local key = value_of(command(romeo, { action = "execute" }, nil, WAKE), "tablet");
		romeo:close();
		reply = command(juliet, { action = "execute" }, { key }, WAKE);
		assert.equal("No device is woken for this account.", reply:get_child_text("note"));
		assert.is_truthy(server:stored("romeo", "push2_registrations").tablet);
	end);
end);

describe("the log at the start", function ()
	-- Returns our warnings.
	local function warnings(options, more)
		more = more or {};
		more.log_level = "warn";
		start(options, more);
		local found = {};
		for line in server:log():gmatch("Push: ([^\n]+)") do found[#found + 1] = line; end
		server:stop();
		return found;
	end

	it("has no warning if all is well", function ()
		assert.same({}, warnings({ smacks_hibernation_time = 300 }, { s2s = true }));
	end);

	it("names each missing module once, with what to do", function ()
		local found = warnings({}, { disable = { "smacks", "mam", "carbons" } });
		assert.equal(4, #found);
		for i, name in ipairs({ "smacks", "mam", "carbons" }) do
			assert.matches("^mod_"..name.." is not loaded: .* Add \""..name.."\" to modules_enabled%.$", found[i]);
		end
		assert.matches("^mod_s2s is not loaded: .*modules_disabled", found[4]);
	end);

	it("has warnings for each host, even one that is activated later", function ()
		start({}, { log_level = "warn", s2s = true, hosts = { "later.test" } });
		server:eval([[
			local hostmanager = require "core.hostmanager";
			hostmanager.deactivate("later.test");
			local config = require "core.configmanager";
			config.set("later.test", "modules_disabled", { "s2s", "carbons" });
			hostmanager.activate("later.test");
		]]);
		server:wait_log("later.test:push_admin.*mod_s2s is not loaded");
		local found = {};
		for host, line in server:log():gmatch("([^%s:]+):push_admin[^\n]-Push: (%S+ is not loaded)") do found[#found + 1] = host.." "..line; end
		assert.same({ "later.test mod_carbons is not loaded", "later.test mod_s2s is not loaded" }, found);
		server:stop();
	end);

	if os.getenv("PROSODY") ~= "0.12" then it("reads periods as mod_smacks does", function ()
		local found = warnings({ push_max_hibernation_timeout = "2 days", smacks_hibernation_time = "4 days" }, { s2s = true });
		assert.equal(1, #found);
		assert.matches("^smacks_hibernation_time %(345600 seconds%) is longer than push_max_hibernation_timeout %(172800 seconds%)", found[1]);
	end); end

	it("names options that contradict each other", function ()
		local found = warnings({ push_wake_before_timeout = 400, push_max_hibernation_timeout = 300, smacks_hibernation_time = 600 },
			{ s2s = true });
		assert.equal(2, #found);
		assert.matches("^push_wake_before_timeout %(400 seconds%) is not shorter than push_max_hibernation_timeout %(300 seconds%)", found[1]);
		assert.matches("^smacks_hibernation_time %(600 seconds%) is longer", found[2]);
	end);

	if os.getenv("PROSODY") ~= "0.12" then it("names another author's module that does the same", function ()
		local found = warnings({}, { s2s = true, enable = { "cloud_notify_priority_tag" }, community = { "cloud_notify_priority_tag" } });
		assert.equal(1, #found);
		assert.matches("^mod_cloud_notify_priority_tag is not the one of prosody%-push", found[1]);
	end); end

	it("has no warning if the extensions are ours", function ()
		assert.same({}, warnings({}, { s2s = true, enable = { "cloud_notify_extensions" } }));
	end);
end);
