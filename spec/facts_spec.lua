-- A property: for random stanzas, with the elements that the rules know and with others, the shim's walk and an oracle on minidom
-- (spec/support/oracle.rs) find the same facts. The facts are bounded.
local paths = require "spec.support.paths";
package.cpath = paths.library..";"..package.cpath;
local library = require "prosody_push";
local jid = require "util.jid";
local json = require "util.json";
local st = require "util.stanza";

local random = math.random;

local HOST, ACCOUNT = "example.test", "romeo@example.test";

-- Makes the shim's walk, with only the parts of Prosody that it uses.
local function new_walk(protocol)
	local engine = library.new(HOST, protocol, function () end, {}, jid.prep, function () end, function () end);
	if protocol == "push" then engine:extend("filters", true); end
	local env = setmetatable({
		module = { host = HOST; require = function () return { identifier = "push_identifier" }; end };
		prosody = { hosts = {} };
		require = function (name) return name == "core.rostermanager" and {} or require(name); end;
	}, { __index = _G });
	local rooms = { nick = function () end; occupant = function () end };
	local make = assert(loadfile(paths.root.."/lua/prosody_push_facts.lib.lua", "t", env))();
	return make(engine, function () return {}; end, rooms), engine:known();
end

local function one_of(list)
	return list[random(#list)];
end

-- Values for attributes: some that a rule knows, and some that no rule knows. They need no escapes that the oracle does not know.
local VALUES = {
	type = { "chat", "groupchat", "headline", "error", "normal", "mention", "subscribe", "get", "set", "result", "data" };
	id = { "c1", "c2", ("i"):rep(300) }; sid = { "s1", "27183" };
	from = { ACCOUNT, "romeo@example.test/laptop", "juliet@example.test/x", "room@rooms.test/nick", "room@rooms.test" };
	to = { ACCOUNT, "juliet@example.test/x", "room@rooms.test/nick" };
	by = { ACCOUNT, "juliet@example.test", "room@rooms.test" };
	["for"] = { "urn:xmpp:reactions:0", "urn:xmpp:message-retract:1", "urn:xmpp:reply:0" };
	uri = { "xmpp:romeo@example.test", "xmpp:room@rooms.test/max%20m", "xmpp:romeo@example.test?message", "http://a.test", "xmpp:@" };
	jid = { ACCOUNT, "room@rooms.test/nick", "@" }; occupantid = { "o1" }; action = { "session-initiate", "session-terminate" };
	mentions = { "urn:xmpp:mentions:0#channel", "urn:xmpp:mentions:0#server" }; media = { "audio", "video" }; rid = { "1", "2" };
	namespace = { "urn:example" };
};
local NAMES = {};
for name in pairs(VALUES) do NAMES[#NAMES + 1] = name; end
table.sort(NAMES);

local function attributes()
	local attr = {};
	for _ = 1, random(0, 4) do
		local name = one_of(NAMES);
		attr[name] = one_of(VALUES[name]);
	end
	return attr;
end

-- Returns all children that a rule knows: { name, namespace, rule }.
local function children_of(rule)
	local list = {};
	for name, namespaces in pairs(rule.children or {}) do
		for xmlns, child in pairs(namespaces) do list[#list + 1] = { name, xmlns, child }; end
	end
	table.sort(list, function (a, b) return a[1]..a[2] < b[1]..b[2]; end);
	return list;
end

-- Fills an element with children that its rule knows, and with others.
local function fill(element, rule, depth)
	local known = children_of(rule);
	for _ = 1, random(0, depth == 0 and 7 or 3) do
		local child = random(6) > 1 and known[1] and one_of(known) or { one_of({ "body", "x", "propose" }), "urn:example:other", {} };
		local attr = attributes();
		attr.xmlns = child[2];
		element:tag(child[1], attr);
		if random(3) == 1 then element:text(one_of({ "text", " ", "a & b" })); end
		if depth < 6 and (child[3].children or random(4) == 1) then fill(element, child[3], depth + 1); end
		element:up();
	end
	return element;
end

local function random_stanza(known)
	local name = one_of({ "message", "message", "message", "message", "presence", "iq" });
	local attr = attributes();
	attr.from = attr.from or one_of(VALUES.from);
	local stanza = fill(st.stanza(name, attr), known.stanzas[name], 0):reset();
	if name == "message" and random(4) == 1 then
		local inner = attributes();
		inner.xmlns, inner.from = "jabber:client", inner.from or one_of(VALUES.from);
		local direction = one_of({ "received", "sent" });
		local rule = known.stanzas.message.children[direction]["urn:xmpp:carbons:2"].children.forwarded["urn:xmpp:forward:0"];
		stanza:tag(direction, { xmlns = "urn:xmpp:carbons:2" }):tag("forwarded", { xmlns = "urn:xmpp:forward:0" });
		fill(stanza:tag("message", inner), rule.children.message["jabber:client"], 1);
		stanza.attr.from = random(3) > 1 and ACCOUNT or stanza.attr.from;
	end
	return stanza:reset();
end

-- Returns a stanza as in a stream, where every element has its namespace, on one line.
local function to_xml(stanza)
	local copy = st.clone(stanza);
	copy.attr.xmlns = "jabber:client";
	return (tostring(copy):gsub("\n", " "));
end

-- Returns the facts that the oracle finds in each stanza.
local function ask_oracle(protocol, stanzas)
	local input, output = os.tmpname(), os.tmpname();
	local file = assert(io.open(input, "w"));
	for _, stanza in ipairs(stanzas) do file:write(to_xml(stanza), "\n"); end
	file:close();
	assert(os.execute(("%s/debug/examples/oracle %s <%s >%s"):format(paths.target, protocol, input, output)));
	local answers = {};
	for line in io.lines(output) do answers[#answers + 1] = json.decode(line); end
	os.remove(input);
	os.remove(output);
	return answers;
end

local function entries(extracts)
	local list = {};
	for entry in (extracts or ""):gmatch("%Z+") do list[#list + 1] = entry; end
	return list;
end

for _, protocol in ipairs({ "push", "push2" }) do
	describe("the walk over a stanza, "..protocol..",", function ()
		local walk, known = new_walk(protocol);

		it("finds the same facts as an oracle in 4,000 random stanzas", function ()
			local seed = os.time();
			math.randomseed(seed);
			local stanzas, bits = {}, 0;
			for i = 1, 4000 do stanzas[i] = random_stanza(known); end
			local answers = ask_oracle(protocol, stanzas);
			assert.equal(#stanzas, #answers);
			for i, stanza in ipairs(stanzas) do
				local word, from, body, name, call, extracts = walk.of("romeo", stanza);
				-- The shim sets this bit from the archive id.
				if known.archived and name then word = word - known.archived; end
				local seen = { word = word, from = from, body = body, name = name, call = call, extracts = entries(extracts) };
				assert.same(answers[i], seen, ("stanza %d of seed %d: %s"):format(i, seed, stanza));
				bits = bits | word;
			end
			-- Nearly all kinds of facts occurred; a few do not come from the walk.
			local count = 0;
			for bit = 0, 40 do count = count + (bits >> bit & 1); end
			assert.is_true(count >= 30, count.." kinds of facts were seen");
		end);

		it("keeps at most 100 entries of a kind, of at most 4 kB each", function ()
			local stanza = st.message({ from = "juliet@example.test", type = "chat" });
			for i = 1, 1000 do
				stanza:tag("reference", { xmlns = "urn:xmpp:reference:0", type = "mention", uri = "xmpp:a"..i.."@example.test" }):up();
			end
			assert.equal(100, #entries(select(6, walk.of("romeo", stanza))));
			local long = st.message({ from = "juliet@example.test", type = "chat" })
				:tag("mention", { xmlns = "urn:xmpp:mentions:0", occupantid = ("o"):rep(5000) }):up();
			assert.is_nil((select(6, walk.of("romeo", long))));
		end);

		it("takes a bounded time for a stanza with many children", function ()
			local function time(n)
				local stanza = st.message({ from = "juliet@example.test", type = "chat" }, "text");
				for _ = 1, n do
					stanza:tag("reference", { xmlns = "urn:xmpp:reference:0", type = "mention", uri = "xmpp:romeo@example.test" }):up();
				end
				local best = math.huge;
				for _ = 1, 5 do
					local start = os.clock();
					for _ = 1, 5 do walk.of("romeo", stanza); end
					best = math.min(best, os.clock() - start);
				end
				return best;
			end
			local small, large = time(1000), time(10000);
			assert.is_true(large < 3 * small, ("%.1f ms for 1,000 and %.1f ms for 10,000"):format(small * 200, large * 200));
		end);

		it("finds the archive id behind any number of children", function ()
			local stanza = st.message({ from = "juliet@example.test", type = "chat" }, "text");
			for _ = 1, 10000 do stanza:tag("x", { xmlns = "urn:example" }):up(); end
			stanza:tag("stanza-id", { xmlns = "urn:xmpp:sid:0", by = ACCOUNT, id = "a1" }):up();
			local _, _, body, name = walk.of("romeo", stanza);
			assert.same({ "text", "a1" }, { body, name });
		end);
	end);
end
