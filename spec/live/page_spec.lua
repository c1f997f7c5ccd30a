-- The page of mod_push_page over HTTP: who may see and change what. spec/browser_spec.lua looks at it with a browser.
local prosody = require "spec.support.prosody";
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local http = require "spec.support.http";
local push2 = require "spec.support.push2";

local PUSH = "push.example.test";
-- Of a proxy in front of Prosody, for a browser elsewhere that speaks HTTPS to it.
local PROXIED = { ["X-Forwarded-For"] = "203.0.113.5", ["X-Forwarded-Proto"] = "https" };

local server, app, service, juliet;

local function start(options, more)
	local opts = {
		version = os.getenv("PROSODY"), module = "ours", options = options, http = true,
		enable = { "push_page", "push2", "tokenauth" }, global = { admins = { "juliet@example.test" } },
	};
	for name, value in pairs(more or {}) do opts[name] = value; end
	server = prosody.start(opts);
	app = appserver.connect(server, PUSH);
	service = appserver.connect(server, "push2.example.test");
	juliet = client.connect(server, "juliet");
end

local function register(user, node)
	local phone = client.connect(server, user, { resource = "phone" });
	assert.equal("result", phone:enable_push({ jid = PUSH, node = node }).attr.type);
	phone:close();
end

local function write(user, text)
	juliet:message { to = user.."@example.test", body = text };
	app:settled();
end

local function get(path, opts)
	return http.get(server, "/push/"..path, opts or { user = "romeo" });
end

-- What a browser does: loads the page, and sends its form with the cookie.
local function open(user)
	local answer = get("", { user = user });
	return {
		body = answer.body, user = user, cookie = answer.headers["set-cookie"]:match("^[^;]+"),
		token = answer.body:match('name="token" type="hidden" value="(%x+)"'),
	};
end

local function submit(page, action, fields, headers)
	fields.token = page.token;
	return http.post(server, "/push/"..action, fields, { user = page.user, cookie = page.cookie, headers = headers });
end

local JSON = { Accept = "application/json" };

local function keys(user)
	local found = {};
	for _, device in ipairs(get("api/devices", { user = user }).json()) do found[device.identifier] = device.key; end
	return found;
end

describe("the page", function ()
	setup(function () start({}, { s2s = true }); end);
	teardown(function () server:stop(); end);
	before_each(function ()
		for _, user in ipairs({ "romeo", "juliet" }) do
			server:store(user, nil);
			server:store(user, nil, "push2_registrations");
		end
		server:reload();
		server:reload("push2");
		server:reload("push_page");
		-- How often a user may wake devices outlasts a reload.
		server:eval([[module:shared("/*/prosody_push/wakes").of:clear()]]);
		app.pushes, app.answer = {}, "result";
		register("romeo", "n");
	end);

	it("shows a user the own devices and what was decided for them, and no more", function ()
		register("juliet", "hers");
		write("romeo", "a private word");
		write("juliet", "to myself");
		local body = get("").body;
		assert.matches("push.example.test&lt;n", body, 1, true);
		assert.matches("taken %d+ seconds? ago", body);
		assert.matches("message (no client took it): sent, taken after", body, 1, true);
		for _, other in ipairs({ "hers", "private", "juliet", 'id="charts"', 'id="app%-servers"', 'id="endings"' }) do
			assert.not_matches(other, body);
		end
		for _, path in ipairs({ "history", "app-servers", "endings", "check", "decisions?user=juliet" }) do
			local answer = get("api/"..path);
			assert.equal(403, answer.status, path);
			assert.equal("Only administrators of this host may see that.", answer.json().error);
		end
		for _, decision in ipairs(get("api/decisions").json()) do assert.equal("romeo", decision.user); end
		assert.equal(200, get("api/decisions?user=romeo@example.test").status);
		local devices = get("api/devices").json();
		assert.same({ 1, "push.example.test<n" }, { #devices, devices[1].identifier });
	end);

	it("shows an administrator all decisions, or a user's; app servers, times and the last day; and never a text or a sender", function ()
		local tablet = client.connect(server, "romeo", { resource = "tablet" });
		tablet:iq(push2.iq(push2.enable { service = service.jid, push2.match("important") }));
		tablet:close();
		local mercutio = client.connect(server, "mercutio");
		mercutio:message { to = "romeo@example.test", body = "a private word" };
		app:settled();
		service:expect(1);
		local admin = { user = "juliet" };
		local all = get("", admin).body;
		local outputs = { all };
		for _, path in ipairs({ "decisions", "history", "app-servers", "endings", "decisions?user=romeo" }) do
			local answer = get("api/"..path, admin);
			assert.equal(200, answer.status, path);
			outputs[#outputs + 1] = answer.body;
		end
		for _, output in ipairs(outputs) do
			assert.not_matches("private", output);
			assert.not_matches("mercutio", output);
		end
		assert.matches("<bdi>romeo</bdi>", all, 1, true);
		assert.matches("message (no client took it): sent, no error so far", all, 1, true);
		for _, decision in ipairs(get("api/decisions", admin).json()) do assert.equal("romeo", decision.user); end
		assert.same({}, get("api/decisions?user=benvolio", admin).json());
		assert.equal(404, get("api/decisions?user=romeo@nowhere.test", admin).status);
		assert.not_matches("<bdi>romeo</bdi>", get("?user=benvolio", admin).body, 1, true);
		assert.matches("<bdi>romeo</bdi>", get("?user=romeo%40example.test", admin).body, 1, true);
		local history = get("api/history", admin).json()[1];
		local counts = {};
		for i, name in ipairs(history.series) do counts[name] = history.minutes[1].counts[i]; end
		assert.same({ 1, 1, 0 }, { counts.important, counts.taken, counts.not_sent });
		assert.is_true(history.answers == 1 and history.median < 5 and history.p95 == history.median);
		assert.matches('<path class="important" d="M', all, 1, true);
		assert.matches("important: 2", all, 1, true);
		assert.matches('<p class="glance taken">In the last hour app servers took 1 pushes and refused 0; 0 did not get there', all, 1, true);
		local app_server = get("api/app-servers", admin).json()[1];
		assert.same({ PUSH, 0, 0, "XEP-0357" }, { app_server.jid, app_server.failures, app_server.owed, app_server.protocol });
	end);

	it("shows an administrator what keeps phones from ringing, and asks the app servers on demand", function ()
		local page = open("juliet");
		assert.matches("contact_uri is not a mailto: or https: address", page.body, 1, true);
		assert.equal(1, get("api/check", { user = "juliet" }).json().asked);
		local result = submit(page, "check", {}, JSON).json();
		assert.equal("error", result.fate);
		assert.equal(1, #result.found);
		app:disconnect();
		local body = submit(page, "check", {}).body;
		assert.matches('<p class="error" id="answer" role="status">.*app server push.example.test cannot be reached', body);
		assert.equal(403, submit(open("romeo"), "check", {}).status);
		app = appserver.connect(server, PUSH);
	end);

	it("shows which registrations ended, and why", function ()
		local phone = client.connect(server, "romeo", { resource = "phone" });
		phone:disable_push { jid = PUSH };
		phone:close();
		local ending = get("api/endings", { user = "juliet" }).json()[1];
		assert.same({ "romeo", "push.example.test<n", "its client disabled push" }, { ending.user, ending.device, ending.why });
		assert.matches("its client disabled push", get("", { user = "juliet" }).body, 1, true);
	end);

	it("wakes a device, says what became of the push, and where to look next", function ()
		local page = open("romeo");
		local result = submit(page, "wake", { device = keys("romeo")["push.example.test<n"] }, JSON).json();
		assert.equal("taken", result.fate);
		assert.matches("^taken after %d+ ms$", result.text);
		assert.matches("^The server has done its part", result.hint);
		assert.equal(1, #app.pushes);
		app.answer = { "cancel", "item-not-found", "no such token" };
		-- Without JavaScript.
		local body = submit(page, "wake", { device = keys("romeo")["push.example.test<n"] }).body;
		assert.matches('<p class="refused" id="answer" role="status"><strong><bdi>cancel/item-not-found (no such token) after', body, 1, true);
		assert.matches("Open the client, or switch push notifications off and on again", body, 1, true);
		assert.matches('<p class="glance error">In the last hour app servers took 1 pushes and refused 1;',
			get("", { user = "juliet" }).body, 1, true);
		app.answer = { "wait", "resource-constraint" };
		assert.equal("failed", submit(page, "wake", { device = keys("romeo")["push.example.test<n"] }, JSON).json().fate);
	end);

	it("does not wake without end", function ()
		local page, key = open("romeo"), keys("romeo")["push.example.test<n"];
		local result;
		for _ = 1, 7 do result = submit(page, "wake", { device = key }, JSON).json(); end
		assert.matches("too many devices were woken", result.text, 1, true);
		assert.equal(5, #app.pushes);
	end);

	it("removes a device", function ()
		local page = open("romeo");
		local body = submit(page, "remove", { device = keys("romeo")["push.example.test<n"] }).body;
		assert.matches('<p class="removed" id="answer"', body, 1, true);
		assert.matches("No client of yours has asked to be woken", body, 1, true);
		assert.is_nil(server:stored("romeo"));
		server:wait_log("Push registration removed: romeo, push.example.test<n %(by the user%)");
	end);

	it("touches nobody else's device", function ()
		register("mercutio", "his");
		local key = keys("romeo")["push.example.test<n"];
		for _, user in ipairs({ "mercutio", "juliet" }) do
			local page = open(user);
			for _, action in ipairs({ "wake", "remove" }) do
				local answer = submit(page, action, { device = key }, JSON);
				assert.equal(404, answer.status);
				assert.equal("There is no such device", answer.json().error);
			end
		end
		assert.equal(0, app:settled());
		assert.is_truthy(server:stored("romeo"));
	end);

	it("changes nothing without the token of the own page", function ()
		local page, other = open("romeo"), open("juliet");
		local key = keys("romeo")["push.example.test<n"];
		for what, case in pairs({
			["no token at all"] = { page.cookie };
			["no token"] = { page.cookie, "" };
			["a made-up token"] = { page.cookie, ("0"):rep(64) };
			["another user's token"] = { page.cookie, other.token };
			["another user's page"] = { other.cookie, other.token };
			["no cookie, as from another site"] = { nil, page.token };
			["another browser's cookie"] = { other.cookie, page.token };
		}) do
			for _, action in ipairs({ "wake", "remove" }) do
				local answer = http.post(server, "/push/"..action, { device = key, token = case[2] }, { user = "romeo", cookie = case[1] });
				assert.equal(403, answer.status, what);
			end
		end
		for _, headers in ipairs({
			{ ["Sec-Fetch-Site"] = "cross-site", ["Sec-Fetch-Mode"] = "navigate" };
			{ ["Sec-Fetch-Site"] = "same-site", ["Sec-Fetch-Mode"] = "cors" };
		}) do
			assert.equal(403, submit(page, "remove", { device = key }, headers).status);
		end
		assert.equal(403, get("api/devices", { user = "romeo", headers = { ["Sec-Fetch-Site"] = "cross-site" } }).status);
		assert.equal(200, get("", { user = "romeo", headers = { ["Sec-Fetch-Site"] = "cross-site", ["Sec-Fetch-Mode"] = "navigate" } }).status);
		assert.equal(404, http.get(server, "/push/remove?device="..key, { user = "romeo", cookie = page.cookie }).status);
		assert.equal(413, submit(page, "remove", { device = ("x"):rep(20000) }).status);
		assert.equal(0, app:settled());
		assert.is_truthy(server:stored("romeo"));
	end);

	it("keeps what others have written a text", function ()
		local SCRIPT = [["'><script>alert(1)</script><img src=x onerror=alert(2)>&amp;]];
		register("romeo", SCRIPT);
		register("romeo", "two\nlines\194\133");
		app.answer = { "cancel", "item-not-found", SCRIPT };
		write("romeo", "Romeo?");
		local page = open("romeo");
		local bodies = { page.body, submit(page, "wake", { device = keys("romeo")[PUSH.."<"..SCRIPT] }).body, get("", { user = "juliet" }).body };
		bodies[#bodies + 1] = get("?user="..(SCRIPT:gsub("%W", function (c) return ("%%%02x"):format(c:byte()); end)), { user = "juliet" }).body;
		for _, body in ipairs(bodies) do
			assert.not_matches("<script>", body, 1, true);
			assert.not_matches("<img", body, 1, true);
			assert.matches("&lt;script&gt;alert(1)&lt;/script&gt;", body, 1, true);
			-- No attribute ends early.
			for tag in body:gmatch("<%a[^>]*>") do assert.equal(0, select(2, tag:gsub('"', "")) % 2, tag); end
		end
		assert.matches("after %d+ ms", bodies[2]);
		assert.matches("application/json", get("api/devices").headers["content-type"], 1, true);
	end);

	it("sends headers that let a browser run nothing else, and keep nothing", function ()
		for _, answer in ipairs({
			get(""), get("page.js"), get("page.css"), get("api/devices"), get("", {}), get("api/history"), submit(open("romeo"), "wake", {}),
		}) do
			local headers = answer.headers;
			assert.matches("default-src 'none'; script-src 'self'; style-src 'self'", headers["content-security-policy"], 1, true);
			assert.not_matches("unsafe", headers["content-security-policy"]);
			assert.matches("frame-ancestors 'none'", headers["content-security-policy"], 1, true);
			assert.same({ "no-store", "nosniff", "DENY", "no-referrer", "same-origin" }, {
				headers["cache-control"], headers["x-content-type-options"], headers["x-frame-options"], headers["referrer-policy"],
				headers["cross-origin-resource-policy"],
			});
		end
		local body = get("", { user = "juliet" }).body;
		assert.not_matches("<script[^>]*>[^<]", body);
		assert.not_matches("<style", body);
		assert.not_matches(" style=", body);
		assert.not_matches(" on%a+=", body);
		assert.not_matches("https?://", body);
		assert.matches("; HttpOnly; SameSite=Strict$", get("").headers["set-cookie"]);
		assert.matches("/push/$", http.get(server, "/push", { user = "romeo" }).headers.location);
	end);

	it("says that nothing pushes, and what failed", function ()
		server:unload();
		server:unload("push2");
		assert.matches("Neither cloud_notify nor push2 of prosody%-push is loaded", get("", { user = "juliet" }).body);
		assert.matches("Neither cloud_notify", get("api/check", { user = "juliet" }).json().found[1], 1, true);
		assert.equal("[]", get("api/devices").body);
		server:load();
		server:load("push2");
		server:eval([[
			local protocol = module:shared("/*/prosody_push/protocols")[module.host.."/cloud_notify"];
			function protocol.devices() error("a fault"); end
		]]);
		local answer = get("api/devices");
		assert.same({ 500, "This failed on the server, which has it in its log.", "no-store" },
			{ answer.status, answer.json().error, answer.headers["cache-control"] });
		server:wait_log("A fault in the page: .*a fault");
		server:eval([[
			local protocol = module:shared("/*/prosody_push/protocols")[module.host.."/cloud_notify"];
			function protocol.devices() return nil, "the disk is on fire"; end
		]]);
		assert.matches("Your devices cannot be read now: the disk is on fire", get("").body, 1, true);
		assert.equal(500, get("api/check", { user = "juliet" }).status);
		assert.equal(503, get("api/devices").status);
	end);

	it("goes with its module", function ()
		server:unload("push_page");
		assert.equal(404, get("").status);
		server:load("push_page");
		assert.equal(200, get("").status);
	end);
end);

describe("access to the page", function ()
	before_each(function () start({}); end);
	after_each(function () server:stop(); end);

	it("is by the account's password", function ()
		for name, user in pairs({ bare = "romeo", ["with the host"] = "romeo@example.test", ["in capitals"] = "Romeo@EXAMPLE.test" }) do
			assert.equal(200, get("", { user = user }).status, name);
		end
		local answer = get("", {});
		assert.equal(401, answer.status);
		assert.matches('^Basic realm="', answer.headers["www-authenticate"]);
		for name, opts in pairs({
			["another password"] = { user = "romeo", password = "Secret" };
			["no password"] = { user = "romeo", password = "" };
			["nobody"] = { user = "nobody" };
			["of another host"] = { user = "romeo@nowhere.test" };
			["no user"] = { user = "" };
			["no base64"] = { headers = { Authorization = "Basic ???" } };
			["another scheme"] = { headers = { Authorization = "Digest x" } };
		}) do
			answer = get("api/devices", opts);
			assert.equal(401, answer.status, name);
			assert.is_string(answer.json().error);
		end
	end);

	if os.getenv("PROSODY") ~= "0.12" then it("is not for disabled accounts", function ()
		server:eval([[
			local users = prosody.hosts[module.host].users;
			function users.is_enabled(user) return user ~= "romeo"; end
		]]);
		assert.equal(401, get("").status);
		assert.equal(200, get("", { user = "mercutio" }).status);
	end); end

	it("is by HTTPS, or from this machine", function ()
		local function status(headers)
			local answer = get("", { user = "romeo", headers = headers });
			return answer.status, answer;
		end
		assert.equal(200, (status({})));
		local refused, answer = status({ ["X-Forwarded-For"] = "203.0.113.5" });
		assert.equal(403, refused);
		assert.matches("^This page needs HTTPS", answer.body);
		assert.is_nil(answer.headers["www-authenticate"], "no password is asked for");
		for _, header in ipairs({ "Forwarded", "Via", "X-Forwarded-Host", "X-Real-IP" }) do
			assert.equal(403, (status({ [header] = "127.0.0.1" })), header);
		end
		assert.equal(403, (status({ ["X-Forwarded-For"] = "127.0.0.1" })));
		refused, answer = status(PROXIED);
		assert.equal(200, refused);
		assert.matches("; Secure$", answer.headers["set-cookie"]);
	end);

	it("is throttled by address", function ()
		for _ = 1, 10 do assert.equal(401, get("", { user = "romeo", password = "no" }).status); end
		local answer = get("");
		assert.equal(429, answer.status, "the right password does not help");
		assert.equal("60", answer.headers["retry-after"]);
		assert.equal(429, get("", { user = "mercutio" }).status, "nor does another user");
		assert.equal(200, get("", { user = "romeo", headers = PROXIED }).status, "but an address elsewhere is another");
	end);

	it("is throttled by the network of an IPv6 address", function ()
		local function from(n)
			return { ["X-Forwarded-For"] = ("2001:db8:1:2::%x"):format(n), ["X-Forwarded-Proto"] = "https" };
		end
		for n = 1, 10 do get("", { user = "romeo", password = "no", headers = from(n) }); end
		assert.equal(429, get("", { user = "romeo", headers = from(99) }).status);
		assert.equal(200, get("", { user = "romeo", headers = PROXIED }).status);
	end);

	it("is throttled by account, whatever the address", function ()
		for n = 1, 30 do
			local headers = { ["X-Forwarded-For"] = "198.51.100."..n, ["X-Forwarded-Proto"] = "https" };
			assert.equal(401, get("", { user = "romeo", password = "no", headers = headers }).status);
		end
		assert.equal(429, get("").status);
		assert.equal(200, get("", { user = "mercutio" }).status);
	end);

	it("by a token has the rights of the token", function ()
		-- A token of the user's, with a role where there are roles.
		local function token(user, role)
			return server:eval([[
				local user, role = ...;
				local tokens = require "core.modulemanager".get_module(module.host, "tokenauth");
				local jid = user.."@"..module.host;
				if tokens.create_jid_token then return (tokens.create_jid_token(jid, jid, nil, 600)); end
				return (tokens.create_token(jid, assert(tokens.create_grant(jid, jid, 600)), role, 600, "oauth2"));
			]], user, role);
		end
		if os.getenv("PROSODY") ~= "0.12" then
			server:eval([[assert(require "core.usermanager".add_user_secondary_role("juliet", module.host, "prosody:registered"))]]);
		end
		local romeos = token("romeo", "prosody:registered");
		assert.equal(200, get("api/devices", { token = romeos }).status);
		assert.equal(403, get("api/history", { token = romeos }).status);
		assert.equal(401, get("api/devices", { token = romeos:sub(1, -5) }).status);
		local limited = token("juliet", "prosody:registered");
		assert.equal(200, get("api/devices", { token = limited }).status);
		assert.equal(403, get("api/history", { token = limited }).status, "an administrator's token is not an administrator");
		if os.getenv("PROSODY") ~= "0.12" then
			assert.equal(200, get("api/history", { token = token("juliet", "prosody:operator") }).status);
		end
		server:unload("tokenauth");
		assert.equal(401, get("api/devices", { token = romeos }).status);
	end);

	if os.getenv("PROSODY") ~= "0.12" then it("as an administrator is by role", function ()
		assert.equal(403, get("api/history").status);
		server:eval([[assert(require "core.usermanager".set_user_role("romeo", module.host, "prosody:admin"))]]);
		assert.equal(200, get("api/history").status);
	end); end

	it("is not for other sites' scripts, whatever mod_http allows", function ()
		server:stop();
		start({}, { global = { access_control_allow_credentials = true, access_control_allow_origins = { "*" } } });
		local answer = get("api/devices", { user = "romeo", headers = { Origin = "https://other.example" } });
		assert.equal(200, answer.status);
		assert.is_nil(answer.headers["access-control-allow-origin"]);
		assert.is_nil(answer.headers["access-control-allow-credentials"]);
	end);
end);

describe("the page of a host without accounts", function ()
	it("is not there, and the log says what to do", function ()
		start({}, { enable = { "push2" } });
		server:eval([[require "core.modulemanager".load("push.example.test", "push_page")]]);
		server:wait_log("mod_push_page needs a host with user accounts, and push.example.test has none");
		server:stop();
	end);
end);

describe("a server without the page", function ()
	it("has none", function ()
		start({}, { enable = { "push2", "http" } });
		assert.equal(404, get("").status);
		server:stop();
	end);
end);
