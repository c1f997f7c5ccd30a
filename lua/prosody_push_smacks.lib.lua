-- Stream management (XEP-0198): a session whose client does not answer is woken through the registration that it holds, by what
-- waits in its queue.

local unpack = table.unpack;

local protocol = module:require "prosody_push_protocol";
local identifier_field, record_field = protocol.identifier, protocol.record;

-- engine; facts_about: prosody_push_facts.lib.lua's; watchdog: prosody_push_watchdog.lib.lua's; push and background:
-- prosody_push.lib.lua's
return function (engine, facts_about, watchdog, push, background)
	local facts, name_of = facts_about.of, facts_about.name;

	-- session -> stanzas that wait with it for others, and the timer that ends the wait. Each is seven values, itself and its
	-- facts, false for none: with a table for each, a long queue would take twice the time (`make bench`).
	local waiting = setmetatable({}, { __mode = "k" });

	local hibernates_past_push = engine:hibernates_past_push();

	local function stop_waiting(session)
		local batch = waiting[session];
		if batch then batch.timer:stop(); end
		waiting[session] = nil;
		return batch;
	end

	-- Pushes a stanza that waits in the queue of a session to the registration that it holds. `done` has what was pushed of
	-- those that waited together so far, and what it is after this one comes back. `given` is the record.
	local function push_queued(session, given, done, stanza, word, from, text, name, call_id, more)
		local identifier = session[identifier_field];
		if not identifier then return done; end
		local is_kept_back, done_then, alerted = push(engine.on_queued, session.username, stanza, given,
			word, from, text, name or name_of(stanza), call_id, more, identifier, done);
		if is_kept_back then return done; end
		if alerted and session.hibernating and not hibernates_past_push and not session.first_hibernated_push then
			session.first_hibernated_push = os.time();
		end
		if alerted and not hibernates_past_push then watchdog.restore(session); end
		return done_then or done;
	end

	local function record_of(session)
		return session[identifier_field] and { [session[identifier_field]] = session[record_field] };
	end

	local function push_batch(session, batch)
		local given, done = record_of(session), 0;
		for i = 1, #batch, 7 do
			local stanza, word, from, text, name, call_id, more = unpack(batch, i, i + 6);
			done = push_queued(session, given, done, stanza, word, from or nil, text or nil, name or nil, call_id or nil, more or nil);
		end
	end

	-- A session that hibernates is about to end.
	local function wake(session)
		local identifier = session[identifier_field];
		if not identifier then return; end
		session.log("debug", "Hibernation is about to end: waking %s once more", identifier);
		local given = record_of(session);
		push(engine.on_ping, session.username, nil, given, given);
	end

	-- Word of facts -> how long such a stanza waits for others.
	local delays = setmetatable({}, { __index = function (delays, word)
		delays[word] = engine:queue_delay(word);
		return delays[word];
	end });

	-- A stanza waits for a client that hibernates, or whose acks are late.
	local function queued(session, stanza)
		if not session[identifier_field] then return; end
		local word, from, text, name, call_id, more = facts(session.username, stanza);
		local delay = delays[word];
		if delay == 0 then return push_queued(session, record_of(session), 0, stanza, word, from, text, name, call_id, more); end
		local batch = waiting[session];
		if not batch then
			batch = {};
			waiting[session] = batch;
			batch.timer = module:add_timer(delay, background("a push for queued stanzas", function ()
				waiting[session] = nil;
				push_batch(session, batch);
			end));
		end
		local n = #batch;
		batch[n + 1], batch[n + 2], batch[n + 3] = stanza, word, from or false;
		batch[n + 4], batch[n + 5], batch[n + 6], batch[n + 7] = text or false, name or false, call_id or false, more or false;
	end

	-- `stanza` is the one that waits for its ack, if mod_smacks tells.
	local function acks_late(session, queue, stanza)
		for _, unacked in ipairs(stanza and { stanza } or queue) do
			queued(session, unacked);
		end
	end

	local function hibernates(session, queue)
		if not session[identifier_field] then return; end
		session.first_hibernated_push = nil;
		watchdog.extend(session);
		local given, done = record_of(session), 0;
		for _, stanza in ipairs(queue) do
			done = push_queued(session, given, done, stanza, facts(session.username, stanza));
		end
	end

	local function resumed(session)
		session.first_hibernated_push = nil;
		watchdog.forget(session);
		stop_waiting(session);
		if session[identifier_field] then engine:on_resumed(session.username, session[identifier_field]); end
	end

	-- What waits is pushed, for it would not survive a reload.
	local function flush()
		for session in pairs(waiting) do push_batch(session, stop_waiting(session)); end
	end

	local function stop()
		for session in pairs(waiting) do stop_waiting(session); end
	end

	return {
		queued = queued; acks_late = acks_late; hibernates = hibernates; resumed = resumed; wake = wake; flush = flush; stop = stop;
	};
end
