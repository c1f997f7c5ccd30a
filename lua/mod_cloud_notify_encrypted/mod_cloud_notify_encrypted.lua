-- Tigase's "Encrypted Push Notifications", with calls. The rules are in Rust.
module:depends("cloud_notify").extend(module, "encrypted");
