-- Tigase's priority: an important push says so. The rules are in Rust.
module:depends("cloud_notify").extend(module, "priority");
