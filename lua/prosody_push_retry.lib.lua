-- Stores that cannot be read for a while: a database may be away, or start later than this server. The work that needs them is tried
-- again every minute. Users who meanwhile miss a push are woken when their registrations can be read.

local cache = require "util.cache";

local slices = module:require "prosody_push_slices";

local traceback, xpcall = debug.traceback, xpcall;

-- Seconds between two tries.
local PAUSE = 60;
-- Users who are remembered. Beyond them the one who has waited longest is forgotten.
local USERS = 1000;

-- waitable: the function of prosody_push_store.lib.lua; wake(user, important): wakes the devices of a user who has missed a push, or
-- calls miss() again
return function (waitable, wake)
	-- Calls work() now, and again every minute until it returns true.
	local function until_done(what, work)
		local function try()
			local ok, done = xpcall(work, traceback);
			if not ok then module:log("error", "A fault in %s, which is tried again in a minute: %s", what, done); end
			if not ok or not done then module:add_timer(PAUSE, waitable(try)); end
		end
		waitable(try)();
	end

	-- The users who have missed a push, each with whether it was important.
	local missed = cache.new(USERS);
	local waits = false;

	local function wake_missed()
		local pause = slices.new();
		for _ = 1, missed:count() do
			local user, important = missed:tail();
			if not user then break; end
			missed:set(user, nil);
			wake(user, important);
			-- The next try begins with another user: the store may fail for this one only.
			if missed:get(user) ~= nil then return false; end
			pause();
		end
		waits = missed:count() > 0;
		return not waits;
	end

	-- Notes that a user misses a push, because the user's registrations cannot be read.
	local function miss(user, important)
		missed:set(user, missed:get(user) or important);
		if waits then return; end
		waits = true;
		module:add_timer(PAUSE, function () until_done("waking users who have missed a push", wake_missed); end);
	end

	local function forget(user)
		missed:set(user, nil);
	end

	-- Returns the state that survives a reload.
	local function save()
		local users = {};
		for user, important in missed:items() do users[user] = important; end
		return users;
	end

	local function restore(users)
		for user, important in pairs(users) do miss(user, important); end
	end

	return { until_done = until_done; miss = miss; forget = forget; save = save; restore = restore };
end
