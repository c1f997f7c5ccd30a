-- The paths that specs use, and Prosody's util.* as the library for XML on the client's side. Require this first.
local lfs = require "lfs";

local root = lfs.currentdir();
local prosody_0_12 = root.."/.prosody/0.12/usr/lib/prosody";

package.path = prosody_0_12.."/?.lua;"..package.path;
package.cpath = prosody_0_12.."/?.so;"..package.cpath;

-- Servers run in folders of their own.
local function absolute(path)
	return path:sub(1, 1) == "/" and path or root.."/"..path;
end

local target = absolute(os.getenv("CARGO_TARGET_DIR") or "target");

-- The name of the folders that a machine's libraries are in, as x86_64-linux-gnu.
local function multiarch()
	local process = io.popen("gcc -print-multiarch");
	local name = process:read("l");
	process:close();
	return name;
end

return {
	root = root;
	target = target;
	-- The unpacked packages of a server version.
	server = function (version) return root.."/.prosody/"..version; end;
	multiarch = multiarch;
	-- The folders of libraries in unpacked packages, for LD_LIBRARY_PATH; `more` are folders in the main one.
	libraries = function (folder, more)
		local dir = folder.."/usr/lib/"..multiarch();
		local all = { dir };
		for _, name in ipairs(more or {}) do table.insert(all, dir.."/"..name); end
		table.insert(all, folder.."/lib/"..multiarch());
		return table.concat(all, ":");
	end;
	-- The upstream version of a package that `deps` unpacked.
	package_version = function (name)
		local file = io.open(root.."/.prosody/"..name.."/version");
		local version = file and file:read("l"):match("^[^-]+");
		if file then file:close(); end
		return version;
	end;
	-- The library that cargo builds: libprosody_push.so, found by `require "prosody_push"`.
	library = target.."/"..(os.getenv("PROFILE") or "debug").."/lib?.so";
	debug_library = target.."/debug/lib?.so";
};
