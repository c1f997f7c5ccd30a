-- Clients made with libraries that no one here wrote: each enables, is cut, is woken once, resumes, is not woken again, disables.
local prosody = require "spec.support.prosody";
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local gateways = require "spec.support.gateways";
local program = require "spec.support.program";
local publish = require "spec.support.publish";
local programs = require "spec.support.programs";
local typed = require "spec.support.typed";

for _, library in ipairs(programs) do
	describe("a phone made with "..library.title, function ()
		local server, phone;
		after_each(function ()
			if phone then phone:stop(); end
			server:stop();
		end);

		it("is woken once a nap", function ()
			server = prosody.start { version = os.getenv("PROSODY"), module = "ours" };
			local gateway = gateways.connect(server, "push.example.test", "p2");
			local options = publish.options({ { "secret", "s3cret" } }, library.form_type);
			publish.field(options, "secret").attr.type = library.secret_type;
			gateway:know { node = "n", account = "romeo@example.test", secret = "s3cret", options = options };
			local juliet = client.connect(server, "juliet");
			phone = program.start(server, library.command, "romeo@example.test/phone");
			phone:says("started");
			phone:tell("enable push.example.test n s3cret");
			phone:says("enabled");
			for nap = 1, 2 do
				local body = "Asleep"..nap;
				phone:acked();
				phone:sleep();
				juliet:message { to = "romeo@example.test", body = body };
				gateway.app:expect(nap);
				phone:tell("resume");
				phone:says(library.resumes == false and "started" or "resumed");
				phone:says("message "..body);
				phone:acked();
				assert.equal(nap, gateway.app:settled());
				assert.same({}, gateway.refused);
			end
			juliet:message { to = "romeo@example.test", body = "Awake" };
			phone:says("message Awake");
			phone:acked();
			assert.equal(2, gateway.app:settled());
			phone:tell("disable push.example.test n");
			phone:says("disabled");
			phone:acked();
			phone:sleep();
			juliet:message { to = "romeo@example.test", body = "Nobody" };
			assert.equal(2, gateway.app:settled());
			assert.is_nil(server:stored("romeo"));
		end);
	end);
end

-- It has types and no connection: that is ours.
describe("an app server made with xmpp-parsers", function ()
	local server;
	after_each(function () server:stop(); end);

	it("reads what a push says", function ()
		server = prosody.start { version = os.getenv("PROSODY"), module = "ours", enable = { "cloud_notify_priority_tag" } };
		local app = appserver.connect(server, "push.example.test");
		local juliet = client.connect(server, "juliet");
		local phone = client.connect(server, "romeo", { smacks = true });
		phone:enable_push { jid = app.jid, node = "n", options = { secret = "s3cret" } };
		phone:acked();
		phone:sleep();
		juliet:message { to = "romeo@example.test", body = "Asleep?" };
		local read = typed.read(app:expect(1));
		assert.same({ "n", "s3cret", "1", "New Message!", { "priority" } },
			{ read.node, read.options.secret, read.summary["message-count"], read.summary["last-message-body"], read.payloads });
	end);
end);
