-- Installs the rocks of `make rock` with Debian's LuaRocks, into the tree of `prosodyctl install`. Prosody knows this tree without
-- any configuration.
local prosody = require "spec.support.prosody";
local wakes = require "spec.support.wakes";
local net = require "spec.support.net";
local paths = require "spec.support.paths";

local VERSIONS = { "0.12", "13.0" };
local OURS = "Push notifications by prosody%-push";

local function run(command)
	local process = io.popen(command.." </dev/null 2>&1");
	local output = process:read("a");
	if not process:close() then error(command.."\n"..output, 2); end
	return output;
end

-- Starts a server without our modules, calls `install`, and checks that pushes work after a restart, without anything else.
local function pushes_after(version, install)
	local server = prosody.start { version = version, module = "ours", modules = false, library = false };
	assert.not_matches(OURS, server:log());
	assert.is_nil((package.searchpath("prosody_push", package.cpath)), "this machine has a library of its own");
	local output = install(server);
	assert.matches("prosody%-push [%w.-]+ is now installed in "..server.dir.."/custom_plugins", output);
	server:restart();
	server:wait_log(OURS);
	assert.is_true(wakes(server));
	server:stop();
end

describe("luarocks make", function ()
	-- Works like a missing network, and needs no privileges.
	local OFFLINE = "CARGO_NET_OFFLINE=true all_proxy=http://127.0.0.1:1 http_proxy=http://127.0.0.1:1 https_proxy=http://127.0.0.1:1";

	for _, version in ipairs(VERSIONS) do
		it("needs no network, for Prosody "..version, function ()
			pushes_after(version, function (server)
				return run(("%s luarocks --lua-version=5.4 make --tree=%s/custom_plugins")
					:format(OFFLINE, server.dir));
			end);
		end);
	end
end);

describe("prosodyctl install", function ()
	setup(function () run("make -s rock"); end);

	-- A LuaRocks server with one kind of rock.
	local function from_server(kind, environment)
		return function (server)
			local dir, port = server.dir.."/rocks", net.free_port();
			run(("mkdir %s && cp %s/rock/*.%s.rock %s"):format(dir, paths.target, kind, dir));
			run("luarocks-admin --lua-version=5.4 make_manifest "..dir);
			-- Replaces luarocks.org, which the spec must not use.
			run(("echo 'rocks_servers = { \"http://127.0.0.1:%d\" }' >%s/config.lua"):format(port, dir));
			-- The HTTP server ends with this process.
			local http = io.popen(("python3 -m http.server --bind 127.0.0.1 --directory %s %d >/dev/null 2>&1 & read -r _; kill $!")
				:format(dir, port), "w");
			net.connect(port):close();
			-- A rock of sources builds the library here.
			local output, succeeded = server:prosodyctl({
				environment = ("LUAROCKS_CONFIG=%s/config.lua %s"):format(dir, environment), timeout = 1200,
			}, "install", "--server=http://127.0.0.1:"..port, "prosody-push");
			http:close();
			assert.is_true(succeeded, output);
			return output;
		end;
	end

	for _, version in ipairs(VERSIONS) do
		it("installs a built rock from a LuaRocks server, without cargo, for Prosody "..version, function ()
			pushes_after(version, from_server("linux-*", "PATH=/usr/bin:/bin"));
		end);
	end

	it("builds a rock of sources if cargo is installed", function ()
		-- prosodyctl runs with Prosody's HOME.
		local home = os.getenv("HOME");
		pushes_after("13.0", from_server("src", ("CARGO_TARGET_DIR=%s CARGO_HOME=%s RUSTUP_HOME=%s"):format(
			paths.target, os.getenv("CARGO_HOME") or home.."/.cargo", os.getenv("RUSTUP_HOME") or home.."/.rustup")));
	end);
end);
