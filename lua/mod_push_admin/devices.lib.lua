-- An ad-hoc command (XEP-0050), for any client: users list the devices that are woken for their account, and remove those that they
-- no longer use.

local modulemanager = require "core.modulemanager";
local jid_node = require "util.jid".node;
local new_form = require "util.dataforms".new;
local now = require "util.time".now;

local protocols = module:require "protocols";

local NODE = "urn:prosody-push:devices";

local function form_of(list)
	local options = {};
	for i, device in ipairs(list) do
		options[i] = { value = device.identifier, label = ("%s (%s)"):format(device.identifier, protocols.describe(device, now())) };
	end
	return new_form {
		title = "Devices with push notifications";
		instructions = "Choose the devices that shall not be woken any more.";
		{ name = "FORM_TYPE", type = "hidden", value = NODE };
		{ name = "devices", type = "list-multi", label = "Remove", options = options };
	};
end

-- Adds the command to a host.
return function (host_module)
	-- Without mod_adhoc only this command is missing.
	if not modulemanager.is_loaded(host_module.host, "adhoc")
	and not host_module:get_option_inherited_set("modules_disabled", {}):contains("adhoc") then
		pcall(modulemanager.load, host_module.host, "adhoc");
	end
	local new_command = host_module:require "adhoc".new;

	local function removed(user, list, chosen)
		local names = {};
		for _, device in ipairs(list) do
			for _, identifier in ipairs(chosen) do
				if device.identifier == identifier then
					local ok, err = device.protocol.remove(user, identifier, "by the user");
					if ok == nil then return { status = "completed", error = { message = "Cannot be removed now: "..tostring(err) } }; end
					names[#names + 1] = identifier;
				end
			end
		end
		return { status = "completed", info = names[1] and "Removed: "..table.concat(names, ", ") or "Nothing was removed." };
	end

	local function handler(_, data)
		if data.action == "cancel" then return { status = "canceled" }; end
		local user = jid_node(data.from);
		local list, err = protocols.devices(host_module.host, user);
		if not list then return { status = "completed", error = { message = "Cannot be read now: "..tostring(err) } }; end
		if not list[1] then return { status = "completed", info = "No device is woken for this account." }; end
		local form = form_of(list);
		if not data.form then
			return { status = "executing", actions = { "complete", default = "complete" }, form = form }, "executing";
		end
		return removed(user, list, form:data(data.form).devices or {});
	end

	local function safe_handler(...)
		local ok, ret, state = pcall(handler, ...);
		if ok then return ret, state; end
		host_module:log("error", "A fault in the ad-hoc command for devices: %s", ret);
		return { status = "completed", error = { message = "This failed on the server, which has it in its log." } };
	end

	host_module:provides("adhoc", new_command("Devices with push notifications", NODE, safe_handler, "local_user"));
end
