-- The traffic of the bench, and what has to come of it: before anything is counted, the pushes are checked.
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local prosody = require "spec.support.prosody";
local push2 = require "spec.support.push2";
local tigase = require "spec.support.tigase";
local xml = require "util.xml";

local APP, ELSEWHERE = "app.example.test", "app.elsewhere.test";
-- Events that one request to a server asks for.
local STEP = 500;

local cases = {};

-- Both modules on one Prosody version, each in a server of its own with the same users:
-- romeo has one device, juliet five, none with a session; mercutio has one that is connected and one that is not; benvolio
-- one, connected or, with `opts.asleep`, hibernating.
local function start_one(module, opts)
	local server = prosody.start {
		version = opts.version; module = module;
		log_level = "info"; storage = opts.storage or "memory";
		enable = { "spec_bench", opts.encrypted and "cloud_notify_encrypted" or nil };
		community = module == "reference" and opts.encrypted and { "cloud_notify_encrypted" } or nil;
		components = { [APP] = "spec_app" }; options = opts.options; s2s = opts.elsewhere;
	};
	local clients = {};
	local function enable(user, nodes, client_opts)
		local phone = client.connect(server, user, client_opts);
		for _, node in ipairs(nodes) do
			phone:enable_push({ jid = opts.elsewhere and ELSEWHERE or APP, node = node, options = { secret = "the secret of "..node },
				opts.encrypted and tigase.encrypt() or nil });
		end
		table.insert(clients, phone);
		return phone;
	end
	enable("romeo", { "r1" }):close();
	enable("juliet", { "j1", "j2", "j3", "j4", "j5" }):close();
	enable("mercutio", { "absent", "connected" });
	local benvolio = enable("benvolio", { "b1" }, { smacks = true });
	if opts.asleep then benvolio:sleep(); end
	server:eval("prosody.spec_bench.attach(...)", opts.elsewhere and ELSEWHERE or nil);
	return server;
end

-- opts: version; options; storage ("memory" unless given); asleep; encrypted (all devices want that); elsewhere (the app server is on
-- another server).
function cases.start(opts)
	return { reference = start_one("reference", opts), ours = start_one("ours", opts) };
end

function cases.stop(servers)
	servers.reference:stop();
	servers.ours:stop();
end

cases.enable = { name = "enable again", kind = "enable", whole = true, user = "tybalt", n = 1000, pushes = { reference = 0, ours = 0 } };
cases.enable_changed = { name = "enable with another form", kind = "enable_changed", user = "tybalt", n = 1000,
	pushes = { reference = 0, ours = 0 } };

-- node: of whom a push is to be; important: whether it says so; pushes: by what `n` events lead to, of each side; nil where
-- one comes later for all of them. whole: it is measured as a whole process, too, which takes minutes.
cases.list = {
	{ name = "offline message, 1 device", kind = "offline", whole = true, user = "romeo", n = 1000, node = "r1", important = true,
		pushes = { reference = 1, ours = 1 } };
	{ name = "offline message, 5 devices", kind = "offline", whole = true, user = "juliet", n = 200, node = "j%d", important = true,
		pushes = { reference = 5, ours = 5 } };
	{ name = "offline message, 1 device, another module looks", kind = "offline", user = "romeo", n = 1000, node = "r1",
		important = true, watched = true, pushes = { reference = 1, ours = 1 } };
	{ name = "archived message, 1 of 2 devices absent", kind = "archive", whole = true, user = "mercutio", n = 1000, node = "absent",
		important = true, pushes = { reference = 1, ours = 1 } };
	{ name = "ping", kind = "ping", whole = true, user = "romeo", n = 1000, node = "r1", important = false,
		pushes = { reference = 1, ours = 1 } };
	cases.enable;
	cases.enable_changed;
	{ name = "chat state, nobody keeps it", kind = "chat_state", user = "romeo", n = 1000, node = "r1", important = false,
		pushes = { reference = 1, ours = 0 } };
	{ name = "message that was pushed before", kind = "pushed_before", user = "romeo", n = 1000, node = "r1", important = true,
		pushes = { reference = 1, ours = 0 }, once = true };
	{ name = "archived message, device connected", kind = "archive", whole = true, user = "benvolio", n = 1000,
		pushes = { reference = 0, ours = 0 } };
};

-- With opts.encrypted; the community's module wants Prosody 13.0.
cases.encrypted = { name = "offline message, 1 device, encrypted", kind = "offline", user = "romeo", n = 1000, encrypted = true,
	pushes = { reference = 1, ours = 1 } };

-- A server of 13.0 where romeo's device asks for pushes of Push 2.0 that are encrypted and signed.
function cases.start_push2()
	local server = prosody.start {
		version = "13.0", module = "ours", log_level = "info", storage = "memory", enable = { "spec_webpush", "push2" },
		disable = { "cloud_notify" };
	};
	local phone = client.connect(server, "romeo");
	phone:iq(push2.iq(push2.enable { service = "pusher@push2.example.test",
		push2.match("important", { send = push2.encrypted, jwt = "ES256" }) }));
	phone:close();
	return server;
end

-- CPU microseconds of each of `n` pushes that carry their stanza: of ours, or of OpenSSL from Lua; with a token that is
-- signed for each, or by OpenSSL with none.
function cases.run_push2(server, side, n, sign)
	local spent, text = server:eval("return prosody.spec_webpush."..side.."(...)", n, sign,
		push2.ua_public, push2.auth_secret, push2.jwt_key);
	local push = push2.read(assert(xml.parse(text)));
	assert(push2.decrypt(push.payload):get_child_text("body"):find("But soft", 1, true), text);
	if sign or side == "ours" then
		assert(push2.verify(push.jwt, "ES256", push.key).aud == "https://push.example.test", text);
	end
	return spent / n * 1e6;
end

-- The clients of a user that cases.start_many() gives romeo.
cases.clients = 20;

-- The same server, where romeo has many such clients.
function cases.start_many()
	local server = cases.start_push2();
	local records = {};
	for i = 1, cases.clients do
		local record = push2.record { client = "client"..i, service = "pusher@push2.example.test", timestamp = i, jwt = "ES256" };
		records["client"..i] = record;
	end
	server:store("romeo", records, "push2_registrations");
	server:reload("push2");
	return server;
end

-- CPU microseconds of a client's share of a message, and the longest time in milliseconds that the server was held, of `n` messages.
function cases.run_many(server, n)
	local result = server:eval("return prosody.spec_webpush.many(...)", n, cases.clients);
	assert(push2.decrypt(push2.read(assert(xml.parse(result.last))).payload):get_child_text("body"):find("But soft", 1, true), result.last);
	return result.spent / n / cases.clients * 1e6, result.slowest * 1000;
end

-- Raises unless the pushes of a run are those of the case.
local function check_push(case, text)
	local stanza = assert(xml.parse(text));
	if case.encrypted then
		local said = assert(tigase.read(stanza), text);
		assert(said.type == "chat" and said.sender and #said.message > 0, text);
		return;
	end
	local push = appserver.read(stanza);
	assert(push.node:find("^"..case.node:gsub("%%d", "%%d").."$"), push.node);
	assert(push.options.secret == "the secret of "..push.node, text);
	assert(push.summary["message-count"] == "1", text);
	assert((push.summary["last-message-body"] == "New Message!") == case.important, text);
end

function cases.check(case, side, n, result)
	local wanted = case.pushes and case.pushes[side] * n;
	-- What was pushed in a run before is pushed no more.
	local is_right = not wanted or result.pushes == wanted or case.once and side == "ours" and result.pushes <= 1;
	assert(is_right, ("%s, %s: %d pushes for %d events"):format(case.name, side, result.pushes, n));
	if result.pushes > 0 then
		check_push(case, result.first);
		check_push(case, result.last);
	end
end

-- CPU microseconds of `n` events: `total` with routing and answers, without the making of the messages; `own` less what
-- as many pushes cost at least; `making` of the messages; and the number of pushes.
function cases.run(servers, side, case, n)
	local wanted = case.pushes and case.pushes[side] * n;
	if case.once and side == "ours" then wanted = 0; end
	servers[side]:eval("prosody.spec_bench.watch(...)", case.watched or false);
	local result = servers[side]:eval("return prosody.spec_bench.run(...)", case.kind, case.user, n, wanted);
	cases.check(case, side, n, result);
	return {
		total = result.total * 1e6; own = (result.total - result.floor) * 1e6; floor = result.floor * 1e6;
		making = result.making * 1e6; pushes = result.pushes;
	};
end

-- CPU microseconds of a server of its own, from its start to the last answer to `n` events, and the pushes; part: see bench.whole.
function cases.whole(opts, side, part, case, n)
	local server = start_one(side, opts);
	server:eval("prosody.spec_bench.watch(...)", case.watched or false);
	local result, pushes = nil, 0;
	for first = 1, n, STEP do
		local events = math.min(STEP, n - first + 1);
		result = server:eval("return prosody.spec_bench.whole(...)", part, case.kind, case.user, events);
		if part == "event" then cases.check(case, side, events, result); end
		pushes = pushes + result.pushes;
	end
	server:stop();
	return result.total * 1e6, pushes;
end

-- CPU microseconds of the first event of a server, and of the second.
function cases.first(opts, side)
	local servers = { [side] = start_one(side, opts) };
	local function one() return cases.run(servers, side, cases.list[1], 1).total; end
	local first, second = one(), one();
	servers[side]:stop();
	return first, second;
end

return cases;
