-- Random values that nearly have the shape of a stanza or of a user's table in a store: with wrong types, with numbers for strings, and
-- with cycles.
local odd = {};

local random = math.random;

local WORDS = {
	"message", "body", "x", "field", "value", "subject", "propose", "retract", "stanza-id", "encrypted", "payload", "received",
	"sent", "forwarded", "jabber:client", "jabber:x:data", "urn:xmpp:carbons:2", "urn:xmpp:forward:0", "urn:xmpp:sid:0",
	"urn:xmpp:jingle-message:0", "http://jabber.org/protocol/pubsub", "pubsub", "affiliation", "none", "groupchat", "error",
	"chat", "romeo@example.test", "romeo@example.test/phone", "push.example.test", "n", "", " ", "@", "\xff\xfe", "\0", "1",
};
local KEYS = {
	"name", "attr", "tags", "jid", "node", "options", "timestamp", "client_id", "id", "from", "to", "by", "type", "xmlns",
	"affiliation",
};
local NUMBERS = { 0, 1, -1, 0.5, 7, 2^53, -2^63, 1e300, 1 / 0, -1 / 0, 0 / 0, math.maxinteger, math.mininteger };

local function one_of(list)
	return list[random(#list)];
end

local function scalar()
	local kind = random(12);
	if kind == 1 then return random(2) == 1; end
	if kind <= 4 then return one_of(NUMBERS); end
	if kind == 5 then return print; end
	if kind == 6 then return ("x"):rep(random(5000)); end
	return one_of(WORDS);
end

-- Returns a random value. `seen` has the tables around it.
function odd.value(depth, seen)
	depth, seen = depth or 4, seen or {};
	local kind = random(10);
	if depth == 0 or kind <= 2 then return scalar(); end
	if kind == 3 and seen[1] then return one_of(seen); end
	local value = {};
	seen[#seen + 1] = value;
	for _ = 1, random(0, 4) do value[one_of(KEYS)] = odd.value(depth - 1, seen); end
	for i = 1, random(0, 3) do value[i] = odd.value(depth - 1, seen); end
	seen[#seen] = nil;
	return value;
end

-- Returns a table that is mostly a stanza, with errors in some places.
function odd.stanza(depth, seen)
	depth, seen = depth or 4, seen or {};
	local stanza = { name = not seen[1] and "message" or one_of(WORDS), attr = {}, tags = {} };
	seen[#seen + 1] = stanza;
	for _ = 1, random(0, 4) do stanza.attr[one_of(KEYS)] = random(20) == 1 and odd.value(2) or one_of(WORDS); end
	for _ = 1, depth > 0 and random(0, 3) or 0 do
		local child = random(20) == 1 and odd.value(3, seen) or random(40) == 1 and one_of(seen) or odd.stanza(depth - 1, seen);
		stanza[#stanza + 1] = child;
		stanza.tags[#stanza.tags + 1] = child;
		if random(2) == 1 then stanza[#stanza + 1] = one_of(WORDS); end
	end
	for _, field in ipairs({ "name", "attr", "tags" }) do
		if random(60) == 1 then stanza[field] = odd.value(2, seen); end
	end
	seen[#seen] = nil;
	return setmetatable(stanza, odd.stanza_metatable);
end

-- Changes a random part of a stanza of util.stanza. A client can still send the result.
function odd.alter(stanza)
	local parent, element = stanza, one_of(stanza.tags);
	if not element then return; end
	while element.tags[1] and random(4) > 1 do
		parent, element = element, one_of(element.tags);
	end
	local kind, names = random(6), {};
	for name in pairs(element.attr) do
		if name ~= "xmlns" then names[#names + 1] = name; end
	end
	if kind == 1 and names[1] then
		element.attr[one_of(names)] = nil;
	elseif kind == 2 and names[1] then
		element.attr[one_of(names)] = random(2) == 1 and "" or ("x"):rep(random(2000));
	elseif kind == 3 then
		element:add_direct_child(setmetatable({ name = "x", attr = {}, tags = {} }, getmetatable(element)));
	elseif kind == 4 then
		for i = #element, 1, -1 do
			if type(element[i]) == "string" then table.remove(element, i); end
		end
	elseif kind == 5 then
		parent:maptags(function (tag) return tag ~= element and tag or nil; end);
	else
		parent:add_direct_child(element);
	end
end

return odd;
