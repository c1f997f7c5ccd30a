//! An XML element that is kept and written again as it came: the client's `publish-options` form.
//!
//! The form belongs to the client and its app server (XEP-0357 §5): attributes, field types and their order are
//! echoed verbatim, so it is not read through a type that knows data forms.

use serde::{Deserialize, Serialize};

/// Writes elements, whatever they are made of: Lua tables in Prosody, minidom in tests.
///
/// `open` takes attributes as they stand in Prosody's `attr` table, `xmlns` among them.
pub trait Sink {
    type Error;
    /// An element begins, in the one that is open.
    fn open(&mut self, name: &str, attrs: &[(&str, &str)]) -> Result<(), Self::Error>;
    /// Text in the element that is open.
    fn text(&mut self, text: &str) -> Result<(), Self::Error>;
    /// The element that is open ends.
    fn close(&mut self) -> Result<(), Self::Error>;
}

/// An element with all that is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Element {
    pub name: Box<str>,
    pub attrs: Box<[(Box<str>, Box<str>)]>,
    pub children: Box<[Node]>,
}

/// What an element holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Node {
    Element(Element),
    Text(Box<str>),
}

impl Element {
    /// Writes the element.
    pub fn write<S: Sink>(&self, sink: &mut S) -> Result<(), S::Error> {
        let attrs: Vec<(&str, &str)> = self.attrs.iter().map(|(name, value)| (&**name, &**value)).collect();
        sink.open(&self.name, &attrs)?;
        for child in &self.children {
            match child {
                Node::Element(element) => element.write(sink)?,
                Node::Text(text) => sink.text(text)?,
            }
        }
        sink.close()
    }
}

/// An element in a third of the memory: most forms are kept for long and seldom written.
#[derive(Clone, PartialEq, Eq)]
pub struct Packed(Box<str>);

impl Packed {
    pub fn new(element: &Element) -> Packed {
        // Fails for types that JSON has not, and there is none here.
        Packed(serde_json::to_string(element).unwrap_or_default().into())
    }

    /// In bytes.
    pub fn size(&self) -> usize {
        self.0.len()
    }

    /// The element, as it was.
    pub fn unpack(&self) -> Option<Element> {
        serde_json::from_str(&self.0).ok()
    }
}

/// The form may have a secret of the app server in it.
impl std::fmt::Debug for Packed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Packed({} bytes)", self.0.len())
    }
}
