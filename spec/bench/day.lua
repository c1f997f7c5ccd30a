-- A phone's day, written down. The user romeo has a phone, a laptop for a part of the day, forty contacts and three busy rooms.
-- spec/bench/player.lua plays it.
--
-- Each entry is one sleep of the phone: its time, the stanzas that come before it while the phone is in use (`awake`; they wake
-- nobody), and its moments. The phone loses its connection, the session hibernates, and after the last moment the phone resumes it.
-- A moment begins with what it must lead to. That is the rules' word, not what a module did. `noise` adds a number of stanzas
-- that must wake nobody, `chatter` a number of messages in rooms. A sleep may also have
--   lost = true         the first moment is sent when the connection is already gone, and the server notices that at once
--   dead = "hibernates" the server learns only from a late ack that the connection is gone; at the end the session hibernates
--   dead = "returns"    the same, but the phone resumes the session before the server ends the connection
--   hurry = true        the phone resumes its session less than a second after the last moment
--
-- The words. N is a contact, R a room, C a call:
--   N is STATE  N types  N pauses  N looks  N leaves            presence (online, away, dnd, gone) and chat states
--   N says  N whispers  N says to laptop                        messages: plain, OMEMO, to the laptop's full JID
--   N sends keys  N has read  N has received  N reacts  N retracts  N bounces
--   N publishes WHAT  N asks  N answers                         an event of PEP (tune, nick, avatar, devices); IQ get, IQ result
--   N invites to R  N wants to subscribe
--   N says in R  N mentions in R  N joins R  N leaves R  N titles R
--   N calls C  N retracts C  N finishes C
--   laptop comes  laptop goes  laptop says to N  laptop types to N  laptop has read N  laptop says in R
--   laptop rings C of N  laptop takes C of N  phone says to N  phone takes C of N  phone finishes C of N  N starts C

-- What a moment must lead to: a push with something to see, a silent one, both; a call rings, and stops ringing.
local NOTHING = {};
local SHOW = { important = true };
local SILENT = { silent = true };
local BOTH = { important = true, silent = true };
local CALL = { important = true, call = true };
local END = { silent = true };

local sleeps = {
	{ "07:00", awake = { noise = 18, chatter = 6, "phone says to 3", "3 has received" };
		{ NOTHING, noise = 8 };
		{ SHOW, "3 types", "3 says", noise = 2 } };
	{ "07:30", awake = { "3 says", "3 says", "phone says to 3" };
		{ SILENT, "3 has received", "3 has read", noise = 2 };
		{ NOTHING, noise = 6 } };
	{ "08:00", awake = { noise = 12, chatter = 4 };
		{ SHOW, "12 says in 1", "14 says in 1", "12 says in 1", noise = 2 };
		{ SHOW, "14 mentions in 1", "15 says in 1" };
		{ NOTHING, "16 titles 1", "17 joins 1", "12 leaves 1" } };
	{ "08:30", awake = { "5 types", "5 says", "phone says to 5" };
		{ SHOW, "5 types", "5 says", "5 says" };
		{ BOTH, "5 has read", "6 whispers", noise = 2 } };
	{ "09:00", awake = { noise = 15, chatter = 5, "12 says in 1", "20 says in 2" };
		{ NOTHING, "laptop comes", noise = 2 };
		{ NOTHING, "laptop types to 5", "laptop says to 5", "5 is away", noise = 1 };
		{ SHOW, "5 says to laptop" } };
	{ "09:30", awake = { "laptop says to 5", "5 says" };
		{ SHOW, "5 says", "5 says" };
		{ NOTHING, "laptop has read 5", "laptop says to 5" };
		{ SILENT, "5 has received" } };
	{ "10:00", awake = { noise = 12, chatter = 4, "laptop says in 2" };
		{ NOTHING, "laptop says in 2", "laptop says in 2" };
		{ SHOW, "20 says in 2", "21 says in 2", "22 says in 2", chatter = 5, noise = 1 };
		{ SHOW, "7 whispers", noise = 3 } };
	-- The laptop takes the call: the phone stops ringing, and hears of that once.
	{ "10:30", awake = { noise = 9, chatter = 3 };
		{ CALL, "7 calls one", "laptop rings one of 7" };
		{ END, "laptop takes one of 7" };
		{ NOTHING, "7 finishes one", noise = 2 } };
	{ "11:00", awake = { "7 says", "laptop says to 7" };
		{ SHOW, "7 says", "8 says", "30 says in 3" };
		{ SILENT, "8 reacts" } };
	{ "11:30", awake = { noise = 15, chatter = 5 };
		{ NOTHING, noise = 12 };
		{ NOTHING, "31 publishes devices", "8 publishes avatar", "9 publishes nick" };
		{ SHOW, "9 says to laptop", "9 is away" } };
	{ "12:00", awake = { "laptop says to 9", "9 says" };
		{ SHOW, "9 says", noise = 2 };
		{ NOTHING, "laptop goes", noise = 2 };
		{ SHOW, "9 says" } };
	-- On the train.
	{ "12:30", awake = { noise = 12, chatter = 4 }, lost = true;
		{ SHOW, "10 says" };
		{ SHOW, "10 types", "10 says" } };
	{ "13:00", awake = { "phone says to 10" }, dead = "hibernates";
		{ SHOW, "10 says" };
		{ SHOW, "10 types", "10 says" };
		{ NOTHING, noise = 6 };
		{ SHOW, "11 says in 1" } };
	{ "13:30", awake = { noise = 9, chatter = 3 }, lost = true;
		{ NOTHING, "10 types", noise = 1 };
		{ SHOW, "10 says", "10 says", "16 says" } };
	{ "14:00", awake = { "phone says to 10", "10 has read" }, hurry = true;
		{ SHOW, "13 says", noise = 2 };
		{ NOTHING, "13 says" } };
	{ "14:30", awake = { noise = 6, chatter = 2 };
		{ NOTHING, noise = 8 };
		{ SHOW, "13 whispers", "13 whispers" };
		{ SILENT, "13 sends keys" } };
	-- The caller gives up.
	{ "15:00", awake = { noise = 9, chatter = 3 };
		{ CALL, "9 calls two" };
		{ END, "9 retracts two" };
		{ SHOW, "9 says", "9 says" } };
	{ "15:30", awake = { "phone says to 9", "9 has received", "9 has read" };
		{ SILENT, "9 reacts" };
		{ NOTHING, "32 titles 3", "33 joins 3", noise = 2 };
		{ SHOW, "33 says in 3", "32 says in 3", "34 mentions in 3" } };
	{ "16:00", awake = { noise = 12, chatter = 4 };
		{ NOTHING, "40 answers", noise = 2 };
		{ SILENT, "40 asks" };
		{ SHOW, "18 says", "17 says" } };
	{ "16:30", awake = { "18 says", "phone says to 18" }, hurry = true;
		{ NOTHING, noise = 6 };
		{ NOTHING, "18 has read", noise = 1 } };
	{ "17:00", awake = { noise = 15, chatter = 5, "18 has read" };
		{ SHOW, "18 says", "19 says", "20 says in 2" };
		{ SHOW, "21 says in 2", "22 mentions in 2" };
		{ BOTH, "19 retracts", "19 says" } };
	{ "17:30", awake = { noise = 9, chatter = 3 };
		{ NOTHING, noise = 10 };
		{ NOTHING, noise = 8 } };
	-- The first stanza on the dead connection must wake nobody.
	{ "18:00", awake = { "phone says to 19" }, dead = "returns";
		{ NOTHING, "19 types" };
		{ SHOW, "19 says" };
		{ SILENT, "19 has read" } };
	-- The phone takes the call.
	{ "18:30", awake = { noise = 9, chatter = 3 };
		{ NOTHING, noise = 4 };
		{ CALL, "11 calls three" } };
	{ "19:00", awake = { "phone takes three of 11", "11 starts three", "11 is dnd", "phone finishes three of 11", "11 finishes three" };
		{ SHOW, "11 says", noise = 2 };
		{ SHOW, "2 invites to 3" } };
	{ "19:30", awake = { noise = 9, chatter = 3 };
		{ NOTHING, "laptop comes", noise = 1 };
		{ SHOW, "24 says", "25 says", chatter = 4 };
		{ NOTHING, "laptop has read 24", "laptop types to 24", "laptop says to 24" } };
	{ "20:00", awake = { "24 says", "laptop says to 25", noise = 2 };
		{ SHOW, "24 types", "24 says", "30 says in 3", "31 says in 3" };
		{ NOTHING, "laptop says in 3", "laptop says in 1" };
		{ SHOW, "25 says to laptop", "24 says to laptop" } };
	{ "20:30", awake = { noise = 12, chatter = 4 };
		{ SHOW, "41 wants to subscribe" };
		{ SILENT, "26 bounces", noise = 1 };
		{ SHOW, "26 whispers", noise = 2 } };
	{ "21:00", awake = { "26 whispers", "phone says to 26" };
		{ SHOW, "26 whispers", "27 says" };
		{ NOTHING, "laptop goes", noise = 3 };
		{ BOTH, "27 says", "26 has received", "26 has read" } };
	{ "21:30", awake = { noise = 15, chatter = 5 };
		{ SHOW, "28 says", "12 says in 1", "20 says in 2", "30 says in 3" };
		{ SHOW, "28 says", chatter = 6 };
		{ SHOW, "28 says", "28 says" } };
	{ "22:00", awake = { "phone says to 28", "28 has received" };
		{ SILENT, "28 has read" };
		{ SHOW, "28 says", "28 says", noise = 2 } };
	{ "22:30", awake = { "28 says", "phone says to 28" };
		{ SHOW, "28 says", "29 says" };
		{ NOTHING, "28 is gone", "29 is gone", "27 is gone", noise = 5 } };
};

-- A generator with a fixed seed, so that each day is the same (Numerical Recipes, §7.1).
local state = 357;
local function pick(list)
	state = (state * 1664525 + 1013904223) & 0xffffffff;
	return list[(state >> 16) % #list + 1];
end

local CONTACTS, ROOMS = {}, { 1, 2, 3 };
for i = 1, 40 do CONTACTS[i] = i; end
local NOISE = {
	"%d is online", "%d is online", "%d is away", "%d is away", "%d is dnd", "%d is gone", "%d is gone",
	"%d types", "%d pauses", "%d looks", "%d leaves",
	"%d publishes tune", "%d publishes devices", "%d publishes avatar", "%d publishes nick", "%d joins %d", "%d leaves %d",
};

-- Turns entries into a list of moments: the time, what the phone does (`phone`), what the moment must lead to, the words.
local function moments_of(entries)
	local moments = {};
	local function add(time, phone, leads, entry)
		local words = {};
		for i = 2, #entry do words[i - 1] = entry[i]; end
		for _ = 1, entry.chatter or 0 do table.insert(words, ("%d says in %d"):format(pick(CONTACTS), pick(ROOMS))); end
		for _ = 1, entry.noise or 0 do table.insert(words, (pick(NOISE):format(pick(CONTACTS), pick(ROOMS)))); end
		table.insert(moments, { time = time, phone = phone, leads = leads, words = words });
	end
	for _, sleep in ipairs(entries) do
		local time = sleep[1];
		add(time, "awake", NOTHING, { NOTHING, noise = sleep.awake.noise, chatter = sleep.awake.chatter, table.unpack(sleep.awake) });
		if not sleep.lost then add(time, sleep.dead and "dies" or "falls asleep", NOTHING, {}); end
		for i = 2, #sleep do
			local phone = "asleep";
			if i == 2 and sleep.lost then phone = "is lost"; end
			if i == 2 and sleep.dead then phone = "is late"; end
			if i == #sleep and sleep.hurry then phone = "wakes by itself"; end
			add(time, phone, sleep[i][1], sleep[i]);
		end
		if sleep.dead == "hibernates" then add(time, "falls asleep", NOTHING, {}); end
		if not sleep.hurry then add(time, "wakes", NOTHING, {}); end
	end
	return moments;
end

local moments = moments_of(sleeps);

-- What the user has set in another client (XEP-0492), by contact and by room: with it the day leads to less.
local settings = { contacts = { [28] = "never", [9] = "on-mention" }, rooms = { [2] = "on-mention", [3] = "never" } };

-- Whether words of one kind wake the phone in spite of the settings: something to see, a call, or something silent.
local LOUD = {
	{ "^(%d+) says in (%d)$", "important", function (_, room) return not settings.rooms[room]; end };
	{ "^(%d+) mentions in (%d)$", "important", function (_, room) return settings.rooms[room] ~= "never"; end };
	{ "^(%d+) calls", "call", function (contact) return settings.contacts[contact] ~= "never"; end };
};
for _, pattern in ipairs({ "says", "whispers", "says to laptop", "invites to %d", "wants to subscribe" }) do
	table.insert(LOUD, { "^(%d+) "..pattern.."$", "important", function (contact) return not settings.contacts[contact]; end });
end
for _, pattern in ipairs({ "reacts", "retracts", "has read", "has received", "sends keys", "bounces", "asks" }) do
	table.insert(LOUD, { "^(%d+) "..pattern.."$", "silent", function (contact) return not settings.contacts[contact]; end });
end
-- Ends of calls that rang.
table.insert(LOUD, { "^(%d+) retracts %a+$", "silent", function () return true; end });
table.insert(LOUD, { "^laptop takes", "silent", function () return true; end });

-- What a moment must lead to with these settings.
local function leads_with_settings(moment)
	local leads = {};
	for _, word in ipairs(moment.words) do
		for _, rule in ipairs(LOUD) do
			local one, other = word:match(rule[1]);
			if one and rule[3](tonumber(one), tonumber(other)) then leads[rule[2]] = true; end
		end
	end
	return {
		important = moment.leads.important and (leads.important or leads.call); silent = moment.leads.silent and leads.silent;
		call = moment.leads.call and leads.call;
	};
end

-- How many words of the day match one of the patterns.
local function count(...)
	local n = 0;
	for _, moment in ipairs(moments) do
		for _, word in ipairs(moment.words) do
			for _, pattern in ipairs({ ... }) do
				if word:find(pattern) then n = n + 1; end
			end
		end
	end
	return n;
end

return {
	moments = moments; moments_of = moments_of; contacts = #CONTACTS; rooms = #ROOMS; sleeps = #sleeps;
	settings = settings; leads_with_settings = leads_with_settings;
	messages = count("^%d+ says$", "^%d+ whispers$", "^%d+ says to laptop$"); calls = count("^%d+ calls %a+$");
	in_rooms = count("^%d+ says in %d$", "^%d+ mentions in %d$"); stanzas = count("");
};
