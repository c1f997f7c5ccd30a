-- Prosody's metrics of pushes, read from the endpoint that a monitoring system uses, and the dashboard for them.
local paths = require "spec.support.paths";
local prosody = require "spec.support.prosody";
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local net = require "spec.support.net";
local push2 = require "spec.support.push2";
local json = require "util.json";
local socket = require "socket";
local st = require "util.stanza";

local MODULES = { "cloud_notify", "push2" };

local server, app, juliet;

-- Returns the metrics of mod_http_openmetrics by name with labels.
local function scrape()
	local conn, found = socket.tcp(), {};
	conn:settimeout(10);
	assert(conn:connect("127.0.0.1", server.http_port));
	conn:send("GET /metrics HTTP/1.0\r\nHost: example.test\r\n\r\n");
	local text = assert(conn:receive("*a"));
	conn:close();
	assert.matches("^HTTP/1%.[01] 200", text);
	for name, labels, value in text:gmatch("\n(prosody_mod_[%w_]+)({[^}]*}) ([^%s]+)") do
		local sorted = {};
		for label, of_label in labels:gmatch('([%w_]+)="([^"]*)"') do sorted[#sorted + 1] = label.."="..of_label; end
		table.sort(sorted);
		found[name.."{"..table.concat(sorted, ",").."}"] = tonumber(value);
	end
	return found, text;
end

describe("the metrics", function ()
	setup(function ()
		server = prosody.start {
			version = os.getenv("PROSODY"), module = "ours", enable = { "push2", "http", "http_openmetrics" }, http = true,
			global = { statistics = "internal", statistics_interval = "manual" },
		};
		app = appserver.connect(server, "push.example.test");
		-- The push service of Push 2.0 accepts every push and sends no answer.
		appserver.connect(server, "push2.example.test");
		juliet = client.connect(server, "juliet");
		local phone = client.connect(server, "romeo", { resource = "phone" });
		phone:enable_push { jid = app.jid, node = "n" };
		phone:iq(push2.iq(push2.enable { service = "push2.example.test", push2.match("important") }));
		phone:close();
	end);
	teardown(function () server:stop(); end);

	local function count(name, labels) return scrape()[name.."{"..labels.."}"] or 0; end

	it("count pushes by kind and by result", function ()
		juliet:message { to = "romeo@example.test", body = "Romeo?" };
		juliet:message { to = "romeo@example.test", st.stanza("propose", { xmlns = "urn:xmpp:jingle-message:0", id = "c1" }) };
		juliet:message { to = "romeo@example.test", st.stanza("received", { xmlns = "urn:xmpp:receipts", id = "m" }) };
		app:settled();
		app.answer = { "cancel", "item-not-found" };
		juliet:message { to = "romeo@example.test", body = "Romeo?" };
		app:settled();
		local found = scrape();
		local function is(n, name) assert.same({ name, n }, { name, found[name] }); end
		is(2, "prosody_mod_cloud_notify__pushes_total{host=example.test,kind=important}");
		is(1, "prosody_mod_cloud_notify__pushes_total{host=example.test,kind=call}");
		is(1, "prosody_mod_cloud_notify__pushes_total{host=example.test,kind=unimportant}");
		is(3, "prosody_mod_cloud_notify__answers_total{condition=result,host=example.test}");
		is(1, "prosody_mod_cloud_notify__answers_total{condition=item-not-found,host=example.test}");
		is(4, "prosody_mod_cloud_notify__answer_seconds_count{host=example.test}");
		is(0, "prosody_mod_cloud_notify__in_flight{host=example.test}");
		is(1, "prosody_mod_cloud_notify__registrations{host=example.test}");
		is(2, "prosody_mod_push2__pushes_total{host=example.test,kind=important}");
		is(1, "prosody_mod_push2__pushes_total{host=example.test,kind=call}");
		is(1, "prosody_mod_push2__suppressed_total{host=example.test,reason=not_important}");
		is(3, "prosody_mod_push2__in_flight{host=example.test}");
	end);

	it("count each push once, however often they are read", function ()
		local name, labels = "prosody_mod_cloud_notify__pushes_total", "host=example.test,kind=important";
		local before = count(name, labels);
		assert.equal(before, count(name, labels));
		server:ping("romeo");
		assert.equal(before, count(name, labels));
		juliet:message { to = "romeo@example.test", body = "Romeo?" };
		assert.equal(before + 1, count(name, labels));
	end);

	it("name neither users nor devices, and do not grow with their number", function ()
		local function names()
			local _, text = scrape();
			local n = 0;
			for line in text:gmatch("[^\n]+") do
				if line:find("^prosody_mod_cloud_notify__") or line:find("^prosody_mod_push2__") then n = n + 1; end
				if line:find("prosody_mod_cloud_notify") or line:find("prosody_mod_push2") then
					assert.not_matches("romeo", line);
					assert.not_matches("push%.example", line);
				end
			end
			return n;
		end
		local before = names();
		for _, user in ipairs({ "mercutio", "benvolio" }) do
			local phone = client.connect(server, user, { resource = "phone" });
			phone:enable_push { jid = app.jid, node = user };
			phone:close();
			juliet:message { to = user.."@example.test", body = "Hello" };
		end
		app:settled();
		assert.equal(before, names());
	end);

	it("show the owed pushes and the app servers that are away", function ()
		local before = { count("prosody_mod_cloud_notify__owed", "domain=push.example.test,host=example.test") };
		assert.same({ 0 }, before);
		app.answer = { "wait", "resource-constraint" };
		server:ping("romeo");
		app:settled();
		assert.equal(1, count("prosody_mod_cloud_notify__owed", "domain=push.example.test,host=example.test"));
		assert.equal(0, count("prosody_mod_cloud_notify__away", "domain=push.example.test,host=example.test"));
		app.answer = "result";
		net.wait(function ()
			return count("prosody_mod_cloud_notify__owed", "domain=push.example.test,host=example.test") == 0;
		end, "the push that is owed");
	end);

	it("are all on the dashboard, and the dashboard shows nothing else", function ()
		local file = assert(io.open(paths.root.."/docs/grafana.json"));
		local dashboard = assert(json.decode(file:read("a")));
		file:close();
		local _, text = scrape();
		local there = {};
		for name in text:gmatch("# TYPE (prosody_mod_[%w_]+) ") do
			local short = name:match("^prosody_mod_cloud_notify__(.+)") or name:match("^prosody_mod_push2__(.+)");
			if short then there[short] = true; end
		end
		local shown = {};
		for _, panel in ipairs(dashboard.panels) do
			assert.is_true(#(panel.title or "") > 0 and (panel.type == "row" or #panel.targets > 0));
			for _, target in ipairs(panel.targets or {}) do
				assert.equal("prometheus", panel.datasource.type);
				-- rate() drops the name. Over both modules the result would have the same labels twice, which is an error.
				assert.is_nil(target.expr:find("%a+%({__name__"), target.expr);
				local names = target.expr:gsub("{__name__=~\"prosody_mod_%(cloud_notify|push2%)__([%w_]+)", "prosody_mod_any__%1");
				for module, name in names:gmatch("prosody_mod_(%a[%w_]-)__([%w_]+)") do
					local short = name:gsub("_total$", ""):gsub("_bucket$", "");
					assert.is_true(there[short], "the dashboard shows "..name..", which there is not");
					for _, each in ipairs(module == "any" and MODULES or { module }) do shown[each.."__"..short] = true; end
				end
			end
		end
		for name in pairs(there) do
			for _, module in ipairs(MODULES) do
				assert.is_true(shown[module.."__"..name], ("the dashboard does not show %s of %s"):format(name, module));
			end
		end
	end);

	it("cause no fault on a server without a reporter", function ()
		local plain = prosody.start { version = os.getenv("PROSODY"), module = "ours" };
		plain:eval([[prosody.events.fire_event("stats-update")]]);
		assert.is_nil(plain:log():find("A fault in the metrics", 1, true));
		plain:stop();
	end);
end);
