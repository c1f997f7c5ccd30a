-- Owed pushes, waiting pushes and failures survive a restart in a store of their own, beside the store of the registrations. Changes
-- are collected for a second and written together.

local time = require "util.time";

local protocol = module:require "prosody_push_protocol";
local slices = module:require "prosody_push_slices";

local now, monotonic = time.now, time.monotonic;

local store = module:open_store(protocol.durable_store);

-- Users whose changes are written without a pause.
local AT_ONCE = 20;

-- engine; stores, sessions: the tables that the libraries of these names return; load(user): gives the engine a user's registrations, or
-- returns nil and an error
return function (engine, stores, sessions, load)
	local trouble;

	-- While the records of an earlier run are read: the users whose records have been read.
	local recalled = {};
	-- Users with changes that are written when their records of an earlier run have been read.
	local unwritten = {};

	-- The last error of recall_user(), so that it is logged once and not for each user.
	local unreadable;

	-- Gives the engine the records of a user that an earlier run wrote. Returns whether they could be read.
	local function recall_user(user)
		local records, err = stores.read_from(store, user);
		local is_loaded = true;
		if records and next(records) then is_loaded, err = load(user); end
		if not records or not is_loaded then
			if err ~= unreadable then
				module:log("error", "What devices are owed cannot be read, first those of %s: %s. It is tried again in a minute.", user, err);
			end
			unreadable = err;
			return false;
		end
		unreadable = nil;
		-- A store that waits lets other code run, which may have recalled the user meanwhile.
		if recalled and not recalled[user] then
			recalled[user] = true;
			if next(records) then
				engine:recall(now(), monotonic(), user, records);
				-- Clients may have come back before the store.
				for identifier in pairs(sessions.answering(user)) do engine:on_resumed(now(), monotonic(), user, identifier); end
			end
		end
		return true;
	end

	local function write_user(user, records)
		local ok, err = store:set(user, next(records) and records or nil);
		if not ok and err ~= trouble then
			module:log("error", "What the devices of %s are owed cannot be written, and will not survive a restart: %s", user, err);
		end
		trouble = not ok and err or nil;
	end

	local function write_all(users)
		for user, records in pairs(users) do
			if not recalled or recalled[user] then
				write_user(user, records);
			elseif recall_user(user) then
				-- The store had more than the engine knew.
				write_user(user, engine:durable(user));
			else
				unwritten[user] = true;
			end
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

	-- Gives the engine the records that an earlier run wrote, in slices. Returns whether all could be read; otherwise it has to be
	-- called again.
	local function recall()
		local pause = slices.new();
		local is_complete = true;
		for user in stores.users_of(store) do
			is_complete = (recalled[user] or recall_user(user)) and is_complete;
			pause();
		end
		local users = unwritten;
		unwritten = {};
		for user in pairs(users) do users[user] = engine:durable(user); end
		write_all(users);
		if not is_complete or next(unwritten) then return false; end
		recalled = nil;
		return true;
	end

	return { write = write, write_in_slices = write_in_slices, write_last = write_last, recall = recall };
end
