-- Tigase's filters: who does not wake a device. The rules are in Rust.
module:depends("cloud_notify").extend(module, "filters");
