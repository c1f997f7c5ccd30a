-- mod_push_page in a real browser, as people see it. Over HTTP alone: spec/live/page_spec.lua.
local prosody = require "spec.support.prosody";
local appserver = require "spec.support.appserver";
local browser = require "spec.support.browser";
local client = require "spec.support.client";
local net = require "spec.support.net";
local paths = require "spec.support.paths";
local screenshots = require "spec.support.screenshots";

local PUSH = "push.example.test";

local server, app, juliet, chromium, window;

local function register(user, node)
	local phone = client.connect(server, user, { resource = "phone" });
	assert.equal("result", phone:enable_push({ jid = PUSH, node = node }).attr.type);
	phone:close();
end

local function write(user)
	juliet:message { to = user.."@example.test", body = "a private word" };
end

-- All that the browser asked came from this server, and it has nothing to complain about.
local function is_quiet()
	local requests = window:requests();
	for _, address in ipairs(requests) do
		assert.equal(1, (address:gsub("//romeo:secret@", "//"):find(window:address(""), 1, true)), address);
	end
	assert.is_true(#requests > 0);
	assert.same({}, window:complaints());
end

describe("the page in a browser", function ()
	setup(function ()
		server = prosody.start {
			version = os.getenv("PROSODY"), module = "ours", http = true, s2s = true, enable = { "push_page", "push2" };
			global = { admins = { "juliet@example.test" } };
		};
		app = appserver.connect(server, PUSH);
		juliet = client.connect(server, "juliet");
		chromium = browser.start();
	end);
	teardown(function ()
		chromium:stop();
		server:stop();
	end);
	before_each(function ()
		server:store("romeo", nil);
		server:reload();
		server:reload("push_page");
		server:eval([[module:shared("/*/prosody_push/wakes").of:clear()]]);
		app.pushes, app.answer = {}, "result";
		register("romeo", "n");
		window = chromium:open(server);
	end);
	after_each(function () window:close(); end);

	it("shows a push that was just sent, without being loaded anew", function ()
		window:go("/push/", "romeo");
		assert.matches("Last push\nnone yet", window:text("#devices"), 1, true);
		window:run("window.is_still_here = true");
		write("romeo");
		window:expect("#devices", "taken");
		local decisions = window:expect("#decisions", "message (no client took it): sent, taken after");
		assert.not_matches("private", decisions, 1, true);
		assert.is_true(window:run("return window.is_still_here"));
		is_quiet();
	end);

	it("wakes a device, and says what became of the push when it comes", function ()
		local waiting;
		app.answer = function (stanza) waiting = stanza; end;
		window:go("/push/", "romeo");
		window:click("form.wake button");
		window:expect("#answer", "Waiting for an answer");
		net.wait(function () return waiting; end, "the push");
		app:send(require "util.stanza".reply(waiting));
		assert.matches("^taken after %d+ ms The server has done its part", window:expect("#answer", "taken after"));
		assert.equal("taken", window:run("return document.getElementById('answer').className"));
		window:expect("#devices", "Last push\ntaken");
		is_quiet();
	end);

	it("removes a device", function ()
		window:go("/push/", "romeo");
		window:click("form.remove button");
		window:expect("#answer", "removed");
		window:expect("#devices", "No client of yours");
		assert.is_nil(server:stored("romeo"));
		is_quiet();
	end);

	it("works without its script", function ()
		window:without_script();
		window:go("/push/", "romeo");
		window:click("form.wake button");
		app:expect(1);
		assert.matches("^taken after %d+ ms The server has done its part", window:expect("#answer", "taken"));
		window:click("form.remove button");
		window:expect("#answer", "removed");
		assert.is_nil(server:stored("romeo"));
	end);

	it("shows an administrator a user's decision, and not another user", function ()
		write("romeo");
		app:settled();
		window:go("/push/", "juliet");
		window:expect("#decisions", "romeo");
		assert.matches("important: 1", window:text("#charts"), 1, true);
		assert.is_true(window:run("return document.querySelector('#charts path.important').getBBox().height > 10"));
		assert.matches(PUSH..".*works", window:text("#app-servers"));
		window:fill("input[name=user]", "benvolio");
		window:click(".filter button");
		window:expect("#decisions", "Nothing was decided");
		window:close();
		window = chromium:open(server);
		window:go("/push/", "mercutio");
		window:expect("#decisions", "Nothing was decided");
		assert.is_nil(window:text("#charts"));
		assert.not_matches("romeo", window:text("body"), 1, true);
	end);

	it("looks as in the documents' pictures", function ()
		local folder = os.tmpname();
		assert(os.execute(("rm %s && mkdir %s"):format(folder, folder)));
		screenshots.take(os.getenv("PROSODY"), folder);
		for _, picture in ipairs(screenshots.list) do
			for _, name in ipairs({ folder.."/"..picture.file, paths.root.."/docs/"..picture.file }) do
				local file = assert(io.open(name));
				local png = file:read("a");
				file:close();
				local signature, _, header, width, height = string.unpack(">c8c4c4I4I4", png);
				assert.same({ "\137PNG\r\n\26\n", "IHDR", picture.width, picture.height }, { signature, header, width, height }, name);
				assert.is_true(#png < 60000, name.." has "..#png.." bytes");
			end
		end
		os.execute("rm -r "..folder);
	end);

	it("keeps nodes, errors and names a text", function ()
		local EVIL = [['"><img src=//evil.test/x onerror="window.evil=1"><script>window.evil=1</script>]];
		register("romeo", EVIL);
		app.answer = { "cancel", "item-not-found", EVIL };
		write("romeo");
		app:settled();
		window:go("/push/", "romeo");
		window:expect("#devices", EVIL);
		window:click(".device:nth-child(2) form.wake button");
		window:expect("#answer", EVIL);
		window:expect("#decisions", EVIL);
		assert.equal(0, window:run("return document.images.length"));
		assert.equal(1, window:run("return document.scripts.length"));
		assert.is_true(window:run("return window.evil === undefined"));
		is_quiet();
	end);
end);
