-- Both modules beside each other, in the same Prosody, on the same traffic, run by run: what a push costs, and what is kept
-- of it. Prints a table and writes docs/bench.md and docs/bench.svg. `make bench` builds what it needs first.
--
--   lua5.4 spec/bench.lua [CORE]       CORE: the output of `cargo bench`, whose counts go into the report
local paths = require "spec.support.paths";
local cases = require "spec.bench.cases";
local report = require "spec.bench.report";
local player = require "spec.bench.player";
local prosody = require "spec.support.prosody";
local stats = require "spec.bench.stats";
local steps = require "spec.support.steps";
local users = require "spec.bench.users";

local ROUNDS = 7;
local SIDES = { "reference", "ours" };

-- The newest reference cannot have more than 256 pushes in flight: it gets a fifth of each run.
local versions = {
	{ name = "0.12.3", version = "0.12", scale = 1 };
	{ name = "13.0.1", version = "13.0", scale = 1 };
	{ name = paths.package_version("newest"), version = "newest", scale = 5, is_extra = true };
};

local function progress(...)
	io.stderr:write(("  %s\n"):format((...):format(select(2, ...))));
end

-- Samples of both sides, one after the other: { reference = {…}, ours = {…} }.
local function alternate(rounds, sample)
	local samples = { reference = {}, ours = {} };
	for _ = 1, rounds do
		for _, side in ipairs(SIDES) do table.insert(samples[side], sample(side)); end
	end
	return samples;
end

local function field(samples, name, divisor)
	local values = {};
	for i, sample in ipairs(samples) do values[i] = sample[name] / divisor; end
	return stats.of(values);
end

local with_servers = function (opts, version, action)
	opts.version = version.version;
	local servers = cases.start(opts);
	local ok, ret = xpcall(action, debug.traceback, servers);
	cases.stop(servers);
	if not ok then error(ret, 0); end
	return ret;
end


---- What is measured ----

-- The cost of a push by how many there were before it: the first 5,000, then 15,000 that are not looked at, then some more.
-- And what is kept of 20,000 (ours: of 100,000).
local function growth(version)
	return with_servers({}, version, function (servers)
		local case = cases.list[1];
		local n = case.n / version.scale;
		local out = { curve = { reference = {}, ours = {} } };
		local function memory(side)
			return (servers[side]:eval("return prosody.spec_bench.memory()"));
		end
		local before = {};
		for _, side in ipairs(SIDES) do
			cases.run(servers, side, case, n);
			before[side] = memory(side);
		end
		local function window(from, to)
			local samples = alternate((to - from) // n, function (side) return cases.run(servers, side, case, n); end);
			for _, side in ipairs(SIDES) do
				for i, sample in ipairs(samples[side]) do
					table.insert(out.curve[side], { from + i * n, sample.total / n });
				end
			end
			return samples;
		end
		out.first = window(0, 5000);
		progress("%s: 5,000 pushes on each side", version.name);
		window(5000, 20000);
		local kept = { reference = (memory("reference") - before.reference) / 20000 };
		out.late = window(20000, 25000);
		progress("%s: 25,000 pushes on each side", version.name);
		for _ = 1, 75000 // n do cases.run(servers, "ours", case, n); end
		kept.ours = (memory("ours") - before.ours) / 100000;
		out.kept, out.n = kept, n;
		return out;
	end);
end

-- Each in servers of its own, since some leave something behind.
local function ordinary(version)
	local rows = {};
	for _, case in ipairs(cases.list) do
		local n = case.n / version.scale;
		with_servers({}, version, function (servers)
			local samples = alternate(ROUNDS, function (side) return cases.run(servers, side, case, n); end);
			local row = { name = case.name };
			for _, side in ipairs(SIDES) do
				local pushes = samples[side][ROUNDS].pushes;
				row[side] = {
					total = field(samples[side], "total", n); own = field(samples[side], "own", n);
					floor = pushes > 0 and field(samples[side], "floor", pushes).median; making = field(samples[side], "making", n).median;
					pushes = pushes / n;
				};
			end
			table.insert(rows, row);
		end);
	end
	return rows;
end

-- Each case as a whole process, from its start to the last answer, with all that the collector does: what 8,000 events cost is the
-- difference between a server that had 500 and one that had 8,500. Both have had the same start.
local SHORT, LONG = 500, 8500;
local WHOLE_ROUNDS = 2;

local function whole(version)
	if version.is_extra then return nil; end
	local function measure(opts, side, part, case)
		local values, pushes = {}, nil;
		for i = 1, WHOLE_ROUNDS do
			opts.version = version.version;
			local short, few = cases.whole(opts, side, part, case, SHORT);
			local long, many = cases.whole(opts, side, part, case, LONG);
			values[i], pushes = (long - short) / (LONG - SHORT), (many - few) / (LONG - SHORT);
		end
		return values, pushes;
	end
	local rows = {};
	local function add(name, opts, case, floor)
		local row = { name = name, making = stats.of(measure(opts, "ours", "making", case)).median, floor = floor };
		for _, side in ipairs(SIDES) do
			local values, pushes = measure(opts, side, "event", case);
			local own = {};
			for i, value in ipairs(values) do own[i] = value - row.making - pushes * floor; end
			row[side] = { total = stats.of(values), own = stats.of(own) };
		end
		table.insert(rows, row);
	end
	local here = stats.of(measure({}, "ours", "floor", cases.list[1])).median;
	for _, case in ipairs(cases.list) do
		if case.whole then add(case.name, {}, case, here); end
	end
	local elsewhere = { elsewhere = true };
	add(cases.list[1].name..", app server elsewhere", elsewhere, cases.list[1],
		stats.of(measure(elsewhere, "ours", "floor", cases.list[1])).median);
	return rows;
end

-- The first event of a process, above the second.
local function first_event(version)
	local out = {};
	for _, side in ipairs(SIDES) do
		local above = {};
		for i = 1, ROUNDS do
			local first, second = cases.first({ version = version.version }, side);
			above[i] = first - second;
		end
		out[side] = stats.of(above);
	end
	return out;
end

-- Ours alone: one push of 1,000, and one of 200 events for five devices each.
local function devices(version)
	return with_servers({}, version, function (servers)
		local one, five = {}, {};
		for i = 1, 15 do
			one[i], five[i] = cases.run(servers, "ours", cases.list[1], 1000), cases.run(servers, "ours", cases.list[2], 200);
		end
		return { one = field(one, "total", 1000), five = field(five, "total", 1000) };
	end);
end

-- Events that lead to nothing, above an empty hook: one and the same event, fired again and again.
local function nothing(version)
	return with_servers({}, version, function (servers)
		local rows = {};
		for _, kind in ipairs({
			{ "chat state, nobody keeps it", "chat_state", "romeo", only_ours = true };
			{ "message that was pushed before", "pushed_before", "romeo", only_ours = true };
			{ "archived message, device connected", "archive", "benvolio" };
			{ "message on its way to a connected user", "message_online", "benvolio" };
			{ "chat state on its way to a connected user", "chat_state_online", "benvolio" };
		}) do
			local row = { name = kind[1] };
			for _, side in ipairs(SIDES) do
				if side == "ours" or not kind.only_ours then
					-- The first is a push, if the device has not heard of it.
					servers[side]:eval("return prosody.spec_bench.again(...)", kind[2], kind[3], 10);
					local above = {};
					for i = 1, 2 * ROUNDS do
						local result = servers[side]:eval("return prosody.spec_bench.again(...)", kind[2], kind[3], 20000);
						assert(result.pushes == 0, kind[1]);
						above[i] = (result.total - result.hook) / 20000 * 1e6;
					end
					row[side] = stats.of(above);
				end
			end
			table.insert(rows, row);
		end
		return rows;
	end);
end

local function encrypted(version)
	if version.version ~= "13.0" or version.is_extra then return nil; end
	return with_servers({ encrypted = true }, version, function (servers)
		local case = cases.encrypted;
		local samples = alternate(ROUNDS, function (side) return cases.run(servers, side, case, case.n); end);
		local out = {};
		for _, side in ipairs(SIDES) do out[side] = field(samples[side], "own", case.n); end
		return out;
	end);
end

-- Push 2.0: ours, with a token for each push and with one for all, beside OpenSSL from Lua, with a token for each.
local function push2(version)
	if version.version ~= "13.0" or version.is_extra then return nil; end
	local server = cases.start_push2();
	local samples = { openssl = {}, signing = {}, ours = {} };
	for i = 1, 2 * ROUNDS do
		samples.openssl[i] = cases.run_push2(server, "openssl", 500, true);
		samples.signing[i] = cases.run_push2(server, "ours", 500, true);
		samples.ours[i] = cases.run_push2(server, "ours", 500, false);
	end
	server:stop();
	return { openssl = stats.of(samples.openssl), signing = stats.of(samples.signing), ours = stats.of(samples.ours) };
end

-- Push 2.0: a user's twenty encrypted clients.
local function many_clients(version)
	if version.version ~= "13.0" or version.is_extra then return nil; end
	local server = cases.start_many();
	local each, held = {}, {};
	for i = 1, 2 * ROUNDS do each[i], held[i] = cases.run_many(server, 20); end
	server:stop();
	progress("%s: a user's many clients", version.name);
	return { each = stats.of(each), held = stats.of(held) };
end

-- Enabling again what is enabled, and with another form, on each storage.
local function enabling(version)
	if version.is_extra then return nil; end
	local rows = {};
	for _, storage in ipairs({ "memory", "internal", "sqlite" }) do
		with_servers({ storage = storage }, version, function (servers)
			local row = { storage = storage };
			for name, case in pairs({ again = cases.enable, changed = cases.enable_changed }) do
				local samples = alternate(ROUNDS, function (side) return cases.run(servers, side, case, 300); end);
				row[name] = {};
				for _, side in ipairs(SIDES) do row[name][side] = field(samples[side], "total", 300); end
			end
			table.insert(rows, row);
		end);
	end
	progress("%s: enabling on each storage", version.name);
	return rows;
end

local function many_users(version)
	if version.version ~= "13.0" or version.is_extra then return nil; end
	local rows = {};
	for i, n in ipairs({ 1000, 10000, 100000 }) do
		rows[i] = users.measure(version.version, "internal", n);
		progress("%s: %d users", version.name, n);
	end
	return rows;
end

local function queued(version)
	return with_servers({ asleep = true }, version, function (servers)
		local case = { name = "queued stanza", kind = "queued", user = "benvolio", node = "b1", important = true };
		local out = {};
		for _, n in ipairs({ 10, 200, 1000 }) do
			local samples = alternate(2 * ROUNDS, function (side) return cases.run(servers, side, case, n); end);
			out[n] = {};
			for _, side in ipairs(SIDES) do out[n][side] = field(samples[side], "own", 1); end
		end
		return out;
	end);
end

local function burst(version)
	return with_servers({ options = { push_coalesce = true } }, version, function (servers)
		local case = { name = "burst", kind = "offline", user = "romeo", node = "r1", important = true };
		local samples = alternate(7, function (side)
			case.pushes = side == "reference" and { reference = 1 } or nil;
			return cases.run(servers, side, case, 500);
		end);
		local out = {};
		for _, side in ipairs(SIDES) do
			out[side] = field(samples[side], "total", 1000);
			out[side].pushes = field(samples[side], "pushes", 1).median;
		end
		return out;
	end);
end

-- Answers and a disable, with few and with many pushes in flight. The newest reference cannot have many: it lets go of all
-- but the last 256.
local function in_flight(version)
	if version.is_extra then return nil; end
	return with_servers({}, version, function (servers)
		local out = { answer = {}, disable = {} };
		for _, side in ipairs(SIDES) do
			for _, n in ipairs({ 200, 10000 }) do
				out.answer[n] = out.answer[n] or {};
				out.answer[n][side] = servers[side]:eval("return prosody.spec_bench.answers(...)", "romeo", n) * 1e6;
			end
			servers[side]:eval("return prosody.spec_bench.disables(...)", "romeo", 0);
			for _, n in ipairs({ 0, 10000 }) do
				local spent = servers[side]:eval("return prosody.spec_bench.disables(...)", "romeo", n);
				out.disable[n] = out.disable[n] or {};
				out.disable[n][side] = spent * 1e6;
			end
		end
		return out;
	end);
end

local function registered(version)
	if version.is_extra then return nil; end
	local USERS = 100000;
	return with_servers({ options = { push_cached_users = USERS } }, version, function (servers)
		local out = {};
		for _, side in ipairs(SIDES) do
			local function in_parts(method)
				for first = 1, USERS, 5000 do
					servers[side]:eval(("prosody.spec_bench.%s(...)"):format(method), first, first + 4999);
				end
			end
			in_parts("register");
			local before = servers[side]:eval("return prosody.spec_bench.memory()");
			in_parts("read");
			out[side] = (servers[side]:eval("return prosody.spec_bench.memory()") - before) / USERS;
		end
		return out;
	end);
end

local function resident(version)
	local out = {};
	for _, side in ipairs({ "none", "reference", "ours" }) do
		local sizes = {};
		for i = 1, 5 do
			local server = prosody.start {
				version = version.version; module = side == "none" and "ours" or side;
				log_level = "info"; enable = { "spec_bench" }; disable = side == "none" and { "cloud_notify" } or nil;
			};
			sizes[i] = server:eval("return prosody.spec_bench.resident()") / 1024 / 1024;
			server:stop();
		end
		out[side] = stats.of(sizes);
	end
	return out;
end

-- What reaches a phone in a day, on both sides.
local function phones_day(version)
	if version.is_extra then return nil; end
	local counts = player.run(version.version);
	for _, note in ipairs(counts.ours.notes) do progress("%s: %s", version.name, note); end
	return counts;
end


---- All of it ----

-- What is measured on each version, by its name in the report, and in words.
local MEASURES = {
	{ "growth", growth, "what a push costs after many" }; { "ordinary", ordinary, "single events" };
	{ "devices", devices, "by the number of devices" }; { "nothing", nothing, "events that lead to nothing" };
	{ "queued", queued, "queued stanzas" }; { "whole", whole, "whole processes" }; { "first", first_event, "first events" };
	{ "encrypted", encrypted, "encrypted pushes" }; { "push2", push2, "pushes that carry their stanza" }; { "burst", burst, "bursts" };
	{ "many_clients", many_clients, "users with many clients" }; { "enabling", enabling, "clients that enable again" };
	{ "many_users", many_users, "many users at once" }; { "in_flight", in_flight, "answers and disables" };
	{ "registered", registered, "100,000 users" };
	{ "resident", resident, "memory of a server" }; { "day", phones_day, "a phone's day" };
};
-- What all of it takes, in minutes.
local MINUTES = 40;

local begin = steps.new(#versions * #MEASURES, MINUTES);
local results = {};
for _, version in ipairs(versions) do
	local result = { name = version.name, is_extra = version.is_extra };
	for _, measure in ipairs(MEASURES) do
		begin(version.name..": "..measure[3]);
		result[measure[1]] = measure[2](version);
	end
	table.insert(results, result);
end
local missed = report.write(results, arg[1]);
if missed > 0 then
	io.stderr:write(("%d bars are missed.\n"):format(missed));
	os.exit(1, true);
end
