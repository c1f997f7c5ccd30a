-- Two ad-hoc commands (XEP-0050), for any client. With the first, users list the devices that are woken for their account, and remove
-- those that they no longer use. With the second, they wake a device and see the result.

local async = require "util.async";
local modulemanager = require "core.modulemanager";
local jid_node = require "util.jid".node;
local new_form = require "util.dataforms".new;
local now = require "util.time".now;

local protocols = module:require "prosody_push_hosts";

local REMOVE, WAKE = "urn:prosody-push:devices", "urn:prosody-push:wake";
-- How long the wake command waits for the app server before it lets the user ask again, in seconds. Meanwhile Prosody handles no
-- other stanza of the client.
local PATIENCE = 3;

-- field: the field of a device that is the value of its option.
local function options_of(list, field)
	local options = {};
	for i, device in ipairs(list) do
		options[i] = { value = device[field], label = ("%s (%s)"):format(device.identifier, protocols.describe(device, now())) };
	end
	return options;
end

local function removal_form(list)
	local options = options_of(list, "identifier");
	return new_form {
		title = "Devices with push notifications";
		instructions = "Choose the devices that shall not be woken any more.";
		{ name = "FORM_TYPE", type = "hidden", value = REMOVE };
		{ name = "devices", type = "list-multi", label = "Remove", options = options };
	};
end

local function wake_form(list)
	return new_form {
		title = "Wake a device";
		instructions = "Choose a device. It gets a push, as for a message, and you see what became of it.";
		{ name = "FORM_TYPE", type = "hidden", value = WAKE };
		{ name = "device", type = "list-single", label = "Device", options = options_of(list, "key"), value = list[1].key };
	};
end

local function completed(info)
	return { status = "completed", info = info };
end

local function failed(message)
	return { status = "completed", error = { message = message } };
end

-- Adds the commands to a host.
return function (host_module)
	local host = host_module.host;
	-- Without mod_adhoc only these commands are missing.
	if not modulemanager.is_loaded(host, "adhoc")
	and not host_module:get_option_inherited_set("modules_disabled", {}):contains("adhoc") then
		pcall(modulemanager.load, host, "adhoc");
	end
	local new_command = host_module:require "adhoc".new;

	local function removed(user, list, chosen)
		local names = {};
		for _, device in ipairs(list) do
			for _, identifier in ipairs(chosen) do
				if device.identifier == identifier then
					local ok, err = device.protocol.remove(user, identifier, "by the user");
					if ok == nil then return failed("Cannot be removed now: "..tostring(err)); end
					names[#names + 1] = identifier;
				end
			end
		end
		return completed(names[1] and "Removed: "..table.concat(names, ", ") or "Nothing was removed.");
	end

	-- Returns the result of the push. While there is none, lets the user ask again.
	local function outcome(state)
		if not state.result and async.ready() then
			local wait, done = async.waiter();
			local is_over = false;
			function state.wake_up()
				if is_over then return; end
				is_over = true;
				done();
			end
			host_module:add_timer(PATIENCE, state.wake_up);
			wait();
		end
		local result = state.result;
		if result then return completed(("%s: %s. %s"):format(state.device, result.text, result.hint or "")); end
		return {
			status = "executing"; actions = { "next", default = "next" }; info = state.device..": no answer yet. Next asks again.";
		}, state;
	end

	local function wake(user, key)
		local device, err = protocols.device_of(host, user, key);
		if not device then return failed(err); end
		local state = { device = device.identifier };
		protocols.wake(host, user, device):next(function (result)
			state.result = result;
			if state.wake_up then state.wake_up(); end
		end);
		return outcome(state);
	end

	-- Makes the handler of a command from `form_of(list)` and `submitted(user, list, fields)`.
	local function handler_of(form_of, submitted)
		local function handler(_, data, state)
			if data.action == "cancel" then return { status = "canceled" }; end
			if type(state) == "table" then return outcome(state); end
			local user = jid_node(data.from);
			local list, err = protocols.devices(host, user);
			if not list then return failed("Cannot be read now: "..tostring(err)); end
			if not list[1] then return completed("No device is woken for this account."); end
			local form = form_of(list);
			if not data.form then
				return { status = "executing", actions = { "complete", default = "complete" }, form = form }, "executing";
			end
			return submitted(user, list, form:data(data.form));
		end
		return function (...)
			local ok, ret, state = pcall(handler, ...);
			if ok then return ret, state; end
			host_module:log("error", "A fault in the ad-hoc command for devices: %s", ret);
			return failed("This failed on the server, which has it in its log.");
		end
	end

	host_module:provides("adhoc", new_command("Devices with push notifications", REMOVE, handler_of(removal_form,
		function (user, list, fields) return removed(user, list, fields.devices or {}); end), "local_user"));
	host_module:provides("adhoc", new_command("Wake a device", WAKE, handler_of(wake_form,
		function (user, _, fields) return wake(user, fields.device); end), "local_user"));
end
