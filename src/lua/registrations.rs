//! A user's registrations: from the store into the engine, and which of them go.

use mlua::prelude::*;

use super::host::{Host, identifiers, method, moment};
use super::protocol::LuaProtocol;
use super::value::Text;
use crate::registration::devices::{admit, is_current};

/// Why a registration is never woken.
const UNREADABLE: &str = "its record in the store cannot be read";
const TOO_MANY: &str = "the user has too many devices (push_max_devices)";

pub fn methods<P: LuaProtocol, M: LuaUserDataMethods<Host<P>>>(methods: &mut M) {
    method(methods, "load", |_, host, (user, stored, is_disabled): (Text, Option<LuaTable>, bool)| {
        let registrations = host.registrations(&user, stored);
        host.engine.load(&user, registrations, is_disabled);
        Ok(())
    });
    method(methods, "is_disabled", |_, host, user: Text| Ok(host.engine.is_disabled(&user)));
    method(methods, "ended", |_, host, refused: bool| {
        host.engine.ended(refused);
        Ok(())
    });
    method(methods, "forget", |_, host, user: Text| {
        host.engine.forget(&user);
        Ok(())
    });
    method(methods, "enabled", |_, host, (wall, mono, user, identifier): (f64, f64, Text, Text)| {
        host.engine.enabled(moment(wall, mono), &user, &identifier);
        Ok(())
    });
    type Client = (Text, Option<LuaTable>, Option<Text>, Text);
    method(methods, "of_client", |_, host, (user, stored, client_id, resource): Client| {
        let devices = host.stored_devices(&user, stored);
        Ok(devices.of_client(client_id.as_deref(), &resource).map(|device| device.identifier.to_string()))
    });
    method(methods, "admit", |lua, host, (user, stored, newest, now): (Text, LuaTable, Text, i64)| {
        let registrations = host.registrations(&user, Some(stored));
        let (timestamp, superseded) = admit(registrations, &newest, now, host.engine.max_devices());
        Ok((timestamp, identifiers(lua, superseded.iter())?))
    });
    method(methods, "is_current", |_, host, (user, stored, identifier, now): (Text, LuaTable, Text, i64)| {
        Ok(is_current(host.registrations(&user, Some(stored)), &identifier, now, host.engine.max_devices()))
    });
    method(methods, "never_woken", |lua, host, (user, stored): (Text, Option<LuaTable>)| {
        let reasons = lua.create_table()?;
        for pair in stored.iter().flat_map(|stored| stored.pairs::<LuaValue, LuaValue>()) {
            reasons.raw_set(pair?.0, UNREADABLE)?;
        }
        let devices = host.stored_devices(&user, stored);
        let (too_many, woken) = devices.split(host.engine.max_woken());
        for registration in too_many {
            reasons.raw_set(&*registration.identifier, TOO_MANY)?;
        }
        for registration in woken {
            reasons.raw_set(&*registration.identifier, LuaNil)?;
        }
        Ok(reasons)
    });
}
