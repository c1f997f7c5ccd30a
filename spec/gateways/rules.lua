-- Rules that several gateways have.
local publish = require "spec.support.publish";

local rules = {};

-- The gateway reads the client's form, so it has to be as the client sent it.
rules.verbatim = {
	"the client's form comes back as it was sent"; source = "XEP-0357, Publishing Notifications";
	broken = function (push, device)
		local options = publish.parts(push).options;
		if not options or not device.options then return options ~= device.options; end
		return not publish.same(options, device.options);
	end;
	breaks = function (push) publish.field(publish.parts(push).options, "FORM_TYPE").attr.label = "what it is"; end;
};

function rules.known(source, answer)
	return {
		"the node is one that it gave"; source = source; answer = answer;
		broken = function (_, device) return device == nil; end;
		breaks = function (push) publish.parts(push).publish.attr.node = "another"; end;
	};
end

function rules.secret(source, answer)
	return {
		"the secret is the device's"; source = source; answer = answer;
		broken = function (push, device) return publish.value(publish.parts(push).options, "secret") ~= device.secret; end;
		breaks = function (push) publish.field(publish.parts(push).options, "secret"):get_child("value")[1] = "another"; end;
	};
end

return rules;
