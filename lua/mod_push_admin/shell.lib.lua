-- Commands for Prosody's shell: `prosodyctl shell push …`, or push:… in the shell itself.

local jid_node = require "util.jid".node;
local jid_prep = require "util.jid".prep;
local jid_prepped_split = require "util.jid".prepped_split;
local now = require "util.time".now;
local promise = require "util.promise";

local check = module:require "prosody_push_check";
local protocols = module:require "prosody_push_hosts";
local slices = module:require "prosody_push_slices";

local NONE = "No client of this user has asked to be woken: there are no registrations";

-- Returns the user's name and host, or nil and an error.
local function user_of(jid)
	if type(jid) ~= "string" then return nil, "Give the user's address: user@host"; end
	local user, host = jid_prepped_split(jid);
	if not user then return nil, jid.." is not a user's address"; end
	if not prosody.hosts[host] then return nil, "There is no host "..host; end
	if not protocols.of_host(host)[1] then return nil, "Neither cloud_notify nor push2 is loaded on "..host; end
	return user, host;
end

-- Returns the devices of a user, or the one with this number in the list or this identifier; nil and an error. The second value is the
-- user's name.
local function devices_of(jid, which)
	local user, host = user_of(jid);
	if not user then return nil, host; end
	local list, err = protocols.devices(host, user);
	if not list or not which then return list, err or user; end
	for _, device in ipairs(list) do
		if device.identifier == which then return { device }, user; end
	end
	local device = list[tonumber(which)];
	if not device then return nil, "There is no such device: see push:list(\""..jid.."\")"; end
	return { device }, user;
end

-- Others choose names, addresses and errors. Without control characters they cannot imitate lines of ours.
local function clean(text)
	return (text:gsub("%c", "?"):gsub("\194[\128-\159]", "?"));
end

local function printer(self)
	return function (line) self.session.print(clean(line)); end
end

local function count(n, what)
	return ("%d %s%s"):format(n, what, n == 1 and "" or "s");
end

-- Prints the devices of a user, or those at one app server. Returns their number, or nil and an error.
local function show(print, host, user, app_server)
	local list, err = protocols.devices(host, user);
	if not list then return nil, err; end
	local n = 0;
	for i, device in ipairs(list) do
		if not app_server or device.service == app_server then
			n = n + 1;
			if n == 1 then print(user.."@"..host); end
			print(("  %d  %s"):format(i, device.identifier));
			print("     "..protocols.describe(device, now()));
		end
	end
	return n;
end

-- Returns the users of a host who have registrations, sorted by name.
local function users_of(host, pause)
	local seen, users = {}, {};
	for _, protocol in ipairs(protocols.of_host(host)) do
		for user in protocol.users() do
			if not seen[user] then
				seen[user] = true;
				users[#users + 1] = user;
			end
			pause();
		end
	end
	return slices.sorted(users, pause);
end

local commands = {};

-- Works in slices, because there may be many users.
local function list_all(print, app_server)
	local pause, total = slices.new(), 0;
	for _, host in ipairs(protocols.hosts()) do
		for _, user in ipairs(users_of(host, pause)) do
			local n, err = show(print, host, user, app_server);
			if not n then return nil, err; end
			total = total + n;
			pause();
		end
	end
	return total;
end

-- The argument is a user, or an app server, or nothing for all devices.
function commands.list(self, jid)
	local print, n, err = printer(self), nil, nil;
	local user, host = user_of(jid);
	if user then
		n, err = show(print, host, user);
	elseif jid == nil then
		n, err = list_all(print);
	else
		local app_server = type(jid) == "string" and jid_prep(jid);
		if app_server then n, err = list_all(print, app_server); end
		-- No device is registered there, so the argument was probably meant to be a user.
		if not app_server or n == 0 and jid_node(app_server) then n, err = nil, host; end
	end
	if not n then return nil, err; end
	return true, count(n, "device");
end

function commands.explain(self, jid)
	local user, host = user_of(jid);
	if not user then return nil, host; end
	local all = {};
	for _, protocol in ipairs(protocols.of_host(host)) do
		for _, decision in ipairs(protocol.decisions(user)) do
			all[#all + 1] = decision;
			decision.place = #all;
		end
	end
	if not all[1] then
		local list, err = protocols.devices(host, user);
		if not list then return nil, err; end
		if not list[1] then return true, NONE; end
		return true, "Nothing has happened for this user since the module was loaded, or so much for others that it is forgotten, or "
			.."push_explain is off";
	end
	table.sort(all, function (a, b)
		if a.at ~= b.at then return a.at > b.at; end
		return a.place < b.place;
	end);
	local print = printer(self);
	for _, decision in ipairs(all) do
		print(("%s  %s"):format(os.date("%Y-%m-%d %H:%M:%S", math.floor(decision.at)), decision.device));
		print("    "..decision.text);
	end
	return true, count(#all, "decision")..", the newest first";
end

function commands.test(self, jid, which)
	local list, user = devices_of(jid, which);
	if not list then return nil, user; end
	if not list[1] then return true, NONE; end
	local print, waits = printer(self), {};
	for i, device in ipairs(list) do
		waits[i] = device.protocol.test(user, device.identifier):next(function (result)
			print(("%s: %s"):format(device.identifier, result.text));
		end);
	end
	return promise.all(waits):next(function () return count(#list, "device").." tested"; end);
end

function commands.remove(_, jid, which)
	local list, user = devices_of(jid, which or "");
	if not list then return nil, user; end
	local device = list[1];
	local removed, err = device.protocol.remove(user, device.identifier, "by the administrator");
	if removed == nil then return nil, err; end
	return true, "Removed "..clean(device.identifier);
end

-- Describes the trouble with an app server.
local function app_server(server)
	local state = server.away_since and "away since "..os.date("%Y-%m-%d %H:%M:%S", math.floor(server.away_since))
		or count(server.failures, "failure").." in a row";
	return ("%s: %s, last error %s, %d owed"):format(server.jid, state, server.last_error or "none", server.owed);
end

function commands.stats(self)
	local print = printer(self);
	for _, host in ipairs(protocols.hosts()) do
		for _, protocol in ipairs(protocols.of_host(host)) do
			print(("%s, %s"):format(host, protocol.title));
			for _, row in ipairs(protocol.counts()) do
				if row.count > 0 then print(("  %-40s %d"):format(row.label and row.name.." "..row.label or row.name, row.count)); end
			end
			local in_flight, devices, users = protocol.sizes();
			print(("  %-40s %d"):format("in flight", in_flight));
			print(("  %-40s %d of %d users"):format("registrations in memory", devices, users));
			for _, server in ipairs(protocol.app_servers()) do print("  app server "..app_server(server)); end
		end
	end
	return true, "since the modules were loaded";
end

-- Fails if anything is found, because scripts use the exit status.
function commands.check(self)
	local print, found, asked, waits = printer(self), 0, 0, {};
	local function say(host, sentence, ...)
		found = found + 1;
		print(host..": "..sentence:format(...));
	end
	for _, host in ipairs(protocols.hosts()) do
		check.settings(module:context(host), function (...) say(host, ...); end, true);
		waits[#waits + 1] = check.app_servers(host):next(function (servers)
			for _, server in ipairs(servers) do
				if server.unasked then print(("%s: %d more app servers were not asked"):format(host, server.unasked)); end
				if server.jid then asked = asked + 1; end
				if server.trouble then say(host, "%s", server.trouble); end
			end
		end);
	end
	return promise.all(waits):next(function ()
		if found > 0 then return promise.reject(found == 1 and "One thing to look after" or found.." things to look after"); end
		return "Nothing keeps phones from ringing; "..count(asked, "app server").." answered";
	end);
end

local DESCRIPTIONS = {
	{ "list", "Devices that a user's clients have registered, or all, or those at an app server", { "jid" } };
	{ "explain", "Why a user's devices were woken, or not: the last decisions", { "jid" } };
	{ "test", "Wake a user's devices, or one, and say what the app servers answer", { "jid", "device" } };
	{ "remove", "End the registration of a device, by its number in the list or its name", { "jid", "device" } };
	{ "check", "What keeps phones from ringing: the configuration, and app servers that cannot be reached", {} };
	{ "stats", "How many pushes were sent, not sent, and what became of them", {} };
};

for _, description in ipairs(DESCRIPTIONS) do
	local name, desc, names = description[1], description[2], description[3];
	local args = {};
	for i, arg in ipairs(names) do args[i] = { name = arg, type = "string" }; end
	module:add_item("shell-command", {
		section = "push"; section_desc = "Push notifications: devices, and why they were woken or not";
		name = name; desc = desc; args = args; handler = commands[name];
	});
end

-- COMPAT 0.12 has no such items; we add the commands to the shell's environment.
if not pcall(require, "prosody.util.stanza") then
	local env = module:shared("/*/admin_shell/env");
	env.push = commands;
	function module.unload()
		env.push = nil;
	end
end
