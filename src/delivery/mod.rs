//! From a push that leaves to a device that has been told.
//!
//! A device has been told of a message when its app server has taken the push, not before. For each device and message:
//!
//! ```text
//! unknown ──▶ in flight ──▶ told        the app server took it (Push 2.0: no error came), or refused it
//!    ▲            │
//!    └────────────┴───────▶ owed        it failed on its way, or its app server is away
//! ```
//!
//! What is in flight or told is not pushed again ([`dedup`](crate::dedup)); what failed is unknown again, so that the next chance
//! (hibernation, a queue given back, the archive) is not missed, and the device is [`owed`] one push, which is tried again until it
//! is taken. When an app server is away ([`outages`]), nobody is tried there but one. Refusals are not repeated: they count
//! ([`failures`]).

pub mod failures;
pub mod outages;
pub mod owed;

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use tracing::debug;

use self::failures::{Failures, Gone};
use self::owed::{Debt, Kind, Tries};
use crate::address::bare;
use crate::calls::CallKey;
use crate::ids::Id;
use crate::protocol::Protocol;
use crate::push2::notification::Notice;
use crate::registration::Registration;
use crate::stanza_error::{NO_ANSWER, StanzaError};
use crate::time::{Millis, Moment, SECOND};

/// How long an answer may take.
pub const ANSWER_TIMEOUT: Millis = 120 * SECOND;
/// After how long an app server at work has answered.
pub const LATE: Millis = SECOND;
/// How long an error of Push 2.0 may take. Prosody tries several addresses of a server before it gives up.
pub const ERROR_TIMEOUT: Millis = 600 * SECOND;
/// Bytes of content that are kept while errors may come, of the newest pushes.
const CONTENT: usize = 4 * 1024 * 1024;
/// Pushes of Push 2.0 whose errors are waited for. Of more, the oldest have arrived, as far as anybody knows.
const UNANSWERED: usize = 50_000;

/// A push that is not answered yet.
#[derive(Clone, Debug)]
pub struct Flight {
    pub user: Rc<str>,
    pub registration: Rc<Registration>,
    pub sent: Moment,
    pub kind: Kind,
    /// Whether it was important, if it had no content: the lane that it keeps.
    pub plain: Option<bool>,
    /// The messages that it tells of, by their deduplication keys.
    pub messages: Vec<u64>,
    /// The call that it is about.
    pub call: Option<CallKey>,
    /// How often it was tried before, if it was owed.
    pub tries: Option<Tries>,
    /// Whether an app server at work would have answered it: what happens to this server now may cost it.
    pub is_late: bool,
    /// What it was, if that can be sent again.
    pub notice: Option<Rc<Notice>>,
}

/// What became of a push.
#[derive(Debug)]
pub enum Settled {
    Taken,
    /// The app server does not want it: it is not sent again.
    Refused,
    /// It did not get there, or not just now: the device is owed another.
    Failed(Debt),
    /// The registration has to go.
    Ends(Gone),
}

/// What is saved of a [`Flight`]: enough to know its answer.
#[derive(Serialize, Deserialize)]
struct Saved {
    id: Id,
    user: Rc<str>,
    identifier: Rc<str>,
    jid: Box<str>,
    sent: Moment,
    kind: Kind,
    plain: Option<bool>,
    messages: Vec<u64>,
}

/// The part that survives a reload.
#[derive(Default, Serialize, Deserialize)]
pub struct State {
    in_flight: Vec<Saved>,
}

/// All pushes of a host that are under way, and the failures of those before.
pub struct Delivery {
    protocol: Protocol,
    in_flight: HashMap<Id, Flight>,
    /// When each was sent, in that order; what has been answered is skipped.
    order: VecDeque<(Millis, Id)>,
    /// Until when those were sent of which it is known whether they are late.
    known_late: Millis,
    /// Those whose content is kept, or was, with their bytes, and the sum of these.
    contents: VecDeque<(Id, usize)>,
    bytes: usize,
    pub failures: Failures,
}

impl Delivery {
    /// After `max_errors` refusals in a row an XEP-0357 registration goes.
    pub fn new(protocol: Protocol, max_errors: u32) -> Self {
        Delivery {
            protocol,
            in_flight: HashMap::new(),
            order: VecDeque::new(),
            known_late: 0,
            contents: VecDeque::new(),
            bytes: 0,
            failures: Failures::new(protocol, max_errors),
        }
    }

    /// A push leaves.
    pub fn sent(&mut self, id: Id, flight: Flight) {
        self.skip_answered();
        if self.protocol == Protocol::Push2
            && self.order.len() >= UNANSWERED
            && let Some((_, oldest)) = self.order.pop_front()
            && let Some(flight) = self.in_flight.remove(&oldest)
        {
            self.failures.forget(&flight.user, &flight.registration.identifier);
        }
        self.order.push_back((flight.sent.mono, id));
        self.in_flight.insert(id, flight);
    }

    /// What is sent under that id, which is in flight.
    pub fn keep(&mut self, id: Id, notice: Rc<Notice>) {
        let Some(flight) = self.in_flight.get_mut(&id) else { return };
        let size = notice.size();
        flight.notice = Some(notice);
        self.contents.push_back((id, size));
        self.bytes += size;
        while self.bytes > CONTENT
            && let Some((oldest, size)) = self.contents.pop_front()
        {
            self.bytes -= size;
            if let Some(flight) = self.in_flight.get_mut(&oldest) {
                flight.notice = None;
            }
        }
    }

    /// The last push of a kind to a device tells of another message as well, if it is still in flight.
    pub fn tells_also(&mut self, user: &str, identifier: &str, kind: Kind, message: u64) {
        /// What has waited together was pushed a moment ago.
        const LOOK_BACK: usize = 64;
        for (_, id) in self.order.iter().rev().take(LOOK_BACK) {
            let Some(flight) = self.in_flight.get_mut(id) else { continue };
            if *flight.user == *user && *flight.registration.identifier == *identifier && flight.kind >= kind {
                flight.messages.push(message);
                return;
            }
        }
    }

    /// A push was taken back before it left.
    pub fn withdrawn(&mut self, id: Id) -> Option<Flight> {
        self.in_flight.remove(&id)
    }

    /// Those that are not answered yet.
    pub fn flights(&self) -> impl Iterator<Item = &Flight> {
        self.in_flight.values()
    }

    /// Pushes that are not answered yet.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// An answer came from `from`: the push that it answers, which is in flight no longer.
    pub fn land(&mut self, id: Id, from: &str) -> Option<Flight> {
        let flight = self.in_flight.get(&id)?;
        if !self.is_from(from, flight.registration.jid()) {
            debug!("{from} answered a push that went to {}: ignored", flight.registration.jid());
            return None;
        }
        self.in_flight.remove(&id)
    }

    /// Whether `from` speaks for the app server that a push went to. What is sent to a bare JID of Push 2.0 is answered by one
    /// of its resources: the service may be a client like any other.
    fn is_from(&self, from: &str, to: &str) -> bool {
        from == to || self.protocol == Protocol::Push2 && bare(from) == to
    }

    /// The pushes that got no answer in time.
    pub fn overdue(&mut self, now: Moment) -> Vec<(Id, Flight)> {
        let mut overdue = Vec::new();
        while let Some(&(sent, id)) = self.order.front()
            && sent + self.timeout() <= now.mono
        {
            self.order.pop_front();
            overdue.extend(self.in_flight.remove(&id).map(|flight| (id, flight)));
        }
        overdue
    }

    /// The users of pushes that are late since the last call.
    pub fn late(&mut self, now: Moment) -> Vec<Rc<str>> {
        let (from, until) = (self.known_late, now.mono.saturating_sub(LATE));
        self.known_late = until.max(from);
        let newest = self.order.iter().rev().take_while(|(sent, _)| *sent > from).filter(|(sent, _)| *sent <= until);
        let mut users = Vec::new();
        for (_, id) in newest {
            let Some(flight) = self.in_flight.get_mut(id) else { continue };
            flight.is_late = true;
            users.push(flight.user.clone());
        }
        users
    }

    /// When [`late`](Delivery::late) has something to give, at the earliest.
    pub fn next_late(&self) -> Option<Millis> {
        let newest = self.order.iter().rev().take_while(|(sent, _)| *sent > self.known_late);
        newest.filter(|(_, id)| self.in_flight.contains_key(id)).last().map(|(sent, _)| sent + LATE)
    }

    /// How long to wait for an answer.
    pub fn timeout(&self) -> Millis {
        match self.protocol {
            Protocol::Push => ANSWER_TIMEOUT,
            Protocol::Push2 => ERROR_TIMEOUT,
        }
    }

    /// What it means that no answer has come.
    pub fn silence(&self) -> Option<StanzaError<'static>> {
        (self.protocol == Protocol::Push).then_some(NO_ANSWER)
    }

    /// What became of a push to a registration that is still there.
    pub fn settle(&mut self, now: Moment, flight: Flight, error: Option<StanzaError>) -> Settled {
        let (user, device) = (&flight.user, &flight.registration.identifier);
        let Some(error) = error else {
            debug!("{} took the push for {user}", flight.registration.jid());
            self.failures.forget(user, device);
            return Settled::Taken;
        };
        if let Some(gone) = self.failures.count(now, user, &flight.registration, error) {
            return Settled::Ends(gone);
        }
        if !error.is_of_transport() {
            return Settled::Refused;
        }
        let tries = match flight.tries {
            Some(tries) => Tries { failed: tries.failed.saturating_add(1), ..tries },
            None => Tries { failed: 0, since: flight.sent.mono, newest: flight.sent.mono },
        };
        let Flight { user, registration, kind, notice, call, .. } = flight;
        Settled::Failed(Debt { user, registration, kind, notice, call, tries })
    }

    /// When [`overdue`](Delivery::overdue) has something to give, at the earliest.
    pub fn next_due(&mut self) -> Option<Millis> {
        self.skip_answered();
        self.order.front().map(|(sent, _)| sent + self.timeout())
    }

    /// The account is no more, and what was sent for it concerns nobody.
    pub fn forget(&mut self, user: &str) {
        self.in_flight.retain(|_, flight| *flight.user != *user);
        self.failures.forget_user(user);
    }

    /// What has to survive a reload.
    pub fn save(&self) -> State {
        let in_flight = self.order.iter().filter_map(|(_, id)| {
            let Flight { user, registration, sent, kind, plain, messages, .. } = self.in_flight.get(id)?.clone();
            let (identifier, jid) = (registration.identifier.clone(), registration.jid().into());
            Some(Saved { id: *id, user, identifier, jid, sent, kind, plain, messages })
        });
        State { in_flight: in_flight.collect() }
    }

    /// Takes what [`save`](Delivery::save) gave.
    pub fn restore(&mut self, state: State) {
        for Saved { id, user, identifier, jid, sent, kind, plain, messages } in state.in_flight {
            let registration = Rc::new(Registration::new(&identifier, &jid, None, None, 0));
            self.order.push_back((sent.mono, id));
            self.in_flight.insert(id, Flight { plain, messages, ..Flight::new(user, registration, sent, kind) });
        }
    }

    fn skip_answered(&mut self) {
        while self.order.front().is_some_and(|(_, id)| !self.in_flight.contains_key(id)) {
            self.order.pop_front();
        }
    }
}

impl Flight {
    pub fn new(user: Rc<str>, registration: Rc<Registration>, sent: Moment, kind: Kind) -> Self {
        Flight {
            user,
            registration,
            sent,
            kind,
            plain: None,
            messages: Vec::new(),
            call: None,
            tries: None,
            is_late: false,
            notice: None,
        }
    }
}
