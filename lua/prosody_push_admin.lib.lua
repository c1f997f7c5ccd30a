-- The access of mod_push_admin and mod_push_page to a push module: a table of functions, shared under the names of host and module.

local new_id = require "util.id".medium;
local promise = require "util.promise";
local st = require "util.stanza";
local time = require "util.time";

local now, monotonic = time.now, time.monotonic;

local protocol = module:require "prosody_push_protocol";
local identifier_field = protocol.identifier;

local protocols = module:shared("/*/prosody_push/protocols");
local place = module.host.."/"..module.name;

-- The number of decisions of all users that are shown.
local LATEST = 100;

-- Seconds within which an app server has to answer the request of ask().
local ASK_TIMEOUT = 10;

-- engine; hints: the library's; store, sessions: the tables that the libraries of these names return; is_made_here(origin, from): whether
-- this server made an error in the name of another; remove(user, identifier, why);
-- push_test(user, given, on_sent): calls on_sent(id), sends a ping to the given records, and returns whether the ping left.
return function (engine, hints, store, sessions, is_made_here, remove, push_test)
	-- id of a push -> the test that waits for its answer: say(fate, text), and the time of its start
	local waiting = {};

	-- Passes an answer to the test that waits for it.
	local function answered(id, made_here, kind, condition, text)
		local waits = waiting[id];
		if not waits then return; end
		local answer = kind and ("%s/%s (%s)"):format(kind, condition, text or "no text") or "taken";
		local fate = engine:fate(made_here, kind, condition, text);
		waits.say(fate, ("%s after %d ms"):format(answer, math.floor((now() - waits.start) * 1000)));
	end

	-- The result of a test: the fate of the push by name, in words, and where to look next.
	local function result(fate, text)
		return { fate = fate; text = text; hint = hints[fate] };
	end

	-- Wakes one device. Returns a promise of the result.
	local function test(user, identifier)
		local records, err = store.alone(store.read, user);
		local record = records and records[identifier];
		if not record then
			return promise.resolve(err and result("not_sent", err) or result("gone", "its registration is gone"));
		end
		local trouble = engine:never_woken(user, records)[identifier];
		if trouble then return promise.resolve(result("not_sent", "never woken: "..trouble)); end
		-- A component of this server answers at once, before the promise runs on the next turn of the server's loop.
		local id, said, resolve, silence;
		local function say(fate, text)
			said = said or result(fate, text);
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
			say("not_sent", decision and decision.text or "not sent: the log says why, at level debug");
		elseif not said then
			silence = module:add_timer(protocol.test_timeout, function ()
				say(protocol.fate_of_silence, protocol.silence:format(protocol.test_timeout));
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

	-- Asks an app server whether it is there, with a request that any server answers. Returns a promise of nil, or of the error in
	-- words if pushes do not get there now.
	local function ask(jid)
		local request = st.iq({ type = "get", to = jid, from = module.host, id = new_id() })
			:tag("query", { xmlns = "http://jabber.org/protocol/disco#info" });
		local function failure(origin, kind, condition, text)
			local made_here = is_made_here(origin or {}, jid);
			if engine:fate(made_here, kind, condition) == "failed" then return ("%s (%s)"):format(condition, text or "no text"); end
		end
		return module:send_iq(request, nil, ASK_TIMEOUT):next(function (event)
			-- An immediate answer of this server comes here, even if it is an error.
			if event.stanza.attr.type == "error" then return failure(event.origin, event.stanza:get_error()); end
		end, function (err)
			return failure(err.context and err.context.origin, err.type, err.condition, err.text);
		end);
	end

	protocols[place] = {
		name = module.name;
		title = protocol.title;
		users = store.users;
		devices = devices;
		decisions = function (user) return engine:decisions(user); end;
		test = test;
		remove = remove;
		counts = function () return engine:counts(); end;
		sizes = function () return engine:sizes(); end;
		latest_decisions = function () return engine:latest_decisions(LATEST); end;
		-- Returns the counts of the last day, by minute.
		history = function () return engine:history(now(), monotonic()); end;
		endings = function () return engine:endings(); end;
		-- Returns the app servers that fail or to which pushes are owed; with `all`, each that is known.
		app_servers = function (all) return engine:app_servers(all); end;
		ask = ask;
		-- Returns the names of Tigase's extensions that are on.
		extensions = function () return protocol.has_extensions and engine:extensions() or {}; end;
		max_hibernation = engine:max_hibernation();
		wake_before = engine:wake_before();
	};

	local function close()
		protocols[place] = nil;
		-- After an unload the module's timers do not fire.
		for _, waits in pairs(waiting) do waits.say("unknown", "not known: the module was unloaded meanwhile"); end
	end

	return { answered = answered, close = close };
end
