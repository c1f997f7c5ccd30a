-- Runs Lua that a spec sends, in this host's server: an IQ from the component that only specs connect.
-- If it returns a promise, the answer waits for the result.
local base64 = require "util.encodings".base64;
local promise = require "util.promise";
local serialization = require "util.serialization";
local st = require "util.stanza";

local serialize = serialization.new({ preset = "oneline", fatal = false });

local function run(code, args)
	local env = setmetatable({ module = module }, { __index = _G });
	local chunk, err = load(code, "=spec", "t", env);
	if not chunk then error(err, 0); end
	return chunk(table.unpack(args, 1, args.n));
end

module:hook("iq-set/host/urn:example:spec:eval", function (event)
	local origin, stanza = event.origin, event.stanza;
	local request = serialization.deserialize(base64.decode(stanza.tags[1]:get_text()));
	local function answer(...)
		origin.send(st.reply(stanza):text_tag("ret", base64.encode(serialize(table.pack(...))), { xmlns = "urn:example:spec" }));
	end
	local ret = table.pack(xpcall(run, debug.traceback, request.code, request.args));
	if promise.is_promise(ret[2]) then
		ret[2]:next(function (value) answer(true, value); end, function (err) answer(false, tostring(err)); end);
	else
		answer(table.unpack(ret, 1, ret.n));
	end
	return true;
end);
