local push2 = require "spec.support.push2";

-- Apple: the bytes of a notification, and of one for PushKit.
local MOST, MOST_VOIP = 4096, 5120;
-- The JSON around the payload, as the gateway's library writes it.
local AROUND = #[[{"aps":{"alert":{"title":"New Message"},"mutable-content":1},"rfc8291":""}]];

local function notification(push)
	return push:get_child("notification", push2.xmlns);
end

local function payload(push)
	local encrypted = notification(push):get_child("encrypted", "urn:xmpp:sce:rfc8291:0");
	return encrypted and encrypted:get_child("payload");
end

return {
	title = "snikket-apns"; serves = "Borogove"; read = "snikket-im/snikket-apns b6c3be7, 2025-06-24";
	answer = { "cancel", "service-unavailable" }; dead = { "cancel", "service-unavailable" };
	{
		"<client> is a URL"; source = "main.rs Url::parse";
		broken = function (push) return not (notification(push):get_child_text("client") or ""):find("^https://[^/]+/"); end;
		breaks = function (push) notification(push):get_child("client")[1] = "token"; end;
	};
	{
		"the message's id is a UUID in lower case"; source = "main.rs apns_id; Apple: apns-id, BadMessageId";
		broken = function (push)
			local id = push.attr.id or "";
			return not (#id == 36 and id:find("^%x+%-%x+%-%x+%-%x+%-%x+$") and id == id:lower());
		end;
		breaks = function (push) push.attr.id = push.attr.id:upper(); end;
	};
	{
		"Apple takes the size"; source = "Apple: PayloadTooLarge, 4 kB, for PushKit 5 kB";
		broken = function (push)
			local found = payload(push);
			local most = notification(push):get_child("voip") and MOST_VOIP or MOST;
			return found and AROUND + #found:get_text() > most;
		end;
		breaks = function (push) payload(push)[1] = ("A"):rep(MOST_VOIP); end;
	};
	{
		"a call is for a device with a token for PushKit"; source = "main.rs voip_token";
		broken = function (push)
			return notification(push):get_child("voip") and not notification(push):get_child_text("client"):find("#[^&]+&.");
		end;
		breaks = function (push)
			notification(push):get_child("client")[1] = "https://api.push.apple.com/3/device/token#topic";
			notification(push):text_tag("voip", nil, { xmlns = push2.xmlns });
		end;
	};
	{
		"Apple knows the token"; source = "main.rs apns.send; Apple: BadDeviceToken, Unregistered";
		broken = function (_, device) return device == nil; end;
		breaks = function (push) notification(push):get_child("client")[1] = "https://api.push.apple.com/3/device/another#topic&voip"; end;
	};
}
