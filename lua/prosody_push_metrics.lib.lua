-- The library's counters as Prosody's metrics, for mod_http_openmetrics and other reporters. They are updated only when a reporter
-- reads them, and cost nothing while a push is made. Labels never name a user or a device.

local jid_host = require "util.jid".host;

-- The number of app servers' domains that have their own label; all other domains share one.
local DOMAINS = 50;

return function (engine, guarded)
	local families = {
		pushes = module:metric("counter", "pushes", "", "Pushes that were made, by kind", { "kind" });
		suppressed = module:metric("counter", "suppressed", "", "Pushes that were not sent, by reason", { "reason" });
		answers = module:metric("counter", "answers", "", "What became of pushes, by condition of the error, or result", { "condition" });
		removed = module:metric("counter", "removed", "", "Registrations that ended because pushes failed, by reason", { "reason" });
		cache = module:metric("counter", "cache", "", "Look-ups of a user's registrations in memory, by result", { "result" });
		held = module:metric("counter", "held", "", "Pushes that waited for the one before them", {}):with_labels();
		waited = module:metric("counter", "waited", "", "Pushes that waited while the user was at another client", {}):with_labels();
		sent_again = module:metric("counter", "sent_again", "", "Pushes that were owed and sent again", {}):with_labels();
	};
	local answer_time = module:metric("histogram", "answer", "seconds", "How long answers to pushes took", {}, {
		buckets = { 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 120 };
	}):with_labels();
	local in_flight = module:metric("gauge", "in_flight", "", "Pushes that are not answered yet", {}):with_labels();
	local registrations = module:metric("gauge", "registrations", "", "Registrations in memory", {}):with_labels();

	local owed = module:metric("gauge", "owed", "", "Pushes that are owed, by domain of the app server", { "domain" });
	local away = module:metric("gauge", "away", "", "App servers that are away, by domain", { "domain" });

	-- By domain: the number of owed pushes, and of app servers that are away.
	local domains, known_domains = { others = { owed = 0, away = 0 } }, 0;

	local function domain_of(app_server)
		local name = jid_host(app_server.jid) or "others";
		if domains[name] then return domains[name]; end
		if known_domains == DOMAINS then return domains.others; end
		known_domains = known_domains + 1;
		domains[name] = { owed = 0, away = 0 };
		return domains[name];
	end

	local function update_app_servers()
		for _, domain in pairs(domains) do domain.owed, domain.away = 0, 0; end
		local app_servers = engine:app_servers();
		table.sort(app_servers, function (a, b) return a.owed > b.owed; end);
		for _, app_server in ipairs(app_servers) do
			local domain = domain_of(app_server);
			domain.owed = domain.owed + app_server.owed;
			if app_server.away_since then domain.away = domain.away + 1; end
		end
		for name, domain in pairs(domains) do
			owed:with_labels(name):set(domain.owed);
			away:with_labels(name):set(domain.away);
		end
	end

	-- The counts that Prosody's metrics have already, by name and label.
	local known = {};

	module:hook_global("stats-update", guarded("the metrics", function ()
		for _, row in ipairs(engine:counts()) do
			local key = row.label and row.name.."/"..row.label or row.name;
			local family = families[row.name];
			local counter = row.label and family:with_labels(row.label) or family;
			counter:add(row.count - (known[key] or 0));
			known[key] = row.count;
		end
		for _, seconds in ipairs(engine:take_times()) do answer_time:sample(seconds); end
		local pushes, devices = engine:sizes();
		in_flight:set(pushes);
		registrations:set(devices);
		update_app_servers();
	end));
end
