-- Plays the day of spec/bench/day.lua through the reference and through ours, at the same time, each in a server of its own, and
-- counts the pushes that reach the phone.
--
--   lua5.4 spec/bench/player.lua 13.0       prints the counts, and a line for each push that was needless or did not come
--   lua5.4 spec/bench/player.lua 13.0 quiet plays it through ours twice: as it is, and with what the user has set in another client
--
-- Nobody waits for hours: the stanzas of a moment come at once, and the next moment begins when all pushes of this one are there.
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local day = require "spec.bench.day";
local net = require "spec.support.net";
local pep = require "spec.support.pep";
local prosody = require "spec.support.prosody";
local st = require "util.stanza";

local PUSH, WORLD = "push.example.test", "push2.example.test";
local PHONE, LAPTOP = "phone", "laptop";
local SIDES = { "reference", "ours" };

-- Seconds: both modules collect queued stanzas for COLLECTING; a timer may be SLACK late; after LATE_ACK an ack is late
-- (`smacks_max_ack_delay`); on a busy machine a push that must come may take PATIENCE longer.
local COLLECTING, SLACK, LATE_ACK, PATIENCE = 1, 0.1, 3, 2;

local TEXTS = {
	"But soft, what light through yonder window breaks?", "It is the east.", "Arise, fair sun!", "O, speak again", "By whose direction?",
	"The orchard walls are high", "Good night, good night!", "Wilt thou be gone?", "It was the nightingale", "Believe me, love",
};

local XMLNS = {
	carbons = "urn:xmpp:carbons:2"; chat_states = "http://jabber.org/protocol/chatstates"; eme = "urn:xmpp:eme:0"; hints = "urn:xmpp:hints";
	jingle = "urn:xmpp:jingle:1"; jmi = "urn:xmpp:jingle-message:0"; markers = "urn:xmpp:chat-markers:0";
	muc = "http://jabber.org/protocol/muc";
	muc_user = "http://jabber.org/protocol/muc#user"; omemo = "eu.siacs.conversations.axolotl";
	pubsub_event = "http://jabber.org/protocol/pubsub#event"; reactions = "urn:xmpp:reactions:0";
	receipts = "urn:xmpp:receipts";
	retract = "urn:xmpp:message-retract:1"; rtp = "urn:xmpp:jingle:apps:rtp:1"; version = "jabber:iq:version";
};

local player = {};

local function contact(n) return ("friend%d@%s"):format(n, WORLD); end
local function device(n) return contact(n).."/phone"; end
local function room(n) return ("room%d@%s"):format(n, WORLD); end


---- The servers, and who is connected to them ----

-- Waits until the server has handled all stanzas of contacts and rooms.
local function sync_world(side)
	local id = "sync"..net.now();
	side.world:send(st.iq({ type = "get", id = id, from = WORLD, to = side.server.host }):tag("ping", { xmlns = "urn:xmpp:ping" }));
	net.wait(function ()
		for _, stanza in ipairs(side.world.others) do
			if stanza.attr.id == id then return true; end
		end
	end, "the answer to the ping of "..WORLD);
	side.world.others = {};
end

-- Joins all rooms; each device has the same nickname.
local function join(side, connected)
	for i = 1, day.rooms do
		connected:send(st.presence({ to = room(i).."/romeo" }):tag("x", { xmlns = XMLNS.muc }));
	end
	connected:sync();
	for i = 1, day.rooms do
		side.world:send(st.presence({ from = room(i).."/romeo", to = connected.jid }):tag("x", { xmlns = XMLNS.muc_user })
			:tag("item", { affiliation = "member", role = "participant" }):up():tag("status", { code = "110" }));
	end
	sync_world(side);
end

local function connect(side, resource, smacks)
	local connected = client.connect(side.server, "romeo", { resource = resource, smacks = smacks });
	connected:iq(st.stanza("iq", { type = "set" }):tag("enable", { xmlns = XMLNS.carbons }));
	join(side, connected);
	return connected;
end

local function start_one(module, version, reference)
	return { server = prosody.start {
		version = version; module = module; reference = module == "reference" and reference or nil; log_level = "info";
		options = { smacks_max_ack_delay = LATE_ACK, push_coalesce = module == "ours" or nil };
		enable = module == "ours" and { "pep" } or nil;
	} };
end

local function populate(side)
	local contacts = {};
	for i = 1, day.contacts do contacts[i] = contact(i); end
	side.server:eval([[
		local rostermanager = require "core.rostermanager";
		local roster = rostermanager.load_roster("romeo", module.host);
		for _, contact in ipairs(...) do roster[contact] = { subscription = "both", groups = {} }; end
		assert(rostermanager.save_roster("romeo", module.host, roster));
	]], contacts);
	side.app, side.world = appserver.connect(side.server, PUSH), appserver.connect(side.server, WORLD);
	side.phone = connect(side, PHONE, true);
	side.phone:enable_push({ jid = PUSH, node = "phone" });
	side.phone:acked();
end

function player.start(version, reference)
	local sides = { reference = start_one("reference", version, reference), ours = start_one("ours", version) };
	-- First both servers: a new process inherits open sockets, and a connection that it holds does not end when it is cut.
	for _, name in ipairs(SIDES) do populate(sides[name]); end
	return sides;
end

-- Ours twice: without settings, in the place of the reference, and with those of the day.
function player.start_quiet(version)
	local sides = { reference = start_one("ours", version), ours = start_one("ours", version) };
	for _, name in ipairs(SIDES) do populate(sides[name]); end
	sides.ours.leads = day.leads_with_settings;
	for n, setting in pairs(day.settings.contacts) do assert(pep.set(sides.ours.phone, contact(n), { setting }).attr.type == "result"); end
	for n, setting in pairs(day.settings.rooms) do assert(pep.set(sides.ours.phone, room(n), { setting }).attr.type == "result"); end
	return sides;
end

function player.stop(sides)
	for _, name in ipairs(SIDES) do sides[name].server:stop(); end
end


---- Words ----

local function bare(side) return "romeo@"..side.server.host; end

-- romeo's sessions, connected or hibernating
local function devices(side)
	return { side.phone.jid, side.laptop and side.laptop.jid };
end

local function to_each(side, stanza)
	for _, jid in ipairs(devices(side)) do
		local copy = st.clone(stanza);
		copy.attr.to = jid;
		side.world:send(copy);
	end
end

local function text_of(id)
	return TEXTS[tonumber(id:match("%d+$")) % #TEXTS + 1].." ("..id..")";
end

local function message(side, n, id, body)
	return st.message({ from = device(n), to = bare(side), type = "chat", id = id }, body);
end

local function chat(side, n, id, body)
	return message(side, n, id, body)
		:tag("request", { xmlns = XMLNS.receipts }):up():tag("markable", { xmlns = XMLNS.markers }):up()
		:tag("active", { xmlns = XMLNS.chat_states }):up();
end

local function omemo(stanza, payload)
	stanza:tag("encrypted", { xmlns = XMLNS.omemo }):tag("header", { sid = "27183" })
		:text_tag("key", "a2V5", { rid = "31415" }):text_tag("iv", "aXY="):up();
	if payload then stanza:text_tag("payload", payload); end
	return stanza:up():tag("encryption", { xmlns = XMLNS.eme, name = "OMEMO", namespace = XMLNS.omemo }):up()
		:tag("store", { xmlns = XMLNS.hints }):up();
end

local function jmi(name, id, attr)
	return st.message(attr):tag(name, { xmlns = XMLNS.jmi, id = id }):up():tag("store", { xmlns = XMLNS.hints }):up();
end

local function in_room(side, n, r, id, body)
	to_each(side, st.message({ from = room(r).."/friend"..n, type = "groupchat", id = id }, body));
end

local function room_presence(side, n, r, kind)
	to_each(side, st.presence({ from = room(r).."/friend"..n, type = kind }):tag("x", { xmlns = XMLNS.muc_user })
		:tag("item", { affiliation = "none", role = kind and "none" or "participant" }));
end

local CHAT_STATES = { types = "composing", pauses = "paused", looks = "active", leaves = "gone" };
local PEP = {
	tune = "http://jabber.org/protocol/tune"; nick = "http://jabber.org/protocol/nick"; avatar = "urn:xmpp:avatar:metadata";
	devices = "eu.siacs.conversations.axolotl.devicelist";
};

-- Sends with one of romeo's devices.
local function sends(side, resource, stanza)
	sync_world(side);
	side[resource]:send(stanza);
	side[resource]:sync();
end

-- Patterns, and what each does: it gets the side, the id for the stanza, and the captures.
local WORDS = {
	{ "^(%d+) is (%a+)$", function (side, _, n, state)
		local presence = st.presence({ from = device(n), to = bare(side), type = state == "gone" and "unavailable" or nil });
		if state == "away" or state == "dnd" then presence:text_tag("show", state); end
		side.world:send(presence);
	end };
	{ "^(%d+) (%a+)$", function (side, id, n, verb)
		local state = CHAT_STATES[verb];
		if state then
			side.world:send(message(side, n, id):tag(state, { xmlns = XMLNS.chat_states }):up()
				:tag("no-store", { xmlns = XMLNS.hints }));
		elseif verb == "says" then
			side.world:send(chat(side, n, id, text_of(id)));
		elseif verb == "whispers" then
			side.world:send(omemo(chat(side, n, id, "I sent you an OMEMO encrypted message"), "c2VjcmV0"));
		elseif verb == "reacts" then
			side.world:send(message(side, n, id):tag("reactions", { xmlns = XMLNS.reactions, id = "c1" })
				:text_tag("reaction", "👍"):up():tag("store", { xmlns = XMLNS.hints }));
		elseif verb == "retracts" then
			side.world:send(message(side, n, id):tag("retract", { xmlns = XMLNS.retract, id = "c1" }):up()
				:tag("store", { xmlns = XMLNS.hints }));
		elseif verb == "bounces" then
			side.world:send(st.error_reply(st.message({ from = side.phone.jid, to = device(n), type = "chat", id = id }), "cancel",
				"service-unavailable"));
		elseif verb == "asks" then
			side.world:send(st.iq({ from = device(n), to = side.phone.jid, type = "get", id = id }):tag("query", { xmlns = XMLNS.version }));
		elseif verb == "answers" then
			side.world:send(st.iq({ from = device(n), to = side.phone.jid, type = "result", id = id }));
		else
			error("no such verb: "..verb);
		end
	end };
	{ "^(%d+) sends keys$", function (side, id, n) side.world:send(omemo(message(side, n, id))); end };
	{ "^(%d+) has (re%a+)$", function (side, id, n, what)
		local read = { "displayed", XMLNS.markers };
		local name, xmlns = table.unpack(what == "read" and read or { "received", XMLNS.receipts });
		side.world:send(message(side, n, id):tag(name, { xmlns = xmlns, id = "c1" }):up():tag("store", { xmlns = XMLNS.hints }));
	end };
	{ "^(%d+) says to laptop$", function (side, id, n)
		local stanza = chat(side, n, id, text_of(id));
		stanza.attr.to = side.laptop.jid;
		side.world:send(stanza);
	end };
	{ "^(%d+) publishes (%a+)$", function (side, id, n, what)
		to_each(side, st.message({ from = contact(n), type = "headline", id = id }):tag("event", { xmlns = XMLNS.pubsub_event })
			:tag("items", { node = PEP[what] }):tag("item", { id = "current" }):tag(what, { xmlns = PEP[what] }));
	end };
	{ "^(%d+) invites to (%d)$", function (side, id, n, r)
		side.world:send(st.message({ from = device(n), to = bare(side), id = id }):tag("x", { xmlns = "jabber:x:conference", jid = room(r) }));
	end };
	{ "^(%d+) wants to subscribe$", function (side, id, n)
		side.world:send(st.presence({ from = contact(n), to = bare(side), type = "subscribe", id = id }));
	end };
	{ "^(%d+) says in (%d)$", function (side, id, n, r) in_room(side, n, r, id, text_of(id)); end };
	{ "^(%d+) mentions in (%d)$", function (side, id, n, r) in_room(side, n, r, id, "romeo: "..text_of(id)); end };
	{ "^(%d+) titles (%d)$", function (side, id, n, r)
		to_each(side, st.message({ from = room(r).."/friend"..n, type = "groupchat", id = id }):text_tag("subject", text_of(id)));
	end };
	{ "^(%d+) joins (%d)$", function (side, _, n, r) room_presence(side, n, r); end };
	{ "^(%d+) leaves (%d)$", function (side, _, n, r) room_presence(side, n, r, "unavailable"); end };
	{ "^(%d+) calls (%a+)$", function (side, id, n, call)
		local stanza = st.message({ from = device(n), to = bare(side), type = "chat", id = id });
		stanza:tag("propose", { xmlns = XMLNS.jmi, id = call }):tag("description", { xmlns = XMLNS.rtp, media = "audio" }):up():up();
		side.world:send(stanza:tag("store", { xmlns = XMLNS.hints }));
	end };
	{ "^(%d+) retracts (%a+)$", function (side, id, n, call)
		side.world:send(jmi("retract", call, { from = device(n), to = bare(side), type = "chat", id = id }));
	end };
	{ "^(%d+) finishes (%a+)$", function (side, id, n, call)
		side.world:send(jmi("finish", call, { from = device(n), to = bare(side), type = "chat", id = id }));
	end };
	{ "^(%d+) starts (%a+)$", function (side, id, n, call)
		side.world:send(st.iq({ from = device(n), to = side.phone.jid, type = "set", id = id })
			:tag("jingle", { xmlns = XMLNS.jingle, action = "session-initiate", sid = call, initiator = device(n) })
			:tag("content", { creator = "initiator", name = "audio" }):tag("description", { xmlns = XMLNS.rtp, media = "audio" }));
	end };
	{ "^laptop comes$", function (side)
		sync_world(side);
		side.laptop = connect(side, LAPTOP);
	end };
	{ "^laptop goes$", function (side)
		sync_world(side);
		side.laptop:close();
		side.laptop = nil;
	end };
	{ "^(%a+) says to (%d+)$", function (side, id, resource, n)
		sends(side, resource, st.message({ to = contact(n), type = "chat", id = id }, text_of(id)));
	end };
	{ "^(%a+) types to (%d+)$", function (side, id, resource, n)
		sends(side, resource, st.message({ to = contact(n), type = "chat", id = id }):tag("composing", { xmlns = XMLNS.chat_states }));
	end };
	{ "^(%a+) has read (%d+)$", function (side, id, resource, n)
		sends(side, resource, st.message({ to = contact(n), type = "chat", id = id }):tag("displayed", { xmlns = XMLNS.markers, id = "d1" }):up()
			:tag("store", { xmlns = XMLNS.hints }));
	end };
	-- The room reflects the message to all of romeo's devices.
	{ "^(%a+) says in (%d)$", function (side, id, resource, r)
		sends(side, resource, st.message({ to = room(r), type = "groupchat", id = id }, text_of(id)));
		to_each(side, st.message({ from = room(r).."/romeo", type = "groupchat", id = id }, text_of(id)));
	end };
	{ "^(%a+) (%a+) (%a+) of (%d+)$", function (side, id, resource, verb, call, n)
		local name = assert(({ rings = "ringing", takes = "proceed", finishes = "finish" })[verb], verb);
		sends(side, resource, jmi(name, call, { to = device(n), type = "chat", id = id }));
	end };
};

local function utter(side, word, id)
	for _, rule in ipairs(WORDS) do
		local captures = table.pack(word:match(rule[1]));
		if captures[1] then return rule[2](side, id, table.unpack(captures)); end
	end
	error("no such word: "..word);
end


---- What the phone does ----

-- Unacknowledged stanzas stay in the session's queue. Only a phone that is stalled has some.
local function fall_asleep(side)
	if not side.phone.stream.stalled then side.phone:acked(); end
	side.phone:sleep();
end

-- Resumes the session with a new connection. The server may still take the old one for alive.
local function wake(side)
	local old = side.phone;
	side.phone = client.resume(side.server, "romeo", old);
	side.phone.sm_id = old.sm_id;
	old:cut();
	side.phone:acked();
end

local function stall(side)
	side.phone:acked();
	side.phone.stream.stalled = true;
end

-- What happens before and after the stanzas of a moment, how long its pushes take at most, and whether the sleep `ends` with it.
local PHONE_DOES = {
	["awake"] = { after = function (side) side.phone:acked(); end; seconds = 0 };
	["falls asleep"] = { before = fall_asleep; seconds = 0 };
	["asleep"] = { seconds = COLLECTING + SLACK };
	["is lost"] = { before = stall; after = fall_asleep; seconds = 0 };
	["dies"] = { before = stall; seconds = 0 };
	["is late"] = { seconds = LATE_ACK + COLLECTING + 3 * SLACK };
	["wakes by itself"] = { after = wake; seconds = COLLECTING + SLACK; ends = true };
	["wakes"] = { before = wake; seconds = 0; ends = true };
};


---- Counting ----

function player.new_counts()
	return { call = 0, important = 0, silent = 0, needless = 0, missed = 0, late = 0, unheard = 0, notes = {}, owed = {} };
end

-- The pushes since the last moment, by kind.
local function taken(side)
	local got = { important = 0, silent = 0 };
	for _, push in ipairs(side.app.pushes) do
		-- The reference has an empty field where there is nothing to show.
		local text = appserver.read(push).summary["last-message-body"] or "";
		local kind = text ~= "" and "important" or "silent";
		got[kind] = got[kind] + 1;
	end
	side.app.pushes, side.app.others = {}, {};
	return got;
end

-- Compares the pushes of a moment with those that it must lead to, and adds to the counts of the day:
--   needless   pushes of a kind beyond the one that the moment must lead to
--   missed     moments with something to see for which no such push came before the phone was back
--   late       the same, but the push came in a later moment, before the phone was back
--   unheard    moments that must lead to a silent push and led to none at all
function player.count(counts, moment, got, ends)
	local function note(what)
		table.insert(counts.notes, ("%s, %s: %s (%s)"):format(moment.time, moment.phone, what, table.concat(moment.words, "; ")));
	end
	local leads = moment.leads;
	local kind_of_important = leads.call and "call" or "important";
	counts[kind_of_important] = counts[kind_of_important] + got.important;
	counts.silent = counts.silent + got.silent;

	local more = {};
	for kind, n in pairs(got) do more[kind] = math.max(0, n - (leads[kind] and 1 or 0)); end
	-- A silent push in the place of the other kind shows nothing, but it is not needless.
	if leads.important and got.important == 0 and not leads.silent then more.silent = math.max(0, more.silent - 1); end
	-- One push tells of all moments that it is late for.
	if more.important > 0 and counts.owed[1] then
		counts.late = counts.late + #counts.owed;
		for _, note_owed in ipairs(counts.owed) do note_owed("late"); end
		more.important, counts.owed = more.important - 1, {};
	end
	for _, kind in ipairs({ "important", "silent" }) do
		if more[kind] > 0 then note(("%d needless, %s"):format(more[kind], kind)); end
		counts.needless = counts.needless + more[kind];
	end

	if leads.important and got.important == 0 then table.insert(counts.owed, note); end
	if leads.silent and got.important + got.silent == 0 then
		counts.unheard = counts.unheard + 1;
		note("unheard");
	end
	if ends then
		counts.missed = counts.missed + #counts.owed;
		for _, note_owed in ipairs(counts.owed) do note_owed("missed"); end
		counts.owed = {};
	end
end


---- Playing ----

local function each(sides, action)
	for _, name in ipairs(SIDES) do action(sides[name], name); end
end

-- What a moment must lead to, on that side.
local function leads_of(side, moment)
	return side.leads and side.leads(moment) or moment.leads;
end

local function play_moment(sides, moment, number)
	local does = PHONE_DOES[moment.phone];
	each(sides, function (side)
		if does.before then does.before(side); end
		for i, word in ipairs(moment.words) do utter(side, word, ("d%d-%d"):format(number, i)); end
		sync_world(side);
		if does.after then does.after(side); end
	end);
	if does.seconds > 0 then
		local over = net.now() + does.seconds;
		net.wait(function () return net.now() >= over; end, "the end of a moment", does.seconds + 1);
	end
	local latest = net.now() + PATIENCE;
	net.wait(function ()
		local is_there = true;
		each(sides, function (side)
			local leads = leads_of(side, moment);
			local wanted = (leads.important and 1 or 0) + (leads.silent and 1 or 0);
			if side.server.module == "ours" and #side.app.pushes < wanted then is_there = false; end
		end);
		return is_there or net.now() >= latest;
	end, "the pushes of a moment", PATIENCE + 1);
	each(sides, function (side) side.app:settled(); end);
end

-- Returns the counts of each side: pushes for calls, other important ones, silent ones, and the numbers of player.count(), with a
-- line in `notes` for each of these.
function player.play(sides, moments)
	local counts = { reference = player.new_counts(), ours = player.new_counts() };
	for number, moment in ipairs(moments) do
		play_moment(sides, moment, number);
		each(sides, function (side, name)
			side.phone.stanzas = {};
			if side.laptop then side.laptop.stanzas = {}; end
			local of_side = { time = moment.time, phone = moment.phone, words = moment.words, leads = leads_of(side, moment) };
			player.count(counts[name], of_side, taken(side), PHONE_DOES[moment.phone].ends);
		end);
	end
	return counts;
end

-- Plays the whole day on a version; `reference` as in prosody.start(), or "quiet" for ours with and without settings.
function player.run(version, reference)
	local sides = reference == "quiet" and player.start_quiet(version) or player.start(version, reference);
	local ok, ret = xpcall(player.play, debug.traceback, sides, day.moments);
	player.stop(sides);
	if not ok then error(ret, 0); end
	return ret;
end


-- Run as a program.
if ... ~= "spec.bench.player" then
	local before = net.now();
	local version, how = ...;
	local counts = player.run(version or "0.12", how);
	for _, name in ipairs(SIDES) do
		local of_side = counts[name];
		local title = how ~= "quiet" and name or name == "ours" and "with settings" or "without";
		print(("%s: %d for calls, %d important, %d silent; %d needless, %d missed, %d late, %d unheard"):format(title, of_side.call,
			of_side.important, of_side.silent, of_side.needless, of_side.missed, of_side.late, of_side.unheard));
		for _, note in ipairs(of_side.notes) do print("  "..note); end
	end
	print(("%.0f s"):format(net.now() - before));
end

return player;
