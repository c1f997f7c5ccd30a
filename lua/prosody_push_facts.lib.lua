-- What the rules know of a stanza: one walk over it, for a word of bits and a few scalars. Which parts matter is said by
-- the library; see src/facts.rs.

local is_contact_subscribed = require "core.rostermanager".is_contact_subscribed;
local jid_bare = require "util.jid".bare;
local jid_resource = require "util.jid".resource;

local identifier_field = module:require "prosody_push_protocol".identifier;

-- sessions(user) gives the user's sessions by resource.
return function (engine, sessions)
	local known = engine:known();
	local at_host = "@"..module.host;
	-- What the walk under way is about and keeps.
	local account, archive_id, body, call, carbon_archive_id, more, sender;

	-- COMPAT Lua 5.2 has no operator for it
	local function add(word, bit)
		return word % (bit + bit) < bit and word + bit or word;
	end

	local function note(kind, value)
		more = (more and more.."\0" or "")..kind..value;
	end

	-- Rules are src/facts.rs's. Every message comes by here: add() is written out where most of them pass.
	local function walk(element, rule, word, xmlns)
		local types = rule.types;
		local bit = types and types[element.attr.type];
		if bit then word = add(word, bit); end
		local names, tags = rule.children, element.tags;
		for i = 1, names and #tags or 0 do
			local child = tags[i];
			local namespaces = names[child.name];
			local child_xmlns = namespaces and (child.attr.xmlns or xmlns);
			local child_rule = namespaces and namespaces[child_xmlns];
			if child_rule then
				bit = child_rule.bit;
				if bit and word % (bit + bit) < bit then word = word + bit; end
				local keep = child_rule.keep;
				bit = child_rule.text;
				if bit then
					local text = child[1];
					if child[2] or child.tags[1] then text = child:get_text(); end
					if text and text ~= "" then
						if word % (bit + bit) < bit then word = word + bit; end
						if keep == "body" then body = body or text; end
					end
				elseif keep == "call" then
					call = call or child.attr.id;
				elseif keep == "sender" then
					sender = child.attr.from;
				elseif keep == "archive_id" and child.attr.by == account..at_host then
					-- Senders forge it, and mod_mam lets that stand before its own.
					archive_id = child.attr.id;
				elseif keep == "carbon_archive_id" and child.attr.by == account..at_host then
					carbon_archive_id = child.attr.id;
				elseif keep == "more" then
					local attr, of_type = child_rule.attr, child_rule.of_type;
					local value = attr and child.attr[attr];
					if child_rule.whole then
						-- None in an element that has others in it.
						local text = child:get_text();
						value = text and (value and value.." "..text or not attr and text);
					end
					if value and (not of_type or child.attr.type == of_type) then note(child_rule.kind, value); end
				end
				if child_rule.children then word = walk(child, child_rule, word, child_xmlns); end
			end
		end
		return word;
	end

	-- Names of stanzas that were met in a session's queue and are in no archive. When the session ends they are met again,
	-- and another session of the user has a copy of its own.
	local names = setmetatable({}, { __mode = "k" });
	local nameless = 0;

	local function name_of(stanza)
		local name = names[stanza];
		if not name then
			local attr = stanza.attr;
			if attr.id then
				name = engine:name(attr.from, attr.id, stanza:get_child_text("body"));
			else
				nameless = nameless + 1;
				name = "queued-"..nameless;
			end
			names[stanza] = name;
		end
		return name;
	end

	-- Whether a room reflects what the user said in it, as far as mod_track_muc_joins knows.
	local function is_reflected(user, stanza)
		local room, nick = jid_bare(stanza.attr.from), jid_resource(stanza.attr.from);
		for _, session in pairs(sessions(user)) do
			if nick and session.rooms_joined and session.rooms_joined[room] == nick then return true; end
		end
		return false;
	end

	-- What Push 2.0 asks for besides: the user's nickname in a room, and when his clients were active.
	local function note_sessions(user, stanza)
		local room = stanza.attr.type == "groupchat" and jid_bare(stanza.attr.from);
		for _, session in pairs(sessions(user)) do
			local nick = room and session.rooms_joined and session.rooms_joined[room];
			if nick then note(known.nickname, nick); end
			local last = session.last_activity;
			if last then note(known.activity, ("%d %s"):format(math.floor(last), session[identifier_field] or "")); end
		end
	end

	-- The word of what a stanza says by itself.
	local function word_of(user, stanza)
		account, archive_id, body, call, carbon_archive_id, more, sender = user, nil, nil, nil, nil, nil, nil;
		local rule = known.stanzas[stanza.name];
		return rule and walk(stanza, rule, 0, "jabber:client") or 0;
	end

	-- word, sender, body, name, id of a call, what there can be several of; `id` is the archive's where the message itself
	-- does not have it yet
	local function facts(user, stanza, id)
		local attr, word = stanza.attr, word_of(user, stanza);
		local from = attr.from;
		-- Others forge carbons (XEP-0280 §11).
		if sender and from == user..at_host then from, archive_id = sender, archive_id or carbon_archive_id; end
		if attr.type == "groupchat" and is_reflected(user, stanza) then word = add(word, known.reflected); end
		if known.activity then
			if id or archive_id then word = add(word, known.archived); end
			note_sessions(user, stanza);
		end
		return word, from, body, id or archive_id or names[stanza], call, more;
	end

	-- The word, with whether the sender is in the user's roster.
	local function with_roster(user, stanza, word)
		local is_contact = is_contact_subscribed(user, module.host, jid_bare(stanza.attr.from));
		return add(word, is_contact and known.contact or known.stranger);
	end

	-- The library looks at more, or at less.
	local function learn()
		known = engine:known();
	end

	return { of = facts, word = word_of, name = name_of, with_roster = with_roster, learn = learn };
end
