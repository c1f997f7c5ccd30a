-- App servers that refuse, do not answer, or are not there.
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local faulty = require "spec.support.faulty";

local PUSH = "push.example.test";

-- RFC 6120 §8.3.2 and §8.3.3.
local TYPES = { "auth", "cancel", "continue", "modify", "wait" };
local CONDITIONS = {
	"bad-request", "conflict", "feature-not-implemented", "forbidden", "gone", "internal-server-error", "item-not-found",
	"jid-malformed", "not-acceptable", "not-allowed", "not-authorized", "policy-violation", "recipient-unavailable", "redirect",
	"registration-required", "remote-server-not-found", "remote-server-timeout", "resource-constraint", "service-unavailable",
	"subscription-required", "undefined-condition", "unexpected-request",
};
-- Conditions that are transport failures in any type of error.
local TRANSPORT = {
	["internal-server-error"] = true, ["remote-server-not-found"] = true, ["remote-server-timeout"] = true,
	["resource-constraint"] = true,
};

local function ping(server, times)
	server:eval("for _ = 1, ... do module:fire_event('cloud-notify-ping', { user = 'romeo' }); end", times or 1);
end

local function nodes(server)
	local found, n = {}, 0;
	for _, record in pairs(server:stored("romeo") or {}) do
		found[record.node] = true;
		n = n + 1;
	end
	return found, n;
end

return {
	{
		name = "every error of RFC 6120 in every type, twice, with push_max_errors = 2";
		counts = "registrations kept after errors that are not about the registration";
		run = function (start)
			local server = start { options = { push_max_errors = 2, push_max_devices = 200 } };
			local app = appserver.connect(server, PUSH);
			local answers, records, innocent, guilty = {}, {}, {}, {};
			for _, kind in ipairs(TYPES) do
				for _, condition in ipairs(CONDITIONS) do
					local node = kind.." "..condition;
					answers[node] = { kind, condition };
					-- Each error comes from its own app server: a single one would count as away.
					local n = #innocent + #guilty + 1;
					local jid = ("%d@%s"):format(n, PUSH);
					records[jid.."<"..node] = { jid = jid, node = node, timestamp = n };
					table.insert((kind == "wait" or TRANSPORT[condition]) and innocent or guilty, node);
				end
			end
			server:store("romeo", records);
			app.answer = function (iq)
				app:send(require "util.stanza".error_reply(iq, table.unpack(answers[appserver.read(iq).node])));
			end;
			for _ = 1, 2 do
				ping(server);
				app:settled();
			end
			local left = nodes(server);
			local kept, gone = 0, 0;
			for _, node in ipairs(innocent) do if left[node] then kept = kept + 1; end end
			for _, node in ipairs(guilty) do if not left[node] then gone = gone + 1; end end
			assert(kept == #innocent and gone == #guilty,
				("%d of %d kept, %d of %d others gone"):format(kept, #innocent, gone, #guilty));
			return ("%d of %d, the %d others gone"):format(kept, #innocent, gone);
		end;
	};
	{
		name = "six rounds of pushes to an app server that never answers";
		counts = "growth of memory from the first three rounds to the last three";
		size = { 2000, 10000 };
		run = function (start, size)
			local server = start();
			local app = appserver.connect(server, PUSH);
			app.answer = "none";
			client.connect(server, "romeo"):enable_push({ jid = PUSH, node = "n" });
			faulty.clock(server);
			local memory = {};
			for round = 1, 6 do
				for _ = 1, size // 1000 do
					ping(server, 1000);
					app:settled();
				end
				assert(#app.pushes >= size, "pushes are missing");
				faulty.ahead(server, round * 121);
				app:settled();
				server:eval("collectgarbage() collectgarbage()");
				memory[round] = server:memory();
			end
			local growth = (math.min(table.unpack(memory, 4)) - math.min(table.unpack(memory, 1, 3))) / 1e6;
			assert(growth < 4, ("grew by %.1f MB"):format(growth));
			local _, left = nodes(server);
			assert(left == 1, "the registration went");
			return ("%.1f MB, of 6 × %d"):format(growth, size);
		end;
	};
	{
		name = "an app server that goes away and comes back after 100 pushes";
		counts = "the registration stays, the next push arrives";
		run = function (start)
			local server = start { options = { push_max_errors = 3 } };
			local app = appserver.connect(server, PUSH);
			client.connect(server, "romeo"):enable_push({ jid = PUSH, node = "n" });
			app:disconnect();
			ping(server, 100);
			app = appserver.connect(server, PUSH);
			local _, left = nodes(server);
			assert(left == 1, "the registration went");
			ping(server);
			assert(app:settled() == 1, "no push arrives");
			return "yes";
		end;
	};
	{
		name = "DNS fails for five hours, with one push per minute";
		counts = "the registration stays, the next push arrives";
		run = function (start)
			local server = start();
			local app = appserver.connect(server, PUSH);
			client.connect(server, "romeo"):enable_push({ jid = PUSH, node = "n" });
			faulty.clock(server);
			app.answer = { "cancel", "remote-server-not-found", "DNS resolution failed" };
			for minute = 1, 300 do
				faulty.ahead(server, minute * 60);
				ping(server);
			end
			local before = app:settled();
			local _, left = nodes(server);
			assert(left == 1, ("the registration went after %d pushes"):format(before));
			app.answer = "result";
			-- An app server that is away is tried every ten minutes.
			faulty.ahead(server, 311 * 60);
			ping(server);
			app:expect(before + 1);
			return "yes";
		end;
	};
};
