-- A real XMPP client over TCP.
--
--   local phone = client.connect(server, "romeo", { resource = "phone", presence = true, smacks = true, host = … })
--   smacks = "unresumable"      stream management without resumption; a table has more attributes of its <enable>
--   agent = "d4565fa7-…"      a user agent id: SASL2 (XEP-0388); with bind = "Tag" also Bind 2, stream management and resumption inline
--   phone:enable_push({ jid = "push.example.test", node = "n1", options = { secret = "s" } })  -> reply
--   phone:message({ to = "…", body = "…" });  phone:received(pred);  phone:expect(pred, "what")
--   phone:close()  phone:cut()  phone:sync()  phone:gone()
--   phone:acked()  phone:sleep()  client.resume(server, "romeo", phone)      with stream management
--   phone:stall()  phone:unstall()      stanzas from the server do not arrive, then all of them do
local net = require "spec.support.net";
local stream = require "spec.support.stream";
local base64 = require "util.encodings".base64.encode;
local st = require "util.stanza";

local xmlns_push = "urn:xmpp:push:0";
local xmlns_sm = "urn:xmpp:sm:3";

local client = {};
local methods = {};
local mt = { __index = methods };

local next_id = 0;
local function new_id()
	next_id = next_id + 1;
	return "c"..next_id;
end

-- SASL2, with what the client asks for inline.
local function authenticate(self, credentials, inline)
	local request = st.stanza("authenticate", { xmlns = "urn:xmpp:sasl:2", mechanism = "PLAIN" })
		:text_tag("initial-response", credentials):tag("user-agent", { id = self.opts.agent }):text_tag("software", "spec"):up();
	if inline then request:add_direct_child(inline); end
	self.stream:send(request);
	self.success = self:arrives("success");
	if not inline then self:arrives("features"); end
end

local function login(server, user, opts, inline, handled)
	local self = setmetatable({ stanzas = {}, handled = handled or 0, server = server, user = user, opts = opts }, mt);
	self.stream = stream.connect {
		port = server.c2s_port;
		default_ns = "jabber:client";
		to = opts.host or server.host;
		on_stanza = function (stanza) self:handle(stanza); end;
	};
	self:arrives("features");
	local credentials = base64("\0"..user.."\0"..server.password);
	if opts.agent then
		authenticate(self, credentials, inline);
		return self;
	end
	self.stream:send(st.stanza("auth", { xmlns = "urn:ietf:params:xml:ns:xmpp-sasl", mechanism = "PLAIN" }):text(credentials));
	self:arrives("success");
	self.stream:open();
	self:arrives("features");
	return self;
end

local function enable_smacks(smacks)
	local enable = st.stanza("enable", { xmlns = xmlns_sm, resume = smacks ~= "unresumable" and "true" or nil });
	for name, value in pairs(type(smacks) == "table" and smacks or {}) do enable.attr[name] = value; end
	return enable;
end

local function bind2(opts)
	local bind = st.stanza("bind", { xmlns = "urn:xmpp:bind:0" }):text_tag("tag", opts.bind);
	bind:add_direct_child(enable_smacks(opts.smacks));
	return bind;
end

function client.connect(server, user, opts)
	opts = opts or {};
	local self = login(server, user, opts, opts.bind and bind2(opts));
	if opts.bind then
		self.jid = self.success:get_child_text("authorization-identifier");
		self.sm_id = self.success:find("{urn:xmpp:bind:0}bound/{urn:xmpp:sm:3}enabled@id");
	else
		self.jid = self:iq(st.stanza("iq", { type = "set" }):tag("bind", { xmlns = "urn:ietf:params:xml:ns:xmpp-bind" })
			:text_tag("resource", opts.resource or user)):get_child("bind", "urn:ietf:params:xml:ns:xmpp-bind"):get_child_text("jid");
	end
	self.bare, self.resource = self.jid:match("^([^/]+)/(.*)");
	if opts.smacks and not opts.bind then
		self.stream:send(enable_smacks(opts.smacks));
		self.sm_id = self:arrives("enabled").attr.id;
		self.handled = 0;
	end
	if opts.presence ~= false then self:send(st.presence()); end
	self:sync();
	return self;
end

-- Resumes the session of a client that was cut, by a new connection (XEP-0198 §5); `answer` is the expected element.
function client.resume(server, user, old, answer)
	local resume = st.stanza("resume", { xmlns = xmlns_sm, previd = old.sm_id, h = tostring(old.handled) });
	local self = login(server, user, old.opts, old.opts.bind and resume, old.handled);
	self.jid, self.bare, self.resource, self.sm_id = old.jid, old.bare, old.resource, old.sm_id;
	if old.opts.bind then
		assert(self.success:get_child("resumed", xmlns_sm), "not resumed: "..tostring(self.success));
	else
		self.stream:send(resume);
		self:arrives(answer or "resumed");
	end
	return self;
end

function methods:arrives(name)
	return self:expect(function (stanza) return stanza.name == name; end, name);
end

function methods:handle(stanza)
	if stanza.attr.xmlns == xmlns_sm and stanza.name == "r" then
		self.stream:send(st.stanza("a", { xmlns = xmlns_sm, h = tostring(self.handled) }));
		return;
	end
	if not stanza.attr.xmlns then self.handled = self.handled + 1; end
	table.insert(self.stanzas, stanza);
end

-- Takes the first stanza for which `matches` returns true out of the received ones.
function methods:received(matches)
	for i, stanza in ipairs(self.stanzas) do
		if matches(stanza) then return table.remove(self.stanzas, i); end
	end
end

function methods:expect(matches, what, timeout)
	return net.wait(function () return self:received(matches); end, what, timeout);
end

function methods:send(stanza)
	return self.stream:send(stanza);
end

-- Sends an IQ and returns its answer.
function methods:iq(iq)
	iq.attr.id = iq.attr.id or new_id();
	self:send(iq);
	return self:expect(function (stanza)
		return stanza.name == "iq" and stanza.attr.id == iq.attr.id and stanza.attr.type ~= "get" and stanza.attr.type ~= "set";
	end, "the answer to "..iq:top_tag());
end

-- Returns the features of an address (XEP-0030) as a set.
function methods:features(to)
	local reply = self:iq(st.stanza("iq", { type = "get", to = to }):tag("query", { xmlns = "http://jabber.org/protocol/disco#info" }));
	local found = {};
	for feature in reply.tags[1]:childtags("feature") do found[feature.attr.var] = true; end
	return found;
end

-- Waits until the server has handled every earlier stanza.
function methods:sync()
	self:iq(st.stanza("iq", { type = "get" }):tag("ping", { xmlns = "urn:xmpp:ping" }));
end

-- fields: to, body, type, id; more children in the order of the list.
function methods:message(fields)
	local message = st.message({ to = fields.to, type = fields.type or "chat", id = fields.id or new_id() }, fields.body);
	for _, child in ipairs(fields) do message:reset():add_child(child); end
	self:send(message);
	self:sync();
end

-- fields: jid, node, options (a table of form fields or a form), and any other attribute; more children in the order of
-- the list.
function methods:enable_push(fields)
	local attr = { xmlns = xmlns_push };
	for name, value in pairs(fields) do
		if name ~= "options" and type(name) == "string" then attr[name] = value; end
	end
	local iq = st.stanza("iq", { type = "set" }):tag("enable", attr);
	for _, child in ipairs(fields) do iq:add_child(child); end
	local options = fields.options;
	if st.is_stanza(options) then
		iq:add_child(options);
	elseif options then
		iq:tag("x", { xmlns = "jabber:x:data", type = "submit" });
		iq:tag("field", { var = "FORM_TYPE" }):text_tag("value", "http://jabber.org/protocol/pubsub#publish-options"):up();
		for name, value in pairs(options) do
			iq:tag("field", { var = name }):text_tag("value", value):up();
		end
	end
	return self:iq(iq:reset());
end

function methods:disable_push(fields)
	return self:iq(st.stanza("iq", { type = "set" }):tag("disable", { xmlns = xmlns_push, jid = fields.jid, node = fields.node }));
end

-- Logs out; with stream management this ends the session too.
function methods:close()
	self.stream:close();
end

function methods:cut()
	self.stream:cut();
end

-- Simulates a dead connection that the server cannot notice: its stanzas arrive only after unstall().
function methods:stall()
	local arrived = {};
	self.undelivered = { parser = self.stream.parser, data = arrived };
	self.stream.parser = { feed = function (_, data) table.insert(arrived, data); end };
end

function methods:unstall()
	self.stream.parser = self.undelivered.parser;
	for _, data in ipairs(self.undelivered.data) do self.stream.parser:feed(data); end
end

-- Evaluates an expression on the client's session in the server; `what` continues it, like ".hibernating". Nil without a session.
function methods:session(what)
	return self.server:eval([[
		local user = prosody.hosts[module.host].sessions[...];
		local session = user and user.sessions[select(2, ...)];
		return session and session]]..what, self.user, self.resource);
end

-- Waits until the server has an ack for every stanza that it sent.
function methods:acked()
	net.wait(function () return self:session(".outgoing_stanza_queue:count_unacked()") == 0; end, "the acks of "..self.jid);
end

-- Loses the connection of a session that can be resumed.
function methods:sleep()
	self:cut();
	net.wait(function () return self:session(".hibernating"); end, "the hibernation of "..self.jid);
end

-- Waits until the server has no session of the client.
function methods:gone(timeout)
	net.wait(function () return not self:session(".username"); end, "the end of the session of "..self.jid, timeout);
end

-- Clients of others have sessions, too (spec/support/program.lua, spec/support/converse.lua).
client.session, client.acked, client.gone = methods.session, methods.acked, methods.gone;

return client;
