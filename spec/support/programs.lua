-- The programs of spec/programs_spec.lua: title (the library), read (its version, as the machine has it), command, form_type (false
-- where its form's FORM_TYPE has no type).
local function output(command)
	local process = io.popen(command.." 2>/dev/null");
	local text = process:read("a"):gsub("%s+$", "");
	process:close();
	return text;
end

return {
	{
		title = "slixmpp"; from = "Debian, python3-slixmpp"; form_type = false;
		-- Debian's, whatever another Python on the machine has.
		command = "/usr/bin/python3 spec/clients/slixmpp_phone.py";
		version = function () return output("/usr/bin/python3 -c 'import slixmpp; print(slixmpp.__version__)'"); end;
	};
}
