//! A user's registrations: how they get from the store into the engine, and which of them are removed.

use mlua::prelude::*;

use super::host::{Host, identifiers, method, moment};
use super::protocol::LuaProtocol;
use super::stanza;
use super::value::{Text, is_same, timestamp};
use crate::registration::devices::admit;

/// Why a registration is never woken.
const UNREADABLE: &str = "its record in the store cannot be read";
const TOO_MANY: &str = "the user has too many devices (push_max_devices)";

pub fn methods<P: LuaProtocol, M: LuaUserDataMethods<Host<P>>>(methods: &mut M) {
    method(methods, "load", |_, host, (user, stored, is_disabled): (Text, Option<LuaTable>, bool)| {
        let registrations = host.registrations(&user, stored);
        host.engine.load(&user, registrations, is_disabled);
        Ok(host.engine.wants_bookmarks(&user))
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
    type Asked = (f64, f64, Text, LuaTable, Option<Text>, Option<Text>, Option<Text>, Option<Text>);
    method(methods, "seen", |_, host, (wall, mono, user, enable, client_id, resource, language, grant): Asked| {
        let client = client(client_id, resource, language, grant);
        let seen = |fingerprint| {
            host.engine.seen(moment(wall, mono), &user, fingerprint).map(|identifier| identifier.to_string())
        };
        Ok(stanza::fingerprint(&enable, &client, &host.fingerprints).and_then(seen))
    });
    type Made = (f64, f64, Text, Text, LuaTable, Option<Text>, Option<Text>, Option<Text>, Option<Text>);
    method(
        methods,
        "saw",
        |_, host, (wall, mono, user, identifier, enable, client_id, resource, language, grant): Made| {
            let client = client(client_id, resource, language, grant);
            if let Some(fingerprint) = stanza::fingerprint(&enable, &client, &host.fingerprints) {
                host.engine.saw(moment(wall, mono), &user, &identifier, fingerprint);
            }
            Ok(())
        },
    );
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
    type Renewal = (Text, LuaTable, Text, LuaTable);
    method(methods, "stored_at", |_, host, (user, stored, identifier, record): Renewal| {
        let is_same = match stored.raw_get::<LuaValue>(&*identifier)? {
            LuaValue::Table(stored) => is_same(&stored, &record, "timestamp"),
            _ => false,
        };
        if !is_same {
            return Ok(None);
        }
        let devices = host.stored_devices(&user, Some(stored));
        let current = devices.current(&identifier, timestamp(&record), host.engine.max_devices());
        Ok(current.map(|current| current.timestamp))
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

/// Returns the facts, in addition to the request, that a registration is made from. A client with a user agent id may have
/// another resource each time, so its resource is left out.
fn client(
    client_id: Option<Text>,
    resource: Option<Text>,
    language: Option<Text>,
    grant: Option<Text>,
) -> [Option<Text>; 4] {
    let resource = resource.filter(|_| client_id.is_none());
    [client_id, resource, language, grant]
}
