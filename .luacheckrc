-- lua/ runs on Lua 5.2 to 5.4: only what all have.
std = "min"
max_line_length = 140
files["lua/"] = {
	-- A module hangs its save, restore and unload on `module`.
	globals = { "module", "package.loaded" };
	read_globals = { "prosody", package = { fields = { "searchpath" }, other_fields = true }, table = { fields = { "unpack" }, other_fields = true } };
}
files["lua/prosody_push.meta.lua"] = { ignore = { "212", "241" } }
files["spec/"] = { std = "lua54+busted" }
files["spec/support/modules/"] = { std = "lua54"; read_globals = { "module" }; globals = { "prosody" } }
