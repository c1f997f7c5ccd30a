local publish = require "spec.support.publish";
local shapes = require "spec.support.shapes";

return {
	title = "Conversations, Cheogram, Snikket Android";
	-- GitHub has no source of Conversations itself: Snikket's is of its version 2.19.5.
	read = "snikket-im/snikket-android 4b329a260 (2.19.5), 2025-12-02";
	files = "PushNotificationManager.java, BindProcessor.java, XmppConnection.java, JingleRtpConnection.java, MessageGenerator.java";
	gateway = "p2"; resource = "Conversations.x1Yz"; smacks = true; sasl2 = "bind"; inactive = true;
	looks_for = { "urn:xmpp:push:0" };
	register = function (device) return shapes.command(device, "register-push-fcm", { { "token", "fcm-token" }, { "android-id", "d1" } }); end;
	on = "bind";
	enable = function (device)
		device.options = publish.options { { "secret", device.secret } };
		return shapes.enable(device, device.options);
	end;
	resumed = function () return {}; end;
	-- Never disables: its gateway learns that the token is dead, and answers item-not-found.
	propose = function (to, sid)
		return { shapes.jingle(to, "propose", sid, { id = "jm-propose-"..sid, media = { "audio", "video" }, receipt = true }) };
	end;
	take = function (device, caller, sid)
		return {
			shapes.jingle(device.account, "accept", sid, {});
			shapes.jingle(caller, "proceed", sid, { id = "jm-proceed-"..sid });
		};
	end;
}
