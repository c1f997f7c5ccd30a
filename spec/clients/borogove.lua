local shapes = require "spec.support.shapes";
local push2 = require "spec.support.push2";
local encodings = require "util.encodings";
local st = require "util.stanza";

-- Base64 with padding, of a browser's base64url.
local function base64(text)
	text = text:gsub("[-_]", { ["-"] = "+", _ = "/" });
	return encodings.base64.encode(assert(encodings.base64.decode(text..("="):rep(-#text % 4))));
end

local function says(to, action, sid, media)
	return shapes.jingle(to, action, sid, { id = action.."-"..sid, media = media });
end

return {
	title = "Borogove"; read = "snikket-im/snikket-sdk fb3172a, 2026-08-17";
	files = "queries/Push2Enable.hx, Client.hx (enablePush), calls/Session.hx, streams/XmppJsStream.hx";
	gateway = "snikket-apns"; modules = { "push2" }; resource = "d4565fa7-4d72-4749-b3d3-740edbf87770"; smacks = true; sasl2 = "bind";
	inactive = true;
	-- Enables unasked.
	looks_for = {};
	node = "https://api.push.apple.com/3/device/6f1d0c5e2b7a4983#im.snikket.app&9a8b7c6d";
	on = "bind";
	enable = function (device)
		local xmlns = push2.encrypted;
		local match = st.stanza("match", { xmlns = push2.xmlns, profile = "urn:xmpp:push2:match:important" })
			:text_tag("grace", "144", { xmlns = push2.xmlns })
			:tag("filter", { xmlns = push2.xmlns, jid = "room@rooms.example.test" }):tag("mention", { xmlns = push2.xmlns }):up()
			:tag("reply", { xmlns = push2.xmlns }):up():up()
			:tag("send", { xmlns = xmlns }):text_tag("ua-public", base64(push2.ua_public), { xmlns = xmlns })
			:text_tag("auth-secret", base64(push2.auth_secret), { xmlns = xmlns });
		-- A browser's VAPID key; its audience has no scheme.
		if device.vapid then
			match:text_tag("jwt-alg", "ES256", { xmlns = xmlns }):text_tag("jwt-key", (push2.jwt_key:gsub("\n", "")), { xmlns = xmlns })
				:text_tag("jwt-claim", "updates.push.example.test", { xmlns = xmlns, name = "aud" });
		end
		local enable = push2.enable { service = "apns@"..device.address, client = device.node, match:reset() };
		return shapes.iq(enable, device.account);
	end;
	resumed = function () return {}; end;
	disable = function (device) return shapes.iq(st.stanza("disable", { xmlns = push2.xmlns }), device.account); end;
	propose = function (to, sid) return { says(to, "propose", sid, { "audio" }) }; end;
	take = function (_, caller, sid) return { says(caller, "proceed", sid) }; end;
}
