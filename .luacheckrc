-- What Lua 5.2, 5.3 and 5.4 have in common.
std = "min"
max_line_length = 140
files["lua/"] = {
	read_globals = { "prosody" };
	-- A module hangs its save, restore and unload on it.
	globals = { "module" };
}
files["lua/prosody_push.meta.lua"] = { ignore = { "212" } }
files["spec/"] = { std = "lua54+busted" }
files["spec/support/modules/"] = { std = "lua54"; read_globals = { "module", "prosody" } }
