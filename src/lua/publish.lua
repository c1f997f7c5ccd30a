-- A push that nobody looks into: what summary::publish writes, with as few new tables as can be. `children` are those of
-- <item>, as its tags; they, both `attr` and `options` are shared with other pushes.
local metatable, host, pubsub_attr = ...;
local setmetatable = setmetatable;
local xmlns = pubsub_attr.xmlns;

return function (id, to, publish_attr, children, options)
	local item = setmetatable({ name = "item", attr = { xmlns = xmlns }, tags = children, children[1] }, metatable);
	local publish = setmetatable({ name = "publish", attr = publish_attr, tags = { item }, item }, metatable);
	local pubsub = setmetatable({ name = "pubsub", attr = pubsub_attr, tags = { publish, options }, publish, options }, metatable);
	return setmetatable({ name = "iq", attr = { type = "set", id = id, from = host, to = to }, tags = { pubsub }, pubsub }, metatable);
end
