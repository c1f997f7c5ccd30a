-- Owed pushes, waiting pushes and failures survive a restart in a store of their own, beside the store of the registrations. Changes
-- are collected for a second and written together.

local time = require "util.time";

local protocol = module:require "prosody_push_protocol";
local slices = module:require "prosody_push_slices";

local now, monotonic = time.now, time.monotonic;

local store = module:open_store(protocol.durable_store);

-- Users whose changes are written without a pause.
local AT_ONCE = 20;

-- engine; users_of(store): iterates over the users with a table in the store; load(user): gives the engine a user's registrations
return function (engine, users_of, load)
	local trouble;

	-- While the records of an earlier run are read: the users whose records have been read.
	local recalled = {};

	-- Gives the engine the records of a user that an earlier run wrote.
	local function recall_user(user)
		recalled[user] = true;
		local records, err = store:get(user);
		if records and load(user) then
			engine:recall(now(), monotonic(), user, records);
		elseif err then
			module:log("error", "What the devices of %s are owed cannot be read: %s", user, err);
		end
	end

	local function write_all(users)
		for user, records in pairs(users) do
			if recalled and not recalled[user] then
				-- The store has more than the engine knows.
				recall_user(user);
				records = engine:durable(user);
			end
			local ok, err = store:set(user, next(records) and records or nil);
			if not ok and err ~= trouble then
				module:log("error", "What the devices of %s are owed cannot be written, and will not survive a restart: %s", user, err);
			end
			trouble = not ok and err or nil;
		end
	end

	-- Writes the changes since the last call.
	local function write()
		write_all(engine:unwritten());
	end

	-- The same in slices.
	local function write_in_slices()
		local pause = slices.new();
		repeat
			local users = engine:unwritten(AT_ONCE);
			write_all(users);
			pause();
		until not next(users);
	end

	-- Writes the last changes before the server stops: pushes without an answer in time are owed, too.
	local function write_last()
		write_all(engine:last_unwritten(now(), monotonic()));
	end

	-- Gives the engine the records that an earlier run wrote, in slices.
	local function recall()
		local pause = slices.new();
		for user in users_of(store) do
			if not recalled[user] then recall_user(user); end
			pause();
		end
		recalled = nil;
	end

	return { write = write, write_in_slices = write_in_slices, write_last = write_last, recall = recall };
end
