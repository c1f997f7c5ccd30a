//! Reads the registrations of a user from the table that the store has of them.
//!
//! The table is the reference's and other modules write to it: what cannot be read is skipped and said so, never an
//! error, and nothing here changes it.

use mlua::prelude::*;
use tracing::warn;

use super::Normal;
use super::stanza::read as element;
use super::{push2, tigase};
use crate::element::{Element, Packed};
use crate::protocol::Protocol;
use crate::registration::{MAX_ECHO, MAX_SIZE, Refusal, Registration};
use crate::time::Seconds;
use crate::xml::{Text, text_width};

/// An options form is flat; what is deeper or larger than this is no form.
const MAX_DEPTH: usize = 16;
const MAX_NODES: usize = 10_000;

/// All registrations in `stored`, in no order.
pub fn read(protocol: Protocol, user: &str, stored: Option<LuaTable>, normal: &Normal) -> Vec<Registration> {
    let registration = match protocol {
        Protocol::Push => registration,
        Protocol::Push2 => push2::registration,
    };
    let mut registrations = Vec::new();
    for pair in stored.iter().flat_map(|stored| stored.pairs::<LuaValue, LuaValue>()) {
        let Ok((identifier, record)) = pair else { break };
        match registration(&identifier, &record, normal) {
            Some(registration) => registrations.push(registration),
            None => {
                warn!("A stored push registration of {user} cannot be read and is skipped; the store is left as it is")
            }
        }
    }
    registrations
}

/// One record of the store. The reference stores any text for a JID: what is none stays as it is.
pub fn registration(identifier: &LuaValue, record: &LuaValue, normal: &Normal) -> Option<Registration> {
    let record = record.as_table()?;
    let options: LuaValue = record.raw_get("options").ok()?;
    let options = match &options {
        LuaValue::Nil => None,
        options => Some(element(options, MAX_DEPTH, &mut { MAX_NODES })?),
    };
    let (identifier, jid, node) = (string(identifier)?, field(record, "jid")?, field(record, "node"));
    let jid = normal.of(&jid).unwrap_or(jid);
    let mut registration = Registration::new(&identifier, &jid, node.as_deref(), options.as_ref(), timestamp(record));
    registration.client_id = field(record, "client_id").map(Into::into);
    registration.resource = field(record, "resource").map(Into::into);
    registration.tigase = tigase::settings(record);
    Some(registration)
}

/// Whether a record that a client wants stored may be; its form as the store will have it, or the stanza.
pub fn check(identifier: &LuaValue, record: &LuaValue, normal: &Normal) -> Result<(), Refusal> {
    let registration = registration(identifier, record, normal).ok_or(Refusal::TooLarge)?;
    let form = registration.options.as_ref().map_or(0, Packed::size);
    if record.as_table().map_or(0, text_size) + form > MAX_SIZE {
        return Err(Refusal::TooLarge);
    }
    let form = registration.options.as_ref().and_then(Packed::unpack).map_or(0, |form| written(&form));
    let echo = form + registration.node().map_or(0, text_width);
    if echo > MAX_ECHO { Err(Refusal::TooLongEcho) } else { Ok(()) }
}

/// Bytes of an element on the wire.
fn written(element: &Element) -> usize {
    let mut text = Text::default();
    let Ok(()) = element.write(&mut text);
    text.into_string().len()
}

/// Bytes of the texts in a table.
pub fn text_size(table: &LuaTable) -> usize {
    let fields = table.pairs::<LuaValue, LuaValue>().flatten();
    fields.map(|(_, value)| value.as_string().map_or(0, |text| text.as_bytes().len())).sum()
}

/// When a record was made.
pub fn timestamp(record: &LuaTable) -> Seconds {
    let timestamp = record.raw_get("timestamp").unwrap_or(LuaNil);
    timestamp.as_i64().or(timestamp.as_f64().map(|seconds| seconds as Seconds)).unwrap_or(0)
}

/// What a table has under a name.
pub fn field(table: &LuaTable, key: &str) -> Option<String> {
    string(&table.raw_get(key).ok()?)
}

/// A string, or a number that a hand or a tool wrote for one.
pub fn string(value: &LuaValue) -> Option<String> {
    match value {
        LuaValue::String(text) => Some(text.to_str().ok()?.to_owned()),
        LuaValue::Integer(number) => Some(number.to_string()),
        LuaValue::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
