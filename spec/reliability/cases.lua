-- The reliability that an administrator wants to know. Each case has a name, `counts`, which describes its figure, and run(start, size,
-- progress), which returns the figure or raises an error. start(opts) starts a server with the module under test. size is the first of
-- case.size in `make test`, the second in `make soak`.
local prosody = require "spec.support.prosody";

local cases = { groups = {} };

for _, name in ipairs({ "storage", "appservers", "outages", "hostile", "isolation", "soak" }) do
	table.insert(cases.groups, { name = name, list = require("spec.reliability."..name) });
end

-- Runs a case. Returns its figure, or nil and the error.
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
		-- The server may be in an endless loop.
		if not ok then pcall(server.kill, server); end
		local stopped, err = pcall(server.stop, server);
		if ok and not stopped then ok, ret = stopped, err; end
	end
	if ok then return ret; end
	return nil, ret;
end

return cases;
