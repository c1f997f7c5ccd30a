-- Finds settings that keep phones from ringing, and app servers that cannot be reached. Each warning is a sentence that says what to
-- do. The log has the warnings about settings when the server starts; `prosodyctl shell push check` and the administrator's page have
-- all.

local modulemanager = require "core.modulemanager";
local is_loaded = modulemanager.is_loaded;
local now = require "util.time".now;
local promise = require "util.promise";

local protocols = module:require "prosody_push_hosts";
local slices = module:require "prosody_push_slices";

local WANTED = {
	{ "smacks", "a client whose connection is dead looks connected, and nothing wakes it" };
	{ "mam", "while one client of a user is connected, messages for this user do not wake the others" };
	{ "carbons", "a client does not see the messages that another client of the user has received" };
};

-- The most app servers that are asked, those with most registrations first. There is a limit because users choose what they register.
local MOST_APP_SERVERS = 100;

-- In seconds: an ack that is later than this does not come from a busy phone, and a silent connection may look alive for no longer
-- than this.
local LONGEST_ACK_DELAY, LONGEST_READ_TIMEOUT = 120, 3600;

-- Modules of other authors that ours replace. Theirs work, but cost more.
local EXTENSIONS = { encrypted = "cloud_notify_encrypted", filters = "cloud_notify_filters", priority = "cloud_notify_priority_tag" };

-- In seconds, as mod_smacks reads it; the default for a value that is none. COMPAT 0.12 has no get_option_period.
local function period(host_module, name, default)
	local get = host_module.get_option_period or host_module.get_option_number;
	return get(host_module, name, default) or default;
end

-- A missing ack shows that a client's connection is dead, so mod_smacks has to request acks.
local function check_acks(host_module, say)
	local host = host_module.host;
	if not is_loaded(host, "smacks") then return; end
	local delay = period(host_module, "smacks_max_ack_delay", 30);
	if delay <= 0 or delay == math.huge then
		say("smacks_max_ack_delay is %s: a client whose connection is dead is not woken before the connection times out, minutes "
			.."later. Leave the option out.", delay <= 0 and "0" or "never");
	elseif delay > LONGEST_ACK_DELAY then
		say("smacks_max_ack_delay is %d: a client whose connection is dead is woken only after so many seconds. Leave the option out.",
			math.floor(delay));
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

-- Without traffic, mod_smacks asks for an ack when the connection has been silent for read_timeout seconds.
local function check_timeouts(host_module, say)
	local settings = host_module:context("*"):get_option("network_settings");
	local timeout = type(settings) == "table" and tonumber(settings.read_timeout) or 0;
	if timeout > LONGEST_READ_TIMEOUT then
		say("network_settings.read_timeout is %d seconds: a client whose connection is dead looks connected for that long if nobody "
			.."writes to it. Leave it out.", math.floor(timeout));
	end
end

-- A reload keeps the library, and Prosody keeps the modules that it has loaded, when newer ones are installed.
local function check_version(say)
	local library = package.loaded["prosody_push"];
	local source = modulemanager.loader:load_resource(module.name, "prosody_push_loader.lib.lua");
	local installed = source and source:match('VERSION = "([^"]+)"');
	if library and installed and installed ~= library.version then
		say("prosody-push %s is installed, and Prosody still runs version %s: restart Prosody.", installed, library.version);
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
	local ours = {};
	for _, found in ipairs(protocols.of_host(host)) do ours[found.name] = true; end
	for _, name in ipairs({ "cloud_notify", "push2" }) do
		if is_loaded(host, name) and not ours[name] then
			say("mod_%s is not the one of prosody-push: nothing here is about its registrations. Put prosody-push's folder before the "
				.."other in plugin_paths.", name);
		end
	end
	local extensions = protocol.extensions();
	for extension, name in pairs(EXTENSIONS) do
		if is_loaded(host, "cloud_notify") and is_loaded(host, name) and not extensions[extension] then
			say("mod_%s is not the one of prosody-push: pushes go through two modules. Put prosody-push's folder before the "
				.."other in plugin_paths.", name);
		end
	end
end

-- RFC 8292 §2.1. Most push services accept any address, and the default has long been an xmpp: address. So there is no warning in the
-- log at the start.
local function check_contact(host_module, say)
	local contact = tostring(host_module:get_option("contact_uri"));
	if is_loaded(host_module.host, "push2") and not contact:find("^mailto:") and not contact:find("^https:") then
		say("contact_uri is not a mailto: or https: address: some push services refuse the pushes of Push 2.0. Set it to one where you "
			.."can be reached.");
	end
end

-- Calls say(sentence, …) for each warning about a setting; with `in_full` also for rare ones.
local function settings(host_module, say, in_full)
	local protocol = protocols.of_host(host_module.host)[1];
	if not protocol then return; end
	check_modules(host_module, protocol, say);
	check_acks(host_module, say);
	check_timeouts(host_module, say);
	check_hibernation(host_module, protocol, say);
	check_version(say);
	if in_full then check_contact(host_module, say); end
end

-- Returns the app servers of a module's registrations, those with most registrations first: JID and number; nil and an error if the
-- store cannot be read.
local function registered(protocol)
	local counts, list, pause = {}, {}, slices.new();
	for user in protocol.users() do
		pause();
		local devices, err = protocol.devices(user);
		if not devices then return nil, err; end
		for _, device in ipairs(devices) do counts[device.service] = (counts[device.service] or 0) + 1; end
	end
	for jid, n in pairs(counts) do list[#list + 1] = { jid = jid; registrations = n }; end
	table.sort(list, function (a, b)
		if a.registrations ~= b.registrations then return a.registrations > b.registrations; end
		return a.jid < b.jid;
	end);
	return list;
end

-- Returns an app server's trouble in words; nil if it has none.
local function trouble_of(server, error)
	local state = server.known or {};
	local away = state.away_since and (", away since "..os.date("%Y-%m-%d %H:%M:%S", math.floor(state.away_since))) or "";
	local registrations = server.registrations == 1 and "1 registration" or server.registrations.." registrations";
	local last = state.last_error and (", its last error was "..state.last_error) or "";
	if error then
		return ("app server %s cannot be reached: %s%s%s; %s. Is s2s open to the outside, and is DNS in order? If others "
			.."are reached, its makers know."):format(server.jid, error, away, last, registrations);
	elseif state.away_since then
		return ("app server %s answers, but takes no pushes%s%s; %s. Its makers know, or its registrations are old.")
			:format(server.jid, away, last, registrations);
	end
end

-- Asks the app servers of a host's registrations whether they are there. Returns a promise of a list of them: JID, registrations,
-- when it was asked, and `trouble` in words if pushes do not get there. An entry without a JID has the number of those that were not
-- asked.
local function app_servers(host)
	local waits = {};
	for _, protocol in ipairs(protocols.of_host(host)) do
		local list, err = registered(protocol);
		if not list then return promise.reject(err); end
		local known = {};
		for _, server in ipairs(protocol.app_servers(true)) do known[server.jid] = server; end
		for i = 1, math.min(#list, MOST_APP_SERVERS) do
			local server = list[i];
			server.known = known[server.jid];
			waits[#waits + 1] = protocol.ask(server.jid):next(function (error)
				server.asked, server.trouble = now(), trouble_of(server, error);
				return server;
			end);
		end
		if #list > MOST_APP_SERVERS then
			waits[#waits + 1] = promise.resolve { registrations = 0; unasked = #list - MOST_APP_SERVERS };
		end
	end
	return promise.all(waits);
end

return { settings = settings, app_servers = app_servers };
