//! What a client asks for in `<enable>`, into the store and out of it. Records have the keys of Prosody's community modules,
//! so that either can read what the other has written.

use mlua::prelude::*;

use super::protocol::Normal;
use super::stanza::{attribute, children, is, text};
use super::value::{field, is_set, pairs, string};
use crate::address::bare;
use crate::ns;
use crate::tigase::encrypt::{AES_128_GCM, Aes128Gcm, Encryption, key};
use crate::tigase::filter::{Allow, Filter, Room};
use crate::tigase::{Extensions, Settings};
use crate::xep0357::enable::{MAX_SIZE, Refusal};

/// What the record of a store has; nothing if the client asked for nothing.
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
    let known = field(table, "algorithm").is_some_and(|algorithm| algorithm == AES_128_GCM);
    let max_size = field(table, "max_size").and_then(|size| size.parse().ok());
    match field(table, "key_base64").filter(|_| known).and_then(|base64| key(&base64)) {
        Some(key) => {
            let omemo = field(record, "omemo_device").map(Into::into);
            Encryption::Aes128Gcm(Aes128Gcm { key, max_size, omemo })
        }
        None => Encryption::Unusable,
    }
}

fn room(jid: String, rule: &LuaTable) -> Option<Room> {
    let allow = match field(rule, "when").as_deref() {
        Some("never") => Allow::Never,
        Some("mentioned") => Allow::Mentioned,
        _ => Allow::Always,
    };
    Some(Room { jid: jid.into(), allow, nick: field(rule, "nick").map(Into::into) })
}

/// Puts what `<enable>` asks for into the record that will be stored.
pub fn ask(
    lua: &Lua,
    enable: &LuaTable,
    record: &LuaTable,
    extensions: Extensions,
    normal: &Normal,
) -> LuaResult<Result<(), Refusal>> {
    // What is asked for stays in memory and goes through every message: it is bounded like all of a registration.
    let mut size = 0;
    for child in children(enable) {
        let (name, xmlns) = (field(&child, "name"), attribute(&child, "xmlns"));
        match (name.as_deref(), xmlns.as_deref()) {
            (Some("encrypt"), Some(ns::TIGASE_ENCRYPT)) if extensions.encrypted => {
                if attribute(&child, "alg").as_deref() != Some(AES_128_GCM) {
                    return Ok(Err(Refusal::UnknownAlgorithm));
                }
                let base64 = Some(text(&child)).filter(|base64| key(base64).is_some());
                let Some(base64) = base64 else { return Ok(Err(Refusal::InvalidKey)) };
                let max_size = attribute(&child, "max-size").map(|size| size.parse::<u32>());
                let Ok(max_size) = max_size.transpose() else { return Ok(Err(Refusal::InvalidMaxSize)) };
                let table = lua.create_table()?;
                table.set("algorithm", AES_128_GCM)?;
                table.set("key_base64", base64.trim())?;
                table.set("max_size", max_size)?;
                record.set("encryption", table)?;
            }
            (Some("omemo"), Some(ns::TIGASE_OMEMO)) if extensions.encrypted => {
                record.set("omemo_device", attribute(&child, "deviceId"))?;
            }
            (Some("ignore-unknown"), Some(ns::TIGASE_UNKNOWN)) if extensions.filters => {
                record.set("filter_unknown", true)?;
            }
            (Some("muted"), Some(ns::TIGASE_MUTED)) if extensions.filters => {
                let table = lua.create_table()?;
                for (jid, _) in named(&child, "item", normal) {
                    size += jid.len();
                    table.set(jid, true)?;
                }
                record.set("muted_jids", table)?;
            }
            (Some("groupchat"), Some(ns::TIGASE_GROUPCHAT)) if extensions.filters => {
                let table = lua.create_table()?;
                for (jid, room) in named(&child, "room", normal) {
                    let (when, nick) = (attribute(&room, "allow"), attribute(&room, "nick"));
                    size += jid.len() + [&when, &nick].into_iter().flatten().map(String::len).sum::<usize>();
                    let rule = lua.create_table()?;
                    rule.set("when", when)?;
                    rule.set("nick", nick)?;
                    table.set(jid, rule)?;
                }
                record.set("groupchat_rules", table)?;
            }
            _ => {}
        }
        if size > MAX_SIZE {
            return Ok(Err(Refusal::TooLarge));
        }
    }
    Ok(Ok(()))
}

/// The children of that name, by their bare JID in normal form; those without one are nobody.
fn named(element: &LuaTable, name: &str, normal: &Normal) -> Vec<(String, LuaTable)> {
    let named = children(element).into_iter().filter(|child| is(child, name));
    named.filter_map(|child| Some((bare(&normal.of(&attribute(&child, "jid")?)?).to_owned(), child))).collect()
}
