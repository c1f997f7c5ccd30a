-- Owed pushes and failures survive a restart in a store of their own, beside the store of the registrations. Changes are collected
-- for a second and written together.

local time = require "util.time";

local protocol = module:require "prosody_push_protocol";

local now, monotonic = time.now, time.monotonic;

local store = module:open_store(protocol.durable_store);

-- engine; users_of(store): iterates over the users with a table in the store; load(user): gives the engine a user's registrations
return function (engine, users_of, load)
	local trouble;

	local function write_all(users)
		for user, records in pairs(users) do
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

	-- Writes the last changes before the server stops: pushes without an answer in time are owed, too.
	local function write_last()
		write_all(engine:last_unwritten(now(), monotonic()));
	end

	-- Gives the engine the records that an earlier run wrote.
	local function recall()
		local users = {};
		for user in users_of(store) do users[#users + 1] = user; end
		for _, user in ipairs(users) do
			local records, err = store:get(user);
			if not records then
				module:log("error", "What the devices of %s are owed cannot be read: %s", user, err or "it is gone");
			elseif load(user) then
				engine:recall(now(), monotonic(), user, records);
			end
		end
	end

	return { write = write, write_last = write_last, recall = recall };
end
