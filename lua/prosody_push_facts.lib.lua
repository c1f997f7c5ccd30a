-- The facts of a stanza: one walk over it gives a word of bits and a few scalars. The library says which parts matter; see
-- src/rules/walk.rs.

local rostermanager = require "core.rostermanager";
local urldecode = require "util.http".urldecode;
local jid = require "util.jid";
local time = require "util.time";
local jid_bare, jid_host, jid_prep, jid_resource = jid.bare, jid.host, jid.prep, jid.resource;

local identifier_field = module:require "prosody_push_protocol".identifier;

local hosts = prosody.hosts;

-- Prosody's form of a JID that a client wrote, or of the JID in a URI (RFC 5122).
local forms = {
	jid = function (text) return jid_prep(text); end;
	uri = function (text)
		local path = text:match("^xmpp:([^?#]+)");
		return path and jid_prep(urldecode(path));
	end;
};

-- sessions(user) returns the user's sessions by resource; rooms: the table that prosody_push_rooms.lib.lua returns; is_late(session):
-- whether the session's client does not answer.
return function (engine, sessions, rooms, is_late)
	local known = engine:known();
	local at_host = "@"..module.host;
	-- The state of the current walk.
	local account, is_own, archive_id, body, call, carbon_archive_id, forwarded, invited, room, room_id;
	-- The repeatable values, and how many there are of each kind.
	local entries, counts;

	-- COMPAT Lua 5.2 has no bitwise operators.
	local function add(word, bit)
		return word % (bit + bit) < bit and word + bit or word;
	end

	local function note(kind, value)
		if not entries then entries, counts = {}, {}; end
		local n = (counts[kind] or 0) + 1;
		if n > known.most_of_a_kind or #value > known.longest_entry then return; end
		counts[kind] = n;
		entries[#entries + 1] = kind..value;
	end

	local function keep_extract(element, rule)
		local attr, of_type = rule.attr, rule.of_type;
		if of_type and element.attr.type ~= of_type or counts and counts[rule.kind] == known.most_of_a_kind then return; end
		local value = attr and element.attr[attr];
		if rule.with_text then
			-- get_text() returns nil for an element that has child elements.
			local text = element:get_text();
			value = text and (value and value.." "..text or not attr and text);
		elseif value and rule.form then
			value = forms[rule.form](value);
		end
		if value then note(rule.kind, value); end
	end

	-- Notes the values of several attributes as one entry.
	local function keep_attributes(element, rule)
		local values = {};
		for i, name in ipairs(rule.attrs) do values[i] = element.attr[name] or ""; end
		note(rule.kind, table.concat(values, " "));
	end

	-- XEP-0513. A modifier asks for no notification of the mention.
	local function keep_mention(element)
		if element.tags[1] then return; end
		local attr = element.attr;
		local whom = attr.jid and jid_prep(attr.jid);
		if whom then note(known.mention, whom); end
		if attr.occupantid then note(known.mentioned_occupant, attr.occupantid); end
		if attr.mentions then note(known.mentioned_group, attr.mentions.." "..(attr.uri and forms.uri(attr.uri) or attr.uri or "")); end
	end

	local first, last = known.first_children, known.last_children;
	local most = first + last;

	-- Returns the children of a very large element that the walk looks at. Only attackers send such elements.
	local function looked_at(tags)
		local ends = {};
		for i = 1, first do ends[i] = tags[i]; end
		for i = #tags - last + 1, #tags do ends[#ends + 1] = tags[i]; end
		return ends;
	end

	-- Applies the rules of src/rules/walk.rs. Every message passes here, so the frequent paths do not call add().
	local function walk(element, rule, word, xmlns)
		local names, tags = rule.children, element.tags;
		if names and #tags > most then tags = looked_at(tags); end
		for i = 1, names and #tags or 0 do
			local child = tags[i];
			local namespaces = names[child.name];
			local child_xmlns = namespaces and (child.attr.xmlns or xmlns);
			local child_rule = namespaces and namespaces[child_xmlns];
			if child_rule and (is_own or not child_rule.own) then
				local bit, keep = child_rule.bit, child_rule.keep;
				if bit and word % (bit + bit) < bit then word = word + bit; end
				bit = child_rule.values and child_rule.values[child.attr[child_rule.by] or ""];
				if bit then word = add(word, bit); end
				bit = child_rule.text;
				if bit then
					local text = child[1];
					if child[2] or child.tags[1] then text = child:get_text(); end
					if text and text ~= "" then
						if word % (bit + bit) < bit then word = word + bit; end
						if keep == "body" then body = body or text; end
					end
				elseif keep == "call" then
					call = call or child.attr[child_rule.attr];
				elseif keep == "invite" then
					invited = true;
				elseif keep == "forwarded" then
					forwarded = child;
				elseif keep == "archive_id" then
					-- Senders may forge an id, and mod_mam leaves a forged id before its own. So the last id counts.
					local by = child.attr.by;
					if by == account then archive_id = child.attr.id; elseif room and by == room then room_id = child.attr.id; end
				elseif keep == "carbon_archive_id" and child.attr.by == account then
					carbon_archive_id = child.attr.id;
				elseif keep == "extract" then
					keep_extract(child, child_rule);
				elseif keep == "mention" then
					keep_mention(child);
				elseif keep == "attributes" then
					keep_attributes(child, child_rule);
				end
				if child_rule.children then word = walk(child, child_rule, word, child_xmlns); end
			end
		end
		return word;
	end

	-- Deduplication keys of queued stanzas that are not archived. When the session ends, Prosody handles these stanzas again, and other
	-- sessions of the user have copies of their own.
	local dedup_keys = setmetatable({}, { __mode = "k" });
	local without_id = 0;
	-- What was pushed is known over a reload, and this count is not.
	local loaded_at = time.now();

	local function dedup_key_of(stanza)
		local key = dedup_keys[stanza];
		if not key then
			local attr = stanza.attr;
			if attr.id then
				key = engine:dedup_key(attr.from, attr.id, stanza:get_child_text("body"));
			else
				without_id = without_id + 1;
				key = ("queued-%.3f-%d"):format(loaded_at, without_id);
			end
			dedup_keys[stanza] = key;
		end
		return key;
	end

	-- Whether the room reflects the user's own message.
	local function is_reflected(user, stanza)
		local nick = jid_resource(stanza.attr.from);
		for _, session in pairs(sessions(user)) do
			if nick and rooms.nick(session, room) == nick then return true; end
		end
		return false;
	end

	-- Notes facts about the user: the nicknames in the room, when the sessions were active, and whether their clients are in use.
	local function note_sessions(user)
		for _, session in pairs(sessions(user)) do
			local nick, occupant = room and rooms.nick(session, room), room and rooms.occupant(session, room);
			if nick then note(known.nickname, nick); end
			if occupant then note(known.occupant, occupant); end
			local active = known.activity and session.last_activity;
			if active then note(known.activity, ("%d %s"):format(math.floor(active), session[identifier_field] or "")); end
			if known.in_use and session.state == "active" and not (session.hibernating or is_late(session)) then
				note(known.in_use, session[identifier_field] or "");
			end
		end
	end

	-- Whether the address is a room of this server that everybody can find and enter. False if that cannot be found out.
	local function is_public(address)
		local muc = hosts[jid_host(address)];
		muc = muc and muc.modules and muc.modules.muc;
		if not muc or not muc.get_room_from_jid then return false; end
		local ok, public = pcall(function ()
			local found = muc.get_room_from_jid(address);
			return found and found:get_public() and not found:get_members_only();
		end);
		return ok and public;
	end

	-- Returns the word for the stanza alone, without facts about the user.
	local function word_of(user, stanza)
		account, archive_id, body, call, carbon_archive_id, forwarded, invited = user..at_host, nil, nil, nil, nil, nil, nil;
		is_own, entries, counts = stanza.attr.from == account, nil, nil;
		room, room_id = stanza.attr.type == "groupchat" and jid_bare(stanza.attr.from) or nil, nil;
		local rule = known.stanzas[stanza.name];
		if not rule then return 0; end
		local bit = rule.values and rule.values[stanza.attr[rule.by] or ""];
		return walk(stanza, rule, (rule.bit or 0) + (bit or 0), "jabber:client");
	end

	-- Returns the id of the call that a message invites to (XEP-0482 §4.1).
	local function id_of_invite(message)
		if message.attr.type == "groupchat" then
			local given = message:get_child_with_attr("stanza-id", "urn:xmpp:sid:0", "by", jid_bare(message.attr.from));
			return given and given.attr.id;
		end
		local origin = message:get_child("origin-id", "urn:xmpp:sid:0");
		return origin and origin.attr.id or message.attr.id;
	end

	-- Returns the other party of the call that a message is about, a space, and the call's id.
	local function call_of(message, from)
		if invited then call = id_of_invite(message); end
		if not call then return nil; end
		local peer = jid_bare(from) == account and message.attr.to or from;
		return (jid_bare(peer) or "").." "..call;
	end

	-- Returns word, sender, body, deduplication key, call, and repeatable values. `id` is the archive id, if the message itself does not
	-- have it yet.
	local function facts(user, stanza, id)
		local attr, word = stanza.attr, word_of(user, stanza);
		local from = forwarded and forwarded.attr.from or attr.from;
		if forwarded then archive_id = archive_id or carbon_archive_id; end
		if room and is_reflected(user, stanza) then word = add(word, known.reflected); end
		if room and known.public_room and is_public(room) then word = add(word, known.public_room); end
		if known.archived and (id or archive_id) then word = add(word, known.archived); end
		if room or known.activity then note_sessions(user); end
		local extracts = entries and entries[1] and table.concat(entries, "\0");
		-- Not by note(): nearly every message has an id, and two tables would cost more than the rest.
		local marked_as = stanza.name == "message" and (room_id or (forwarded or stanza).attr.id);
		if marked_as and #marked_as <= known.longest_entry then
			marked_as = known.marked_as..marked_as;
			extracts = extracts and extracts.."\0"..marked_as or marked_as;
		end
		return word, from, body, id or archive_id or dedup_keys[stanza], (call or invited) and call_of(forwarded or stanza, from), extracts;
	end

	-- Whether the address is a room that the user is in, or a room of this server.
	local function is_room(user, address)
		local host = hosts[jid_host(address)];
		if host and host.modules and host.modules.muc then return true; end
		for _, session in pairs(sessions(user)) do
			if rooms.nick(session, address) then return true; end
		end
		return false;
	end

	-- Adds to the word whether the sender is in the user's roster, if the roster can be read.
	local function with_roster(user, from, word)
		local address = jid_bare(from);
		if not address then return word; end
		-- 0.12 raises an error if the roster cannot be read.
		local ok, is_contact, err = pcall(rostermanager.is_contact_subscribed, user, module.host, address);
		if ok and is_contact or is_room(user, address) then return add(word, known.contact); end
		return (err or not ok) and word or add(word, known.stranger);
	end

	-- Returns the word and the repeatable values of a stanza that the user sends, or of an item that the user publishes.
	local function said(user, stanza)
		local word = word_of(user, stanza);
		return word, entries and entries[1] and table.concat(entries, "\0");
	end

	-- Whether a message is about a call.
	local function is_about_call(stanza)
		local tags, calls = stanza.tags, known.calls;
		for i = 1, math.min(#tags, most) do
			if calls[tags[i].attr.xmlns] then return true; end
		end
		return false;
	end

	-- Reads again which parts of a stanza matter.
	local function learn()
		known = engine:known();
	end

	return { of = facts, said = said, dedup_key = dedup_key_of, with_roster = with_roster, is_about_call = is_about_call, learn = learn };
end
