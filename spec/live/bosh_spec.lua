-- Clients over BOSH have no stream management: what their session leaves undelivered when it ends is in the archive, and their devices
-- have to hear of it.
local prosody = require "spec.support.prosody";
local appserver = require "spec.support.appserver";
local bosh = require "spec.support.bosh";
local client = require "spec.support.client";
local registered = require "spec.support.registered";

local PUSH = "push.example.test";

describe("a device whose client is connected over BOSH", function ()
	local server, app, juliet, phone;

	before_each(function ()
		server = prosody.start {
			version = os.getenv("PROSODY"), module = "ours", http = true, enable = { "bosh" };
			global = { bosh_max_inactivity = 1, consider_bosh_secure = true };
			options = { push_notification_with_body = true };
		};
		app = appserver.connect(server, PUSH);
		juliet = client.connect(server, "juliet");
		phone = bosh.connect(server, "romeo", "phone");
		phone:enable_push(PUSH, "n");
		assert.same({ phone = PUSH.."<n" }, registered.bound(server, "romeo"));
	end);
	after_each(function () server:stop(); end);

	local function write(body)
		juliet:message { to = "romeo@example.test", body = body };
	end

	local function told()
		local texts = {};
		for i = 1, app:settled() do texts[i] = appserver.read(app.pushes[i]).summary["last-message-body"]; end
		return texts;
	end

	it("is not woken for what the client fetches", function ()
		phone:poll();
		write("Here?");
		phone:got("Here?");
		write("Between two requests?");
		phone:poll();
		phone:got("Between two requests?");
		phone:poll();
		phone:vanishes();
		phone:gone();
		assert.same({}, told());
	end);

	it("is woken for what came while no request was open, once for all", function ()
		phone:poll();
		phone:vanishes();
		write("Are you there?");
		write("Hello?");
		assert.same({}, told());
		phone:gone();
		app:expect(1);
		assert.same({ "Are you there?" }, told());
		write("Now?");
		app:expect(2);
		assert.same({ "Are you there?", "Now?" }, told());
	end);

	it("is woken for an answer that no other request followed", function ()
		phone:poll();
		write("Here?");
		phone:got("Here?");
		phone:gone();
		app:expect(1);
		assert.same({ "Here?" }, told());
	end);

	it("is not woken when the client begins another session meanwhile", function ()
		phone:poll();
		phone:vanishes();
		write("Are you there?");
		local other = bosh.connect(server, "romeo", "phone");
		assert.same({ phone = PUSH.."<n" }, registered.bound(server, "romeo"));
		assert.same({}, told());
		other:poll();
		other:vanishes();
		write("And now?");
		other:gone();
		app:expect(1);
		assert.same({ "And now?" }, told());
	end);

	it("is woken when another client takes the place of its session", function ()
		phone:poll();
		phone:vanishes();
		write("Are you there?");
		server:eval([[module:hook("pre-resource-bind", function (event) event.session.client_id = "another"; end)]]);
		local laptop = client.connect(server, "romeo", { resource = "phone", presence = false });
		assert.same({ phone = "none" }, registered.bound(server, "romeo"));
		app:expect(1);
		assert.same({ "Are you there?" }, told());
		laptop:close();
	end);

	it("is not woken for a session that ends with nothing to fetch", function ()
		phone:poll();
		phone:vanishes();
		juliet:message { to = phone.jid, type = "headline", body = "News" };
		phone:gone();
		assert.same({}, told());
	end);

	it("is not woken when the client has fetched all and leaves", function ()
		phone:poll();
		write("Here?");
		phone:got("Here?");
		phone:leaves();
		phone:gone();
		assert.same({}, told());
	end);
end);
