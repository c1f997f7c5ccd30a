-- AES-128-GCM by an implementation that is not ours: Python's `cryptography`. It checks the tag.
local json = require "util.json";

local SCRIPT = [[
import base64, sys
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
key, iv, text = (base64.b64decode(argument) for argument in sys.argv[1:])
sys.stdout.write(AESGCM(key).decrypt(iv, text, None).decode())
]];

-- All in base64. Gives what the JSON says.
return function (key, iv, text)
	for _, argument in ipairs({ key, iv, text }) do assert(not argument:find("[^%w+/=]"), "not base64"); end
	local process = assert(io.popen(("python3 -c '%s' %s %s %s 2>&1"):format(SCRIPT, key, iv, text)));
	local out = process:read("a");
	process:close();
	return (assert(json.decode(out), out));
end
