-- Bounds (rules.md §5): whatever a stanza contains, pushes stay small, the server is not held up, and memory is not filled.
local prosody = require "spec.support.prosody";
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local push2 = require "spec.support.push2";
local tigase = require "spec.support.tigase";
local st = require "util.stanza";

local PUSH, PUSH2, BARE = "push.example.test", "push2.example.test", "romeo@example.test";
local LARGEST_PUBLISH, LARGEST_PAYLOAD = 8 * 1024, 3 * 1024;
-- One character to a reader: seven code points, 25 bytes.
local FAMILY = "👩‍👩‍👧‍👦";

local server, app, app2, juliet;

local function start(opts)
	opts.version, opts.module = os.getenv("PROSODY"), "ours";
	server = prosody.start(opts);
	app, app2 = appserver.connect(server, PUSH), appserver.connect(server, PUSH2);
	juliet = client.connect(server, "juliet");
end

-- Sends a message to romeo. Returns its only push, and the push's size in bytes.
local function pushed(from, fields)
	app.pushes, app2.pushes = {}, {};
	fields.to = BARE;
	from:message(fields);
	local both = app:settled() + app2:settled();
	assert.equal(1, both);
	local push = app.pushes[1] or app2.pushes[1];
	return push, #tostring(push);
end

local function call(id, descriptions, media)
	local propose = st.stanza("propose", { xmlns = "urn:xmpp:jingle-message:0", id = id });
	for i = 1, descriptions do
		propose:tag("description", { xmlns = "urn:xmpp:jingle:apps:rtp:1", media = (media or "audio")..i }):up();
	end
	return propose:reset();
end

local long_texts = {
	("x"):rep(200 * 1024), ("<"):rep(40 * 1024), ("&"):rep(40 * 1024), ("'\""):rep(15 * 1024), ("é"):rep(100 * 1024), FAMILY:rep(8000),
	"e"..("\u{301}"):rep(100 * 1024), "x"..("\u{200d}👩"):rep(20 * 1024), ("\n\t "):rep(60 * 1024), ("\u{1f1e9}\u{1f1ea}"):rep(20 * 1024),
};

describe("a publish", function ()
	setup(function ()
		start { options = { push_notification_with_body = true, push_notification_with_sender = true } };
		local phone = client.connect(server, "romeo");
		-- Node and form are about as large as a client may register.
		assert.equal("result", phone:enable_push({ jid = PUSH, node = ("&"):rep(300), options = { secret = ("<"):rep(400) } }).attr.type);
		phone:close();
	end);
	teardown(function () server:stop(); end);

	it("is small for any text", function ()
		for i, text in ipairs(long_texts) do
			local _, size = pushed(juliet, { body = text });
			assert.is_true(size <= LARGEST_PUBLISH, "text "..i..": "..size.." bytes");
			assert.is_true(size > 1024, "text "..i..": "..size.." bytes");
		end
	end);

	it("is small for a sender with a long resource", function ()
		local long = client.connect(server, "juliet", { resource = ("&"):rep(1000) });
		local push, size = pushed(long, { body = ("<"):rep(40 * 1024) });
		assert.is_true(size <= LARGEST_PUBLISH, size.." bytes");
		assert.equal("juliet@example.test", appserver.read(push).summary["last-message-sender"]:match("^[^/]+"));
		long:close();
	end);

	it("has a text that is cut between characters as people see them", function ()
		local text = appserver.read((pushed(juliet, { body = FAMILY:rep(8000) }))).summary["last-message-body"];
		assert.is_true(#text > 500);
		assert.equal("", (text:gsub(FAMILY, "")));
		text = appserver.read((pushed(juliet, { body = ("e\u{301}"):rep(8000) }))).summary["last-message-body"];
		assert.equal("", (text:gsub("e\u{301}", "")));
		text = appserver.read((pushed(juliet, { body = ("\u{1f1e9}\u{1f1ea}"):rep(8000) }))).summary["last-message-body"];
		assert.equal("", (text:gsub("\u{1f1e9}\u{1f1ea}", "")));
	end);

	it("of a call is small for any id and any descriptions", function ()
		for i, propose in ipairs({ call(("x"):rep(100 * 1024), 1), call("c1", 1000), call("c2", 1000, ("x"):rep(100)) }) do
			local _, size = pushed(juliet, { propose });
			assert.is_true(size <= LARGEST_PUBLISH, i..": "..size.." bytes");
		end
	end);

	it("of a call with a very long id is followed by the push of its end", function ()
		local id = ("y"):rep(100 * 1024);
		pushed(juliet, { call(id, 1) });
		pushed(juliet, { st.stanza("retract", { xmlns = "urn:xmpp:jingle-message:0", id = id }) });
	end);

	it("is small for any accepted registration", function ()
		-- The client declares the namespace once, and Prosody for each attribute.
		local function namespaced(attributes, length)
			local form = st.stanza("x", { xmlns = "jabber:x:data", ["xmlns:a"] = "urn:"..("x"):rep(length) });
			for i = 1, attributes do form.attr["a:b"..i] = ""; end
			return form;
		end
		local accepted = 0;
		for i, fields in ipairs({
			{ options = { secret = ("'"):rep(550) } }, { options = { secret = ("\""):rep(700) } }, { options = { secret = ("'"):rep(3800) } };
			{ options = namespaced(30, 80) }, { options = namespaced(182, 2040) }, { node = ("'"):rep(670) };
			{ jid = PUSH.."/"..("'"):rep(600), node = ("x"):rep(300) }, { jid = PUSH.."/"..("'"):rep(1000), node = ("x"):rep(4000) };
		}) do
			server:store("romeo", nil);
			server:reload();
			local phone = client.connect(server, "romeo");
			fields.jid = fields.jid or PUSH;
			local reply = phone:enable_push(fields);
			phone:close();
			if reply.attr.type == "result" then
				accepted = accepted + 1;
				local _, size = pushed(juliet, { body = ("x"):rep(40 * 1024) });
				assert.is_true(size <= LARGEST_PUBLISH, "registration "..i..": "..size.." bytes");
			end
		end
		assert.equal(4, accepted);
	end);
end);

describe("a payload of Tigase's encryption", function ()
	setup(function () start { enable = { "cloud_notify_extensions" } }; end);
	teardown(function () server:stop(); end);

	local function register(max_size)
		server:store("romeo", nil);
		server:reload();
		local phone = client.connect(server, "romeo");
		assert.equal("result", phone:enable_push({ jid = PUSH, node = "n", tigase.encrypt(nil, nil, max_size),
			st.stanza("omemo", { xmlns = "tigase:push:encrypt:omemo:0", deviceId = "1" }) }).attr.type);
		phone:close();
	end

	local function omemo(keys, key, iv, payload)
		local header = st.stanza("encrypted", { xmlns = "eu.siacs.conversations.axolotl" }):tag("header", { sid = "27183" });
		for _ = 1, keys do header:text_tag("key", key, { rid = "1" }); end
		return header:text_tag("iv", iv):up():text_tag("payload", payload):reset();
	end

	local function is_small(fields, bound, what)
		local push, size = pushed(juliet, fields);
		local payload = #tigase.notification(push):get_child_text("encrypted", tigase.xmlns_encrypt);
		assert.is_true(payload <= bound, what..": a payload of "..payload.." bytes");
		assert.is_true(size <= LARGEST_PUBLISH, what..": "..size.." bytes");
		return push;
	end

	it("is small for any text, call and ciphertext", function ()
		register();
		for i, text in ipairs(long_texts) do is_small({ body = text }, LARGEST_PAYLOAD, "text "..i); end
		is_small({ call(("x"):rep(100 * 1024), 1) }, LARGEST_PAYLOAD, "a long id");
		is_small({ call("c1", 1000) }, LARGEST_PAYLOAD, "many descriptions");
		is_small({ call("c2", 1000, ("x"):rep(100)) }, LARGEST_PAYLOAD, "many long descriptions");
		is_small({ body = "OMEMO", omemo(1, "a2V5", "aXY=", ("A"):rep(100 * 1024)) }, LARGEST_PAYLOAD, "a long ciphertext");
		is_small({ body = "OMEMO", omemo(1000, ("A"):rep(100), "aXY=", "ZGF0YQ==") }, LARGEST_PAYLOAD, "many keys");
		is_small({ body = "OMEMO", omemo(1, "a2V5", ("A"):rep(4000), "ZGF0YQ==") }, LARGEST_PAYLOAD, "a long vector");
	end);

	it("is no larger than the client asks for", function ()
		register("500");
		for i, text in ipairs(long_texts) do is_small({ body = text }, 500, "text "..i); end
		is_small({ body = "OMEMO", omemo(3, "a2V5", "aXY=", ("A"):rep(1000)) }, 500, "a ciphertext");
	end);

	it("has a text that is cut between characters as people see them", function ()
		register();
		local value = tigase.read(is_small({ body = FAMILY:rep(8000) }, LARGEST_PAYLOAD, "families"));
		assert.is_true(#value.message > 100);
		assert.equal("", (value.message:gsub(FAMILY, "")));
	end);
end);

describe("a push of Push 2.0", function ()
	setup(function () start { enable = { "push2" }, disable = { "cloud_notify" } }; end);
	teardown(function () server:stop(); end);

	it("is small for any text and any accepted registration", function ()
		local accepted = 0;
		-- The key and the signature of this key take 1.4 kB.
		local key = push2.generate("RS256", 4096);
		for case, asked in ipairs({
			{ client = ("c"):rep(100), aud = "https://push.example" }, { client = ("c"):rep(840), aud = "https://"..("a"):rep(840) };
			{ client = "c", aud = ("\""):rep(700) }, { client = ("'"):rep(300), aud = "a" };
			{ client = ("c"):rep(3000), aud = "a" }, { client = "c", aud = ("a"):rep(1600) }, { client = "c", aud = ("\""):rep(2000) };
			{ client = "c", aud = "a", service = PUSH2.."/"..("'"):rep(1000) };
		}) do
			local phone = client.connect(server, "romeo");
			local reply = phone:iq(push2.iq(push2.enable { service = asked.service or PUSH2, client = asked.client,
				push2.match("all", { send = push2.encrypted, jwt = "RS256", jwt_key = key, aud = asked.aud }) }));
			phone:close();
			if reply.attr.type == "result" then
				accepted = accepted + 1;
				for i, text in ipairs({ "Romeo?", table.unpack(long_texts) }) do
					local push, size = pushed(juliet, { body = text });
					assert.is_true(size <= LARGEST_PUBLISH, "registration "..case..", text "..i..": "..size.." bytes");
					assert.is_true(#push2.read(push).payload <= 4096);
				end
			end
		end
		assert.equal(4, accepted);
	end);

	it("has a text that is cut between characters as people see them", function ()
		local phone = client.connect(server, "romeo");
		phone:iq(push2.iq(push2.enable { service = PUSH2, push2.match("all", { send = push2.encrypted }) }));
		phone:close();
		local stanza = push2.decrypt(push2.read((pushed(juliet, { body = FAMILY:rep(8000) }))).payload);
		local text = stanza:get_child_text("body");
		assert.is_true(#text > 500);
		assert.equal("…", (text:gsub(FAMILY, "")));
	end);
end);

-- Milliseconds for which a message of `n` mentions holds up the server, including the work that is delayed for a second. If it is
-- `archived`, only the handlers of the archive event count.
local function held(n, to, from, kind, archived)
	return server:eval([[
		local n, to, from, kind, archived = ...;
		local st, timer = require "util.stanza", require "util.timer";
		local origin = prosody.full_sessions[from] or prosody.hosts[module.host];
		local add_task = timer.add_task;
		local clock = os.clock;
		local function post()
			local message = st.message({ from = from, to = to, type = kind, id = "r"..tostring(clock()) }, "Romeo?");
			for _ = 1, n do
				message:tag("reference", { xmlns = "urn:xmpp:reference:0", type = "mention", begin = "0", ["end"] = "5", uri = "xmpp:x@y" }):up();
			end
			local waits = {};
			function timer.add_task(delay, task, ...)
				if delay ~= 1 then return add_task(delay, task, ...); end
				table.insert(waits, { task, ... });
				return add_task(3600, function () end);
			end
			-- Otherwise earlier garbage would be collected meanwhile.
			collectgarbage();
			collectgarbage("stop");
			local start = clock();
			if archived then
				module:fire_event("archive-message-added", { origin = origin, stanza = message, for_user = "romeo", id = message.attr.id });
			else
				prosody.core_post_stanza(origin, message, true);
			end
			for _, wait in ipairs(waits) do wait[1](os.time(), nil, table.unpack(wait, 2)); end
			local took = clock() - start;
			collectgarbage("restart");
			timer.add_task = add_task;
			return took * 1000;
		end
		local least = math.huge;
		for _ = 1, 7 do least = math.min(least, post()); end
		return least;
	]], n, to, from, kind or "chat", archived);
end

-- Without optimisation, and beside other suites, the library takes several times as long.
local MOST_MS = os.getenv("PROFILE") == "release" and 5 or 30;

describe("a message of thousands of mentions", function ()
	after_each(function () server:stop(); end);

	-- Compares the times with our modules and without them. The time for a message of one mention, as for its encryption, is subtracted.
	local function is_quick(what, modules, ...)
		local took = {};
		for _, n in ipairs({ 1, 3000, 9000 }) do took[n] = held(n, ...); end
		for _, name in ipairs(modules) do server:unload(name); end
		local without_one = held(1, ...);
		for _, n in ipairs({ 3000, 9000 }) do
			local without = held(n, ...);
			local more = took[n] - took[1] - (without - without_one);
			local figures = ("%s, %d: %.2f ms with us, %.2f without; of one mention %.2f and %.2f"):format(what, n, took[n], without,
				took[1], without_one);
			if os.getenv("FIGURES") then print(figures); end
			assert.is_true(more <= MOST_MS, figures);
		end
	end

	local extensions = {
		"cloud_notify_extensions", "cloud_notify_encrypted", "cloud_notify_filters", "cloud_notify_priority_tag", "cloud_notify",
	};
	local ROOM = "verona@"..PUSH;

	local function extended(opts)
		-- The archive and the offline store would take most of the time, and a different time for each message.
		start { enable = { "cloud_notify_extensions" }, disable = { "mam", "offline" }, storage = "memory", log_level = "info" };
		local phone = client.connect(server, "romeo", opts);
		phone:enable_push { jid = PUSH, node = "n", tigase.ignore_unknown(), tigase.muted("a@b"), tigase.encrypt(),
			tigase.rooms({ jid = ROOM, allow = "mentioned", nick = "Monty" }) };
		return phone;
	end

	it("is handled fast with Tigase's extensions, for a user who is away", function ()
		extended():close();
		is_quick("extensions, offline", extensions, BARE, juliet.jid);
	end);

	it("is handled fast with Tigase's extensions when it is archived", function ()
		extended():close();
		client.connect(server, "romeo", { resource = "laptop" });
		is_quick("extensions, archived", extensions, BARE, juliet.jid, "chat", true);
	end);

	it("is handled fast with a rule for mentions in a room", function ()
		extended():close();
		is_quick("extensions, a room", extensions, BARE, ROOM.."/nick", "groupchat");
	end);

	it("is handled fast with Tigase's extensions, for a session that hibernates", function ()
		local phone = extended { smacks = true };
		phone:acked();
		phone:sleep();
		is_quick("extensions, hibernating", extensions, BARE, juliet.jid);
	end);

	local function by_push2(opts)
		start { enable = { "push2" }, disable = { "cloud_notify", "mam", "offline" }, storage = "memory", log_level = "info" };
		local phone = client.connect(server, "romeo", opts);
		assert.equal("result", phone:iq(push2.iq(push2.enable { service = PUSH2,
			push2.match("important", { filters = { { "juliet@example.test", "mention" }, { "y", "mention", "reply" } } }),
			push2.match("archived", { send = push2.encrypted }) })).attr.type);
		return phone;
	end

	it("is handled fast with Push 2.0's filters, for a user who is away", function ()
		by_push2():close();
		is_quick("push2, offline", { "push2" }, BARE, juliet.jid);
	end);

	it("is handled fast with Push 2.0's filters when it is archived", function ()
		by_push2():close();
		client.connect(server, "romeo", { resource = "laptop" });
		is_quick("push2, archived", { "push2" }, BARE, juliet.jid, "chat", true);
	end);

	it("is handled fast with Push 2.0's filters, for a session that hibernates", function ()
		local phone = by_push2 { smacks = true };
		phone:acked();
		phone:sleep();
		is_quick("push2, hibernating", { "push2" }, BARE, juliet.jid);
	end);
end);

describe("memory", function ()
	it("is not filled by calls with long ids", function ()
		start { enable = { "push2" }, disable = { "cloud_notify", "mam" }, log_level = "info" };
		for i = 1, 20 do
			local phone = client.connect(server, "romeo", { resource = "phone"..i, presence = false });
			assert.equal("result", phone:iq(push2.iq(push2.enable { service = PUSH2, client = "c"..i,
				push2.match("important", { send = push2.encrypted, jwt = "ES256" }) })).attr.type);
			phone:close();
		end
		local function ring(n)
			for i = 1, n do juliet:message { to = BARE, call(("%06d"):format(i)..tostring(n)..("x"):rep(100 * 1024), 1) }; end
			app2:settled();
			server:eval("collectgarbage(); collectgarbage();");
			return server:memory();
		end
		local before = ring(5);
		local pushes = #app2.pushes;
		local more = ring(50) - before;
		assert.equal(pushes + 50 * 20, #app2.pushes);
		if os.getenv("FIGURES") then print(("fifty calls: %.1f MB more"):format(more / 1e6)); end
		assert.is_true(more < 20 * 1000 * 1000, more.." bytes more");
		server:stop();
	end);
end);
