-- The programs of spec/programs_spec.lua: title (the library), from (where the machine has it from), command, and form_type (false
-- where the library's user writes FORM_TYPE without a type).
local paths = require "spec.support.paths";

return {
	{
		title = "slixmpp"; from = "Debian, `python3-slixmpp`"; form_type = false;
		-- Debian's, whatever other Python the machine has.
		command = "/usr/bin/python3 spec/clients/slixmpp_phone.py";
	};
	{
		title = "tokio-xmpp"; from = "crates.io";
		command = paths.target.."/debug/examples/tokio_xmpp_phone";
	};
}
