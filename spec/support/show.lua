-- Output for people: steps with their time, and indented XML.
local net = require "spec.support.net";
local st = require "util.stanza";

local show = {};

-- Returns a function that prints like string.format, after the seconds since this call.
function show.clock()
	local start = net.now();
	return function (...)
		print(("%7.3f s  %s"):format(net.now() - start, (...):format(select(2, ...))));
		io.flush();
	end;
end

function show.xml(element, indent, xmlns)
	indent = indent or "    ";
	local top = st.clone(element, true);
	if top.attr.xmlns == xmlns then top.attr.xmlns = nil; end
	local tag = top:top_tag();
	if #element == 0 then return indent..tag:gsub(">$", "/>"); end
	local closing = "</"..element.name..">";
	if #element.tags == 0 then return indent..tag..st.xml_escape(element:get_text())..closing; end
	local lines = { indent..tag };
	for _, child in ipairs(element.tags) do
		table.insert(lines, show.xml(child, indent.."  ", element.attr.xmlns));
	end
	table.insert(lines, indent..closing);
	return table.concat(lines, "\n");
end

return show;
