-- The shortest end-to-end test: a phone registers and goes away, and its app server gets a push for a message.
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";

return function (server)
	local app = appserver.connect(server, "push.example.test");
	local phone = client.connect(server, "romeo");
	phone:enable_push({ jid = app.jid, node = "n" });
	phone:close();
	client.connect(server, "juliet"):message { to = "romeo@example.test", body = "Romeo?" };
	return appserver.read(app:expect(1)).node == "n";
end
