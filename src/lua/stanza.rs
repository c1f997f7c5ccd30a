//! Reads and writes stanzas as Prosody's `util.stanza` has them.

use mlua::prelude::*;

use super::value::string;
use crate::element::{Element, Node, Sink};
use crate::rules::facts::{FIRST_CHILDREN, LAST_CHILDREN};

/// What is deeper or larger in a stanza that is pushed whole is nothing that a notification could show.
const MAX_DEPTH: usize = 64;
const MAX_NODES: usize = 300;

/// A whole stanza; of one that is too large the text, and of the other children as many as there is room for.
pub fn whole(stanza: &LuaTable) -> Option<Element> {
    let (name, attrs) = start(stanza)?;
    let (mut budget, mut for_text) = (MAX_NODES, MAX_NODES);
    let mut children = Vec::new();
    for i in looked_at(stanza.raw_len()) {
        let child: LuaValue = stanza.raw_get(i).ok()?;
        let is_text = child.as_table().is_some_and(|child| is(child, "body"));
        let budget = if is_text { &mut for_text } else { &mut budget };
        if child.is_table() && *budget > 0 {
            *budget -= 1;
            children.extend(read(&child, MAX_DEPTH, budget).map(Node::Element));
        }
    }
    Some(Element { name, attrs, children: children.into() })
}

/// The places of the children of an element that are looked at.
fn looked_at(children: usize) -> impl Iterator<Item = usize> {
    let last = children.saturating_sub(LAST_CHILDREN).max(FIRST_CHILDREN) + 1;
    (1..=children.min(FIRST_CHILDREN)).chain(last..=children)
}

/// An element as it is, or as `st.preserialize` leaves it: `name`, `attr`, and children from 1 up. Nothing if it has more
/// than `depth` levels or than `budget` nodes.
pub fn read(value: &LuaValue, depth: usize, budget: &mut usize) -> Option<Element> {
    let table = value.as_table()?;
    let (name, attrs) = start(table)?;
    let mut children = Vec::new();
    for i in 1..=table.raw_len() {
        *budget = budget.checked_sub(1)?;
        children.push(match table.raw_get(i).ok()? {
            child @ LuaValue::Table(_) => Node::Element(read(&child, depth.checked_sub(1)?, budget)?),
            text => Node::Text(string(&text)?.into()),
        });
    }
    Some(Element { name, attrs, children: children.into() })
}

type Attributes = Box<[(Box<str>, Box<str>)]>;

/// Name and attributes, these in order.
fn start(table: &LuaTable) -> Option<(Box<str>, Attributes)> {
    let attr: Option<LuaTable> = table.raw_get("attr").ok()?;
    let mut attrs = Vec::new();
    for pair in attr.iter().flat_map(|attr| attr.pairs::<LuaValue, LuaValue>()) {
        let (name, value) = pair.ok()?;
        attrs.push((string(&name)?.into(), string(&value)?.into()));
    }
    attrs.sort();
    Some((string(&table.raw_get("name").ok()?)?.into(), attrs.into()))
}

/// The elements in an element.
pub fn children(element: &LuaTable) -> Vec<LuaTable> {
    (1..=element.raw_len()).filter_map(|i| element.raw_get::<LuaValue>(i).ok()?.as_table().cloned()).collect()
}

/// The first one of that name and namespace.
pub fn child(element: &LuaTable, name: &str, xmlns: &str) -> Option<LuaTable> {
    children(element).into_iter().find(|child| is(child, name) && attribute(child, "xmlns").as_deref() == Some(xmlns))
}

pub fn is(element: &LuaTable, name: &str) -> bool {
    element.raw_get::<LuaString>("name").is_ok_and(|known| known == name)
}

pub fn attribute(element: &LuaTable, name: &str) -> Option<String> {
    let attr: LuaTable = element.raw_get("attr").ok()?;
    string(&attr.raw_get(name).ok()?)
}

/// The text in an element.
pub fn text(element: &LuaTable) -> String {
    let nodes = (1..=element.raw_len()).filter_map(|i| element.raw_get::<LuaValue>(i).ok());
    nodes.filter_map(|node| string(&node)).collect()
}

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
