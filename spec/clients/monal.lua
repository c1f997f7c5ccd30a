local publish = require "spec.support.publish";
local shapes = require "spec.support.shapes";

local function enable(device)
	device.options = publish.options { { "pushModule", "monalProdiOS" } };
	return shapes.enable(device, device.options);
end

return {
	title = "Monal"; read = "monal-im/Monal 133bfd394, 2024-10-23";
	files = "XMPPIQ.m, xmpp.m (enablePush), MLIQProcessor.m, MLCall.m";
	gateway = "fpush"; resource = "Monal-iOS.4a6b"; smacks = true; sasl2 = true; inactive = true;
	looks_for = { "urn:xmpp:push:0" };
	-- The node is Apple's token: it registers nowhere.
	node = "6f1d0c5e2b7a4983a1c0d9e8f7b6a5949382716051403f2e1d0c9b8a79685746";
	on = "bind"; enable = enable;
	-- The token may have changed.
	resumed = function (device) return { enable(device) }; end;
	disable = shapes.disable;
	propose = function (to, sid) return { shapes.jingle(to, "propose", sid, { id = "p-"..sid, media = { "audio" } }) }; end;
	take = function (_, caller, sid) return { shapes.jingle(caller, "proceed", sid, { id = "t-"..sid }) }; end;
}
