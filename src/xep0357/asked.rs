//! The part of a registration that only XEP-0357 has: how the app server finds the device, and the data in every push.

use std::rc::Rc;

use minidom::Element;

use crate::element::Packed;
use crate::registration::devices::Devices;
use crate::registration::{self, Registration};
use crate::tigase::Settings;
use crate::time::Seconds;

/// A client's request in `<enable xmlns='urn:xmpp:push:0'/>`.
#[derive(Debug, Default, PartialEq)]
pub struct Asked {
    node: Node,
    /// The client's user agent id (XEP-0388 §2.4), if it has one.
    pub client_id: Option<Box<str>>,
    /// The resource of a client without a user agent id.
    pub resource: Option<Box<str>>,
    /// The form that goes with every push, packed.
    pub options: Option<Packed>,
    /// The client's request for Tigase's extensions.
    pub tigase: Option<Box<Settings>>,
}

/// The node at the app server (§5). An identifier that ends with the node needs no second copy of it.
#[derive(Debug, Default, PartialEq)]
enum Node {
    #[default]
    None,
    InIdentifier,
    Apart(Box<str>),
}

/// Separates JID and node in an identifier; no JID contains it.
const SEPARATOR: &str = "<";

/// Returns the key of a registration in the store, as the reference writes it.
pub fn identifier(jid: &str, node: Option<&str>) -> String {
    [jid, SEPARATOR, node.unwrap_or("")].concat()
}

/// Makes a registration from the address in a stored record; `jid` is normalised if it is valid.
pub fn registration(
    stored_as: &str,
    jid: &str,
    node: Option<&str>,
    options: Option<&Element>,
    timestamp: Seconds,
) -> Registration<Asked> {
    let node = match node {
        None => Node::None,
        Some(node) if stored_as == identifier(jid, Some(node)) => Node::InIdentifier,
        Some(node) => Node::Apart(node.into()),
    };
    let asked = Asked { node, options: options.map(Packed::new), ..Asked::default() };
    Registration::new(stored_as, jid, asked, timestamp)
}

impl Registration<Asked> {
    /// Returns the node at the app server, if the client named one.
    pub fn node(&self) -> Option<&str> {
        match &self.asked.node {
            Node::None => None,
            Node::InIdentifier => Some(&self.identifier[self.jid().len() + SEPARATOR.len()..]),
            Node::Apart(node) => Some(node),
        }
    }
}

impl registration::Asked for Asked {
    /// The same node, however the JID is spelled, or the same client with a new token from its app server.
    fn is_same_device(own: &Registration<Asked>, other: &Registration<Asked>) -> bool {
        own.node() == other.node() || own.asked.client_id.is_some() && own.asked.client_id == other.asked.client_id
    }

    fn may_be_same_client(own: &Registration<Asked>, other: &Registration<Asked>) -> bool {
        own.asked.resource.is_some() && own.asked.resource == other.asked.resource
    }

    fn is_of_client(registration: &Registration<Asked>, client_id: Option<&str>, resource: &str) -> bool {
        match client_id {
            Some(_) => registration.asked.client_id.as_deref() == client_id,
            None => registration.asked.resource.as_deref() == Some(resource),
        }
    }
}

impl Devices<Asked> {
    /// Returns the registrations that `<disable jid='' node=''/>` ends (§6): without a node, all with that app server.
    pub fn matching(&self, jid: &str, node: Option<&str>) -> impl Iterator<Item = &Rc<Registration<Asked>>> {
        self.iter().filter(move |registration| {
            *registration.jid() == *jid && node.is_none_or(|node| registration.node().unwrap_or("") == node)
        })
    }

    /// Returns the registrations that an app server ends by changing the user's affiliation at `node` to `none` (§8).
    pub fn revoked(
        &self,
        from: &str,
        node: Option<&str>,
        affiliation: Option<&str>,
    ) -> impl Iterator<Item = &Rc<Registration<Asked>>> {
        self.matching(from, Some(node.unwrap_or(""))).filter(move |_| affiliation == Some("none"))
    }
}
