-- The programs of spec/programs_spec.lua: title (the library), from (where the machine has it from), command, resumes (false where it
-- comes back with a new session), and the types of the fields in its form: form_type (false: none) and secret_type (default: none).
local lfs = require "lfs";
local paths = require "spec.support.paths";

local qxmpp = paths.root.."/.prosody/qxmpp";

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
		-- Its libraries are where `deps` has unpacked them. The folder of libproxy is Debian 13's.
		command = ("LD_LIBRARY_PATH=$(printf %%s: %s/usr/lib/*-linux-gnu %s/usr/lib/*-linux-gnu/libproxy %s/lib/*-linux-gnu) %s/qxmpp_phone")
			:format(qxmpp, qxmpp, qxmpp, paths.target);
		-- Before version 1.6.1, so on Debian 12, it cannot resume.
		resumes = not lfs.attributes(qxmpp.."/usr/include/qxmpp");
	};
}
