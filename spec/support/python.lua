-- Checks encryption and signatures with an independent implementation, Python's `cryptography`.

-- Runs a script with the arguments and returns its output.
return function (script, ...)
	local command = { "python3 -c '"..script.."'" };
	for _, argument in ipairs({ ... }) do
		assert(not argument:find("[^%w+/=_.-]"), "not base64");
		command[#command + 1] = argument;
	end
	local process = assert(io.popen(table.concat(command, " ").." 2>&1"));
	local out = process:read("a");
	assert(process:close(), out);
	return out;
end
