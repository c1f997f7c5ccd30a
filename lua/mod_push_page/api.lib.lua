-- The content of the page and of its JSON, about a host or a user, as plain tables.

local array = require "util.array";
local jid_prep, jid_split = require "util.jid".prep, require "util.jid".split;
local promise = require "util.promise";

local check = module:require "prosody_push_check";
local protocols = module:require "prosody_push_hosts";

local host = module.host;

-- Decisions, or endings, that are shown at once.
local MOST = 100;

local function newest_first(list)
	for i, row in ipairs(list) do row.place = i; end
	table.sort(list, function (a, b)
		if a.at ~= b.at then return a.at > b.at; end
		return a.place < b.place;
	end);
	for i, row in ipairs(list) do
		row.place = nil;
		if i > MOST then list[i] = nil; end
	end
	return list;
end

-- Returns the rows that rows_of(protocol) returns for each push module, with the protocol in each row.
local function of_all(rows_of)
	local all = array();
	for _, protocol in ipairs(protocols.of_host(host)) do
		for _, row in ipairs(rows_of(protocol)) do
			row.protocol = protocol.title;
			all:push(row);
		end
	end
	return all;
end

local api = {};

-- Returns the user's devices, the oldest first, each with its `key`; nil and an error if they cannot be read.
function api.devices(user)
	local list, err = protocols.devices(host, user);
	if not list then return nil, err; end
	local found = array();
	for _, device in ipairs(list) do
		found:push {
			key = device.key; protocol = device.protocol.title; identifier = device.identifier; app_server = device.service;
			made = device.made; last = device.last; refusals = device.refusals; failing_since = device.failing_since;
			session = device.session; never_woken = device.never_woken;
		};
	end
	return found;
end

-- Returns the last decisions for a user, or for all users, the newest first.
function api.decisions(user)
	return newest_first(of_all(function (protocol)
		if user then return protocol.decisions(user); end
		return protocol.latest_decisions();
	end));
end

-- Returns the name of a user of this host from the text that an administrator typed; nil if it names no user of this host.
function api.user_of(typed)
	local user, named_host = jid_split(jid_prep(typed:find("@", 1, true) and typed or typed.."@"..host));
	return named_host == host and user or nil;
end

-- Returns the counts of the last day, by minute, for each protocol.
function api.history()
	local all = array();
	for _, protocol in ipairs(protocols.of_host(host)) do
		local history = protocol.history();
		history.protocol, history.series, history.minutes = protocol.title, array(history.series), array(history.minutes);
		for i, minute in ipairs(history.minutes) do
			history.minutes[i] = { ago = minute.ago; counts = array { table.unpack(minute) } };
		end
		all:push(history);
	end
	return all;
end

-- Returns the app servers that were pushed to lately, those in trouble first.
function api.app_servers()
	local all = of_all(function (protocol) return protocol.app_servers(true); end);
	table.sort(all, function (a, b)
		local is_away, is_other_away = a.away_since ~= nil, b.away_since ~= nil;
		if is_away ~= is_other_away then return is_away; end
		if a.failures ~= b.failures then return a.failures > b.failures; end
		return a.jid < b.jid;
	end);
	return all;
end

-- Returns the registrations that ended, the newest first.
function api.endings()
	return newest_first(of_all(function (protocol) return protocol.endings(); end));
end

-- Returns the settings that keep phones from ringing, as sentences.
function api.settings()
	local found = array();
	if not protocols.of_host(host)[1] then
		found:push("Neither cloud_notify nor push2 of prosody-push is loaded: nothing wakes a device. Add \"cloud_notify\" to modules_enabled.");
	end
	check.settings(module, function (sentence, ...) found:push(sentence:format(...)); end, true);
	return found;
end

-- Returns a promise of everything that keeps phones from ringing, unreachable app servers included, as sentences, and of the number
-- of app servers that were asked.
function api.check()
	local found = api.settings();
	return check.app_servers(host):next(function (servers)
		local asked = 0;
		for _, server in ipairs(servers) do
			if server.jid then asked = asked + 1; end
			if server.trouble then found:push(server.trouble); end
		end
		return { found = found; asked = asked };
	end);
end

-- Returns a promise of the result of a push to a device of the user; nil and an error if there is no such device.
function api.wake(user, key)
	local device, err = protocols.device_of(host, user, key);
	if not device then return nil, err; end
	return protocols.wake(host, user, device);
end

-- Removes a device of the user. Returns a promise of the same shape.
function api.remove(user, key)
	local device, err = protocols.device_of(host, user, key);
	if not device then return nil, err; end
	local removed, remove_err = device.protocol.remove(user, device.identifier, "by the user");
	if removed == nil then return nil, remove_err; end
	return promise.resolve { fate = "removed"; text = "removed"; hint = "If its client can still sign in, it registers again." };
end

return api;
