-- Tigase's filters, which name the senders that do not wake a device. The rules are in Rust.
module:depends("cloud_notify").extend(module, "filters");
