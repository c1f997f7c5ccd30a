-- The Debian package and the rock in clean Debians: what an administrator does, then a push. `make debian` has made both.
local root = require "spec.support.root";
local net = require "spec.support.net";
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local push2 = require "spec.support.push2";

local PACKAGE = assert(os.getenv("PACKAGE"), "PACKAGE is the package to install");
local ROCK = assert(os.getenv("ROCK"), "ROCK is the rock to install");
local SERVERS = { { "0.12", "bookworm" }, { "13.0", "bookworm-backports" } };
local OURS = "Push notifications by prosody%-push";

-- In front of what Debian's configuration says: loopback only, on ports that are free.
local SETTINGS = [[
interfaces = { "127.0.0.1" }
c2s_ports = { %d }
component_ports = { %d }
c2s_direct_tls_ports, s2s_ports, s2s_direct_tls_ports, http_ports, https_ports = {}, {}, {}, {}, {}
c2s_require_encryption, allow_unencrypted_plain_auth = false, true
]];
local COMPONENT = [[
Component "push.localhost"
	component_secret = "secret"
]];

local function configure(debian, server)
	local path = "/etc/prosody/prosody.cfg.lua";
	local config = debian:read(path);
	-- The one thing that an administrator of 0.12 has to write; 13.0 has it.
	if not config:find('\n%s*"cloud_notify"') then
		config = config:gsub("\nmodules_enabled = {", '%0\n\t"cloud_notify";', 1);
	end
	config = config:gsub("\nmodules_enabled = {", '%0\n\t"push2";', 1);
	debian:write(path, SETTINGS:format(server.c2s_port, server.component_port)..config);
	debian:write("/etc/prosody/conf.d/push.cfg.lua", COMPONENT);
	-- systemd's to make.
	debian:run("install -d -o prosody -g prosody /run/prosody");
	for _, user in ipairs({ "romeo", "juliet" }) do debian:run("prosodyctl register "..user.." localhost secret"); end
end

-- Starts Prosody, sees a message for a phone that is away wake it, by Push 2.0 too if that is there, and gives what was logged.
local function log_of_a_push(debian, server, has_push2)
	local before = #debian:read("/var/log/prosody/prosody.log");
	debian:start("prosody", "prosody -F");
	local ok, err = pcall(function ()
		local app = appserver.connect(server, "push.localhost");
		local phone = client.connect(server, "romeo");
		assert.equal("result", phone:enable_push({ jid = app.jid, node = "n" }).attr.type);
		if has_push2 then
			local enable = push2.enable { service = app.jid, push2.match("important", { send = push2.encrypted, jwt = "ES256" }) };
			assert.equal("result", phone:iq(push2.iq(enable)).attr.type);
		end
		phone:close();
		local juliet = client.connect(server, "juliet");
		juliet:message { to = "romeo@localhost", body = "Romeo?" };
		local pushes = {};
		for i = 1, has_push2 and 2 or 1 do
			local push = app:expect(i);
			pushes[push.name] = push;
		end
		assert.equal("n", appserver.read(pushes.iq).node);
		if has_push2 then assert.equal("Romeo?", push2.decrypt(push2.read(pushes.message).payload):get_child_text("body")); end
		juliet:close();
		app:disconnect();
	end);
	debian:stop();
	local log = debian:read("/var/log/prosody/prosody.log"):sub(before + 1);
	if not ok then error(tostring(err).."\n"..debian:read("/output")..log, 0); end
	return log;
end

describe("in a clean Debian", function ()
	local clean;
	setup(function () clean = root.bootstrap(); end);
	teardown(function () clean:remove(); end);

	for _, each in ipairs(SERVERS) do
		local version, suite = table.unpack(each);
		describe("with Prosody "..version, function ()
			local debian, server;
			setup(function ()
				debian = clean:copy();
				server = { host = "localhost", password = "secret", c2s_port = net.free_port(), component_port = net.free_port() };
			end);
			teardown(function () debian:remove(); end);

			it("the package brings Prosody along, and no toolchain", function ()
				debian:add(PACKAGE);
				debian:run("apt-get install -y --no-install-recommends -t "..suite.." /"..PACKAGE:match("[^/]+$"));
				assert.equal(version, debian:run("dpkg-query -W -f '${Version}' prosody"):match("^%d+%.%d+"));
				assert.equal("", debian:run("for tool in cc gcc ld cargo rustc luarocks make; do command -v $tool || true; done"));
			end);

			it("the package makes pushes work with Debian's configuration", function ()
				configure(debian, server);
				local log = log_of_a_push(debian, server, true);
				assert.matches(OURS, log);
				assert.not_matches("\terror\t", log);
			end);

			it("the package has no file in common with prosody-modules, and comes before it", function ()
				debian:run("apt-get install -y --no-install-recommends -t "..suite.." prosody-modules");
				-- But for the configuration, which is changed.
				assert.equal("", debian:run("dpkg --verify prosody prosody-modules prosody-push | grep -v ' c /etc/' || true"));
				assert.matches(OURS, log_of_a_push(debian, server, true));
			end);

			it("the package leaves nothing behind but the module that it stood in for", function ()
				debian:run("apt-get purge -y prosody-push");
				assert.equal("", debian:run("find / -xdev '(' -name '*prosody*push*' -o -name 'mod_push*' ')' ! -name '*.deb'"));
				assert.not_matches(OURS, log_of_a_push(debian, server));
			end);

			it("the rock makes pushes work, installed by prosodyctl", function ()
				debian:add(ROCK);
				debian:run("apt-get install -y --no-install-recommends luarocks");
				debian:run("prosodyctl install /"..ROCK:match("[^/]+$"));
				assert.matches(OURS, log_of_a_push(debian, server, true));
			end);
		end);
	end
end);
