-- Makes the stanza of a push that no module observes: the same as summary::publish, with as few new tables as possible. `to`
-- belongs to one registration: its `jid` and `domain`, `attr` of <publish>, and `options`. `children` are the tags of <item>.
-- All of these are shared with other pushes. Pushes of one `kind` to a registration also share everything below <iq>, if no
-- other code can write into it on its way.
local metatable, host, pubsub_attr, is_observed = ...;
local setmetatable = setmetatable;
local xmlns = pubsub_attr.xmlns;

local function make(to, children)
	local options = to.options;
	local item = setmetatable({ name = "item", attr = { xmlns = xmlns }, tags = children, children[1] }, metatable);
	local publish = setmetatable({ name = "publish", attr = to.attr, tags = { item }, item }, metatable);
	return setmetatable({ name = "pubsub", attr = pubsub_attr, tags = { publish, options }, publish, options }, metatable);
end

return function (id, to, children, kind)
	local pubsub;
	if kind and not is_observed(to.domain) then
		pubsub = to[kind];
		if not pubsub then
			pubsub = make(to, children);
			to[kind] = pubsub;
		end
	else
		pubsub = make(to, children);
	end
	return setmetatable({ name = "iq", attr = { type = "set", id = id, from = host, to = to.jid }, tags = { pubsub }, pubsub }, metatable);
end
