-- For administrators: commands for Prosody's shell, and a check of the configuration. For users: an ad-hoc command. mod_cloud_notify
-- and mod_push2 load this module and give it access through prosody_push_admin.lib.lua.

module:set_global();

module:require "shell";
local check = module:require "prosody_push_check";
local offer_devices = module:require "devices";

local function warn(host_module)
	check.settings(host_module, function (sentence, ...) host_module:log("warn", "Push: "..sentence, ...); end);
end

function module.add_host(host_module)
	offer_devices(host_module);
	-- Waits until all modules are loaded, also those of a host that is activated later.
	if prosody.start_time then
		host_module:add_timer(0, function () warn(host_module); end);
	else
		host_module:hook_global("server-started", function () warn(host_module); end);
	end
end
