-- The access of mod_push_admin to a push module: a table of functions, shared under the names of host and module.

local now = require "util.time".now;
local promise = require "util.promise";

local protocol = module:require "prosody_push_protocol";
local identifier_field = protocol.identifier;

local protocols = module:shared("/*/prosody_push/protocols");
local place = module.host.."/"..module.name;

-- engine; store, sessions: the tables that the libraries of these names return; remove(user, identifier, why);
-- push_test(user, given, on_sent): calls on_sent(id), sends a ping to the given records, and returns whether the ping left.
return function (engine, store, sessions, remove, push_test)
	-- id of a push -> the test that waits for its answer: say(text), and the time of its start
	local waiting = {};

	-- Passes an answer to the test that waits for it.
	local function answered(id, kind, condition, text)
		local waits = waiting[id];
		if not waits then return; end
		local answer = kind and ("%s/%s (%s)"):format(kind, condition, text or "no text") or "taken";
		waits.say(("%s after %d ms"):format(answer, math.floor((now() - waits.start) * 1000)));
	end

	-- Wakes one device. Returns a promise of the result in words.
	local function test(user, identifier)
		local records, err = store.alone(store.read, user);
		local record = records and records[identifier];
		if not record then return promise.resolve(err or "its registration is gone"); end
		local trouble = engine:never_woken(user, records)[identifier];
		if trouble then return promise.resolve("never woken: "..trouble); end
		-- A component of this server answers at once, before the promise runs on the next turn of the server's loop.
		local id, said, resolve, silence;
		local function say(text)
			said = said or text;
			if id then waiting[id] = nil; end
			if silence then silence:stop(); end
			if resolve then resolve(said); end
		end
		local has_left = push_test(user, { [identifier] = record }, function (id_of_push)
			id = id_of_push;
			waiting[id] = { say = say; start = now() };
		end);
		if not has_left then
			local decision = engine:decisions(user)[1];
			say(decision and decision.text or "not sent: the log says why, at level debug");
		elseif not said then
			silence = module:add_timer(protocol.test_timeout, function ()
				say(protocol.silence:format(protocol.test_timeout));
			end);
		end
		return promise.new(function (resolve_it)
			resolve = resolve_it;
			if said then resolve(said); end
		end);
	end

	-- Returns the user's devices; nil and an error if they cannot be read.
	local function devices(user)
		local records, err = store.alone(store.read, user);
		if not records then return nil, err; end
		local held_by = {};
		for resource, session in pairs(sessions.of(user)) do
			local identifier = session[identifier_field];
			local state = session.hibernating and "hibernates" or sessions.is_late(session) and "does not answer" or "is connected";
			if identifier then held_by[identifier] = ("session %s %s"):format(resource, state); end
		end
		local found, never = {}, engine:never_woken(user, records);
		for identifier, record in pairs(records) do
			if type(identifier) == "string" and type(record) == "table" then
				local last, refusals, failing_since = engine:health(user, identifier);
				found[#found + 1] = {
					identifier = identifier; service = tostring(record[protocol.service]); made = tonumber(record.timestamp) or 0;
					last = last; refusals = refusals; failing_since = failing_since; session = held_by[identifier];
					never_woken = never[identifier];
				};
			end
		end
		return found;
	end

	protocols[place] = {
		title = protocol.title;
		users = store.users;
		devices = devices;
		decisions = function (user) return engine:decisions(user); end;
		test = test;
		remove = remove;
		counts = function () return engine:counts(); end;
		sizes = function () return engine:sizes(); end;
		app_servers = function () return engine:app_servers(); end;
		-- Returns the names of Tigase's extensions that are on.
		extensions = function () return protocol.has_extensions and engine:extensions() or {}; end;
		max_hibernation = engine:max_hibernation();
		wake_before = engine:wake_before();
	};

	local function close()
		protocols[place] = nil;
		-- After an unload the module's timers do not fire.
		for _, waits in pairs(waiting) do waits.say("not known: the module was unloaded meanwhile"); end
	end

	return { answered = answered, close = close };
end
