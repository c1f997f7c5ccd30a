-- For whoever runs the server: commands for Prosody's shell, an ad-hoc command for users, and a look at the configuration.
-- Loaded by mod_cloud_notify and mod_push2; each says what it knows through prosody_push_admin.lib.lua.

module:set_global();

module:require "shell";
local check = module:require "check";
local offer_devices = module:require "devices";

local function warn(host_module)
	check(host_module, function (sentence, ...) host_module:log("warn", "Push: "..sentence, ...); end);
end

function module.add_host(host_module)
	offer_devices(host_module);
	-- Not before all modules have been loaded, of a host that comes later too.
	if prosody.start_time then
		host_module:add_timer(0, function () warn(host_module); end);
	else
		host_module:hook_global("server-started", function () warn(host_module); end);
	end
end
