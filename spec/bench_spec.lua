-- Tests the bench in a small version: it counts the right pushes. `make bench` measures the figures.
local cases = require "spec.bench.cases";
local day = require "spec.bench.day";
local paths = require "spec.support.paths";
local player = require "spec.bench.player";
local report = require "spec.bench.report";
local stats = require "spec.bench.stats";
local users = require "spec.bench.users";

local VERSION = os.getenv("PROSODY") or "0.12";

describe("the bench", function ()
	local servers;
	setup(function () servers = cases.start({ version = VERSION }); end);
	teardown(function () cases.stop(servers); end);

	for _, case in ipairs(cases.list) do
		for _, side in ipairs({ "reference", "ours" }) do
			it(("counts the pushes for: %s (%s)"):format(case.name, side), function ()
				for _ = 1, 2 do
					local result = cases.run(servers, side, case, 3);
					assert.is_true(result.total > 0 and result.making > 0);
				end
			end);
		end
	end

	it("counts the pushes of whole processes", function ()
		local case = cases.list[2];
		for _, elsewhere in ipairs({ false, true }) do
			local opts = { version = VERSION, elsewhere = elsewhere };
			for part, pushes in pairs({ making = 0, floor = 3, event = 15 }) do
				local spent, counted = cases.whole(opts, "ours", part, case, 3);
				assert.is_true(spent > 0);
				assert.equal(pushes, counted);
			end
		end
	end);

	it("measures a first event that causes no stall", function ()
		local first, second = cases.first({ version = VERSION }, "ours");
		-- This build has no optimisation; `make bench` allows 1 ms.
		assert.is_true(second > 0 and first - second < 5000, ("%.0f, then %.0f µs"):format(first, second));
	end);

	it("refuses to count a wrong push", function ()
		local case = { name = "wrong", kind = "offline", user = "romeo", node = "j1", important = true, pushes = { ours = 1 } };
		assert.has_error(function () cases.run(servers, "ours", case, 1); end);
		case.node, case.important = "r1", false;
		assert.has_error(function () cases.run(servers, "ours", case, 1); end);
		case.important, case.pushes.ours = true, 0;
		assert.has_error(function () cases.run(servers, "ours", case, 1); end);
	end);

	if VERSION == "13.0" then
		it("counts encrypted pushes", function ()
			local encrypted = cases.start({ version = VERSION, encrypted = true });
			for _, side in ipairs({ "reference", "ours" }) do
				assert.is_true(cases.run(encrypted, side, cases.encrypted, 3).total > 0);
			end
			cases.stop(encrypted);
		end);
	end

	if VERSION == "13.0" then
		it("counts pushes that carry their stanza", function ()
			local server = cases.start_push2();
			for _, side in ipairs({ "ours", "openssl" }) do
				for _, sign in ipairs({ true, false }) do assert.is_true(cases.run_push2(server, side, 3, sign) > 0); end
			end
			server:stop();
		end);
	end

	if VERSION == "13.0" then
		it("counts a message for a user's many clients", function ()
			local server = cases.start_many();
			local each, held = cases.run_many(server, 2);
			server:stop();
			assert.is_true(each > 0 and held > 0);
		end);
	end

	it("measures many users", function ()
		local row = users.measure(VERSION, "internal", 60);
		for _, name in ipairs({ "start", "start_owed", "recall", "list", "list_seconds", "stats", "outage", "drain", "drain_each" }) do
			local value = row[name];
			assert.is_true((type(value) == "table" and value.work or value) > 0, name);
		end
	end);

	it("computes the median and the spread", function ()
		assert.same({ median = 3, low = 2, high = 4 }, stats.of({ 5, 1, 4, 2, 3 }));
		assert.same({ median = 1.5, low = 1.25, high = 1.75 }, stats.of({ 2, 1 }));
	end);
end);

describe("the report", function ()
	it("gives the README its rows, a missed bar in bold", function ()
		local function read(name)
			local file = assert(io.open(paths.root.."/"..name));
			local text = file:read("a");
			file:close();
			return text;
		end
		local readme, bench = read("README.md"), read("docs/bench.md");
		assert.equal(readme, report.update_readme(readme, bench));
		local text = "\n| a bar | 1/2 | 1/3 |\n| an option | 5 |\n";
		assert.equal("\n| a bar | 1/2 | **1** |\n| an option | 5 |\n", report.update_readme(text, "\n| a bar | 1/2 | **1** |\n| other | 1 |\n"));
		local rows = 0;
		for name in readme:gmatch("\n| ([^|\n]+) |[^\n]*") do
			if bench:find("\n| "..name.." |", 1, true) then rows = rows + 1; end
		end
		assert.equal(2, rows);
	end);

	it("has a row for each whole process", function ()
		local out, stat = {}, stats.of({ 3, 4, 5 });
		local side = { total = stat, own = stat };
		report.whole({ { name = "ping", making = 1, floor = 2, reference = side, ours = { total = stat, own = stats.of({ 2 }) } } }, out);
		assert.matches("| ping | 4.00 (3.50–4.50) | 4.00 (3.50–4.50) | 4.00 (3.50–4.50) | 2.00 (2.00–2.00) | 1/2.0 | 1.00 | 2.00 |",
			table.concat(out, "\n"), 1, true);
	end);
end);

describe("a phone's day", function ()
	local IMPORTANT, SILENT = { important = true }, { silent = true };

	it("has the documented length", function ()
		assert.same({ 40, 3, 60, 3, 32 }, { day.contacts, day.rooms, day.messages, day.calls, day.sleeps });
	end);

	it("is played and counted", function ()
		local sides = player.start(VERSION);
		-- The first two sleeps.
		local counts = player.play(sides, table.move(day.moments, 1, 10, 1, {}));
		-- A moment that must wake no device, with a wrong expectation.
		local wrong = player.play(sides, day.moments_of({ { "24:00", awake = {}, { IMPORTANT, "3 is away", "4 types" } } }));
		player.stop(sides);
		local ours, reference = counts.ours, counts.reference;
		assert.same({ 0, 1, 1 }, { ours.call, ours.important, ours.silent });
		assert.same({ 0, 0, 0, 0 }, { ours.needless, ours.missed, ours.late, ours.unheard }, table.concat(ours.notes, "\n"));
		assert.same({ 1, 4, 3 }, { reference.important, reference.silent, reference.needless });
		assert.same({ 1, 0 }, { wrong.ours.missed, wrong.ours.needless });
		assert.same({ "24:00, asleep: missed (3 is away; 4 types)" }, wrong.ours.notes);
		assert.same({ 1, 0, 1 }, { wrong.reference.missed, wrong.reference.needless, wrong.reference.silent });
	end);

	it("leads to less with what the user has set in another client, and misses nothing", function ()
		local sides = player.start_quiet(VERSION);
		local counts = player.play(sides, day.moments_of({ { "24:00", awake = {};
			{ IMPORTANT, "30 says in 3" };
			{ IMPORTANT, "28 says", "20 says in 2" };
			{ IMPORTANT, "20 mentions in 2" };
			{ SILENT, "28 reacts" };
		} }));
		player.stop(sides);
		local without, with = counts.reference, counts.ours;
		assert.same({ 3, 1 }, { without.important, without.silent });
		assert.same({ 1, 0 }, { with.important, with.silent });
		for _, of_side in ipairs({ without, with }) do
			assert.same({ 0, 0, 0, 0 }, { of_side.needless, of_side.missed, of_side.late, of_side.unheard }, table.concat(of_side.notes, "\n"));
		end
	end);

	it("counts needless, missed, late and unheard pushes", function ()
		local counts = player.new_counts();
		local function come(leads, important, silent, ends)
			player.count(counts, { time = "07:00", phone = "asleep", leads = leads, words = {} }, { important = important, silent = silent }, ends);
			return { counts.needless, counts.missed, counts.late, counts.unheard };
		end
		assert.same({ 0, 0, 0, 0 }, come(IMPORTANT, 1, 0, true));
		assert.same({ 2, 0, 0, 0 }, come(IMPORTANT, 2, 1, true), "one more, and one of another kind");
		assert.same({ 2, 0, 0, 0 }, come(SILENT, 0, 1, true));
		assert.same({ 2, 0, 0, 1 }, come(SILENT, 0, 0));
		assert.same({ 3, 0, 0, 1 }, come(SILENT, 1, 0, true), "the phone is awake all the same");
		assert.same({ 3, 0, 0, 1 }, come(IMPORTANT, 0, 0));
		assert.same({ 3, 0, 1, 1 }, come({}, 1, 0, true));
		assert.same({ 3, 0, 1, 1 }, come(IMPORTANT, 0, 0));
		assert.same({ 3, 1, 1, 1 }, come({}, 0, 0, true));
		assert.same({ 4, 1, 1, 1 }, come({}, 0, 1, true));
		assert.same({ 5, 2, 1, 1 }, come(IMPORTANT, 0, 2, true), "a silent push in its place");
	end);

	it("is a section of the report", function ()
		local counts, out = { reference = player.new_counts(), ours = player.new_counts() }, {};
		counts.reference.needless = 48;
		report.phones_day({ { name = "0.12.3", day = counts }, { name = "13.0.1" } }, out);
		local text = table.concat(out, "\n");
		assert.matches("| 0.12.3: reference | 0.12.3: ours |\n", text, 1, true);
		assert.matches("| needless ones among these | 48 | 0 |\n", text, 1, true);
	end);
end);
