//! `<disable xmlns='urn:xmpp:push:0'/>`, as a client sends it (XEP-0357 §6).

use minidom::Element;
use xso::FromXml;

use crate::ns;
use crate::xep0357::enable::Refusal;

/// A client's request to end registrations.
#[derive(Debug, PartialEq, Eq)]
pub struct Disable {
    /// The app server, as the client wrote it.
    pub jid: String,
    /// Without a node, all registrations at the app server end.
    pub node: Option<String>,
}

#[derive(FromXml)]
#[xml(namespace = ns::PUSH, name = "disable", on_unknown_attribute = Discard, on_unknown_child = Discard)]
struct DisableElement {
    #[xml(attribute(default))]
    jid: Option<String>,
    #[xml(attribute(default))]
    node: Option<String>,
}

impl Disable {
    /// Reads a `<disable/>`. Its `jid` may be no valid JID, because the reference stores any text.
    pub fn read(disable: &Element) -> Result<Disable, Refusal> {
        let DisableElement { jid, node } = xso::transform(disable).map_err(|_| Refusal::Malformed)?;
        Ok(Disable { jid: jid.ok_or(Refusal::MissingJid)?, node })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(xml: &str) -> Result<Disable, Refusal> {
        Disable::read(&xml.parse().unwrap_or_else(|error| panic!("{error}: {xml}")))
    }

    /// XEP-0357 §6, examples 12 and 13.
    #[test]
    fn the_examples_of_the_xep_are_read() {
        let all = "<disable xmlns='urn:xmpp:push:0' jid='push-5.client.example'/>";
        assert_eq!(read(all), Ok(Disable { jid: "push-5.client.example".into(), node: None }));
        let one = "<disable xmlns='urn:xmpp:push:0' jid='push-5.client.example' node='yxs32uqsflafdk3iuqo'/>";
        assert_eq!(read(one).map(|disable| disable.node), Ok(Some("yxs32uqsflafdk3iuqo".into())));
    }

    #[test]
    fn unknown_attributes_and_children_are_ignored_and_a_jid_is_needed() {
        let other = "<disable xmlns='urn:xmpp:push:0' jid='@' a='b'><x xmlns='urn:x'>text</x></disable>";
        assert_eq!(read(other), Ok(Disable { jid: "@".into(), node: None }));
        assert_eq!(read("<disable xmlns='urn:xmpp:push:0' node='n'/>"), Err(Refusal::MissingJid));
    }
}
