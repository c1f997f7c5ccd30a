-- Converse.js itself, in Chromium. `make clients` fetches it with npm, and runs this spec.
local browser = require "spec.support.browser";
local client = require "spec.support.client";
local converse = require "spec.support.converse";
local gateways = require "spec.support.gateways";
local net = require "spec.support.net";
local publish = require "spec.support.publish";
local registered = require "spec.support.registered";

local PUSH, ROMEO, JULIET = "push.example.test", "romeo@example.test", "juliet@example.test";
local REGISTRATION = PUSH.."<n";

local chromium, site, gateway, juliet;

local function start(opts, bosh_max_inactivity)
	site = converse.start { version = os.getenv("PROSODY"), module = "ours", options = opts, bosh_max_inactivity = bosh_max_inactivity };
	gateway = gateways.connect(site.server, PUSH, "mod_push_appserver");
	gateway:know {
		node = "n", account = ROMEO, secret = "s3cret", options = publish.options({ { "secret", "s3cret" } }, false);
	};
	juliet = client.connect(site.server, "juliet");
end

-- A window of its own, whose Converse enables push, or disables it.
local function sign_in(how)
	how.push_app_servers = { { jid = PUSH, node = "n", secret = "s3cret", disable = how.disable } };
	how.disable = nil;
	local tab = site:sign_in(chromium, how);
	net.wait(function ()
		return (registered.bound(site.server, "romeo")[tab.resource] == REGISTRATION) == not how.push_app_servers[1].disable;
	end, "what Converse says of its push");
	tab:says(JULIET);
	return tab;
end

local function write(body)
	juliet:message { to = ROMEO, body = body };
end

-- The number of pushes so far. The gateway must have refused none.
local function pushes()
	local n = gateway.app:settled();
	assert.same({}, gateway.refused);
	return n;
end

local function woken(n)
	gateway.app:expect(n);
	assert.equal(n, pushes());
end

local function hears(tab, body)
	tab:hears(JULIET, body);
end

describe("Converse.js in Chromium", function ()
	setup(function () chromium = browser.start(); end);
	teardown(function () chromium:stop(); end);
	after_each(function () site:stop(); end);

	it("is woken once a nap, whether it resumes its session or begins another, and disables push", function ()
		start();
		local tab = sign_in { websocket_url = site.websocket };
		local streams = { tab:stream() };
		for nap = 1, 3 do
			tab:acked();
			site.proxy:cut();
			tab:sleeps();
			write("Asleep"..nap);
			woken(nap);
			site.proxy:mend();
			hears(tab, "Asleep"..nap);
			tab:acked();
			streams[nap + 1] = tab:stream();
			write("Awake"..nap);
			hears(tab, "Awake"..nap);
			tab:acked();
			assert.equal(nap, pushes());
			assert.same({ [tab.resource] = REGISTRATION }, registered.bound(site.server, "romeo"));
		end
		-- Converse resumes once. Thereafter it binds its resource again, and does not enable push again.
		assert.equal(streams[1], streams[2]);
		assert.not_equal(streams[2], streams[3]);
		assert.not_equal(streams[3], streams[4]);
		assert.same({ "Asleep1", "Asleep2", "Asleep3", "Awake1", "Awake2", "Awake3" }, tab:says(JULIET));
		tab:close();

		-- Its site disables push by a setting.
		tab = sign_in { websocket_url = site.websocket, disable = true };
		net.wait(function () return not site.server:stored("romeo"); end, "the end of the registration");
		site.proxy:cut();
		tab:sleeps();
		write("Nobody?");
		assert.equal(3, pushes());
		tab:close();
	end);

	it("is woken where its connection is dead and looks alive", function ()
		start { smacks_max_ack_delay = 1 };
		local tab = sign_in { websocket_url = site.websocket };
		tab:acked();
		site.proxy:hold();
		write("Asleep?");
		woken(1);
		assert.is_nil(tab:session(".hibernating"));
		write("Still asleep?");
		woken(2);
		site.proxy:mend();
		hears(tab, "Still asleep?");
		tab:acked();
		write("Awake?");
		hears(tab, "Awake?");
		tab:acked();
		assert.equal(2, pushes());
		assert.same({ "Asleep?", "Awake?", "Still asleep?" }, tab:says(JULIET));
		tab:close();
	end);

	it("is not woken while a new tab is there, beside an old one that hibernates", function ()
		start();
		local old = sign_in { websocket_url = site.websocket };
		old:acked();
		site.proxy:cut();
		old:sleeps();
		old:close();
		site.proxy:mend();
		local new = sign_in { websocket_url = site.websocket };
		assert.is_truthy(old:session(".hibernating"));
		assert.equal("none", registered.bound(site.server, "romeo")[old.resource]);
		new:acked();
		write("Here?");
		hears(new, "Here?");
		new:acked();
		assert.equal(0, pushes());
		site.proxy:cut();
		new:sleeps();
		write("Asleep?");
		woken(1);
		site.proxy:mend();
		hears(new, "Asleep?");
		new:acked();
		assert.equal(1, pushes());
		new:close();
	end);

	describe("over BOSH, which has no stream management,", function ()
		it("is woken for what came to its dead session, and thereafter", function ()
			start(nil, 2);
			local tab = sign_in { bosh_service_url = site.bosh };
			write("Here?");
			hears(tab, "Here?");
			assert.equal(0, pushes());
			site.proxy:cut();
			write("Where are you?");
			assert.equal(0, pushes());
			tab:gone();
			woken(1);
			write("Asleep?");
			woken(2);
			site.proxy:mend();
			hears(tab, "Asleep?");
			write("Awake?");
			hears(tab, "Awake?");
			assert.equal(2, pushes());
			tab:close();
		end);

		it("is not woken when it is back in time", function ()
			start();
			local tab = sign_in { bosh_service_url = site.bosh };
			for cut = 1, 2 do
				site.proxy:cut();
				write("Where are you?"..cut);
				assert.equal(0, pushes());
				site.proxy:mend();
				hears(tab, "Where are you?"..cut);
				write("Awake?"..cut);
				hears(tab, "Awake?"..cut);
				assert.equal(0, pushes());
			end
			assert.same({ "Awake?1", "Awake?2", "Where are you?1", "Where are you?2" }, tab:says(JULIET));
			tab:close();
		end);
	end);
end);
