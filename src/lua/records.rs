//! Reads the registrations of a user from the table that the store has of them.
//!
//! The table is the reference's and other modules write to it: what cannot be read is skipped and said so, never an
//! error, and nothing here changes it.

use mlua::prelude::*;
use tracing::warn;

use super::tigase;
use crate::element::{Element, Node, Packed};
use crate::registration::{MAX_SIZE, Refusal, Registration};

/// An options form is flat; what is deeper or larger than this is no form.
const MAX_DEPTH: usize = 16;
const MAX_NODES: usize = 10_000;

/// All registrations in `stored`, in no order.
pub fn read(user: &str, stored: Option<LuaTable>) -> Vec<Registration> {
    let mut registrations = Vec::new();
    for pair in stored.iter().flat_map(|stored| stored.pairs::<LuaValue, LuaValue>()) {
        let Ok((identifier, record)) = pair else { break };
        match registration(&identifier, &record) {
            Some(registration) => registrations.push(registration),
            None => {
                warn!("A stored push registration of {user} cannot be read and is skipped; the store is left as it is")
            }
        }
    }
    registrations
}

/// One record of the store.
pub fn registration(identifier: &LuaValue, record: &LuaValue) -> Option<Registration> {
    let record = record.as_table()?;
    let text = |key| string(&record.raw_get(key).ok()?);
    let options: LuaValue = record.raw_get("options").ok()?;
    let timestamp: LuaValue = record.raw_get("timestamp").ok()?;
    let options = match &options {
        LuaValue::Nil => None,
        options => Some(element(options, MAX_DEPTH, &mut { MAX_NODES })?),
    };
    let timestamp = timestamp.as_i64().or(timestamp.as_f64().map(|seconds| seconds as i64)).unwrap_or(0);
    let (identifier, jid, node) = (string(identifier)?, text("jid")?, text("node"));
    let mut registration = Registration::new(&identifier, &jid, node.as_deref(), options.as_ref(), timestamp);
    registration.client_id = text("client_id").map(Into::into);
    registration.tigase = tigase::settings(record);
    Some(registration)
}

/// Whether a record that a client wants stored may be; its form as the store will have it, or the stanza.
pub fn check(identifier: &LuaValue, record: &LuaValue) -> Result<(), Refusal> {
    let registration = registration(identifier, record).ok_or(Refusal::TooLarge)?;
    let fields = record.as_table().into_iter().flat_map(|record| record.pairs::<LuaValue, LuaValue>());
    let text = fields.flatten().map(|(_, value)| value.as_string().map_or(0, |text| text.as_bytes().len()));
    let form = registration.options.as_ref().map_or(0, Packed::size);
    if text.sum::<usize>() + form > MAX_SIZE { Err(Refusal::TooLarge) } else { Ok(()) }
}

/// An element as `st.preserialize` leaves it: `name`, `attr`, and children from 1 up.
fn element(value: &LuaValue, depth: usize, budget: &mut usize) -> Option<Element> {
    let table = value.as_table()?;
    let attr: Option<LuaTable> = table.raw_get("attr").ok()?;
    let mut attrs = Vec::new();
    for pair in attr.iter().flat_map(|attr| attr.pairs::<LuaValue, LuaValue>()) {
        let (name, value) = pair.ok()?;
        attrs.push((string(&name)?.into(), string(&value)?.into()));
    }
    attrs.sort();
    let mut children = Vec::new();
    for i in 1..=table.raw_len() {
        *budget = budget.checked_sub(1)?;
        children.push(match table.raw_get(i).ok()? {
            child @ LuaValue::Table(_) => Node::Element(element(&child, depth.checked_sub(1)?, budget)?),
            text => Node::Text(string(&text)?.into()),
        });
    }
    let name = string(&table.raw_get("name").ok()?)?.into();
    Some(Element { name, attrs: attrs.into(), children: children.into() })
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
