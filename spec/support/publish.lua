-- The parts of a push of XEP-0357, to read them and to break them.
local st = require "util.stanza";

local xmlns_form = "jabber:x:data";

local publish = { xmlns_pubsub = "http://jabber.org/protocol/pubsub", xmlns_form = xmlns_form };

-- Those that are not there are nil.
function publish.parts(push)
	local pubsub = push:get_child("pubsub", publish.xmlns_pubsub);
	local node = pubsub and pubsub:get_child("publish");
	local item = node and node:get_child("item");
	local notification = item and item:get_child("notification", "urn:xmpp:push:0");
	local options = pubsub and pubsub:get_child("publish-options");
	return {
		pubsub = pubsub; publish = node; item = item; notification = notification;
		summary = notification and notification:get_child("x", xmlns_form);
		options = options and options:get_child("x", xmlns_form);
	};
end

function publish.field(form, name)
	for field in (form or st.stanza("x")):childtags("field", xmlns_form) do
		if field.attr.var == name then return field; end
	end
end

function publish.value(form, name)
	local field = publish.field(form, name);
	return field and field:get_child_text("value");
end

-- Gives a field of a form one value.
function publish.set(form, name, text)
	publish.remove(form, function (field) return field.attr.var == name; end);
	form:add_direct_child(st.stanza("field", { xmlns = xmlns_form, var = name }):text_tag("value", text, { xmlns = xmlns_form }));
end

-- Takes out the children that `matches`.
function publish.remove(parent, matches)
	parent:maptags(function (tag) return not matches(tag) and tag or nil; end);
end

function publish.add_foreign(parent)
	parent:add_direct_child(st.stanza("foreign", { xmlns = "urn:example:foreign" }));
end

-- A form as clients send it: `type` submit, FORM_TYPE hidden unless `form_type_type` is false.
function publish.options(values, form_type_type)
	local form = st.stanza("x", { xmlns = xmlns_form, type = "submit" });
	form:tag("field", { xmlns = xmlns_form, var = "FORM_TYPE", type = form_type_type ~= false and "hidden" or nil })
		:text_tag("value", publish.xmlns_pubsub.."#publish-options", { xmlns = xmlns_form }):up();
	for _, value in ipairs(values) do publish.set(form, value[1], value[2]); end
	return form:reset();
end

-- Whether two elements say the same, in the same order. Namespaces are inherited or written, which makes no difference.
function publish.same(one, other)
	if type(one) == "string" or type(other) == "string" then return one == other; end
	if one.name ~= other.name or #one ~= #other then return false; end
	for _, pair in ipairs({ { one, other }, { other, one } }) do
		for name, value in pairs(pair[1].attr) do
			if name ~= "xmlns" and pair[2].attr[name] ~= value then return false; end
		end
	end
	for i, child in ipairs(one) do
		if not publish.same(child, other[i]) then return false; end
	end
	return true;
end

return publish;
