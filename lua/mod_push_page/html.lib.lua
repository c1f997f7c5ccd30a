-- Writes HTML. Texts and the values of attributes are escaped here, and nowhere else.

local xml_escape = require "util.stanza".xml_escape;

local VOID = { input = true, link = true, meta = true };

-- The metatable of markup. All other values are text.
local markup_mt = {};

-- Others choose nodes, errors and names, so control characters are shown as "?".
local function escape(text)
	return xml_escape((tostring(text):gsub("%c", "?")));
end

local function append(out, child)
	if getmetatable(child) == markup_mt then
		out[#out + 1] = child.text;
	elseif type(child) == "table" then
		for i = 1, #child do append(out, child[i]); end
	elseif child ~= nil and child ~= false then
		out[#out + 1] = escape(child);
	end
end

-- The markup of an element with these attributes; a child is text, markup, a list of children, or false for none.
local function element(name, attr, ...)
	local out, names = { "<"..name }, {};
	for key in pairs(attr) do names[#names + 1] = key; end
	-- The same order each time, because the page's script compares markup.
	table.sort(names);
	for _, key in ipairs(names) do
		local value = attr[key];
		if value == true then
			out[#out + 1] = " "..key;
		elseif value then
			out[#out + 1] = (' %s="%s"'):format(key, escape(value));
		end
	end
	out[#out + 1] = ">";
	if not VOID[name] then
		for i = 1, select("#", ...) do append(out, (select(i, ...))); end
		out[#out + 1] = "</"..name..">";
	end
	return setmetatable({ text = table.concat(out) }, markup_mt);
end

-- html.p({ class = "x" }, "text") and so on.
return setmetatable({
	document = function (root) return "<!DOCTYPE html>\n"..root.text.."\n"; end;
}, {
	__index = function (self, name)
		local function write(attr, ...) return element(name, attr, ...); end
		self[name] = write;
		return write;
	end;
});
