//! Reads and writes stanzas as Prosody's `util.stanza` has them.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use minidom::Element;
use mlua::prelude::*;
use xmpp_parsers::stanza_error::StanzaError;

use super::value::{field, string};
use crate::element::{self, Sink, add_text, named, set_attr};
use crate::limits::{FIRST_CHILDREN, LAST_CHILDREN};
use crate::ns;
use crate::rules::facts::{RECEIVED, Word};

/// Limits for a stanza that a push carries: levels, and nodes. A child that goes beyond them is left out.
const MAX_DEPTH: usize = 64;
const MAX_NODES: usize = 300;

/// Limits for a request of a client, and for a form in the store: levels, and nodes.
const MAX_REQUEST_DEPTH: usize = 16;
const MAX_REQUEST_NODES: usize = 10_000;

/// The elements from a carbon down to the message in it.
const CARBON: [(&str, &str); 3] = [("received", ns::CARBONS), ("forwarded", ns::FORWARD), ("message", ns::CLIENT)];

/// Reads a stanza. If it is too large, reads the bodies, and as many of the other children as there is room for. Of a carbon that
/// is trusted according to its `word`, reads only the message in it, in this way.
pub fn trimmed(stanza: &LuaTable, word: Word) -> Option<Element> {
    trimmed_inside(stanza, ns::CLIENT, if word & RECEIVED == 0 { &[] } else { &CARBON })
}

/// Trims the stanza that `way` leads to, by names and namespaces. Reads the elements around it without their other children.
fn trimmed_inside(table: &LuaTable, xmlns: &str, way: &[(&str, &str)]) -> Option<Element> {
    let Some(((name, namespace), way)) = way.split_first() else { return trimmed_stanza(table) };
    let mut element = start(table, xmlns)?;
    let xmlns = element.ns();
    let is_next = |child: &LuaTable| start(child, &xmlns).is_some_and(|child| child.is(*name, *namespace));
    let mut children = looked_at(table.raw_len()).filter_map(|i| table.raw_get::<LuaTable>(i).ok());
    element.append_child(trimmed_inside(&children.find(is_next)?, &xmlns, way)?);
    Some(element)
}

fn trimmed_stanza(stanza: &LuaTable) -> Option<Element> {
    let mut element = start(stanza, ns::CLIENT)?;
    let (mut budget, mut for_text) = (MAX_NODES, MAX_NODES);
    for i in looked_at(stanza.raw_len()) {
        let child: LuaValue = stanza.raw_get(i).ok()?;
        let is_text = child.as_table().is_some_and(|child| is(child, "body"));
        let budget = if is_text { &mut for_text } else { &mut budget };
        if child.is_table() && *budget > 0 {
            *budget -= 1;
            if let Some(child) = read(&child, ns::CLIENT, MAX_DEPTH, budget) {
                element.append_child(child);
            }
        }
    }
    Some(element)
}

/// Reads a request of a client; `None` if it is larger than any useful one.
pub fn request(element: &LuaTable) -> Option<Element> {
    read(&LuaValue::Table(element.clone()), ns::CLIENT, MAX_REQUEST_DEPTH, &mut { MAX_REQUEST_NODES })
}

/// Writes the error of a client whose request is refused, as Prosody's `st.error_reply` has it.
pub fn error(lua: &Lua, metatable: &LuaTable, error: StanzaError) -> LuaResult<LuaTable> {
    let mut writer = Writer::new(lua, metatable);
    element::write(&Element::from(error), &mut writer)?;
    let error = writer.take()?;
    // In Prosody's stanzas, a child in the stanza's own namespace has no `xmlns`.
    error.raw_get::<LuaTable>("attr")?.raw_set("xmlns", LuaNil)?;
    Ok(error)
}

/// Returns a hash of a client's request and of the facts about the `client`; `None` if the request is larger than any useful
/// one.
pub fn fingerprint(element: &LuaTable, client: &[Option<String>], state: &RandomState) -> Option<u64> {
    let mut hasher = state.build_hasher();
    client.hash(&mut hasher);
    hash(element, &mut hasher, state, MAX_REQUEST_DEPTH, &mut { MAX_REQUEST_NODES })?;
    Some(hasher.finish())
}

fn hash(
    element: &LuaTable,
    hasher: &mut impl Hasher,
    state: &RandomState,
    depth: usize,
    budget: &mut usize,
) -> Option<()> {
    element.raw_get::<LuaString>("name").ok()?.as_bytes().hash(hasher);
    // Attributes have no order.
    let mut attrs = 0_u64;
    each_attr(element, |name, value| attrs = attrs.wrapping_add(state.hash_one((name, value))))?;
    let children = element.raw_len();
    (attrs, children).hash(hasher);
    for i in 1..=children {
        *budget = budget.checked_sub(1)?;
        match element.raw_get(i).ok()? {
            LuaValue::Table(child) => hash(&child, hasher, state, depth.checked_sub(1)?, budget)?,
            LuaValue::String(text) => text.as_bytes().hash(hasher),
            _ => return None,
        }
    }
    Some(())
}

/// Returns the indices of the children of an element that are read.
fn looked_at(children: usize) -> impl Iterator<Item = usize> {
    let last = children.saturating_sub(LAST_CHILDREN).max(FIRST_CHILDREN) + 1;
    (1..=children.min(FIRST_CHILDREN)).chain(last..=children)
}

/// Reads an element as it is, or as `st.preserialize` leaves it: `name`, `attr`, and children from 1 up. Without `xmlns` in
/// `attr`, the namespace is `xmlns`, the parent's. Returns `None` if the element has more than `depth` levels or more than
/// `budget` nodes, or if XML cannot hold it.
pub fn read(value: &LuaValue, xmlns: &str, depth: usize, budget: &mut usize) -> Option<Element> {
    let table = value.as_table()?;
    let mut element = start(table, xmlns)?;
    let xmlns = element.ns();
    for i in 1..=table.raw_len() {
        *budget = budget.checked_sub(1)?;
        match table.raw_get(i).ok()? {
            child @ LuaValue::Table(_) => {
                element.append_child(read(&child, &xmlns, depth.checked_sub(1)?, budget)?);
            }
            text => add_text(&mut element, &string(&text)?),
        }
    }
    Some(element)
}

/// Reads the name and the attributes of an element.
fn start(table: &LuaTable, xmlns: &str) -> Option<Element> {
    let mut attrs = Vec::new();
    let mut own = None;
    each_attr(table, |name, value| if name == "xmlns" { own = Some(value) } else { attrs.push((name, value)) })?;
    let mut element = named(&field(table, "name")?, own.as_deref().unwrap_or(xmlns))?;
    for (name, value) in attrs {
        set_attr(&mut element, &name, &value)?;
    }
    Some(element)
}

/// Calls `each` with the name and the value of each attribute. Returns `None` if one is no text.
fn each_attr(element: &LuaTable, mut each: impl FnMut(String, String)) -> Option<()> {
    let attr: Option<LuaTable> = element.raw_get("attr").ok()?;
    // `pairs` takes twice as long, since it makes a reference to each key and value.
    let each = |name, value| {
        each(name, value);
        Ok(())
    };
    attr.map_or(Some(()), |attr| attr.for_each(each).ok())
}

/// Whether an element has this name.
fn is(element: &LuaTable, name: &str) -> bool {
    element.raw_get::<LuaString>("name").is_ok_and(|known| known == name)
}

/// An element that is being written.
struct Open {
    element: LuaTable,
    tags: Option<LuaTable>,
    children: usize,
    elements: usize,
}

/// Builds one element after the other.
pub struct Writer<'l> {
    lua: &'l Lua,
    metatable: Option<&'l LuaTable>,
    open: Vec<Open>,
    done: Option<LuaTable>,
}

impl<'l> Writer<'l> {
    /// `metatable` is that of `util.stanza`.
    pub fn new(lua: &'l Lua, metatable: &'l LuaTable) -> Self {
        Writer { lua, metatable: Some(metatable), open: Vec::new(), done: None }
    }

    /// Builds elements as `st.preserialize` leaves them, for a store.
    pub fn preserialized(lua: &'l Lua) -> Self {
        Writer { lua, metatable: None, open: Vec::new(), done: None }
    }

    pub fn lua(&self) -> &'l Lua {
        self.lua
    }

    /// Takes the element that was completed last at the top level.
    pub fn take(&mut self) -> LuaResult<LuaTable> {
        self.done.take().ok_or_else(|| LuaError::runtime("no element has been written"))
    }

    /// Appends a complete element to the open one.
    pub fn append(&mut self, element: &LuaTable) -> LuaResult<()> {
        let Some(parent) = self.open.last_mut() else {
            self.done = Some(element.clone());
            return Ok(());
        };
        parent.children += 1;
        parent.elements += 1;
        parent.element.raw_seti(parent.children, element)?;
        parent.tags.iter().try_for_each(|tags| tags.raw_seti(parent.elements, element))
    }
}

impl Sink for Writer<'_> {
    type Error = LuaError;

    fn open(&mut self, name: &str, attrs: &[(&str, &str)]) -> LuaResult<()> {
        let attr = self.lua.create_table_with_capacity(0, attrs.len())?;
        for (name, value) in attrs {
            attr.raw_set(*name, *value)?;
        }
        let element = self.lua.create_table_with_capacity(1, if self.metatable.is_some() { 3 } else { 2 })?;
        element.raw_set("name", name)?;
        element.raw_set("attr", attr)?;
        let tags = match self.metatable {
            Some(metatable) => {
                let tags = self.lua.create_table()?;
                element.raw_set("tags", &tags)?;
                element.set_metatable(Some(metatable.clone()))?;
                Some(tags)
            }
            None => None,
        };
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
