-- An app server: an external component (XEP-0114) that collects pushes, both publishes and messages of Push 2.0.
--
--   local app = appserver.connect(server, "push.example.test")
--   app.answer = "result" | "none" | { "cancel", "item-not-found", "text" } | function (push, app) … end
--   app.serve = function (stanza, app) … end      answers other stanzas; returns whether it did
--   app:expect(n)        waits for the n-th push and returns it
--   app:settled()        waits until no push is on its way, and returns the number of pushes
local net = require "spec.support.net";
local stream = require "spec.support.stream";
local st = require "util.stanza";

local appserver = {};
local methods = {};
local mt = { __index = methods };

function appserver.connect(server, jid)
	local self = setmetatable({ jid = jid, server = server, answer = "result", pushes = {}, others = {} }, mt);
	self.stream = stream.connect {
		port = server.component_port; default_ns = "jabber:component:accept"; to = jid;
		on_stanza = function (stanza) self:handle(stanza); end;
	};
	self.stream:handshake(server.password);
	return self;
end

function methods:disconnect()
	self.stream:close();
end

function methods:handle(stanza)
	local is_publish = stanza.name == "iq" and stanza.attr.type == "set" and stanza:get_child("pubsub", "http://jabber.org/protocol/pubsub");
	if not is_publish and not stanza:get_child("notification", "urn:xmpp:push2:0") then
		if self.serve and self.serve(stanza, self) then return; end
		table.insert(self.others, stanza);
		-- As any server answers what it does not know.
		if stanza.name == "iq" and stanza.attr.type == "get" then
			self:send(st.error_reply(stanza, "cancel", "service-unavailable"));
		end
		return;
	end
	table.insert(self.pushes, stanza);
	local answer = self.answer;
	if answer == "result" then
		-- Push 2.0 has no answer to a message except an error.
		if is_publish then self:send(st.reply(stanza)); end
	elseif type(answer) == "table" then
		self:send(st.error_reply(stanza, table.unpack(answer)));
	elseif type(answer) == "function" then
		answer(stanza, self);
	end
end

function methods:send(stanza)
	self.stream:send(stanza);
end

function methods:expect(n, timeout)
	net.wait(function () return #self.pushes >= n; end, ("push %d to %s"):format(n, self.jid), timeout);
	return self.pushes[n];
end

-- The server sends a marker after all pushes, even those that are left for the server's next turn. A ping takes the way of the answers.
function methods:settled()
	local id = "marker"..tostring(net.now());
	local function arrives(what)
		net.wait(function ()
			for i, stanza in ipairs(self.others) do
				if stanza.attr.id == id then return table.remove(self.others, i); end
			end
		end, what.." "..self.jid);
	end
	self.server:eval([[
		local to, id = ...;
		module:add_timer(0, function () module:send(require "util.stanza".message({ from = module.host, to = to, id = id })); end);
	]], self.jid, id);
	arrives("the marker to");
	self:send(st.iq({ type = "get", id = id, from = self.jid, to = self.server.host }):tag("ping", { xmlns = "urn:xmpp:ping" }));
	arrives("the answer to the ping of");
	return #self.pushes;
end

-- Returns the content of a push: node, summary fields by name, options by name.
function appserver.read(iq)
	local pubsub = iq:get_child("pubsub", "http://jabber.org/protocol/pubsub");
	local function fields(form)
		local values = {};
		for field in (form or st.stanza("x")):childtags("field", "jabber:x:data") do
			values[field.attr.var] = field:get_child_text("value") or "";
		end
		return values;
	end
	local publish = pubsub:get_child("publish");
	local options = pubsub:get_child("publish-options");
	return {
		node = publish.attr.node;
		summary = fields(publish.tags[1].tags[1]:get_child("x", "jabber:x:data"));
		options = options and fields(options:get_child("x", "jabber:x:data"));
	};
end

return appserver;
