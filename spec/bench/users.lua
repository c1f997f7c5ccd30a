-- What many users with a registration each cost: the start, the administrator's commands, and an outage of their app server.
--
--   lua5.4 spec/bench/users.lua [VERSION [STORAGE [USERS…]]]
local prosody = require "spec.support.prosody";
local net = require "spec.support.net";

local APP = "app.example.test";
-- Pushes that leave in a second once the app server is back: by default 50, with which the last of 100,000 leaves after half an hour.
local RATE = 2000;

local users = {};

local function bench(server, call, ...)
	return server:eval("return prosody.spec_bench."..call.."(...)", ...);
end

-- Has the loop watched while `action` runs. Returns the longest pause of the loop, and the longest work in one turn, in ms.
local function pause(server, action)
	bench(server, "longest_turn");
	action();
	local turn, work = bench(server, "longest_turn");
	return { turn = turn * 1000, work = work * 1000 };
end

local function app_is_away(server, is_away)
	server:eval("prosody.spec_app.is_away = ...", is_away);
end

local function owed(server)
	return server:eval([[
		local owed = 0;
		for _, of_server in ipairs(module:shared("/*/prosody_push/protocols")[module.host.."/cloud_notify"].app_servers()) do
			owed = owed + of_server.owed;
		end
		return owed;
	]]);
end

local function pass(seconds)
	local over = net.now() + seconds;
	net.wait(function () return net.now() >= over; end, "time to pass", seconds + 1);
end

local function until_owed(server, n)
	net.wait(function ()
		pass(0.2);
		return owed(server) == n;
	end, ("%d owed pushes"):format(n), 600);
	-- What is owed is written a second later.
	pass(3);
end

local function attach(server)
	bench(server, "attach");
	bench(server, "watch_turns");
end

-- Starts the server anew, with the app server away from the beginning or there. Returns the CPU seconds of its process.
local function started(server, is_away)
	server.global = { spec_app_is_away = is_away };
	server:restart();
	local spent = server:eval("return os.clock()");
	attach(server);
	return spent;
end

-- Returns what `n` users cost: seconds, and pauses as pause() has them.
function users.measure(version, storage, n)
	local server = prosody.start {
		version = version, module = "ours", log_level = "info", storage = storage, enable = { "spec_bench", "admin_shell" };
		disable = { "offline", "mam" }; components = { [APP] = "spec_app" }; options = { push_owed_per_second = RATE };
	};
	local row = { users = n };
	for first = 1, n, 1000 do bench(server, "register", first, math.min(first + 999, n)); end
	row.start = started(server, false);
	local function shell(...)
		local words = { ... };
		local start, text, ok = net.now(), nil, nil;
		local longest = pause(server, function () text, ok = server:prosodyctl({ timeout = 600 }, "shell", "push", table.unpack(words)); end);
		assert(ok, text);
		return longest, net.now() - start, text;
	end
	local text;
	row.list, row.list_seconds, text = shell("list", APP);
	assert(text:find(n.." device", 1, true), text:sub(-200));
	app_is_away(server, true);
	row.outage = pause(server, function ()
		for first = 1, n, 500 do bench(server, "tell", first, math.min(first + 499, n)); end
		until_owed(server, n);
	end);
	row.stats = shell("stats");
	row.start_owed = started(server, true);
	row.recall = pause(server, function ()
		server:reload();
		until_owed(server, n);
	end);
	attach(server);
	app_is_away(server, false);
	local before = server:eval("return os.clock()");
	row.drain = pause(server, function () until_owed(server, 0); end);
	row.drain_each = (server:eval("return os.clock()") - before) / n * 1e6;
	server:stop();
	return row;
end

-- Run as a program.
if ... ~= "spec.bench.users" then
	local version, storage = ... or "13.0", select(2, ...) or "internal";
	local sizes = { select(3, ...) };
	for _, n in ipairs(sizes[1] and sizes or { 1000, 10000, 100000 }) do
		local row = users.measure(version, storage, math.tointeger(n));
		for name, value in pairs(row) do
			print(n, name, type(value) == "table" and ("%.1f ms, work %.1f ms"):format(value.turn, value.work) or value);
		end
	end
end

return users;
