//! XML elements that pushes carry: a stanza in its envelope, and the client's `publish-options` form.
//!
//! The elements are minidom's. minidom refuses to write names and characters that XML does not allow, so names are checked and
//! text is cleaned when an element is made. The form belongs to the client and its app server (XEP-0357 §5): attributes and
//! field types are echoed verbatim, so the form is not read through a type for data forms.

use minidom::rxml::{Namespace, NcName};
use minidom::{Element, Node};

use crate::ns;
use crate::xml::{clean, text_width};

/// Prosody's parser joins the namespace and the name of an attribute with U+0001, but keeps the names `xml:lang`, `xml:space`,
/// `xml:base` and `xml:id`.
const QUALIFIED: char = '\u{1}';
const XML: &str = "xml:";

/// A writer of elements: as Lua tables in Prosody, with minidom in tests.
///
/// `open` takes the attributes of Prosody's `attr` table, including `xmlns`.
pub trait Sink {
    type Error;
    /// Begins an element inside the open one.
    fn open(&mut self, name: &str, attrs: &[(&str, &str)]) -> Result<(), Self::Error>;
    /// Adds text to the open element.
    fn text(&mut self, text: &str) -> Result<(), Self::Error>;
    /// Ends the open element.
    fn close(&mut self) -> Result<(), Self::Error>;
}

/// Makes an element; `None` if XML does not allow the name.
pub fn named(name: &str, xmlns: &str) -> Option<Element> {
    NcName::try_from(name).ok()?;
    Some(Element::bare(name, clean(xmlns)))
}

/// Sets an attribute by Prosody's name for it. Returns `None` if XML does not allow the name.
pub fn set_attr(element: &mut Element, name: &str, value: &str) -> Option<()> {
    let (namespace, name) = match (name.split_once(QUALIFIED), name.strip_prefix(XML)) {
        (Some((namespace, name)), _) => (Namespace::from(clean(namespace).into_owned()), name),
        (None, Some(name)) => (Namespace::XML, name),
        (None, None) => (Namespace::NONE, name),
    };
    element.set_attr(namespace, NcName::try_from(name).ok()?, clean(value).into_owned());
    Some(())
}

/// Adds text to an element.
pub fn add_text(element: &mut Element, text: &str) {
    element.append_text(clean(text));
}

/// Writes an element with its content. Each element names its namespace, as in a stanza from a stream.
pub fn write<S: Sink>(element: &Element, sink: &mut S) -> Result<(), S::Error> {
    let xmlns = element.ns();
    let qualified = |namespace: &Namespace, name: &str| match &**namespace {
        "" => name.to_owned(),
        ns::XML => format!("{XML}{name}"),
        namespace => format!("{namespace}{QUALIFIED}{name}"),
    };
    let attrs = element.attrs().iter().map(|((namespace, name), value)| (qualified(namespace, name), &**value));
    let attrs: Vec<_> = [("xmlns".to_owned(), &*xmlns)].into_iter().chain(attrs).collect();
    let attrs: Vec<_> = attrs.iter().map(|(name, value)| (&**name, *value)).collect();
    sink.open(element.name(), &attrs)?;
    for node in element.nodes() {
        match node {
            Node::Element(child) => write(child, sink)?,
            Node::Text(text) => sink.text(text)?,
        }
    }
    sink.close()
}

/// Returns the bytes that an element takes on the wire, or a few more: as Prosody writes it inside an element of the namespace
/// `parent`. Prosody declares a namespace again for each attribute that has one.
pub fn wire_size(element: &Element, parent: &str) -> usize {
    let xmlns = element.ns();
    let declaration = if xmlns == parent { 0 } else { " xmlns=''".len() + text_width(&xmlns) };
    let attrs = element.attrs().iter().map(|((namespace, name), value)| {
        let prefix = match &**namespace {
            "" => 0,
            ns::XML => "xml:".len(),
            namespace => " xmlns:ns9999=''ns9999:".len() + text_width(namespace),
        };
        prefix + " =''".len() + name.len() + text_width(value)
    });
    let nodes = element.nodes().map(|node| match node {
        Node::Element(child) => wire_size(child, &xmlns),
        Node::Text(text) => text_width(text),
    });
    "<></>".len() + 2 * element.name().len() + declaration + attrs.sum::<usize>() + nodes.sum::<usize>()
}

/// An element as text, because most forms stay in memory for long and are seldom written.
#[derive(Clone, PartialEq, Eq)]
pub struct Packed(Box<str>);

impl Packed {
    pub fn new(element: &Element) -> Packed {
        Packed(String::from(element).into())
    }

    /// Returns the size in bytes in memory.
    pub fn size(&self) -> usize {
        self.0.len()
    }

    /// Returns the original element.
    pub fn unpack(&self) -> Option<Element> {
        self.0.parse().ok()
    }
}

/// Hides the form, which may hold a secret of the app server.
impl std::fmt::Debug for Packed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Packed({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_xml_forbids_are_left_out_and_names_are_checked() {
        assert!(named("a b", "urn:x").is_none() && named("", "urn:x").is_none());
        let mut element = named("x", "urn:x").expect("a name");
        for name in ["a b", "xml:", "xml:a b", "y:a"] {
            assert!(set_attr(&mut element, name, "1").is_none(), "{name}");
        }
        for (name, value) in [("urn:y\u{1}a", "1\u{0}"), ("xml:lang", "en"), ("xml:id", "x1"), ("b", "2")] {
            set_attr(&mut element, name, value).expect("a name");
        }
        add_text(&mut element, "1 < 2 &\r\u{0}\u{ffff}é");
        let expected =
            "<x xmlns='urn:x' xmlns:y='urn:y' y:a='1' b='2' xml:lang='en' xml:id='x1'>1 &lt; 2 &amp;&#13;é</x>";
        assert_eq!(element, expected.parse().expect("XML"));
        assert_eq!(Packed::new(&element).unpack(), Some(element));
    }

    /// `util.stanza` writes each element in this way.
    #[test]
    fn the_size_on_the_wire_is_that_of_prosody() {
        let parent = "urn:parent";
        for (element, written) in [
            ("<x xmlns='urn:parent' a='&quot;'>'&amp;<y>é</y></x>", "<x a='&quot;'>&apos;&amp;<y>é</y></x>"),
            (
                "<x xmlns='urn:x' xml:lang='en'><y xmlns='urn:y'/></x>",
                "<x xmlns='urn:x' xml:lang='en'><y xmlns='urn:y'></y></x>",
            ),
        ] {
            assert_eq!(wire_size(&element.parse().expect("XML"), parent), written.len(), "{written}");
        }
        let namespaced = "<x xmlns='urn:parent' xmlns:z='urn:z' z:a='' z:b=''/>";
        let written = "<x xmlns:ns1='urn:z' ns1:a='' xmlns:ns2='urn:z' ns2:b=''></x>".len();
        let size = wire_size(&namespaced.parse().expect("XML"), parent);
        assert!((written..written + 20).contains(&size), "{size} bytes, not {written}");
    }
}
