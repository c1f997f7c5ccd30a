//! The latest decisions for each user, and their outcome: the answer to "why did my phone not ring?".
//!
//! The journal keeps the kind of a stanza, never its text or its sender.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::rc::Rc;

use lru::LruCache;
use strum::{EnumMessage, EnumString};

use crate::ids::Id;
use crate::reason::Reason;
use crate::rules::facts::{
    AMENDMENT, ANSWER, BODY, CALL, CALL_ENDS, CHAT_STATE, CORRECTED, ENCRYPTED, ERROR, FILE, GROUPCHAT, HEADLINE,
    INVITATION, IQ_STANZA, PRESENCE_STANZA, PROCEED, RECEIPTS, SENT, SUBJECT, SUBSCRIBE, Word,
};
use crate::stanza_error::Condition;
use crate::time::Millis;

/// Users whose decisions are kept; the user with the oldest last decision is forgotten first.
const USERS: NonZeroUsize = NonZeroUsize::new(1000).unwrap();

/// Decisions for which memory is reserved at once.
const MOST_AT_ONCE: usize = 20;

/// The event that led to a decision. The causes that the shim passes have names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumMessage, EnumString)]
#[strum(serialize_all = "lowercase")]
pub enum Cause {
    #[strum(message = "no client took it")]
    Offline,
    #[strum(message = "it was archived, or it is a call or a request for a subscription")]
    Addressed,
    #[strum(message = "it waits for a client that does not answer")]
    Queued,
    #[strum(message = "a module asked for it")]
    Ping,
    #[strum(message = "a test was asked for")]
    Test,
    #[strum(message = "it had been held")]
    Released,
    #[strum(message = "it was owed")]
    Again,
    #[strum(message = "it had waited while another client was in use")]
    Waited,
    #[strum(message = "the registrations could not be read before")]
    Missed,
    #[strum(message = "another client has read what it shows")]
    TakeAway,
    #[strum(message = "its session's queue is four fifths full", serialize = "queue full")]
    QueueFull,
    #[strum(message = "the server has started")]
    Started,
    #[strum(message = "its session is about to end", serialize = "hibernation ends")]
    HibernationEnds,
}

impl Cause {
    fn text(self) -> &'static str {
        self.get_message().unwrap_or_default()
    }
}

/// The outcome of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Sent(Id, Option<Answer>),
    Held,
    /// The push was not tried, because the app server is away.
    Owed,
    /// The push was not tried, because the record of its registration could not be read.
    Postponed,
    /// The push waits, because the user is at another client.
    Waits,
    NotSent(Reason),
}

/// The answer to a push, and after how long it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Taken(Millis),
    /// An error came. The last field: whether the device is owed another push.
    Error(Millis, Condition, bool),
    /// No answer came from an app server that answers only with errors.
    Silence,
}

impl Outcome {
    /// Returns its name.
    pub fn name(&self) -> &'static str {
        match self {
            Outcome::Sent(_, None) => "sent",
            Outcome::Sent(_, Some(Answer::Taken(_) | Answer::Silence)) => "taken",
            Outcome::Sent(_, Some(Answer::Error(..))) => "error",
            Outcome::Held => "held",
            Outcome::Owed | Outcome::Postponed => "owed",
            Outcome::Waits => "waits",
            Outcome::NotSent(_) => "not_sent",
        }
    }
}

/// A decision about one stanza and one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub at: Millis,
    pub cause: Cause,
    /// The facts of the stanza, if there was one.
    pub word: Option<Word>,
    pub device: Rc<str>,
    pub outcome: Outcome,
}

impl Decision {
    /// Returns the stanza, the cause and the outcome in words. `answers`: whether app servers answer each push that they take.
    pub fn text(&self, answers: bool) -> String {
        let is_held = matches!(self.cause, Cause::Released | Cause::Again | Cause::Waited | Cause::Missed);
        let what = self.word.map_or(if is_held { "push" } else { "ping" }, kind);
        let outcome = match self.outcome {
            Outcome::Sent(_, None) if answers => "sent, no answer yet".into(),
            Outcome::Sent(_, None) => "sent, no error so far".into(),
            Outcome::Sent(_, Some(Answer::Taken(after))) => format!("sent, taken after {after} ms"),
            Outcome::Sent(_, Some(Answer::Error(after, error, is_owed))) => {
                let owed = if is_owed { ": owed, and sent again" } else { "" };
                format!("sent, {} after {after} ms{owed}", error.name())
            }
            Outcome::Sent(_, Some(Answer::Silence)) => "sent, and no error came back".into(),
            Outcome::Held => "held, the last push says it already; one for all follows".into(),
            Outcome::Owed => "owed: the app server is away, and one push follows when it is back".into(),
            Outcome::Postponed => {
                "owed: its registration cannot be read now, and one push follows when it can be".into()
            }
            Outcome::Waits => "waits: another client is in use, and the user may read it there".into(),
            Outcome::NotSent(reason) => format!("not sent: {}", reason.text()),
        };
        format!("{what} ({}): {outcome}", self.cause.text())
    }
}

/// Returns the kind of a stanza in words.
fn kind(word: Word) -> &'static str {
    let has = |bits| word & bits != 0;
    match () {
        () if has(SUBSCRIBE) => "request for a subscription",
        () if has(ERROR) => "error",
        () if has(PRESENCE_STANZA) => "presence",
        () if has(ANSWER) => "answer",
        () if has(CALL) && !has(FILE) => "call",
        () if has(CALL_ENDS | PROCEED) => "end of a call",
        () if has(SENT) => "own message, from another client",
        () if has(HEADLINE) => "headline",
        () if has(INVITATION) => "invitation to a room",
        () if has(CORRECTED) => "correction",
        () if has(AMENDMENT) => "reaction or retraction",
        () if has(ENCRYPTED) => "encrypted message",
        () if has(GROUPCHAT) && has(SUBJECT) => "subject of a room",
        () if has(GROUPCHAT) && has(BODY) => "message of a room",
        () if has(BODY) => "message",
        () if has(RECEIPTS) => "receipt or marker",
        () if has(CHAT_STATE) => "chat state",
        () if has(IQ_STANZA) => "request",
        () => "stanza without a text",
    }
}

/// The decisions for all users, in bounded memory.
pub struct Journal {
    /// Decisions for one user; 0 for none.
    each: usize,
    users: LruCache<Rc<str>, VecDeque<Decision>>,
}

impl Journal {
    /// Keeps `each` decisions for a user; 0 for none.
    pub fn new(each: usize) -> Self {
        Journal { each, users: LruCache::new(USERS) }
    }

    /// Notes a decision, unless none are kept.
    pub fn add(&mut self, user: &Rc<str>, decision: Decision) {
        if self.each == 0 {
            return;
        }
        let decisions = self.users.get_or_insert_mut_ref(user, || VecDeque::with_capacity(self.each.min(MOST_AT_ONCE)));
        if decisions.len() >= self.each {
            decisions.pop_front();
        }
        decisions.push_back(decision);
    }

    /// Notes the answer to a push.
    pub fn answered(&mut self, user: &Rc<str>, id: Id, answer: Answer) {
        self.change(user, id, Outcome::Sent(id, Some(answer)));
    }

    /// Notes that another module blocked a push.
    pub fn withdrawn(&mut self, user: &Rc<str>, id: Id) {
        self.change(user, id, Outcome::NotSent(Reason::Blocked));
    }

    /// Notes that a push is owed, because the record of its registration cannot be read.
    pub fn postponed(&mut self, user: &Rc<str>, id: Id) {
        self.change(user, id, Outcome::Postponed);
    }

    fn change(&mut self, user: &Rc<str>, id: Id, outcome: Outcome) {
        let of_id = |decision: &&mut Decision| matches!(decision.outcome, Outcome::Sent(sent, None) if sent == id);
        if let Some(decision) = self.users.peek_mut(user).and_then(|decisions| decisions.iter_mut().rev().find(of_id)) {
            decision.outcome = outcome;
        }
    }

    /// Returns the decisions for a user, the newest first.
    pub fn decisions(&self, user: &str) -> impl Iterator<Item = &Decision> {
        self.users.peek(user).into_iter().flat_map(|decisions| decisions.iter().rev())
    }

    /// Returns the last `most` decisions of all users, the newest first, each with its user.
    pub fn latest(&self, most: usize) -> Vec<(&Rc<str>, &Decision)> {
        // The cache has the users in the order of their last decisions: only the first `most` users can have one of the last
        // decisions.
        let users = self.users.iter().take(most);
        let mut latest: Vec<_> =
            users.flat_map(|(user, decisions)| decisions.iter().rev().map(move |decision| (user, decision))).collect();
        latest.sort_by_key(|(_, decision)| std::cmp::Reverse(decision.at));
        latest.truncate(most);
        latest
    }

    /// Forgets a user whose account was deleted.
    pub fn forget(&mut self, user: &str) {
        self.users.pop(user);
    }
}
