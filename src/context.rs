//! The rules' view of the server, of an event, and of its stanza.

use std::cell::OnceCell;

use crate::config::Config;
use crate::memory::journal::Cause;
use crate::memory::unread::Place;
use crate::reason::Reason;
use crate::rules::facts::{Message, Word};
use crate::rules::importance::Importance;
use crate::time::Moment;

/// One host of the server.
pub struct Server {
    /// The name of the host, from which pushes come.
    pub host: String,
    pub config: Config,
    /// Fills a slice with random bytes.
    pub random: fn(&mut [u8]),
}

/// The facts that every event has.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    pub now: Moment,
    pub user: &'a str,
    /// Whether other modules see each push and may change it: then no push stands for another.
    pub observed: bool,
}

/// The part of an event that all devices of a user share.
pub struct Context<'a> {
    pub event: Event<'a>,
    pub cause: Cause,
    pub message: Option<&'a Message<'a>>,
    /// The facts of the message, with `SENT` set if the user sent it.
    pub word: Option<Word>,
    /// The importance of the message, or why no device is woken for it.
    pub worth: Result<Importance, Reason>,
    /// The hash of the message's deduplication key, if the message may wake a device or has a place.
    pub key: Option<u64>,
    /// The place of the message in its chat, if it has one.
    pub place: Option<Place>,
    /// Whether the user has read the message with another client.
    pub is_read: bool,
    /// Why a setting of the user or the administrator for the chat keeps the user's devices from being woken.
    pub quiet: Option<Reason>,
    text: OnceCell<String>,
}

impl<'a> Context<'a> {
    pub fn new(
        event: Event<'a>,
        cause: Cause,
        message: Option<&'a Message<'a>>,
        word: Option<Word>,
        worth: Result<Importance, Reason>,
    ) -> Self {
        let (key, place, is_read, quiet, text) = (None, None, false, None, OnceCell::new());
        Context { event, cause, message, word, worth, key, place, is_read, quiet, text }
    }

    pub fn importance(&self) -> Importance {
        self.worth.unwrap_or(Importance::None)
    }

    /// Returns the text of the message in lower case, folded once for all devices.
    pub fn text(&self) -> &str {
        self.text.get_or_init(|| self.message.and_then(|message| message.body).unwrap_or("").to_lowercase())
    }
}
