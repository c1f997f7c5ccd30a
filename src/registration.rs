//! A registration: what a client enabled so that its device is woken. And a user's registrations.

use std::cell::Cell;
use std::rc::Rc;

use crate::address::is_account;
use crate::element::{Element, Packed};
use crate::push2;
use crate::tigase::Settings;
use crate::time::{Millis, Seconds};

/// One device's registration, the part of the stored record that rules need.
#[derive(Debug, PartialEq)]
pub struct Registration {
    /// Key in the store, and in a session's `push_identifier`.
    pub identifier: Rc<str>,
    address: Address,
    /// The client that made it (XEP-0388 user agent id), where it told.
    pub client_id: Option<Box<str>>,
    /// The resource of a client that did not tell.
    pub resource: Option<Box<str>>,
    /// What of Tigase's extensions it asked for.
    pub tigase: Option<Box<Settings>>,
    /// What it asked for, if it is one of Push 2.0.
    pub push2: Option<Box<push2::registration::Settings>>,
    /// The form to send along with every push.
    pub options: Option<Packed>,
    /// When it was enabled last; orders a user's registrations.
    pub timestamp: Seconds,
    /// When a push arrived last, by the clock on the wall.
    pub last_success: When,
    /// When it was made, as long as that matters to pushes that are under way; by the clock that never steps.
    pub made: When,
}

/// When something happened to a registration; it is the same registration all the same.
#[derive(Debug, Default)]
pub struct When(Cell<Millis>);

impl When {
    /// 0 if that is not known.
    pub fn get(&self) -> Millis {
        self.0.get()
    }

    pub fn set(&self, at: Millis) {
        self.0.set(at);
    }
}

impl PartialEq for When {
    fn eq(&self, _: &When) -> bool {
        true
    }
}

/// Where the app server's JID and the node are.
#[derive(Debug, PartialEq, Eq)]
enum Address {
    /// In the identifier, as [`identifier`] made it: what every record has that was stored in normal form.
    Told {
        jid: usize,
        node: bool,
    },
    Apart(Box<str>, Option<Box<str>>),
}

impl Registration {
    /// From a stored record; `jid` is in normal form, as far as it is one.
    pub fn new(stored_as: &str, jid: &str, node: Option<&str>, options: Option<&Element>, timestamp: Seconds) -> Self {
        let address = if stored_as == identifier(jid, node) {
            Address::Told { jid: jid.len(), node: node.is_some() }
        } else {
            Address::Apart(jid.into(), node.map(Into::into))
        };
        let options = options.map(Packed::new);
        let identifier = stored_as.into();
        Registration {
            identifier,
            address,
            client_id: None,
            resource: None,
            tigase: None,
            push2: None,
            options,
            timestamp,
            last_success: When::default(),
            made: When::default(),
        }
    }

    /// The app server, in the normal form (RFC 7622) that its answers have.
    pub fn jid(&self) -> &str {
        match &self.address {
            Address::Told { jid, .. } => &self.identifier[..*jid],
            Address::Apart(jid, _) => jid,
        }
    }

    /// The node at the app server (XEP-0357 §5), if the client named one.
    pub fn node(&self) -> Option<&str> {
        match &self.address {
            Address::Told { jid, node } => node.then(|| &self.identifier[jid + SEPARATOR.len()..]),
            Address::Apart(_, node) => node.as_deref(),
        }
    }

    /// Whether both wake the same: an app server's node, spelled in whatever way; the same client, which has got a new token
    /// from its app server; a push service's client, who may have had another resource when it asked before.
    fn is_same_device(&self, other: &Registration) -> bool {
        self.jid() == other.jid()
            && match (&self.push2, &other.push2) {
                (Some(own), Some(others)) => own.client == others.client,
                (None, None) => {
                    self.node() == other.node() || self.client_id.is_some() && self.client_id == other.client_id
                }
                _ => false,
            }
    }

    /// Whether both may be of the same client, which does not say who it is.
    fn may_be_same_client(&self, other: &Registration) -> bool {
        self.jid() == other.jid() && self.resource.is_some() && self.resource == other.resource
    }
}

/// A user's registrations, the oldest first.
#[derive(Clone, Debug, Default)]
pub struct Devices {
    all: Rc<[Rc<Registration>]>,
    /// The account is disabled: none is woken until it is enabled again.
    pub is_disabled: bool,
}

impl Devices {
    /// Puts registrations in order and keeps the newest `limit`. The order of those made in the same second, which
    /// [`timestamp`](Devices::timestamp) avoids, is by name, so that it is the same after a restart.
    pub fn new(mut registrations: Vec<Registration>, limit: usize) -> Self {
        registrations.sort_by(|a, b| (a.timestamp, &a.identifier).cmp(&(b.timestamp, &b.identifier)));
        let all = Devices { all: registrations.into_iter().map(Rc::new).collect(), is_disabled: false };
        Devices { all: all.split(limit).1.into(), is_disabled: false }
    }

    /// The surplus, and the newest `limit`.
    pub fn split(&self, limit: usize) -> (&[Rc<Registration>], &[Rc<Registration>]) {
        self.all.split_at(self.all.len().saturating_sub(limit))
    }

    /// The same, with those of `known` in the place of equal ones: what has been made of them is not made again.
    pub fn keeping(&self, known: &Devices) -> Devices {
        let keep = |new: &Rc<Registration>| match known.get(&new.identifier) {
            Some(old) if old == new => old.clone(),
            Some(old) => {
                new.last_success.set(old.last_success.get());
                new.clone()
            }
            None => new.clone(),
        };
        Devices { all: self.iter().map(keep).collect(), is_disabled: self.is_disabled }
    }

    /// The oldest first.
    pub fn iter(&self) -> std::slice::Iter<'_, Rc<Registration>> {
        self.all.iter()
    }

    /// By its key in the store.
    pub fn get(&self, identifier: &str) -> Option<&Rc<Registration>> {
        self.all.iter().find(|registration| &*registration.identifier == identifier)
    }

    /// The newest registration of a client, by its user agent id (XEP-0388 §2.4), or where it does not tell by its resource;
    /// one of Push 2.0 is stored under that.
    pub fn of_client(&self, client_id: Option<&str>, resource: &str) -> Option<&Rc<Registration>> {
        self.all.iter().rev().find(|device| match (&device.push2, client_id) {
            (Some(_), client_id) => *device.identifier == *client_id.unwrap_or(resource),
            (None, Some(_)) => device.client_id.as_deref() == client_id,
            (None, None) => device.resource.as_deref() == Some(resource),
        })
    }

    /// What has to go now that `newest` is stored: the same device under another identifier, and where there are more than
    /// `limit` what may have been the same client's, and then the oldest.
    fn superseded(&self, newest: &str, limit: usize) -> Vec<&Rc<Registration>> {
        let newest = self.get(newest);
        let is_same = |other: &&Rc<Registration>| {
            newest.is_some_and(|newest| other.identifier != newest.identifier && other.is_same_device(newest))
        };
        let (same, mut others): (Vec<_>, Vec<_>) = self.all.iter().partition(is_same);
        let may_be_same = |other: &Rc<Registration>| {
            newest.is_some_and(|newest| other.identifier != newest.identifier && other.may_be_same_client(newest))
        };
        others.sort_by_key(|other| !may_be_same(other));
        let surplus = others.len().saturating_sub(limit);
        same.into_iter().chain(others.into_iter().take(surplus)).collect()
    }

    /// What `<disable jid= node=>` means (XEP-0357 §6): without a node, all of that app server.
    pub fn matching(&self, jid: &str, node: Option<&str>) -> impl Iterator<Item = &Rc<Registration>> {
        self.all.iter().filter(move |registration| {
            *registration.jid() == *jid && node.is_none_or(|node| registration.node().unwrap_or("") == node)
        })
    }

    /// What an app server's `affiliation` of the user at `node` means (XEP-0357 §8): `none` ends the registration.
    pub fn revoked(
        &self,
        from: &str,
        node: Option<&str>,
        affiliation: Option<&str>,
    ) -> impl Iterator<Item = &Rc<Registration>> {
        self.matching(from, Some(node.unwrap_or(""))).filter(move |_| affiliation == Some("none"))
    }
}

/// Of a user's registrations, among them `newest` that is made now: the time to store for it, and what has to go. The time
/// is later than every other's, so that their order can be told from the store even when two are made within one second.
pub fn admit(
    mut registrations: Vec<Registration>,
    newest: &str,
    now: Seconds,
    limit: usize,
) -> (Seconds, Vec<Rc<Registration>>) {
    let others = registrations.iter().filter(|other| *other.identifier != *newest);
    let timestamp = others.map(|other| other.timestamp.saturating_add(1)).fold(now, Seconds::max);
    for registration in registrations.iter_mut().filter(|registration| *registration.identifier == *newest) {
        registration.timestamp = timestamp;
    }
    let devices = Devices::new(registrations, usize::MAX);
    (timestamp, devices.superseded(newest, limit).into_iter().cloned().collect())
}

/// Between JID and node; no JID has it.
const SEPARATOR: &str = "<";

/// The key of a registration: the reference's.
pub fn identifier(jid: &str, node: Option<&str>) -> String {
    [jid, SEPARATOR, node.unwrap_or("")].concat()
}

/// Bytes that a client may put into a registration: it stays in memory, and its filters see every message.
pub const MAX_SIZE: usize = 16 * 1024;
/// Bytes of what every push says again, to whomever the client named: node and form, escaped.
pub const MAX_ECHO: usize = 4 * 1024;

/// Why a registration is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    TooLarge,
    TooLongEcho,
    UnknownAlgorithm,
    InvalidKey,
    InvalidMaxSize,
    MissingJid,
    NotAJid,
    OwnJid,
}

impl Refusal {
    /// The condition of the client's error, of type `modify` (RFC 6120 §8.3.3).
    pub fn condition(self) -> &'static str {
        match self {
            Refusal::UnknownAlgorithm => "feature-not-implemented",
            _ => "bad-request",
        }
    }

    /// For the client.
    pub fn text(self) -> &'static str {
        match self {
            Refusal::TooLarge => "The registration is too large: 16 kB at most",
            Refusal::TooLongEcho => {
                "Node and form are too large: every push carries them, and they may take 4 kB at most"
            }
            Refusal::UnknownAlgorithm => "Pushes can be encrypted with aes-128-gcm only",
            Refusal::InvalidKey => "The encryption key must be 16 bytes in base64",
            Refusal::InvalidMaxSize => "max-size must be a number of bytes",
            Refusal::MissingJid => "Missing jid",
            Refusal::NotAJid => "The jid attribute is not a valid JID (RFC 7622)",
            Refusal::OwnJid => "The jid attribute must be the push service's JID, not your own",
        }
    }
}

/// Checks the `jid` of an `<enable>` of `user` on `host` and gives it in its normal form, as the app server's answers will have
/// it. `normal` gives that of a JID, as Prosody has it, or nothing for what is none.
pub fn app_server(
    jid: Option<&str>,
    user: &str,
    host: &str,
    normal: impl Fn(&str) -> Option<String>,
) -> Result<String, Refusal> {
    let jid = normal(jid.ok_or(Refusal::MissingJid)?).ok_or(Refusal::NotAJid)?;
    if is_account(&jid, user, host) { Err(Refusal::OwnJid) } else { Ok(jid) }
}
