-- Acknowledged changes of registrations are never lost.
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local faulty = require "spec.support.faulty";
local net = require "spec.support.net";
local st = require "util.stanza";

local PUSH = "push.example.test";

-- Returns a user's registrations after one more request, oldest first: XEP-0357 with push_max_devices = 5.
local function apply(model, kind, node)
	local after = {};
	for _, other in ipairs(model) do
		if other ~= node then table.insert(after, other); end
	end
	if kind == "enable" then table.insert(after, node); end
	if #after > 5 then table.remove(after, 1); end
	return after;
end

local function names(model)
	local sorted = table.move(model, 1, #model, 1, {});
	table.sort(sorted);
	return table.concat(sorted, " ");
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

-- Kills the server at a random point. It must then have every change that it acknowledged, and may have changes that it made without
-- an answer yet.
local function kill_round(server, model)
	local phone = client.connect(server, "romeo", { presence = false });
	os.execute(("(sleep %.4f; kill -9 %d) &"):format(math.random() * 0.03, server:pid()));
	local answered, unanswered = 0, model;
	repeat
		model = unanswered;
		local kind, node = math.random(3) > 1 and "enable" or "disable", "n"..math.random(8);
		unanswered = apply(model, kind, node);
		local id = "r"..answered + 1;
		phone:send(request(kind, node, id));
		local answer = net.wait(function ()
			return phone:received(function (stanza) return stanza.attr.id == id; end) or phone.stream.closed;
		end, "an answer");
		if answer ~= true then answered = answered + 1; end
	until answer == true;
	server:restart();
	local found = stored(server);
	if names(found) == names(model) or names(found) == names(unanswered) then return answered, found; end
	error(("has %q after %d answers, and should have %q"):format(names(found), answered, names(model)), 0);
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
			server:ping("romeo");
			local pushed = app:settled();
			assert(kept == 4 and pushed == 4, ("%d of 4 stored, %d pushed"):format(kept, pushed));
			return "4 of 4";
		end;
	};
};

for _, storage in ipairs({ "internal", "sqlite", "postgresql" }) do
	table.insert(cases, {
		name = ("kill -9 at random points of requests to enable and disable, storage %s"):format(storage);
		counts = "answered requests whose effect is stored";
		size = { 20, 50 };
		run = function (start, size)
			local server = start { storage = storage };
			local seed = os.time();
			math.randomseed(seed);
			local answered, model = 0, {};
			for round = 1, size do
				local ok, err;
				ok, err, model = pcall(kill_round, server, model);
				if not ok then error(("round %d of seed %d: %s"):format(round, seed, err), 0); end
				answered = answered + err;
				local app = appserver.connect(server, PUSH);
				server:ping("romeo");
				local pushed = app:settled();
				assert(pushed == #model, ("seed %d: %d registrations, %d pushes"):format(seed, #model, pushed));
			end
			assert(answered > size, "hardly any was answered");
			return ("%d of %d, %d kills"):format(answered, answered, size);
		end;
	});
end

return cases;
