-- What an administrator wants to know before he trusts it: each case has a name that says what is counted and run(start,
-- size, progress), which gives the figure or raises what went wrong. start(opts) gives a server with the module under test;
-- size is how much of it (the first of case.size in `make test`, the second in `make soak`).
local prosody = require "spec.support.prosody";

local cases = { groups = {} };

for _, name in ipairs({ "storage", "appservers", "outages", "hostile", "isolation", "soak" }) do
	table.insert(cases.groups, { name = name, list = require("spec.reliability."..name) });
end

-- Gives the figure, or nil and what went wrong.
function cases.run(case, version, module, size, progress)
	local servers = {};
	local function start(opts)
		opts = opts or {};
		opts.version, opts.module = version, module;
		local server = prosody.start(opts);
		table.insert(servers, server);
		return server;
	end
	local ok, ret = pcall(case.run, start, size, progress or function () end);
	for _, server in ipairs(servers) do
		-- It may be in a loop without end.
		if not ok then pcall(server.kill, server); end
		local stopped, err = pcall(server.stop, server);
		if ok and not stopped then ok, ret = stopped, err; end
	end
	if ok then return ret; end
	return nil, ret;
end

return cases;
