-- What the rules know of a stanza: one walk over it, for a word of bits and a few scalars. Which parts matter is said by
-- the library; see src/facts.rs.

local jid_bare = require "util.jid".bare;
local jid_join = require "util.jid".join;
local jid_resource = require "util.jid".resource;
local sha1 = require "util.hashes".sha1;

-- known_message is the library's; sessions(user) gives the user's sessions by resource.
return function (known_message, sessions)
	local host = module.host;
	local known = { message = known_message };

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

	return facts, name_of;
end
