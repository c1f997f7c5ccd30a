//! The delivery of a push, from the moment when it leaves until its device has been notified.
//!
//! A device has been notified of a message when its app server has taken the push, not before. For each device and message:
//!
//! ```text
//! unknown ──▶ in flight ──▶ notified    the app server took the push (Push 2.0: no error came), or refused it
//!    ▲            │
//!    └────────────┴───────▶ owed        the push failed on its way, or its app server is away
//! ```
//!
//! A message that is in flight or notified is not pushed again ([`dedup`](crate::memory::dedup)). A message whose push failed
//! is unknown again, so that the next event (hibernation, a queue that is handed back, the archive) pushes it, and the device
//! is [`owed`] one push, which is sent again until the app server takes it. While an app server is away ([`outages`]), one push
//! at a time tries it and all others are owed. A refused push is not sent again: refusals count ([`failures`]). In a burst, one
//! push stands for many ([`bursts`]). While the user is at another client, a push may wait ([`waiting`]).

pub mod bursts;
pub mod failures;
pub mod outages;
pub mod owed;
pub mod turns;
pub mod waiting;

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use tracing::debug;

use self::failures::{Failures, Gone};
use self::owed::{Debt, Tries};
use crate::address::bare;
use crate::ids::Id;
use crate::memory::calls::CallKey;
use crate::memory::unread::Tells;
use crate::protocol::Protocol;
use crate::registration::Registration;
use crate::rules::importance::Kind;
use crate::stanza_error::StanzaError;
use crate::time::{Millis, Moment, SECOND};

/// An app server that works has answered after this time.
pub const LATE: Millis = SECOND;
/// Bytes of payloads that are kept for pushes in flight, the newest pushes first.
const CONTENT: usize = 4 * 1024 * 1024;

/// A push in flight: it is not answered yet.
#[derive(Debug)]
pub struct InFlight<P: Protocol> {
    pub user: Rc<str>,
    pub registration: Rc<Registration<P::Asked>>,
    pub sent: Moment,
    pub kind: Kind,
    /// If the push occupies a lane: whether the lane is that of important pushes.
    pub plain: Option<bool>,
    /// The deduplication keys of the messages that the push covers.
    pub messages: Vec<u64>,
    pub tells: Tells,
    /// The call that the push is about.
    pub call: Option<CallKey>,
    /// The earlier tries, if it was owed.
    pub tries: Option<Tries>,
    /// Whether an app server that works would have answered by now: if this server stops, the push is owed.
    pub is_late: bool,
    /// The payload, if it can be sent again.
    pub payload: Option<P::Payload>,
}

/// The result of a push.
#[derive(Debug)]
pub enum Settled<P: Protocol> {
    Taken,
    /// The app server does not want the push: it is not sent again.
    Refused,
    /// The push did not arrive, or the app server could not take it now: the device is owed another.
    Failed(Debt<P>),
    /// The registration has to be removed.
    Ends(Gone),
}

/// The part of an [`InFlight`] that is saved: enough to recognise its answer.
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
    call: Option<CallKey>,
}

/// The part that survives a reload.
#[derive(Default, Serialize, Deserialize)]
pub struct State {
    in_flight: Vec<Saved>,
}

/// All pushes of a host that are in flight, and the failures of earlier ones.
pub struct Delivery<P: Protocol> {
    in_flight: HashMap<Id, InFlight<P>>,
    /// When each push was sent, in that order; entries of answered pushes are skipped.
    order: VecDeque<(Millis, Id)>,
    /// The same for the pushes that are not late yet, where app servers answer.
    fresh: VecDeque<(Millis, Id)>,
    /// The pushes whose payload is or was kept, each with the size of the payload in bytes; and the sum of the sizes.
    contents: VecDeque<(Id, usize)>,
    bytes: usize,
    pub failures: Failures,
}

impl<P: Protocol> Delivery<P> {
    /// `max_errors` is the number of refusals in a row that ends a registration.
    pub fn new(max_errors: u32) -> Self {
        Delivery {
            in_flight: HashMap::new(),
            order: VecDeque::new(),
            fresh: VecDeque::new(),
            contents: VecDeque::new(),
            bytes: 0,
            failures: Failures::new(P::POLICY, max_errors),
        }
    }

    /// Notes a push that leaves.
    pub fn sent(&mut self, id: Id, push: InFlight<P>) {
        // Otherwise the answered pushes of a second would pile up.
        skip_answered(&mut self.fresh, &self.in_flight);
        skip_answered(&mut self.order, &self.in_flight);
        if self.order.len() >= P::POLICY.max_in_flight
            && let Some((_, oldest)) = self.order.pop_front()
            && let Some(oldest) = self.in_flight.remove(&oldest)
        {
            self.failures.forget(&oldest.user, &oldest.registration.identifier);
        }
        self.insert(id, push);
    }

    /// Keeps the payload of a push in flight, if it can be sent again.
    pub fn keep(&mut self, id: Id, payload: &P::Payload) {
        let Some(size) = P::kept(payload) else { return };
        let Some(push) = self.in_flight.get_mut(&id) else { return };
        push.payload = Some(payload.clone());
        self.contents.push_back((id, size));
        self.bytes += size;
        while self.bytes > CONTENT
            && let Some((oldest, size)) = self.contents.pop_front()
        {
            self.bytes -= size;
            if let Some(push) = self.in_flight.get_mut(&oldest) {
                push.payload = None;
            }
        }
    }

    /// Adds a message to the last push in flight of this kind, or of a greater one, to a device.
    pub fn tells_also(&mut self, user: &str, identifier: &str, kind: Kind, message: u64, tells: &Tells) {
        /// The number of newest pushes that are searched: stanzas that waited together were pushed a moment ago.
        const LOOK_BACK: usize = 64;
        for (_, id) in self.order.iter().rev().take(LOOK_BACK) {
            let Some(push) = self.in_flight.get_mut(id) else { continue };
            if *push.user == *user && *push.registration.identifier == *identifier && push.kind >= kind {
                push.messages.push(message);
                push.tells.add(tells);
                return;
            }
        }
    }

    /// Takes out a push that was withdrawn before it left.
    pub fn withdrawn(&mut self, id: Id) -> Option<InFlight<P>> {
        self.in_flight.remove(&id)
    }

    /// Returns the pushes that are not answered yet.
    pub fn in_flight(&self) -> impl ExactSizeIterator<Item = &InFlight<P>> {
        self.in_flight.values()
    }

    /// Returns the ids of the pushes that are not answered yet, with the app server of each, in the order in which they left.
    pub fn unanswered(&self) -> impl Iterator<Item = (Id, &str)> {
        self.order.iter().filter_map(|(_, id)| Some((*id, self.in_flight.get(id)?.registration.jid())))
    }

    /// Takes out the push that an answer from `from` is for.
    pub fn land(&mut self, id: Id, from: &str) -> Option<InFlight<P>> {
        let to = self.in_flight.get(&id)?.registration.jid();
        if !is_from::<P>(from, to) {
            debug!("{from} answered a push that went to {to}: ignored");
            return None;
        }
        self.in_flight.remove(&id)
    }

    /// Takes out the pushes that got no answer in time.
    pub fn overdue(&mut self, now: Moment) -> Vec<(Id, InFlight<P>)> {
        let mut overdue = Vec::new();
        while let Some(&(sent, id)) = self.order.front()
            && sent + P::POLICY.answer_timeout <= now.mono
        {
            self.order.pop_front();
            overdue.extend(self.in_flight.remove(&id).map(|push| (id, push)));
        }
        overdue
    }

    /// Returns the users whose pushes have become late since the last call.
    pub fn late(&mut self, now: Moment) -> Vec<Rc<str>> {
        let mut users = Vec::new();
        while let Some(&(sent, id)) = self.fresh.front()
            && sent + LATE <= now.mono
        {
            self.fresh.pop_front();
            let Some(push) = self.in_flight.get_mut(&id) else { continue };
            push.is_late = true;
            users.push(push.user.clone());
        }
        users
    }

    /// Returns when [`late`](Delivery::late) has something to return, at the earliest.
    pub fn next_late(&mut self) -> Option<Millis> {
        skip_answered(&mut self.fresh, &self.in_flight);
        self.fresh.front().map(|(sent, _)| sent + LATE)
    }

    /// Decides the effect of an answer, or of its absence, on a push whose registration still exists.
    pub fn settle(&mut self, now: Moment, push: InFlight<P>, error: Option<StanzaError>) -> Settled<P> {
        let (user, device) = (&push.user, &push.registration.identifier);
        let Some(error) = error else {
            debug!("{} took the push for {user}", push.registration.jid());
            self.failures.forget(user, device);
            return Settled::Taken;
        };
        if let Some(gone) = self.failures.count(now, user, device, push.registration.jid(), error) {
            return Settled::Ends(gone);
        }
        if !error.is_of_transport() {
            return Settled::Refused;
        }
        Settled::Failed(push.into_debt())
    }

    /// Returns when [`overdue`](Delivery::overdue) has something to return, at the earliest.
    pub fn next_due(&mut self) -> Option<Millis> {
        skip_answered(&mut self.order, &self.in_flight);
        self.order.front().map(|(sent, _)| sent + P::POLICY.answer_timeout)
    }

    /// Forgets the pushes of a user whose account was deleted.
    pub fn forget(&mut self, user: &str) {
        self.in_flight.retain(|_, push| *push.user != *user);
        self.failures.forget_user(user);
    }

    /// Returns the state that survives a reload.
    pub fn save(&self) -> State {
        let in_flight = self.order.iter().filter_map(|(_, id)| {
            let push = self.in_flight.get(id)?;
            Some(Saved {
                id: *id,
                user: push.user.clone(),
                identifier: push.registration.identifier.clone(),
                jid: push.registration.jid().into(),
                sent: push.sent,
                kind: push.kind,
                plain: push.plain,
                messages: push.messages.clone(),
                call: push.call,
            })
        });
        State { in_flight: in_flight.collect() }
    }

    /// Restores the state that [`save`](Delivery::save) returned, with stand-ins for the registrations.
    pub fn restore(&mut self, state: State) {
        for Saved { id, user, identifier, jid, sent, kind, plain, messages, call } in state.in_flight {
            let registration = Rc::new(Registration::stand_in(&identifier, &jid));
            self.insert(id, InFlight { plain, messages, call, ..InFlight::new(user, registration, sent, kind) });
        }
    }

    fn insert(&mut self, id: Id, push: InFlight<P>) {
        let sent = (push.sent.mono, id);
        self.order.push_back(sent);
        if P::POLICY.answers {
            self.fresh.push_back(sent);
        }
        self.in_flight.insert(id, push);
    }
}

impl<P: Protocol> InFlight<P> {
    /// Whether the device, which is `registration` now, has been told of all that the push is for since the push left. A call has
    /// to ring, so only its own push tells of it.
    pub fn is_needless(&self, registration: &Registration<P::Asked>) -> bool {
        let newest = self.tries.map_or(self.sent.mono, |tries| tries.newest);
        self.kind != Kind::Call && newest < registration.told.get()
    }

    pub fn new(user: Rc<str>, registration: Rc<Registration<P::Asked>>, sent: Moment, kind: Kind) -> Self {
        InFlight {
            user,
            registration,
            sent,
            kind,
            plain: None,
            messages: Vec::new(),
            tells: Tells::default(),
            call: None,
            tries: None,
            is_late: false,
            payload: None,
        }
    }

    /// Makes the push that is owed in its place, after one more try.
    pub fn into_debt(self) -> Debt<P> {
        let InFlight { user, registration, sent, kind, payload, call, tells, tries, .. } = self;
        let tries = match tries {
            Some(tries) => Tries { failed: tries.failed.saturating_add(1), ..tries },
            None => Tries { failed: 0, since: sent.mono, newest: sent.mono },
        };
        Debt { user, registration, kind, payload, call, tells, tries }
    }
}

/// Drops the oldest pushes from a queue as far as they are answered.
fn skip_answered<P: Protocol>(queue: &mut VecDeque<(Millis, Id)>, in_flight: &HashMap<Id, InFlight<P>>) {
    while queue.front().is_some_and(|(_, id)| !in_flight.contains_key(id)) {
        queue.pop_front();
    }
}

/// Whether `from` speaks for the app server that a push went to.
fn is_from<P: Protocol>(from: &str, to: &str) -> bool {
    from == to || P::POLICY.answers_from_resources && bare(from) == to
}
