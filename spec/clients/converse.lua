local publish = require "spec.support.publish";
local shapes = require "spec.support.shapes";

return {
	title = "Converse"; read = "conversejs/converse.js 976f6a8818 (14.0.0), 2026-07-24";
	files = "plugins/push/utils.js, headless/plugins/smacks/index.js";
	gateway = "mod_push_appserver";
	-- Of its own in each tab.
	resource = "converse.js-21770972"; smacks = true;
	looks_for = { "urn:xmpp:push:0" };
	-- Its configuration has them.
	node = "d1"; secret = "s3cret";
	on = "bind";
	enable = function (device)
		device.options = publish.options({ { "secret", device.secret } }, false);
		return shapes.enable(device, device.options);
	end;
	resumed = function () return {}; end;
	disable = shapes.disable;
}
