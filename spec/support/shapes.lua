-- The stanzas of clients: spec/clients has a file for each client, written from its sources.
--
-- A shape has: title; read (repository, version, date); files (where it was read); gateway (of spec/gateways); modules (of ours, beside
-- cloud_notify); resource; smacks (of client.connect); sasl2 ("bind" for Bind 2 too), where the server has it; inactive (true if
-- it says so before it sleeps, XEP-0352); looks_for (features without which it does not enable); register(device), the IQ to
-- the gateway before it enables, if it sends one; enable(device), an IQ; on ("bind", or "change" for one that enables once);
-- resumed(device), what it sends after a resumption; disable(device), an IQ, if it ever does; propose(to, sid, media) and
-- take(device, caller, sid), messages, if it knows calls; does(said, kind), what it does with a decrypted push of Tigase's kind.
--
-- A device: account (bare JID), address (of the app server), node, secret, features (of the account, as a set), said (what the
-- gateway said when it registered, by name), options, key, max_size.
local publish = require "spec.support.publish";
local st = require "util.stanza";

local shapes = { names = { "monal", "conversations", "siskin", "snikket-ios", "converse", "borogove" } };

function shapes.load(name)
	return require("spec.clients."..name);
end

function shapes.iq(child, to)
	return st.stanza("iq", { type = "set", to = to }):add_child(child):reset();
end

-- An ad-hoc command (XEP-0050) with a form; fields are pairs.
function shapes.command(device, node, fields)
	local command = st.stanza("command", { xmlns = "http://jabber.org/protocol/commands", node = node, action = "execute" })
		:tag("x", { xmlns = publish.xmlns_form, type = "submit" });
	for _, field in ipairs(fields) do command:tag("field", { var = field[1] }):text_tag("value", field[2]):up(); end
	return shapes.iq(command:reset(), device.address);
end

function shapes.enable(device, ...)
	local enable = st.stanza("enable", { xmlns = "urn:xmpp:push:0", jid = device.address, node = device.node });
	for _, child in ipairs({ ... }) do enable:add_child(child); end
	return shapes.iq(enable:reset());
end

function shapes.disable(device)
	return shapes.iq(st.stanza("disable", { xmlns = "urn:xmpp:push:0", jid = device.address, node = device.node }));
end

-- A message of XEP-0353. fields: id, media (a list), receipt (asks for one), store (false for no hint).
function shapes.jingle(to, action, sid, fields)
	local message = st.message({ to = to, type = "chat", id = fields.id }):tag(action, { xmlns = "urn:xmpp:jingle-message:0", id = sid });
	for _, media in ipairs(fields.media or {}) do
		message:tag("description", { xmlns = "urn:xmpp:jingle:apps:rtp:1", media = media }):up();
	end
	message:up();
	if fields.receipt then message:tag("request", { xmlns = "urn:xmpp:receipts" }):up(); end
	if fields.store ~= false then message:tag("store", { xmlns = "urn:xmpp:hints" }):up(); end
	return message:reset();
end

return shapes;
