local publish = require "spec.support.publish";
local rules = require "spec.gateways.rules";

local parts = publish.parts;

-- fpush has xmpp-parsers 0.21, where an attribute or a child that a type does not have is an error. Later versions want the feature
-- `pedantic` for that: of the version in Cargo.lock the rules with `typed` hold.
local ATTRIBUTES = {
	pubsub = {}; publish = { node = true }; item = { id = true, publisher = true }; ["publish-options"] = {};
};

local function has_odd_attribute(element)
	for name in pairs(element.attr) do
		if name ~= "xmlns" and not ATTRIBUTES[element.name][name] then return true; end
	end
	for _, child in ipairs(element.tags) do
		if ATTRIBUTES[child.name] and has_odd_attribute(child) then return true; end
	end
end

return {
	title = "fpush"; serves = "Monal"; read = "monal-im/fpush 42359ca, 2025-09-16";
	answer = { "wait", "bad-request" }; dead = { "cancel", "policy-violation" };
	{
		"only <publish> and <publish-options> are below <pubsub>"; source = "message_loop.rs; xmpp-parsers PubSub"; typed = true;
		broken = function (push)
			for _, tag in ipairs(parts(push).pubsub.tags) do
				if tag.name ~= "publish" and tag.name ~= "publish-options" then return true; end
			end
		end;
		breaks = function (push) publish.add_foreign(parts(push).pubsub); end;
	};
	{
		"<publish> has a node"; source = "xmpp-parsers Publish"; typed = true;
		broken = function (push) return not parts(push).publish.attr.node; end;
		breaks = function (push) parts(push).publish.attr.node = nil; end;
	};
	{
		"<item> has one child at most"; source = "xmpp-parsers Item";
		broken = function (push) return #parts(push).item.tags > 1; end;
		breaks = function (push) publish.add_foreign(parts(push).item); end;
	};
	{
		"no element has an attribute that xmpp-parsers does not know"; source = "xmpp-parsers Publish, Item, PublishOptions";
		broken = function (push) return has_odd_attribute(parts(push).pubsub); end;
		breaks = function (push) parts(push).item.attr.sent = "1"; end;
	};
	{
		"the form has five fields at most"; source = "message_loop.rs PubSubToManyPublishOptions";
		broken = function (push) return #(parts(push).options or { tags = {} }).tags > 5; end;
		breaks = function (push) for i = 1, 5 do publish.set(parts(push).options, "pushModule"..i, "m"); end end;
	};
	{
		"FORM_TYPE is hidden, or has no type in a form that is submitted"; source = "xmpp-parsers DataForm; XEP-0068";
		broken = function (push)
			local options = parts(push).options;
			local field = publish.field(options, "FORM_TYPE");
			if not field or field.attr.type == "hidden" then return false; end
			return options.attr.type ~= "submit" or (field.attr.type or "text-single") ~= "text-single";
		end;
		breaks = function (push)
			local options = parts(push).options;
			options.attr.type, publish.field(options, "FORM_TYPE").attr.type = "form", nil;
		end;
	};
	{
		"the form's first other field is pushModule"; source = "message_loop.rs PubSubInvalidPushModuleConfiguration";
		broken = function (push)
			for _, field in ipairs((parts(push).options or { tags = {} }).tags) do
				if field.attr.var ~= "FORM_TYPE" then return field.attr.var ~= "pushModule"; end
			end
		end;
		breaks = function (push)
			local options = parts(push).options;
			publish.remove(options, function (field) return field.attr.var == "pushModule"; end);
			publish.set(options, "secret", "s");
		end;
	};
	-- fpush keeps no devices: the node is Apple's token.
	{
		"Apple knows the token"; source = "fpush-push/src/push_handler.rs"; answer = { "cancel", "policy-violation" };
		broken = function (_, device) return device == nil; end;
		breaks = function (push) parts(push).publish.attr.node = "another"; end;
	};
	rules.verbatim;
}
