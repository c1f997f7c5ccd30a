-- xmpp-parsers, as an app server: what its types read (spec/support/typed.rs).
local paths = require "spec.support.paths";
local json = require "util.json";
local st = require "util.stanza";

local function ask(line)
	local input, output = os.tmpname(), os.tmpname();
	local file = io.open(input, "w");
	file:write(line:gsub("\n", " "), "\n");
	file:close();
	assert(os.execute(("%s/debug/examples/typed <%s >%s"):format(paths.target, input, output)));
	file = io.open(output);
	local answer = file:read("l");
	file:close();
	os.remove(input);
	os.remove(output);
	return answer;
end

local typed = {};

-- What a push says to an app server, or { error = … }.
function typed.read(push)
	-- As if it came over a stream of a client: it has the namespace of its stream.
	local stanza = st.clone(push, true);
	stanza.attr.xmlns = "jabber:client";
	for _, child in ipairs(push) do stanza:add_direct_child(child); end
	return assert(json.decode(ask(tostring(stanza))));
end

return typed;
