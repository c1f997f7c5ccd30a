//! From an event to its pushes: how each device is notified.

use std::rc::Rc;

use tracing::debug;

use super::Engine;
use super::types::{Push, Pushes};
use crate::context::{Context, Event};
use crate::delivery::InFlight;
use crate::delivery::bursts::Lane;
use crate::delivery::owed::{Debt, Tries};
use crate::delivery::turns::Waiting;
use crate::delivery::waiting::{Content, Wait};
use crate::limits::MAX_WAITING_TEXT;
use crate::memory::history::Series;
use crate::memory::journal::{Cause, Decision, Outcome};
use crate::memory::unread::Tells;
use crate::protocol::Protocol;
use crate::reason::Reason;
use crate::registration::Registration;
use crate::rules::facts::{CONTACT, STRANGER, Word};
use crate::rules::importance::{Importance, Kind};
use crate::rules::patience::is_elsewhere;
use crate::text::cut;
use crate::time::Moment;

impl<P: Protocol> Engine<P> {
    /// Makes the pushes to `devices`, all of `user`.
    pub(super) fn push<'d>(
        &mut self,
        context: &Context,
        user: Rc<str>,
        devices: impl Iterator<Item = &'d Rc<Registration<P::Asked>>>,
    ) -> Pushes<P> {
        let Context { event: Event { now, observed, .. }, cause, message, .. } = *context;
        let importance = context.importance();
        let important = importance.is_important();
        let kind = Kind::new(importance);
        let may_wait = self.server.config.coalesce && !observed && !importance.is_call() && cause != Cause::Test;
        let once = P::Once::default();
        let mut at_once = None;
        let tells = Tells::new(context.place);
        let (mut list, mut held) = (Vec::new(), false);
        for registration in devices {
            let device = &registration.identifier;
            let plan = match self.plan(context, registration) {
                Ok(plan) => plan,
                Err(reason) => {
                    self.not_sent(context, &user, registration, reason);
                    continue;
                }
            };
            if !self.first_time(context, registration) {
                // The client was back and has gone again without the message: if the push for it fails, it is owed.
                registration.told.set(0);
                self.not_sent(context, &user, registration, Reason::PushedBefore);
                continue;
            }
            let key = context.key.filter(|_| !importance.is_call());
            if self.waits(context, registration) {
                let wait = Wait {
                    user: user.clone(),
                    registration: registration.clone(),
                    until: now.after(self.server.config.patience),
                    messages: key.into_iter().collect(),
                    tells: tells.clone(),
                    content: self.content(context, plan, &once),
                };
                self.waiting.put(wait);
                self.changed(&user);
                self.stats.waited();
                self.history.count(now, Series::Waited);
                self.decided(context, &user, device, Outcome::Waits);
                continue;
            }
            if cause != Cause::Test && self.is_away(now, registration.jid()) {
                self.owes(now, &user, registration, kind, key.as_slice(), tells.clone());
                self.decided(context, &user, device, Outcome::Owed);
                continue;
            }
            let signs_anew = self.protocol.signs_anew(now, registration);
            let waits_for_turn = signs_anew && *at_once.get_or_insert_with(|| self.turns.at_once(&user)) == 0;
            let may_wait = may_wait && !waits_for_turn && self.protocol.is_plain(&self.server, context, &plan);
            let lane = may_wait.then(|| Lane { user: user.clone(), identifier: device.clone(), important });
            if let Some(lane) = &lane
                && !self.lanes.admit(now.mono, lane, registration, key.as_slice(), &tells)
            {
                debug!("A push for {user} to {device} is held: the last one says it already");
                self.outages.not_tried(registration.jid());
                self.stats.held();
                self.history.count(now, Series::Held);
                self.decided(context, &user, device, Outcome::Held);
                held = true;
                continue;
            }
            let draft = self.protocol.draft(&self.server, context, plan, &once);
            let call = message.and_then(|message| message.call).filter(|_| importance == Importance::Urgent);
            let call = call.map(|call| self.calls.key(&call));
            let in_flight = InFlight {
                call,
                messages: key.into_iter().collect(),
                tells: tells.clone(),
                ..InFlight::new(user.clone(), registration.clone(), now, kind)
            };
            if signs_anew || P::takes_long(&draft) {
                let at_once = at_once.get_or_insert_with(|| self.turns.at_once(&user));
                if *at_once == 0 {
                    let word = context.word;
                    self.outages.not_tried(registration.jid());
                    self.turns.put(Waiting { in_flight, draft, importance, cause, word });
                    held = true;
                    continue;
                }
                *at_once -= 1;
            }
            let payload = self.protocol.compose(&self.server, now, draft);
            let push = self.send(in_flight, lane, payload);
            self.stats.sent(importance);
            self.decided(context, &user, device, Outcome::Sent(push.id, None));
            list.push(push);
        }
        Pushes { important, list, held }
    }

    /// Notes why a device is not woken.
    pub(super) fn not_sent(
        &mut self,
        context: &Context,
        user: &Rc<str>,
        registration: &Registration<P::Asked>,
        reason: Reason,
    ) {
        debug!("No push for {user} to {}: {}", registration.identifier, reason.text());
        self.stats.suppressed(reason);
        self.history.count(context.event.now, Series::NotSent);
        self.decided(context, user, &registration.identifier, Outcome::NotSent(reason));
    }

    fn decided(&mut self, context: &Context, user: &Rc<str>, device: &Rc<str>, outcome: Outcome) {
        let Context { event, cause, word, .. } = *context;
        self.journal.add(user, Decision { at: event.now.wall, cause, word, device: device.clone(), outcome });
    }

    /// Decides how a device is notified, or why it is not.
    pub(super) fn plan<'d>(
        &self,
        context: &Context,
        registration: &'d Registration<P::Asked>,
    ) -> Result<P::Plan<'d>, Reason> {
        if context.worth? == Importance::CallEnds {
            let user = context.event.user;
            if let Some(call) = context.message.and_then(|message| message.call)
                && self.calls.is_over(user, &registration.identifier, self.calls.key(&call))
            {
                return Err(Reason::PushedBefore);
            }
            if !context.message.is_some_and(|message| self.rang(user, registration, message)) {
                return Err(Reason::DidNotRing);
            }
        }
        if context.is_read {
            return Err(Reason::ReadElsewhere);
        }
        let plan = self.protocol.plan(&self.server, context, registration)?;
        match (context.quiet, context.message) {
            (Some(reason), Some(message)) if !self.protocol.has_rule_for(registration, message) => Err(reason),
            _ => Ok(plan),
        }
    }

    /// Whether a push waits, because the user is at another client and may read the message there.
    pub(super) fn waits(&self, context: &Context, registration: &Registration<P::Asked>) -> bool {
        let patience = self.server.config.patience;
        let message = context.message.filter(|_| context.importance() == Importance::Important);
        message.is_some_and(|message| is_elsewhere(message, &registration.identifier, context.event.now.wall, patience))
    }

    /// Drafts the content of a push that waits; `None` for a plain push.
    fn content(&self, context: &Context, plan: P::Plan<'_>, once: &P::Once) -> Option<Content<P>> {
        if self.protocol.is_plain(&self.server, context, &plan) {
            return None;
        }
        let message = context.message?;
        let draft = self.protocol.draft(&self.server, context, plan, once);
        let body = message.body.map(|body| cut(body, MAX_WAITING_TEXT).into());
        Some(Content { draft, from: message.from.map(Into::into), body })
    }

    /// Whether a device of the user asks if the sender of a message is in the roster, and `word` does not have the answer yet.
    pub fn asks_for_roster(&self, user: &str, word: Word) -> bool {
        let asks = |device: &Rc<Registration<P::Asked>>| self.protocol.asks_for_roster(device);
        word & (CONTACT | STRANGER) == 0 && self.users.peek(user).is_some_and(|user| user.devices.iter().any(asks))
    }

    /// Owes a push to a device whose app server is away. Its messages count as not pushed, so the next event may push them.
    pub(super) fn owes(
        &mut self,
        now: Moment,
        user: &Rc<str>,
        registration: &Rc<Registration<P::Asked>>,
        kind: Kind,
        messages: &[u64],
        tells: Tells,
    ) {
        self.changed(user);
        self.history.count(now, Series::Owed);
        self.pushed.forget(user, &registration.identifier, messages);
        let tries = Tries { failed: 0, since: now.mono, newest: now.mono };
        let (user, registration) = (user.clone(), registration.clone());
        self.owed.put(now.mono, Debt { user, registration, kind, payload: None, call: None, tells, tries }, true);
    }

    /// Sends a push. If `lane` is given, the push occupies it.
    pub(super) fn send(&mut self, in_flight: InFlight<P>, lane: Option<Lane>, payload: P::Payload) -> Push<P> {
        let (id, registration, now) = (self.ids.make(), in_flight.registration.clone(), in_flight.sent);
        debug!("Push {id} for {} to {}", in_flight.user, registration.identifier);
        let payload = self.protocol.signed(&self.server, now, &registration, payload);
        self.outages.sent(now, registration.jid());
        if self.server.config.take_away
            && in_flight.kind == Kind::Important
            && let Some((chats, _)) = self.chats(&in_flight.user)
        {
            chats.shown(&registration.identifier, &in_flight.tells);
        }
        self.history.count(now, in_flight.kind.into());
        self.delivery.sent(id, InFlight { plain: lane.as_ref().map(|lane| lane.important), ..in_flight });
        self.delivery.keep(id, &payload);
        if let Some(lane) = lane {
            self.lanes.sent(now.mono, lane.clone(), id);
            // If app servers do not answer, the next push does not wait for an answer.
            if !P::POLICY.answers {
                self.lanes.landed(now.mono, &lane, id);
            }
        }
        Push { id, registration, payload }
    }
}
