-- All of Tigase's extensions, for Siskin and Snikket iOS.
local is_loaded = require "core.modulemanager".is_loaded;

module:depends("cloud_notify_encrypted");
module:depends("cloud_notify_filters");
module:depends("cloud_notify_priority_tag");

-- tigase:push:away:0: a device without a session is woken even while the user's other clients are away. This needs an archive,
-- because a message to another client is seen only when mod_mam archives it.
module:hook("account-disco-info", function (event)
	if not is_loaded(module.host, "mam") then return; end
	event.reply:tag("feature", { var = "tigase:push:away:0" }):up();
end);
