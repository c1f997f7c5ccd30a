-- The tools of the specs, proved against the reference.
local prosody = require "spec.support.prosody";
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local net = require "spec.support.net";
local lfs = require "lfs";

for _, version in ipairs({ "0.12", "13.0" }) do
	describe("on Prosody "..version.." the tools", function ()
		local server;
		setup(function () server = prosody.start { version = version, module = "reference" }; end);
		teardown(function () server:stop(); end);

		it("start the version that was asked for", function ()
			assert.equal(version, server:eval("return prosody.version"):match("^%d+%.%d+"));
		end);

		it("see a push of the reference arrive", function ()
			local app = appserver.connect(server, "push.example.test");
			local phone = client.connect(server, "romeo");
			assert.equal("result", phone:enable_push({ jid = app.jid, node = "n", options = { secret = "s" } }).attr.type);
			phone:close();
			local juliet = client.connect(server, "juliet");
			juliet:message { to = "romeo@example.test", body = "Romeo?" };
			local push = appserver.read(app:expect(1));
			assert.same({ "n", "New Message!", "s" }, { push.node, push.summary["last-message-body"], push.options.secret });
			assert.equal(1, app:settled());
			juliet:close();
			app:disconnect();
		end);

		it("keep the data over a restart", function ()
			server:store("mercutio", { key = { value = 1 } });
			server:restart();
			assert.same({ key = { value = 1 } }, server:stored("mercutio"));
			server:reload();
		end);

		it("leave nothing behind when the spec dies", function ()
			local dying = io.popen(([[KEEP= lua5.4 -e '
				local server = require "spec.support.prosody".start { version = "%s", module = "reference" };
				print(server.dir);
				os.exit(1);
			']]):format(version));
			local dir = dying:read("l");
			net.wait(function () return not lfs.attributes(dir); end, "the end of "..dir);
			dying:close();
		end);

		it("raise what fails in the server", function ()
			assert.has_error(function () server:eval("error('boo', 0)"); end);
		end);
	end);
end
