-- make serve: a server for your own client, which shows every push, and says what the client does well and what it leaves out, until
-- Ctrl-C.
local prosody = require "spec.support.prosody";
local appserver = require "spec.support.appserver";
local net = require "spec.support.net";
local show = require "spec.support.show";

local version = os.getenv("PROSODY") or "0.12";
-- The mod_smacks of 0.12 lets no other module resume a session.
local sasl2 = { "sasl2", "sasl2_bind2", version ~= "0.12" and "sasl2_sm" or nil };
local server = prosody.start {
	version = version, module = "ours", options = { push_coalesce = true }, community = sasl2;
	enable = { "csi_simple", "push2", "cloud_notify_extensions", "spec_observe", table.unpack(sasl2) };
};
local app = appserver.connect(server, "push.example.test");

print((([[
Prosody %s with prosody-push, until Ctrl-C.

  server      127.0.0.1, port %d, no TLS
  accounts    romeo@HOST, juliet@HOST, mercutio@HOST
  password    %s
  log         %s/log
  push        enable it with the app server %s, any node, by XEP-0357 or Push 2.0; every push is shown here
  advice      + what a client does well, - what it leaves out, five seconds after it has connected, and as it goes on
]]):gsub("HOST", server.host)
	:format(server:eval("return prosody.version"), server.c2s_port, server.password, server.dir, app.jid)));
io.flush();

local say = show.clock();
local shown, next_look = 0, 0;
-- Ctrl-C ends the server as well: the shell that minds it has the same terminal.
pcall(net.wait, function ()
	while shown < #app.pushes do
		shown = shown + 1;
		say("A push:\n%s\n", show.xml(app.pushes[shown]));
	end
	if net.now() > next_look then
		next_look = net.now() + 1;
		for _, line in ipairs(server:eval("local lines = prosody.observed; prosody.observed = {}; return lines;")) do say("%s", line); end
	end
	return app.stream.closed;
end, "Ctrl-C", math.huge);
server:stop();
