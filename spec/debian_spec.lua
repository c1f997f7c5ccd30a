-- Installs the Debian package and the rock in clean Debians as an administrator does, and sends a push. `make debian` builds them.
local root = require "spec.support.root";
local net = require "spec.support.net";
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local push2 = require "spec.support.push2";

local PACKAGE = assert(os.getenv("PACKAGE"), "PACKAGE is the package to install");
local ARCH = assert(os.getenv("ARCH"), "ARCH is its architecture");
-- The package of the last release, and the rock; only for the machine's own architecture.
local BEFORE, ROCK = os.getenv("BEFORE"), os.getenv("ROCK");

-- Each suite with its version of Prosody. Debian 12's init script cannot restart Prosody; systemd can. In qemu everything takes ten
-- times as long, so one suite has to do.
local SUITES = {
	{ "bookworm", "0.12", next = "trixie", no_restart = true };
	{ "bookworm-backports", "13.0" };
	{ "trixie", "13.0", foreign = true };
	{ "trixie-backports", "13.0" };
	{ "sid", "13.0" };
};
local LOG = "/var/log/prosody/prosody.log";
local OURS = "Push notifications by prosody%-push";

-- Put before Debian's configuration: loopback only, on free ports.
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

-- During these commands the root may run services, which end with the commands. `pid` prints Prosody's process id.
local SERVICES = [[
	sed -i "s/exit 101/exit 0/" /usr/sbin/policy-rc.d
	trap "sed -i s/exit.0/exit\ 101/ /usr/sbin/policy-rc.d; rm -rf /run/systemd" EXIT
	quietly() { "$@" >/output 2>&1; }
	pid() {
		for i in $(seq 30); do ! [ -s /run/prosody/prosody.pid ] || break; sleep 0.1; done
		echo $(cat /run/prosody/prosody.pid 2>/dev/null || echo none)
	}
]];

local function new_server()
	return { host = "localhost", password = "secret", c2s_port = net.free_port(), component_port = net.free_port() };
end

local function configure(debian, server)
	local path = "/etc/prosody/prosody.cfg.lua";
	local config = debian:read(path);
	-- An administrator of 0.12 has to add this line; 13.0 has it.
	if not config:find('\n%s*"cloud_notify"') then
		config = config:gsub("\nmodules_enabled = {", '%0\n\t"cloud_notify";', 1);
	end
	config = config:gsub("\nmodules_enabled = {", '%0\n\t"push2";', 1);
	debian:write(path, SETTINGS:format(server.c2s_port, server.component_port)..config);
	debian:write("/etc/prosody/conf.d/push.cfg.lua", COMPONENT);
	-- systemd would create this folder.
	debian:run("install -d -o prosody -g prosody /run/prosody");
	for _, user in ipairs({ "romeo", "juliet" }) do debian:run("prosodyctl register "..user.." localhost secret"); end
end

-- Starts Prosody and checks that a message wakes a phone that is away, with `has_push2` also by Push 2.0. Returns the new log.
local function log_of_a_push(debian, server, has_push2)
	local before = #debian:read(LOG);
	debian:start("prosody", "prosody -F");
	local ok, err = pcall(function ()
		-- In qemu this may take a minute.
		net.wait(function () return debian:read(LOG):find("Activated service 'component'", before + 1, true); end, "the start", 120);
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
	local log = debian:read(LOG):sub(before + 1);
	if not ok then error(tostring(err).."\n"..debian:read("/output")..log, 0); end
	return log;
end

local function version_of(package)
	return package:match("_([^_]+)_");
end

local function describe_suite(suite, prosody, traits)
	describe("in a clean Debian "..suite, function ()
		local debian, server;
		setup(function ()
			debian = root.bootstrap(suite, ARCH);
			server = new_server();
		end);
		teardown(function () if debian then debian:remove(); end end);

		local function install(what)
			return debian:run("apt-get install -y --no-install-recommends -t "..suite.." "..what);
		end

		local function version(package)
			return debian:run("dpkg-query -W -f '${Version}' "..package);
		end

		it("the package installs Prosody, and no toolchain", function ()
			install(debian:add(PACKAGE));
			assert.equal(prosody, version("prosody"):match("^%d+%.%d+"));
			assert.equal(version_of(PACKAGE), version("prosody-push"));
			assert.equal("", debian:run("for tool in cc gcc ld cargo rustc luarocks make; do command -v $tool || true; done"));
		end);

		it("the package makes pushes work with Debian's configuration", function ()
			configure(debian, server);
			local log = log_of_a_push(debian, server, true);
			assert.matches(OURS, log);
			assert.not_matches("\terror\t", log);
		end);

		it("the package shares no file with prosody-modules, and takes precedence over it", function ()
			install("prosody-modules");
			-- Only the configuration may differ.
			assert.equal("", debian:run("dpkg --verify prosody prosody-modules prosody-push | grep -v ' c /etc/' || true"));
			assert.matches(OURS, log_of_a_push(debian, server, true));
		end);

		it("the package leaves nothing behind, and the module that it replaced works again", function ()
			debian:run("apt-get purge -y prosody-push");
			assert.equal("", debian:run("find / -xdev '(' -name '*prosody*push*' -o -name 'mod_push*' ')' ! -name '*.deb'"));
			assert.not_matches(OURS, log_of_a_push(debian, server));
		end);

		if BEFORE then
			it("the package replaces the last release, and keeps its registrations", function ()
				install(debian:add(BEFORE));
				assert.matches(OURS.." "..version_of(BEFORE):gsub("%p", "%%%0"), log_of_a_push(debian, server, true));
				local registrations = debian:run("cat /var/lib/prosody/localhost/cloud_notify/romeo.dat");
				install(debian:add(PACKAGE));
				assert.equal(version_of(PACKAGE), version("prosody-push"));
				assert.equal(registrations, debian:run("cat /var/lib/prosody/localhost/cloud_notify/romeo.dat"));
				assert.matches(OURS.." "..version_of(PACKAGE):match("^[%d.]+"):gsub("%p", "%%%0"), log_of_a_push(debian, server, true));
			end);
		end

		it("the package restarts a running Prosody when it is installed and when it is removed", function ()
			local file = debian:add(PACKAGE);
			local output = debian:run(SERVICES..([[
				quietly invoke-rc.d prosody start; pid
				quietly dpkg -i FILE; pid
				quietly dpkg -r prosody-push; pid
				quietly invoke-rc.d prosody stop
				quietly dpkg -i FILE; pid
			]]):gsub("FILE", file));
			local before, installed, removed = output:match("^(%d+)\n(%d+)\n(%d+)\n");
			if traits.no_restart then
				assert.equal(before, installed);
				assert.matches("If Prosody runs, restart it", debian:read("/output"));
			else
				assert.is_true(before ~= installed and installed ~= removed, output..debian:read("/output"));
				assert.matches("\nnone\n$", output);
			end
		end);

		it("the package asks systemd to restart a running Prosody", function ()
			-- systemd does not run here. This script notes the commands for it.
			debian:write("/usr/local/bin/systemctl", "#!/bin/sh\necho \"$@\" >>/told\n");
			debian:run(SERVICES..[[
				chmod 755 /usr/local/bin/systemctl
				PATH=/usr/local/bin:$PATH
				mkdir -p /run/systemd/system
				quietly dpkg-reconfigure prosody-push
			]]);
			assert.matches("try%-restart prosody%.service", debian:read("/told"));
		end);

		if ROCK then
			it("the rock makes pushes work when prosodyctl installs it", function ()
				debian:run("apt-get purge -y prosody-push");
				install("luarocks");
				debian:run("prosodyctl install "..debian:add(ROCK));
				assert.matches(OURS, log_of_a_push(debian, server, true));
				debian:run("prosodyctl remove prosody-push");
				assert.not_matches(OURS, log_of_a_push(debian, server));
			end);
		end

		if traits.next and BEFORE then
			it("the package stays and works after an upgrade to "..traits.next, function ()
				install(PACKAGE:match("/[^/]+$"));
				debian:run(("sed -i s/%s/%s/ /etc/apt/sources.list && apt-get update -qq"):format(suite, traits.next));
				debian:run("apt-get -y -o Dpkg::Options::=--force-confold dist-upgrade");
				assert.equal("13.0", version("prosody"):match("^%d+%.%d+"));
				assert.equal(version_of(PACKAGE), version("prosody-push"));
				assert.matches(OURS, log_of_a_push(debian, server, true));
			end);
		end
	end);
end

for _, each in ipairs(SUITES) do
	if each.foreign or BEFORE then describe_suite(each[1], each[2], each); end
end

-- Without a container builder: the spec runs the Containerfile's commands in clean Debians.
if BEFORE then
	describe("the Containerfile", function ()
		local stages, debian, folder, user, command = {}, nil, nil, nil, nil;
		teardown(function () for _, stage in pairs(stages) do stage:remove(); end end);

		local steps = {
			FROM = function (image)
				assert.matches("^debian:13", image);
				debian = root.bootstrap("trixie");
				stages[image:match(" AS (%S+)$") or "last"] = debian;
				-- The image of debian:13 has its apt sources in this form.
				debian:run([[
					awk "{ print \"Types: deb\\nURIs: \" \$2 \"\\nSuites: \" \$3 \"\\nComponents: main\\n\" }" /etc/apt/sources.list \
						>/etc/apt/sources.list.d/debian.sources
					rm /etc/apt/sources.list
				]]);
			end;
			RUN = function (line) debian:run("cd "..(folder or "/").."; "..line); end;
			WORKDIR = function (path)
				folder = path;
				debian:run("mkdir "..path);
			end;
			COPY = function (what)
				local stage, from = what:match("^%-%-from=(%S+) (%S+) /$");
				if stage then debian:add(stages[stage].dir..from); else debian:add_tree(folder); end
			end;
			USER = function (name) user = name; end;
			CMD = function (words) command = words:gsub('[%[%]",]', ""); end;
		};

		it("is built", function ()
			for line in io.lines("Containerfile") do
				local step, what = line:match("^(%u+) (.*)$");
				if step == "FROM" then folder = nil; end
				if steps[step] then steps[step](what); end
			end
			assert.same({ "prosody", "prosody -F" }, { user, command });
		end);

		it("makes pushes work", function ()
			local server = new_server();
			configure(debian, server);
			assert.matches(OURS, log_of_a_push(debian, server, true));
		end);
	end);
end
