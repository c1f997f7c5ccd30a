-- Which events wake which devices, and what the app server is told.
local prosody = require "spec.support.prosody";
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local st = require "util.stanza";

describe("a message", function ()
	local server, app, juliet;
	setup(function ()
		server = prosody.start { version = os.getenv("PROSODY"), module = "ours" };
		app = appserver.connect(server, "push.example.test");
		juliet = client.connect(server, "juliet");
	end);
	teardown(function () server:stop(); end);
	before_each(function () app.pushes = {}; end);

	it("wakes a phone that has gone away", function ()
		local phone = client.connect(server, "romeo");
		assert.equal("result", phone:enable_push({ jid = app.jid, node = "n", options = { secret = "s" } }).attr.type);
		phone:close();
		juliet:message { to = "romeo@example.test", body = "Romeo?" };
		local push = appserver.read(app:expect(1));
		assert.equal("n", push.node);
		assert.same({ FORM_TYPE = "urn:xmpp:push:summary"; ["message-count"] = "1"; ["last-message-body"] = "New Message!" }, push.summary);
		assert.equal("s", push.options.secret);
		assert.equal(1, app:settled());
	end);
end);
