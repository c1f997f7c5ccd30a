-- A private Prosody on loopback, in a folder of its own, which is removed when it stops (kept and printed with KEEP=1).
--
--   local server = prosody.start { version = "13.0", module = "ours", options = { push_max_devices = 3 } }
--   server:eval("return module.host")       runs in the server, in the host's environment
--   server:stop()  server:restart(options)  server:kill()
--
-- opts: version "0.12" | "13.0" | "newest" (the newest 13.0.x in Debian); module "ours" | "reference"; options (the host's
-- configuration; push_coalesce is off by default); global (global configuration); enable, disable (lists of modules); host (its name);
-- hosts (names of further hosts, with the same configuration and accounts); components (JID -> module); s2s (true for connections to
-- other servers); log_level (the lowest; default "debug"); http (true for a port: http_port); data (a folder whose copy is the data at
-- the start); storage ("internal" | "memory" | "sqlite" | "postgresql"; default: STORAGE, or "internal"); sql (another server's `sql`,
-- to share its database); modules, library (their places; default: the work tree; false: none); community (names of modules of Debian's
-- prosody-modules that are found before ours).
local paths = require "spec.support.paths";
local net = require "spec.support.net";
local stream = require "spec.support.stream";
local base64 = require "util.encodings".base64;
local lfs = require "lfs";
local serialization = require "util.serialization";
local st = require "util.stanza";

local VERSIONS = { ["0.12"] = "0.12", ["12"] = "0.12", ["13.0"] = "13.0", ["13"] = "13.0", newest = "newest" };
-- The community's modules for each version.
local COMMUNITY = { ["0.12"] = "13.0-modules", ["13.0"] = "13.0-modules", newest = "newest-modules" };
local HOST = "example.test";
local CONTROL = "control.example.test";
-- App servers that specs may connect as.
local EXTERNAL = { "push.example.test", "push2.example.test", CONTROL };
local USERS = { "romeo", "juliet", "mercutio", "benvolio" };
local MODULES = {
	"roster", "saslauth", "disco", "ping", "smacks", "mam", "carbons", "offline", "cloud_notify", "spec_control",
};

-- The databases for mod_storage_sql.
local SQL = {
	sqlite = function () return { driver = "SQLite3", database = "prosody.sqlite" }; end;
	postgresql = function () return require "spec.support.postgresql".database(); end;
};

local prosody = { host = HOST };
local methods = {};
local mt = { __index = methods };

local function write(path, text)
	local file = assert(io.open(path, "w"));
	file:write(text);
	file:close();
end

local function read(path)
	local file = assert(io.open(path));
	local text = file:read("a");
	file:close();
	return text;
end

-- The reference is bundled with 13.0. For 0.12 it is a community module, and Prosody must find no other community module.
local function plugin_paths(self)
	local dirs = { paths.root.."/spec/support/modules" };
	if self.community then
		local dir = self.dir.."/community";
		lfs.mkdir(dir);
		for _, name in ipairs(self.community) do
			lfs.link(paths.server(COMMUNITY[self.version]).."/usr/lib/prosody/modules/mod_"..name, dir.."/mod_"..name, true);
		end
		table.insert(dirs, dir);
	end
	if self.module == "ours" then
		if self.modules ~= false then table.insert(dirs, self.modules or paths.root.."/lua"); end
	elseif self.version == "0.12" then
		local dir = self.dir.."/reference";
		lfs.mkdir(dir);
		lfs.link(paths.server("0.12-modules").."/usr/lib/prosody/modules/mod_cloud_notify", dir.."/mod_cloud_notify", true);
		table.insert(dirs, dir);
	end
	return dirs;
end

local function hosts(self)
	return { self.host, table.unpack(self.hosts or {}) };
end

local function write_config(self)
	local out = {};
	local function set(name, value)
		table.insert(out, ("%s = %s"):format(name, serialization.serialize(value)));
	end
	set("data_path", self.dir.."/data");
	set("pidfile", self.dir.."/prosody.pid");
	set("certificates", self.dir);
	set("plugin_paths", plugin_paths(self));
	set("log", { [self.log_level or "debug"] = self.dir.."/log" });
	set("interfaces", { "127.0.0.1" });
	set("c2s_ports", { self.c2s_port });
	set("c2s_direct_tls_ports", {});
	set("s2s_ports", {});
	set("component_ports", { self.component_port });
	set("http_ports", self.http and { self.http_port } or {});
	set("http_interfaces", { "127.0.0.1" });
	set("https_ports", {});
	set("network_settings", { nagle = false });
	set("run_as_root", true);
	set("allow_unencrypted_plain_auth", true);
	set("c2s_require_encryption", false);
	set("s2s_require_encryption", false);
	set("authentication", "internal_plain");
	set("default_storage", self.sql and "sql" or self.storage);
	set("storage", { accounts = "internal" });
	if self.sql then set("sql", self.sql); end
	set("default_archive_policy", true);
	local enabled, disabled = {}, { "posix", "tls", not self.http and "http" or nil };
	for _, list in ipairs({ MODULES, self.enable or {} }) do
		for _, name in ipairs(list) do table.insert(enabled, name); end
	end
	for _, name in ipairs(self.disable or {}) do table.insert(disabled, name); end
	if not self.s2s then table.insert(disabled, "s2s"); end
	set("modules_enabled", enabled);
	set("modules_disabled", disabled);
	for name, value in pairs(self.global or {}) do set(name, value); end
	-- Most specs count pushes one by one.
	local options = { push_coalesce = false };
	for name, value in pairs(self.options or {}) do options[name] = value; end
	for _, host in ipairs(hosts(self)) do
		table.insert(out, ("VirtualHost %q"):format(host));
		for name, value in pairs(options) do set(name, value); end
	end
	for _, jid in ipairs(EXTERNAL) do
		table.insert(out, ("Component %q"):format(jid));
		set("component_secret", self.password);
	end
	for jid, module in pairs(self.components or {}) do
		table.insert(out, ("Component %q %q"):format(jid, module));
	end
	write(self.dir.."/prosody.cfg.lua", table.concat(out, "\n").."\n");
end

-- Debian's scripts have their folders near their top.
local function write_script(self, program)
	local root = paths.server(self.version);
	local script = read(root.."/usr/bin/"..program);
	for name, dir in pairs({
		CFG_SOURCEDIR = root.."/usr/lib/prosody"; CFG_PLUGINDIR = root.."/usr/lib/prosody/modules/";
		CFG_CONFIGDIR = self.dir; CFG_DATADIR = self.dir;
	}) do
		script = script:gsub(name.."=[^;\n]+", function () return ("%s=%q"):format(name, dir); end, 1);
	end
	write(self.dir.."/"..program, script);
end

local function write_accounts(self)
	if self.data then assert(os.execute(("cp -r %s %s/data"):format(self.data, self.dir))); end
	lfs.mkdir(self.dir.."/data");
	for _, host in ipairs(hosts(self)) do
		local dir = self.dir.."/data/"..host:gsub("%.", "%%2e");
		lfs.mkdir(dir);
		lfs.mkdir(dir.."/accounts");
		for _, user in ipairs(USERS) do
			write(("%s/accounts/%s.dat"):format(dir, user), ("return { password = %q };\n"):format(self.password));
		end
	end
end

-- The shell that minds a server. When its input ends, it ends the server and removes the folder, also when the spec dies or at Ctrl-C,
-- which the shell survives. After a line of input it keeps the folder.
local MINDER = [[
trap '' INT
cd DIR
LUA_CPATH='LIBRARY;;' lua5.4 ./prosody --config ./prosody.cfg.lua -F >out 2>&1 &
echo $! >pid
read -r again
kill $! 2>/dev/null
wait
if [ "$again" ]; then exit; fi
if [ "$KEEP" ]; then echo "kept DIR"; else rm -rf DIR; fi
]];

local function launch(self)
	local command = MINDER:gsub("%u+", { DIR = self.dir, LIBRARY = self.library or "" });
	self.process = assert(io.popen(command, "w"));
	local ok, err = pcall(function ()
		self.control = stream.connect {
			port = self.component_port; default_ns = "jabber:component:accept"; to = CONTROL;
			on_stanza = function (stanza) self.answers[stanza.attr.id] = stanza; end;
		};
		self.control:handshake(self.password);
		self:eval("return true");
	end);
	if not ok then error(("Prosody %s did not start: %s\n%s\n%s"):format(self.version, err, read(self.dir.."/out"), self:log()), 0); end
end

function prosody.start(opts)
	local self = setmetatable({ host = HOST, password = "secret", library = paths.library, answers = {}, requests = 0 }, mt);
	for name, value in pairs(opts) do self[name] = value; end
	assert(opts.module == "ours" or opts.module == "reference", "module is ours or reference");
	self.version = VERSIONS[opts.version] or error(("PROSODY is %s, there are 0.12, 13.0 and newest"):format(opts.version), 0);
	self.storage = self.storage or os.getenv("STORAGE") or "internal";
	self.sql = self.sql or SQL[self.storage] and SQL[self.storage]();
	self.dir = os.tmpname();
	os.remove(self.dir);
	assert(lfs.mkdir(self.dir));
	self.c2s_port, self.component_port = net.free_port(), net.free_port();
	self.http_port = self.http and net.free_port();
	write_accounts(self);
	write_script(self, "prosody");
	write_script(self, "prosodyctl");
	write_config(self);
	launch(self);
	return self;
end

function methods:stop()
	self.control:cut();
	self.process:close();
end

-- Restarts the server with the same data; `options` replace the host's.
function methods:restart(options)
	self.process:write("again\n");
	self:stop();
	self.options = options or self.options;
	write_config(self);
	launch(self);
end

-- Kills the server without a shutdown; restart() starts it again.
function methods:kill()
	os.execute("kill -9 "..self:pid());
end

function methods:pid()
	return tonumber(read(self.dir.."/pid"));
end

-- Resident memory, in bytes.
function methods:memory()
	return 1024 * tonumber(read(("/proc/%d/status"):format(self:pid())):match("VmRSS:%s+(%d+)"));
end

-- The number of our pushes in flight.
function methods:in_flight(name)
	return self:eval([[
		return (module:shared("/*/prosody_push/protocols")[module.host.."/"..(...)].sizes());
	]], name or "cloud_notify");
end

function methods:log()
	local file = io.open(self.dir.."/log");
	local text = file and file:read("a") or "";
	if file then file:close(); end
	return text;
end

function methods:wait_log(pattern)
	net.wait(function () return self:log():find(pattern); end, "the log line "..pattern);
end

-- Runs `code` in the server with `...` and returns its results. Its errors are raised here.
function methods:eval(code, ...)
	self.requests = self.requests + 1;
	local id = "eval"..self.requests;
	local request = serialization.serialize({ code = code, args = table.pack(...) });
	self.control:send(st.iq({ type = "set", id = id, to = self.host, from = CONTROL })
		:text_tag("eval", base64.encode(request), { xmlns = "urn:example:spec" }));
	local answers = self.answers;
	net.wait(function () return answers[id]; end, "the answer of the server to: "..code:match("%S[^\n]*"));
	local ret = answers[id]:get_child_text("ret", "urn:example:spec");
	answers[id] = nil;
	local values = assert(serialization.deserialize(base64.decode(assert(ret, "no answer to: "..code))));
	if not values[1] then error(values[2], 2); end
	return table.unpack(values, 2, values.n);
end

-- Returns the user's table in a store.
function methods:stored(user, store)
	return self:eval([[
		local user, name = ...;
		local open = prosody.sound_open or require "core.storagemanager".open;
		return open(module.host, name):get(user);
	]], user, store or "cloud_notify");
end

function methods:store(user, data, store)
	assert(self:eval("return module:open_store(select(3, ...)):set(...)", user, data, store or "cloud_notify"));
end

-- Wakes all devices of a user, as other modules do.
function methods:ping(user)
	self:eval([[module:fire_event("cloud-notify-ping", { user = ... })]], user);
end

-- Runs prosodyctl. Returns its output and whether it succeeded. It runs in parallel, because its command may need our clients. A table
-- before its words has the `environment`, as in a shell, and the `timeout`.
function methods:prosodyctl(opts, ...)
	if type(opts) ~= "table" then return self:prosodyctl({}, opts, ...); end
	local words = {};
	for i, word in ipairs({ ... }) do words[i] = "'"..word:gsub("'", "'\\''").."'"; end
	local command = table.concat(words, " ");
	local out = os.tmpname();
	os.execute(("cd %s && (LUA_CPATH='%s;;' %s lua5.4 ./prosodyctl --config ./prosody.cfg.lua %s >%s 2>&1; echo \"exit $?\" >>%s) &")
		:format(self.dir, self.library or "", opts.environment or "", command, out, out));
	local status = net.wait(function () return read(out):match("exit (%d+)\n$"); end, "the end of prosodyctl "..command, opts.timeout or 40);
	local text = read(out):gsub("exit %d+\n$", "");
	os.remove(out);
	return text, status == "0";
end

local function manage(action)
	return function (self, name)
		self:eval("return (assert(require 'core.modulemanager'."..action.."(module.host, ...)) and true)", name or "cloud_notify");
	end;
end
methods.load, methods.unload, methods.reload = manage("load"), manage("unload"), manage("reload");

return prosody;
