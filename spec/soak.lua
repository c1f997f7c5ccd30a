-- Runs the cases of spec/reliability in full, with both modules on both versions. Prints a line for each and writes
-- docs/reliability.md. `make soak` builds what it needs first.
--
--   lua5.4 spec/soak.lua PROPERTIES        PROPERTIES: the output of the long run of the properties in tests/
local paths = require "spec.support.paths";
local cases = require "spec.reliability.cases";
local steps = require "spec.support.steps";

local VERSIONS = { { "0.12", "0.12.3" }, { "13.0", "13.0.1" } };
local SIDES = { "ours", "reference" };

local INTRO = [[
# What it stands

Made by `make soak`: each line is a test, run in full against prosody-push and then against the reference, on real servers,
clients and app servers. The same tests, smaller, are part of `make test` ([`spec/reliability`](../spec/reliability)), which
also runs [`spec/live`](../spec/live), what of it stores on SQLite and PostgreSQL too. **Bold**: what the test does not let
pass; here a failure of the run, there a known fault or a limit.
]];

local TITLES = {
	storage = "Storage"; appservers = "App servers"; outages = "Outages"; hostile = "Hostile clients"; isolation = "Isolation"; soak = "Soak";
};

local function progress(...)
	io.stderr:write(("    "..(...)):format(select(2, ...)), "\n");
end

-- Returns the text as a table's cell can hold it.
local function cell(text)
	return (text:gsub("^.-:%d+: ", ""):match("^[^\n]*"):gsub("|", "/"));
end

-- What all cases take, in minutes.
local MINUTES = 20;

local total = 0;
for _, group in ipairs(cases.groups) do total = total + #group.list; end
local begin = steps.new(total, MINUTES);

local out, failed = { INTRO }, 0;
for _, group in ipairs(cases.groups) do
	table.insert(out, ("## %s\n"):format(TITLES[group.name]));
	table.insert(out, "|  | 0.12.3 | 13.0.1 | reference on 0.12.3 | reference on 13.0.1 |");
	table.insert(out, "| --- | --- | --- | --- | --- |");
	for _, case in ipairs(group.list) do
		begin(case.name);
		local row = { case.name..": "..case.counts };
		for _, side in ipairs(SIDES) do
			for _, version in ipairs(VERSIONS) do
				local figure, err;
				if case.only and case.only ~= side then
					figure = "–";
				else
					local size = side == "reference" and case.reference_size or case.size and case.size[2];
					figure, err = cases.run(case, version[1], side, size, progress);
				end
				if err and side == "ours" then failed = failed + 1; end
				progress("%s, %s: %s", version[2], side, figure or "failed: "..err);
				table.insert(row, figure or ("**%s**"):format(cell(err)));
			end
		end
		table.insert(out, ("| %s |"):format(table.concat(row, " | ")));
	end
	table.insert(out, "");
end

table.insert(out, "## Properties\n");
table.insert(out, ("Each holds for %s random inputs (`tests/properties.rs`, `tests/outages.rs`):\n"):format(os.getenv("PROPTEST_CASES")));
for line in io.lines((...)) do
	local name, verdict = line:match("^test ([%w_]+) %.%.%. (%w+)");
	if name then
		table.insert(out, ("- %s%s"):format(name:gsub("_s_", "'s "):gsub("_", " "), verdict == "ok" and "" or ": **failed**"));
		if verdict ~= "ok" then failed = failed + 1; end
	end
end

local file = assert(io.open(paths.root.."/docs/reliability.md", "w"));
file:write(table.concat(out, "\n"), "\n");
file:close();
print(table.concat(out, "\n"));
if failed > 0 then
	io.stderr:write(("%d tests failed.\n"):format(failed));
	os.exit(1);
end
