-- prosody-push: what all modules share. Carries facts of Prosody to the Rust library and does what it answers; it
-- knows no rule of push. The library's side is typed in prosody_push.meta.lua.

local config = require "core.configmanager";
local jid_bare = require "util.jid".bare;
local jid_join = require "util.jid".join;
local jid_resource = require "util.jid".resource;
local logger = require "util.logger";
local now = require "util.time".now;
local sha1 = require "util.hashes".sha1;
local st = require "util.stanza";

local new_watchdogs = module:require "prosody_push_watchdog";

local VERSION = "0.1.0";

local host = module.host;
local hosts = prosody.hosts;
local store = module:open_store();

-- The library is on Lua's C path, or where luarocks put it for `prosodyctl install`: 0.12 leaves that off the path.
local function load_library()
	local ok, library = pcall(require, "prosody_push");
	if not ok then
		local err = library;
		local places = {};
		for dir in (prosody.paths.plugins or ""):gmatch("[^;]+") do
			places[#places + 1] = dir.."/lib/lua/".._VERSION:match("%d+%.%d+").."/?.so";
		end
		local path = package.searchpath("prosody_push", table.concat(places, ";"));
		local open = path and package.loadlib(path, "luaopen_prosody_push");
		if not open then
			error("The library prosody_push.so cannot be loaded. Install it with 'make install' from the same source as this "
				.."module, for the Lua that Prosody runs on (".._VERSION.."). "..tostring(err), 0);
		end
		library = open("prosody_push", path);
		package.loaded["prosody_push"] = library;
	end
	if library.version ~= VERSION then
		error(("The library prosody_push.so is version %s, this module is version %s. Install both from the same source with "
			.."'make install', then restart Prosody: a reload keeps the old library."):format(library.version, VERSION), 0);
	end
	return library;
end

-- Prosody does not tell whether anybody reads its debug lines. They are left out where the configuration has nothing
-- but sinks for higher levels; made in vain they only cost time.
local function wants_debug()
	local log = config.get("*", "log");
	if log == nil then return config.get("*", "debug") and true or false; end
	if type(log) ~= "table" then return true; end
	for level in pairs(log) do
		if level ~= "info" and level ~= "warn" and level ~= "error" then return true; end
	end
	return false;
end

local library = load_library();
library.log_debug(wants_debug());
module:hook_global("config-reloaded", function ()
	library.log_debug(wants_debug());
end);

-- The engine keeps the logger, which must not lead back to this module: nothing would ever be collected.
local engine = library.new(host, function (name)
	return module:get_option(name);
end, getmetatable(st.stanza("iq")), logger.init(host..":"..module.name));

-- Nothing may raise out of a hook: it would cost a user the message that the event is about.
local function guarded(what, handler, otherwise)
	return function (event)
		local ok, ret = xpcall(handler, debug.traceback, event);
		if ok then return ret; end
		module:log("error", "A fault in %s; nothing else is touched by it: %s", what, ret);
		return otherwise and otherwise(event);
	end;
end


---- Facts ----

-- What the rules look at, by name of the stanza; see src/facts.rs.
local known = { message = engine:known() };

-- What the walk under way is about and keeps.
local account, archive_id, body, call;

local function add(word, bit)
	-- COMPAT Lua 5.2 has no operator for it
	return bit and word % (bit + bit) < bit and word + bit or word;
end

local function walk(element, rule, word, xmlns)
	local types = rule.types;
	word = add(word, rule.bit);
	word = add(word, types and types[element.attr.type]);
	local keep = rule.keep;
	if rule.text then
		local text = element:get_text();
		if text and text ~= "" then
			word = add(word, rule.text);
			if keep == "body" then body = body or text; end
		end
	elseif keep == "call" then
		call = call or element.attr.id;
	elseif keep == "archive_id" and element.attr.by == account then
		archive_id = archive_id or element.attr.id;
	end
	local namespaces = rule.children;
	if namespaces then
		for _, child in ipairs(element.tags) do
			local child_xmlns = child.attr.xmlns or xmlns;
			local names = namespaces[child_xmlns];
			local child_rule = names and names[child.name];
			if child_rule then
				word = walk(child, child_rule, word, child_xmlns);
			end
		end
	end
	return word;
end

-- Names of stanzas that were met in a session's queue and are in no archive. When the session ends they are met again,
-- and another session of the user has a copy of its own. Some senders give all their messages one id: the text tells
-- these apart.
local names = setmetatable({}, { __mode = "k" });
local nameless = 0;

local function name_of(stanza)
	local name = names[stanza];
	if not name then
		local attr = stanza.attr;
		if attr.id then
			name = sha1(("%s\0%s\0%s"):format(attr.from, attr.id, stanza:get_child_text("body")), true);
		else
			nameless = nameless + 1;
			name = "queued-"..nameless;
		end
		names[stanza] = name;
	end
	return name;
end

local function sessions(user)
	local of_user = hosts[host].sessions[user];
	return of_user and of_user.sessions or {};
end

-- Whether a room reflects what the user said in it, as far as mod_track_muc_joins knows.
local function is_reflected(user, stanza)
	local room, nick = jid_bare(stanza.attr.from), jid_resource(stanza.attr.from);
	for _, session in pairs(sessions(user)) do
		if nick and session.rooms_joined and session.rooms_joined[room] == nick then return true; end
	end
	return false;
end

-- word, sender, body, name, id of a call; `id` is the archive's where the message itself does not have it yet
local function facts(user, stanza, id)
	account, archive_id, body, call = jid_join(user, host), id, nil, nil;
	local rule = known[stanza.name];
	local word = rule and walk(stanza, rule, 0, "jabber:client") or 0;
	if stanza.attr.type == "groupchat" and is_reflected(user, stanza) then
		word = add(word, known.message.reflected);
	end
	return word, stanza.attr.from, body, archive_id or names[stanza], call;
end

-- The registrations that sessions of the user hold, whoever wrote that there.
local function held(user)
	local identifiers = {};
	for _, session in pairs(sessions(user)) do
		if session.push_identifier then
			identifiers[session.push_identifier] = true;
		end
	end
	return identifiers;
end


---- Registrations ----

local function read(user)
	local records, err = store:get(user);
	if not records and err then
		module:log("error", "The push registrations of %s cannot be read: %s", user, err);
		return nil, err;
	end
	return records or {};
end

-- Those of hibernating sessions; wake() is in the section on stream management.
local wake;
local watchdog = new_watchdogs(engine:max_hibernation(), engine:wake_before(), guarded("waking a session before its end",
	function (session) wake(session); end));

local function unbind(session)
	session.push_identifier, session.push_settings, session.first_hibernated_push = nil, nil, nil;
	watchdog.restore(session);
end

local function unbind_all(user, identifier)
	for _, session in pairs(sessions(user)) do
		if session.push_identifier == identifier then unbind(session); end
	end
end

-- Lets `change` edit the user's table of the store, which gives the identifiers that it took out. Memory follows only
-- when the store has it.
local function update(user, change)
	local records, err = read(user);
	if not records then return nil, err; end
	local gone = change(records);
	local ok, write_err = store:set(user, next(records) and records or nil);
	if not ok then
		module:log("error", "The push registrations of %s cannot be written and stay as they were: %s", user, write_err);
		return nil, write_err;
	end
	engine:load(user, records);
	for _, identifier in ipairs(gone) do
		unbind_all(user, identifier);
		module:log("info", "Push registration removed: %s, %s", user, identifier);
	end
	return true;
end

local function take(records, identifiers)
	for _, identifier in ipairs(identifiers) do
		records[identifier] = nil;
	end
	return identifiers;
end

local function remove(user, identifiers)
	return update(user, function (records)
		return take(records, identifiers);
	end);
end

-- Stores a registration, and what it supersedes goes.
local function enable(user, identifier, record)
	local ok, err = update(user, function (records)
		records[identifier] = record;
		return take(records, engine:superseded(user, records, identifier));
	end);
	if ok then engine:enabled(now(), user, identifier); end
	return ok, err;
end


---- Pushes ----

-- Asks the engine about a user; where it has not got the registrations, loads them and asks again.
local function ask(user, method, ...)
	local pushes, details, wait, done, alerted = method(engine, ...);
	if pushes ~= false then return pushes, details, wait, done, alerted; end
	local records = read(user);
	if not records then return nil; end
	engine:load(user, records);
	return method(engine, ...);
end

local function has_handlers()
	local handlers = hosts[host].events.get_handlers("cloud_notify/push");
	return handlers ~= nil and #handlers > 0;
end

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
	for i = 1, #gone, 2 do
		remove(gone[i], { gone[i + 1] });
	end
	for _, iq in ipairs(stanzas) do send(iq); end
	return delay;
end

local function ring_in(delay)
	local at = now() + delay;
	if timer then
		if due <= at then return; end
		timer:stop();
	end
	due = at;
	timer = module:add_timer(delay, guarded("the wait for answers to pushes", function ()
		local next_delay = tick();
		if next_delay then ring_in(next_delay); end
	end));
end

-- Sends what the engine wants sent. `details` are there if other modules want to see each push, with its record: that
-- in `given` or else in the store. Gives the number of pushes that were sent.
local function perform(user, stanza, given, pushes, details, wait)
	if wait then ring_in(wait); end
	if not pushes then return 0; end
	local sent = 0;
	local records = details and read(user) or {};
	for i, iq in ipairs(pushes) do
		local detail = details and details[i];
		local record = detail and (given and given[detail.identifier] or records[detail.identifier]);
		if detail and (not record or is_blocked(user, iq, detail, record, stanza)) then
			engine:withdraw(iq.attr.id);
		else
			send(iq);
			sent = sent + 1;
		end
	end
	if not timer then ring_in(library.answer_timeout); end
	return sent;
end

local function offline(user, stanza)
	perform(user, stanza, nil, ask(user, engine.on_offline, user, now(), has_handlers(), facts(user, stanza)));
end

local function archived(user, to, stanza, id)
	perform(user, stanza, nil,
		ask(user, engine.on_archived, to, held(user), user, now(), has_handlers(), facts(user, stanza, id)));
end

local function ping(user, records)
	perform(user, nil, records, ask(user, engine.on_ping, user, now(), has_handlers(), records));
end

-- True if the stanza is the answer to a push.
local function answer(stanza)
	local id, from, kind, condition, text = stanza.attr.id, stanza.attr.from, nil, nil, nil;
	if stanza.attr.type == "error" then
		kind, condition, text = stanza:get_error();
		kind = kind or "cancel";
	end
	local ours, wait, user, identifier = engine:on_answer(now(), id, from, kind, condition, text);
	if wait then ring_in(wait); end
	if user then remove(user, { identifier }); end
	return ours;
end


---- Stream management ----

-- session -> stanzas that wait with it for others, and the timer that ends the wait
local waiting = setmetatable({}, { __mode = "k" });

local function stop_waiting(session)
	local batch = waiting[session];
	if batch then batch.timer:stop(); end
	waiting[session] = nil;
	return batch;
end

-- Pushes what waits in the queue of a session to the registration that it holds.
local function push_queued(session, stanzas)
	local user, identifier = session.username, session.push_identifier;
	if not identifier then return; end
	local given = { [identifier] = session.push_settings };
	local done = 0;
	for _, stanza in ipairs(stanzas) do
		local word, from, text, name, call_id = facts(user, stanza);
		local pushes, details, wait, done_then, alerted = ask(user, engine.on_queued, identifier, done,
			user, now(), has_handlers(), word, from, text, name or name_of(stanza), call_id);
		local is_kept_back = perform(user, stanza, given, pushes, details, wait) == 0 and pushes;
		if not is_kept_back then done = done_then or done; end
		if alerted and not is_kept_back and session.hibernating and not session.first_hibernated_push then
			session.first_hibernated_push = os.time();
			watchdog.restore(session);
		end
	end
end

-- A session that hibernates is about to end.
function wake(session)
	local identifier = session.push_identifier;
	if not identifier then return; end
	session.log("debug", "Hibernation is about to end: waking %s once more", identifier);
	ping(session.username, { [identifier] = session.push_settings });
end

-- A stanza waits for a client that hibernates, or whose acks are late.
local function queued(session, stanza)
	if not session.push_identifier then return; end
	local delay = engine:queue_delay((facts(session.username, stanza)));
	if delay == 0 then return push_queued(session, { stanza }); end
	local batch = waiting[session];
	if not batch then
		batch = {};
		waiting[session] = batch;
		batch.timer = module:add_timer(delay, guarded("a push for queued stanzas", function ()
			waiting[session] = nil;
			push_queued(session, batch);
		end));
	end
	batch[#batch + 1] = stanza;
end

-- `stanza` is the one that waits for its ack, if mod_smacks tells.
local function acks_late(session, queue, stanza)
	for _, unacked in ipairs(stanza and { stanza } or queue) do
		queued(session, unacked);
	end
end

local function hibernates(session, queue)
	if not session.push_identifier then return; end
	session.first_hibernated_push = nil;
	watchdog.extend(session);
	push_queued(session, queue);
end

local function resumed(session)
	session.first_hibernated_push = nil;
	watchdog.forget(session);
	stop_waiting(session);
	if session.push_identifier then engine:on_resumed(session.username, session.push_identifier); end
end


-- A client that comes with a session of its own holds its registration without enabling it again.
local function binds(session)
	if not session.client_id or session.push_identifier then return; end
	local records = read(session.username);
	local identifier = records and engine:of_client(session.username, records, session.client_id);
	if identifier then
		session.push_identifier, session.push_settings = identifier, records[identifier];
	end
end


---- Reload and unload ----

local function each_bound_session(action)
	for _, user in pairs(hosts[host].sessions) do
		for _, session in pairs(user.sessions) do
			if session.push_identifier then action(session); end
		end
	end
end

local function save()
	local bound = {};
	each_bound_session(function (session)
		local batch = stop_waiting(session);
		if batch then push_queued(session, batch); end
		bound[session] = { session.push_identifier, session.push_settings, session.first_hibernated_push };
	end);
	for _, iq in ipairs(engine:release_all(now())) do send(iq); end
	return { engine = engine:save(), bound = bound };
end

local function restore(saved)
	if saved.engine then engine:restore(saved.engine); end
	for session, fields in pairs(saved.bound or {}) do
		session.push_identifier, session.push_settings, session.first_hibernated_push = fields[1], fields[2], fields[3];
		if session.hibernating and not session.first_hibernated_push then
			watchdog.extend(session);
		end
	end
	ring_in(0);
end

local function unload()
	if timer then timer:stop(); end
	each_bound_session(function (session)
		stop_waiting(session);
		unbind(session);
	end);
end

return {
	engine = engine;
	version = VERSION;
	guarded = guarded;
	read = read;
	enable = enable;
	remove = remove;
	offline = offline;
	archived = archived;
	ping = ping;
	answer = answer;
	queued = queued;
	acks_late = acks_late;
	hibernates = hibernates;
	resumed = resumed;
	binds = binds;
	save = save;
	restore = restore;
	unload = unload;
};
