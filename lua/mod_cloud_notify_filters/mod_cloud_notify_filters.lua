-- Tigase's filters: who does not wake a device. The rules are in Rust.
module:depends("cloud_notify").extend(module, "filters", {
	"tigase:push:filter:ignore-unknown:0";
	"tigase:push:filter:muted:0";
	"tigase:push:filter:groupchat:0";
});
