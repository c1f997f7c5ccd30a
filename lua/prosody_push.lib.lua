-- prosody-push: what all modules share. Carries facts of Prosody to the Rust library and does what it answers; it
-- knows no rule of push. The library's side is typed in prosody_push.meta.lua.

local modulemanager = require "core.modulemanager";
local cache = require "util.cache";
local logger = require "util.logger";
local now = require "util.time".now;
local st = require "util.stanza";

local traceback, unpack, xpcall = debug.traceback, table.unpack, xpcall;

local library = module:require "prosody_push_loader";
local protocol = module:require "prosody_push_protocol";
local new_facts = module:require "prosody_push_facts";
local store = module:require "prosody_push_store";
local new_watchdogs = module:require "prosody_push_watchdog";

local identifier_field, record_field = protocol.identifier, protocol.record;
local host = module.host;
local host_sessions = prosody.hosts[host].sessions;

-- The engine keeps the logger, which must not lead back to this module: nothing would ever be collected.
local engine = library.new(host, protocol.name, function (name)
	return module:get_option(name);
end, getmetatable(st.stanza("iq")), logger.init(host..":"..module.name));

-- Nothing may raise out of a hook: it would cost a user the message that the event is about. `otherwise` is tried when
-- `handler` failed.
local function guarded(what, handler, otherwise)
	return function (event)
		local ok, ret = xpcall(handler, traceback, event);
		if ok then return ret; end
		module:log("error", "A fault in %s; nothing else is touched by it: %s", what, ret);
		if not otherwise then return; end
		ok, ret = pcall(otherwise, event);
		if ok then return ret; end
	end;
end

-- For a timer, say, in which no store can wait.
local function background(what, handler)
	return store.waitable(guarded(what, handler));
end


---- Facts ----

local function sessions(user)
	local of_user = host_sessions[user];
	return of_user and of_user.sessions or {};
end

local facts_about = new_facts(engine, sessions);
local facts, name_of, with_roster = facts_about.of, facts_about.name, facts_about.with_roster;

-- The registrations that sessions of the user hold, whoever wrote that there: one, or several with "\0" between.
local function held(user)
	local of_user, identifiers = host_sessions[user], nil;
	if not of_user then return nil; end
	for _, session in next, of_user.sessions do
		local identifier = session[identifier_field];
		if identifier then identifiers = identifiers and identifiers.."\0"..identifier or identifier; end
	end
	return identifiers;
end


---- Registrations ----

-- The tables of users whose pushes other modules look at, with all that these have put there: the engine does not keep
-- that. As many as the registrations whose forms it keeps.
local whole = cache.new(1000);

local function fetch_whole(user)
	local records = store.read(user);
	whole:set(user, records);
	return records;
end

local function read_whole(user)
	return whole:get(user) or store.alone(fetch_whole, user);
end

-- Takes what the store has of a user, written just now.
local function take(user, records)
	whole:set(user, nil);
	engine:load(user, records);
end

-- Takes what the store has of a user.
local function load(user)
	local records, err = store.read(user);
	if not records then return nil, err; end
	take(user, records);
	return true;
end

local function forget(user)
	whole:set(user, nil);
	engine:forget(user);
end

-- Those of hibernating sessions; wake() is in the section on stream management.
local wake;
local watchdog = new_watchdogs(engine:max_hibernation(), engine:wake_before(), background("waking a session before its end",
	function (session) wake(session); end));

local function unbind(session)
	session[identifier_field], session[record_field], session.first_hibernated_push = nil, nil, nil;
	watchdog.restore(session);
end

local function unbind_all(user, identifier)
	for _, session in pairs(sessions(user)) do
		if session[identifier_field] == identifier then unbind(session); end
	end
end

-- Lets `change` edit the user's table of the store; it gives the identifiers that it took out, or nil if all is as it was.
-- Memory follows only when the store has it. Gives whether anything changed, or nil and an error.
local function change_table(user, change)
	local records, err = store.read(user);
	if not records then return nil, err; end
	local gone = change(records);
	if not gone then return false; end
	local ok, write_err = store.write(user, records);
	if not ok then return nil, write_err; end
	take(user, records);
	for _, identifier in ipairs(gone) do
		unbind_all(user, identifier);
		module:log("info", "Push registration removed: %s, %s", user, identifier);
	end
	return true;
end

local function update(user, change)
	return store.alone(change_table, user, change);
end

local function take_out(records, identifiers)
	for _, identifier in ipairs(identifiers) do
		records[identifier] = nil;
	end
	return identifiers;
end

-- Removes the registrations that `choose` names of those that the store has.
local function remove(user, choose)
	return update(user, function (records)
		local identifiers = choose(records);
		return identifiers[1] and take_out(records, identifiers);
	end);
end

local function remove_one(user, identifier)
	return remove(user, function (records)
		return { records[identifier] and identifier };
	end);
end

-- Stores a registration, and what it supersedes goes.
local function enable(user, identifier, record)
	local ok, err = update(user, function (records)
		records[identifier] = record;
		local superseded;
		record.timestamp, superseded = engine:admit(user, records, identifier, record.timestamp);
		return take_out(records, superseded);
	end);
	if ok then engine:enabled(now(), user, identifier); end
	return ok, err;
end

-- What <disable> means.
local function disable(user, jid, node)
	return remove(user, function (records)
		return engine:matching(user, records, jid, node);
	end);
end

-- What an app server means by taking an affiliation away.
local function revoke(user, from, node, jid, affiliation)
	return remove(user, function (records)
		return engine:revoked(user, records, from, node, jid, affiliation);
	end);
end


---- Pushes ----

-- Whether another module keeps the push back. One that fails may have been about to encrypt it or to block it.
local function is_blocked(user, iq, details, record, stanza)
	local event = {
		notification_stanza = iq;
		notification_payload = iq.tags[1].tags[1].tags[1].tags[1];
		original_stanza = stanza;
		username = user;
		push_info = record;
		push_summary = details.summary;
		important = details.important;
	};
	local ok, ret = xpcall(module.fire_event, debug.traceback, module, "cloud_notify/push", event);
	if not ok then
		module:log("error", "A handler of cloud_notify/push failed, the push to %s is not sent: %s", details.identifier, ret);
		return true;
	elseif ret then
		module:log("debug", "No push for %s to %s: %s", user, details.identifier, event.reason or "a module blocked it");
	end
	return ret;
end

local function send(iq)
	local ok, err = pcall(module.send, module, iq);
	if not ok then
		module:log("error", "Sending a push to %s failed: %s", iq.attr.to, err);
	end
end

-- The engine's timer, and when it rings.
local timer, due;

-- Answers that do not come, and pushes that were held, need the time.
local function tick()
	timer = nil;
	local gone, stanzas, delay = engine:on_timer(now());
	for _, iq in ipairs(stanzas) do send(iq); end
	for i = 1, #gone, 2 do
		remove_one(gone[i], gone[i + 1]);
	end
	return delay;
end

local function ring_in(delay)
	local at = now() + delay;
	if timer then
		if due <= at then return; end
		timer:stop();
	end
	due = at;
	timer = module:add_timer(delay, background("the wait for answers to pushes", function ()
		local next_delay = tick();
		if next_delay then ring_in(next_delay); end
	end));
end

-- Sends the stanzas that the engine wants sent: `iq`, and the others where there are more. `details` are there if other
-- modules want to see each, with its record: that in `given` or else in the store. Gives whether these kept all back.
local function perform(user, stanza, given, details, iq, others)
	local records = details and read_whole(user);
	local is_kept_back = true;
	local i = 0;
	while iq do
		i = i + 1;
		local detail = details and details[i];
		local record = detail and (given and given[detail.identifier] or records and records[detail.identifier]);
		if detail and (not record or is_blocked(user, iq, detail, record, stanza)) then
			engine:withdraw(iq.attr.id);
		else
			send(iq);
			is_kept_back = false;
		end
		iq = others and others[i];
	end
	if not timer then ring_in(library.answer_timeout); end
	return is_kept_back;
end

-- All handlers by event: util.events looks up afresh, each time, that an event has none.
local handlers = prosody.hosts[host].events._event_map;

-- Other modules see a push, or it may carry its stanza.
local carries_stanzas = protocol.carries_stanzas;
local fires_events = not carries_stanzas;

-- Whether somebody may ask if a sender is in the roster.
local asks_for_roster = false;

-- Tells the engine of an event of a user, and performs; where it has not got the registrations, loads them and tells it
-- again. The arguments are those of the longest method, the first of an event with a stanza its word of facts: to count
-- them would cost more than to pass too many. Gives whether other modules kept all back, and what else the engine said.
local function push(method, user, stanza, given, a, b, c, d, e, f, g, h)
	local is_seen = fires_events and handlers["cloud_notify/push"] ~= nil;
	if asks_for_roster and stanza and engine:asks_for_roster(user, a) then a = with_roster(user, stanza, a); end
	local carried = carries_stanzas and stanza or nil;
	local details, wait, done, alerted, iq, others = method(engine, user, now(), is_seen, carried, a, b, c, d, e, f, g, h);
	if details == false then
		if not store.alone(load, user) then return; end
		return push(method, user, stanza, given, a, b, c, d, e, f, g, h);
	end
	if wait then ring_in(wait); end
	return iq and perform(user, stanza, given, details, iq, others), done, alerted;
end

local function offline(user, stanza)
	push(engine.on_offline, user, stanza, nil, facts(user, stanza));
end

-- A message for a user who may be connected; `id` is that of the archive, if it has it.
local function addressed(user, to, stanza, id)
	local word, from, text, name, call_id, more = facts(user, stanza, id);
	push(engine.on_addressed, user, stanza, nil, word, from, text, name, call_id, more, to, held(user));
end

local function ping(user, records)
	push(engine.on_ping, user, nil, records, records);
end

-- Sends a ping to the records given, whatever was pushed a moment ago; on_sent(id) hears of it before. Gives whether it left.
local function push_test(user, given, on_sent)
	local is_seen = fires_events and handlers["cloud_notify/push"] ~= nil;
	local details, _, _, _, iq = engine:on_ping(user, now(), is_seen, nil, given, true);
	if not iq then return false; end
	on_sent(iq.attr.id);
	return not perform(user, nil, given, details, iq);
end

-- Switched on by modules of their own.
local extensions = {};

local desk = module:require "prosody_push_desk"(engine, store, sessions, remove_one, push_test, extensions);

local remove_refused = background("the end of a registration that was refused", function (gone)
	remove_one(gone[1], gone[2]);
end);

-- True if the stanza is the answer to a push.
local function answer(stanza)
	local id, from, kind, condition, text = stanza.attr.id, stanza.attr.from, nil, nil, nil;
	if stanza.attr.type == "error" then
		kind, condition, text = stanza:get_error();
		kind = kind or "cancel";
	end
	local ours, wait, user, identifier = engine:on_answer(now(), id, from, kind, condition, text);
	if wait then ring_in(wait); end
	if user then remove_refused({ user, identifier }); end
	if ours then desk.answered(id, kind, condition, text); end
	return ours;
end


---- Stream management ----

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
function wake(session)
	local identifier = session[identifier_field];
	if not identifier then return; end
	session.log("debug", "Hibernation is about to end: waking %s once more", identifier);
	ping(session.username, record_of(session));
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


-- A client that comes with a session of its own holds its registration without enabling it again.
local function binds(session)
	if not session.client_id or session[identifier_field] then return; end
	local records = store.alone(store.read, session.username);
	local identifier = records and engine:of_client(session.username, records, session.client_id);
	if identifier then
		session[identifier_field], session[record_field] = identifier, records[identifier];
	end
end


-- The user has sent something with that session.
local is_activity = setmetatable({}, { __index = function (is_activity, word)
	is_activity[word] = engine:is_activity(word);
	return is_activity[word];
end });

local function sent(session, stanza)
	if session.username and is_activity[facts(session.username, stanza)] then
		session.last_activity = os.time();
	end
end


---- Extensions ----

-- Switches an extension on or off.
local function extend(name, is_on)
	extensions[name] = is_on;
	asks_for_roster = engine:extend(name, is_on);
	facts_about.learn();
end


---- For the administrator ----

module:require "prosody_push_metrics"(engine, guarded);

-- The administrator's module is loaded by itself. Pushes do not depend on it, nor end with it.
local function load_admin()
	if modulemanager.is_loaded(host, "push_admin") then return; end
	if module:get_option_inherited_set("modules_disabled", {}):contains("push_admin") then return; end
	local ok, err = pcall(modulemanager.load, host, "push_admin");
	if not ok then module:log("error", "Push: mod_push_admin could not be loaded, its commands are not there: %s", err); end
end


---- Reload and unload ----

local function each_bound_session(action)
	for _, user in pairs(host_sessions) do
		for _, session in pairs(user.sessions) do
			if session[identifier_field] then action(session); end
		end
	end
end

local function save()
	local bound = {};
	for session in pairs(waiting) do push_batch(session, stop_waiting(session)); end
	each_bound_session(function (session)
		bound[session] = {
			session[identifier_field], session[record_field], session.first_hibernated_push, watchdog.holds(session),
		};
	end);
	for _, iq in ipairs(engine:release_all(now())) do send(iq); end
	return { engine = engine:save(), bound = bound };
end

local function restore(saved)
	if saved.engine then engine:restore(saved.engine); end
	for session, fields in pairs(saved.bound or {}) do
		session[identifier_field], session[record_field], session.first_hibernated_push = fields[1], fields[2], fields[3];
		if fields[4] and session.hibernating then watchdog.extend(session); end
	end
	ring_in(0);
end

local function unload()
	if timer then timer:stop(); end
	for session in pairs(waiting) do stop_waiting(session); end
	each_bound_session(unbind);
	desk.close();
end

return {
	engine = engine;
	version = library.version;
	guarded = guarded;
	enable = enable;
	remove = remove_one;
	forget = forget;
	disable = disable;
	revoke = revoke;
	offline = offline;
	addressed = addressed;
	ping = ping;
	answer = answer;
	queued = queued;
	acks_late = acks_late;
	hibernates = hibernates;
	resumed = resumed;
	binds = binds;
	sent = sent;
	load_admin = load_admin;
	extend = extend;
	save = save;
	restore = restore;
	unload = unload;
};
