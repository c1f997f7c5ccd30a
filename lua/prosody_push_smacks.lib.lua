-- Stream management (XEP-0198): wakes a client that does not answer for the stanzas in its session's queue, through the registration
-- that the session holds.

local filters = require "util.filters";
local st = require "util.stanza";
local time = require "util.time";

local now, monotonic = time.now, time.monotonic;

local unpack = table.unpack;

local protocol = module:require "prosody_push_protocol";
local identifier_field, record_field = protocol.identifier, protocol.record;
local unfetched = module:require "prosody_push_bosh".unfetched;

-- The option and the default of mod_smacks.
local queue_size = module:get_option_number("smacks_max_queue_size", 500);

-- engine; facts_about, sessions, registrations, watchdog: the tables that the libraries of these names return; push, background: the
-- functions of prosody_push.lib.lua
return function (engine, facts_about, sessions, registrations, watchdog, push, background)
	local facts, dedup_key_of, is_late = facts_about.of, facts_about.dedup_key, sessions.is_late;

	-- session -> stanzas that wait for others, and the timer that ends the wait. Each stanza takes seven values: the stanza and its facts,
	-- false for an absent fact. A table for each stanza would double the time for a long queue (`make bench`).
	local waiting = setmetatable({}, { __mode = "k" });

	local function stop_waiting(session)
		local batch = waiting[session];
		if batch then batch.timer:stop(); end
		waiting[session] = nil;
		return batch;
	end

	-- Pushes a stanza in the queue of a session to the registration that the session holds. `done` has the kinds that have been
	-- pushed, of the stanzas that waited together. `given` has the record, `held` the state of the user's other sessions. Returns the
	-- new `done`.
	local function push_queued(session, given, held, done, stanza, word, from, text, key, call, extracts)
		local identifier = session[identifier_field];
		if not identifier then return done; end
		local is_kept_back, done_then, ends_long_hibernation = push(engine.on_queued, session.username, stanza, given,
			word, from, text, key or dedup_key_of(stanza), call, extracts, identifier, done, held);
		if is_kept_back then return done; end
		if ends_long_hibernation then
			if session.hibernating and not session.first_hibernated_push then session.first_hibernated_push = os.time(); end
			watchdog.restore(session);
		end
		return done_then or done;
	end

	local function record_of(session)
		return session[identifier_field] and { [session[identifier_field]] = session[record_field] };
	end

	local function held_besides(session)
		return sessions.held(session.username, session);
	end

	local function push_batch(session, batch)
		local given, held, done = record_of(session), held_besides(session), 0;
		for i = 1, #batch, 7 do
			local stanza, word, from, text, key, call, extracts = unpack(batch, i, i + 6);
			done = push_queued(session, given, held, done, stanza, word, from or nil, text or nil, key or nil, call or nil, extracts or nil);
		end
	end

	-- Wakes the client of a session without a stanza. `cause` is a cause that on_ping knows.
	local function wake(session, cause)
		if not session[identifier_field] then return; end
		session.log("debug", "Waking %s: %s", session[identifier_field], cause);
		local given = record_of(session);
		push(engine.on_ping, session.username, nil, given, given, cause, held_besides(session));
	end

	-- session -> the number of queued stanzas at which its device is woken to fetch them
	local alarms = setmetatable({}, { __mode = "k" });
	local first_alarm = engine:queue_alarm(queue_size);

	local function watch_queue(session)
		local unacked = session.outgoing_stanza_queue and session.outgoing_stanza_queue:count_unacked() or 0;
		-- The client has acknowledged stanzas.
		if unacked < first_alarm then alarms[session] = nil; end
		if unacked < (alarms[session] or first_alarm) then return; end
		alarms[session] = engine:queue_alarm(queue_size, unacked);
		wake(session, "queue full");
	end

	-- Word of facts -> how long such a stanza waits for others. Emptied at 100 entries, because senders choose the words.
	local delays, known_delays = {}, 0;

	local function delay_of(word)
		if known_delays == 100 then delays, known_delays = {}, 0; end
		known_delays = known_delays + 1;
		delays[word] = engine:queue_delay(word);
		return delays[word];
	end

	-- A stanza waits for a client that hibernates, or whose acks are late.
	local function queued(session, stanza)
		if not session[identifier_field] then return; end
		watch_queue(session);
		local word, from, text, key, call, extracts = facts(session.username, stanza);
		local delay = delays[word] or delay_of(word);
		if delay == 0 then
			return push_queued(session, record_of(session), held_besides(session), 0, stanza, word, from, text, key, call, extracts);
		end
		local batch = waiting[session];
		if not batch then
			batch = {};
			waiting[session] = batch;
			batch.timer = module:add_timer(delay, background("a push for queued stanzas", function ()
				waiting[session] = nil;
				-- If the client has answered meanwhile, it has the stanzas.
				if session.hibernating or is_late(session) then push_batch(session, batch); end
			end));
		end
		-- No other event has passed a message that is not archived to the library, and the user may read it meanwhile.
		if not key and stanza.name == "message" then
			key = dedup_key_of(stanza);
			engine:on_collected(session.username, now(), monotonic(), false, nil, word, from, text, key, call, extracts);
		end
		local n = #batch;
		batch[n + 1], batch[n + 2], batch[n + 3] = stanza, word, from or false;
		batch[n + 4], batch[n + 5], batch[n + 6], batch[n + 7] = text or false, key or false, call or false, extracts or false;
	end

	local is_back = background("a client that answers again", function (session)
		if session[identifier_field] then engine:on_resumed(now(), monotonic(), session.username, session[identifier_field]); end
	end);

	-- session -> filters that see each stanza to and from it
	local listeners = setmetatable({}, { __mode = "k" });

	-- mod_smacks reports late acks only once. From then on a filter behind mod_smacks's own sees each new stanza, as it is in the
	-- queue, until the client answers or hibernates.
	local function listen(session)
		if listeners[session] or not session.filters then return; end
		local met = background("a push for a stanza whose ack will be late", function (newest) queued(session, newest); end);
		local function listener(stanza)
			if is_late(session) and st.is_stanza(stanza) and stanza.name:find("^%l+$")
			and (stanza.attr.xmlns or "jabber:client") == "jabber:client" then
				local all = session.outgoing_stanza_queue:table();
				if all[1] then met(all[#all]); end
			end
			return stanza;
		end
		-- The client's first stanza shows that it is back, and that no push is owed to it.
		local function hearer(stanza)
			if is_late(session) then is_back(session); end
			return stanza;
		end
		listeners[session] = { out = listener, heard = hearer };
		filters.add_filter(session, "stanzas/out", listener, -1000);
		filters.add_filter(session, "stanzas/in", hearer, 1000);
	end

	local function acks_late(session, queue, stanza)
		if not session[identifier_field] then return; end
		listen(session);
		-- `stanza` is the stanza whose ack is late, if mod_smacks passes it.
		for _, unacked in ipairs(stanza and { stanza } or queue) do
			queued(session, unacked);
		end
	end

	-- Pushes the stanzas of a queue. If the session `ends`, only archived ones: mod_smacks hands the others back.
	local function push_queue(session, queue, ends)
		local given, held, done = record_of(session), held_besides(session), 0;
		for _, stanza in ipairs(queue) do
			local word, from, text, key, call, extracts = facts(session.username, stanza);
			if key or not ends then done = push_queued(session, given, held, done, stanza, word, from, text, key, call, extracts); end
		end
	end

	local function hibernates(session, queue)
		-- The stanzas that waited are in the queue, too.
		stop_waiting(session);
		if session[identifier_field] then registrations.sleeps(session); end
		if not session[identifier_field] then return; end
		session.first_hibernated_push = nil;
		watchdog.extend(session);
		push_queue(session, queue);
		watch_queue(session);
	end

	local function resumed(session)
		session.first_hibernated_push, alarms[session], listeners[session] = nil, nil, nil;
		watchdog.forget(session);
		stop_waiting(session);
		if session[identifier_field] then engine:on_resumed(now(), monotonic(), session.username, session[identifier_field]); end
	end

	-- The session ends, and its queue with it.
	local function goes(session)
		local batch = stop_waiting(session);
		if batch then push_batch(session, batch); end
		if not session[identifier_field] or session.hibernating then return; end
		local queue = session.smacks and session.outgoing_stanza_queue;
		push_queue(session, queue and queue:table() or unfetched(session), true);
	end

	-- A session is about to end. A session that can be resumed hibernates instead.
	local function ends(session)
		if not session.resumption_token or session.hibernating then goes(session); end
	end

	-- The server stops, and all sessions end.
	local function stops()
		for session in sessions.each() do goes(session); end
	end

	-- Pushes the waiting stanzas, which would not survive a reload.
	local function flush()
		for session in pairs(waiting) do push_batch(session, stop_waiting(session)); end
	end

	-- After a reload the session holds its registration again.
	local function restored(session)
		if is_late(session) then listen(session); end
	end

	local function stop()
		for session in pairs(waiting) do stop_waiting(session); end
		for session, listener in pairs(listeners) do
			if session.filters then
				filters.remove_filter(session, "stanzas/out", listener.out);
				filters.remove_filter(session, "stanzas/in", listener.heard);
			end
		end
	end

	return {
		queued = queued; acks_late = acks_late; hibernates = hibernates; resumed = resumed; ends = ends; stops = stops; wake = wake;
		flush = flush; restored = restored; stop = stop;
	};
end
