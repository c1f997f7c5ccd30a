local shapes = require "spec.support.shapes";
local tigase = require "spec.support.tigase";
local jid = require "util.jid";
local st = require "util.stanza";

local siskin;

-- A child for each extension that the account announces; encryption only beside filters and priority. By its defaults: senders who
-- are not in the roster are not ignored.
local function enable(device)
	local has, children = device.features, {};
	local function add(child) table.insert(children, child); end
	local groupchat, muted = has["tigase:push:filter:groupchat:0"], has["tigase:push:filter:muted:0"];
	if groupchat then add(tigase.rooms({ jid = "room@rooms.example.test", allow = "mentioned", nick = "Monty" })); end
	if muted then add(tigase.muted("mercutio@example.test")); end
	if groupchat and muted and has[tigase.xmlns_priority] then
		add(st.stanza("priority", { xmlns = tigase.xmlns_priority }));
		local said = device.said or {};
		if said.features == tigase.xmlns_encrypt and has[tigase.xmlns_encrypt] and has["tigase:push:encrypt:aes-128-gcm"] then
			device.key, device.max_size = tigase.key, tonumber(said["max-payload-size"]);
			add(tigase.encrypt(device.key, "aes-128-gcm", said["max-payload-size"]));
		end
	end
	if has["tigase:push:jingle:0"] then add(st.stanza("jingle", { xmlns = "tigase:push:jingle:0" })); end
	return shapes.enable(device, table.unpack(children));
end

-- What the app does with the JSON of a push. A push of the kind "voip" goes to PushKit: iOS ends an app that does not ring then.
local function does(said, kind)
	if kind ~= "voip" then return said.sid and not said.media and "ends the call of "..jid.bare(said.sender) or "shown"; end
	if not said.sid or not said.sender then return "rings for nobody"; end
	if not said.media then return "does not ring"; end
	for _, media in ipairs(said.media) do
		if media ~= "audio" and media ~= "video" then return "crashes"; end
	end
	return "rings";
end

local function says(to, action, sid, media)
	return shapes.jingle(to, action, sid, { media = media, store = false });
end

siskin = {
	title = "Siskin"; read = "tigase/siskin-im d77818f (7.4.0), 2024-02-27; tigase/Martin 95b99af, 2025-01-04";
	files = "SiskinPushNotificationsModule.swift, PushEventHandler.swift, XmppService.swift, CallManager.swift, AppDelegate.swift; "
		.."of Martin: TigasePushNotificationsModule.swift, JingleModule.swift";
	gateway = "tigase"; modules = { "cloud_notify_extensions" };
	-- The name of the device; ninety seconds to resume.
	resource = "iPhone"; smacks = { resume = "true", max = "90" }; inactive = true;
	looks_for = { "urn:xmpp:push:0" };
	-- In the identity and the features of the gateway.
	provider = "tigase:messenger:apns:1";
	register = function (device)
		return shapes.command(device, "register-device", { { "provider", siskin.provider }, { "device-token", "d1" } });
	end;
	-- Once, and when its filters change: not at each connection.
	on = "change"; enable = enable;
	resumed = function () return {}; end;
	disable = shapes.disable;
	does = does;
	propose = function (to, sid, media) return { says(to, "propose", sid, media or { "audio" }) }; end;
	take = function (device, caller, sid) return { says(device.account, "accept", sid), says(caller, "proceed", sid) }; end;
};

return siskin;
