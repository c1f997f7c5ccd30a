//! A client's request by Push 2.0: which stanzas wake it, and the content of a push.

use std::rc::Rc;

use crate::ns;
use crate::push2::keys::{Keys, WebPush};
use crate::registration::{self, Registration};
use crate::time::Seconds;

/// The part of a registration that only Push 2.0 has.
#[derive(Debug, Default, PartialEq)]
pub struct Asked {
    /// Opaque, echoed in every push. The push service finds the client by it.
    pub client: Box<str>,
    pub matches: Box<[Match]>,
}

/// Returns the key in the store of a client's registration: its user agent id (XEP-0388 §2.4) or, without one, its resource.
pub fn identifier<'c>(client_id: Option<&'c str>, resource: Option<&'c str>) -> Option<&'c str> {
    client_id.or(resource)
}

impl Asked {
    /// Returns the keys of the matches that encrypt, as far as they can be used.
    pub fn keys(&self) -> impl Iterator<Item = &Rc<WebPush>> {
        self.matches.iter().filter_map(|rule| match &rule.send {
            Send::Encrypted(keys) => keys.parsed().ok(),
            _ => None,
        })
    }

    /// Whether the next push with the first key that signs needs a new token.
    pub fn signs_anew(&self, now: Seconds) -> bool {
        let mut signing = self.matches.iter().filter_map(|rule| match &rule.send {
            Send::Encrypted(keys) => keys.signs_anew(now),
            _ => None,
        });
        signing.next().unwrap_or(false)
    }
}

impl registration::Asked for Asked {
    /// The same client of a push service, whatever its former resource was.
    fn is_same_device(own: &Registration<Asked>, other: &Registration<Asked>) -> bool {
        own.asked.client == other.asked.client
    }

    fn is_of_client(registration: &Registration<Asked>, client_id: Option<&str>, resource: &str) -> bool {
        Some(&*registration.identifier) == identifier(client_id, Some(resource))
    }
}

/// A rule: which stanzas match, and the content of a push.
#[derive(Debug, PartialEq)]
pub struct Match {
    pub profile: Profile,
    /// Seconds for which this client is not woken after the user was active with another one.
    pub grace: Option<u32>,
    pub chats: Box<[Chat]>,
    pub send: Send,
}

/// The stanzas that a match selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    All,
    Important,
    Archived,
    ArchivedWithBody,
    /// An unknown profile, which matches nothing.
    Unknown,
}

/// The known match profiles.
const PROFILES: [(&str, Profile); 4] = [
    (ns::PUSH2_MATCH_ALL, Profile::All),
    (ns::PUSH2_MATCH_IMPORTANT, Profile::Important),
    (ns::PUSH2_MATCH_ARCHIVED, Profile::Archived),
    (ns::PUSH2_MATCH_ARCHIVED_WITH_BODY, Profile::ArchivedWithBody),
];

/// Returns the features that an account announces (XEP-0030): the protocol, and the match and send profiles.
pub fn features() -> impl Iterator<Item = &'static str> {
    let profiles = PROFILES.iter().map(|(profile, _)| *profile);
    [ns::PUSH2].into_iter().chain(profiles).chain([ns::PUSH2_SEND_NOTIFY_ONLY, ns::PUSH2_SEND_ENCRYPTED])
}

impl Profile {
    /// Whether a profile with this URI is known.
    pub fn is_known(uri: &str) -> bool {
        Profile::new(uri) != Profile::Unknown
    }

    /// Returns the profile with this URI.
    pub fn new(uri: &str) -> Profile {
        PROFILES.iter().find(|(known, _)| *known == uri).map_or(Profile::Unknown, |(_, profile)| *profile)
    }
}

/// A filter for stanzas from one JID: full, bare, or a host. Without both exceptions, no stanza passes.
#[derive(Debug, PartialEq, Eq)]
pub struct Chat {
    pub jid: Box<str>,
    /// Mentions of the user pass.
    pub mention: bool,
    /// Replies to the user pass (XEP-0461).
    pub reply: bool,
}

/// The content of a push for a stanza that matches.
#[derive(Debug, PartialEq)]
pub enum Send {
    NotifyOnly,
    Encrypted(Box<Keys>),
    /// The record asks for a send profile that is not supported: the client gets no push that others can read.
    Unknown,
}
