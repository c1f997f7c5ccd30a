//! A registration: what a client enabled so that its device is woken.

pub mod devices;
pub mod holders;

use std::cell::Cell;
use std::fmt::Debug;
use std::rc::Rc;

use crate::time::{Millis, Seconds};

/// One device's registration: the part of the stored record that the rules need. `A` is what the client asked for beside the
/// address, in the terms of its protocol.
#[derive(Debug, PartialEq)]
pub struct Registration<A> {
    /// Key in the store, and in the session field that says which registration a session holds.
    pub identifier: Rc<str>,
    jid: Address,
    pub asked: A,
    /// When the client enabled it last; orders a user's registrations.
    pub timestamp: Seconds,
    /// When a push arrived last, by the wall clock; 0 if that is not known.
    pub last_success: Note<Millis>,
    /// When it was made, by the monotonic clock; 0 once no push in flight can be older.
    pub made: Note<Millis>,
    /// The request that made it, if the store was seen to have what the request asks for.
    pub seen: Note<Option<Seen>>,
}

/// A look at the store.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// A hash of the client's request.
    pub fingerprint: u64,
    /// When the record was read or written, by the monotonic clock.
    pub at: Millis,
}

/// The part of a client's request in `<enable/>` that one protocol needs.
pub trait Asked: Debug + Default + PartialEq + Sized {
    /// Whether two registrations with the same app server wake the same device.
    fn is_same_device(own: &Registration<Self>, other: &Registration<Self>) -> bool;

    /// Whether two registrations with the same app server may be of the same client, which does not say who it is.
    fn may_be_same_client(_own: &Registration<Self>, _other: &Registration<Self>) -> bool {
        false
    }

    /// Whether the client with this user agent id (XEP-0388 §2.4), or without one with this resource, made the registration.
    fn is_of_client(registration: &Registration<Self>, client_id: Option<&str>, resource: &str) -> bool;
}

/// A note that changes while the registration stays the same: all notes compare equal.
#[derive(Default)]
pub struct Note<T>(Cell<T>);

impl<T: Copy> Note<T> {
    pub fn get(&self) -> T {
        self.0.get()
    }

    pub fn set(&self, value: T) {
        self.0.set(value);
    }
}

impl<T: Copy + Debug> Debug for Note<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.get().fmt(f)
    }
}

impl<T> PartialEq for Note<T> {
    fn eq(&self, _: &Note<T>) -> bool {
        true
    }
}

/// The app server's JID. XEP-0357 identifiers begin with it, and then it takes no memory of its own.
#[derive(Debug, PartialEq, Eq)]
enum Address {
    /// The length of the JID at the beginning of the identifier.
    InIdentifier(usize),
    Apart(Box<str>),
}

impl<A> Registration<A> {
    /// `jid` is the app server, normalised as far as it is a JID.
    pub fn new(identifier: &str, jid: &str, asked: A, timestamp: Seconds) -> Self {
        let is_prefix = identifier.starts_with(jid);
        Registration {
            identifier: identifier.into(),
            jid: if is_prefix { Address::InIdentifier(jid.len()) } else { Address::Apart(jid.into()) },
            asked,
            timestamp,
            last_success: Note::default(),
            made: Note::default(),
            seen: Note::default(),
        }
    }

    /// Returns the app server's JID in the normal form that its answers have (RFC 7622).
    pub fn jid(&self) -> &str {
        match &self.jid {
            Address::InIdentifier(length) => &self.identifier[..*length],
            Address::Apart(jid) => jid,
        }
    }
}
