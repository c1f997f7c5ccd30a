-- All of Tigase's extensions, for Siskin and Snikket iOS.
local is_loaded = require "core.modulemanager".is_loaded;

module:depends("cloud_notify_encrypted");
module:depends("cloud_notify_filters");
module:depends("cloud_notify_priority_tag");

-- A device without a session is woken whatever the user's other clients do, so also while they are away: where what they get is
-- archived.
module:hook("account-disco-info", function (event)
	if not is_loaded(module.host, "mam") then return; end
	event.reply:tag("feature", { var = "tigase:push:away:0" }):up();
end);
