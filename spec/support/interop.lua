-- The tables of docs/interop.md, made of what the specs run. `lua5.4 spec/support/interop.lua` writes them anew, with `clients` after
-- `make clients` has run today; spec/interop_spec.lua compares them.
local paths = require "spec.support.paths";
local community = require "spec.support.community";
local gateways = require "spec.support.gateways";
local programs = require "spec.support.programs";
local shapes = require "spec.support.shapes";

local interop = { document = paths.root.."/docs/interop.md" };

local VERSIONS = { "0.12", "13.0", "newest" };

local function read(path)
	local file = assert(io.open(path));
	local text = file:read("a");
	file:close();
	return text;
end

local function row(...)
	return "| "..table.concat({ ... }, " | ").." |";
end

-- `cell(version)` for each version of Prosody.
local function cells(cell)
	local out = {};
	for i, version in ipairs(VERSIONS) do out[i] = cell(version); end
	return table.unpack(out);
end

-- The names of what a spec tries, in its order.
local function tried(spec)
	local names, about = {}, nil;
	for line in read(paths.root.."/spec/"..spec):gmatch("[^\n]+") do
		about = line:match('describe%("([^"]+)"') or about;
		local name = line:match('^\t+it%("([^"]+)"');
		-- It runs once for each kind of trust.
		if name then table.insert(names, about:gsub(" trusted by $", " by certificates and by dialback,").." "..name); end
	end
	return names;
end

-- A crate with its version in Cargo.lock. Debian's libraries have another version in each Debian.
local function versioned(name)
	local version = read(paths.root.."/Cargo.lock"):match('name = "'..name:gsub("%-", "%%-")..'"\nversion = "([^"]+)"');
	return version and name.." "..version or name;
end

local function runs()
	return "runs";
end

-- All tables, by the headings that they stand below. `newest` is the version that the document names: Debian's may be newer. `ran` is
-- the day when `make clients` ran.
function interop.tables(newest, ran)
	local out = {};
	local function start(name, ...)
		local titles = { ... };
		for _, version in ipairs({ paths.package_version("0.12"), paths.package_version("13.0"), newest }) do
			table.insert(titles, version);
		end
		local lines = { row(table.unpack(titles)), "|"..("---|"):rep(#titles) };
		out[name] = lines;
		return function (...) table.insert(lines, row(...)); end;
	end

	local add = start("Clients", "client", "read, and what was read", "its gateway", "signs in by");
	for _, name in ipairs(shapes.names) do
		local shape = shapes.load(name);
		local modern = shape.sasl2 == "bind" and "SASL2, Bind 2" or shape.sasl2 and "SASL2" or "SASL";
		add(shape.title, shape.read..": "..shape.files, gateways.load(shape.gateway).title,
			modern == "SASL" and "SASL" or modern.."; on 0.12 SASL", cells(runs));
	end

	add = start("Gateways", "gateway", "serves", "read", "rules");
	for _, name in ipairs(gateways.names) do
		local kind = gateways.load(name);
		add(kind.title, kind.serves, kind.read, #kind, cells(runs));
	end

	add = start("Libraries", "library", "from");
	for _, library in ipairs(programs) do add(versioned(library.title), library.from, cells(runs)); end
	add(versioned("xmpp-parsers")..", as an app server", "crates.io", cells(runs));
	local fetched = read(paths.root.."/spec/support/deps"):match("\nconverse%(%) {\n\tlocal version=(%S+)");
	add("Converse.js "..fetched..", whole, in Chromium", "npm, by `make clients`, last on "..ran, cells(runs));

	add = start("Servers", "what is tried");
	for _, spec in ipairs({ "s2s_spec.lua", "ejabberd_spec.lua" }) do
		for _, name in ipairs(tried(spec)) do add(name, cells(runs)); end
	end

	add = start("Community modules", "module");
	local there = {};
	for _, version in ipairs(VERSIONS) do
		there[version] = {};
		for _, name in ipairs(community.of(version)) do there[version][name] = true; end
	end
	for _, name in ipairs(community.wanted) do
		add("`mod_"..name.."`", cells(function (version) return there[version][name] and "runs" or "not there"; end));
	end
	return out;
end

-- The document with its tables anew: those of a heading take the place of the lines of a table below it. `today`: `make clients` ran.
function interop.renew(text, today)
	local tables = interop.tables(text:match("| (13%.0%.%d+) |\n"), today or text:match("`make clients`, last on (%d+%-%d+%-%d+)"));
	local lines, heading = {}, nil;
	for line in text:gmatch("([^\n]*)\n") do
		heading = line:match("^## (.*)") or heading;
		if not line:find("^|") or not heading then
			table.insert(lines, line);
		elseif tables[heading] then
			table.insert(lines, table.concat(tables[heading], "\n"));
			tables[heading] = nil;
		end
	end
	return table.concat(lines, "\n").."\n", next(tables);
end

if arg and arg[0] and arg[0]:find("interop%.lua$") then
	local text = interop.renew(read(interop.document), arg[1] == "clients" and os.date("%Y-%m-%d") or nil);
	local file = assert(io.open(interop.document, "w"));
	file:write(text);
	file:close();
end

return interop;
