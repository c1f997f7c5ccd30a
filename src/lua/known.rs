//! Tells the shim which parts of a stanza the rules look at.

use mlua::prelude::*;

use crate::config::Config;
use crate::facts::{Element, Keep, MESSAGE, REFLECTED};

/// The table for the shim's walk over a `<message>`.
pub fn message(lua: &Lua, config: &Config) -> LuaResult<LuaTable> {
    let table = element(lua, &MESSAGE, config)?;
    table.set("reflected", REFLECTED)?;
    Ok(table)
}

fn element(lua: &Lua, element: &Element, config: &Config) -> LuaResult<LuaTable> {
    let table = lua.create_table()?;
    if element.bit != 0 {
        table.set("bit", element.bit)?;
    }
    if element.text != 0 {
        table.set("text", element.text)?;
    }
    match element.keep {
        Keep::Body if config.with_body => table.set("keep", "body")?,
        Keep::CallId => table.set("keep", "call")?,
        Keep::ArchiveId => table.set("keep", "archive_id")?,
        Keep::Body | Keep::Nothing => {}
    }
    if !element.types.is_empty() {
        table.set("types", lua.create_table_from(element.types.iter().copied())?)?;
    }
    if !element.children.is_empty() {
        table.set("children", children(lua, element, config)?)?;
    }
    Ok(table)
}

/// Name, then namespace, then what the child means. Names first: most children of a message are known by none.
fn children(lua: &Lua, parent: &Element, config: &Config) -> LuaResult<LuaTable> {
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
        namespaces.set(child.ns, element(lua, &child.element, config)?)?;
    }
    Ok(names)
}
