-- make serve: a server for your own client, which shows every push, until Ctrl-C.
local prosody = require "spec.support.prosody";
local appserver = require "spec.support.appserver";
local net = require "spec.support.net";
local show = require "spec.support.show";

local server = prosody.start { version = os.getenv("PROSODY") or "0.12", module = "ours", options = { push_coalesce = true } };
local app = appserver.connect(server, "push.example.test");

print((([[
Prosody %s with prosody-push, until Ctrl-C.

  server      127.0.0.1, port %d, no TLS
  accounts    romeo@HOST, juliet@HOST, mercutio@HOST
  password    %s
  log         %s/log
  push        enable it with the app server %s, any node; every push is shown here
]]):gsub("HOST", server.host)
	:format(server:eval("return prosody.version"), server.c2s_port, server.password, server.dir, app.jid)));

local say = show.clock();
local shown = 0;
-- Ctrl-C ends the server as well: the shell that minds it has the same terminal.
pcall(net.wait, function ()
	while shown < #app.pushes do
		shown = shown + 1;
		say("A push:\n%s\n", show.xml(app.pushes[shown]));
	end
	return app.stream.closed;
end, "Ctrl-C", math.huge);
server:stop();
