-- Loads the Rust library, only in this module's version, and switches its debug lines on or off.

local config = require "core.configmanager";

local VERSION = "0.2.0";

-- The library is on Lua's C path, or where luarocks puts it for `prosodyctl install`: 0.12 does not add that folder to the path.
local function load_library()
	local ok, library = pcall(require, "prosody_push");
	if not ok then
		local err = library;
		local places = {};
		for dir in (prosody.paths.plugins or ""):gmatch("[^;]+") do
			places[#places + 1] = dir.."/lib/lua/".._VERSION:match("%d+%.%d+").."/?.so";
		end
		local path = package.searchpath("prosody_push", table.concat(places, ";"));
		local open = path and package.loadlib(path, "luaopen_prosody_push");
		if not open then
			error("The library prosody_push.so cannot be loaded. Install it with 'make install' from the same source as this "
				.."module, for the Lua that Prosody runs on (".._VERSION.."). "..tostring(err), 0);
		end
		library = open("prosody_push", path);
		package.loaded["prosody_push"] = library;
	end
	if library.version ~= VERSION then
		local found = package.searchpath("prosody_push", package.cpath);
		error(("The library prosody_push.so is version %s, this module is version %s. Install both from the same source with "
			.."'make install', then restart Prosody: a reload keeps the old library.%s"):format(library.version, VERSION,
			found and " It is "..found..": remove that file if it is left from another installation." or ""), 0);
	end
	return library;
end

-- Prosody does not say whether any sink reads debug lines, and making unread ones costs time. The library makes none if the
-- configuration has only sinks for higher levels.
local function wants_debug()
	local log = config.get("*", "log");
	if log == nil then return config.get("*", "debug") and true or false; end
	if type(log) ~= "table" then return true; end
	for level in pairs(log) do
		if level ~= "info" and level ~= "warn" and level ~= "error" then return true; end
	end
	return false;
end

local library = load_library();
library.log_debug(wants_debug());
module:hook_global("config-reloaded", function ()
	library.log_debug(wants_debug());
end);

return library;
