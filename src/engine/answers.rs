//! What comes of pushes: answers, and time that passes without one; and what waits to be sent.

use std::rc::Rc;

use lru::LruCache;
use tracing::debug;

use super::{Answered, Content, Engine, Held, State, Verdict};
use crate::coalesce::{Lane, Released};
use crate::delivery::{Failure, Flight, Gone, Millis};
use crate::ids::{Id, parse};
use crate::importance::Importance;
use crate::journal::{Answer, Cause, Decision, Outcome};
use crate::protocol::Protocol;
use crate::push2::notification::{Notice, Priority};
use crate::push2::retry::Waiting;
use crate::reason::Reason;
use crate::registration::{Devices, Registration};
use crate::stanza_error::StanzaError;

impl Engine {
    /// A handler of another module kept the push back.
    pub fn withdraw(&mut self, id: &str) {
        if let Some(id) = parse(id)
            && let Some(flight) = self.delivery.withdrawn(id)
        {
            self.stats.suppressed(Reason::Blocked);
            self.journal.withdrawn(&flight.user, id);
        }
    }

    /// An answer came to the host: an IQ of type result or error, or with Push 2.0 a message of type error.
    pub fn on_answer(&mut self, now: Millis, id: &str, from: Option<&str>, error: Option<StanzaError>) -> Answered {
        let id = parse(id);
        let flight = id.zip(from).and_then(|(id, from)| self.delivery.land(id, from));
        let Some((id, flight)) = id.zip(flight) else { return Answered { verdict: Verdict::Stranger, refusals: None } };
        let (user, device) = (flight.user.clone(), flight.registration.identifier.clone());
        let (before, _) = self.delivery.failures(&user, &device);
        let verdict = match self.landed(now, id, flight, error, false) {
            Failure::Borne => Verdict::Stays,
            Failure::Ends(gone) => Verdict::Goes(gone),
            Failure::Again(failed) => {
                self.put_off(now, failed);
                Verdict::Stays
            }
        };
        let (refusals, _) = self.delivery.failures(&user, &device);
        Answered { verdict, refusals: (refusals != before).then_some((device, refusals)) }
    }

    /// Time has passed: the registrations that have to go because no answer came.
    pub fn on_timer(&mut self, now: Millis) -> Vec<Gone> {
        let (overdue, silence) = (self.delivery.overdue(now), self.delivery.silence());
        let landed = overdue.into_iter().map(|(id, flight)| self.landed(now, id, flight, silence, true));
        landed.filter_map(|failure| if let Failure::Ends(gone) = failure { Some(gone) } else { None }).collect()
    }

    fn landed(&mut self, now: Millis, id: Id, flight: Flight, error: Option<StanzaError>, is_silence: bool) -> Failure {
        if let Some(important) = flight.plain {
            let lane =
                Lane { user: flight.user.clone(), identifier: flight.registration.identifier.clone(), important };
            self.lanes.landed(now, &lane, id);
        }
        let Flight { user, registration, sent, .. } = &flight;
        let after = now.saturating_sub(*sent);
        let answer = match error {
            Some(error) => Answer::Error(after, error.known_condition()),
            None if is_silence => Answer::Silence,
            None => Answer::Taken(after),
        };
        self.journal.answered(user, id, answer);
        self.stats.answered(answer);
        let mut made = 0;
        match self.users.peek(user).map(|devices| devices.get(&registration.identifier)) {
            Some(None) => {
                debug!("A push for {user} is answered whose registration {} is no more", registration.identifier);
                return Failure::Borne;
            }
            Some(Some(device)) => {
                made = device.made.get();
                if error.is_none() {
                    device.last_success.set(now);
                }
            }
            None => {}
        }
        if made > *sent && error.is_some() {
            debug!("A push for {user} failed whose registration was made anew since: not counted");
            return Failure::Borne;
        }
        self.delivery.settle(now, flight, error)
    }

    fn put_off(&mut self, now: Millis, failed: Waiting) {
        let (user, device) = (failed.user.clone(), failed.registration.identifier.clone());
        match self.retries.put(now, failed) {
            Some(delay) => debug!("The push for {user} to {device} is sent again in {} seconds", delay / 1000),
            None => debug!("The push for {user} to {device} is not sent again: it was tried often, or too many wait"),
        }
    }

    /// The pushes that were held and may leave now.
    pub fn release(&mut self, now: Millis) -> Vec<Held> {
        self.release_due(now, now)
    }

    /// All pushes that are held.
    pub fn release_all(&mut self, now: Millis) -> Vec<Held> {
        self.release_due(now, Millis::MAX)
    }

    fn release_due(&mut self, now: Millis, until: Millis) -> Vec<Held> {
        let released = self.lanes.release(now, until);
        let mut leaving = Vec::new();
        for Released { lane, registration } in released {
            let Some(registration) = standing(&self.users, &lane.user, registration) else { continue };
            let Lane { user, important, .. } = lane.clone();
            debug!("A push for {user} to {} was held and leaves now", lane.identifier);
            let content = match self.protocol {
                Protocol::Push => Content::Summary,
                Protocol::Push2 => {
                    let importance = if important { Importance::Important } else { Importance::Low };
                    Content::Notice(Notice::empty(Priority::new(importance)).into())
                }
            };
            let device = registration.identifier.clone();
            let push = self.send(now, user.clone(), &registration, Some(lane), content);
            self.stats.sent(if important { Importance::Important } else { Importance::Low });
            let outcome = Outcome::Sent(push.id, None);
            self.journal.add(&user, Decision { at: now, cause: Cause::Released, word: None, device, outcome });
            leaving.push(Held { push, important });
        }
        for Waiting { user, registration, parcel } in self.retries.due(until) {
            let Some(registration) = standing(&self.users, &user, registration) else { continue };
            let is_over = |call| self.calls.is_over(&user, &registration.identifier, call);
            if parcel.notice.call.is_some_and(is_over) {
                debug!("A push for {user} to {} is not sent again: the call is over", registration.identifier);
                continue;
            }
            debug!("A push for {user} to {} failed and is sent again", registration.identifier);
            let (notice, attempts) = (parcel.notice, parcel.attempts);
            let important = notice.priority != Priority::Low;
            let device = registration.identifier.clone();
            let push = self.post(now, user.clone(), &registration, None, notice, attempts);
            self.stats.sent_again();
            let outcome = Outcome::Sent(push.id, None);
            self.journal.add(&user, Decision { at: now, cause: Cause::Again, word: None, device, outcome });
            leaving.push(Held { push, important });
        }
        leaving
    }

    /// Milliseconds until [`on_timer`](Engine::on_timer) or [`release`](Engine::release) have something to do; none
    /// while nothing is in flight or held.
    pub fn timer(&mut self, now: Millis) -> Option<Millis> {
        let next = [self.delivery.next_due(), self.lanes.next_due(), self.retries.next_due()];
        next.into_iter().flatten().min().map(|next| next.saturating_sub(now))
    }

    /// Milliseconds until a push that is held, or put off, may leave; none while none is. Sooner than [`timer`](Engine::timer) said
    /// before, where an event has held or freed one.
    pub fn next_release(&self, now: Millis) -> Option<Millis> {
        let next = [self.lanes.next_due(), self.retries.next_due()];
        next.into_iter().flatten().min().map(|next| next.saturating_sub(now))
    }

    /// What has to survive a reload.
    pub fn save(&self) -> State {
        let devices = self.users.iter().flat_map(|(user, devices)| devices.iter().map(move |device| (user, device)));
        let successes =
            devices.map(|(user, device)| (user.clone(), device.identifier.clone(), device.last_success.get()));
        State { delivery: self.delivery.save(), successes: successes.filter(|(_, _, at)| *at > 0).collect() }
    }

    /// Takes what [`save`](Engine::save) gave, when nothing has happened yet.
    pub fn restore(&mut self, state: State) {
        self.successes = state.successes.into_iter().map(|(user, device, at)| ((user, device), at)).collect();
        self.delivery.restore(state.delivery);
    }
}

/// The registration as it is now, as far as memory tells; nothing if it is no more.
fn standing(
    users: &LruCache<Rc<str>, Devices>,
    user: &str,
    registration: Rc<Registration>,
) -> Option<Rc<Registration>> {
    match users.peek(user) {
        Some(devices) => devices.get(&registration.identifier).cloned(),
        None => Some(registration),
    }
}
