-- A client over BOSH (XEP-0124, XEP-0206), which asks when the spec says so.
--
--   local phone = bosh.connect(server, "romeo", "phone")      signs in, and sends presence
--   phone:poll()                 asks for what there is, and does not wait for the answer
--   phone:says(stanza, …)        sends stanzas, and waits for the answer to the request
--   phone:got("text")            waits for the answer to the poll, which has the text
--   phone:vanishes()             without a word; the request that is open ends
--   phone:leaves()               ends the session
--   phone:gone()                 waits until the server has no session of it
local client = require "spec.support.client";
local http = require "spec.support.http";
local net = require "spec.support.net";
local base64 = require "util.encodings".base64.encode;
local st = require "util.stanza";

local bosh = {};
local methods = { session = client.session, gone = client.gone };
local mt = { __index = methods };

local function ask(self, attr, ...)
	attr.xmlns, attr.rid, attr.sid = "http://jabber.org/protocol/httpbind", tostring(self.rid), self.sid;
	self.rid = self.rid + 1;
	local body = st.stanza("body", attr);
	for _, stanza in ipairs({ ... }) do body:add_child(stanza); end
	self.open = http.begin(self.server, "POST", "/http-bind", tostring(body), { type = "text/xml" });
end

local function answer(self)
	net.wait(function () return self.open.answer; end, "the server's answer over BOSH");
	net.remove(self.open.conn);
	local body = self.open.answer.body;
	self.open = nil;
	return body;
end

function methods:poll()
	ask(self, {});
end

function methods:says(...)
	ask(self, {}, ...);
	return answer(self);
end

function methods:got(text)
	local body = answer(self);
	if not body:find(text, 1, true) then error(("no %q in %s"):format(text, body), 2); end
end

function methods:vanishes()
	net.remove(self.open.conn);
	self.open = nil;
end

function methods:leaves()
	ask(self, { type = "terminate" });
	answer(self);
end

local function iq(child)
	return st.stanza("iq", { xmlns = "jabber:client", type = "set", id = child.name }):add_child(child);
end

function bosh.connect(server, user, resource)
	local self = setmetatable({
		server = server, user = user, resource = resource, jid = user.."@"..server.host.."/"..resource, rid = 1000;
	}, mt);
	ask(self, { to = server.host, wait = "60", hold = "1", ver = "1.6" });
	self.sid = answer(self):match("sid=['\"]([^'\"]+)");
	assert(self:says(st.stanza("auth", { xmlns = "urn:ietf:params:xml:ns:xmpp-sasl", mechanism = "PLAIN" })
		:text(base64("\0"..user.."\0"..server.password))):find("<success", 1, true));
	ask(self, { to = server.host, ["xmpp:restart"] = "true", ["xmlns:xmpp"] = "urn:xmpp:xbosh" });
	answer(self);
	assert(self:says(iq(st.stanza("bind", { xmlns = "urn:ietf:params:xml:ns:xmpp-bind" }):text_tag("resource", resource)))
		:find(self.jid, 1, true));
	self:says(st.stanza("presence", { xmlns = "jabber:client" }));
	return self;
end

function methods:enable_push(jid, node)
	assert(self:says(iq(st.stanza("enable", { xmlns = "urn:xmpp:push:0", jid = jid, node = node }))):find("type='result'", 1, true));
end

return bosh;
