-- What is kept of what was acknowledged.
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local faulty = require "spec.support.faulty";
local net = require "spec.support.net";
local st = require "util.stanza";

local PUSH = "push.example.test";

-- What a user has, the oldest first, after one more request: XEP-0357 with push_max_devices = 5.
local function apply(model, kind, node)
	local after = {};
	for _, other in ipairs(model) do
		if other ~= node then table.insert(after, other); end
	end
	if kind == "enable" then table.insert(after, node); end
	if #after > 5 then table.remove(after, 1); end
	return table.concat(after, " "), after;
end

local function stored(server)
	local records = {};
	for _, record in pairs(server:stored("romeo") or {}) do table.insert(records, record); end
	table.sort(records, function (a, b) return a.timestamp < b.timestamp; end);
	for i, record in ipairs(records) do records[i] = record.node; end
	return records;
end

local function request(kind, node, id)
	return st.stanza("iq", { type = "set", id = id }):tag(kind, { xmlns = "urn:xmpp:push:0", jid = PUSH, node = node }):reset();
end

-- A server that dies somewhere in the middle of ten requests, and what it has then: all that it answered, and what it may
-- have done without answering yet.
local function kill_round(server, before)
	local phone = client.connect(server, "romeo", { presence = false });
	local state, model = table.concat(before, " "), before;
	local states = { [0] = state };
	for i = 1, 10 do
		local kind, node = math.random(3) > 1 and "enable" or "disable", "n"..math.random(8);
		states[i], model = apply(model, kind, node);
		phone:send(request(kind, node, "r"..i));
	end
	local answered, wanted = 0, math.random(0, 10);
	local function count()
		while phone:received(function (stanza) return stanza.attr.id == "r"..(answered + 1); end) do
			answered = answered + 1;
		end
		return answered >= wanted;
	end
	net.wait(count, "the answers");
	server:kill();
	net.wait(function () return phone.stream.closed; end, "the end of the server");
	count();
	server:restart();
	local found = stored(server);
	for i = answered, 10 do
		if states[i] == table.concat(found, " ") then return answered, found; end
	end
	error(("has %q after %d answers, and should have %q"):format(table.concat(found, " "), answered, states[answered]), 0);
end

local cases = {
	{
		name = "a store that waits for its database, and four clients of a user that enable at once";
		counts = "registrations kept";
		run = function (start)
			local server = start();
			faulty.slow_store(server);
			local sessions, kept = {}, 0;
			for i = 1, 4 do sessions[i] = client.connect(server, "romeo", { resource = "r"..i }); end
			for i, session in ipairs(sessions) do session:send(request("enable", "n"..i, "e")); end
			for _, session in ipairs(sessions) do
				session:expect(function (stanza) return stanza.attr.id == "e"; end, "the answer");
			end
			for _ in pairs(server:stored("romeo") or {}) do kept = kept + 1; end
			local app = appserver.connect(server, PUSH);
			server:eval("module:fire_event('cloud-notify-ping', { user = 'romeo' })");
			local pushed = app:settled();
			assert(kept == 4 and pushed == 4, ("%d of 4 stored, %d pushed"):format(kept, pushed));
			return "4 of 4";
		end;
	};
};

for _, storage in ipairs({ "internal", "sqlite", "postgresql" }) do
	table.insert(cases, {
		name = ("kill -9 at random points of requests to enable and disable, storage %s"):format(storage);
		counts = "requests answered and found done";
		size = { 200, 500 };
		run = function (start, size)
			local server = start { storage = storage };
			local seed = os.time();
			math.randomseed(seed);
			local answered, all, model = 0, 0, {};
			for round = 1, size // 10 do
				local ok, err;
				ok, err, model = pcall(kill_round, server, model);
				if not ok then error(("round %d of seed %d: %s"):format(round, seed, err), 0); end
				answered, all = answered + err, all + 10;
				local app = appserver.connect(server, PUSH);
				server:eval("module:fire_event('cloud-notify-ping', { user = 'romeo' })");
				local pushed = app:settled();
				assert(pushed == #model, ("seed %d: %d registrations, %d pushes"):format(seed, #model, pushed));
			end
			return ("%d of %d, %d kills"):format(answered, answered, size // 10);
		end;
	});
end

return cases;
