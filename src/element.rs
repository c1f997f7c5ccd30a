//! An XML element that is kept and written again as it came: the client's `publish-options` form.
//!
//! The form belongs to the client and its app server (XEP-0357 §5): attributes, field types and their order are
//! echoed verbatim, so it is not read through a type that knows data forms.

/// Writes elements, whatever they are made of: Lua tables in Prosody, minidom in tests.
///
/// `open` takes attributes as they stand in Prosody's `attr` table, `xmlns` among them.
pub trait Sink {
    type Error;
    fn open(&mut self, name: &str, attrs: &[(&str, &str)]) -> Result<(), Self::Error>;
    fn text(&mut self, text: &str) -> Result<(), Self::Error>;
    fn close(&mut self) -> Result<(), Self::Error>;
}

/// An element with all that is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    pub name: Box<str>,
    pub attrs: Box<[(Box<str>, Box<str>)]>,
    pub children: Box<[Node]>,
}

/// What an element holds.
#[derive(Clone, Debug, PartialEq, Eq)]
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
