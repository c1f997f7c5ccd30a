-- Tigase's priority, which marks an important push. The rules are in Rust.
module:depends("cloud_notify").extend(module, "priority");
