-- Long traffic: messages from one component and pushes to another, over sockets.
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local net = require "spec.support.net";
local push2 = require "spec.support.push2";

local PUSH = "push.example.test";
local SENDER = "push2.example.test";
-- Few, so that the memory of each device, its last 512 messages, is soon full.
local USERS, DEVICES = 20, 2;
-- The number of pushes of Push 2.0 that are in flight at most. Memory grows until it is reached, and once more when the tables of
-- this size have to make room.
local UNANSWERED, AT_REST = 50000, 75000;
-- The most pushes in flight, and the number of pushes between two pings that show how many answers the server has read.
local WINDOW, STEP = 2000, 500;

-- CPU seconds of the server so far.
local function cpu(server)
	local file = assert(io.open(("/proc/%d/stat"):format(server:pid())));
	local user, system = file:read("a"):match("%) %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ (%d+) (%d+)");
	file:close();
	return (user + system) / 100;
end

-- protocol: module; store; record(i, j) of a user's device; push, a pattern for one push; answer, a format with the push's id, if the
-- protocol has answers; at_rest, the pushes until memory is stable, by default a twentieth; unanswered, the pushes that may be left.
local function traffic(protocol, start, size, progress)
	local server = start {
		log_level = "error", storage = "memory", enable = { protocol.module }, disable = { "mam", "offline", protocol.not_module };
	};
	local records = {};
	for i = 1, USERS do
		records["user"..i] = {};
		for j = 1, DEVICES do
			local identifier, record = protocol.record(i, j);
			records["user"..i][identifier] = record;
		end
	end
	server:eval([[
		local name, records = ...;
		local store = module:open_store(name);
		for user, of_user in pairs(records) do assert(store:set(user, of_user)); end
		module:hook("message/offline/handle", function () return true; end, -1);
		module:hook("message/bare", function (event)
			local user = event.stanza.attr.to:match("^[^@]+");
			return module:fire_event("message/offline/handle", { origin = event.origin, stanza = event.stanza, username = user });
		end, 1000);
	]], protocol.store, records);
	local app, sender = appserver.connect(server, PUSH), appserver.connect(server, SENDER);
	-- The stream is read without a parser, which would take longer than the server.
	local came, answered, rest = 0, 0, "";
	net.add(app.stream.conn, function (data)
		if not data then return; end
		local out, last = {}, 1;
		rest = (rest..data):gsub("<iq [^>]*read%-(%d+)[^>]*/>", function (read)
			answered = tonumber(read);
			return "";
		end);
		for push, past in rest:gmatch(protocol.push) do
			came, last = came + 1, past;
			if protocol.answer then out[#out + 1] = protocol.answer:format(push:match(" id=['\"](.-)['\"]")); end
			if came % STEP == 0 then
				out[#out + 1] = ("<iq type='get' id='read-%d' from='%s' to='example.test'><ping xmlns='urn:xmpp:ping'/></iq>"):format(came, PUSH);
			end
		end
		rest = rest:sub(last);
		app.stream:write(table.concat(out));
	end);
	local sent, base, highest = 0, nil, 0;
	local step = size // 20;
	local at_rest = math.max(step, protocol.at_rest or 0);
	local began, cpu_before = net.now(), cpu(server);
	while came < size do
		local out = {};
		while #out < 100 and sent * DEVICES < size and sent * DEVICES - answered < WINDOW do
			sent = sent + 1;
			out[#out + 1] = ("<message type='chat' id='m%d' from='juliet@%s' to='user%d@example.test'><body>%d</body></message>")
				:format(sent, SENDER, sent % USERS + 1, sent);
		end
		sender.stream:write(table.concat(out));
		local before, answered_before = came, answered;
		net.wait(function () return came > before or answered > answered_before; end, ("push %d of %d"):format(came + 1, size));
		if came >= at_rest then
			base = base or server:memory();
			if came // step > before // step then
				highest = math.max(highest, server:memory());
				progress("%d of %d pushes, %.1f MB", came, size, server:memory() / 1e6);
			end
		end
	end
	local seconds, spent = net.now() - began, cpu(server) - cpu_before;
	if server.module == "ours" then
		net.wait(function () return server:in_flight(protocol.module) <= (protocol.unanswered or 0); end, "the last answers");
	end
	assert(came == size, ("%d pushes"):format(came));
	local speed = ("%d/s, %.0f µs"):format(size // seconds, spent / size * 1e6);
	if not base then return speed; end
	local growth = highest / base - 1;
	local figure = ("%s, %.1f %%, of %d"):format(speed, growth * 100, size);
	-- In a short run the allocator is not stable yet: single readings differ by half a megabyte.
	assert(growth < (size < 100000 and 0.06 or 0.02), figure);
	return figure;
end

local XEP_0357 = {
	module = "cloud_notify"; store = "cloud_notify";
	record = function (i, j)
		local node = ("device%d-%d"):format(i, j);
		return PUSH.."<"..node, { jid = PUSH, node = node, timestamp = j };
	end;
	at_rest = 25000; push = "(<iq .-</iq>)()"; answer = "<iq type='result' id='%s' from='"..PUSH.."' to='example.test'/>";
};

local PUSH_2_0 = {
	module = "push2"; not_module = "cloud_notify"; store = "push2_registrations"; unanswered = UNANSWERED; at_rest = AT_REST;
	record = function (i, j)
		local rule = {
			match = "urn:xmpp:push2:match:important"; send = push2.encrypted; chats = {};
			ua_public = push2.ua_public; auth_secret = push2.auth_secret;
			jwt_alg = "ES256"; jwt_key = push2.jwt_key; jwt_claims = { aud = "https://push.example.test" };
		};
		return "device"..j, { service = PUSH, client = ("device%d-%d"):format(i, j), timestamp = j, matches = { rule } };
	end;
	push = "(<message .-</message>)()";
};

-- Fires the events of mod_smacks for many hibernations of a session in a row. A dummy replaces mod_smacks's watchdog, because the
-- watchdog of 0.12 stays in memory for ten minutes.
local function naps(start, size, progress)
	local NAPS = 100;
	local server = start { log_level = "error", storage = "memory" };
	local phone = client.connect(server, "romeo", { smacks = true });
	phone:enable_push { jid = PUSH, node = "n" };
	server:eval([[
		local _, session = next(prosody.hosts[module.host].sessions.romeo.sessions);
		local function nap()
			session.hibernating, session.hibernating_watchdog = os.time(), { timeout = 600, callback = function () end, cancel = function () end };
			module:fire_event("smacks-hibernation-start", { origin = session, queue = {} });
			session.hibernating_watchdog:cancel();
			session.hibernating, session.hibernating_watchdog = nil, nil;
			module:fire_event("smacks-hibernation-end", { origin = session, resumed = session, queue = {} });
		end
		function prosody.naps(n)
			for _ = 1, n do nap(); end
			-- Waits for the work that is left for the next turn of the loop.
			return require "util.promise".new(function (resolve) module:add_timer(0, resolve); end);
		end
	]]);
	local base, highest = nil, 0;
	for done = NAPS, size, NAPS do
		server:eval("return prosody.naps(...)", NAPS);
		if done % (size // 10) == 0 then
			local bytes = server:eval("collectgarbage(); collectgarbage(); return collectgarbage('count') * 1024");
			base, highest = base or bytes, math.max(highest, bytes);
			progress("%d of %d naps, %.0f kB", done, size, bytes / 1000);
		end
	end
	local kept = (highest - base) / (size * 0.9);
	local figure = ("%.1f bytes, of %d"):format(kept, size);
	-- A timer that stays would take fifty times as much.
	assert(kept < 5, figure);
	return figure;
end

return {
	{
		name = "a session hibernates and is resumed";
		counts = "bytes of Lua's memory that stay in use, per hibernation";
		size = { 2000, 100000 };
		run = naps;
	};
	{
		name = "pushes for messages, over sockets";
		counts = "per second, CPU of the server for each, growth of memory after the first twentieth (none is left in flight)";
		size = { 40000, 1000000 };
		-- The reference keeps memory for each push, so fewer pushes give it better figures.
		reference_size = 100000;
		run = function (...) return traffic(XEP_0357, ...); end;
	};
	{
		name = "the same with Push 2.0, each push with its stanza, encrypted";
		counts = "per second, CPU of the server for each, growth of memory after the first 75,000 (50,000 pushes wait for an error)";
		only = "ours";
		-- In the small version memory is not stable yet, and is not checked.
		size = { 10000, 500000 };
		run = function (...) return traffic(PUSH_2_0, ...); end;
	};
};
