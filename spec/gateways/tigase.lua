local publish = require "spec.support.publish";
local rules = require "spec.gateways.rules";
local tigase = require "spec.support.tigase";
local base64 = require "util.encodings".base64;
local st = require "util.stanza";

local parts = publish.parts;

local function encrypted(push)
	return parts(push).notification:get_child("encrypted", tigase.xmlns_encrypt);
end

local function summary()
	return st.stanza("x", { xmlns = publish.xmlns_form, type = "submit" });
end

return {
	title = "Tigase Push"; serves = "Siskin, Snikket iOS";
	-- We found no public source.
	read = "xeps.tigase.net, push-notifications";
	answer = { "modify", "bad-request" }; dead = { "cancel", "item-not-found" };
	identity = { category = "pubsub"; type = "push" };
	features = { "urn:xmpp:push:0", "tigase:messenger:apns:1", "snikket:apns:1" };
	command = { node = "register-device"; wants = { "provider", "device-token" } };
	-- It answers a device that registers with these fields.
	says = { features = tigase.xmlns_encrypt; ["max-payload-size"] = "3000" };
	rules.known("XEP-0060 §7.1.3.3", { "cancel", "item-not-found" });
	{
		"<notification> is encrypted or has a form, never both"; source = "push-notifications/encrypt";
		broken = function (push) return (encrypted(push) == nil) == (parts(push).summary == nil); end;
		breaks = function (push) parts(push).notification:add_direct_child(summary()); end;
	};
	{
		"a device that gave a key gets nothing in the clear"; source = "push-notifications/encrypt";
		broken = function (push, device) return device.key and not encrypted(push); end;
		breaks = function (push)
			local notification = parts(push).notification;
			publish.remove(notification, function (tag) return tag.name == "encrypted"; end);
			notification:add_direct_child(summary());
		end;
	};
	{
		"the IV has twelve bytes"; source = "push-notifications/encrypt; NIST SP 800-38D §5.2.1.1";
		broken = function (push) return encrypted(push) and #(base64.decode(encrypted(push).attr.iv or "") or "") ~= 12; end;
		breaks = function (push) encrypted(push).attr.iv = base64.encode("short"); end;
	};
	{
		"the payload is no larger than the client's max-size"; source = "push-notifications/encrypt";
		broken = function (push, device) return encrypted(push) and #encrypted(push):get_text() > (device.max_size or math.huge); end;
		breaks = function (push, device) encrypted(push):text(("A"):rep(device.max_size)); end;
	};
	{
		"a priority is high or low"; source = "push-notifications/priority";
		broken = function (push)
			local priority = parts(push).notification:get_child_text("priority", tigase.xmlns_priority);
			return priority and priority ~= "high" and priority ~= "low";
		end;
		breaks = function (push) parts(push).notification:get_child("priority", tigase.xmlns_priority):text("est"); end;
	};
}
