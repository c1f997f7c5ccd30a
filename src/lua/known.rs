//! The parts of a stanza that the rules look at, as tables for the shim.

use mlua::prelude::*;

use super::host::{Host, method};
use super::protocol::{LooksAt, LuaProtocol};
use super::value::Text;
use crate::config::{Config, Rooms};
use crate::limits::{FIRST_CHILDREN, LAST_CHILDREN, LONGEST_ENTRY, MOST_OF_A_KIND};
use crate::rules::facts::{
    ACTIVITY, ARCHIVED, CONTACT, IN_USE, MARKED_AS, MENTION, MENTIONED_GROUP, MENTIONED_OCCUPANT, NICKNAME, OCCUPANT,
    PUBLIC_ROOM, REFLECTED, STRANGER,
};
use crate::rules::walk::{CALL_NAMESPACES, Form, IQ, ITEM, Keep, PRESENCE, Rule};

pub fn methods<P: LuaProtocol, M: LuaUserDataMethods<Host<P>>>(methods: &mut M) {
    method(methods, "features", |lua, _: &mut Host<P>, extension: Option<Text>| {
        lua.create_sequence_from(P::features(extension.as_deref()))
    });
    method(methods, "known", |lua, host, ()| stanzas(lua, host.engine.protocol().looks_at(), host.engine.config()));
}

/// Writes the tables for the shim's walk over a stanza, by the stanza's name, and the bits and letters that the shim sets
/// itself.
fn stanzas(lua: &Lua, looks_at: LooksAt, config: &Config) -> LuaResult<LuaTable> {
    let wanted = looks_at.extracts;
    let table = lua.create_table()?;
    let stanzas = [("message", looks_at.message), ("presence", &PRESENCE), ("iq", &IQ), ("item", &ITEM)];
    let stanzas = stanzas.into_iter().map(|(name, rule)| Ok((name, rule_of(lua, rule, wanted)?)));
    table.set("stanzas", lua.create_table_from(stanzas.collect::<LuaResult<Vec<_>>>()?)?)?;
    let bits = [("reflected", REFLECTED), ("contact", CONTACT), ("stranger", STRANGER)];
    for (name, bit) in bits {
        table.set(name, bit)?;
    }
    table.set("calls", lua.create_table_from(CALL_NAMESPACES.map(|namespace| (namespace, true)))?)?;
    table.set("most_of_a_kind", MOST_OF_A_KIND)?;
    table.set("longest_entry", LONGEST_ENTRY)?;
    table.set("first_children", FIRST_CHILDREN)?;
    table.set("last_children", LAST_CHILDREN)?;
    let letters = [
        ("mentioned_group", MENTIONED_GROUP),
        ("mentioned_occupant", MENTIONED_OCCUPANT),
        ("mention", MENTION),
        ("nickname", NICKNAME),
        ("occupant", OCCUPANT),
        ("marked_as", MARKED_AS),
    ];
    for (name, letter) in letters {
        table.set(name, letter.to_string())?;
    }
    if looks_at.archived {
        table.set("archived", ARCHIVED)?;
    }
    if looks_at.activity || config.patience > 0 {
        table.set("activity", ACTIVITY.to_string())?;
    }
    if config.patience > 0 {
        table.set("in_use", IN_USE.to_string())?;
    }
    if config.rooms == Rooms::Mentions {
        table.set("public_room", PUBLIC_ROOM)?;
    }
    Ok(table)
}

fn rule_of(lua: &Lua, rule: &Rule, wanted: &[char]) -> LuaResult<LuaTable> {
    let table = lua.create_table()?;
    if rule.bit != 0 {
        table.set("bit", rule.bit)?;
    }
    if rule.text != 0 {
        table.set("text", rule.text)?;
    }
    match rule.keep {
        Keep::Body => table.set("keep", "body")?,
        Keep::CallId(attr) => {
            table.set("keep", "call")?;
            table.set("attr", attr)?;
        }
        Keep::Invite => table.set("keep", "invite")?,
        Keep::Forwarded => table.set("keep", "forwarded")?,
        Keep::Mention => table.set("keep", "mention")?,
        Keep::ArchiveId => table.set("keep", "archive_id")?,
        Keep::CarbonArchiveId => table.set("keep", "carbon_archive_id")?,
        Keep::Extract(extract) if wanted.contains(&extract.kind) => {
            table.set("keep", "extract")?;
            table.set("kind", extract.kind.to_string())?;
            table.set("attr", extract.attr)?;
            table.set("of_type", extract.of_type)?;
            table.set("with_text", extract.text.then_some(true))?;
            table.set("form", form(extract.form))?;
        }
        Keep::Attributes(kind, names) => {
            table.set("keep", "attributes")?;
            table.set("kind", kind.to_string())?;
            table.set("attrs", names)?;
        }
        Keep::Extract(_) | Keep::Nothing => {}
    }
    let (attribute, values) = rule.values;
    if !values.is_empty() {
        table.set("by", attribute)?;
        table.set("values", lua.create_table_from(values.iter().copied())?)?;
    }
    if rule.own {
        table.set("own", true)?;
    }
    if !rule.children.is_empty() {
        table.set("children", children(lua, rule, wanted)?)?;
    }
    Ok(table)
}

fn form(form: Form) -> Option<&'static str> {
    match form {
        Form::Text => None,
        Form::Jid => Some("jid"),
        Form::Uri => Some("uri"),
    }
}

/// Writes the rules of the children, by name and then by namespace. Names come first, because most children of a message have
/// none of these names.
fn children(lua: &Lua, parent: &Rule, wanted: &[char]) -> LuaResult<LuaTable> {
    let names = lua.create_table()?;
    for child in parent.children.iter().copied().flatten() {
        let namespaces = match names.get::<Option<LuaTable>>(child.name)? {
            Some(namespaces) => namespaces,
            None => {
                let namespaces = lua.create_table()?;
                names.set(child.name, &namespaces)?;
                namespaces
            }
        };
        namespaces.set(child.ns, rule_of(lua, &child.rule, wanted)?)?;
    }
    Ok(names)
}
