-- The store has a table of registrations for each user. A store may let other code run while it waits for a database, so a lock for
-- each user keeps two changes apart.

local async = require "util.async";

local traceback, xpcall = debug.traceback, xpcall;

local store = module:open_store(module:require "prosody_push_protocol".store);
local guard = async.guarder();

-- The last read error, so that it is logged once and not for each message.
local trouble;

-- Returns the user's table in a store, or an empty one; nil and an error if the store cannot be read.
local function read_from(any_store, user)
	local ok, records, err = pcall(any_store.get, any_store, user);
	if not ok then return nil, tostring(records); end
	if records or not err then return records or {}; end
	return nil, err;
end

-- Returns the user's registrations; nil and an error if they cannot be read.
local function read(user)
	local records, err = read_from(store, user);
	if err and err ~= trouble then
		module:log("error", "Push registrations cannot be read, first those of %s: %s. Their users are woken when they can be read.",
			user, err);
	end
	trouble = err;
	return records, err;
end

local function write(user, records)
	local ok, err = store:set(user, next(records) and records or nil);
	if not ok then
		module:log("error", "The push registrations of %s cannot be written and stay as they were: %s", user, err);
		return nil, err;
	end
	return true;
end

-- Returns the iterator, or an empty one: some stores cannot list their users.
local function iterate(iterator, state, first)
	if not iterator then return function () end; end
	-- A folder is read by a handle of its own. The tables and the database results that other stores give may change, or be used by
	-- other code, before a long loop ends.
	if type(state) == "userdata" then return iterator, state, first; end
	local users, i = {}, 0;
	for user in iterator, state, first do users[#users + 1] = user; end
	return function ()
		i = i + 1;
		return users[i];
	end
end

-- Iterates over the users with a table in a store.
local function users_of(any_store)
	return iterate(any_store:users());
end

-- Iterates over the users with registrations.
local function users()
	return users_of(store);
end

local function leave(exit, ok, ...)
	exit();
	if not ok then error((...), 0); end
	return ...;
end

-- Returns the results of action(user, …), with the user's lock held.
local function alone(action, user, ...)
	-- Outside of a coroutine no store can wait, so no other code runs meanwhile.
	if not async.ready() then return action(user, ...); end
	return leave(guard(user), xpcall(action, traceback, user, ...));
end

-- Returns a function that runs `handler` in a coroutine, where a store may wait.
local function waitable(handler)
	return function (arg)
		async.runner(handler):run(arg or true);
	end;
end

return {
	read = read;
	read_from = read_from;
	write = write;
	users = users;
	users_of = users_of;
	alone = alone;
	waitable = waitable;
};
