-- Gateways: app servers that refuse the pushes that the real gateways refuse (spec/gateways has one in each file), and answer as they do.
--
--   local gateway = gateways.connect(server, "push.example.test", "p2")
--   gateway:know { node = "n", account = "romeo@example.test", … }      a device registered, beside XMPP
--   gateway.app         the app server: pushes, expect(), settled()
--   gateway.refused     the rules that pushes broke, in order; empty if the gateway took all
--   gateway:forget(node)      the device is gone
--
-- Devices have: node (to snikket-apns the URL in <client>), account, secret, options (the client's form), key and max_size
-- (Tigase). Clients that register by command (XEP-0050), or look for the gateway's identity (XEP-0030), find both.
--
-- A rule has its name, the `source` where the real gateway has it, `broken(push, device)`, and `breaks(push, device)`, which makes a
-- push break it (spec/gateways_spec.lua). One rule of each gateway is that the device is known: those before it do without one.
local appserver = require "spec.support.appserver";
local publish = require "spec.support.publish";
local push2 = require "spec.support.push2";
local jid = require "util.jid";
local st = require "util.stanza";

local xmlns_commands, xmlns_disco = "http://jabber.org/protocol/commands", "http://jabber.org/protocol/disco#info";

local gateways = { names = { "fpush", "p2", "mod_push_appserver", "tigase", "mongooseim", "snikket-apns" } };
local methods = {};
local mt = { __index = methods };

function gateways.load(name)
	return require("spec.gateways."..name);
end

local function node_of(push)
	local notification = push:get_child("notification", push2.xmlns);
	if notification then return notification:get_child_text("client"); end
	local found = publish.parts(push).publish;
	return found and found.attr.node;
end

-- The first rule that a push breaks, or nil.
function gateways.judge(gateway, push, device)
	for _, rule in ipairs(gateway) do
		if rule.broken(push, device) then return rule; end
	end
end

function gateways.connect(server, address, name)
	local self = setmetatable({ kind = gateways.load(name), refused = {}, devices = {} }, mt);
	self.app = appserver.connect(server, address);
	self.app.answer = function (push) self:answer(push); end;
	self.app.serve = function (stanza) return self:serve(stanza); end;
	return self;
end

function methods:know(device)
	self.devices[device.node] = device;
	return device;
end

function methods:forget(node)
	self.devices[node].gone = true;
end

function methods:answer(push)
	local device = self.devices[node_of(push) or ""];
	local rule = gateways.judge(self.kind, push, device);
	local answer = rule and (rule.answer or self.kind.answer) or device.gone and self.kind.dead;
	if rule then table.insert(self.refused, ("%s: %s"):format(rule[1], tostring(push))); end
	if answer then
		self.app:send(st.error_reply(push, table.unpack(answer)));
	elseif push.name == "iq" then
		self.app:send(st.reply(push));
	end
end

-- Answers a client's disco#info and ad-hoc commands.
function methods:serve(stanza)
	if stanza.name ~= "iq" then return false; end
	if stanza.attr.type == "get" and stanza:get_child("query", xmlns_disco) then
		local reply = st.reply(stanza):tag("query", { xmlns = xmlns_disco });
		if self.kind.identity then reply:tag("identity", self.kind.identity):up(); end
		for _, feature in ipairs(self.kind.features or {}) do reply:tag("feature", { var = feature }):up(); end
		self.app:send(reply);
		return true;
	end
	local command = stanza:get_child("command", xmlns_commands);
	if not command then return false; end
	self.app:send(self:register(stanza, command));
	return true;
end

-- A device registers, as its client's command says; it gets a node and a secret.
function methods:register(iq, command)
	local wants = self.kind.command;
	local form = command:get_child("x", publish.xmlns_form);
	for _, name in ipairs(wants and wants.wants or {}) do
		if not publish.value(form, name) then return st.error_reply(iq, "modify", "bad-request", name.." is not there"); end
	end
	if not wants or command.attr.node ~= wants.node then return st.error_reply(iq, "cancel", "item-not-found"); end
	local device = self:know { node = "node-of-"..publish.value(form, wants.wants[2]), account = jid.bare(iq.attr.from), secret = "secret" };
	local reply = st.reply(iq):tag("command", { xmlns = xmlns_commands, node = wants.node, status = "completed" })
		:tag("x", { xmlns = publish.xmlns_form, type = "form" });
	local values = { node = device.node, secret = device.secret };
	for name, value in pairs(self.kind.says or {}) do values[name] = value; end
	for name, value in pairs(values) do reply:tag("field", { var = name }):text_tag("value", value):up(); end
	return reply;
end

return gateways;
