-- Tests the tools of the specs with the reference, on both versions or on the version in PROSODY.
local prosody = require "spec.support.prosody";
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local net = require "spec.support.net";
local steps = require "spec.support.steps";
local lfs = require "lfs";
local st = require "util.stanza";

local versions = { os.getenv("PROSODY") or "0.12", not os.getenv("PROSODY") and "13.0" or nil };

for _, version in ipairs(versions) do
	describe("on Prosody "..version.." the tools", function ()
		local server;
		setup(function () server = prosody.start { version = version, module = "reference" }; end);
		teardown(function () server:stop(); end);

		it("start the version that was asked for", function ()
			assert.equal(server.version, server:eval("return prosody.version"):match("^%d+%.%d+"));
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

		it("let an app server accept, refuse, not answer, or answer by a function", function ()
			local app = appserver.connect(server, "push.example.test");
			local phone = client.connect(server, "romeo");
			local juliet = client.connect(server, "juliet");
			phone:enable_push({ jid = app.jid, node = "n" });
			phone:close();
			server:eval([[
				prosody.seen = {};
				module:hook("iq/host", function (event)
					if event.stanza.attr.type == "result" or event.stanza.attr.type == "error" then
						table.insert(prosody.seen, event.stanza.attr.type);
					end
				end, 100);
			]]);
			local asked;
			for n, answer in ipairs({ "result", "none", { "cancel", "item-not-found", "gone" }, function (iq) asked = iq; end }) do
				app.answer = answer;
				juliet:message { to = "romeo@example.test", body = "Romeo?" };
				app:expect(n);
			end
			app:send(st.reply(asked));
			app:settled();
			assert.same({ "result", "error", "result" }, server:eval("return prosody.seen"));
			juliet:close();
			app:disconnect();
		end);

		it("resume a session that was cut, with the stanzas sent meanwhile", function ()
			local phone = client.connect(server, "mercutio", { smacks = true });
			phone:cut();
			net.wait(function ()
				return server:eval("return prosody.hosts[module.host].sessions.mercutio.sessions.mercutio.hibernating");
			end, "the hibernation");
			local juliet = client.connect(server, "juliet");
			juliet:message { to = phone.jid, body = "Are you there?" };
			local resumed = client.resume(server, "mercutio", phone);
			resumed:expect(function (stanza) return stanza:get_child_text("body") == "Are you there?"; end, "the message");
			resumed:close();
			juliet:close();
		end);

		it("restart a killed server", function ()
			server:store("tybalt", { key = { value = 2 } });
			server:kill();
			server:restart();
			assert.same({ key = { value = 2 } }, server:stored("tybalt"));
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

		it("raise an error that the server raises", function ()
			assert.has_error(function () server:eval("error('boo', 0)"); end);
		end);
	end);
end

describe("on long work", function ()
	it("a step says which it is, how much time has gone, and about how much is to go", function ()
		local lines, at = {}, 1000;
		local begin = steps.new(4, 20, function (line) lines[#lines + 1] = line; end, function () return at; end);
		for i, name in ipairs({ "a", "b", "c", "d" }) do
			begin(name);
			at = 1000 + i * 120;
		end
		assert.same({
			"== 1 of 4 (about 20 min to go): a", "== 2 of 4 (2 min so far, about 6 min to go): b",
			"== 3 of 4 (4 min so far, about 4 min to go): c", "== 4 of 4 (6 min so far, about 2 min to go): d",
		}, lines);
	end);

	it("suites that run side by side say how far they are", function ()
		local dir = os.tmpname();
		assert(os.execute(("rm %s && mkdir %s"):format(dir, dir)));
		local file = assert(io.open(dir.."/specs-0.12", "w"));
		file:write("== 1 of 9: spec/live\nok      a (1 ms)\nok      b (2 ms)\nFAILED  c\n== 2 of 9: spec/faults_spec.lua\nok      d\n");
		file:close();
		local process = io.popen(("PERIOD=0.1 timeout 0.5 spec/support/progress %s 2>/dev/null"):format(dir));
		local line = process:read("l");
		process:close();
		os.execute("rm -r "..dir);
		assert.equal("   after 0 min: specs-0.12, 2 of 9: spec/faults_spec.lua; 3 passed, 1 failed so far", line);
	end);
end);
