-- Calls (XEP-0353): every device rings at once and once, and stops ringing.
local prosody = require "spec.support.prosody";
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
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
			phone:acked();
			phone:sleep();
		end);
		after_each(function () server:stop(); end);

		local function jmi(name, id)
			juliet:message { to = "romeo@example.test", st.stanza(name, { xmlns = "urn:xmpp:jingle-message:0", id = id }),
				st.stanza("store", { xmlns = "urn:xmpp:hints" }) };
		end

		-- Nodes that were woken, with ! where they are alerted.
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

		it("rings the sleeping and the absent device at once, once", function ()
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

		it("that is taken back stops ringing, on every device that rang", function ()
			jmi("propose", "c1");
			woken();
			jmi("retract", "c1");
			assert.same({ "phone", "tablet" }, woken());
			jmi("retract", "c1");
			assert.same({}, woken(), "once");
		end);
	end);
end

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
