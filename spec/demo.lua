-- make demo: a phone goes away and is woken, with a real server and real connections. Exits with 0 only if the push was right.
-- PROSODY=13.0 or newest selects another version; MODULE=reference runs the module that we replace.
local prosody = require "spec.support.prosody";
local appserver = require "spec.support.appserver";
local client = require "spec.support.client";
local show = require "spec.support.show";

local say = show.clock();

local module = os.getenv("MODULE") or "ours";
local server = prosody.start { version = os.getenv("PROSODY") or "0.12", module = module, options = { push_coalesce = true } };
say("Prosody %s runs on 127.0.0.1:%d, with %s", server:eval("return prosody.version"), server.c2s_port,
	module == "ours" and "mod_cloud_notify of prosody-push" or "the reference's mod_cloud_notify");
local app = appserver.connect(server, "push.example.test");
say("An app server has connected as %s", app.jid);

local phone = client.connect(server, "romeo", { resource = "phone" });
say("Romeo's phone has logged in as %s", phone.jid);
local reply = phone:enable_push({ jid = app.jid, node = "yxs32uqsflafdk3iuqo", options = { secret = "eruio234vzxc2kla-91" } });
assert(reply.attr.type == "result", tostring(reply));
say("It has enabled push: wake me through %s", app.jid);
phone:cut();
phone:gone();
say("Its connection is cut: there is no network where Romeo is");

local juliet = client.connect(server, "juliet", { resource = "balcony" });
juliet:message { to = "romeo@example.test", body = "Wherefore art thou Romeo?" };
say("Juliet writes: Wherefore art thou Romeo?");

local iq = app:expect(1);
say("The app server is told to wake the phone:");
print();
print(show.xml(iq));
print();

local push = appserver.read(iq);
assert(push.node == "yxs32uqsflafdk3iuqo", "the node is not the phone's");
assert(push.options.secret == "eruio234vzxc2kla-91", "the options are not the phone's");
assert(push.summary["last-message-body"] == "New Message!", "the message is not important");
assert(not tostring(iq):find("Wherefore", 1, true), "the message's text left the server");
assert(app:settled() == 1, "it was woken more than once");
say("One push, for the right device, without a word of the message");

phone = client.connect(server, "romeo", { resource = "phone" });
phone:expect(function (stanza) return stanza:get_child_text("body") == "Wherefore art thou Romeo?"; end, "the message");
say("Woken, the phone comes back and has the message");
server:stop();
