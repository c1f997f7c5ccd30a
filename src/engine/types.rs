//! The arguments and the results of an [`Engine`](super::Engine).

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::delivery;
use crate::delivery::failures::Gone;
use crate::ids::Id;
use crate::memory::unread::{Chats, Tells, Unread};
use crate::memory::{calls, dedup};
use crate::protocol::Protocol;
use crate::registration::Registration;
use crate::rules::importance::Kind;
use crate::time::{Millis, Moment};

/// The user's registrations are not in memory: [`load`](super::Engine::load) them and ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotLoaded {
    /// The push that the user misses if the registrations cannot be loaded: [`on_missed`](super::Engine::on_missed) makes up for
    /// it later. `None` if there is none, or if it would come too late.
    pub missed: Option<Kind>,
}

/// The effect of an answer.
#[derive(Debug)]
pub struct Answered {
    pub verdict: Verdict,
    /// The registration and its refusals in a row, where their number has changed.
    pub refusals: Option<(Rc<str>, u32)>,
}

/// Whether a registration stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The stanza does not answer a push of ours.
    Stranger,
    Stays,
    Goes(Gone),
}

/// The pushes for one event.
#[derive(Debug)]
pub struct Pushes<P: Protocol> {
    /// Whether there is something to show.
    pub important: bool,
    pub list: Vec<Push<P>>,
    /// Whether a push is held, to leave later.
    pub held: bool,
}

impl<P: Protocol> Default for Pushes<P> {
    fn default() -> Self {
        Pushes { important: false, list: Vec::new(), held: false }
    }
}

/// A push to be sent.
#[derive(Debug)]
pub struct Push<P: Protocol> {
    pub id: Id,
    pub registration: Rc<Registration<P::Asked>>,
    pub payload: P::Payload,
}

/// The kinds of stanzas, important or not, that have been pushed, of those that waited together in a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done(u8);

impl Done {
    /// Takes the number that [`bits`](Done::bits) returned.
    pub fn new(bits: u8) -> Done {
        Done(bits)
    }

    /// Returns the number that the shim keeps.
    pub fn bits(self) -> u8 {
        self.0
    }

    pub(super) fn has(self, important: bool) -> bool {
        self.0 & Done::bit(important) != 0
    }

    /// Adds the kind of a stanza.
    pub fn with(self, important: bool) -> Done {
        Done(self.0 | Done::bit(important))
    }

    fn bit(important: bool) -> u8 {
        if important { 2 } else { 1 }
    }
}

/// The pushes for a stanza that waits in a queue.
#[derive(Debug)]
pub struct Queued<P: Protocol> {
    pub pushes: Pushes<P>,
    /// Whether this push, or an earlier one, notifies the device of something important, and is neither owed nor waits.
    pub alerted: bool,
    /// The kinds that have been pushed, of the stanzas that waited together, if this push is not blocked.
    pub done: Done,
}

/// A push that was held or owed, or has waited, and leaves now.
#[derive(Debug)]
pub struct Leaving<P: Protocol> {
    pub user: Rc<str>,
    pub push: Push<P>,
    pub important: bool,
    /// Sender and text of the message that the push is for, if it waited with them.
    pub from: Option<Box<str>>,
    pub body: Option<Box<str>>,
}

/// A push that waits, as it survives a reload: without its content.
#[derive(Serialize, Deserialize)]
pub(super) struct SavedWait {
    pub user: Rc<str>,
    pub identifier: Rc<str>,
    pub until: Moment,
    pub messages: Vec<u64>,
    pub tells: Tells,
}

/// The part of an engine that survives a reload.
#[derive(Serialize, Deserialize)]
pub struct State {
    #[serde(flatten)]
    pub(super) delivery: delivery::State,
    pub(super) pushed: dedup::State,
    pub(super) calls: calls::State,
    pub(super) unread: Unread,
    pub(super) chats: Vec<(Rc<str>, Chats)>,
    /// The messages that owed pushes cover.
    pub(super) owed: Vec<(Rc<str>, Rc<str>, Kind, Tells)>,
    pub(super) waits: Vec<SavedWait>,
    /// When the last push was taken: user, identifier, time.
    pub(super) successes: Vec<(Rc<str>, Rc<str>, Millis)>,
}
