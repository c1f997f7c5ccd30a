//! Pushes in flight, their answers, and what failures mean for a registration.
//!
//! XEP-0357: an app server that refuses often enough in a row loses the registration. Trouble on the road to it is not the
//! registration's fault and never counts towards that; only a road that has failed without a break for a month ends
//! a registration.
//!
//! Push 2.0: only errors are answers, and a push of which none comes back has arrived. One that the push service cannot
//! take just now is sent again. A service that has failed without a break for three days loses the registration.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::num::NonZeroUsize;
use std::rc::Rc;

use lru::LruCache;
use serde::{Deserialize, Serialize};
use tracing::debug;

use crate::address::bare;
use crate::ids::Id;
use crate::protocol::Protocol;
use crate::push2::retry::{Parcel, Waiting};
use crate::registration::Registration;
use crate::stanza_error::{NO_ANSWER, StanzaError};

/// Milliseconds since 1970.
pub type Millis = u64;

/// How long an answer may take.
pub const ANSWER_TIMEOUT: Millis = 120 * 1000;
/// How long an error of Push 2.0 may take. Prosody tries several addresses of a server before it gives up.
pub const ERROR_TIMEOUT: Millis = 600 * 1000;
/// How long the road may fail without a break before the registration goes.
pub const ROAD_PATIENCE: Millis = 30 * 24 * HOUR;
/// How long a push service of Push 2.0 may fail without a break: the draft's least.
pub const SERVICE_PATIENCE: Millis = 72 * HOUR;
const HOUR: Millis = 3600 * 1000;
/// Bytes of content that are kept while errors may come, of the newest pushes.
const PARCELS: usize = 4 * 1024 * 1024;
/// Pushes of Push 2.0 whose errors are waited for. Of more, the oldest have arrived, as far as anybody knows.
const UNANSWERED: usize = 50_000;
/// Users whose failures are remembered; the one whose failed least recently is forgotten first.
const HISTORIES: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// A registration that has to go, because pushes to it fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    pub user: Rc<str>,
    pub identifier: Rc<str>,
    /// The app server refused the pushes; otherwise it could not be reached.
    pub refused: bool,
    /// In words, for the log.
    pub why: String,
}

/// A push that is not answered yet.
#[derive(Clone, Debug)]
pub struct Flight {
    pub user: Rc<str>,
    pub registration: Rc<Registration>,
    pub sent: Millis,
    /// Whether it was important, if it had no content: the lane that it keeps.
    pub plain: Option<bool>,
    /// What it was, if it can be sent again.
    parcel: Option<Parcel>,
}

/// What a push came to that failed.
#[derive(Debug)]
pub enum Failure {
    /// The registration stays.
    Borne,
    /// The registration has to go.
    Ends(Gone),
    /// The push may be sent again.
    Again(Waiting),
}

/// What is saved of a [`Flight`]: enough to know its answer.
#[derive(Serialize, Deserialize)]
struct Saved {
    id: Id,
    user: Rc<str>,
    identifier: Rc<str>,
    jid: Box<str>,
    sent: Millis,
    plain: Option<bool>,
}

/// The failures of one registration since its last success. With Push 2.0 each is both a refusal and one of the road.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct History {
    /// Refusals in a row.
    refusals: u32,
    /// Since when the road has failed without a break.
    road_fails_since: Option<Millis>,
}

/// A user's registrations with failures.
type Histories = BTreeMap<Rc<str>, History>;

/// The part that survives a reload.
#[derive(Default, Serialize, Deserialize)]
pub struct State {
    in_flight: Vec<Saved>,
    failures: Vec<(Rc<str>, Histories)>,
}

/// All pushes of a host that are under way, and the failures of those before.
pub struct Delivery {
    protocol: Protocol,
    max_errors: u32,
    in_flight: HashMap<Id, Flight>,
    /// When each was sent, in that order; what has been answered is skipped.
    order: VecDeque<(Millis, Id)>,
    /// Those that have a parcel, or had, with their bytes, and the sum of these.
    parcels: VecDeque<(Id, usize)>,
    bytes: usize,
    failures: LruCache<Rc<str>, Histories>,
}

impl Delivery {
    /// After `max_errors` refusals in a row an XEP-0357 registration goes.
    pub fn new(protocol: Protocol, max_errors: u32) -> Self {
        Delivery {
            protocol,
            max_errors,
            in_flight: HashMap::new(),
            order: VecDeque::new(),
            parcels: VecDeque::new(),
            bytes: 0,
            failures: LruCache::new(HISTORIES),
        }
    }

    /// A push leaves.
    pub fn sent(&mut self, now: Millis, id: Id, user: Rc<str>, registration: &Rc<Registration>, plain: Option<bool>) {
        self.skip_answered();
        if self.protocol == Protocol::Push2
            && self.order.len() >= UNANSWERED
            && let Some((_, oldest)) = self.order.pop_front()
            && let Some(flight) = self.in_flight.remove(&oldest)
        {
            self.succeeded(&flight.user, &flight.registration.identifier);
        }
        self.order.push_back((now, id));
        self.in_flight.insert(id, Flight { user, registration: registration.clone(), sent: now, plain, parcel: None });
    }

    /// What is sent under that id, which is in flight.
    pub fn keep(&mut self, id: Id, parcel: Parcel) {
        let Some(flight) = self.in_flight.get_mut(&id) else { return };
        let size = parcel.notice.size();
        flight.parcel = Some(parcel);
        self.parcels.push_back((id, size));
        self.bytes += size;
        while self.bytes > PARCELS
            && let Some((oldest, size)) = self.parcels.pop_front()
        {
            self.bytes -= size;
            if let Some(flight) = self.in_flight.get_mut(&oldest) {
                flight.parcel = None;
            }
        }
    }

    /// A push was taken back before it left.
    pub fn withdrawn(&mut self, id: Id) -> Option<Flight> {
        self.in_flight.remove(&id)
    }

    /// Pushes that are not answered yet.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Of a registration: refusals in a row, and since when its road has failed.
    pub fn failures(&self, user: &str, identifier: &str) -> (u32, Option<Millis>) {
        let history = self.failures.peek(user).and_then(|histories| histories.get(identifier));
        history.map_or((0, None), |history| (history.refusals, history.road_fails_since))
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
    pub fn overdue(&mut self, now: Millis) -> Vec<(Id, Flight)> {
        let mut overdue = Vec::new();
        while let Some(&(sent, id)) = self.order.front()
            && sent + self.timeout() <= now
        {
            self.order.pop_front();
            overdue.extend(self.in_flight.remove(&id).map(|flight| (id, flight)));
        }
        overdue
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
    pub fn settle(&mut self, now: Millis, flight: Flight, error: Option<StanzaError>) -> Failure {
        let Some(error) = error else {
            debug!("{} took the push for {}", flight.registration.jid(), flight.user);
            self.succeeded(&flight.user, &flight.registration.identifier);
            return Failure::Borne;
        };
        self.failed(now, flight, error)
    }

    /// When [`overdue`](Delivery::overdue) has something to give, at the earliest.
    pub fn next_due(&mut self) -> Option<Millis> {
        self.skip_answered();
        self.order.front().map(|(sent, _)| sent + self.timeout())
    }

    /// The account is no more, and what was sent for it concerns nobody.
    pub fn forget(&mut self, user: &str) {
        self.in_flight.retain(|_, flight| *flight.user != *user);
        self.failures.pop(user);
    }

    /// Forgets the failures of registrations that are no more.
    pub fn retain(&mut self, user: &str, exists: impl Fn(&str) -> bool) {
        if let Some(histories) = self.failures.peek_mut(user) {
            histories.retain(|identifier, _| exists(identifier));
            if histories.is_empty() {
                self.failures.pop(user);
            }
        }
    }

    /// What has to survive a reload.
    pub fn save(&self) -> State {
        let in_flight = self.order.iter().filter_map(|(_, id)| {
            let Flight { user, registration, sent, plain, .. } = self.in_flight.get(id)?.clone();
            let (identifier, jid) = (registration.identifier.clone(), registration.jid().into());
            Some(Saved { id: *id, user, identifier, jid, sent, plain })
        });
        let failures = self.failures.iter().rev().map(|(user, histories)| (user.clone(), histories.clone()));
        State { in_flight: in_flight.collect(), failures: failures.collect() }
    }

    /// Takes what [`save`](Delivery::save) gave.
    pub fn restore(&mut self, state: State) {
        for Saved { id, user, identifier, jid, sent, plain } in state.in_flight {
            let registration = Rc::new(Registration::new(&identifier, &jid, None, None, 0));
            self.order.push_back((sent, id));
            self.in_flight.insert(id, Flight { user, registration, sent, plain, parcel: None });
        }
        for (user, histories) in state.failures {
            self.failures.put(user, histories);
        }
    }

    /// A push has arrived, or the registration was made anew: nothing counts that happened before.
    pub fn succeeded(&mut self, user: &str, identifier: &str) {
        self.retain(user, |failed| failed != identifier);
    }

    fn failed(&mut self, now: Millis, flight: Flight, error: StanzaError) -> Failure {
        let histories = self.failures.get_or_insert_mut(flight.user.clone(), Histories::new);
        let Flight { user, registration, parcel, .. } = flight;
        let device = registration.identifier.clone();
        let history = histories.entry(device.clone()).or_default();
        let StanzaError { kind, condition, text } = error;
        let refused = !error.is_of_the_road();
        let text = text.unwrap_or("no text");
        let failed_for = now.saturating_sub(*history.road_fails_since.get_or_insert(now));
        let why = match self.protocol {
            Protocol::Push if !refused => {
                debug!("Push for {user} to {device} failed on its way ({kind}/{condition}, {text}): not counted");
                if failed_for < ROAD_PATIENCE {
                    return Failure::Borne;
                }
                let days = ROAD_PATIENCE / (24 * HOUR);
                format!("no push has reached it for {days} days, the last error was {kind}/{condition}: {text}")
            }
            Protocol::Push => {
                history.road_fails_since = None;
                history.refusals = history.refusals.saturating_add(1);
                let (refusals, max) = (history.refusals, self.max_errors);
                debug!(
                    "Push for {user} to {device} was refused ({kind}/{condition}, {text}): {refusals} of {max} in a row"
                );
                if refusals < max {
                    return Failure::Borne;
                }
                format!("it refused {refusals} pushes in a row, the last with {kind}/{condition}: {text}")
            }
            Protocol::Push2 => {
                history.refusals = history.refusals.saturating_add(1);
                let (failures, service) = (history.refusals, registration.jid());
                debug!(
                    "Push for {user} to {device} at {service} failed ({kind}/{condition}, {text}): {failures} in a row"
                );
                if failed_for < SERVICE_PATIENCE {
                    let again = parcel.filter(|_| kind == "wait").map(|parcel| Waiting { user, registration, parcel });
                    return again.map_or(Failure::Borne, Failure::Again);
                }
                let hours = SERVICE_PATIENCE / HOUR;
                format!(
                    "all pushes to {service} have failed for {hours} hours, {failures} in a row, the last with \
                     {kind}/{condition}: {text}"
                )
            }
        };
        Failure::Ends(Gone { user, identifier: device, refused, why })
    }

    fn skip_answered(&mut self) {
        while self.order.front().is_some_and(|(_, id)| !self.in_flight.contains_key(id)) {
            self.order.pop_front();
        }
    }
}
