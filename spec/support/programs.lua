-- The programs of spec/programs_spec.lua: title (the library), from (where the machine has it from), command, resumes (false where it
-- comes back with a new session), and the types of the fields in its form: form_type (false: none) and secret_type (default: none).
local lfs = require "lfs";
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
	{
		title = "QXmpp"; from = "Debian, `libqxmpp-dev`"; secret_type = "text-single";
		command = paths.target.."/qxmpp_phone";
		-- Before version 1.6.1, so on Debian 12, it cannot resume.
		resumes = not lfs.attributes(paths.root.."/.prosody/qxmpp/usr/include/qxmpp");
	};
}
