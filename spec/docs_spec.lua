-- Checks the documents against the code: loads each block of configuration, looks for each file that they name, compares their
-- tables with the options, reasons, causes and warnings in the code, and runs each command of the server and the demo. For each other
-- command, ELSEWHERE names the spec that runs it.
local paths = require "spec.support.paths";
local prosody = require "spec.support.prosody";
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local faults = require "spec.support.faults";
local picture = require "spec.support.picture";
local lfs = require "lfs";

local VERSION = os.getenv("PROSODY") or "0.12";
local DOCUMENTS = { "README.md", "SECURITY.md", "CHANGELOG.md" };
for file in lfs.dir(paths.root.."/docs") do
	if file:find("%.md$") then DOCUMENTS[#DOCUMENTS + 1] = "docs/"..file; end
end
-- Commands that change the machine, and the specs that run them.
local ELSEWHERE = {
	["^sudo apt install %./prosody%-push_[%d.]+_amd64%.deb$"] = { "spec/debian_spec.lua", "apt%-get install" };
	["^PROSODY=13%.0 lua5%.4 /usr/bin/busted "] = { "Makefile", "busted %-o spec/support/output%.lua" };
};

local function read(name)
	local file = assert(io.open(paths.root.."/"..name), name.." is not there");
	local text = file:read("a");
	file:close();
	return text;
end

-- Returns the blocks of a language in all documents, each with the name of its document.
local function blocks(language)
	local found = {};
	for _, name in ipairs(DOCUMENTS) do
		for text in read(name):gmatch("\n```"..language.."\n(.-)\n```") do found[#found + 1] = { name, text }; end
	end
	return found;
end

describe("the documents", function ()
	it("name only files that exist", function ()
		local n = 0;
		for _, name in ipairs(DOCUMENTS) do
			local folder = name:match("^.*/") or "";
			for target in read(name):gmatch("%]%(([^)#]+)%)") do
				if not target:find("^https?:") then
					n = n + 1;
					assert.is_truthy(lfs.attributes(paths.root.."/"..folder..target), name.." names "..target);
				end
			end
		end
		assert.is_true(n > 20);
	end);

	it("have every option in the README's table, and no other", function ()
		local options, shown = {}, {};
		for option in read("src/config.rs"):match("pub fn read(.-)\n    }\n"):gmatch('"([%w_]+)"') do options[option] = true; end
		-- An option of mod_smacks.
		options.smacks_max_queue_size = nil;
		for option in read("README.md"):gmatch("\n| `([%w_]+)` | [^|]+ | ") do shown[option] = true; end
		assert.same(options, shown);
		assert.is_true(options.push_explain and options.contact_uri);
	end);

	it("show which version of the reference has which fault", function ()
		local shown = read("docs/differences.md"):match("\n(| here |.-\n)\n");
		-- Debian's newest version may be newer than the version in the document.
		local newest = shown:match("| (13%.0%.%d+) |\n");
		local table_of_faults = {
			("| here | %s | %s | %s |"):format(paths.package_version("0.12"), paths.package_version("13.0"), newest); "|---|---|---|---|";
		};
		for _, fault in ipairs(faults.list) do
			local cells = {};
			for i, version in ipairs({ "0.12", "13.0", "newest" }) do
				cells[i] = faults.is_in(fault, version) and fault.because or "the same";
			end
			table.insert(table_of_faults, ("| %s | %s |"):format(fault.name, table.concat(cells, " | ")));
		end
		assert.equal(table.concat(table_of_faults, "\n").."\n", shown);
	end);

	it("have a picture of what `push explain` prints", function ()
		local function without_times(text) return (text:gsub("%d+%-%d+%-%d+ %d+:%d+:%d+", "TIME"):gsub("%d+ ms", "N ms")); end
		assert.equal(without_times(picture.svg(picture.lines(VERSION))), without_times(read("docs/explain.svg")),
			"lua5.4 spec/support/picture.lua makes it anew");
	end);

	it("have every reason and metric that an administrator may meet", function ()
		local metrics, operators = read("lua/prosody_push_metrics.lib.lua"), read("docs/operators.md");
		for name in metrics:gmatch('module:metric%("%a+", "([%w_]+)"') do
			assert.is_truthy(operators:find("__"..name, 1, true), name);
		end
		local n = 0;
		for text, reason in read("src/reason.rs"):gmatch('message = "([^"]+)".-(%u%a+),') do
			n = n + 1;
			local label = reason:gsub("%u", "_%0"):sub(2):lower();
			assert.is_truthy(operators:find(("\n| `%s` | %s |\n"):format(label, text), 1, true), reason);
		end
		assert.is_true(n > 15);
	end);

	it("have every outcome of a push that was asked for", function ()
		local operators, n = read("docs/operators.md"), 0;
		for name in read("src/memory/fate.rs"):match("pub enum Fate {(.-)\n}"):gmatch("\n    (%u%a+),") do
			n = n + 1;
			assert.is_truthy(operators:find(("\n| `%s` | "):format(name:gsub("%u", "_%0"):sub(2):lower()), 1, true), name);
		end
		assert.is_true(n > 6);
	end);

	it("have every address of the page's API", function ()
		local operators, n = read("docs/operators.md"), 0;
		for path in read("lua/mod_push_page/mod_push_page.lua"):gmatch('"GET (/api/[%w-]+)"') do
			n = n + 1;
			assert.is_truthy(operators:find("\n| `/push"..path.."` | ", 1, true), path);
		end
		assert.is_true(n > 5);
	end);

	it("have every event that `push explain` names", function ()
		local operators, n = read("docs/operators.md"), 0;
		for text in read("src/memory/journal.rs"):gmatch('message = "([^"]+)"') do
			n = n + 1;
			assert.is_truthy(operators:find(("\n| %s | "):format(text), 1, true), text);
		end
		assert.is_true(n > 8);
	end);

	it("have every warning of `push check`", function ()
		local check, operators, n = read("lua/prosody_push_check.lib.lua"), read("docs/operators.md"), 0;
		for name in check:gmatch('\n\t{ "(%w+)", "') do
			n = n + 1;
			assert.is_truthy(operators:find(("\n| `mod_%s is not loaded` | "):format(name), 1, true), name);
		end
		-- Warnings are found by their first two words. In the table "…" stands for a value.
		for sentence in check:gmatch('say%("([^"]+)"') do
			n = n + 1;
			local beginning = sentence:gsub("%(?%%[%d.]*%a[^)]*%)", "…"):gsub("%%%a", "…"):match("^%S+ %S+");
			assert.is_truthy(operators:find("\n| `"..beginning, 1, true), beginning);
		end
		assert.is_true(n > 9);
	end);

	it("show only targets of make that exist", function ()
		local n = 0;
		for _, block in ipairs(blocks("sh")) do
			for line in block[2]:gmatch("[^\n]+") do
				local target = line:gsub("%s*#.*", ""):match("^s?u?d?o? ?make (.+)$");
				if target then
					n = n + 1;
					assert.is_true(os.execute(("cd %s && make -n %s >/dev/null 2>&1"):format(paths.root, target)), line);
				end
			end
		end
		assert.is_true(n > 10);
	end);

	it("show a demo that shows the push", function ()
		local process = io.popen(("cd %s && make -s demo PROSODY=%s 2>&1"):format(paths.root, VERSION));
		local output = process:read("a");
		assert.is_true(process:close(), output);
		assert.matches("<notification xmlns='urn:xmpp:push:0'", output, 1, true);
	end);

	it("show commands that run", function ()
		local server = prosody.start {
			version = VERSION, module = "ours", host = "example.org", enable = { "admin_shell" }, s2s = true,
		};
		local app = appserver.connect(server, "push.example.test");
		local phone = client.connect(server, "romeo");
		local function enable() assert.equal("result", phone:enable_push({ jid = app.jid, node = "n" }).attr.type); end
		local n = 0;
		for _, block in ipairs(blocks("sh")) do
			for line in block[2]:gmatch("[^\n]+") do
				local words, known = {}, line:find("^make ") or line:find("^sudo make ");
				-- The app server of the documents is that of the spec.
				for word in line:gmatch("%S+") do words[#words + 1] = word == "push.example.com" and app.jid or word; end
				if words[1] == "prosodyctl" then
					enable();
					n = n + 1;
					local text = server:prosodyctl(table.unpack(words, 2));
					assert.is_truthy(text:find("OK: ") or text:find("Result: "), line..": "..text);
					assert.is_nil(text:find("Error"), line..": "..text);
					known = true;
				end
				for pattern, where in pairs(ELSEWHERE) do
					if line:find(pattern) then known = read(where[1]):find(where[2]); end
				end
				assert.is_truthy(known, block[1].." shows a command that no test runs: "..line);
			end
		end
		server:stop();
		assert.is_true(n > 7);
	end);

	it("show configuration that works", function ()
		local n = 0;
		for _, block in ipairs(blocks("lua")) do
			local options = {};
			local chunk = assert(load(block[2], "="..block[1], "t", setmetatable(options, { __index = { module = false } })));
			-- The next spec runs the code for modules in a server.
			if not block[2]:find("module:", 1, true) then
				n = n + 1;
				chunk();
				setmetatable(options, nil);
				local modules, global = options.modules_enabled or {}, {};
				options.modules_enabled, options.plugin_paths = nil, nil;
				for name, value in pairs(options) do global[name] = value; end
				local has = {};
				for _, name in ipairs(modules) do has[name] = true; end
				local server = prosody.start {
					version = VERSION, module = "ours", enable = modules, global = global, http = has.http_openmetrics or has.push_page;
				};
				for _, name in ipairs(modules) do
					assert.is_true(server:eval([[
						local is_loaded = require "core.modulemanager".is_loaded;
						return is_loaded(module.host, ...) or is_loaded("*", ...);
					]], name), block[1]..": "..name);
				end
				server:stop();
			end
		end
		assert.is_true(n > 3);
	end);

	it("show code for modules that works", function ()
		local n = 0;
		local server = prosody.start { version = VERSION, module = "ours" };
		local app = appserver.connect(server, "push.example.test");
		for _, block in ipairs(blocks("lua")) do
			if block[2]:find("module:", 1, true) then
				n = n + 1;
				server:eval(block[2]);
			end
		end
		assert.equal(3, n);
		local phone = client.connect(server, "romeo");
		phone:enable_push { jid = app.jid, node = "n" };
		assert.equal("my value", server:stored("romeo")["push.example.test<n"].my_key);
		phone:close();
		local juliet = client.connect(server, "juliet");
		server:eval([[module:fire_event("cloud-notify-ping", { user = "romeo" })]]);
		assert.equal(0, app:settled(), "an unimportant push is stopped");
		juliet:message { to = "romeo@example.test", body = "Romeo?" };
		app:expect(1);
		server:wait_log("No push for romeo to push.example.test<n: romeo sleeps");
		server:stop();
	end);
end);
