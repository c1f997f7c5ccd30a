-- Tigase's "Encrypted Push Notifications", with calls. The rules are in Rust.
module:depends("cloud_notify").extend(module, "encrypted", {
	"tigase:push:encrypt:0";
	"tigase:push:encrypt:aes-128-gcm";
	"tigase:push:encrypt:omemo:0";
	"tigase:push:jingle:0";
});
