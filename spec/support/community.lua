-- Modules of Debian's prosody-modules that people have beside ours.
local paths = require "spec.support.paths";
local lfs = require "lfs";

local community = {};

-- Modules that hook the same events as ours, or change a client's session. Debian's package lacks some of them.
community.wanted = {
	"sasl2", "sasl2_bind2", "sasl2_sm", "sasl2_fast", "csi_battery_saver", "muc_notifications", "unified_push", "firewall",
	"throttle_presence", "filter_chatstates", "track_muc_joins", "stanza_counter", "lastlog2", "spam_reporting", "ping_muc",
	"s2s_idle_timeout", "s2s_smacks_timeout", "measure_active_users", "client_management", "muc_offline_delivery", "http_admin_api",
	"isolate_host", "s2s_whitelist", "s2s_blacklist",
};

-- The folder of a version: for 0.12 that of 13.0, whose modules run there, too.
local FOLDER = { ["0.12"] = "13.0-modules", ["13.0"] = "13.0-modules", newest = "newest-modules" };
-- The mod_smacks of 0.12 lets no other module resume a session, and mod_sasl2_fast wants a stream's fields of 13.0.
local NOT_ON = { ["0.12"] = { sasl2_sm = true, sasl2_fast = true } };

-- The names that there are for a version.
function community.of(version)
	local found = {};
	for _, name in ipairs(community.wanted) do
		local there = lfs.attributes(paths.server(FOLDER[version]).."/usr/lib/prosody/modules/mod_"..name);
		if there and not (NOT_ON[version] or {})[name] then table.insert(found, name); end
	end
	return found;
end

-- Those that there are for no version.
function community.missing()
	local there, missing = {}, {};
	for version in pairs(FOLDER) do
		for _, name in ipairs(community.of(version)) do there[name] = true; end
	end
	for _, name in ipairs(community.wanted) do
		if not there[name] then table.insert(missing, name); end
	end
	return missing;
end

return community;
