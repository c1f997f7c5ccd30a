-- Made of an older Siskin: its stanzas are the same, but for names.
local siskin = require "spec.clients.siskin";
local shapes = require "spec.support.shapes";

local snikket = setmetatable({
	title = "Snikket iOS"; read = "snikket-im/snikket-ios a939ea4 (1.2.3), 2026-02-26";
	files = "SiskinPushNotificationsModule.swift, PushEventHandler.swift, XmppService.swift, CallManager.swift, AppDelegate.swift";
	resource = "Snikket.a1b2"; provider = "snikket:apns:1";
	register = function (device)
		return shapes.command(device, "register-device", {
			{ "provider", "snikket:apns:1" }, { "device-token", "d1" }, { "device-second-token", "pushkit" },
		});
	end;
}, { __index = siskin });

return snikket;
