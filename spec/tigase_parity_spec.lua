-- Compares Tigase's extensions with the community's modules, which run on the reference and on our mod_cloud_notify through its
-- events. `ours` lists where our extensions differ; any other difference fails. The community's encryption needs Prosody 13.0.
local prosody = require "spec.support.prosody";
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local tigase = require "spec.support.tigase";
local st = require "util.stanza";

local version = os.getenv("PROSODY");
local PUSH = "push.example.test";
local ROOM = "room@push.example.test";

local modules = { "cloud_notify_filters", "cloud_notify_priority_tag" };
if version ~= "0.12" then table.insert(modules, "cloud_notify_encrypted"); end

local function mention(uri)
	return st.stanza("reference", { xmlns = "urn:xmpp:reference:0", type = "mention", uri = uri });
end

local omemo = st.stanza("encrypted", { xmlns = "eu.siacs.conversations.axolotl" }):tag("payload"):text("AA=="):reset();
local eme = st.stanza("encryption", { xmlns = "urn:xmpp:eme:0", namespace = "urn:xmpp:omemo:2" });
local mentioned = { tigase.rooms({ jid = ROOM, allow = "mentioned", nick = "Monty" }) };

-- asks: children of <enable>; says: the message; room: it comes from a room; ours: how our result differs from the community's.
local cases = {
	{ name = "a chat", says = { body = "Wherefore?" } };
	{ name = "a chat, encrypted", asks = { tigase.encrypt() }, says = { body = "Wherefore?" } };
	{ name = "a long chat, encrypted", asks = { tigase.encrypt() }, says = { body = ("é"):rep(300) } };
	{ name = "a chat with all that JSON escapes, encrypted", asks = { tigase.encrypt() }, says = { body = "\"\\/\n\t\u{7f}\u{1F602}" } };
	-- The community's module has its own fixed text.
	{ name = "OMEMO, encrypted", asks = { tigase.encrypt() }, says = { body = "fallback", omemo }, ours = { message = "Encrypted message" } };
	{ name = "EME, encrypted", asks = { tigase.encrypt() }, says = { body = "fallback", eme }, ours = { message = "Encrypted message" } };
	{ name = "a call", says = { tigase.call("call1", "audio") } };
	{ name = "a call, encrypted", asks = { tigase.encrypt() }, says = { tigase.call("call2", "audio") } };
	{ name = "a call without media, encrypted", asks = { tigase.encrypt() }, says = { tigase.call("call5") } };
	{ name = "a room, encrypted", asks = { tigase.encrypt() }, room = true, says = { body = "All!" } };
	{ name = "a receipt, encrypted", asks = { tigase.encrypt() },
		says = { st.stanza("received", { xmlns = "urn:xmpp:receipts", id = "r" }) } };
	{ name = "a muted sender", asks = { tigase.muted("juliet@example.test") }, says = { body = "A" } };
	{ name = "a muted caller", asks = { tigase.muted("juliet@example.test") }, says = { tigase.call("call3") } };
	{ name = "a sender who is not muted", asks = { tigase.muted("mercutio@example.test") }, says = { body = "A" } };
	{ name = "an unknown sender", asks = { tigase.ignore_unknown() }, says = { body = "A" } };
	{ name = "an unknown caller", asks = { tigase.ignore_unknown() }, says = { tigase.call("call4") } };
	-- For us a room is never unknown.
	{ name = "an unknown room", asks = { tigase.ignore_unknown() }, room = true, says = { body = "A" }, ours = { pushes = 1 } };
	{ name = "a room with the rule never", asks = { tigase.rooms({ jid = ROOM, allow = "never" }) }, room = true, says = { body = "A" } };
	{ name = "a room with the rule always", asks = { tigase.rooms({ jid = ROOM, allow = "always" }) }, room = true, says = { body = "A" } };
	{ name = "a room that is not listed", asks = { tigase.rooms({ jid = "x@y", allow = "never" }) }, room = true, says = { body = "A" } };
	{ name = "a room without a mention", asks = mentioned, room = true, says = { body = "A" } };
	{ name = "a room with a mention of the user", asks = mentioned, room = true, says = { body = "A", mention("xmpp:romeo@example.test") } };
	{ name = "a room with a mention of the nickname", asks = mentioned, room = true, says = { body = "A", mention("xmpp:"..ROOM.."/Monty") } };
	-- For us the nickname as a word of the text is a mention.
	{ name = "a room with the nickname", asks = mentioned, room = true, says = { body = "Monty: hi" }, ours = { pushes = 1 } };
};

local function start(module, community)
	local server = prosody.start {
		version = version; module = module; enable = modules; community = community and modules or nil; disable = { "mam" };
	};
	return { server = server, app = appserver.connect(server, PUSH), juliet = client.connect(server, "juliet") };
end

-- Runs a case. Returns the number of pushes, and the content of the last one.
local function run(world, case, i)
	world.server:store("romeo", nil);
	world.server:reload();
	world.app.pushes = {};
	local romeo = client.connect(world.server, "romeo");
	local fields = { jid = PUSH, node = "n" };
	for _, child in ipairs(case.asks or {}) do table.insert(fields, st.clone(child)); end
	assert.equal("result", romeo:enable_push(fields).attr.type);
	romeo:close();
	local message = { to = "romeo@example.test", id = "m"..i, body = case.says.body };
	for _, child in ipairs(case.says) do table.insert(message, st.clone(child)); end
	if case.room then
		local stanza = st.message({ from = ROOM.."/juliet", to = message.to, type = "groupchat", id = message.id }, message.body);
		for _, child in ipairs(message) do stanza:add_child(child); end
		world.app:send(stanza);
	else
		world.juliet:message(message);
	end
	local came = { pushes = world.app:settled() };
	local push = world.app.pushes[came.pushes];
	if not push then return came; end
	local said, element = tigase.read(push);
	came.said, came.kind = said, element and element.attr.type;
	came.priority = tigase.notification(push):get_child_text("priority", tigase.xmlns_priority);
	came.body = not said and appserver.read(push).summary["last-message-body"] or nil;
	if came.body == "" then came.body = nil; end
	return came;
end

describe("Tigase's extensions", function ()
	local ours, mixed, reference;
	setup(function ()
		ours, mixed, reference = start("ours"), start("ours", true), start("reference", true);
	end);
	teardown(function ()
		for _, world in ipairs({ ours, mixed, reference }) do world.server:stop(); end
	end);

	it("read each other's records", function ()
		local asks = {
			tigase.muted("mercutio@example.test"), tigase.ignore_unknown(), tigase.rooms({ jid = ROOM, allow = "mentioned", nick = "Monty" }),
		};
		if version ~= "0.12" then table.insert(asks, tigase.encrypt()); end
		for i, way in ipairs({ { ours, reference }, { reference, ours } }) do
			local from, to = way[1], way[2];
			run(from, { asks = asks, says = { body = "A" } }, "record"..i);
			to.server:store("romeo", from.server:stored("romeo"));
			to.server:reload();
			to.app.pushes = {};
			local function says(body, part)
				local before = to.app:settled();
				to.app:send(st.message({ from = ROOM.."/juliet", to = "romeo@example.test", type = "groupchat", id = body }, body)
					:add_child(part or st.stanza("x")):reset());
				return to.app:settled() - before;
			end
			to.juliet:message { to = "romeo@example.test", body = "unknown", id = "unknown"..i };
			assert.equal(0, says("hi"));
			-- For the community's module, a room is unknown, too.
			assert.equal(to == ours and 1 or 0, says("hi again", mention("xmpp:"..ROOM.."/Monty")));
			local record = to.server:stored("romeo")[PUSH.."<n"];
			record.filter_unknown = nil;
			to.server:store("romeo", { [PUSH.."<n"] = record });
			to.server:reload();
			to.juliet:message { to = "romeo@example.test", body = "Wherefore?", id = "known"..i };
			local before = to.app:settled();
			local push = to.app.pushes[before];
			if version ~= "0.12" then
				assert.equal("Wherefore?", tigase.read(push).message);
			else
				assert.is_truthy(push);
			end
		end
	end);

	for i, case in ipairs(cases) do
		local is_encrypted = case.asks and case.asks[1].name == "encrypt";
		if version ~= "0.12" or not is_encrypted then
			it("have the same result for "..case.name, function ()
				local theirs = run(reference, case, i);
				assert.same(theirs, run(mixed, case, i), "the community's modules on ours");
				local own = run(ours, case, i);
				for name, value in pairs(case.ours or {}) do
					if name == "pushes" then
						assert.same({ pushes = 0 }, theirs);
						assert.equal(value, own.pushes);
						return;
					end
					assert.not_equal(value, theirs.said[name]);
					assert.equal(value, own.said[name]);
					own.said[name] = theirs.said[name];
				end
				assert.same(theirs, own);
			end);
		end
	end
end);
