-- App servers on another server, as in the field: two Prosodys over TLS.
local federation = require "spec.support.federation";
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local net = require "spec.support.net";
local publish = require "spec.support.publish";
local base64 = require "util.encodings".base64.encode;
local sha256 = require "util.hashes".sha256;
local st = require "util.stanza";

local VERSION = os.getenv("PROSODY");
local xmlns_up = "http://gultsch.de/xmpp/drafts/unified-push";
local PUSH = federation.push;

local home, away, app, juliet, phone;

local function start(opts)
	opts.version, opts.trust = VERSION, opts.trust or "certificates";
	home, away = federation.start(opts);
	app = appserver.connect(away, PUSH);
	juliet = client.connect(home, "juliet");
end

local function sleeps(jid, fields)
	phone = federation.sleeps(home, jid, fields);
end

local function write(body)
	juliet:message { to = "romeo@example.test", body = body };
end

local function answered()
	federation.answered(home);
end

-- The other server starts again, and its app server gets the one push that it is owed.
local function comes_back()
	away:restart();
	app = appserver.connect(away, PUSH);
	assert.equal("n", appserver.read(app:expect(1)).node);
	answered();
	assert.equal(1, #app.pushes);
end

local function stream(what)
	return federation.stream(home, PUSH, what);
end

after_each(function () federation.stop(home, away); end);

for _, trust in ipairs({ "certificates", "dialback" }) do
	describe("an app server on another server, trusted by "..trust..",", function ()
		it("wakes a phone once, and its refusals end the registration", function ()
			start { trust = trust, options = { push_max_errors = 2 } };
			sleeps(PUSH, { options = { secret = "s" } });
			write("Romeo?");
			local push = appserver.read(app:expect(1));
			assert.same({ "n", "New Message!", "s" }, { push.node, push.summary["last-message-body"], push.options.secret });
			answered();
			assert.is_true(stream("secure"));
			assert.equal(trust == "certificates" and "valid" or nil, trust == "certificates" and stream("cert_identity_status") or nil);
			phone = client.resume(home, "romeo", phone);
			phone:acked();
			assert.equal(1, #app.pushes);

			app.answer = { "cancel", "item-not-found" };
			for n = 2, 3 do
				home:ping("romeo");
				app:expect(n);
				answered();
			end
			assert.is_nil(home:stored("romeo"));
		end);
	end);
end

describe("another server", function ()
	it("that stops and comes back gets what was owed meanwhile", function ()
		start {};
		sleeps(PUSH);
		write("One");
		app:expect(1);
		answered();
		phone = client.resume(home, "romeo", phone);
		phone:acked();
		phone:sleep();
		away:kill();
		net.wait(function () return not stream("type"); end, "the end of the stream");
		write("Two");
		home:wait_log("failed on its way");
		comes_back();
	end);

	-- mod_smacks answers in the other server's name for each stanza that it did not acknowledge.
	it("that freezes and dies with a push that it did not acknowledge gets it when it is back", function ()
		start {};
		sleeps(PUSH);
		write("One");
		app:expect(1);
		answered();
		assert.is_truthy(stream("smacks"), "no stream management");
		phone = client.resume(home, "romeo", phone);
		phone:acked();
		phone:sleep();
		os.execute("kill -STOP "..away:pid());
		write("Two");
		home:wait_log("Push %x+%-[^\n]*"..PUSH:gsub("%p", "%%%0")..".*Push %x+%-[^\n]*"..PUSH:gsub("%p", "%%%0"));
		away:kill();
		home:wait_log("failed on its way");
		comes_back();
	end);

	it("without stream management, on a connection that it opened itself, gets what it lost when it died", function ()
		start { enable = { "s2s_bidi" }; away = { enable = { "s2s_bidi" }; global = { modules_disabled = { "posix", "smacks" } } } };
		app:send(st.iq({ type = "get", id = "ping", from = PUSH, to = home.host }):tag("ping", { xmlns = "urn:xmpp:ping" }));
		net.wait(function () return app.others[1]; end, "the answer to the ping");
		assert.same({ "incoming" }, { stream("direction"), stream("smacks") });
		sleeps(PUSH);
		os.execute("kill -STOP "..away:pid());
		write("Romeo?");
		net.wait(function () return home:in_flight() == 1; end, "the push");
		away:kill();
		home:wait_log("the stream to "..PUSH:gsub("%p", "%%%0").." ended");
		comes_back();
	end);

	-- 10,000 bytes are the least that mod_s2s lets an administrator set.
	it("that takes the smallest stanzas takes the largest push", function ()
		start { options = { push_notification_with_body = true }; away = { global = { s2s_stanza_size_limit = 10000 } } };
		local largest;
		phone = client.connect(home, "romeo", { resource = "phone", smacks = true });
		for bytes = 12000, 1000, -500 do
			largest = { jid = PUSH, node = "n", options = { secret = ("s"):rep(bytes) } };
			if phone:enable_push(largest).attr.type == "result" then break; end
		end
		assert.is_true(#largest.options.secret > 1000 and #largest.options.secret < 12000);
		phone:acked();
		phone:sleep();
		write(("Romeo? "):rep(10000));
		local push = app:expect(1);
		assert.equal(largest.options.secret, appserver.read(push).options.secret);
		assert.is_true(#tostring(push) > 5000);
		answered();
		assert.is_nil(home:log():find("failed on its way", 1, true));
	end);

	it("whose pubsub component is the app server has the push in its node", function ()
		start { away = { components = { ["pubsub.away.test"] = "pubsub" } } };
		away:eval([[assert(prosody.hosts["pubsub.away.test"].modules.pubsub.service:create("n", true, { publish_model = "open" }))]]);
		sleeps("pubsub.away.test");
		write("Romeo?");
		local function items()
			return away:eval([[
				local ok, items = prosody.hosts["pubsub.away.test"].modules.pubsub.service:get_items("n", true);
				local _, item = next(ok and items or {}, nil);
				return item and tostring(items[ item ] or "");
			]]);
		end
		net.wait(items, "the item");
		assert.matches("urn:xmpp:push:0", items(), 1, true);
		answered();
		assert.is_nil(home:log():find("failed on its way", 1, true));
	end);

	it("with mod_unified_push wakes a phone for what an application sends, and has the phone's answer", function ()
		start { away = { components = { ["up.away.test"] = "unified_push" }; community = { "unified_push" }; http = true;
			global = { unified_push_acl = { "example.test" } } } };
		phone = client.connect(home, "romeo", { resource = "phone", smacks = true });
		assert.equal("result", phone:enable_push({ jid = PUSH, node = "n" }).attr.type);
		local registered = phone:iq(st.iq({ type = "set", to = "up.away.test", id = "up1" }):tag("register",
			{ xmlns = xmlns_up, instance = base64(sha256("i")), application = base64(sha256("a")) }));
		assert.equal("result", registered.attr.type, tostring(registered));
		phone:acked();
		phone:sleep();

		local response = {};
		local conn = net.connect(away.http_port);
		net.add(conn, function (data) table.insert(response, data); end);
		net.send(conn, ("POST %s HTTP/1.1\r\nHost: up.away.test\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
			:format(registered.tags[1].attr.endpoint:match("^https?://[^/]+(/.*)")));
		assert.is_nil(publish.value(publish.parts(app:expect(1)).summary, "last-message-body"), "it is silent");
		phone = client.resume(home, "romeo", phone);
		local iq = phone:expect(function (stanza) return stanza:get_child("push", xmlns_up); end, "the application's push");
		assert.equal(base64("hello"), iq:get_child_text("push", xmlns_up));
		phone:send(st.reply(iq));
		net.wait(function () return table.concat(response):find("^HTTP/1.1 201"); end, "201");
		assert.equal(1, #app.pushes);
	end);
end);
