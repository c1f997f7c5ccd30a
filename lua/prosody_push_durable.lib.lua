-- Owed pushes and failures survive the server in a store of their own, beside that of the registrations. Changes are collected for a
-- second and written together.

local time = require "util.time";

local protocol = module:require "prosody_push_protocol";

local now, monotonic = time.now, time.monotonic;

local store = module:open_store(protocol.durable_store);

-- engine; users_of(store): all who have something there; load(user): tells the engine of a user's registrations
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

	-- What has changed.
	local function write()
		write_all(engine:unwritten());
	end

	-- Before the end: what has had no answer is owed.
	local function write_last()
		write_all(engine:last_unwritten(now(), monotonic()));
	end

	-- What was written before the server, or the module, was loaded.
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
