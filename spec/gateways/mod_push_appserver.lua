local publish = require "spec.support.publish";
local rules = require "spec.gateways.rules";
local dataforms = require "util.dataforms";

local parts = publish.parts;

-- The real one reads the summary with util.dataforms, too.
local summary = dataforms.new {
	{ name = "FORM_TYPE"; type = "hidden" }; { name = "message-count"; type = "text-single" };
	{ name = "last-message-sender"; type = "jid-single" }; { name = "last-message-body"; type = "text-single" };
};

return {
	title = "mod_push_appserver"; serves = "ChatSecure, Converse";
	read = "tmolitor-stud-tu/mod_push_appserver 06823f5, 2022-11-05";
	answer = { "cancel", "item-not-found" }; dead = { "cancel", "item-not-found" };
	identity = { category = "pubsub"; type = "push" };
	{
		"<item> has a <notification>"; source = "mod_push_appserver.lua iq/host";
		broken = function (push) return not parts(push).notification; end;
		breaks = function (push) publish.remove(parts(push).item, function (tag) return tag.name == "notification"; end); end;
	};
	{
		"the sender in the summary is a JID"; source = "mod_push_appserver.lua summary_form";
		broken = function (push)
			local form = parts(push).summary;
			return form and (select(2, summary:data(form)) or {})["last-message-sender"] ~= nil;
		end;
		breaks = function (push) publish.set(parts(push).summary, "last-message-sender", "@"); end;
	};
	{
		"the form has a secret that is not empty"; source = "mod_push_appserver.lua options_form";
		broken = function (push) return (publish.value(parts(push).options, "secret") or "") == ""; end;
		breaks = function (push) publish.set(parts(push).options, "secret", ""); end;
	};
	rules.known("mod_push_appserver.lua push_store");
	rules.secret("mod_push_appserver.lua push_store");
	rules.verbatim;
}
