-- Faults that must not affect anything else.
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local faulty = require "spec.support.faulty";
local net = require "spec.support.net";
local paths = require "spec.support.paths";
local st = require "util.stanza";

local PUSH = "push.example.test";

-- Registers a device of romeo, who is away, and connects a sender.
local function away(server)
	local app = appserver.connect(server, PUSH);
	local romeo = client.connect(server, "romeo");
	romeo:enable_push({ jid = PUSH, node = "n" });
	romeo:close();
	return app, client.connect(server, "juliet");
end

-- Adds a handler of another module, which fails until prosody.fail is false.
local function fail_in(server, event)
	server:eval([[
		prosody.fail = true;
		module:hook(..., function () if prosody.fail then error("a faulty module"); end end);
	]], event);
end

local function delivered(server, id)
	local romeo = client.connect(server, "romeo");
	local ok = pcall(romeo.expect, romeo, function (stanza) return stanza.attr.id == id; end, "the message", 2);
	romeo:close();
	return ok;
end

return {
	{
		name = "a panic in Rust while a message is handled";
		counts = "the message is stored, the next push works";
		only = "ours";
		run = function (start)
			local server = start { library = paths.debug_library };
			local app, juliet = away(server);
			faulty.library(server, "^on_", "panic");
			juliet:message { to = "romeo@example.test", body = "Romeo?", id = "m1" };
			assert(app:settled() == 0, "there was no panic");
			server:wait_log("error\tA fault in a push for an offline message; nothing else is touched by it: [^\n]*a bug in Rust");
			faulty.library(server);
			juliet:message { to = "romeo@example.test", body = "Romeo?", id = "m2" };
			assert(app:settled() == 1, "no push after it");
			assert(delivered(server, "m1"), "the message is lost");
			return "yes";
		end;
	};
	{
		name = "a module that fails in cloud_notify/registration";
		counts = "the client gets an error, its next request is accepted";
		run = function (start)
			local server = start();
			fail_in(server, "cloud_notify/registration");
			local romeo = client.connect(server, "romeo");
			local iq = st.stanza("iq", { type = "set", id = "e" }):tag("enable", { xmlns = "urn:xmpp:push:0", jid = PUSH, node = "n" }):reset();
			romeo:send(iq);
			local reply = net.wait(function ()
				return romeo.stream.closed and "closed" or romeo:received(function (stanza) return stanza.attr.id == "e"; end);
			end, "an answer");
			assert(reply ~= "closed", "the client lost its connection");
			assert(reply.attr.type == "error", "no error");
			server:eval("prosody.fail = false");
			assert(romeo:enable_push({ jid = PUSH, node = "n" }).attr.type == "result", "not registered");
			return "yes";
		end;
	};
	{
		name = "a module that fails in cloud_notify/push";
		counts = "the message is stored, the next push works";
		run = function (start)
			local server = start();
			local app, juliet = away(server);
			fail_in(server, "cloud_notify/push");
			juliet:send(st.message({ to = "romeo@example.test", type = "chat", id = "m1" }, "Romeo?"));
			pcall(juliet.sync, juliet);
			server:eval("prosody.fail = false");
			client.connect(server, "mercutio"):message { to = "romeo@example.test", body = "Romeo?", id = "m2" };
			assert(app:settled() == 1, "no push after it");
			assert(delivered(server, "m1"), "the message is lost");
			return "yes";
		end;
	};
	{
		name = "100 pushes, each with 5 MB of garbage and two full garbage collections";
		counts = "pushes";
		run = function (start)
			local server = start { log_level = "info" };
			local app, juliet = away(server);
			server:eval([[
				module:hook("cloud_notify/push", function ()
					local heap = {};
					for i = 1, 50000 do heap[i] = { i, tostring(i) }; end
					collectgarbage();
					prosody.heap = heap;
					collectgarbage();
				end);
			]]);
			for i = 1, 100 do juliet:message { to = "romeo@example.test", body = "Romeo?", id = "m"..i }; end
			local pushes = app:settled();
			assert(pushes == 100, pushes);
			for _, push in ipairs(app.pushes) do assert(appserver.read(push).node == "n", "a push is damaged"); end
			return "100";
		end;
	};
	{
		name = "random tables for stanzas, cyclic and with the wrong types, given to every handler of the module";
		counts = "errors that leave a handler, the next push works";
		size = { 1000, 10000 };
		run = function (start, size)
			local server = start { log_level = "error" };
			local app, juliet = away(server);
			local mercutio = client.connect(server, "mercutio", { resource = "phone", smacks = true });
			mercutio:enable_push({ jid = PUSH, node = "m" });
			server:eval([[
				prosody.odd = dofile((...));
				prosody.odd.stanza_metatable = getmetatable(require "util.stanza".stanza("x"));
				math.randomseed(select(2, ...));
			]], paths.root.."/spec/support/odd.lua", os.time());
			local code = [[
				local events = prosody.hosts[module.host].events;
				local session = prosody.hosts[module.host].sessions.mercutio.sessions.phone;
				local handlers = require "core.modulemanager".get_module(module.host, "cloud_notify").module.event_handlers.data[events];
				local raised, example = 0, nil;
				for _ = 1, 100 do
					for name, list in pairs(handlers) do
						local stanza = prosody.odd.stanza();
						for handler in pairs(list) do
							local ok, err = pcall(handler, {
								origin = name:find("smacks") and session or prosody.hosts[module.host]; session = session; resumed = session;
								stanza = stanza; queue = { stanza }; username = "romeo"; user = "romeo"; for_user = "romeo"; id = "a"; reply = stanza;
							});
							if not ok then raised, example = raised + 1, tostring(err); end
						end
					end
				end
				return raised, example;
			]];
			local raised, example = 0, nil;
			for _ = 1, size // 100 do
				local more, err = server:eval(code);
				raised, example = raised + more, err or example;
			end
			assert(raised == 0, ("%d, one of them %s"):format(raised, example));
			local before = app:settled();
			juliet:message { to = "romeo@example.test", body = "Romeo?", id = "m" };
			assert(app:settled() == before + 1, "no push after it");
			return ("0 of %d tables, yes"):format(size);
		end;
	};
	{
		name = "two hosts of one server, with the same user, node and app server";
		counts = "effects of one host on the other";
		run = function (start)
			local server = start { hosts = { "other.test" }, options = { push_max_errors = 3 } };
			local app = appserver.connect(server, PUSH);
			for _, host in ipairs({ "example.test", "other.test" }) do
				local romeo = client.connect(server, "romeo", { host = host });
				romeo:enable_push({ jid = PUSH, node = "n" });
				romeo:close();
			end
			app.answer = function (iq)
				app:send(iq.attr.from == "other.test" and st.error_reply(iq, "cancel", "item-not-found") or st.reply(iq));
			end;
			local function ping(host)
				server:eval("module:context(...):fire_event('cloud-notify-ping', { user = 'romeo' })", host);
				app:settled();
			end
			local function left(host)
				return server:eval("return module:context(...):open_store('cloud_notify'):get('romeo') ~= nil", host);
			end
			for _ = 1, 3 do
				ping("other.test");
				ping("example.test");
			end
			assert(left("example.test"), "failures there end the registration here");
			assert(not left("other.test"), "a success here saves the registration there");
			server:eval("require 'core.modulemanager'.unload('other.test', 'cloud_notify')");
			local before = #app.pushes;
			ping("example.test");
			assert(#app.pushes == before + 1, "unloaded there, gone here");
			return "nothing";
		end;
	};
	{
		name = "reloads under traffic";
		counts = "pushes lost or doubled, growth of memory after the first tenth, timeout of a session that hibernates";
		size = { 100, 100 };
		run = function (start, size)
			local server = start { log_level = "info", options = { smacks_hibernation_time = 1000, push_max_hibernation_timeout = 5000 } };
			local app, juliet = away(server);
			local mercutio = client.connect(server, "mercutio", { resource = "phone", smacks = true });
			mercutio:enable_push({ jid = PUSH, node = "sleeper" });
			mercutio:acked();
			mercutio:sleep();
			local function timeout() return mercutio:session(".hibernating_watchdog.timeout"); end
			assert(timeout() == 5000, "the timeout was not extended");
			local base;
			for i = 1, size do
				for j = 1, 10 do juliet:send(st.message({ to = "romeo@example.test", type = "chat", id = i.."-"..j }, "Romeo?")); end
				server:reload();
				if i == size // 10 then base = server:memory(); end
				assert(timeout() == 5000, ("timeout %s after %d reloads"):format(timeout(), i));
			end
			juliet:sync();
			local pushes = app:settled();
			assert(pushes == 10 * size, ("%d pushes for %d messages"):format(pushes, 10 * size));
			server:eval("collectgarbage() collectgarbage()");
			local growth = (server:memory() - base) / 1e6;
			assert(growth < 2, ("memory grew by %.1f MB"):format(growth));
			server:unload();
			assert(timeout() == 1000, ("timeout %s after the end"):format(timeout()));
			return ("0 of %d, %.1f MB, right"):format(pushes, growth);
		end;
	};
};
