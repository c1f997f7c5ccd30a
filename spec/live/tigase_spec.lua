-- Tigase's extensions as Siskin and Snikket iOS use them.
local prosody = require "spec.support.prosody";
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local tigase = require "spec.support.tigase";
local base64 = require "util.encodings".base64.encode;
local st = require "util.stanza";

local PUSH = "push.example.test";
local KEY, xmlns_encrypt, xmlns_priority = tigase.key, tigase.xmlns_encrypt, tigase.xmlns_priority;
local encrypt, muted, notification, read = tigase.encrypt, tigase.muted, tigase.notification, tigase.read;

describe("cloud_notify_extensions", function ()
	local server, app, juliet;
	setup(function ()
		server = prosody.start { version = os.getenv("PROSODY"), module = "ours", enable = { "cloud_notify_extensions" } };
		app = appserver.connect(server, PUSH);
		juliet = client.connect(server, "juliet");
	end);
	teardown(function () server:stop(); end);

	-- Enables push for romeo with `fields`. romeo goes away then.
	local function away(fields)
		server:store("romeo", nil);
		server:reload();
		app.pushes = {};
		local romeo = client.connect(server, "romeo");
		fields.jid, fields.node = PUSH, "n";
		assert.equal("result", romeo:enable_push(fields).attr.type);
		romeo:close();
	end

	local function pushed(fields)
		fields.to = "romeo@example.test";
		local before = #app.pushes;
		juliet:message(fields);
		return app:settled() - before, app.pushes[#app.pushes];
	end

	it("is announced by the account", function ()
		local romeo = client.connect(server, "romeo");
		local found = romeo:features(romeo.bare);
		for _, feature in ipairs({
			xmlns_encrypt, "tigase:push:encrypt:aes-128-gcm", "tigase:push:encrypt:omemo:0", "tigase:push:jingle:0",
			xmlns_priority, "tigase:push:away:0",
			"tigase:push:filter:ignore-unknown:0", "tigase:push:filter:muted:0", "tigase:push:filter:groupchat:0",
		}) do
			assert.is_true(found[feature], feature);
		end
		romeo:close();
	end);

	it("encrypts the content of a push, with a fresh IV each time", function ()
		away { encrypt() };
		local _, push = pushed { body = "Wherefore art thou?" };
		assert.same({ unread = 1, sender = "juliet@example.test", type = "chat", message = "Wherefore art thou?" }, (read(push)));
		local _, first = read(push);
		_, push = pushed { body = ("é"):rep(200) };
		local value, second = read(push);
		assert.equal(("é"):rep(127), value.message);
		assert.not_equal(first.attr.iv, second.attr.iv);
		assert.equal("high", notification(push):get_child_text("priority", xmlns_priority));
	end);

	it("says that a message is end-to-end encrypted, and never sends its fallback body", function ()
		away { encrypt() };
		for _, part in ipairs({
			st.stanza("encryption", { xmlns = "urn:xmpp:eme:0", namespace = "urn:xmpp:omemo:2" });
			st.stanza("encrypted", { xmlns = "eu.siacs.conversations.axolotl" }):tag("payload"):text("ciphertext"):reset();
			st.stanza("encrypted", { xmlns = "urn:xmpp:omemo:2" }):tag("payload"):text("ciphertext"):reset();
		}) do
			local _, push = pushed { body = "I sent you an OMEMO message", part };
			assert.equal("Encrypted message", (read(push)).message);
		end
	end);

	it("passes OMEMO's ciphertext on to a device that asks for it", function ()
		away { encrypt(), st.stanza("omemo", { xmlns = "tigase:push:encrypt:omemo:0", deviceId = "1325" }) };
		local _, push = pushed { body = "OMEMO", st.stanza("encrypted", { xmlns = "eu.siacs.conversations.axolotl" })
			:tag("header", { sid = "27183" }):text_tag("key", "b3RoZXI=", { rid = "31415" }):text_tag("key", "a2V5", { rid = "1325" })
				:text_tag("iv", "aXY="):up():text_tag("payload", "ZGF0YQ==") };
		assert.same({ keys = { "a2V5" }, sid = "27183", iv = "aXY=", data = "ZGF0YQ==" }, (read(push)).omemo);
	end);

	it("leaves malformed OMEMO out", function ()
		away { encrypt(), st.stanza("omemo", { xmlns = "tigase:push:encrypt:omemo:0", deviceId = "1325" }) };
		for _, odd in ipairs({ { "key", { rid = "1325" } }, { "iv", {} } }) do
			local n, push = pushed { body = "OMEMO", st.stanza("encrypted", { xmlns = "eu.siacs.conversations.axolotl" })
				:tag("header", { sid = "27183" }):tag(odd[1], odd[2]):tag("x"):reset() };
			assert.equal(1, n);
			assert.same({ "Encrypted message" }, { (read(push)).message, (read(push)).omemo });
		end
	end);

	it("wakes a device while the user's other client is away", function ()
		away { away = "true" };
		local desktop = client.connect(server, "romeo", { resource = "desktop", presence = false });
		desktop:send(st.presence():text_tag("show", "away"));
		desktop:sync();
		assert.equal(1, (pushed { body = "A" }));
		desktop:close();
	end);

	it("announces calls, and their end", function ()
		away { encrypt() };
		local _, push = pushed { tigase.call("sid1", "audio", "video") };
		local value, element = read(push);
		assert.same({ unread = 1, sender = juliet.jid, type = "call", sid = "sid1", media = { "audio", "video" } }, value);
		assert.equal("voip", element.attr.type);
		_, push = pushed { tigase.call("sid2") };
		assert.same({}, (read(push)).media);
		_, push = pushed { st.stanza("retract", { xmlns = "urn:xmpp:jingle-message:0", id = "sid2" }) };
		value, element = read(push);
		assert.same({ unread = 1, sender = juliet.bare, type = "call", sid = "sid2" }, value);
		assert.is_nil(element.attr.type);
	end);

	it("pushes a subscription request to a sleeping client", function ()
		server:store("romeo", nil);
		server:reload();
		app.pushes = {};
		local phone = client.connect(server, "romeo", { resource = "phone", smacks = true });
		-- RFC 6121 §2.2: only a client that has requested the roster gets subscription requests.
		phone:iq(st.stanza("iq", { type = "get" }):tag("query", { xmlns = "jabber:iq:roster" }));
		phone:enable_push({ jid = PUSH, node = "n", encrypt() });
		phone:acked();
		phone:sleep();
		local mercutio = client.connect(server, "mercutio");
		mercutio:send(st.presence({ to = "romeo@example.test", type = "subscribe" }));
		assert.same({ unread = 1, sender = "mercutio@example.test", type = "subscribe" }, (read(app:expect(1))));
		client.resume(server, "romeo", phone):close();
		mercutio:close();
	end);

	it("keeps the payload within the client's maximum size", function ()
		away { encrypt(nil, nil, "200") };
		local _, push = pushed { body = ('"'):rep(300) };
		local value, element = read(push);
		assert.is_true(#element:get_text() <= 200 and #value.message > 10);
		away { encrypt(nil, nil, "200") };
		server:ping("romeo");
		assert.same({ unread = 1 }, (read(app:expect(1))));
	end);

	it("refuses an encryption that it cannot do, and stores nothing", function ()
		server:store("romeo", nil);
		server:reload();
		local romeo = client.connect(server, "romeo");
		for _, case in ipairs({
			{ encrypt(nil, "rot13"), "feature-not-implemented" }, { encrypt(nil, "AES-128-GCM"), "feature-not-implemented" },
			{ encrypt("short"), "bad-request" }, { encrypt(base64("seventeen bytes!!")), "bad-request" }, { encrypt(""), "bad-request" },
			{ encrypt(nil, nil, "many"), "bad-request" },
		}) do
			local reply = romeo:enable_push({ jid = PUSH, node = "n", case[1] });
			assert.same({ "modify", case[2] }, { (reply:get_error()), (select(2, reply:get_error())) });
		end
		assert.is_nil(server:stored("romeo"));
		romeo:close();
	end);

	it("is off for a device that enables again without it", function ()
		away { encrypt(), muted("juliet@example.test") };
		assert.equal(0, (pushed { body = "A" }));
		away {};
		local count, push = pushed { body = "B" };
		assert.equal(1, count);
		assert.is_not_nil(notification(push):get_child("x", "jabber:x:data"));
	end);

	it("filters muted and unknown senders", function ()
		away { muted("JULIET@example.test", "@") };
		assert.equal(0, (pushed { body = "A" }));
		away { muted("mercutio@example.test") };
		assert.equal(1, (pushed { body = "B" }));
		away { tigase.ignore_unknown() };
		assert.equal(0, (pushed { body = "C" }));
		assert.equal(0, (pushed { tigase.call("sid2") }));
		server:eval([[
			local rostermanager = require "core.rostermanager";
			for user, contact in pairs({ romeo = "juliet@example.test", juliet = "romeo@example.test" }) do
				local roster = rostermanager.load_roster(user, module.host);
				roster[contact] = { subscription = "both", groups = {} };
				assert(rostermanager.save_roster(user, module.host, roster));
			end
		]]);
		assert.equal(1, (pushed { body = "D" }));
		server:wait_log("No push for romeo to push.example.test<n: the sender is not in the roster");
	end);

	it("filters rooms by their rules", function ()
		away { tigase.rooms({ jid = "never@push.example.test", allow = "never" },
			{ jid = "mentioned@push.example.test", allow = "mentioned", nick = "Monty" }) };
		local function says(room, body, part)
			local before = app:settled();
			app:send(st.message({ from = room.."@push.example.test/juliet", to = "romeo@example.test", type = "groupchat", id = body }, body)
				:add_child(part or st.stanza("x")):reset());
			return app:settled() - before;
		end
		assert.equal(0, says("never", "Monty"));
		assert.equal(1, says("other", "hi"));
		assert.equal(0, says("mentioned", "hi"));
		assert.equal(1, says("mentioned", "hi Monty!"));
		assert.equal(1, says("mentioned", "hey",
			st.stanza("reference", { xmlns = "urn:xmpp:reference:0", type = "mention", uri = "xmpp:romeo@example.test" })));
		assert.equal(0, says("mentioned", "data",
			st.stanza("reference", { xmlns = "urn:xmpp:reference:0", type = "data", uri = "xmpp:romeo@example.test" })));
	end);

	it("is stored in the shape of the community's modules", function ()
		away {
			encrypt(nil, nil, "3000"), muted("a@b"), tigase.ignore_unknown(),
			tigase.rooms({ jid = "r@b", allow = "mentioned", nick = "N" }),
		};
		local record = server:stored("romeo")[PUSH.."<n"];
		assert.same({ algorithm = "aes-128-gcm", key_base64 = KEY, max_size = 3000 }, record.encryption);
		assert.same({ ["a@b"] = true }, record.muted_jids);
		assert.same({ ["r@b"] = { when = "mentioned", nick = "N" } }, record.groupchat_rules);
		assert.is_true(record.filter_unknown);
	end);

	it("puts no key into the log", function ()
		assert.is_nil(server:log():find(KEY, 1, true));
	end);
end);

describe("a registration that asks for encryption, while no extension is loaded,", function ()
	it("hears of a call and its media", function ()
		local server = prosody.start { version = os.getenv("PROSODY"), module = "ours" };
		local app = appserver.connect(server, PUSH);
		server:store("romeo", { [PUSH.."<n"] = {
			jid = PUSH; node = "n"; timestamp = os.time(); encryption = { algorithm = "aes-128-gcm", key_base64 = KEY };
		} });
		client.connect(server, "juliet"):message { to = "romeo@example.test", tigase.call("sid1", "video") };
		local value, element = read(app:expect(1));
		assert.same({ "voip", { "video" } }, { element.attr.type, value.media });
		server:stop();
	end);
end);
