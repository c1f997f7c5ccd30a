-- A private ejabberd on loopback, in a folder of its own, which is removed when it stops (kept and printed with KEEP=1). `make deps`
-- unpacks it and its Erlang, and installs neither. It runs without Erlang's distribution, so that it needs no epmd.
--
--   local server = ejabberd.start { certificates = DIR, trust = "dialback", s2s_port = 1, home = "example.test", home_port = 2 }
--   server:stop()  server:shut_down()  server:kill()  server:restart()
--
-- opts: certificates (a folder with NAME.crt, NAME.key and ca.crt); trust ("certificates" | "dialback"); s2s_port; home (the name of the
-- other server) and home_port (its s2s). Its names are those in ejabberd.names: the host, an external component, and a pubsub service,
-- where the component may create nodes, and nobody else.
local paths = require "spec.support.paths";
local net = require "spec.support.net";
local lfs = require "lfs";

local ROOT = paths.server("ejabberd");

local ejabberd = { names = { host = "away.test", component = "push.away.test", pubsub = "pubsub.away.test" } };
local methods = {};
local mt = { __index = methods };

-- The limit of a stanza is the least that a server may have (RFC 6120 §13.12).
local CONFIG = [[
hosts: [HOST]
loglevel: debug
certfiles: [CERTFILES]
CA_FILE
s2s_use_starttls: required
acl: {owner: {server: COMPONENT}}
access_rules: {owner: {allow: owner}}
listen:
- {port: S2S_PORT, ip: "127.0.0.1", module: ejabberd_s2s_in, max_stanza_size: 10000}
- {port: COMPONENT_PORT, ip: "127.0.0.1", module: ejabberd_service, hosts: {COMPONENT: {password: PASSWORD}}}
modules:
  mod_pubsub: {host: PUBSUB, access_createnode: owner, plugins: [flat]}
  DIALBACK
]];

-- ejabberd asks a name server for SRV records, and the machine for addresses. The machine does not know the other server. So this name
-- server, in ejabberd's own Erlang, gives a target that every machine knows, and the port.
local NAME_SERVER = [[
spawn(fun() ->
	{ok, Socket} = gen_udp:open(DNS_PORT, [binary, {ip, {127, 0, 0, 1}}, {active, false}]),
	(fun Serve() ->
		{ok, {Address, Port, Query}} = gen_udp:recv(Socket, 0),
		{ok, Message} = inet_dns:decode(Query),
		[Question] = inet_dns:msg(Message, qdlist),
		{Code, Answers} = case inet_dns:dns_query(Question, domain) of
			"_xmpp-server._tcp.HOME" = Name ->
				Data = {0, 0, HOME_PORT, "localhost"},
				{0, [inet_dns:make_rr([{domain, Name}, {type, srv}, {class, in}, {data, Data}])]};
			_ -> {3, []}
		end,
		Header = inet_dns:make_header(inet_dns:msg(Message, header), [{qr, true}, {rcode, Code}]),
		Answer = inet_dns:make_msg(Message, [{header, Header}, {anlist, Answers}]),
		gen_udp:send(Socket, Address, Port, inet_dns:encode(Answer)),
		Serve()
	end)()
end)
]];
local RESOLVER = [[
{resolv_conf, ""}.
{lookup, ["file"]}.
{host, {127,0,0,1}, ["localhost"]}.
{nameserver, {127,0,0,1}, DNS_PORT}.
]];

-- Erlang's own script has the place where Debian installs it, so this is what that script does. When the shell's input ends, it kills
-- the server, which nobody needs any more, and removes the folder, also when the spec dies. After a line of input the server stops by
-- itself and the folder stays.
local MINDER = [[
trap '' INT
cd DIR
export ROOTDIR=ROOT/usr/lib/erlang EMU=beam PROGNAME=erl LD_LIBRARY_PATH=LIBRARIES
export BINDIR=$(echo ROOT/usr/lib/erlang/erts-*/bin)
export ERL_LIBS=ROOT/usr/lib/MULTIARCH:/usr/lib/erlang/lib ERL_INETRC=DIR/inetrc ERL_CRASH_DUMP=DIR/crash HOME=DIR
export EJABBERD_CONFIG_PATH=DIR/ejabberd.yml EJABBERD_LOG_PATH=DIR/log
"$BINDIR/erlexec" -noinput -mnesia dir '"DIR/data"' -eval "$(cat names.erl)" -s ejabberd >>out 2>&1 &
echo $! >pid
read -r again
if [ "$again" ]; then kill $! 2>/dev/null; wait; exit; fi
kill -9 $! 2>/dev/null
wait
if [ "$KEEP" ]; then echo "kept DIR"; else rm -rf DIR; fi
]];

local function fill(text, values)
	return (text:gsub("%f[%u%d_]%u[%u%d_]+%f[^%u%d_]", values));
end

local function write(path, text)
	local file = assert(io.open(path, "w"));
	file:write(text);
	file:close();
end

local function read(path)
	local file = io.open(path);
	local text = file and file:read("a") or "";
	if file then file:close(); end
	return text;
end

-- How often it has started. ejabberd turns away a component that connects before.
local function starts(self)
	return select(2, self:log():gsub("is started in the node", ""));
end

local function launch(self)
	local before = starts(self);
	self.process = assert(io.popen(fill(MINDER, {
		DIR = self.dir, ROOT = ROOT, LIBRARIES = paths.libraries(ROOT), MULTIARCH = paths.multiarch();
	}), "w"));
	local ok, err = pcall(net.wait, function () return starts(self) > before; end, "ejabberd");
	if not ok then error(("ejabberd did not start: %s\n%s\n%s"):format(err, read(self.dir.."/out"), self:log()), 0); end
end

function ejabberd.start(opts)
	assert(lfs.attributes(ROOT.."/usr/lib/erlang"), "make deps unpacks ejabberd");
	local self = setmetatable({ password = "secret", dir = os.tmpname(), component_port = net.free_port() }, mt);
	for name, value in pairs(opts) do self[name] = value; end
	os.remove(self.dir);
	assert(lfs.mkdir(self.dir));
	local names, by_dialback, files = ejabberd.names, self.trust == "dialback", {};
	for _, name in pairs(names) do
		for _, kind in ipairs({ "crt", "key" }) do table.insert(files, ('"%s/%s.%s"'):format(self.certificates, name, kind)); end
	end
	local values = {
		HOST = names.host, COMPONENT = names.component, PUBSUB = names.pubsub, PASSWORD = self.password, HOME = self.home;
		HOME_PORT = tostring(self.home_port), DNS_PORT = tostring(net.free_port()), S2S_PORT = tostring(self.s2s_port);
		COMPONENT_PORT = tostring(self.component_port), CERTFILES = table.concat(files, ", ");
		CA_FILE = by_dialback and "" or ("ca_file: %q"):format(self.certificates.."/ca.crt");
		DIALBACK = by_dialback and "mod_s2s_dialback: {}" or "";
	};
	write(self.dir.."/ejabberd.yml", fill(CONFIG, values));
	write(self.dir.."/inetrc", fill(RESOLVER, values));
	write(self.dir.."/names.erl", fill(NAME_SERVER, values));
	launch(self);
	return self;
end

function methods:log()
	return read(self.dir.."/log");
end

function methods:pid()
	return tonumber(read(self.dir.."/pid"));
end

function methods:stop()
	self.process:close();
end

-- Lets the server close its streams and end; restart() starts it again.
function methods:shut_down()
	os.execute("kill "..self:pid());
end

-- Kills the server; restart() starts it again.
function methods:kill()
	os.execute("kill -9 "..self:pid());
end

-- Restarts the server with the same data.
function methods:restart()
	self.process:write("again\n");
	self:stop();
	launch(self);
end

return ejabberd;
