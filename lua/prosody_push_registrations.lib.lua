-- The registrations of users: in the store, in the engine's memory, and on the sessions that hold them. All three change together
-- or not at all.

local cache = require "util.cache";
local usermanager = require "core.usermanager";
local time = require "util.time";

local now, monotonic = time.now, time.monotonic;

local protocol = module:require "prosody_push_protocol";
local identifier_field, record_field = protocol.identifier, protocol.record;

-- engine; store, sessions, watchdog: the tables that the libraries of these names return; load_bookmarks(user): gives the engine the
-- user's bookmarks
return function (engine, store, sessions, watchdog, load_bookmarks)
	-- Complete records, by user, for sessions and for modules that observe pushes. The engine does not keep all of their keys.
	local complete = cache.new(1000);

	local function fetch_complete(user)
		local records = store.read(user);
		complete:set(user, records);
		return records;
	end

	local function read_complete(user)
		return complete:get(user) or store.alone(fetch_complete, user);
	end

	-- Refusals in a row, by identifier. mod_http_admin_api reads this table.
	local push_errors = module:shared("push_errors");

	local function refused(identifier, refusals)
		push_errors[identifier] = refusals > 0 and refusals or nil;
	end

	-- COMPAT 0.12 has no disabled accounts. If the state cannot be read, the account counts as enabled.
	local function is_disabled(user)
		return usermanager.user_is_enabled ~= nil and usermanager.user_is_enabled(user, module.host) == false;
	end

	-- Gives the engine the records of a user, and the user's bookmarks if the engine asks for them.
	local function take(user, records, disabled)
		complete:set(user, nil);
		if engine:load(user, records, disabled) then load_bookmarks(user); end
	end

	local function load(user)
		local records, err = store.read(user);
		if not records then return nil, err; end
		take(user, records, is_disabled(user));
		return true;
	end

	-- Loads a user's registrations again after the account was disabled or enabled.
	local function load_again(user)
		if engine:is_disabled(user) ~= nil then store.alone(load, user); end
	end

	local function forget(user)
		complete:set(user, nil);
		engine:forget(user);
	end

	-- session -> the number of its binding: 1 for the first since the start, 2 for the next
	local bound = setmetatable({}, { __mode = "k" });
	local last = 0;

	-- Returns the number of a session's binding, after setting it to `at` if that is given.
	local function bound_at(session, at)
		if at then bound[session], last = at, math.max(last, at); end
		return bound[session] or 0;
	end

	local function unbind(session)
		session[identifier_field], session[record_field], session.first_hibernated_push = nil, nil, nil;
		bound[session] = nil;
		watchdog.restore(session);
	end

	local function unbind_all(user, identifier)
		for _, session in pairs(sessions.of(user)) do
			if session[identifier_field] == identifier then unbind(session); end
		end
	end

	-- Binds the registration to the session. Another session that holds it and does not answer loses it: the client has moved here.
	local function bind(session, identifier, record)
		for _, other in pairs(sessions.of(session.username)) do
			local is_silent = other.hibernating or sessions.is_late(other);
			if other ~= session and is_silent and other[identifier_field] == identifier then unbind(other); end
		end
		session[identifier_field], session[record_field], session.first_hibernated_push = identifier, record, nil;
		last = last + 1;
		bound[session] = last;
	end

	-- A session hibernates. It loses its registration if its client has come back with another session meanwhile.
	local function sleeps(session)
		for _, other in pairs(sessions.of(session.username)) do
			if other[identifier_field] == session[identifier_field] and bound_at(other) > bound_at(session) then
				return unbind(session);
			end
		end
	end

	-- Lets `change` edit the user's table of the store. `change` returns the identifiers that it removed, or nil for no change. Memory
	-- changes only after the store. The log gives `why` as the reason. Returns whether anything changed, or nil and an error.
	local function change_table(user, change, why)
		local records, err = store.read(user);
		if not records then return nil, err; end
		local gone = change(records);
		if not gone then return false; end
		local ok, write_err = store.write(user, records);
		if not ok then return nil, write_err; end
		local disabled = engine:is_disabled(user);
		if disabled == nil then disabled = is_disabled(user); end
		take(user, records, disabled);
		for _, identifier in ipairs(gone) do
			unbind_all(user, identifier);
			refused(identifier, 0);
			module:log("info", "Push registration removed: %s, %s (%s)", user, identifier, why);
			engine:removed(now(), monotonic(), user, identifier, why);
		end
		return true;
	end

	local function update(user, change, why)
		return store.alone(change_table, user, change, why);
	end

	local function take_out(records, identifiers)
		for _, identifier in ipairs(identifiers) do
			records[identifier] = nil;
		end
		return identifiers;
	end

	-- Removes the registrations whose identifiers `choose` returns for the table of the store.
	local function remove_chosen(user, choose, why)
		return update(user, function (records)
			local identifiers = choose(records);
			return identifiers[1] and take_out(records, identifiers);
		end, why);
	end

	local function remove(user, identifier, why)
		return remove_chosen(user, function (records)
			return { records[identifier] and identifier };
		end, why);
	end

	local function enabled(user, identifier)
		engine:enabled(now(), monotonic(), user, identifier);
		refused(identifier, 0);
	end

	local function enable_alone(user, session, request, identifier, record)
		local all;
		local ok, err = change_table(user, function (records)
			all = records;
			local stored_at = engine:stored_at(user, records, identifier, record);
			if stored_at then
				record.timestamp = stored_at;
				if engine:is_disabled(user) == nil then take(user, records, is_disabled(user)); end
				return nil;
			end
			records[identifier] = record;
			local superseded;
			record.timestamp, superseded = engine:admit(user, records, identifier, record.timestamp);
			return take_out(records, superseded);
		end, "the same device has registered anew, or the user has too many registrations");
		if ok == nil then return nil, err; end
		complete:set(user, all);
		if request then
			engine:saw(now(), monotonic(), user, identifier, request, session.client_id, session.resource, record.language, record.grant_id);
		end
		enabled(user, identifier);
		return true;
	end

	-- Stores a registration and removes those that it replaces. `request` is the <enable/> that asked for it, or nil if another
	-- module may have changed the record. Returns nil and an error if the registration is not stored.
	local function enable(session, request, identifier, record)
		return store.alone(enable_alone, session.username, session, request, identifier, record);
	end

	local function enable_again(user, session, request, language)
		local records = complete:get(user);
		local identifier = records and engine:seen(now(), monotonic(), user, request, session.client_id, session.resource, language,
			session.push_grant_id);
		local record = identifier and records[identifier];
		if not record then return nil; end
		enabled(user, identifier);
		return identifier, record;
	end

	-- Enables a registration again without the store, because most clients send the same <enable/> at each start. Returns its
	-- identifier and its record, or nil if the store is needed.
	local function again(session, request, language)
		return store.alone(enable_again, session.username, session, request, language);
	end

	-- Handles a <disable>.
	local function disable(user, jid, node)
		return remove_chosen(user, function (records)
			return engine:matching(user, records, jid, node);
		end, "its client disabled push");
	end

	-- Handles a <disable> in a protocol whose registrations belong to a client.
	local function disable_client(session)
		local user = session.username;
		return remove_chosen(user, function (records)
			return engine:disabled(records, session.client_id, session.resource);
		end, "its client disabled push");
	end

	-- Handles an app server's remote disable.
	local function revoke(user, from, node, jid, affiliation)
		return remove_chosen(user, function (records)
			return engine:revoked(user, records, from, node, jid, affiliation);
		end, "its app server wants no more pushes for it");
	end

	-- Removes the registrations of clients that used a revoked grant (mod_tokenauth).
	local function remove_granted(user, grant)
		return remove_chosen(user, function (records)
			local identifiers = {};
			for identifier, record in pairs(records) do
				if type(record) == "table" and record.grant_id == grant then table.insert(identifiers, identifier); end
			end
			return identifiers;
		end, "the access of its client was revoked");
	end

	-- Returns the identifier of the registration that a session's client holds by its user agent id or the resource, and all records.
	local function of_client(session, resource)
		local records = store.alone(store.read, session.username);
		return records and engine:of_client(session.username, records, session.client_id, resource), records;
	end

	-- Binds a client's registration to its new session, without a new <enable/>. Another module may have set the fields of the session.
	local function binds(session)
		local identifier, record = session[identifier_field], session[record_field];
		if not identifier then
			local records;
			identifier, records = of_client(session, session.resource);
			record = identifier and records[identifier];
		end
		if not identifier then return; end
		bind(session, identifier, record);
		engine:on_resumed(now(), monotonic(), session.username, identifier);
	end

	-- Whether the client of a session that is about to begin takes the place of a session, with its resource and its registration.
	local function takes_place(new, old)
		return new.username == old.username and old[identifier_field] ~= nil
			and of_client(new, old.resource) == old[identifier_field];
	end

	local function each_bound_session(action)
		for session in sessions.each() do
			if session[identifier_field] then action(session); end
		end
	end

	return {
		load = load;
		load_again = load_again;
		refused = refused;
		read_complete = read_complete;
		forget = forget;
		enable = enable;
		again = again;
		remove = remove;
		disable = disable;
		disable_client = disable_client;
		revoke = revoke;
		remove_granted = remove_granted;
		bind = bind;
		bound_at = bound_at;
		binds = binds;
		takes_place = takes_place;
		sleeps = sleeps;
		unbind = unbind;
		each_bound_session = each_bound_session;
	};
end
