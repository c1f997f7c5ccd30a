//! The outcome of pushes: answers, and timeouts. Also the pushes that were held or owed and leave later.

use std::rc::Rc;

use lru::LruCache;
use tracing::{debug, info};

use super::durable::DELAY;
use super::types::{Answered, Leaving, Verdict};
use super::{Engine, User};
use crate::address;
use crate::delivery::bursts::{Lane, Released};
use crate::delivery::failures::Gone;
use crate::delivery::outages::News;
use crate::delivery::owed::Debt;
use crate::delivery::turns::Waiting;
use crate::delivery::waiting::{Content, Wait};
use crate::delivery::{InFlight, Settled};
use crate::ids::{Id, parse};
use crate::memory::history::Series;
use crate::memory::journal::{Answer, Cause, Decision, Outcome};
use crate::protocol::Protocol;
use crate::reason::Reason;
use crate::registration::{Asked, Registration};
use crate::rules::importance::{Importance, Kind};
use crate::stanza_error::{NO_ANSWER, StanzaError};
use crate::time::{DAY, HOUR, Millis, Moment, SECOND};

impl<P: Protocol> Engine<P> {
    /// Withdraws a push that a handler of another module blocked.
    pub fn withdraw(&mut self, id: &str) {
        if let Some(id) = parse(id)
            && let Some(push) = self.delivery.withdrawn(id)
        {
            self.stats.suppressed(Reason::Blocked);
            self.history.count(push.sent, Series::NotSent);
            self.journal.withdrawn(&push.user, id);
            self.outages.withdrawn(push.registration.jid(), push.sent.mono);
            if push.tries.is_some() {
                // It was stored as owed.
                self.changed(&push.user);
            }
        }
    }

    /// Owes a push that does not leave now: other modules see the record of its registration, and the store cannot be read.
    pub fn postpone(&mut self, now: Moment, id: &str) {
        if let Some(id) = parse(id)
            && let Some(push) = self.delivery.withdrawn(id)
        {
            self.history.count(now, Series::Owed);
            self.journal.postponed(&push.user, id);
            self.outages.withdrawn(push.registration.jid(), push.sent.mono);
            self.pushed.forget(&push.user, &push.registration.identifier, &push.messages);
            self.changed(&push.user);
            self.put_off(now, push.into_debt());
        }
    }

    /// Takes an answer that came to the host: an IQ of type result or error, or with Push 2.0 a message of type error.
    pub fn on_answer(&mut self, now: Moment, id: &str, from: Option<&str>, error: Option<StanzaError>) -> Answered {
        let id = parse(id);
        let push = id.zip(from).and_then(|(id, from)| self.delivery.land(id, from));
        let Some((id, push)) = id.zip(push) else { return Answered { verdict: Verdict::Stranger, refusals: None } };
        let (user, device) = (push.user.clone(), push.registration.identifier.clone());
        let before = self.refusals(&user, &device);
        let verdict = self.landed(now, id, push, error, false).map_or(Verdict::Stays, Verdict::Goes);
        let refusals = self.refusals(&user, &device);
        Answered { verdict, refusals: (refusals != before).then_some((device, refusals)) }
    }

    fn refusals(&self, user: &str, identifier: &str) -> u32 {
        self.delivery.failures.of(user, identifier).map_or(0, |history| history.refusals)
    }

    /// Returns the pushes to app servers of a domain that have no answer yet, with the app server. Each is lost if the stream that
    /// carried it has ended; in a protocol without answers nothing tells.
    pub fn unanswered<'a>(&'a self, domain: &'a str) -> impl Iterator<Item = (Id, &'a str)> {
        let of_domain = move |(_, app_server): &(Id, &str)| address::domain(app_server) == domain;
        self.delivery.unanswered().filter(|_| P::POLICY.answers).filter(of_domain)
    }

    /// Notes that time has passed. Returns the registrations that have to be removed because no answer came.
    pub fn on_timer(&mut self, now: Moment) -> Vec<Gone> {
        let overdue = self.delivery.overdue(now);
        self.look_for_late(now);
        let silence = P::POLICY.answers.then_some(NO_ANSWER);
        overdue.into_iter().filter_map(|(id, push)| self.landed(now, id, push, silence, true)).collect()
    }

    /// Settles a push that was answered or timed out. Returns the registration if it has to be removed.
    fn landed(
        &mut self,
        now: Moment,
        id: Id,
        push: InFlight<P>,
        error: Option<StanzaError>,
        is_silence: bool,
    ) -> Option<Gone> {
        let (user, registration) = (push.user.clone(), push.registration.clone());
        let device = &registration.identifier;
        if let Some(important) = push.plain {
            let lane = Lane { user: user.clone(), identifier: device.clone(), important };
            self.lanes.landed(now.mono, &lane, id);
        }
        let known = self.users.peek(&user).map(|user| user.devices.get(device).cloned());
        // No push is owed to a registration that ended, or was enabled again since.
        let is_current = match &known {
            Some(Some(device)) => device.made.get() <= push.sent.mono,
            Some(None) => false,
            None => true,
        };
        let is_needless = known.iter().flatten().any(|device| push.is_needless(device));
        let after = now.mono.saturating_sub(push.sent.mono);
        let failed = error.is_some_and(|error| error.is_of_transport());
        let answer = match error {
            Some(error) => Answer::Error(after, error.known_condition(), is_current && failed && !is_needless),
            None if is_silence => Answer::Silence,
            None => Answer::Taken(after),
        };
        self.journal.answered(&user, id, answer);
        self.stats.answered(answer);
        self.history.answered(now, answer, failed);
        self.hear_of(now, &push, error, is_silence);
        if failed {
            self.pushed.forget(&user, device, &push.messages);
        }
        let was_owed = !failed && self.owed.told(&user, device, push.kind, push.sent.mono);
        if was_owed
            || push.is_late
            || push.tries.is_some()
            || error.is_some()
            || self.delivery.failures.of(&user, device).is_some()
        {
            self.changed(&user);
        }
        if let (Some(Some(device)), None) = (&known, &error) {
            device.last_success.set(now.wall);
            if push.kind != Kind::Silent {
                device.told.set(device.told.get().max(push.sent.mono));
            }
        }
        if !is_current && (error.is_some() || known == Some(None)) {
            debug!(
                "A push for {user} is answered whose registration {device} is no more, or was made anew since: not counted"
            );
            return None;
        }
        match self.delivery.settle(now, push, error) {
            Settled::Taken | Settled::Refused => None,
            Settled::Ends(gone) => Some(gone),
            Settled::Failed(_) if is_needless => {
                debug!("The push for {user} to {device} is not sent again: its device has been told since");
                None
            }
            Settled::Failed(debt) => {
                self.put_off(now, debt);
                None
            }
        }
    }

    /// Notes the effect of an answer, or of its absence, on the state of the app server.
    fn hear_of(&mut self, now: Moment, push: &InFlight<P>, error: Option<StanzaError>, is_silence: bool) {
        let (jid, device) = (push.registration.jid(), &push.registration.identifier);
        let failure = error.filter(|error| error.is_of_transport());
        let news = match failure {
            Some(error) => {
                let by_itself = !error.made_here;
                self.outages.failed(now, jid, push.sent.mono, device, error.known_condition(), by_itself)
            }
            // A push that left long ago says nothing about an outage that began since.
            None if is_silence => {
                self.outages.said_nothing(jid, push.sent.mono);
                News::None
            }
            None => self.outages.answered(jid),
        };
        match (news, failure) {
            (News::Away, Some(error)) => self.went_away(jid, error),
            (News::Back(since), _) => self.came_back(now, jid, since),
            _ => {}
        }
    }

    /// Whether an app server is away and not to be tried now.
    pub(super) fn is_away(&mut self, now: Moment, jid: &str) -> bool {
        let (is_away, news) = self.outages.is_away(now, jid);
        if news == News::Away {
            self.went_away(jid, NO_ANSWER);
        }
        is_away
    }

    fn went_away(&mut self, jid: &str, error: StanzaError) {
        let StanzaError { kind, condition, text, .. } = error;
        let text = text.unwrap_or("no text");
        info!(
            "App server {jid} is away ({kind}/{condition}, {text}): its devices are owed their pushes until it is back"
        );
        self.changed_at(jid);
    }

    /// Marks the users of pushes in flight to an app server as changed: these pushes become owed, or are no longer owed.
    fn changed_at(&mut self, jid: &str) {
        let waits = |push: &&InFlight<P>| push.registration.jid() == jid;
        self.unwritten.extend(self.delivery.in_flight().filter(waits).map(|push| push.user.clone()));
    }

    fn came_back(&mut self, now: Moment, jid: &str, since: Millis) {
        let owed = self.owed.unpark(now.mono, jid, self.server.config.owed_per_second);
        let away = duration(now.wall.saturating_sub(since));
        self.changed_at(jid);
        info!("App server {jid} is back after {away}: pushes that are owed there leave now, {owed} in all");
    }

    /// Owes a device another push in the place of one that failed.
    fn put_off(&mut self, now: Moment, mut debt: Debt<P>) {
        let (user, device) = (debt.user.clone(), debt.registration.identifier.clone());
        if self.has_read(&user, &mut debt.tells) {
            return self.needless(now, Cause::Again, &user, &device);
        }
        if debt.call.is_some_and(|call| self.calls.is_over(&user, &device, call)) {
            debug!("The push for {user} to {device} is not sent again: the call is over");
            return;
        }
        let is_away = self.outages.is_known_away(debt.registration.jid());
        match self.owed.put(now.mono, debt, is_away) {
            Some(delay) => debug!("The push for {user} to {device} is sent again in {} seconds", delay / SECOND),
            None if is_away => debug!("The push for {user} to {device} is sent again when its app server is back"),
            None => debug!("The push for {user} to {device} is not sent again: the call is too old"),
        }
    }

    /// Returns the pushes that were held or owed and may leave now.
    pub fn release(&mut self, now: Moment) -> Vec<Leaving<P>> {
        let mut leaving = self.release_held(now, now.mono);
        let in_turn = self.turns.take();
        self.release_in_turn(now, in_turn, &mut leaving);
        leaving.extend(self.release_waiting(now));
        for app_server in self.outages.forgotten() {
            self.owed.unpark(now.mono, &app_server, self.server.config.owed_per_second);
        }
        for debt in self.owed.due(now.mono) {
            // The first push that is due may find out that the app server is away.
            if self.is_away(now, debt.registration.jid()) {
                self.owed.put(now.mono, debt, true);
            } else {
                let app_server = debt.registration.clone();
                match self.send_again(now, debt) {
                    Some(held) => leaving.push(held),
                    None => self.outages.not_tried(app_server.jid()),
                }
            }
        }
        for app_server in self.outages.unopposed(now.mono) {
            if let News::Back(since) = self.outages.answered(&app_server) {
                self.came_back(now, &app_server, since);
            }
        }
        for app_server in self.outages.due(now.mono) {
            match self.owed.probe(&app_server).and_then(|debt| self.send_again(now, debt)) {
                Some(held) => leaving.push(held),
                None => self.outages.not_tried(&app_server),
            }
        }
        leaving
    }

    /// Returns all pushes that are held or wait to be composed. Pushes that wait while the user is at another client stay: like
    /// owed ones, they are kept in the store.
    pub fn release_all(&mut self, now: Moment) -> Vec<Leaving<P>> {
        let mut leaving = self.release_held(now, Millis::MAX);
        let in_turn = self.turns.take_all();
        self.release_in_turn(now, in_turn, &mut leaving);
        leaving
    }

    /// Composes pushes that have waited for their turn, and adds them to `leaving`.
    fn release_in_turn(&mut self, now: Moment, all: Vec<Waiting<P>>, leaving: &mut Vec<Leaving<P>>) {
        for Waiting { in_flight, draft, importance, cause, word } in all {
            let InFlight { user, registration, kind, messages, mut tells, .. } = in_flight;
            let Some(registration) = current(&self.users, &user, registration) else { continue };
            if self.has_read(&user, &mut tells) {
                self.needless(now, cause, &user, &registration.identifier);
                continue;
            }
            if self.is_away(now, registration.jid()) {
                self.owes(now, &user, &registration, kind, &messages, tells);
                continue;
            }
            let payload = self.protocol.compose(&self.server, now, draft);
            let device = registration.identifier.clone();
            let call = in_flight.call;
            let in_flight = InFlight { call, messages, tells, ..InFlight::new(user.clone(), registration, now, kind) };
            let push = self.send(in_flight, None, payload);
            self.stats.sent(importance);
            let outcome = Outcome::Sent(push.id, None);
            self.journal.add(&user, Decision { at: now.wall, cause, word, device, outcome });
            let important = importance.is_important();
            leaving.push(Leaving { user, push, important, from: None, body: None });
        }
    }

    fn release_held(&mut self, now: Moment, until: Millis) -> Vec<Leaving<P>> {
        let mut leaving = Vec::new();
        for Released { lane, registration, messages, tells } in self.lanes.release(now.mono, until) {
            let Some(registration) = current(&self.users, &lane.user, registration) else { continue };
            let Lane { user, important, .. } = lane.clone();
            let kind = if important { Kind::Important } else { Kind::Silent };
            if self.is_away(now, registration.jid()) {
                self.owes(now, &user, &registration, kind, &messages, tells);
                continue;
            }
            debug!("A push for {user} to {} was held and leaves now", lane.identifier);
            let in_flight = InFlight { messages, tells, ..InFlight::new(user, registration, now, kind) };
            leaving.push(self.send_plain(in_flight, Some(lane), Cause::Released, None));
        }
        leaving
    }

    /// Returns the pushes that have waited long enough while the user was at another client.
    fn release_waiting(&mut self, now: Moment) -> Vec<Leaving<P>> {
        let mut leaving = Vec::new();
        for Wait { user, registration, messages, tells, content, .. } in self.waiting.due(now.mono) {
            self.changed(&user);
            let Some(registration) = current(&self.users, &user, registration) else { continue };
            if self.is_away(now, registration.jid()) {
                self.owes(now, &user, &registration, Kind::Important, &messages, tells);
                continue;
            }
            debug!("A push for {user} to {} has waited and leaves now", registration.identifier);
            let in_flight = InFlight { messages, tells, ..InFlight::new(user, registration, now, Kind::Important) };
            let (payload, from, body) = match content {
                Some(Content { draft, .. }) if P::takes_long(&draft) => {
                    let (importance, cause) = (Importance::Important, Cause::Waited);
                    self.outages.not_tried(in_flight.registration.jid());
                    self.turns.put(Waiting { in_flight, draft, importance, cause, word: None });
                    continue;
                }
                Some(Content { draft, from, body }) => {
                    (Some(self.protocol.compose(&self.server, now, draft)), from, body)
                }
                None => (None, None, None),
            };
            // The push has waited long enough, so it is not held in a burst.
            let sent = self.send_plain(in_flight, None, Cause::Waited, payload);
            leaving.push(Leaving { from, body, ..sent });
        }
        leaving
    }

    /// Sends an owed push, if its registration is still there and its call is not over.
    fn send_again(&mut self, now: Moment, debt: Debt<P>) -> Option<Leaving<P>> {
        let Debt { user, registration, kind, payload, call, tells, tries } = debt;
        let registration = current(&self.users, &user, registration)?;
        if call.is_some_and(|call| self.calls.is_over(&user, &registration.identifier, call)) {
            debug!("A push for {user} to {} is not sent again: the call is over", registration.identifier);
            return None;
        }
        debug!("A push for {user} to {} is owed and sent again", registration.identifier);
        let in_flight = InFlight { call, tells, tries: Some(tries), ..InFlight::new(user, registration, now, kind) };
        self.stats.sent_again();
        // If app servers answer, the push stays owed until the answer comes.
        if !P::POLICY.answers {
            self.changed(&in_flight.user);
        }
        Some(self.send_plain(in_flight, None, Cause::Again, payload))
    }

    /// Sends a push with its former payload, if that was kept, or a plain one.
    fn send_plain(
        &mut self,
        in_flight: InFlight<P>,
        lane: Option<Lane>,
        cause: Cause,
        payload: Option<P::Payload>,
    ) -> Leaving<P> {
        let (now, user, device) = (in_flight.sent, in_flight.user.clone(), in_flight.registration.identifier.clone());
        let importance = in_flight.kind.importance();
        let important = importance.is_important();
        let plain = || self.protocol.plain(&self.server, &in_flight.registration, in_flight.kind);
        let payload = payload.unwrap_or_else(plain);
        let push = self.send(in_flight, lane, payload);
        if matches!(cause, Cause::Released | Cause::Waited) {
            self.stats.sent(importance);
        }
        let outcome = Outcome::Sent(push.id, None);
        self.journal.add(&user, Decision { at: now.wall, cause, word: None, device, outcome });
        Leaving { user, push, important, from: None, body: None }
    }

    /// Returns the time until [`on_timer`](Engine::on_timer) or [`release`](Engine::release) has something to do, or the
    /// durable state has to be written; `None` if there is nothing to wait for.
    pub fn timer(&mut self, now: Moment) -> Option<Millis> {
        let next = [self.delivery.next_due(), self.delivery.next_late()].into_iter().flatten().min();
        let next = next.map(|next| next.saturating_sub(now.mono));
        [next, self.next_release(now)].into_iter().flatten().min()
    }

    /// Returns the time until [`release`](Engine::release) has something to do, or the durable state has to be written; `None`
    /// if there is nothing to wait for. It may be sooner than the time that [`timer`](Engine::timer) returned before, if an
    /// event has held or freed a push.
    pub fn next_release(&self, now: Moment) -> Option<Millis> {
        let probe = self.outages.next_due(|app_server| self.owed.parked_at(app_server) > 0);
        let write = (!self.unwritten.is_empty()).then_some(now.mono + DELAY);
        let compose = (!self.turns.is_empty()).then_some(now.mono);
        let next = [self.lanes.next_due(), self.owed.next_due(), self.waiting.next_due(), probe, write, compose];
        next.into_iter().flatten().min().map(|next| next.saturating_sub(now.mono))
    }
}

/// Returns the registration as it is now; `None` if it ended. If the user is not in memory, returns the registration unchanged, or
/// `None` for a stand-in.
fn current<A: Asked>(
    users: &LruCache<Rc<str>, User<A>>,
    user: &str,
    registration: Rc<Registration<A>>,
) -> Option<Rc<Registration<A>>> {
    match users.peek(user) {
        Some(user) => user.devices.get(&registration.identifier).cloned(),
        None => Some(registration).filter(|registration| !registration.is_stand_in()),
    }
}

/// "3 hours"
fn duration(time: Millis) -> String {
    let (n, unit) = match time {
        DAY.. => (time / DAY, "day"),
        HOUR.. => (time / HOUR, "hour"),
        _ if time >= 60 * SECOND => (time / (60 * SECOND), "minute"),
        _ => (time / SECOND, "second"),
    };
    format!("{n} {unit}{}", if n == 1 { "" } else { "s" })
}
