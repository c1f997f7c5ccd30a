-- Clients made with libraries that no one here wrote: each enables, is cut, is woken once, resumes, is not woken again, disables.
local prosody = require "spec.support.prosody";
local client = require "spec.support.client";
local gateways = require "spec.support.gateways";
local program = require "spec.support.program";
local publish = require "spec.support.publish";
local programs = require "spec.support.programs";

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
			gateway:know { node = "n", account = "romeo@example.test", secret = "s3cret",
				options = publish.options({ { "secret", "s3cret" } }, library.form_type) };
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
				phone:says("resumed");
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
