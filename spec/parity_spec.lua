-- Sends the same traffic through the reference and through our module, each on its own server, and compares the pushes element by
-- element. DIFFERENCES lists where the two differ; any other difference fails.
local prosody = require "spec.support.prosody";
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local net = require "spec.support.net";
local st = require "util.stanza";

local version = os.getenv("PROSODY");

-- Differences in every push of the reference, which are removed before comparing:
--   the summary form is of type `form` and types its fields (MongooseIM refuses it),
--   and it has empty fields.

-- These take a push in the form that plain() returns. device() returns its app server and node, fields() the fields of its summary.
local function device(push)
	return push[2].to..(push[3][1][3][1][2].node or "");
end

local function fields(push)
	local notification = push[3][1][3][1][3][1][3][1];
	return notification[3][1][3];
end

local function nothing() return {}; end

local function without_text(pushes)
	for _, push in ipairs(pushes) do
		assert.equal("last-message-body", table.remove(fields(push))[2].var);
	end
	return pushes;
end

local function with_stand_in(pushes)
	for _, push in ipairs(pushes) do
		table.insert(fields(push), { "field", { var = "last-message-body" }, { { "value", {}, { "New Message!" } } } });
	end
	return pushes;
end

-- Differences in single steps, by name. Each function turns the reference's pushes into ours; the comment says why.
local DIFFERENCES = {
	["own message"] = nothing; -- a message that the user sent wakes none of the user's devices
	["once"] = function (pushes) -- from the archive, then as offline
		local seen, once = {}, {};
		for _, push in ipairs(pushes) do
			if not seen[device(push)] then table.insert(once, push); end
			seen[device(push)] = true;
		end
		return once;
	end;
	["key transport"] = without_text; -- OMEMO without a payload has nothing to show
	["no-store"] = nothing; -- the message is not stored, so a client that wakes up would not find it
	["nothing to see"] = nothing; -- chat states, room subjects and headlines without a body show nothing and remove nothing
	["rang nobody"] = nothing; -- the end of a call for which no device rang stops nothing
	["no text"] = without_text; -- a body that must not be shown is not sent, even with push_notification_with_body
	["fallback"] = without_text; -- the body of a retraction or a reaction is only a fallback for older clients
	["invitation"] = with_stand_in; -- an invitation to a room is important (mod_csi_simple treats it so, too)
	["encrypted"] = with_stand_in; -- a message marked as encrypted (XEP-0380) has something to read
	["omemo:1"] = with_stand_in; -- OMEMO of 2020 counts as encrypted
	["omemo:2"] = with_stand_in; -- OMEMO of today counts as encrypted
	["stand-in"] = with_stand_in; -- with push_notification_with_body a call has no text, but has to ring
};

local function encrypted(xmlns, payload)
	local element = st.stanza("encrypted", { xmlns = xmlns }):text_tag("header", "", { sid = "1" });
	if payload then element:text_tag("payload", "AA=="); end
	return element:reset();
end

local calls = 0;
local function jmi(name)
	calls = calls + 1;
	return st.stanza(name, { xmlns = "urn:xmpp:jingle-message:0", id = "call"..calls });
end

-- Marks the body as a fallback, which must not be shown (XEP-0428).
local function fallback(xmlns)
	return st.stanza("fallback", { xmlns = "urn:xmpp:fallback:0", ["for"] = xmlns });
end

local function write(message)
	return function (world)
		local copy = { to = "romeo@example.test" };
		for key, value in pairs(message) do copy[key] = st.is_stanza(value) and st.clone(value) or value; end
		world.juliet:message(copy);
	end;
end

-- A room's message to a user's bare JID.
local function from_room(...)
	local children = table.pack(...);
	return function (world)
		-- Two messages with the same id and text would count as one.
		world.said_in_room = (world.said_in_room or 0) + 1;
		local message = st.message({
			from = "push2.example.test/nick", to = "romeo@example.test", type = "groupchat", id = "g"..world.said_in_room;
		});
		for _, child in ipairs(children) do message:add_child(st.clone(child)); end
		world.app2:send(message);
		world.app2:settled();
	end;
end

-- A message that a service sends itself, of type chat.
local function from_service(...)
	local children = table.pack(...);
	return function (world)
		local message = st.message({ from = "verona@push2.example.test", to = "romeo@example.test", type = "chat", id = "s" });
		for _, child in ipairs(children) do message:add_child(st.clone(child)); end
		world.app2:send(message);
		world.app2:settled();
	end;
end

local body = st.stanza("body"):text("All: romeo?");
local composing = st.stanza("composing", { xmlns = "http://jabber.org/protocol/chatstates" });
local no_store = st.stanza("no-store", { xmlns = "urn:xmpp:hints" });
local conference = st.stanza("x", { xmlns = "jabber:x:conference", jid = "verona@push2.example.test" });
local invite = st.stanza("x", { xmlns = "http://jabber.org/protocol/muc#user" }):tag("invite", { from = "juliet@example.test" }):reset();
local absent = st.stanza("notification", { xmlns = "http://quobis.com/xmpp/muc#push", jid = "verona@push2.example.test" });
local retraction = st.stanza("retract", { xmlns = "urn:xmpp:message-retract:1", id = "m" });
local reactions = st.stanza("reactions", { xmlns = "urn:xmpp:reactions:0", id = "m" }):text_tag("reaction", "👍"):reset();

local content = {
	{ "a chat message", write { body = "Romeo & <Juliet> 💘" } };
	{ "a normal message", write { body = "Romeo?", type = "normal" } };
	{ "a chat state", write { composing },
		default = "nothing to see"; with_body = "nothing to see"; without_body = "nothing to see" };
	{ "a receipt", write { st.stanza("received", { xmlns = "urn:xmpp:receipts", id = "m" }) } };
	{ "a chat state that nobody keeps", write { composing, no_store },
		default = "nothing to see"; with_body = "nothing to see"; without_body = "nothing to see" };
	{ "a receipt that nobody keeps", write { st.stanza("received", { xmlns = "urn:xmpp:receipts", id = "m" }), no_store },
		default = "no-store"; with_body = "no-store"; without_body = "no-store" };
	{ "a text with no-store", write { body = "Romeo?", no_store } };
	{ "an empty body", write { st.stanza("body") } };
	{ "a headline", write { body = "News", type = "headline" } };
	{ "OMEMO with a body", write { body = "encrypted", encrypted("eu.siacs.conversations.axolotl", true) } };
	{ "OMEMO 0", write { body = "encrypted", encrypted("urn:xmpp:omemo:0", true) } };
	{ "OMEMO without a body", write { encrypted("eu.siacs.conversations.axolotl", true) },
		with_body = "stand-in" };
	{ "OMEMO that moves keys", write { encrypted("eu.siacs.conversations.axolotl") },
		default = "key transport" };
	{ "OMEMO 2 without a body", write { encrypted("urn:xmpp:omemo:2", true) },
		default = "omemo:2"; with_body = "omemo:2" };
	{ "OMEMO 1 without a body", write { encrypted("urn:xmpp:omemo:1", true) },
		default = "omemo:1"; with_body = "omemo:1" };
	{ "what is only marked as encrypted", write { st.stanza("encryption", { xmlns = "urn:xmpp:eme:0", namespace = "urn:example" }) },
		default = "encrypted"; with_body = "encrypted" };
	{ "PGP", write { body = "encrypted", st.stanza("x", { xmlns = "jabber:x:encrypted" }):text("AA==") } };
	{ "OX without a body", write { st.stanza("openpgp", { xmlns = "urn:xmpp:openpgp:0" }):text("AA==") },
		with_body = "stand-in" };
	{ "a call", write { jmi("propose") },
		with_body = "stand-in" };
	{ "the end of a call that did not ring", write { jmi("retract") },
		default = "rang nobody"; with_body = "rang nobody"; without_body = "rang nobody" };
	{ "a retraction", write { retraction } };
	{ "a retraction with a fallback", write { body = "took a message back", retraction, fallback("urn:xmpp:message-retract:1") },
		default = "fallback"; with_body = "fallback" };
	{ "a reaction", write { reactions } };
	{ "a reaction with a fallback", write { body = "👍", reactions, fallback("urn:xmpp:reactions:0") },
		default = "fallback"; with_body = "fallback" };
	{ "a reply with a fallback", write { body = "> Juliet!\nRomeo?", fallback("urn:xmpp:reply:0") } };
	{ "an invitation", write { conference },
		default = "invitation"; with_body = "invitation" };
	{ "an invitation with a body", write { body = "Come to Verona", conference } };
	{ "a mediated invitation", from_service(invite),
		default = "invitation"; with_body = "invitation" };
	{ "a mediated invitation with a body", from_service(body, invite) };
	{ "a room's word to an absent member", from_service(st.stanza("body"), absent, no_store),
		default = "invitation"; with_body = "invitation" };
	{ "a room's word to an absent member, with a text", from_service(body, absent, no_store) };
	{ "a room's message", from_room(body) };
	{ "a room's subject", from_room(st.stanza("subject"):text("Verona")),
		default = "nothing to see"; with_body = "nothing to see"; without_body = "nothing to see" };
	{ "a room's subject with a body", from_room(st.stanza("subject"):text("Verona"), body),
		with_body = "no text" };
	{ "a room's call", from_room(jmi("propose")),
		with_body = "stand-in" };
	{ "a message to another user", function (world) world.juliet:message { to = "mercutio@example.test", body = "Hm" }; end };
	{ "a ping", function (world) world.server:ping("romeo"); end };
	{ "a ping of one device", function (world) world.server:eval([[
		local identifier = "push.example.test<b";
		local records = module:open_store("cloud_notify"):get("romeo");
		module:fire_event("cloud-notify-ping", { user = "romeo", push_services = { [identifier] = records[identifier] } });
	]]); end };
};

local presence = {
	{ "a chat message, while one device has a session", function (world)
		world.phone = client.connect(world.server, "romeo", { resource = "phone" });
		world.phone:enable_push({ jid = "push.example.test", node = "a", options = { secret = "new" } });
		write { body = "Romeo?" }(world);
	end };
	{ "a call, while one device has a session", write { jmi("propose") } };
	{ "a chat state, while one device has a session", write { composing } };
	{ "a message that the user sends", function (world) world.phone:message { to = "juliet@example.test", body = "Juliet!" }; end };
	{ "a message that the user sends to himself", function (world) world.phone:message { to = "romeo@example.test", body = "Note" }; end,
		default = "own message" };
	{ "a message while the only session wants none", function (world)
		world.phone:send(st.presence({ type = "unavailable" }));
		world.phone:sync();
		write { body = "Romeo?" }(world);
	end, default = "once" };
	{ "a message after one registration ended", function (world)
		world.phone:disable_push({ jid = "push.example.test", node = "a" });
		world.phone:close();
		write { body = "Romeo?" }(world);
	end };
	{ "a message after all registrations of an app server ended", function (world)
		local phone = client.connect(world.server, "romeo");
		phone:disable_push({ jid = "push.example.test" });
		phone:close();
		write { body = "Romeo?" }(world);
	end };
};

-- Runs the action while the device `a` sleeps, and waits for its batch. A batch is short here.
local function asleep(action)
	return function (world)
		if not world.sleeper then
			world.server:eval([[
				local timer = require "util.timer";
				local add_task = timer.add_task;
				function timer.add_task(delay, ...) return add_task(delay == 1 and 0.1 or delay, ...); end
			]]);
			world.sleeper = client.connect(world.server, "romeo", { resource = "sleeper", smacks = true });
			world.sleeper:enable_push({ jid = "push.example.test", node = "a" });
			world.sleeper:acked();
			world.sleeper:sleep();
		end
		action(world);
		-- Waits for a timer that fires after the batch's.
		world.server:eval("prosody.spec_left = false; module:add_timer(1, function () prosody.spec_left = true; end)");
		net.wait(function () return world.server:eval("return prosody.spec_left"); end, "the end of a batch");
	end;
end

local sleep = {
	{ "a message, while one device sleeps", asleep(write { body = "Romeo?" }) };
	{ "a chat state, while one device sleeps", asleep(write { composing }), sleeping = "nothing to see" };
	{ "many messages, while one device sleeps", asleep(function (world)
		-- Sends all messages without a pause, because a batch is short here.
		local juliet = world.juliet;
		for i = 1, 5 do juliet:send(st.message({ to = "romeo@example.test", type = "chat", id = "many"..i }, "Romeo "..i)); end
		juliet:sync();
	end) };
	{ "a receipt, while one device sleeps", asleep(write { st.stanza("received", { xmlns = "urn:xmpp:receipts", id = "m" }) }) };
	{ "a headline, while one device sleeps", asleep(write { type = "headline", st.stanza("x", { xmlns = "urn:example:news" }) }),
		sleeping = "nothing to see"; sleeping_with_body = "nothing to see" };
	{ "a headline with a body, while one device sleeps", asleep(write { type = "headline", body = "News" }),
		sleeping_with_body = "no text" };
};

-- Returns name, attributes and children of an element; without ids, and without a namespace that is the parent's.
local function plain(element, xmlns)
	local attr, children = {}, {};
	for name, value in pairs(element.attr) do attr[name] = value; end
	if attr.xmlns == xmlns then attr.xmlns = nil; end
	if element.name == "iq" then attr.id = nil; end
	for i, child in ipairs(element) do
		children[i] = type(child) == "string" and child or plain(child, element.attr.xmlns or xmlns);
	end
	return { element.name, attr, children };
end

-- Removes the differences in every push, which are listed at the top, from a push of the reference.
local function seen_through(push)
	push = st.clone(push);
	local form = push.tags[1].tags[1].tags[1].tags[1]:get_child("x", "jabber:x:data");
	assert(form.attr.type == "form");
	form.attr.type = "submit";
	form:maptags(function (field)
		if field.attr.var ~= "FORM_TYPE" then field.attr.type = nil; end
		return (field:get_child_text("value") or "") ~= "" and field or nil;
	end);
	return push;
end

local function collect(world, see)
	local pushes = {};
	for _, app in ipairs({ world.app, world.app2 }) do
		app:settled();
		for _, push in ipairs(app.pushes) do table.insert(pushes, plain(see(push), "")); end
		app.pushes = {};
	end
	table.sort(pushes, function (a, b) return device(a) < device(b); end);
	return pushes;
end

local function open(module, options)
	local server = prosody.start { version = version, module = module, options = options };
	local world = {
		server = server; app = appserver.connect(server, "push.example.test"); app2 = appserver.connect(server, "push2.example.test");
		juliet = client.connect(server, "juliet", { resource = "balcony" });
	};
	local phone = client.connect(server, "romeo");
	phone:enable_push({ jid = "push.example.test", node = "a", options = { secret = "s" } });
	phone:enable_push({ jid = "push.example.test", node = "b", options = st.stanza("x", { xmlns = "jabber:x:data", type = "form" })
		:tag("field", { var = "pushModule", type = "text-private", label = "<&>" }):text_tag("value", "m"):text_tag("value", ""):reset() });
	phone:enable_push({ jid = "push2.example.test" });
	phone:close();
	return world;
end

local used, compared = {}, 0;

for _, run in ipairs({
	{ "default", {}, content, presence };
	{ "sleeping", {}, sleep };
	{ "sleeping_with_body", { push_notification_with_body = true }, { sleep[5], sleep[6] } };
	{ "with_body", { push_notification_with_body = true, push_notification_with_sender = true }, content };
	{ "without_body", { push_notification_important_body = "" }, content };
}) do
	local name, options = run[1], run[2];
	describe("parity with the reference, "..name..":", function ()
		local ours, reference;
		setup(function () ours, reference = open("ours", options), open("reference", options); end);
		teardown(function () ours.server:stop(); reference.server:stop(); end);
		for i = 3, #run do
			for _, step in ipairs(run[i]) do
				local difference = step[name];
				it(step[1]..(difference and " differs ("..difference..")" or ""), function ()
					step[2](ours);
					step[2](reference);
					local mine, theirs = collect(ours, function (push) return push; end), collect(reference, seen_through);
					compared = compared + #theirs;
					if difference then
						used[difference] = true;
						theirs = DIFFERENCES[difference](theirs);
					end
					assert.same(theirs, mine);
				end);
			end
		end
	end);
end

describe("parity", function ()
	it("was compared in many pushes, and every listed difference occurred", function ()
		assert.is_true(compared > 150, compared.." pushes were compared");
		for name in pairs(DIFFERENCES) do assert.is_true(used[name], name); end
	end);
end);

describe("the store", function ()
	for _, way in ipairs({ { "reference", "ours" }, { "ours", "reference" } }) do
		it("written by "..way[1].." is read by "..way[2], function ()
			local world = open(way[1], {});
			local before = world.server:stored("romeo");
			world.server.module = way[2];
			world.server:restart();
			world.app, world.app2 = appserver.connect(world.server, "push.example.test"), appserver.connect(world.server, "push2.example.test");
			world.juliet = client.connect(world.server, "juliet");
			write { body = "Romeo?" }(world);
			assert.same({ 2, 1 }, { world.app:settled(), world.app2:settled() });
			local secrets = {};
			for _, push in ipairs(world.app.pushes) do
				local read = appserver.read(push);
				secrets[read.node] = read.options.secret or read.options.pushModule;
			end
			assert.same({ a = "s", b = "m" }, secrets);
			-- Adding a registration leaves the others unchanged.
			local phone = client.connect(world.server, "romeo");
			phone:enable_push({ jid = "push.example.test", node = "c" });
			local after = world.server:stored("romeo");
			assert.equal("c", after["push.example.test<c"].node);
			after["push.example.test<c"] = nil;
			assert.same(before, after);
			world.server:stop();
		end);
	end
end);
