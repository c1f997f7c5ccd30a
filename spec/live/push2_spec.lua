-- Push 2.0 on a real server, with a real push service.
local prosody = require "spec.support.prosody";
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local net = require "spec.support.net";
local push2 = require "spec.support.push2";
local tigase = require "spec.support.tigase";
local base64 = require "util.encodings".base64.encode;
local st = require "util.stanza";

local PUSH, PUSHER, STORE = "push2.example.test", "pusher@push2.example.test", "push2_registrations";
local enable, match = push2.enable, push2.match;

local server, app, phone, juliet;

local function start(options, more)
	local opts = {
		version = os.getenv("PROSODY"), module = "ours", options = options, enable = { "push2" }, disable = { "cloud_notify" };
	};
	for name, value in pairs(more or {}) do opts[name] = value; end
	server = prosody.start(opts);
	app = appserver.connect(server, PUSH);
	juliet = client.connect(server, "juliet");
end

-- Enables push on romeo's phone with these matches. Returns the answer.
local function enables(...)
	return phone:iq(push2.iq(enable { service = PUSHER, ... }));
end

local function ask(...)
	assert.equal("result", enables(...).attr.type);
end

-- Connects romeo's phone, enables push with these matches, and closes the session.
local function away(...)
	server:store("romeo", nil, STORE);
	server:reload("push2");
	app.pushes = {};
	phone = client.connect(server, "romeo", { resource = "phone" });
	ask(...);
	phone:close();
end

local function write(text, ...)
	juliet:message { to = "romeo@example.test", body = text, ... };
end

-- Returns the contents of the pushes that have come.
local function pushed()
	local n = app:settled();
	local read = {};
	for i = 1, n do read[i] = push2.read(app.pushes[i]); end
	app.pushes = {};
	return read;
end

local function priorities()
	local found = {};
	for i, push in ipairs(pushed()) do found[i] = push.priority; end
	return found;
end

local function sleeps(...)
	app.pushes = {};
	phone = client.connect(server, "romeo", { resource = "phone", smacks = true });
	ask(...);
	phone:acked();
	phone:sleep();
end

local function timeout() return phone:session(".hibernating_watchdog.timeout"); end

describe("push2", function ()
	setup(function () start(); end);
	teardown(function () server:stop(); end);

	it("is announced by the account, with its profiles", function ()
		local romeo = client.connect(server, "romeo");
		local found = romeo:features(romeo.bare);
		for _, feature in ipairs({
			"urn:xmpp:push2:0", push2.notify_only, push2.encrypted, "urn:xmpp:push2:match:all", "urn:xmpp:push2:match:important",
			"urn:xmpp:push2:match:archived", "urn:xmpp:push2:match:archived-with-body",
		}) do
			assert.is_true(found[feature], feature);
		end
		romeo:close();
	end);

	it("sends the message that the draft describes", function ()
		away(match("important"));
		write("Romeo?");
		local push = app:expect(1);
		assert.equal(PUSHER, push.attr.to);
		assert.equal("example.test", push.attr.from);
		assert.is_nil(push.attr.type);
		assert.is_true(#push.attr.id > 10);
		assert.equal(1, #push.tags);
		assert.same({ client = "https://push.example.test/client", priority = "normal", voip = false }, pushed()[1]);
	end);

	it("is stored in the shape of the module that it replaces", function ()
		away(match("important", { grace = 144, filters = { { "Room@Rooms.example.test", "mention" }, { "evil.example" } } }),
			match("all", { send = push2.encrypted, jwt = "ES256" }));
		local record = server:stored("romeo", STORE).phone;
		assert.is_true(math.abs(record.timestamp - os.time()) < 60);
		record.timestamp = nil;
		assert.same({
			service = PUSHER; client = "https://push.example.test/client";
			matches = {
				{ match = "urn:xmpp:push2:match:important", grace = 144, send = push2.notify_only,
					chats = { ["room@rooms.example.test"] = { mention = true }, ["evil.example"] = {} } };
				{ match = "urn:xmpp:push2:match:all", send = push2.encrypted, chats = {}, ua_public = push2.ua_public,
					auth_secret = push2.auth_secret, jwt_alg = "ES256", jwt_key = push2.jwt_key,
					jwt_claims = { aud = "https://push.example.test" } };
			};
		}, record);
	end);

	it("reads the records of that module, and skips broken ones", function ()
		server:store("romeo", {
			tablet = { service = PUSHER, client = "tablet", timestamp = 1, matches = {
				{ match = "urn:xmpp:push2:match:all", send = push2.notify_only, chats = {} } } };
			broken = { service = PUSHER, client = "broken", timestamp = 2, matches = {
				{ match = "urn:xmpp:push2:match:all", send = push2.encrypted, ua_public = "AAAA", auth_secret = "AAAA", chats = {} } } };
			nonsense = { service = {}, client = 7 };
		}, STORE);
		server:reload("push2");
		app.pushes = {};
		write("Romeo?");
		assert.same({ { client = "tablet", priority = "normal", voip = false } }, pushed());
		assert.is_truthy(server:stored("romeo", STORE).broken);
	end);

	it("answers an invalid request with an error that names the fault, and stores nothing", function ()
		away(match("all"));
		local before = server:stored("romeo", STORE);
		phone = client.connect(server, "romeo", { resource = "another" });
		local encrypted = { send = push2.encrypted };
		local function with(name, value, more)
			local fields = { send = push2.encrypted, [name] = value };
			for key, other in pairs(more or {}) do fields[key] = other; end
			return match("all", fields);
		end
		local many = {};
		for i = 1, 9 do many[i] = match("all"); end
		local deep = match("all", encrypted);
		deep:maptags(function (child) child:maptags(function () return nil; end); return child; end);
		for i, case in ipairs({
			{ "bad-request", "Missing service", {} };
			{ "bad-request", "Missing client", { service = PUSHER, client = false } };
			{ "bad-request", "Missing client", { service = PUSHER, client = "" } };
			{ "bad-request", "not a valid JID", { service = "@" } };
			{ "bad-request", "not your own", { service = phone.jid } };
			{ "bad-request", "not your own", { service = phone.bare } };
			{ "bad-request", "grace", { service = PUSHER, match("all", { grace = "soon" }) } };
			{ "bad-request", "grace", { service = PUSHER, match("all", { grace = "-1" }) } };
			{ "bad-request", "filter", { service = PUSHER, match("all", { filters = { {} } }) } };
			{ "bad-request", "filter", { service = PUSHER, match("all", { filters = { { "@" } } }) } };
			{ "feature-not-implemented", "match profile", { service = PUSHER, match("urn:example:tuesdays") } };
			{ "feature-not-implemented", "send profile", { service = PUSHER, match("all", { send = "urn:example:pigeon" }) } };
			{ "bad-request", "ua-public", { service = PUSHER, with("ua_public", "AAAA") } };
			{ "bad-request", "ua-public", { service = PUSHER, with("ua_public", push2.ua_public:sub(1, -3).."AA") } };
			{ "bad-request", "ua-public", { service = PUSHER, deep } };
			{ "bad-request", "auth-secret", { service = PUSHER, with("auth_secret", base64(("x"):rep(15))) } };
			{ "feature-not-implemented", "jwt-alg", { service = PUSHER, with("jwt", "ROT13") } };
			{ "bad-request", "jwt-key", { service = PUSHER, with("jwt", "ES256", { jwt_key = "AAAA" }) } };
			{ "bad-request", "jwt-key", { service = PUSHER, with("jwt", "ES384") } };
			{ "bad-request", "16 kB", { service = PUSHER, client = ("x"):rep(17000) } };
			{ "bad-request", "16 kB", { service = PUSHER, with("jwt", "HS256", { aud = ("x"):rep(17000) }) } };
			{ "bad-request", "16 kB", { service = PUSHER, with("jwt", "HS256", { claim = ("x"):rep(17000) }) } };
			{ "bad-request", "8 matches", { service = PUSHER, table.unpack(many) } };
		}) do
			local reply = phone:iq(push2.iq(enable(case[3])));
			local kind, condition, text = reply:get_error();
			assert.same({ i, "modify", case[1] }, { i, kind, condition });
			assert.is_truthy(text:find(case[2], 1, true), i..": "..text);
		end
		assert.same(before, server:stored("romeo", STORE));
		assert.is_nil(phone:session(".push_registration_id"));
		phone:close();
	end);

	it("accepts an unknown match beside a known one", function ()
		away(match("urn:example:tuesdays"), match("all", { send = "urn:example:pigeon" }), match("important"));
		write("Romeo?");
		assert.same({ "normal" }, priorities());
	end);

	it("keeps one registration for each client, and ends it on request", function ()
		away(match("all"));
		phone = client.connect(server, "romeo", { resource = "phone" });
		assert.equal("result", phone:iq(push2.iq(enable { service = PUSHER, client = "second", match("all") })).attr.type);
		local tablet = client.connect(server, "romeo", { resource = "tablet" });
		assert.equal("result", tablet:iq(push2.iq(enable { service = PUSHER, client = "tablet", match("all") })).attr.type);
		tablet:close();
		phone:close();
		write("Romeo?");
		local clients = {};
		for _, push in ipairs(pushed()) do clients[push.client] = true; end
		assert.same({ second = true, tablet = true }, clients);
		phone = client.connect(server, "romeo", { resource = "phone" });
		assert.equal("result", phone:iq(push2.disable()).attr.type);
		assert.equal("result", phone:iq(push2.disable()).attr.type, "again");
		assert.is_nil(server:stored("romeo", STORE).phone);
		phone:close();
		write("Romeo?");
		assert.equal("tablet", pushed()[1].client);
	end);

	it("ends an unreadable registration of a client, and none of another client", function ()
		server:store("romeo", { phone = "text", tablet = "text" }, STORE);
		server:reload("push2");
		phone = client.connect(server, "romeo", { resource = "phone" });
		assert.equal("result", phone:iq(push2.disable()).attr.type);
		assert.same({ tablet = "text" }, server:stored("romeo", STORE));
		server:store("romeo", nil, STORE);
		phone:close();
	end);

	it("wakes no client that is connected", function ()
		away(match("all"));
		phone = client.connect(server, "romeo", { resource = "phone" });
		ask(match("all"));
		write("Romeo?");
		assert.same({}, pushed());
		phone:close();
	end);

	it("pushes archived messages while another client is connected, and others only for the profile all", function ()
		local laptop = client.connect(server, "romeo", { resource = "laptop" });
		for profile, expected in pairs({
			all = { "normal" }, important = { "normal" }, archived = { "normal" }, ["archived-with-body"] = { "normal" },
		}) do
			away(match(profile));
			write("Romeo?");
			assert.same(expected, priorities(), profile);
		end
		laptop:close();
		for profile, expected in pairs({ all = { "low" }, important = {}, archived = {}, ["archived-with-body"] = {} }) do
			away(match(profile));
			write(nil, st.stanza("active", { xmlns = "http://jabber.org/protocol/chatstates" }));
			assert.same(expected, priorities(), profile);
		end
	end);

	it("wakes a client with an archive profile when the user has no session", function ()
		away(match("archived-with-body", { send = push2.encrypted }));
		write("Wherefore art thou?");
		local stanza = push2.decrypt(pushed()[1].payload);
		assert.equal("Wherefore art thou?", stanza:get_child_text("body"));
		assert.equal("romeo@example.test", stanza:get_child("stanza-id", "urn:xmpp:sid:0").attr.by);
	end);

	-- Returns the archive ids of romeo's messages, as a client reads them.
	local function archived()
		local romeo, ids = client.connect(server, "romeo", { resource = "reader" }), {};
		romeo:iq(st.stanza("iq", { type = "set" }):tag("query", { xmlns = "urn:xmpp:mam:2" })
			:tag("set", { xmlns = "http://jabber.org/protocol/rsm" }):text_tag("max", "10"):tag("before"):up());
		for _, stanza in ipairs(romeo.stanzas) do
			local result = stanza:get_child("result", "urn:xmpp:mam:2");
			if result then ids[#ids + 1] = result.attr.id; end
		end
		romeo:close();
		return ids;
	end

	it("encrypts the stanza for the client, with its archive id, and signs one token for several pushes", function ()
		away(match("important", { send = push2.encrypted, jwt = "ES256" }));
		write("Wherefore <art> thou?", st.stanza("stanza-id", { xmlns = "urn:xmpp:sid:0", by = "romeo@example.test", id = "forged" }));
		local laptop = client.connect(server, "romeo", { resource = "laptop" });
		write("Deny thy father");
		laptop:close();
		local first, second = table.unpack(pushed());
		local ids = archived();
		for i, case in ipairs({ { first, "Wherefore <art> thou?" }, { second, "Deny thy father" } }) do
			local stanza = push2.decrypt(case[1].payload);
			assert.equal("jabber:client", stanza.attr.xmlns);
			assert.equal(juliet.jid, stanza.attr.from);
			assert.equal(case[2], stanza:get_child_text("body"));
			local found = {};
			for id in stanza:childtags("stanza-id", "urn:xmpp:sid:0") do found[#found + 1] = id.attr.id; end
			assert.same({ ids[#ids - 2 + i] }, found);
		end
		assert.not_equal(first.payload, second.payload);
		assert.equal(first.jwt, second.jwt);
		local claims = push2.verify(first.jwt, "ES256", first.key);
		assert.equal("https://push.example.test", claims.aud);
		assert.equal("xmpp:example.test", claims.sub);
		local ahead = claims.exp - os.time();
		assert.is_true(ahead > 3600 and ahead <= 24 * 3600, "exp is "..ahead.." seconds ahead");
	end);

	it("signs with every algorithm that it announces", function ()
		for _, algorithm in ipairs({ "ES256", "ES384", "ES512", "EdDSA", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512" }) do
			away(match("all", { send = push2.encrypted, jwt = algorithm, jwt_key = push2.generate(algorithm) }));
			write("Romeo?");
			local push = pushed()[1];
			assert.equal("https://push.example.test", push2.verify(push.jwt, algorithm, push.key).aud, algorithm);
		end
		for _, algorithm in ipairs({ "HS256", "HS384", "HS512" }) do
			away(match("all", { send = push2.encrypted, jwt = algorithm, jwt_key = "the secret" }));
			write("Romeo?");
			local push = pushed()[1];
			assert.is_nil(push.key);
			assert.equal("https://push.example.test", push2.verify(push.jwt, algorithm, base64("the secret")).aud, algorithm);
		end
	end);

	it("signs a push without a stanza, too", function ()
		away(match("important", { send = push2.encrypted, jwt = "ES256" }));
		server:ping("romeo");
		local push = pushed()[1];
		assert.is_nil(push.payload);
		assert.equal("https://push.example.test", push2.verify(push.jwt, "ES256", push.key).aud);
	end);

	it("trims a stanza that is too large, and keeps the archive id", function ()
		away(match("all", { send = push2.encrypted }));
		write(("é"):rep(8000), st.stanza("needless", { xmlns = "urn:example" }):text(("x"):rep(500)));
		local stanza = push2.decrypt(pushed()[1].payload);
		local ids = archived();
		assert.equal(ids[#ids], stanza:get_child("stanza-id", "urn:xmpp:sid:0").attr.id);
		assert.matches("^[é]+…$", stanza:get_child_text("body"));
		assert.is_nil(stanza:get_child("needless", "urn:example"));
	end);

	it("rings for a call, and stops ringing, with any profile, grace and filter", function ()
		away(match("archived-with-body", { grace = 100, filters = { { "juliet@example.test" } } }));
		local laptop = client.connect(server, "romeo", { resource = "laptop" });
		laptop:message { to = "juliet@example.test", body = "I am here" };
		write(nil, tigase.call("c1", "audio"));
		assert.same({ { client = "https://push.example.test/client", priority = "high", voip = true } }, pushed());
		laptop:message { to = "romeo@example.test", st.stanza("accept", { xmlns = "urn:xmpp:jingle-message:0", id = "c1" }) };
		assert.same({ { client = "https://push.example.test/client", priority = "high", voip = true } }, pushed());
		laptop:close();
	end);

	it("does not push the end of a call to the client that takes it", function ()
		away(match("important"));
		write(nil, tigase.call("c2", "audio"));
		assert.same({ "high" }, priorities());
		phone = client.connect(server, "romeo", { resource = "phone" });
		ask(match("important"));
		phone:message { to = "romeo@example.test", st.stanza("accept", { xmlns = "urn:xmpp:jingle-message:0", id = "c2" }) };
		assert.same({}, priorities());
		write(nil, st.stanza("finish", { xmlns = "urn:xmpp:jingle-message:0", id = "c2" }));
		assert.same({}, priorities(), "nor what it knows");
		phone:close();
	end);

	it("pushes nothing during grace while the user writes with another client", function ()
		away(match("all", { grace = 100 }));
		local laptop = client.connect(server, "romeo", { resource = "laptop" });
		write("Romeo?");
		assert.same({ "normal" }, priorities(), "he has only come");
		laptop:message { to = "juliet@example.test", st.stanza("received", { xmlns = "urn:xmpp:receipts", id = "1" }) };
		write("Romeo?");
		assert.same({ "normal" }, priorities(), "a receipt is no activity");
		laptop:message { to = "juliet@example.test", st.stanza("composing", { xmlns = "http://jabber.org/protocol/chatstates" }) };
		write("Romeo?");
		assert.same({}, priorities());
		server:eval([[prosody.hosts[module.host].sessions.romeo.sessions.laptop.last_activity = os.time() - 101]]);
		write("Romeo?");
		assert.same({ "normal" }, priorities(), "that was long ago");
		laptop:message { to = juliet.jid, body = "Speak again" };
		write("Romeo?");
		assert.same({}, priorities());
		laptop:close();
	end);

	it("does not count an error as activity", function ()
		away(match("all", { grace = 100 }));
		local laptop = client.connect(server, "romeo", { resource = "laptop" });
		laptop:message { to = "juliet@example.test", type = "error", body = "Romeo?" };
		write("Romeo?");
		assert.same({ "normal" }, priorities());
		laptop:close();
	end);

	describe("while the client sleeps and another gets the message", function ()
		local laptop;
		-- romeo's phone enables carbons and push with these matches, and sleeps. romeo's laptop is connected.
		local function sleeps_with_carbons(...)
			phone = client.connect(server, "romeo", { resource = "phone", smacks = true });
			phone:iq(st.stanza("iq", { type = "set" }):tag("enable", { xmlns = "urn:xmpp:carbons:2" }));
			ask(...);
			phone:acked();
			phone:sleep();
			app.pushes = {};
			laptop = client.connect(server, "romeo", { resource = "laptop" });
		end
		after_each(function ()
			client.resume(server, "romeo", phone):close();
			laptop:close();
		end);

		it("pushes the message in the carbon, with its archive id", function ()
			sleeps_with_carbons(match("archived", { send = push2.encrypted }));
			juliet:message { to = laptop.jid, body = ("Romeo? "):rep(1000) };
			local stanza = push2.decrypt(push2.read(app:expect(1)).payload);
			assert.equal(juliet.jid, stanza.attr.from);
			assert.matches("^Romeo%? .*…$", stanza:get_child_text("body"));
			local ids = archived();
			assert.equal(ids[#ids], stanza:get_child("stanza-id", "urn:xmpp:sid:0").attr.id);
		end);

		it("pushes the text of a message with many elements", function ()
			sleeps_with_carbons(match("all", { send = push2.encrypted }));
			local html = st.stanza("html", { xmlns = "http://jabber.org/protocol/xhtml-im" });
			for i = 1, 400 do html:text_tag("span", "Romeo "..i); end
			juliet:message { to = laptop.jid, body = "Romeo?", html };
			local stanza = push2.decrypt(push2.read(app:expect(1)).payload);
			assert.same({ juliet.jid, "Romeo?" }, { stanza.attr.from, stanza:get_child_text("body") });
		end);

		it("filters the carbon by the sender of the message in it", function ()
			sleeps_with_carbons(match("important", { filters = { { "juliet@example.test" } } }));
			local before = #server:log();
			juliet:message { to = laptop.jid, body = "Romeo?" };
			net.wait(function ()
				return server:log():find("No push for romeo to phone: the client filters", before, true);
			end, "the decision");
			assert.same({}, pushed());
		end);

		it("does not trust a forged carbon", function ()
			sleeps_with_carbons(match("all", { filters = { { "juliet@example.test" } } }));
			local mercutio = client.connect(server, "mercutio");
			-- The filter is for juliet, and the forwarded text is not mercutio's.
			mercutio:message { to = phone.jid, st.stanza("received", { xmlns = "urn:xmpp:carbons:2" })
				:tag("forwarded", { xmlns = "urn:xmpp:forward:0" })
				:tag("message", { xmlns = "jabber:client", from = "juliet@example.test/x", to = laptop.jid, type = "chat" })
				:text_tag("body", "Romeo?"):reset() };
			app:expect(1);
			assert.same({ "low" }, priorities());
			mercutio:close();
		end);
	end);

	it("does not push a push", function ()
		local function mutual(user, service)
			local self = client.connect(server, user, { resource = "phone" });
			assert.equal("result", self:iq(push2.iq(enable { service = service, match("all") })).attr.type);
			self:close();
		end
		mutual("romeo", "mercutio@example.test");
		mutual("mercutio", "romeo@example.test");
		server:eval([[
			local names, sent = { romeo = true, mercutio = true }, 0;
			module:hook("message/bare", function (event)
				if names[event.stanza.attr.to:match("^[^@]+")] and event.stanza:get_child("notification", "urn:xmpp:push2:0") then
					sent = sent + 1;
				end
			end, 1000);
			prosody.spec_sent = function () return sent; end;
		]]);
		write("Romeo?");
		app:settled();
		assert.equal(1, server:eval("return prosody.spec_sent()"));
	end);

	it("forgets a deleted account", function ()
		away(match("all"));
		server:eval([[require "core.usermanager".delete_user("romeo", module.host)]]);
		assert.is_nil(server:stored("romeo", STORE));
		server:eval([[require "core.usermanager".create_user("romeo", "secret", module.host)]]);
		write("Romeo?");
		assert.same({}, pushed());
	end);

	it("wakes all devices by cloud-notify-ping, except for an event with registrations of another protocol", function ()
		away(match("important", { send = push2.encrypted }));
		server:ping("romeo");
		assert.same({ { client = "https://push.example.test/client", priority = "low", voip = false } }, pushed());
		server:eval([[module:fire_event("cloud-notify-ping", { user = "romeo", push_services = { a = { jid = "push.example" } } })]]);
		assert.same({}, pushed());
	end);

	it("logs no key and no text", function ()
		away(match("all", { send = push2.encrypted, jwt = "ES256" }));
		write("a very private message");
		pushed();
		server:eval([[
			local store = module:open_store("push2_registrations");
			local all = store:get("romeo");
			all.phone.matches[1].jwt_key = "AAAA";
			store:set("romeo", all);
		]]);
		server:reload("push2");
		write("a very private message");
		pushed();
		for line in server:log():gmatch("[^\n]+") do
			if line:find("push2", 1, true) and not line:find("Received", 1, true) and not line:find("Sending", 1, true) then
				assert.is_nil(line:find("private message", 1, true));
				for _, secret in ipairs({ push2.auth_secret, push2.jwt_key:sub(1, 40), push2.ua_public }) do
					assert.is_nil(line:find(secret, 1, true), line:sub(1, 200));
				end
			end
		end
	end);
end);

describe("push2 and stream management", function ()
	after_each(function () server:stop(); end);

	it("wakes a sleeping client once for important stanzas and once for others", function ()
		start({ smacks_hibernation_time = 300 });
		sleeps(match("all"));
		write("Romeo?");
		write("Wherefore?");
		write(nil, st.stanza("active", { xmlns = "http://jabber.org/protocol/chatstates" }));
		app:expect(2);
		assert.same({ "normal", "low" }, priorities());
		phone = client.resume(server, "romeo", phone);
		write("Art thou there?");
		assert.same({}, pushed());
	end);

	it("sends the archive id to a sleeping client", function ()
		start({ smacks_hibernation_time = 300 });
		sleeps(match("archived-with-body", { send = push2.encrypted }));
		write("Romeo?");
		local stanza = push2.decrypt(push2.read(app:expect(1)).payload);
		assert.equal("Romeo?", stanza:get_child_text("body"));
		assert.equal("romeo@example.test", stanza:get_child("stanza-id", "urn:xmpp:sid:0").attr.by);
	end);

	it("wakes a client whose acks are late, and not again when it sleeps", function ()
		start({ smacks_max_ack_delay = 1, smacks_hibernation_time = 300 });
		phone = client.connect(server, "romeo", { resource = "phone", smacks = true });
		ask(match("all"));
		phone.stream.stalled = true;
		write("Romeo?");
		app:expect(1);
		phone:sleep();
		assert.same({ "normal" }, priorities());
	end);

	it("keeps the long hibernation after the first push, unless hibernate_past_first_push is off", function ()
		start({ smacks_hibernation_time = 2, push_max_hibernation_timeout = 300 });
		sleeps(match("all"));
		assert.equal(300, timeout());
		write("Romeo?");
		app:expect(1);
		assert.equal(300, timeout());
		server:reload("push2");
		assert.equal(300, timeout(), "over a reload");
		server:stop();
		start({ smacks_hibernation_time = 2, push_max_hibernation_timeout = 300, hibernate_past_first_push = false });
		sleeps(match("all"));
		assert.equal(300, timeout());
		write("Romeo?");
		app:expect(1);
		assert.equal(2, timeout());
		phone:gone();
	end);

	it("restores mod_smacks's timeout when the registration ends or the module is unloaded", function ()
		start({ smacks_hibernation_time = 200, push_max_hibernation_timeout = 300 });
		sleeps(match("all"));
		assert.equal(300, timeout());
		server:unload("push2");
		assert.equal(200, timeout());
		assert.is_nil(phone:session(".push_registration_id"));
	end);
end);

describe("push2 beside cloud_notify, in one session", function ()
	local xep0357;
	before_each(function ()
		start({ smacks_hibernation_time = 200, push_max_hibernation_timeout = 300 }, { disable = {} });
		xep0357 = appserver.connect(server, "push.example.test");
		phone = client.connect(server, "romeo", { resource = "phone", smacks = true });
		phone:enable_push { jid = "push.example.test", node = "n" };
		ask(match("all"));
		phone:acked();
		-- Notes the timeout of every watchdog that a session gets from now on. Its timer fires a second later.
		server:eval([[
			local timer = require "util.timer";
			local add_task = timer.add_task;
			prosody.spec_timeouts = {};
			function timer.add_task(delay, ...)
				if delay == 201 or delay == 301 then table.insert(prosody.spec_timeouts, delay - 1); end
				return add_task(delay, ...);
			end
		]]);
		phone:sleep();
	end);
	after_each(function () server:stop(); end);

	local function timeouts() return server:eval("return prosody.spec_timeouts"); end

	it("extends the watchdog once, and restores it once when neither module holds the session", function ()
		assert.same({ 200, 300 }, timeouts());
		write("Romeo?");
		app:expect(1);
		xep0357:expect(1);
		assert.same({ 1, 1 }, { app:settled(), xep0357:settled() });
		assert.same({ 200, 300 }, timeouts(), "Push 2.0 hibernates past the first push");
		local laptop = client.connect(server, "romeo", { resource = "laptop" });
		laptop:disable_push { jid = "push.example.test" };
		assert.same({ 200, 300 }, timeouts());
		server:eval([[
			local session = prosody.hosts[module.host].sessions.romeo.sessions.phone;
			prosody.spec_phone = session;
		]]);
		server:unload("push2");
		assert.same({ 200, 300, 200 }, timeouts());
	end);

	it("restores the session when the modules are unloaded, in any order", function ()
		server:unload("push2");
		assert.same({ 200, 300 }, timeouts());
		assert.equal(300, timeout());
		server:unload("cloud_notify");
		assert.same({ 200, 300, 200 }, timeouts());
	end);

	it("lets it resume", function ()
		phone = client.resume(server, "romeo", phone);
		phone:acked();
		phone:sleep();
		assert.same({ 200, 300, 200, 300 }, timeouts());
	end);
end);

describe("push2 and the errors of a push service", function ()
	-- Sets the clock ahead. The module was loaded with this clock.
	local function travel(seconds)
		server:eval([[prosody.spec_offset = (prosody.spec_offset or 0) + ...]], seconds);
	end
	before_each(function ()
		start();
		server:eval([[
			local time = require "util.time";
			local now, monotonic = time.now, time.monotonic;
			function time.now() return now() + (prosody.spec_offset or 0); end
			function time.monotonic() return monotonic() + (prosody.spec_offset or 0); end
		]]);
		away(match("all"));
	end);
	after_each(function () server:stop(); end);

	it("repeat a push that the service cannot take now, with growing delays", function ()
		local times = {};
		function app.answer(push)
			times[#times + 1] = net.now();
			if #times <= 2 then app:send(st.error_reply(push, "wait", "resource-constraint")); end
		end
		write("Romeo?");
		app:expect(3, 20);
		assert.is_true(times[2] - times[1] > 3.5 and times[2] - times[1] < 6, "the first after "..times[2] - times[1]);
		assert.is_true(times[3] - times[2] > 7.5 and times[3] - times[2] < 11, "the second after "..times[3] - times[2]);
		assert.same({ "normal", "normal", "normal" }, priorities());
		assert.is_truthy(server:stored("romeo", STORE).phone);
	end);

	it("do not repeat a push to a client that has a new session", function ()
		-- As SASL2 knows it (XEP-0388 §2.4).
		server:eval([[module:hook("pre-resource-bind", function (event) event.session.client_id = "phone"; end, 100)]]);
		app.answer = { "wait", "resource-constraint" };
		write("Romeo?");
		server:wait_log("The push for romeo to phone is sent again in 4 seconds");
		app.answer = "result";
		phone = client.connect(server, "romeo", { resource = "anything" });
		assert.equal("phone", phone:session(".push_registration_id"));
		local before = app:settled();
		travel(5);
		server:reload("push2");
		assert.equal(before, app:settled());
		phone:close();
	end);

	it("are counted, and a refused push is not repeated", function ()
		app.answer = { "cancel", "service-unavailable", "no such device" };
		for _ = 1, 20 do write("Romeo?"); end
		assert.equal(20, #pushed());
		server:wait_log("cancel/service%-unavailable, no such device%): 20 in a row");
		assert.is_truthy(server:stored("romeo", STORE).phone, "however many");
	end);

	it("end a registration after three days without a break, and the log says why", function ()
		app.answer = { "cancel", "service-unavailable" };
		-- A gap counts for a day at most.
		for _, hours in ipairs({ 0, 100, 24, 23 }) do
			travel(hours * 3600);
			write("Romeo?");
			app:settled();
			assert.is_truthy(server:stored("romeo", STORE).phone);
		end
		travel(3600);
		local laptop = client.connect(server, "romeo", { resource = "phone" });
		server:eval([[prosody.hosts[module.host].sessions.romeo.sessions.phone.push_registration_id = "phone"]]);
		server:ping("romeo");
		net.wait(function () return not (server:stored("romeo", STORE) or {}).phone; end, "the end of the registration");
		assert.is_nil(laptop:session(".push_registration_id"));
		server:wait_log("Push registration removed: romeo, phone %(all pushes to pusher@push2.example.test have failed for 72 hours, "
			.."5 in a row, the last with cancel/service%-unavailable: no text%)");
	end);

	it("are broken by a push without an error, which counts as accepted", function ()
		app.answer = { "cancel", "service-unavailable" };
		write("Romeo?");
		app:settled();
		app.answer = "result";
		travel(3600);
		write("Romeo?");
		app:settled();
		travel(601);
		-- The timer uses the real clock, so a reload checks the time instead.
		server:reload("push2");
		net.wait(function () return server:in_flight("push2") == 0; end, "the end of the wait for an error");
		travel(72 * 3600);
		app.answer = { "cancel", "service-unavailable" };
		write("Romeo?");
		app:settled();
		assert.is_truthy(server:stored("romeo", STORE).phone);
	end);

	it("count only from the service itself", function ()
		app.answer = "none";
		write("Romeo?");
		local push = app:expect(1);
		local error_reply = st.error_reply(push, "wait", "resource-constraint");
		error_reply.attr.from = "other@push2.example.test";
		app:send(error_reply);
		app:settled();
		server:wait_log("other@push2.example.test answered a push that went to pusher@push2.example.test: ignored");
	end);
end);

describe("push2 in a room", function ()
	local ROOM = "verona@rooms.example.test";
	local xmlns_muc = "http://jabber.org/protocol/muc";

	local function join(who, nick)
		who:send(st.presence({ to = ROOM.."/"..nick }):tag("x", { xmlns = xmlns_muc }):up());
		who:expect(function (stanza)
			return stanza.name == "presence" and stanza.attr.from == ROOM.."/"..nick;
		end, "the room");
	end

	setup(function ()
		start({ smacks_hibernation_time = 300 }, { components = { ["rooms.example.test"] = "muc" } });
		join(juliet, "Juliet");
		juliet:iq(st.stanza("iq", { type = "set", to = ROOM }):tag("query", { xmlns = xmlns_muc.."#owner" })
			:tag("x", { xmlns = "jabber:x:data", type = "submit" }));
	end);
	teardown(function () server:stop(); end);

	local function filtered()
		return select(2, server:log():gsub("No push for romeo to phone: the client filters", ""));
	end

	it("pushes only mentions and replies, as the filter asks for", function ()
		local function reference(uri)
			return st.stanza("reference", { xmlns = "urn:xmpp:reference:0", type = "mention", uri = uri });
		end
		local function reply(to) return st.stanza("reply", { xmlns = "urn:xmpp:reply:0", id = "1", to = to }); end
		local mention, replied = { ROOM, "mention" }, { ROOM, "reply" };
		for i, case in ipairs({
			{ false, { ROOM }, "Monty, hear me" };
			{ true, mention, "Monty, hear me" };
			{ true, mention, "hear me", reference("xmpp:"..ROOM.."/Monty") };
			{ false, mention, "hear me", reference("xmpp:"..ROOM.."/Juliet") };
			{ false, mention, "hear me" };
			{ true, replied, "I do", reply(ROOM.."/Monty") };
			{ false, replied, "I do", reply(ROOM.."/Juliet") };
			{ true, { "rooms.example.test", "mention", "reply" }, "I do", reply(ROOM.."/Monty") };
		}) do
			app.pushes = {};
			phone = client.connect(server, "romeo", { resource = "phone", smacks = true });
			ask(match("important", { filters = { case[2] } }));
			join(phone, "Monty");
			phone:acked();
			phone:sleep();
			local before = filtered();
			juliet:message { to = ROOM, type = "groupchat", body = case[3], case[4] };
			net.wait(function () return #app.pushes > 0 or filtered() > before; end, "the push, or the decision against it");
			assert.equal(case[1] and 1 or 0, app:settled(), "case "..i);
			client.resume(server, "romeo", phone):close();
		end
	end);
end);

describe("twenty encrypted clients of a user", function ()
	before_each(function ()
		start();
		local records = {};
		for i = 1, 20 do
			local name = ("client%02d"):format(i);
			records[name] = push2.record { client = name, service = PUSHER, timestamp = i };
		end
		server:store("mercutio", records, STORE);
		server:reload("push2");
	end);
	after_each(function () server:stop(); end);

	-- Only our handler: the server goes on.
	local STOPPING = [[
		for handler, priority in pairs(prosody.events._event_map["server-stopping"]) do
			if priority == 100 then handler({ reason = "a test" }); end
		end
	]];

	-- Has a message come for mercutio and then runs `code`, in one turn of the server's loop. Gives how many pushes left in it.
	local function in_one_turn(code)
		return server:eval([[
			local st = require "util.stanza";
			local sent = 0;
			local handler = prosody.hosts["push2.example.test"].events;
			local function count() sent = sent + 1; end
			handler.add_handler("message/bare", count, 1000);
			local id, from = tostring(os.clock()), "juliet@example.test/balcony";
			module:fire_event("message/offline/handle", { username = "mercutio", origin = prosody.hosts[module.host];
				stanza = st.message({ to = "mercutio@"..module.host, from = from, type = "chat", id = id }, "O calm, dishonourable") });
			]]..(code or "")..[[
			handler.remove_handler("message/bare", count);
			return sent;
		]]);
	end

	-- The clients that were told, in that order.
	local function told()
		local clients = {};
		for i = 1, app:settled() do
			local push = push2.read(app.pushes[i]);
			if i % 10 == 0 then assert.equal("O calm, dishonourable", push2.decrypt(push.payload):get_child_text("body")); end
			clients[i] = push.client;
		end
		return clients;
	end

	local function all()
		local clients = {};
		for i = 1, 20 do clients[i] = ("client%02d"):format(i); end
		return clients;
	end

	it("get the pushes for a message in turns of four, in order", function ()
		assert.equal(4, in_one_turn());
		app:expect(20);
		assert.same(all(), told());
	end);

	it("get their pushes if the module is unloaded or reloaded, or the server stops meanwhile", function ()
		for _, what in ipairs({
			"require 'core.modulemanager'.reload(module.host, 'push2');", STOPPING,
			"require 'core.modulemanager'.unload(module.host, 'push2');",
		}) do
			app.pushes = {};
			assert.equal(20, in_one_turn(what), what);
			assert.same(all(), told(), what);
		end
	end);

	it("get no more pushes if their user is deleted meanwhile", function ()
		assert.equal(4, in_one_turn("assert(require 'core.usermanager'.delete_user('mercutio', module.host));"));
		assert.equal(4, app:settled());
		assert.not_matches("A fault in", server:log());
	end);
end);
