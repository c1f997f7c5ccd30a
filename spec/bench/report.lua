-- Prints what was measured and writes it to docs/bench.md, with a plot that gnuplot makes.
local day = require "spec.bench.day";
local paths = require "spec.support.paths";

local NONE = "–";

local function number(value)
	if not value then return NONE; end
	if math.abs(value) >= 100 then return ("%.0f"):format(value); end
	return (math.abs(value) >= 10 and "%.1f" or "%.2f"):format(value);
end

local function spread(stat)
	if not stat then return NONE; end
	return ("%s (%s–%s)"):format(number(stat.median), number(stat.low), number(stat.high));
end

-- How much less ours is.
local function ratio(ours, reference)
	if not ours or not reference or reference <= 0 then return NONE; end
	if ours <= 0 then return "0"; end
	return ours > reference and ("%.1f"):format(ours / reference) or ("1/%.1f"):format(reference / ours);
end

local function medians(samples, name, n)
	local values = {};
	for _, side in ipairs({ "reference", "ours" }) do
		local of_side = {};
		for i, sample in ipairs(samples[side]) do of_side[i] = sample[name] / n; end
		values[side] = require "spec.bench.stats".of(of_side);
	end
	return values;
end

local function find(rows, name)
	for _, row in ipairs(rows) do
		if row.name == name then return row; end
	end
end

local function per_stanza(queued, side, from, to)
	return (queued[to][side].median - queued[from][side].median) / (to - from);
end


---- The bars ----

-- Each gives for one version what to show, and whether it is met.
local bars = {
	{ "own CPU per push (total − floor), important chat, one device", "1/12", function (version)
		local own = medians(version.growth.first, "own", version.growth.n);
		return ratio(own.ours.median, own.reference.median), own.ours.median <= own.reference.median / 12;
	end };
	{ "the same of a whole process, its first 8,000, app server elsewhere", "1/12", function (version)
		if not version.whole then return NONE, true; end
		local row = version.whole[#version.whole];
		local ours, reference = row.ours.own.median, row.reference.own.median;
		return ratio(ours, reference), ours <= reference / 12;
	end };
	{ "the first event of a process above the second", "1 ms", function (version)
		local above = version.first.ours.median;
		return number(above / 1000).." ms", above < 1000;
	end };
	{ "total CPU per push, routing and answer included, first 5,000", "1/5", function (version)
		local total = medians(version.growth.first, "total", version.growth.n);
		return ratio(total.ours.median, total.reference.median), total.ours.median <= total.reference.median / 5;
	end };
	{ "the same after 20,000 pushes", "1/7 of one that leaks", function (version)
		local total = medians(version.growth.late, "total", version.growth.n);
		local leaks = version.growth.kept.reference > 100;
		return ratio(total.ours.median, total.reference.median)..(leaks and "" or " (does not leak)"),
			not leaks or total.ours.median <= total.reference.median / 7;
	end };
	{ "ours after 20,000 pushes, to its first 5,000", "+10 %", function (version)
		local first = medians(version.growth.first, "total", version.growth.n).ours.median;
		local late = medians(version.growth.late, "total", version.growth.n).ours.median;
		return ("%+.0f %%"):format((late / first - 1) * 100), late <= first * 1.1;
	end };
	{ "event that gives no push: a chat state", "1/5", function (version)
		local ours = find(version.nothing, "chat state, nobody keeps it").ours.median;
		local reference = find(version.ordinary, "chat state, nobody keeps it").reference.total.median;
		return ratio(ours, reference), ours <= reference / 5;
	end };
	{ "event that gives no push: pushed before", "1/5", function (version)
		local ours = find(version.nothing, "message that was pushed before").ours.median;
		local reference = find(version.ordinary, "message that was pushed before").reference.total.median;
		return ratio(ours, reference), ours <= reference / 5;
	end };
	{ "event that gives no push: device connected", "1/5", function (version)
		local row = find(version.nothing, "archived message, device connected");
		return ratio(row.ours.median, row.reference.median), row.ours.median <= row.reference.median / 5;
	end };
	{ "the dearest of these above an empty hook", "1 µs", function (version)
		local most = 0;
		for _, row in ipairs(version.nothing) do most = math.max(most, row.ours.median); end
		return number(most).." µs", most < 1;
	end };
	{ "queued stanza of a hibernating session", "1/5", function (version)
		local ours, reference = per_stanza(version.queued, "ours", 10, 1000), per_stanza(version.queued, "reference", 10, 1000);
		return ratio(ours, reference), ours <= reference / 5;
	end };
	{ "the 1,000th of them, to the 200th", "+10 %", function (version)
		local early, late = per_stanza(version.queued, "ours", 10, 200), per_stanza(version.queued, "ours", 200, 1000);
		return ("%+.0f %%"):format((late / early - 1) * 100), late <= early * 1.1;
	end };
	{ "five devices, per device, to one alone", "cheaper", function (version)
		local one, five = version.devices.one.median, version.devices.five.median;
		return ("%.0f %%"):format(five / one * 100), five < one;
	end };
	{ "own CPU per encrypted push, to that of the community's module", "1/4", function (version)
		if not version.encrypted then return NONE, true; end
		local ours, reference = version.encrypted.ours.median, version.encrypted.reference.median;
		return ratio(ours, reference), ours <= reference / 4;
	end };
	{ "Push 2.0: a push with its stanza and a new token, to OpenSSL's from Lua", "1", function (version)
		if not version.push2 then return NONE, true; end
		local ours, openssl = version.push2.signing.median, version.push2.openssl.median;
		return ratio(ours, openssl), ours <= openssl;
	end };
	{ "the same, with the token of the last", "2/3", function (version)
		if not version.push2 then return NONE, true; end
		local ours, openssl = version.push2.ours.median, version.push2.openssl.median;
		return ratio(ours, openssl), ours <= openssl * 2 / 3;
	end };
	{ "Push 2.0: 20 encrypted clients of a user, each", "60 µs", function (version)
		if not version.many_clients then return NONE, true; end
		local each = version.many_clients.each.median;
		return number(each).." µs", each <= 60;
	end };
	{ "the longest that one of their messages holds the server", "5 ms", function (version)
		if not version.many_clients then return NONE, true; end
		local held = version.many_clients.held.median;
		return number(held).." ms", held <= 5;
	end };
	{ "enable again, on the storage where that is dearest beside the reference's", "1/2", function (version)
		if not version.enabling then return NONE, true; end
		local worst, is_met = nil, true;
		for _, of in ipairs(version.enabling) do
			local ours, reference = of.again.ours.median, of.again.reference.median;
			if not worst or ours / reference > worst.ours / worst.reference then worst = { ours = ours, reference = reference }; end
			is_met = is_met and ours <= reference / 2;
		end
		return ratio(worst.ours, worst.reference), is_met;
	end };
	{ "the longest pause of the server with 100,000 users", "50 ms", function (version)
		if not version.many_users then return NONE, true; end
		local most = version.many_users[#version.many_users];
		local longest = math.max(most.list.turn, most.stats.turn, most.outage.turn, most.recall.turn, most.drain.turn);
		return number(longest).." ms", longest <= 50;
	end };
	{ "burst of 500 messages, whole", "1/50", function (version)
		local ours, reference = version.burst.ours.median, version.burst.reference.median;
		return ratio(ours, reference), ours <= reference / 50;
	end };
	{ "bytes kept per answered push, of 100,000", "0", function (version)
		return number(version.growth.kept.ours), math.abs(version.growth.kept.ours) < 1;
	end };
	{ "bytes per registered user, of 100,000", "1/3", function (version)
		if not version.registered then return NONE, true; end
		local ours, reference = version.registered.ours, version.registered.reference;
		return ratio(ours, reference), ours <= reference / 3;
	end };
	{ "answer with 10,000 pushes in flight, to one with 200", "+50 %", function (version)
		if not version.in_flight then return NONE, true; end
		local few, many = version.in_flight.answer[200].ours, version.in_flight.answer[10000].ours;
		return ("%+.0f %%"):format((many / few - 1) * 100), many <= few * 1.5;
	end };
	{ "disable with 10,000 pushes in flight, to one with none", "+50 %", function (version)
		if not version.in_flight then return NONE, true; end
		local few, many = version.in_flight.disable[0].ours, version.in_flight.disable[10000].ours;
		return ("%+.0f %%"):format((many / few - 1) * 100), many <= few * 1.5;
	end };
	{ "a phone's day: pushes that are needless, late or missing", "0", function (version)
		if not version.day then return NONE, true; end
		local ours = version.day.ours;
		local wrong = ours.needless + ours.missed + ours.late + ours.unheard;
		return ("%d"):format(wrong), wrong == 0;
	end };
};


---- The text ----

-- Functions that add a line, the row of a table, and its head.
local function writer(out)
	local function line(format, ...) table.insert(out, format:format(...)); end
	local function row(...) line("| %s |", table.concat({ ... }, " | ")); end
	local function head(...)
		row(...);
		row((("---"):rep(select("#", ...), " | ")));
	end
	return line, row, head;
end

local DAY = [[

## A phone's day

One day of one user, played through both modules at the same time: %d contacts, %d rooms, a laptop for a part of the day, %d
messages and %d in rooms, %d calls. The phone loses its connection %d times, twice without the server's knowledge.
[`spec/bench/day.lua`](../spec/bench/day.lua) is the day, with what each moment of it must lead to; nobody waits for the hours. A push
is *needless* if its moment asks for no push of that kind, or for no second one. The bar: no push of ours is needless, late or
missing.
]];

local DAY_ROWS = {
	{ "pushes for a call", "call" };
	{ "other pushes with something to see", "important" };
	{ "silent pushes", "silent" };
	{ "needless ones among these", "needless" };
	{ "missing: pushes with something to see", "missed" };
	{ "late: the push came only when the server noticed that the connection was dead", "late" };
	{ "missing: silent pushes for something to take away", "unheard" };
};

-- The section about the day.
local function phones_day(results, out)
	local line, row, head = writer(out);
	line(DAY, day.contacts, day.rooms, day.messages, day.in_rooms, day.calls, day.sleeps);
	local names = { "" };
	for _, version in ipairs(results) do
		if version.day then
			table.insert(names, version.name..": reference");
			table.insert(names, version.name..": ours");
		end
	end
	head(table.unpack(names));
	for _, of in ipairs(DAY_ROWS) do
		local cells = { of[1] };
		for _, version in ipairs(results) do
			if version.day then
				table.insert(cells, tostring(version.day.reference[of[2]]));
				table.insert(cells, tostring(version.day.ours[of[2]]));
			end
		end
		row(table.unpack(cells));
	end
end

-- Each case as a whole process.
local function whole(rows, out)
	local line, row, head = writer(out);
	line("\nWhole processes, collector included: CPU µs per event, as the difference between a server that had 8,500 of them and one that");
	line("had 500. *Own* is total less the making of the event and less a floor for each push, both measured in the same way.\n");
	head("event", "reference: total", "own", "ours: total", "own", "own, ours to the reference's", "making the event", "floor of a push");
	for _, case in ipairs(rows) do
		row(case.name, spread(case.reference.total), spread(case.reference.own), spread(case.ours.total), spread(case.ours.own),
			ratio(case.ours.own.median, case.reference.own.median), number(case.making), number(case.floor));
	end
end

local USERS = [[

Many users, each with a registration at one app server, stored in files (`internal`), %s. A *pause* is the longest time between two
turns of the server's event loop, in ms, and in brackets the longest that the process worked between two. Owed pushes leave 2,000 a
second here; the option `push_owed_per_second` is 50 unless it is set.
]];

local USER_ROWS = {
	{ "start, CPU s", "start" };
	{ "start with a push owed to each, CPU s", "start_owed" };
	{ "pause: what is owed is read", "recall" };
	{ "pause: `push list` of the app server", "list" };
	{ "time that the list takes, s", "list_seconds" };
	{ "pause: `push stats` while a push is owed to each", "stats" };
	{ "pause: a message for each while the app server is away, what is owed is written", "outage" };
	{ "pause: what is owed leaves and is answered", "drain" };
	{ "CPU µs for each of these pushes", "drain_each" };
};

-- What many users cost.
local function many_users(version, out)
	local line, row, head = writer(out);
	line(USERS, version.name);
	local names = { "" };
	for _, of in ipairs(version.many_users) do table.insert(names, ("%d users"):format(of.users)); end
	head(table.unpack(names));
	for _, of in ipairs(USER_ROWS) do
		local cells = { of[1] };
		for _, size in ipairs(version.many_users) do
			local value = size[of[2]];
			table.insert(cells, type(value) == "table" and ("%s (%s)"):format(number(value.turn), number(value.work)) or number(value));
		end
		row(table.unpack(cells));
	end
end

local function tables(results, out)
	local line, row, head = writer(out);
	local missed = 0;
	line("## The bars\n");
	line("Ours to the reference, where nothing else is said. **Bold**: missed.\n");
	local names = { "", "at most" };
	for _, version in ipairs(results) do table.insert(names, version.name); end
	head(table.unpack(names));
	for _, bar in ipairs(bars) do
		local cells = { bar[1], bar[2] };
		for _, version in ipairs(results) do
			local text, is_met = bar[3](version);
			table.insert(cells, is_met and text or "**"..text.."**");
			if not is_met and not version.is_extra then missed = missed + 1; end
		end
		row(table.unpack(cells));
	end

	phones_day(results, out);

	for _, version in ipairs(results) do
		line("\n## Prosody %s\n", version.name);
		line("CPU µs per event: median (quartiles).\n");
		head("event", "reference: total", "own", "pushes", "ours: total", "own", "pushes", "making the message", "floor of a push");
		for _, case in ipairs(version.ordinary) do
			row(case.name, spread(case.reference.total), spread(case.reference.own), number(case.reference.pushes),
				spread(case.ours.total), spread(case.ours.own), number(case.ours.pushes),
				number(case.reference.making), number(case.reference.floor));
		end
		if version.whole then whole(version.whole, out); end
		line("\nEvents that lead to nothing, µs above an empty hook:\n");
		head("event", "reference", "ours");
		for _, case in ipairs(version.nothing) do
			row(case.name, case.reference and spread(case.reference) or "pushes", spread(case.ours));
		end
		line("\n");
		head("", "reference", "ours");
		row("the first event of a process above the second, µs", spread(version.first.reference), spread(version.first.ours));
		for _, n in ipairs({ 10, 200, 1000 }) do
			row(("%d stanzas queued for a hibernating session, one push, µs"):format(n),
				spread(version.queued[n].reference), spread(version.queued[n].ours));
		end
		row("one push, to a user with one device, µs", NONE, spread(version.devices.one));
		row("one push, to a user with five devices, µs", NONE, spread(version.devices.five));
		if version.push2 then
			row("Push 2.0, a push with its stanza and a new token, µs (OpenSSL from Lua)",
				spread(version.push2.openssl), spread(version.push2.signing));
			row("the same with the token of the last, µs", NONE, spread(version.push2.ours));
		end
		if version.many_clients then
			row("Push 2.0, a message for 20 encrypted clients, a token for all, each, µs", NONE, spread(version.many_clients.each));
			row("the longest that it holds the server, ms", NONE, spread(version.many_clients.held));
		end
		for _, of in ipairs(version.enabling or {}) do
			row(("enable again, storage %s, µs"):format(of.storage), spread(of.again.reference), spread(of.again.ours));
			row(("enable with another form, storage %s, µs"):format(of.storage), spread(of.changed.reference), spread(of.changed.ours));
		end
		if version.encrypted then
			row("own, one encrypted push, µs", spread(version.encrypted.reference), spread(version.encrypted.ours));
		end
		row("burst of 500 messages, ms", spread(version.burst.reference), spread(version.burst.ours));
		row("pushes for it", number(version.burst.reference.pushes), number(version.burst.ours.pushes));
		for _, n in ipairs(version.in_flight and { 200, 10000 } or {}) do
			row(("answer with %d pushes in flight, routing included, µs"):format(n), number(version.in_flight.answer[n].reference),
				number(version.in_flight.answer[n].ours));
		end
		for _, n in ipairs(version.in_flight and { 0, 10000 } or {}) do
			row(("disable with %d pushes in flight, µs"):format(n), number(version.in_flight.disable[n].reference),
				number(version.in_flight.disable[n].ours));
		end
		row("bytes kept per answered push (reference: of 20,000; ours: of 100,000)", number(version.growth.kept.reference),
			number(version.growth.kept.ours));
		if version.registered then
			row("bytes per registered user, one device with a form, of 100,000", number(version.registered.reference),
				number(version.registered.ours));
		end
		row(("resident MB at start (%s without either)"):format(number(version.resident.none.median)),
			spread(version.resident.reference), spread(version.resident.ours));
		if version.many_users then many_users(version, out); end
	end
	return missed;
end

-- Instructions per bench from the output of `cargo bench`.
local function core(file, out)
	table.insert(out, "\n## The core alone\n\nInstructions of one event, without Lua and Prosody (`benches/core.rs`, callgrind):\n");
	table.insert(out, "| path | instructions |\n| --- | --- |");
	local name;
	for line in io.lines(file) do
		name = line:match("^core::core::([%w_]+ [%w_]+)") or name;
		local count = line:match("Instructions:%s+(%d+)");
		if name and count then table.insert(out, ("| %s | %s |"):format(name:gsub("_", " "), count)); end
	end
end

local PLOT = [[
set terminal svg size 900,480 dynamic background "white" font "sans,13"
set output "%s"
set title "CPU per push, routing and answer included, by the pushes before it"
set xlabel "pushes so far"
set ylabel "µs (logarithmic)"
set logscale y
set grid ytics
set key outside right
set yrange [10:*]
]];

local function plot(results)
	local name = os.tmpname();
	local file = assert(io.open(name, "w"));
	file:write(PLOT:format(paths.root.."/docs/bench.svg"));
	local lines = {};
	for i, version in ipairs(results) do
		for _, side in ipairs({ "reference", "ours" }) do
			file:write(("$%s%d << EOD\n"):format(side, i));
			for _, point in ipairs(version.growth.curve[side]) do file:write(("%d %f\n"):format(point[1], point[2])); end
			file:write("EOD\n");
			table.insert(lines, ("$%s%d smooth unique with lines lw 2 %s lc %d title %q"):format(side, i,
				side == "ours" and "dt 1" or "dt 2", i, side..", "..version.name));
		end
	end
	file:write("plot ", table.concat(lines, ", \\\n"), "\n");
	file:close();
	assert(os.execute("gnuplot "..name), "gnuplot failed");
	os.remove(name);
end

local INTRO = [[
# What a push costs

Made by `make bench`: the same traffic through the reference and through prosody-push, in the same Prosody, each in a
server of its own, run by run in turn. CPU time of the server's process, on a machine that is busy with other things; take
the ratios, not the microseconds. Every run's pushes are counted and read before its time counts.

- *Total*: handlers, routing of the push to a component in the same process, its answer, and the handling of that. The
  making of the messages and an empty hook are taken off.
- *Floor*: what no module can avoid: a fresh `<iq>` with an id around a ready subtree, routed and answered. *Own* is total
  less floor.
- A *whole process* is all that a server's process has spent when the last answer has come: the collector's work on what the event
  left behind is in it, wherever it falls. Of *total* above, the collector's part is that of a short run after a full collection.
- Events go to the handlers of the module under test and to no others. Registrations are in memory
  (`storage = "memory"`), the log is at `info`, the garbage collector as Prosody sets it.

One bar is against physics: a message that is archived for a user whose device is connected. The reference looks into two
tables, does not look at the message but for a call, and is done. Here the rules are asked. Of our microsecond 0.3 are the
walk over the message (of which only the rules know what matters), 0.3 the call into Rust with the ten facts that an event
has, and the decision, 0.1 that nothing may raise out of a hook, 0.05 the clock and whether other modules look, the rest
Lua around it. A fifth of the reference's would be 0.4.

%s

![CPU per push by pushes so far](bench.svg)
]];

local function machine()
	for line in io.lines("/proc/cpuinfo") do
		local model = line:match("^model name%s*:%s*(.*)");
		if model then return "Measured on "..model.."."; end
	end
	return "";
end

-- README's rows of the bars, as `text` has them.
local function update_readme(readme, text)
	local rows = {};
	for name, rest in text:gmatch("\n| ([^|\n]+) (|[^\n]*)") do rows[name] = rows[name] or rest; end
	return (readme:gsub("\n| ([^|\n]+) (|[^\n]*)", function (name)
		return rows[name] and ("\n| %s %s"):format(name, rows[name]);
	end));
end

local function read_file(name)
	local file = assert(io.open(name));
	local text = file:read("a");
	file:close();
	return text;
end

local function write_file(name, text)
	local file = assert(io.open(name, "w"));
	file:write(text);
	file:close();
end

-- Returns the number of bars that are missed.
local function write(results, core_file)
	local out = {};
	local missed = tables(results, out);
	if core_file then core(core_file, out); end
	local text = table.concat(out, "\n").."\n";
	print(text);
	plot(results);
	write_file(paths.root.."/docs/bench.md", INTRO:format(machine()).."\n"..text);
	local readme = paths.root.."/README.md";
	write_file(readme, update_readme(read_file(readme), text));
	return missed;
end

return { write = write, update_readme = update_readme, phones_day = phones_day, whole = whole };
