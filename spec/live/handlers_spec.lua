-- The events that other modules hook: cloud_notify/registration and cloud_notify/push.
local prosody = require "spec.support.prosody";
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local tigase = require "spec.support.tigase";

local PUSH = "push.example.test";

describe("a handler of", function ()
	local server, app, juliet;
	before_each(function ()
		server = prosody.start { version = os.getenv("PROSODY"), module = "ours" };
		app = appserver.connect(server, PUSH);
		juliet = client.connect(server, "juliet");
	end);
	after_each(function () server:stop(); end);

	-- `body` handles the event as a module would.
	local function hook(event, body)
		server:eval("module:hook(..., load([[local event, st = ..., require 'util.stanza'; ]]..select(2, ...)))", event, body);
	end

	local function register(nodes)
		local phone = client.connect(server, "romeo");
		for _, node in ipairs(nodes) do phone:enable_push({ jid = PUSH, node = node, options = { secret = "s" } }); end
		phone:close();
	end

	local function message()
		juliet:message { to = "romeo@example.test", body = "Romeo?", id = "m1" };
	end

	local function is_kept()
		local romeo = client.connect(server, "romeo");
		romeo:expect(function (stanza) return stanza:get_child_text("body") == "Romeo?"; end, "the stored message");
		romeo:close();
	end

	describe("cloud_notify/registration", function ()
		it("sees the request, and can add keys that are stored and come back", function ()
			hook("cloud_notify/registration", [[
				assert(event.origin.username == "romeo" and event.stanza.tags[1].name == "enable" and event.push_info.jid);
				event.push_info.encryption = { algorithm = "aes-128-gcm", key_base64 = "c2l4dGVlbiBieXRlcyBvaw==" };
			]]);
			hook("cloud_notify/push", "prosody.seen = event.push_info");
			register({ "n" });
			assert.same({ algorithm = "aes-128-gcm", key_base64 = tigase.key }, server:stored("romeo")["push.example.test<n"].encryption);
			server:restart();
			app = appserver.connect(server, PUSH);
			juliet = client.connect(server, "juliet");
			hook("cloud_notify/push", "prosody.seen = event.push_info");
			message();
			assert.equal("chat", (tigase.read(app:expect(1))).type, "and what it means is heeded");
			local seen = server:eval("return prosody.seen");
			assert.same({ PUSH, "n", tigase.key }, { seen.jid, seen.node, seen.encryption.key_base64 });
		end);

		it("can refuse the registration and answer the client itself", function ()
			hook("cloud_notify/registration", [[
				event.origin.send(st.error_reply(event.stanza, "modify", "feature-not-implemented", "Not here"));
				return false;
			]]);
			local phone = client.connect(server, "romeo");
			local reply = phone:enable_push({ jid = PUSH, node = "n" });
			assert.same({ "modify", "feature-not-implemented", "Not here" }, { (select(1, reply:get_error())),
				(select(2, reply:get_error())), (select(3, reply:get_error())) });
			assert.is_nil(server:stored("romeo"));
			phone:sync();
			assert.is_nil(phone:received(function (stanza) return stanza.name == "iq"; end), "one answer is enough");
		end);

		it("fails: the client gets an error to try again, and nothing is stored", function ()
			hook("cloud_notify/registration", "error('a faulty handler')");
			local reply = client.connect(server, "romeo"):enable_push({ jid = PUSH, node = "n" });
			assert.equal("internal-server-error", (select(2, reply:get_error())));
			assert.is_nil(server:stored("romeo"));
			assert.matches("A fault in push enable[^\n]*a faulty handler", server:log());
		end);
	end);

	describe("cloud_notify/push", function ()
		it("sees the push, and its changes are sent", function ()
			hook("cloud_notify/push", [[
				local iq, notification = event.notification_stanza, event.notification_payload;
				assert(st.is_stanza(iq) and st.is_stanza(notification));
				assert(iq:get_child("pubsub", "http://jabber.org/protocol/pubsub"):get_child("publish"):get_child("item").tags[1] == notification);
				assert(event.original_stanza.attr.id == "m1");
				assert(event.username == "romeo" and event.push_info.jid == iq.attr.to and event.important == true);
				assert(event.push_summary["message-count"] == "1" and event.push_summary["last-message-body"] == "New Message!");
				notification:maptags(function () return nil end);
				notification:tag("encrypted", { xmlns = "urn:example:enc" }):text(event.push_info.node):up();
				notification:tag("priority", { xmlns = "tigase:push:priority:0" }):text("high"):up();
				iq:get_child("pubsub", "http://jabber.org/protocol/pubsub"):remove_children("publish-options");
			]]);
			register({ "a", "b" });
			message();
			app:expect(2);
			assert.not_matches("A handler of cloud_notify/push failed", server:log());
			for _, push in ipairs(app.pushes) do
				local pubsub = push:get_child("pubsub", "http://jabber.org/protocol/pubsub");
				assert.equal(1, #pubsub.tags);
				local publish = pubsub.tags[1];
				local notification = publish.tags[1].tags[1];
				assert.equal(2, #notification.tags);
				assert.equal(publish.attr.node, notification:get_child_text("encrypted", "urn:example:enc"));
			end
		end);

		it("sees a ping without a stanza", function ()
			hook("cloud_notify/push", "prosody.seen = { event.original_stanza == nil, event.important, event.push_summary }");
			register({ "n" });
			server:ping("romeo");
			app:expect(1);
			assert.same({ true, false, { ["message-count"] = "1" } }, server:eval("return prosody.seen"));
		end);

		it("blocks a push, and the log says why", function ()
			hook("cloud_notify/push", "if event.push_info.node == 'a' then event.reason = 'Muted'; return true; end");
			register({ "a", "b" });
			message();
			assert.equal(1, app:settled());
			assert.equal("b", appserver.read(app.pushes[1]).node);
			assert.matches("No push for romeo to push.example.test<a: Muted", server:log());
			is_kept();
		end);

		it("fails: this push is not sent, other pushes are, the message is kept, and the next push works", function ()
			hook("cloud_notify/push", "if event.push_info.node == 'a' and not prosody.mended then error('a faulty handler'); end");
			register({ "a", "b" });
			message();
			assert.equal(1, app:settled());
			assert.matches("A handler of cloud_notify/push failed, the push to push.example.test<a is not sent[^\n]*a faulty handler", server:log());
			is_kept();
			server:eval("prosody.mended = true");
			juliet:message { to = "romeo@example.test", body = "Again" };
			assert.equal(3, app:settled());
		end);
	end);
end);
