rockspec_format = "3.0"
package = "prosody-push"
version = "scm-1"
source = { url = "git+file://." }
description = {
	summary = "Push notifications for the Prosody XMPP server";
	detailed = [[
		Stands in for mod_cloud_notify (XEP-0357) and mod_push2 (Push 2.0) on Prosody 0.12 and 13.0, its rules in Rust.
		Needs cargo to build.
	]];
	license = "MIT";
}
supported_platforms = { "unix" }
dependencies = { "lua >= 5.2, < 5.5" }
build = {
	type = "make";
	build_target = "build";
	build_variables = { LUA = "$(LUA)" };
	install_target = "files";
	install_variables = {
		LUA = "$(LUA)";
		LUA_CMOD = "$(LIBDIR)";
		PLUGINDIR = "$(LUADIR)";
	};
}
