local publish = require "spec.support.publish";
local rules = require "spec.gateways.rules";

local parts, value = publish.parts, publish.value;

return {
	title = "MongooseIM"; serves = "clients made for it";
	read = "esl/MongooseIM, node_push.erl 00d237e, mod_push_service_mongoosepush.erl 0fc0db8";
	answer = { "modify", "bad-request" }; dead = { "cancel", "not-acceptable" };
	{
		"the first child of <item> is <notification>"; source = "node_push.erl do_publish_item";
		broken = function (push) return (parts(push).item.tags[1] or {}).name ~= "notification"; end;
		breaks = function (push)
			local item = parts(push).item;
			local notification = parts(push).notification;
			publish.remove(item, function () return true; end);
			publish.add_foreign(item);
			item:add_direct_child(notification);
		end;
	};
	{
		"the client's form is submitted, and has device_id and service"; source = "node_push.erl parse_form";
		answer = { "cancel", "conflict" };
		broken = function (push)
			local options = parts(push).options;
			return not options or options.attr.type ~= "submit" or not value(options, "device_id") or not value(options, "service");
		end;
		breaks = function (push) parts(push).options.attr.type = "form"; end;
	};
	rules.known("XEP-0060 §7.1.3.3", { "cancel", "item-not-found" });
	{
		"the summary is submitted"; source = "node_push.erl parse_form";
		broken = function (push) return parts(push).summary.attr.type ~= "submit"; end;
		breaks = function (push) parts(push).summary.attr.type = "form"; end;
	};
	{
		"the summary's message-count is a number"; source = "mod_push_service_mongoosepush.erl make_notification";
		broken = function (push) return not (value(parts(push).summary, "message-count") or ""):find("^%d+$"); end;
		breaks = function (push) publish.set(parts(push).summary, "message-count", "many"); end;
	};
	{
		"the summary has sender and body, unless the client's form says silent";
		source = "mod_push_service_mongoosepush.erl make_notification";
		broken = function (push)
			local found = parts(push);
			return value(found.options, "silent") ~= "true"
				and not (value(found.summary, "last-message-sender") and value(found.summary, "last-message-body"));
		end;
		breaks = function (push)
			publish.remove(parts(push).summary, function (field) return field.attr.var == "last-message-sender"; end);
		end;
	};
	rules.verbatim;
}
