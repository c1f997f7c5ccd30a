-- What in the configuration keeps phones from ringing, said when the server starts: one warning each, with what to do.

local is_loaded = require "core.modulemanager".is_loaded;

local desks = module:require "desks";

local WANTED = {
	{ "smacks", "a client whose connection is dead looks connected, and nothing wakes it" };
	{ "mam", "while one client of a user is connected, messages for him do not wake the others" };
	{ "carbons", "what one client of a user has got, the others do not hear of" };
};

-- Those of other authors that ours take the place of; they work, and cost what ours do not.
local EXTENSIONS = { encrypted = "cloud_notify_encrypted", filters = "cloud_notify_filters", priority = "cloud_notify_priority_tag" };

-- In seconds, as mod_smacks reads it. COMPAT 0.12 has no get_option_period.
local function smacks_hibernation_time(host_module)
	local get = host_module.get_option_period or host_module.get_option_number;
	return get(host_module, "smacks_hibernation_time", 600);
end

return function (host_module)
	local host = host_module.host;
	local function warn(...) host_module:log("warn", ...); end

	local desk = desks.of_host(host)[1];
	if not desk then return; end
	for _, wanted in ipairs(WANTED) do
		local name, otherwise = wanted[1], wanted[2];
		if not is_loaded(host, name) then
			warn("Push: mod_%s is not loaded: %s. Add %q to modules_enabled.", name, otherwise, name);
		end
	end
	if not is_loaded(host, "s2s") then
		warn("Push: mod_s2s is not loaded: app servers elsewhere cannot be reached, and pushes to them fail. Take \"s2s\" out of "
			.."modules_disabled, unless all app servers are components of this server.");
	end
	for extension, name in pairs(EXTENSIONS) do
		if is_loaded(host, "cloud_notify") and is_loaded(host, name) and not desk.extensions[extension] then
			warn("Push: mod_%s is not the one of prosody-push: pushes go through two modules. Put prosody-push's folder before the "
				.."other in plugin_paths.", name);
		end
	end
	local longest, wake_before = math.floor(desk.max_hibernation), math.floor(desk.wake_before);
	if wake_before >= longest then
		warn("Push: push_wake_before_timeout (%d seconds) is not shorter than push_max_hibernation_timeout (%d seconds): nobody is "
			.."woken. Make it shorter.", wake_before, longest);
	end
	local own = smacks_hibernation_time(host_module);
	if own > longest then
		warn("Push: smacks_hibernation_time (%.0f seconds) is longer than push_max_hibernation_timeout (%d seconds), which has no "
			.."effect. Make one shorter, or leave the latter out.", own, longest);
	end
end
