-- Finds settings that keep phones from ringing. Each warning is a sentence that says what to do. The log has them when the server
-- starts, and `prosodyctl shell push check` prints them.

local is_loaded = require "core.modulemanager".is_loaded;

local protocols = module:require "protocols";

local WANTED = {
	{ "smacks", "a client whose connection is dead looks connected, and nothing wakes it" };
	{ "mam", "while one client of a user is connected, messages for him do not wake the others" };
	{ "carbons", "a client does not see the messages that another client of the user has received" };
};

-- Modules of other authors that ours replace. Theirs work, but cost more.
local EXTENSIONS = { encrypted = "cloud_notify_encrypted", filters = "cloud_notify_filters", priority = "cloud_notify_priority_tag" };

-- In seconds, as mod_smacks reads it. COMPAT 0.12 has no get_option_period.
local function period(host_module, name, default)
	local get = host_module.get_option_period or host_module.get_option_number;
	return get(host_module, name, default);
end

-- A missing ack shows that a client's connection is dead, so mod_smacks has to request acks.
local function check_acks(host_module, say)
	local host = host_module.host;
	if not is_loaded(host, "smacks") then return; end
	if period(host_module, "smacks_max_ack_delay", 30) <= 0 then
		say("smacks_max_ack_delay is 0: a client whose connection is dead is not woken before the connection times out, minutes "
			.."later. Leave the option out.");
	end
	local unacked = host_module:get_option_number("smacks_max_unacked_stanzas", 0);
	if unacked > 0 then
		say("smacks_max_unacked_stanzas is %d: mod_smacks asks a client for no ack, and cannot notice that its connection is dead, "
			.."before more stanzas than that wait. Leave the option out.", unacked);
	end
	local inactive = host_module:get_option_number("smacks_max_inactive_unacked_stanzas", 256);
	local battery_saver = is_loaded(host, "csi_battery_saver");
	if inactive > 0 and is_loaded(host, "csi") and (battery_saver or not is_loaded(host, "csi_simple")) then
		say("mod_smacks asks a client that is inactive for no ack before %d stanzas wait, and mod_%s does not change that: a phone in "
			.."a pocket whose connection is dead is not woken. Use mod_csi_simple instead, or set "
			.."smacks_max_inactive_unacked_stanzas = 0.", inactive, battery_saver and "csi_battery_saver" or "csi");
	end
end

local function check_hibernation(host_module, protocol, say)
	local longest, wake_before = math.floor(protocol.max_hibernation), math.floor(protocol.wake_before);
	if wake_before >= longest then
		say("push_wake_before_timeout (%d seconds) is not shorter than push_max_hibernation_timeout (%d seconds): no device "
			.."is woken before its session ends. Make it shorter.", wake_before, longest);
	end
	local own = period(host_module, "smacks_hibernation_time", 600);
	if own > longest then
		say("smacks_hibernation_time (%.0f seconds) is longer than push_max_hibernation_timeout (%d seconds), which has no "
			.."effect. Make one shorter, or leave the latter out.", own, longest);
	end
end

local function check_modules(host_module, protocol, say)
	local host = host_module.host;
	for _, wanted in ipairs(WANTED) do
		local name, otherwise = wanted[1], wanted[2];
		if not is_loaded(host, name) then
			say("mod_%s is not loaded: %s. Add %q to modules_enabled.", name, otherwise, name);
		end
	end
	if not is_loaded(host, "s2s") then
		say("mod_s2s is not loaded: app servers elsewhere cannot be reached, and pushes to them fail. Take \"s2s\" out of "
			.."modules_disabled, unless all app servers are components of this server.");
	end
	if host_module:get_option("push_rooms") == "mentions" and not is_loaded(host, "pep") then
		say("push_rooms needs mod_pep, which is not loaded: nobody knows which rooms a user has bookmarked, and only public rooms of this "
			.."server are limited to mentions. Add %q to modules_enabled.", "pep");
	end
	local extensions = protocol.extensions();
	for extension, name in pairs(EXTENSIONS) do
		if is_loaded(host, "cloud_notify") and is_loaded(host, name) and not extensions[extension] then
			say("mod_%s is not the one of prosody-push: pushes go through two modules. Put prosody-push's folder before the "
				.."other in plugin_paths.", name);
		end
	end
end

-- RFC 8292 §2.1. Most push services accept any address, and the default has long been an xmpp: address. So the start warns of nothing.
local function check_contact(host_module, say)
	local contact = tostring(host_module:get_option("contact_uri"));
	if is_loaded(host_module.host, "push2") and not contact:find("^mailto:") and not contact:find("^https:") then
		say("contact_uri is not a mailto: or https: address: some push services refuse the pushes of Push 2.0. Set it to one where you "
			.."can be reached.");
	end
end

-- Calls say(sentence, …) for each warning; with `in_full` also for rare ones.
return function (host_module, say, in_full)
	local protocol = protocols.of_host(host_module.host)[1];
	if not protocol then return; end
	check_modules(host_module, protocol, say);
	check_acks(host_module, say);
	check_hibernation(host_module, protocol, say);
	if in_full then check_contact(host_module, say); end
end
