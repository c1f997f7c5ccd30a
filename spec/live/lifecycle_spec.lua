-- Load, reload and unload; faults of ours, which must not affect anything else.
local prosody = require "spec.support.prosody";
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local faulty = require "spec.support.faulty";

local PUSH = "push.example.test";

local function start(opts)
	opts = opts or {};
	opts.version, opts.module = os.getenv("PROSODY"), "ours";
	return prosody.start(opts);
end

describe("unloading", function ()
	it("leaves no hook, no timer and no session field", function ()
		-- The administrator's module stays.
		local server = start { disable = { "cloud_notify" }, enable = { "push_admin" } };
		local app = appserver.connect(server, PUSH);
		app.answer = "none";
		-- Handlers of all events, and timers that run.
		server:eval([[
			prosody.timers = {};
			local timer = require "util.timer";
			local add_task, stop = timer.add_task, timer.stop;
			timer.add_task = function (delay, callback, param)
				local id;
				id = add_task(delay, function (...)
					local again = callback(...);
					if not again then prosody.timers[id] = nil; end
					return again;
				end, param);
				if param and param.module_env and param.module_env.name == "cloud_notify" then prosody.timers[id] = true; end
				return id;
			end
			timer.stop = function (id) prosody.timers[id] = nil; return stop(id); end
		]]);
		local function left()
			return server:eval([[
				local found = {};
				for place, events in pairs({ global = prosody.events, host = prosody.hosts[module.host].events }) do
					for name, handlers in pairs(events._event_map) do
						for _ in pairs(handlers) do found[place.." "..name] = (found[place.." "..name] or 0) + 1; end
					end
				end
				for _ in pairs(prosody.timers) do found.timers = (found.timers or 0) + 1; end
				for resource, session in pairs(prosody.hosts[module.host].sessions.romeo.sessions) do
					for field in pairs(session) do
						if tostring(field):find("push") then found[resource.." "..field] = 1; end
					end
				end
				return found;
			]]);
		end
		local phone = client.connect(server, "romeo", { resource = "phone" });
		local before = left();
		server:load();
		phone:enable_push({ jid = PUSH, node = "n" });
		server:ping("romeo");
		app:expect(1);
		local during = left();
		assert.equal(1, during.timers);
		assert.equal(1, during["phone push_identifier"]);
		assert.is_true(during["host message/offline/handle"] > before["host message/offline/handle"]);
		server:unload();
		assert.same(before, left());
		server:stop();
	end);
end);

describe("reloading", function ()
	it("keeps registrations and the sessions that hold them, and pushes go on", function ()
		local server = start();
		local app = appserver.connect(server, PUSH);
		local phone = client.connect(server, "romeo", { resource = "phone" });
		phone:enable_push({ jid = PUSH, node = "phone" });
		local tablet = client.connect(server, "romeo", { resource = "tablet" });
		tablet:enable_push({ jid = PUSH, node = "tablet" });
		tablet:close();
		local juliet = client.connect(server, "juliet");
		for i = 1, 5 do
			server:reload();
			juliet:message { to = "romeo@example.test", body = "Romeo?" };
			assert.equal(i, app:settled());
			assert.equal("tablet", appserver.read(app.pushes[i]).node);
		end
		assert.same({ "push.example.test<phone", PUSH }, { server:eval([[
			local session = prosody.hosts[module.host].sessions.romeo.sessions.phone;
			return session.push_identifier, session.push_settings.jid;
		]]) });
		server:stop();
	end);
end);

describe("an unloaded engine", function ()
	it("is freed", function ()
		local server = start();
		local app = appserver.connect(server, PUSH);
		client.connect(server, "romeo"):enable_push({ jid = PUSH, node = "n" });
		server:eval([[
			local library = require "prosody_push";
			local new = library.new;
			prosody.engines = setmetatable({}, { __mode = "k" });
			library.new = function (...)
				local engine = new(...);
				prosody.engines[engine] = true;
				return engine;
			end
		]]);
		for _ = 1, 20 do
			server:reload();
			server:ping("romeo");
		end
		app:expect(20);
		app:settled();
		local alive = server:eval([[
			collectgarbage(); collectgarbage();
			local n = 0;
			for _ in pairs(prosody.engines) do n = n + 1; end
			return n;
		]]);
		assert.equal(1, alive);
		server:stop();
	end);
end);

describe("the library", function ()
	it("of another version is refused with an error that says what to do", function ()
		local server = start { disable = { "cloud_notify" } };
		server:eval("require 'prosody_push'.version = '0.0.1'");
		assert.has_error(function () server:load(); end);
		assert.matches("prosody_push.so is version 0.0.1, this module is version [%d.]+. Install both from the same source with "
			.."'make install', then restart Prosody", server:log());
		server:stop();
	end);

	it("that is missing is named in the error, with what to do", function ()
		local server = start { disable = { "cloud_notify" } };
		server:eval("package.cpath = '/nowhere/?.so'");
		assert.has_error(function () server:load(); end);
		assert.matches("prosody_push.so cannot be loaded. Install it with 'make install'", server:log());
		server:stop();
	end);

	it("is found where luarocks puts it", function ()
		local server = start { disable = { "cloud_notify" } };
		local dir = server.dir.."/custom_plugins/lib/lua/5.4";
		local library = require "spec.support.paths".library:gsub("%?", "prosody_push");
		assert(os.execute(("mkdir -p %s && cp %s %s/prosody_push.so"):format(dir, library, dir)));
		server:eval("package.cpath = '/nowhere/?.so'");
		server:load();
		server:stop();
	end);
end);

describe("a fault in the library", function ()
	local server, app, juliet;
	setup(function ()
		server = start();
		app = appserver.connect(server, PUSH);
		juliet = client.connect(server, "juliet");
		local phone = client.connect(server, "romeo");
		phone:enable_push({ jid = PUSH, node = "n" });
		phone:close();
	end);
	teardown(function () server:stop(); end);

	it("loses no message, and the next push works", function ()
		faulty.library(server, "^on_");
		juliet:message { to = "romeo@example.test", body = "Romeo?" };
		app:send(require "util.stanza".message({ from = PUSH, to = "mercutio@example.test", type = "groupchat" }, "All!"));
		assert.equal(0, app:settled());
		assert.matches("error\tA fault in a push for an offline message; nothing else is touched by it", server:log());
		faulty.library(server);
		local romeo = client.connect(server, "romeo", { resource = "later" });
		romeo:expect(function (stanza) return stanza:get_child_text("body") == "Romeo?"; end, "the stored message");
		romeo:close();
		juliet:message { to = "romeo@example.test", body = "Again" };
		assert.equal(1, app:settled());
	end);

	it("makes the client get an error, and does not stop answers to pushes", function ()
		faulty.library(server, "^admit$");
		local romeo = client.connect(server, "romeo");
		local reply = romeo:enable_push({ jid = PUSH, node = "m" });
		assert.equal("internal-server-error", (select(2, reply:get_error())));
		faulty.library(server, "^on_answer");
		juliet:message { to = "mercutio@example.test", body = "Mercutio?" };
		app:settled();
		faulty.library(server);
		romeo:close();
	end);
end);
