//! Writes stanzas as Prosody's `util.stanza` has them.

use mlua::prelude::*;

use crate::element::Sink;

/// An element that is being written.
struct Open {
    element: LuaTable,
    tags: LuaTable,
    children: usize,
    elements: usize,
}

/// Builds one element after the other.
pub struct Writer<'l> {
    lua: &'l Lua,
    metatable: &'l LuaTable,
    open: Vec<Open>,
    done: Option<LuaTable>,
}

impl<'l> Writer<'l> {
    /// `metatable` is the one that makes a table a stanza.
    pub fn new(lua: &'l Lua, metatable: &'l LuaTable) -> Self {
        Writer { lua, metatable, open: Vec::new(), done: None }
    }

    pub fn lua(&self) -> &'l Lua {
        self.lua
    }

    /// The element that was closed last at the top.
    pub fn take(&mut self) -> LuaResult<LuaTable> {
        self.done.take().ok_or_else(|| LuaError::runtime("no element has been written"))
    }

    /// Puts an element that is ready into the one that is open.
    pub fn append(&mut self, element: &LuaTable) -> LuaResult<()> {
        let Some(parent) = self.open.last_mut() else {
            self.done = Some(element.clone());
            return Ok(());
        };
        parent.children += 1;
        parent.elements += 1;
        parent.element.raw_seti(parent.children, element)?;
        parent.tags.raw_seti(parent.elements, element)
    }
}

impl Sink for Writer<'_> {
    type Error = LuaError;

    fn open(&mut self, name: &str, attrs: &[(&str, &str)]) -> LuaResult<()> {
        let attr = self.lua.create_table_with_capacity(0, attrs.len())?;
        for (name, value) in attrs {
            attr.raw_set(*name, *value)?;
        }
        let tags = self.lua.create_table()?;
        let element = self.lua.create_table_with_capacity(1, 3)?;
        element.raw_set("name", name)?;
        element.raw_set("attr", attr)?;
        element.raw_set("tags", &tags)?;
        element.set_metatable(Some(self.metatable.clone()))?;
        self.open.push(Open { element, tags, children: 0, elements: 0 });
        Ok(())
    }

    fn text(&mut self, text: &str) -> LuaResult<()> {
        if let Some(parent) = self.open.last_mut()
            && !text.is_empty()
        {
            parent.children += 1;
            parent.element.raw_seti(parent.children, text)?;
        }
        Ok(())
    }

    fn close(&mut self) -> LuaResult<()> {
        match self.open.pop() {
            Some(Open { element, .. }) => self.append(&element),
            None => Err(LuaError::runtime("no element is open")),
        }
    }
}
