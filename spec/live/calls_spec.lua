-- Calls (XEP-0353): each device rings once and at once, and stops ringing.
local prosody = require "spec.support.prosody";
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local push2 = require "spec.support.push2";
local st = require "util.stanza";

local PUSH = "push.example.test";

for _, archive in ipairs({ "with", "without" }) do
	describe("a call, "..archive.." an archive,", function ()
		local server, app, juliet, phone;
		before_each(function ()
			server = prosody.start {
				version = os.getenv("PROSODY"); module = "ours"; disable = archive == "without" and { "mam" } or nil;
				options = { push_coalesce = true };
			};
			app = appserver.connect(server, PUSH);
			juliet = client.connect(server, "juliet");
			local tablet = client.connect(server, "romeo", { resource = "tablet" });
			tablet:enable_push({ jid = PUSH, node = "tablet" });
			tablet:close();
			phone = client.connect(server, "romeo", { resource = "phone", smacks = true });
			phone:enable_push({ jid = PUSH, node = "phone" });
			phone:iq(st.stanza("iq", { type = "set" }):tag("enable", { xmlns = "urn:xmpp:carbons:2" }));
			phone:acked();
			phone:sleep();
		end);
		after_each(function () server:stop(); end);

		local function says(who, to, name, id, xmlns)
			who:message { to = to, st.stanza(name, { xmlns = xmlns or "urn:xmpp:jingle-message:0", id = id }),
				st.stanza("store", { xmlns = "urn:xmpp:hints" }) };
		end

		local function jmi(name, id)
			says(juliet, "romeo@example.test", name, id);
		end

		-- The nodes that were pushed, with "!" for a push that rings.
		local function woken()
			app:settled();
			local found = {};
			for i, push in ipairs(app.pushes) do
				local read = appserver.read(push);
				found[i] = read.node..(read.summary["last-message-body"] and "!" or "");
			end
			table.sort(found);
			app.pushes = {};
			return found;
		end

		it("rings the sleeping and the absent device once, at once", function ()
			jmi("propose", "c1");
			assert.same({ "phone!", "tablet!" }, woken());
			jmi("propose", "c2");
			assert.same({ "phone!", "tablet!" }, woken(), "another call is not held back");
		end);

		it("rings the sleeping and the absent device of a user who is connected, too", function ()
			local laptop = client.connect(server, "romeo", { resource = "laptop" });
			jmi("propose", "c1");
			assert.same({ "phone!", "tablet!" }, woken());
			jmi("retract", "c1");
			assert.same({ "phone", "tablet" }, woken());
			laptop:close();
		end);

		it("that the caller retracts stops ringing on every device that rang", function ()
			jmi("propose", "c1");
			woken();
			jmi("retract", "c1");
			assert.same({ "phone", "tablet" }, woken());
			jmi("retract", "c1");
			assert.same({}, woken(), "once");
		end);

		it("is known after the module was reloaded", function ()
			jmi("propose", "c1");
			assert.same({ "phone!", "tablet!" }, woken());
			server:reload();
			jmi("propose", "c1");
			assert.same({}, woken(), "it rings once");
			server:reload();
			jmi("retract", "c1");
			assert.same({ "phone", "tablet" }, woken());
		end);

		it("that did not ring ends without a push", function ()
			for _, name in ipairs({ "retract", "reject", "finish", "accept" }) do
				jmi(name, "c"..name);
				assert.same({}, woken(), name);
			end
		end);

		it("keeps ringing after <ringing/> or <proceed/> from the other party", function ()
			jmi("propose", "c1");
			woken();
			jmi("ringing", "c1");
			jmi("proceed", "c1");
			assert.same({}, woken());
			jmi("retract", "c1");
			assert.same({ "phone", "tablet" }, woken(), "the call still rang");
		end);

		it("that the user makes wakes no device, nor does its end", function ()
			local laptop = client.connect(server, "romeo", { resource = "laptop" });
			for _, name in ipairs({ "propose", "retract", "finish" }) do
				says(laptop, juliet.bare, name, "o1");
				assert.same({}, woken(), name);
			end
			says(juliet, laptop.jid, "proceed", "o1");
			says(juliet, laptop.jid, "reject", "o1");
			assert.same({}, woken(), "the answers");
			laptop:close();
		end);

		it("ends separately for each of two callers with the same id", function ()
			local mercutio = client.connect(server, "mercutio");
			jmi("propose", "1");
			assert.same({ "phone!", "tablet!" }, woken());
			says(mercutio, "romeo@example.test", "propose", "1");
			assert.same({ "phone!", "tablet!" }, woken(), "the second caller");
			jmi("retract", "1");
			assert.same({ "phone", "tablet" }, woken());
			jmi("retract", "1");
			assert.same({}, woken(), "the first caller's is over");
			says(client.connect(server, "benvolio"), "romeo@example.test", "retract", "1");
			assert.same({}, woken(), "nobody else can end it");
			says(mercutio, "romeo@example.test", "retract", "1");
			assert.same({ "phone", "tablet" }, woken(), "the second caller's end");
		end);

		it("by a queued Jingle session rings every device, and a file offer does not", function ()
			local function initiate(description, sid)
				juliet:send(st.iq({ type = "set", id = sid, to = phone.jid }):tag("jingle", { xmlns = "urn:xmpp:jingle:1",
					action = "session-initiate", sid = sid, initiator = juliet.jid })
					:tag("content", { creator = "initiator", name = "c" }):tag("description", { xmlns = description, media = "audio" }):reset());
				juliet:sync();
			end
			initiate("urn:xmpp:jingle:apps:rtp:1", "s1");
			assert.same({ "phone!", "tablet!" }, woken());
			initiate("urn:xmpp:jingle:apps:file-transfer:5", "s2");
			app:expect(1);
			assert.same({ "phone" }, woken());
		end);

		describe("while other clients of the user are connected,", function ()
			local laptop, desk;
			before_each(function ()
				laptop = client.connect(server, "romeo", { resource = "laptop", smacks = true });
				laptop:enable_push({ jid = PUSH, node = "laptop" });
				desk = client.connect(server, "romeo", { resource = "desk", smacks = true });
				desk:enable_push({ jid = PUSH, node = "desk" });
			end);

			local function rings(id)
				jmi("propose", id);
				assert.same({ "desk!", "laptop!", "phone!", "tablet!" }, woken());
				laptop:acked();
				desk:acked();
			end

			it("stops ringing once on the other devices when a client takes it by <proceed/>", function ()
				rings("c1");
				says(laptop, juliet.jid, "proceed", "c1");
				assert.same({ "phone", "tablet" }, woken());
				says(juliet, laptop.jid, "finish", "c1");
				assert.same({}, woken(), "the caller's <finish/>");
				says(laptop, juliet.jid, "finish", "c1");
				assert.same({}, woken(), "the user's own <finish/>");
			end);

			it("taken by <proceed/> does not stop another call from ringing", function ()
				rings("c1");
				rings("c2");
				says(laptop, juliet.jid, "proceed", "c1");
				assert.same({ "phone", "tablet" }, woken());
				says(laptop, juliet.jid, "proceed", "c2");
				assert.same({ "phone", "tablet" }, woken());
			end);

			it("stops ringing once on the other devices when a client rejects it", function ()
				rings("c1");
				says(laptop, juliet.bare, "reject", "c1");
				assert.same({ "phone", "tablet" }, woken());
				says(laptop, "romeo@example.test", "reject", "c1");
				assert.same({}, woken());
			end);

			it("stops ringing once on the other devices when a client accepts it by a message to the own account", function ()
				rings("c1");
				says(laptop, "romeo@example.test", "accept", "c1");
				assert.same({ "phone", "tablet" }, woken());
				says(laptop, juliet.jid, "proceed", "c1");
				assert.same({}, woken());
			end);

			it("stops ringing on a connected device whose client does not answer, too", function ()
				desk.stream.stalled = true;
				jmi("propose", "c1");
				assert.same({ "desk!", "laptop!", "phone!", "tablet!" }, woken());
				laptop:acked();
				says(laptop, juliet.jid, "proceed", "c1");
				assert.same({ "desk", "phone", "tablet" }, woken());
			end);

			it("does not tell the client that takes it of its end, even if that client has not acknowledged all", function ()
				laptop.stream.stalled = true;
				jmi("propose", "c1");
				assert.same({ "desk!", "laptop!", "phone!", "tablet!" }, woken());
				desk:acked();
				laptop:send(st.message({ to = juliet.jid, id = "taken", type = "chat" })
					:tag("proceed", { xmlns = "urn:xmpp:jingle-message:0", id = "c1" }));
				juliet:expect(function (stanza) return stanza.attr.id == "taken"; end, "the <proceed/>");
				assert.same({ "phone", "tablet" }, woken());
			end);

			local function invites(id)
				juliet:message { to = "romeo@example.test", id = id, st.stanza("invite", { xmlns = "urn:xmpp:call-invites:0" })
					:tag("jingle", { sid = "s", jid = juliet.jid }):reset(), st.stanza("store", { xmlns = "urn:xmpp:hints" }) };
				assert.same({ "desk!", "laptop!", "phone!", "tablet!" }, woken());
				laptop:acked();
				desk:acked();
			end

			it("by an invite (XEP-0482) stops ringing, too", function ()
				local xmlns = "urn:xmpp:call-invites:0";
				for _, name in ipairs({ "retract", "left" }) do
					invites("m"..name);
					says(juliet, "romeo@example.test", name, "m"..name, xmlns);
					assert.same({ "phone", "tablet" }, woken(), name);
				end
				for _, name in ipairs({ "accept", "reject" }) do
					invites("m"..name);
					says(laptop, juliet.bare, name, "m"..name, xmlns);
					assert.same({ "phone", "tablet" }, woken(), name);
				end
				says(juliet, "romeo@example.test", "retract", "none", xmlns);
				assert.same({}, woken(), "of another message");
			end);
		end);
	end);
end

describe("a call by Push 2.0", function ()
	it("and its end have the priority high and the mark for VoIP", function ()
		local server = prosody.start { version = os.getenv("PROSODY"), module = "ours", enable = { "push2" }, disable = { "cloud_notify" } };
		local app = appserver.connect(server, "push2.example.test");
		local phone = client.connect(server, "romeo");
		assert.equal("result", phone:iq(push2.iq(push2.enable { service = app.jid, push2.match("important") })).attr.type);
		phone:close();
		local juliet = client.connect(server, "juliet");
		local loud = { client = "https://push.example.test/client", priority = "high", voip = true };
		for i, name in ipairs({ "propose", "retract" }) do
			juliet:message { to = "romeo@example.test", st.stanza(name, { xmlns = "urn:xmpp:jingle-message:0", id = "c1" }) };
			assert.equal(i, app:settled());
			assert.same(loud, push2.read(app.pushes[i]), name);
		end
		server:stop();
	end);
end);

describe("a call taken elsewhere", function ()
	it("stops ringing on a device whose connection is dead", function ()
		local server = prosody.start { version = os.getenv("PROSODY"), module = "ours" };
		local app = appserver.connect(server, PUSH);
		local phone = client.connect(server, "romeo", { resource = "phone", smacks = true });
		phone:enable_push({ jid = PUSH, node = "phone" });
		local laptop = client.connect(server, "romeo", { resource = "laptop" });
		phone.stream.stalled = true;
		client.connect(server, "juliet"):message { to = "romeo@example.test",
			st.stanza("propose", { xmlns = "urn:xmpp:jingle-message:0", id = "c1" }) };
		assert.equal(1, app:settled());
		laptop:message { to = "romeo@example.test", st.stanza("accept", { xmlns = "urn:xmpp:jingle-message:0", id = "c1" }) };
		assert.equal(2, app:settled());
		assert.is_nil(appserver.read(app.pushes[2]).summary["last-message-body"]);
		server:stop();
	end);
end);
