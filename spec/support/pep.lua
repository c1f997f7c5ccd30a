-- What a client keeps in its user's PEP (XEP-0163): bookmarks (XEP-0402) with settings (XEP-0492), and what was read (XEP-0490).
local st = require "util.stanza";

local xmlns_pubsub = "http://jabber.org/protocol/pubsub";
local xmlns_bookmarks, xmlns_displayed = "urn:xmpp:bookmarks:1", "urn:xmpp:mds:displayed:0";
local xmlns_notify = "urn:xmpp:notification-settings:";

local pep = { bookmarks = xmlns_bookmarks, displayed = xmlns_displayed };

-- Private, and of as many items as there is room for: both XEPs ask for it.
local function options(max_items)
	local form = st.stanza("publish-options"):tag("x", { xmlns = "jabber:x:data", type = "submit" });
	local function field(name, value)
		form:tag("field", { var = name }):text_tag("value", value):up();
	end
	field("FORM_TYPE", "http://jabber.org/protocol/pubsub#publish-options");
	field("pubsub#persist_items", "true");
	field("pubsub#max_items", max_items or "max");
	field("pubsub#send_last_published_item", "never");
	field("pubsub#access_model", "whitelist");
	return form:reset();
end

function pep.publish(client, node, id, payload, max_items)
	return client:iq(st.stanza("iq", { type = "set" }):tag("pubsub", { xmlns = xmlns_pubsub })
		:tag("publish", { node = node }):tag("item", { id = id }):add_child(payload):up():up():add_child(options(max_items)));
end

function pep.retract(client, node, id)
	return client:iq(st.stanza("iq", { type = "set" }):tag("pubsub", { xmlns = xmlns_pubsub })
		:tag("retract", { node = node, notify = "1" }):tag("item", { id = id }));
end

-- what: "delete" or "purge"
function pep.clear(client, node, what)
	return client:iq(st.stanza("iq", { type = "set" }):tag("pubsub", { xmlns = xmlns_pubsub.."#owner" }):tag(what, { node = node }));
end

-- A bookmark. Settings are { name, identity-category, identity-type } each, in a <notify> of version 1; or what `notify` is.
function pep.bookmark(...)
	local conference = st.stanza("conference", { xmlns = xmlns_bookmarks, autojoin = "true" }):text_tag("nick", "Monty");
	local extensions = conference:tag("extensions"):tag("state", { xmlns = "urn:example:client", minimized = "true" }):up();
	if st.is_stanza((...)) then return extensions:add_child((...)):reset(); end
	extensions:tag("notify", { xmlns = xmlns_notify.."1" });
	for _, setting in ipairs({ ... }) do
		extensions:tag(setting[1], { ["identity-category"] = setting[2], ["identity-type"] = setting[3] }):up();
	end
	return conference:reset();
end

-- The same of version 0: settings are { name, client-type }.
function pep.notify_0(...)
	local notify = st.stanza("notify", { xmlns = xmlns_notify.."0" });
	for _, setting in ipairs({ ... }) do notify:tag(setting[1], { ["client-type"] = setting[2] }):up(); end
	return notify:reset();
end

-- Sets a chat in the bookmarks.
function pep.set(client, jid, ...)
	return pep.publish(client, xmlns_bookmarks, jid, pep.bookmark(...));
end

-- Says for the user's other clients that he has read a chat, up to the message that `by` gave the id.
function pep.read(client, jid, by, id)
	return pep.publish(client, xmlns_displayed, jid, st.stanza("displayed", { xmlns = xmlns_displayed })
		:tag("stanza-id", { xmlns = "urn:xmpp:sid:0", by = by, id = id }):reset());
end

return pep;
