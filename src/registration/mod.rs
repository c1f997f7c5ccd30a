//! A registration, which a client makes so that its device is woken.

pub mod devices;
pub mod holders;

use std::cell::Cell;
use std::fmt::Debug;
use std::rc::Rc;

use crate::time::{Millis, Seconds};

/// One device's registration: the part of the stored record that the rules need. `A` is the rest of the client's request, in
/// the terms of its protocol.
#[derive(Debug, PartialEq)]
pub struct Registration<A> {
    /// The key in the store, and the value of the session field that names the registration that a session holds.
    pub identifier: Rc<str>,
    jid: Address,
    pub asked: A,
    /// When the client enabled it last; orders a user's registrations.
    pub timestamp: Seconds,
    /// When a push was last taken, by the wall clock; 0 if that is not known.
    pub last_success: Note<Millis>,
    /// When it was last enabled, by the monotonic clock; 0 if it was not enabled since it was read from the store.
    pub made: Note<Millis>,
    /// Its device needs no push, except for calls, for what came before this time: its client was back then, or a push that left
    /// then was taken. By the monotonic clock; 0 if that is not known.
    pub told: Note<Millis>,
    /// The request that made it, if the store is known to have its result.
    pub seen: Note<Option<Seen>>,
}

/// A moment when the store had the registration that a request makes.
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

    /// Whether two registrations with the same app server may belong to the same client, if the client has no user agent id.
    fn may_be_same_client(_own: &Registration<Self>, _other: &Registration<Self>) -> bool {
        false
    }

    /// Whether the client with this user agent id (XEP-0388 §2.4), or without one with this resource, made the registration.
    fn is_of_client(registration: &Registration<Self>, client_id: Option<&str>, resource: &str) -> bool;
}

/// A value that may change while the registration counts as the same: all notes compare equal.
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

/// The app server's JID. An XEP-0357 identifier begins with it, so there is no second copy of it.
#[derive(Debug, PartialEq, Eq)]
enum Address {
    /// The length of the JID at the beginning of the identifier.
    InIdentifier(usize),
    Apart(Box<str>),
}

/// The timestamp of a stand-in.
const STAND_IN: Seconds = Seconds::MIN;

impl<A> Registration<A> {
    /// `jid` is the app server, normalised if it is valid.
    pub fn new(identifier: &str, jid: &str, asked: A, timestamp: Seconds) -> Self {
        let is_prefix = identifier.starts_with(jid);
        Registration {
            identifier: identifier.into(),
            jid: if is_prefix { Address::InIdentifier(jid.len()) } else { Address::Apart(jid.into()) },
            asked,
            timestamp,
            last_success: Note::default(),
            made: Note::default(),
            told: Note::default(),
            seen: Note::default(),
        }
    }

    /// Makes the stand-in for a registration that has to be loaded before a push can be composed for it.
    pub fn stand_in(identifier: &str, jid: &str) -> Self
    where
        A: Default,
    {
        Registration::new(identifier, jid, A::default(), STAND_IN)
    }

    pub fn is_stand_in(&self) -> bool {
        self.timestamp == STAND_IN
    }

    /// Returns the app server's JID in the normal form that its answers have (RFC 7622).
    pub fn jid(&self) -> &str {
        match &self.jid {
            Address::InIdentifier(length) => &self.identifier[..*length],
            Address::Apart(jid) => jid,
        }
    }
}
