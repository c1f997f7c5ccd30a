local publish = require "spec.support.publish";
local rules = require "spec.gateways.rules";
local jid = require "util.jid";

local parts = publish.parts;

return {
	title = "p2"; serves = "Conversations, Cheogram, Snikket Android"; read = "iNPUTmice/p2 8b83fd5, 2023-03-28";
	answer = { "auth", "forbidden" }; dead = { "cancel", "item-not-found" };
	command = { node = "register-push-fcm"; wants = { "token", "android-id" } };
	{
		"<publish> has a node"; source = "PushController.java pubsubHandler";
		broken = function (push) return not parts(push).publish.attr.node; end;
		breaks = function (push) parts(push).publish.attr.node = nil; end;
	};
	{
		"the form has a secret"; source = "PushController.java pubsubHandler";
		broken = function (push) return not publish.value(parts(push).options, "secret"); end;
		breaks = function (push) publish.remove(parts(push).options, function (field) return field.attr.var == "secret"; end); end;
	};
	{
		"the sender has no resource"; source = "PushController.java pubsubHandler";
		broken = function (push) return jid.resource(push.attr.from) ~= nil; end;
		breaks = function (push) push.attr.from = push.attr.from.."/push"; end;
	};
	rules.known("TargetStore.java find", { "cancel", "item-not-found" });
	{
		"the sender's domain is the account's"; source = "TargetStore.java find"; answer = { "cancel", "item-not-found" };
		broken = function (push, device) return jid.host(push.attr.from) ~= jid.host(device.account); end;
		breaks = function (push) push.attr.from = "elsewhere.test"; end;
	};
	rules.secret("PushController.java pubsubHandler");
	rules.verbatim;
}
