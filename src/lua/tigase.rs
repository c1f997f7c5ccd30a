//! Tigase's extensions in the records of the store. Records have the keys of Prosody's community modules, so that each side reads
//! the records of the other.

use mlua::prelude::*;

use super::value::{field, is_set, pairs, string};
use crate::reason::Reason;
use crate::tigase::Settings;
use crate::tigase::enable::{EncryptionRequest, Request, RoomRequest};
use crate::tigase::encrypt::{AES_128_GCM, Aes128Gcm, Encryption, key};
use crate::tigase::filter::{Allow, Filter, Room};

/// Reads the settings in a record; `None` if the client asked for nothing.
pub fn settings(record: &LuaTable) -> Option<Box<Settings>> {
    let table = |key| record.raw_get::<LuaValue>(key).ok()?.as_table().cloned();
    let (muted, rooms) = (pairs(record, "muted_jids"), pairs(record, "groupchat_rules"));
    let settings = Settings {
        encryption: table("encryption").map(|table| encryption(&table, record)),
        filter: Filter {
            ignore_unknown: is_set(record, "filter_unknown"),
            muted: muted.iter().filter_map(|(jid, _)| Some(string(jid)?.into())).collect(),
            rooms: rooms.iter().filter_map(|(jid, rule)| room(string(jid)?, rule.as_table()?)).collect(),
        },
    };
    (settings != Settings::default()).then(|| settings.into())
}

fn encryption(table: &LuaTable, record: &LuaTable) -> Encryption {
    if field(table, "algorithm").as_deref() != Some(AES_128_GCM) {
        return Encryption::Unusable(Reason::UnknownEncryption);
    }
    let Some(key) = field(table, "key_base64").and_then(|base64| key(&base64)) else {
        return Encryption::Unusable(Reason::InvalidKey);
    };
    let max_size = field(table, "max_size").and_then(|size| size.parse().ok());
    Encryption::Aes128Gcm(Aes128Gcm { key, max_size, omemo: field(record, "omemo_device").map(Into::into) })
}

fn room(jid: String, rule: &LuaTable) -> Option<Room> {
    let allow = match field(rule, "when").as_deref() {
        Some("never") => Allow::Never,
        Some("mentioned") => Allow::Mentioned,
        _ => Allow::Always,
    };
    Some(Room { jid: jid.into(), allow, nick: field(rule, "nick").map(Into::into) })
}

/// Writes a client's request into the record for the store.
pub fn write(lua: &Lua, request: Request, record: &LuaTable) -> LuaResult<()> {
    if let Some(EncryptionRequest { key_base64, max_size }) = request.encryption {
        let table = lua.create_table()?;
        table.raw_set("algorithm", AES_128_GCM)?;
        table.raw_set("key_base64", key_base64)?;
        table.raw_set("max_size", max_size)?;
        record.raw_set("encryption", table)?;
    }
    record.raw_set("omemo_device", request.omemo_device)?;
    record.raw_set("filter_unknown", request.ignore_unknown.then_some(true))?;
    if let Some(muted) = request.muted {
        record.raw_set("muted_jids", lua.create_table_from(muted.into_iter().map(|jid| (jid, true)))?)?;
    }
    if let Some(rooms) = request.rooms {
        let table = lua.create_table()?;
        for RoomRequest { jid, allow, nick } in rooms {
            let rule = lua.create_table()?;
            rule.raw_set("when", allow)?;
            rule.raw_set("nick", nick)?;
            table.raw_set(jid, rule)?;
        }
        record.raw_set("groupchat_rules", table)?;
    }
    Ok(())
}
