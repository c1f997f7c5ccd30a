-- The part of prosody-push that all its modules share. It passes facts from Prosody to the Rust library, and performs the library's
-- decisions. It has no rules of push. prosody_push.meta.lua describes the library's methods.

local modulemanager = require "core.modulemanager";
local jid_host = require "util.jid".host;
local jid_join = require "util.jid".join;
local jid_prep = require "util.jid".prep;
local logger = require "util.logger";
local st = require "util.stanza";
local time = require "util.time";

local now, monotonic = time.now, time.monotonic;
local traceback, xpcall = debug.traceback, xpcall;

if module:get_host_type() ~= "local" then
	error(("mod_%s needs a host with user accounts, and %s has none: take it out of this host's modules_enabled.")
		:format(module.name, module.host), 0);
end

local library = module:require "prosody_push_loader";
local protocol = module:require "prosody_push_protocol";
local sessions = module:require "prosody_push_sessions";
local rooms = module:require "prosody_push_rooms";
local new_facts = module:require "prosody_push_facts";
local store = module:require "prosody_push_store";
local slices = module:require "prosody_push_slices";
local new_watchdogs = module:require "prosody_push_watchdog";

local identifier_field, record_field = protocol.identifier, protocol.record;
local host = module.host;

-- The engine keeps the logger. The logger must not refer to this module, or neither would ever be collected.
local engine = library.new(host, protocol.name, function (name)
	return module:get_option(name);
end, getmetatable(st.stanza("iq")), jid_prep, logger.init(host..":"..module.name), module:require "prosody_push_observers");

-- No hook may raise an error: the user would lose the message that the event is about. `otherwise` runs if `handler` failed.
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

-- Wraps a handler for a timer or another place where a store could not wait.
local function background(what, handler)
	return store.waitable(guarded(what, handler));
end


local xmlns_stanzas = "urn:ietf:params:xml:ns:xmpp-stanzas";

-- Returns the error for a failed request: the library's, or one that lets the client try again later.
local function failure(err)
	return err or st.stanza("error", { type = "wait" }):tag("internal-server-error", { xmlns = xmlns_stanzas }):reset();
end

-- Returns the reply to a failed request.
local function refusal(stanza, err)
	local reply = st.reply(stanza);
	reply.attr.type = "error";
	return reply:add_child(failure(err));
end


---- Facts ----

local facts_about = new_facts(engine, sessions.of, rooms, sessions.is_late);
local facts, with_roster = facts_about.of, facts_about.with_roster;
local held = sessions.held;


---- The user's PEP ----

-- Set below.
local read;

local pep = module:require "prosody_push_pep"(engine, facts_about, guarded, function (...) return read(...); end);


---- Registrations ----

-- Wakes the device of a session before it ends; smacks is set below.
local smacks;
local watchdog = new_watchdogs(engine:max_hibernation(), engine:wake_before(), background("waking a session before its end",
	function (session) smacks.wake(session, "hibernation ends"); end));

local registrations = module:require "prosody_push_registrations"(engine, store, sessions, watchdog, pep.load_bookmarks);
local load, read_complete = registrations.load, registrations.read_complete;

-- Set below.
local wake_missed;

local retry = module:require "prosody_push_retry"(store.waitable, function (...) wake_missed(...); end);

local durable = module:require "prosody_push_durable"(engine, store, sessions, function (user) return store.alone(load, user); end);
local write_durable = guarded("writing what devices are owed", durable.write);
local write_durable_in_slices = background("writing what devices are owed", durable.write_in_slices);
local write_durable_last = guarded("writing what devices are owed", durable.write_last);


---- Pushes ----

-- Whether another module blocks the push. If its handler fails, the push is blocked: the handler may have been about to encrypt it.
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
	local ok, ret = xpcall(module.fire_event, traceback, module, "cloud_notify/push", event);
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

-- Removes a failing registration. The library counts it only if the store has removed it: a store may be read-only.
local function remove_failing(gone)
	if registrations.remove(gone.user, gone.identifier, gone.why) then engine:ended(gone.refused); end
end

-- The engine's timer, and when it fires.
local timer, due;

-- Runs when the timer fires: pushes may lack an answer, be held, or be owed.
local tick;

local function ring_in(delay)
	local at = monotonic() + delay;
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

-- Handlers by event name. We read util.events' private map, because its public lookup rebuilds the index on every miss.
local handlers = prosody.hosts[host].events._event_map;

local function is_hooked(name)
	return handlers[name] ~= nil;
end

-- In a protocol whose pushes carry their stanza, other modules do not see pushes.
local carries_stanzas = protocol.carries_stanzas;
local fires_events = not carries_stanzas;

-- Sends the stanzas of an event: `iq` and `others`. If other modules observe pushes, `details` has the data of the event for each, and
-- the record comes from `given` or the store. If the store cannot be read, the push is owed. Returns whether no push has left.
local function perform(user, stanza, given, details, iq, others)
	local records = details and read_complete(user);
	local is_kept_back = true;
	local i = 0;
	while iq do
		i = i + 1;
		local detail = details and details[i];
		local record = detail and (given and given[detail.identifier] or records and records[detail.identifier]);
		if detail and not record and not records then
			engine:postpone(now(), monotonic(), iq.attr.id);
		elseif detail and (not record or is_blocked(user, iq, detail, record, stanza)) then
			engine:withdraw(iq.attr.id);
		else
			send(iq);
			is_kept_back = false;
		end
		iq = others and others[i];
	end
	ring_in(library.late_after);
	return is_kept_back;
end

function tick()
	timer = nil;
	local gone, stanzas, delay, details = engine:on_timer(now(), monotonic(), fires_events and handlers["cloud_notify/push"] ~= nil);
	for i, iq in ipairs(stanzas) do
		-- Modules that observe pushes also see held and owed ones.
		if details then perform(details[i].username, nil, nil, { details[i] }, iq); else send(iq); end
	end
	for _, failing in ipairs(gone) do remove_failing(failing); end
	write_durable_in_slices();
	return delay;
end

-- Whether a registration may need to know if a sender is in the roster.
local asks_for_roster = false;

-- Reads again which parts of a stanza matter, after an extension was switched on or off.
local function relearn(may_ask_for_roster)
	asks_for_roster = may_ask_for_roster;
	facts_about.learn();
end

-- Calls a method of the engine for an event of a user, and performs its decision. If the user's registrations are not in memory, loads
-- them and calls the method again. a…i are the method's own arguments (`a` is the word of facts, `b` the sender): always passing nine
-- is cheaper than select("#", ...). Returns whether other modules kept back all pushes, and the two values that only on_queued returns.
local function push(method, user, stanza, given, a, b, c, d, e, f, g, h, i)
	-- Not a function of its own, here and in push_test, because every event passes here.
	local is_observed = fires_events and handlers["cloud_notify/push"] ~= nil;
	if asks_for_roster and stanza and engine:asks_for_roster(user, a) then a = with_roster(user, b, a); end
	local carried = carries_stanzas and stanza or nil;
	local details, wait, done, ends_long_hibernation, iq, others =
		method(engine, user, now(), monotonic(), is_observed, carried, a, b, c, d, e, f, g, h, i);
	if details == false then
		if not store.alone(load, user) then
			-- The second value says whether the push is important that the user misses now, if there is one.
			if wait ~= nil then retry.miss(user, wait); end
			return;
		end
		return push(method, user, stanza, given, a, b, c, d, e, f, g, h, i);
	end
	if wait then ring_in(wait); end
	return iq and perform(user, stanza, given, details, iq, others), done, ends_long_hibernation;
end

local function offline(user, stanza)
	local word, from, text, key, call, extracts = facts(user, stanza);
	-- Without an archive, mod_smacks hands back a copy for each session that ends.
	local sender, id, body;
	if not key then sender, id, body = stanza.attr.from, stanza.attr.id, stanza:get_child_text("body"); end
	push(engine.on_offline, user, stanza, nil, word, from, text, key, call, extracts, sender, id, body);
end

-- Handles a message from `origin` for a user who may be connected. `id` is the archive id, if the message is archived.
local function addressed(user, origin, to, stanza, id)
	local word, from, text, key, call_id, extracts = facts(user, stanza, id);
	local sender = origin and origin.username == user and origin.host == host and origin[identifier_field] or nil;
	push(engine.on_addressed, user, stanza, nil, word, from, text, key, call_id, extracts, to, held(user), sender);
end

-- Handles a subscription request to a user, with or without a session.
local function asked(user, stanza)
	local word, from, text, key, call, extracts = facts(user, stanza);
	push(engine.on_addressed, user, stanza, nil, word, from, text, key, call, extracts, stanza.attr.to, sessions.available(user));
end

-- Handles a read report of a client of the user for a chat.
function read(user, session, chat, word, extracts)
	push(engine.on_read, user, nil, nil, word, nil, nil, nil, nil, extracts, chat, session and session[identifier_field], held(user));
end

local function ping(user, records)
	push(engine.on_ping, user, nil, records, records);
end

function wake_missed(user, important)
	push(engine.on_missed, user, nil, nil, important, held(user));
end

-- Wakes the devices of a user whose clients do not know that the server has restarted.
local function wake_after_start(user)
	push(engine.on_ping, user, nil, nil, nil, "started", held(user));
end

-- Sends a ping to the given records, even directly after another push. Calls on_sent(id) first. Returns whether the ping left.
local function push_test(user, given, on_sent)
	local is_observed = fires_events and handlers["cloud_notify/push"] ~= nil;
	if store.alone(load, user) == nil then return false; end
	local details, _, _, _, iq = engine:on_ping(user, now(), monotonic(), is_observed, nil, given, "test");
	if not iq then return false; end
	on_sent(iq.attr.id);
	return not perform(user, nil, given, details, iq);
end

local remove_refused = background("the end of a registration that was refused", remove_failing);

-- Whether this server made an error in the name of a remote app server. mod_s2s does so if it cannot reach the app server, and so does
-- a module that does not let the push out. No remote server can forge this.
local function is_made_here(origin, from)
	if origin.dummy then return true; end
	local came_in = origin.type == "s2sin" or origin.type == "s2sout";
	return not came_in and from ~= nil and not prosody.hosts[jid_host(from)];
end

local admin = module:require "prosody_push_admin"(engine, library.hints, store, sessions, is_made_here, registrations.remove, push_test);

-- Takes an answer to the push with this id, or the error that stands for it. Returns true if there is such a push.
local function settle(id, from, made_here, kind, condition, text)
	local ours, wait, gone, identifier, refusals =
		engine:on_answer(now(), monotonic(), id, from, made_here, kind, condition, text);
	if wait then ring_in(wait); end
	if identifier then registrations.refused(identifier, refusals); end
	if gone then remove_refused(gone); end
	if ours then admin.answered(id, made_here, kind, condition, text); end
	return ours;
end

-- Handles the answer to a push. Returns true if the stanza answers a push.
local function answer(origin, stanza)
	local kind, condition, text;
	local made_here = false;
	if stanza.attr.type == "error" then
		kind, condition, text = stanza:get_error();
		kind = kind or "cancel";
		made_here = is_made_here(origin, stanza.attr.from);
	end
	return settle(stanza.attr.id, stanza.attr.from, made_here, kind, condition, text);
end

-- A stream to another server has ended, and nothing says which pushes that server has read. Their answers come over another stream: those
-- that are not here a moment later do not come.
local function stream_ended(domain)
	local pushes = engine:unanswered(domain);
	if not pushes[1] then return; end
	module:add_timer(library.late_after, guarded("pushes on a stream that ended", function ()
		for _, lost in ipairs(pushes) do
			settle(lost[1], lost[2], true, "wait", "remote-server-timeout", "the stream to "..domain.." ended");
		end
	end));
end


smacks = module:require "prosody_push_smacks"(engine, facts_about, sessions, registrations, watchdog, push, background);

-- Notes a message that the user sent with a session.
local function sent(session, stanza)
	local user = session.username;
	if not user then return; end
	local word, extracts = facts_about.said(user, stanza);
	if engine:is_activity(word) then session.last_activity = os.time(); end
	if extracts then read(user, session, stanza.attr.to or jid_join(user, host), word, extracts); end
end


-- Announces the features of the protocol, or of one of its extensions, on accounts while the module `by` is loaded.
local function announce(by, extension)
	by:hook("account-disco-info", guarded("the account's features", function (event)
		for _, feature in ipairs(engine:features(extension)) do event.reply:tag("feature", { var = feature }):up(); end
	end));
end


---- For the administrator ----

module:require "prosody_push_metrics"(engine, guarded);

-- Loads the administrator's module. Pushes do not depend on it.
local function load_admin()
	if modulemanager.is_loaded(host, "push_admin") then return; end
	if module:get_option_inherited_set("modules_disabled", {}):contains("push_admin") then return; end
	local ok, err = pcall(modulemanager.load, host, "push_admin");
	if not ok then module:log("error", "Push: mod_push_admin could not be loaded, its commands are not there: %s", err); end
end


---- Reload and unload ----

retry.until_done("reading what devices are owed from before", function ()
	local is_complete = durable.recall();
	ring_in(0);
	return is_complete;
end);

-- Sends all held pushes, also for waiting stanzas: neither would survive.
local function flush()
	smacks.flush();
	for _, iq in ipairs(engine:release_all(now(), monotonic())) do send(iq); end
end

-- The server stops, and all sessions end.
local function stops()
	smacks.stops();
	flush();
	write_durable_last();
end

-- Whether the state was saved for a reload. Then the next engine knows the pushes in flight.
local is_saved = false;

local function save()
	local bound = {};
	flush();
	write_durable();
	is_saved = true;
	registrations.each_bound_session(function (session)
		bound[session] = {
			session[identifier_field], session[record_field], session.first_hibernated_push, watchdog.holds(session),
			registrations.bound_at(session);
		};
	end);
	return { engine = engine:save(), bound = bound, missed = retry.save() };
end

local load_in_slices = background("the registrations of pushes in flight", function (users)
	local pause = slices.new();
	for _, user in ipairs(users) do
		store.alone(load, user);
		pause();
	end
end);

local function restore(saved)
	if saved.engine then load_in_slices(engine:restore(saved.engine)); end
	for session, fields in pairs(saved.bound or {}) do
		session[identifier_field], session[record_field], session.first_hibernated_push = fields[1], fields[2], fields[3];
		registrations.bound_at(session, fields[5]);
		if fields[4] and session.hibernating then watchdog.extend(session); end
		smacks.restored(session);
	end
	retry.restore(saved.missed or {});
	ring_in(0);
end

local function unload()
	flush();
	if not is_saved then write_durable_last(); end
	if timer then timer:stop(); end
	smacks.stop();
	registrations.each_bound_session(registrations.unbind);
	admin.close();
end

return {
	engine = engine;
	version = library.version;
	guarded = guarded;
	failure = failure;
	refusal = refusal;
	is_hooked = is_hooked;
	registrations = registrations;
	retry = retry;
	smacks = smacks;
	rooms = rooms;
	is_about_call = facts_about.is_about_call;
	offline = offline;
	addressed = addressed;
	asked = asked;
	ping = ping;
	wake_after_start = wake_after_start;
	background = background;
	users = store.users;
	stops = stops;
	answer = answer;
	stream_ended = stream_ended;
	sent = sent;
	load_admin = load_admin;
	relearn = relearn;
	announce = announce;
	save = save;
	restore = restore;
	unload = unload;
};
