-- The push protocols of each host: the tables that the protocols' modules share through prosody_push_admin.lib.lua.

local cache = require "util.cache";
local sha256 = require "util.hashes".sha256;
local promise = require "util.promise";
local throttle = require "util.throttle";

local protocols = module:shared("/*/prosody_push/protocols");

local ORDER = { "cloud_notify", "push2" };

-- Returns the protocols of a host, in a fixed order.
local function of_host(host)
	local found = {};
	for _, name in ipairs(ORDER) do
		found[#found + 1] = protocols[host.."/"..name];
	end
	return found;
end

local function hosts()
	local found = {};
	for host in pairs(prosody.hosts) do
		if of_host(host)[1] then found[#found + 1] = host; end
	end
	table.sort(found);
	return found;
end

-- Returns all devices of a user, oldest first, each with its protocol and a key; nil and an error if they cannot be read.
local function devices(host, user)
	local found = {};
	for _, protocol in ipairs(of_host(host)) do
		local list, err = protocol.devices(user);
		if not list then return nil, err; end
		for _, device in ipairs(list) do
			device.protocol = protocol;
			-- Identifies the device among the user's devices, in letters that are safe everywhere, because clients choose
			-- identifiers.
			device.key = sha256(protocol.name.."\0"..device.identifier, true):sub(1, 16);
			found[#found + 1] = device;
		end
	end
	table.sort(found, function (a, b)
		if a.made ~= b.made then return a.made < b.made; end
		return a.identifier < b.identifier;
	end);
	return found;
end

-- "3 hours"
local function duration(seconds)
	for _, unit in ipairs({ { 86400, "day" }, { 3600, "hour" }, { 60, "minute" }, { 1, "second" } }) do
		local n = math.floor(seconds / unit[1]);
		if n > 0 then return ("%d %s%s"):format(n, unit[2], n == 1 and "" or "s"); end
	end
	return "0 seconds";
end

-- Describes a device in words: protocol, app server, age, and health.
local function describe(device, now)
	local parts = {
		("%s at %s"):format(device.protocol.title, device.service), "made "..duration(math.max(now - device.made, 0)).." ago";
		device.last and ("last push taken %s ago"):format(duration(now - device.last)) or "no push taken yet, as far as is known";
	};
	if device.refusals > 0 then parts[#parts + 1] = device.refusals..(device.refusals == 1 and " failure" or " failures in a row"); end
	if device.failing_since then parts[#parts + 1] = "failing for "..duration(now - device.failing_since); end
	parts[#parts + 1] = device.session or "no session";
	if device.never_woken then parts[#parts + 1] = "never woken: "..device.never_woken; end
	return table.concat(parts, ", ");
end

-- Returns the user's device with this key; nil and an error if there is none.
local function device_of(host, user, key)
	local list, err = devices(host, user);
	for _, device in ipairs(list or {}) do
		if device.key == key then return device; end
	end
	return nil, err or "There is no such device";
end

-- A user wakes five devices at once, then one every ten seconds: each push goes to an address of the user's choice.
local WAKES, SECONDS = 5, 50;
local wakes = module:shared("/*/prosody_push/wakes");
wakes.of = wakes.of or cache.new(1000);

-- Wakes a device for its user. Returns a promise of the result: the fate of the push by name, in words, and where to look next.
local function wake(host, user, device)
	local key = user.."@"..host;
	local limit = wakes.of:get(key) or throttle.create(WAKES, SECONDS);
	wakes.of:set(key, limit);
	if not limit:poll(1) then
		return promise.resolve {
			fate = "not_sent"; text = "not sent: too many devices were woken in the last minute";
			hint = "Wait some seconds, and try again.";
		};
	end
	return device.protocol.test(user, device.identifier);
end

return {
	of_host = of_host;
	hosts = hosts;
	devices = devices;
	device_of = device_of;
	wake = wake;
	duration = duration;
	describe = describe;
};
