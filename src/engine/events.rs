//! The events of a user, and which devices each of them concerns.

use std::rc::Rc;

use super::Engine;
use super::types::{Done, NotLoaded, Pushes, Queued};
use crate::address::is_account;
use crate::context::Event;
use crate::memory::journal::Cause;
use crate::protocol::Protocol;
use crate::reason::Reason;
use crate::registration::Registration;
use crate::registration::devices::Devices;
use crate::registration::holders::Holders;
use crate::rules::facts::Message;
use crate::rules::importance::{Importance, Kind};
use crate::time::Moment;

impl<P: Protocol> Engine<P> {
    /// Handles a message that no session took: all the user's devices are woken.
    pub fn on_offline(&mut self, event: Event, message: &Message) -> Result<Pushes<P>, NotLoaded> {
        let (user, devices) = self.devices_for(event, message)?;
        let context = self.context(event, Cause::Offline, Some(message), (&user, &devices));
        Ok(self.push(&context, user, devices.iter()))
    }

    /// Handles a message to `to` that was archived for the user, that is about a call and on its way to or from the user, or that
    /// asks for a subscription.
    ///
    /// - A message that the user sent wakes no device.
    /// - A device with a session that answers or hibernates gets the message there. Only a call is pushed to it at once, since its
    ///   connection may be dead.
    /// - The end of a call is pushed at once to each device that rang, except `sender`, whose client ended the call, and devices
    ///   whose client is in use.
    pub fn on_addressed(
        &mut self,
        event: Event,
        to: Option<&str>,
        message: &Message,
        holders: Holders,
        sender: Option<&str>,
    ) -> Result<Pushes<P>, NotLoaded> {
        let user = event.user;
        let is_incoming = to.is_some_and(|to| is_account(to, user, &self.server.host)) && !self.is_own(user, message);
        let ends_call = self.protocol.worth(self.marked(user, message)) == Ok(Importance::CallEnds);
        if !is_incoming && !ends_call {
            self.note_own(user, to, message);
            return Ok(Pushes::default());
        }
        let (name, devices) = self.devices_for(event, message)?;
        let context = self.context(event, Cause::Addressed, Some(message), (&name, &devices));
        let is_urgent = context.importance() == Importance::Urgent;
        let mut woken = Vec::new();
        for device in devices.iter() {
            let identifier = &device.identifier;
            let reason = if ends_call {
                self.unheard_end(user, device, message, &holders, sender)
            } else {
                (!is_urgent && holders.hold(identifier)).then_some(Reason::HasSession)
            };
            match reason {
                None => woken.push(device),
                Some(reason) => self.not_sent(&context, &name, device, reason),
            }
        }
        Ok(self.push(&context, name, woken.into_iter()))
    }

    /// Returns why a device need not be notified of the end of a call, and notes that it knows of the end.
    fn unheard_end(
        &mut self,
        user: &str,
        device: &Registration<P::Asked>,
        message: &Message,
        holders: &Holders,
        sender: Option<&str>,
    ) -> Option<Reason> {
        let identifier = &device.identifier;
        if !self.rang(user, device, message) {
            return None;
        }
        let reason = match sender {
            Some(sender) if sender == &**identifier => Reason::TookCall,
            _ if holders.in_use(identifier) => Reason::InUse,
            _ => return None,
        };
        if let Some(call) = message.call {
            self.calls.end(user, identifier, self.calls.key(&call));
        }
        Some(reason)
    }

    /// Returns a deduplication key for a stanza that is not archived. It includes the text, because some senders give all their
    /// messages the same id.
    pub fn dedup_key(&self, from: Option<&str>, id: &str, text: Option<&str>) -> String {
        self.pushed.make_key(&(from, id, text))
    }

    /// Handles a stanza that waits in the stream-management queue of a session that holds the registration `identifier`.
    ///
    /// - Of the stanzas that waited together, at most one important and one unimportant stanza are pushed; `done` has the kinds
    ///   that have been pushed.
    /// - A call is pushed to every device, its end to every device that rang.
    /// - While another session that holds the registration answers, nothing is pushed to it.
    pub fn on_queued(
        &mut self,
        event: Event,
        identifier: &str,
        done: Done,
        message: &Message,
        holders: Holders,
    ) -> Result<Queued<P>, NotLoaded> {
        let (user, devices) = self.devices_for(event, message)?;
        let context = self.context(event, Cause::Queued, Some(message), (&user, &devices));
        let importance = context.importance();
        let important = importance.is_important();
        let Some(own) = devices.get(identifier) else {
            return Ok(Queued { pushes: Pushes::default(), alerted: false, done });
        };
        let is_in_use = holders.answer(identifier);
        let alerted = important
            && !is_in_use
            && !self.outages.is_known_away(own.jid())
            && !self.waits(&context, own)
            && self.plan(&context, own).is_ok();
        if done.has(important) && !importance.is_call() {
            self.note(&context, &user, own);
            self.not_sent(&context, &user, own, Reason::WaitedTogether);
            return Ok(Queued { pushes: Pushes::default(), alerted, done });
        }
        let mut concerned = Vec::new();
        for device in devices.iter() {
            let is_own = device.identifier == own.identifier;
            let ends = importance == Importance::CallEnds && self.rang(event.user, device, message);
            let reason = if is_own {
                is_in_use.then_some(Reason::InUse)
            } else if ends {
                self.unheard_end(event.user, device, message, &holders, None)
            } else if importance == Importance::Urgent {
                None
            } else {
                continue;
            };
            match reason {
                None => concerned.push(device),
                Some(reason) => self.not_sent(&context, &user, device, reason),
            }
        }
        let pushes = self.push(&context, user, concerned.into_iter());
        let is_told = !pushes.list.is_empty() || pushes.held;
        let done = if is_told { done.with(important) } else { done };
        Ok(Queued { pushes, alerted, done })
    }

    /// Notes that a session that holds the registration is back: held, waiting and owed pushes are dropped, and pushes in flight
    /// that fail are not owed.
    pub fn on_resumed(&mut self, now: Moment, user: &str, identifier: &str) {
        if let Some(device) = self.device(user, identifier) {
            device.told.set(now.mono);
        }
        let (user, identifier) = (user.into(), identifier.into());
        self.lanes.drop_held(&user, &identifier);
        if let Some((chats, _)) = self.chats(&user) {
            chats.hidden(&identifier);
        }
        let has_waited = self.waiting.drop_for(&user, &identifier);
        if self.owed.drop_for(&user, &identifier) || has_waited {
            self.changed(&user);
        }
    }

    /// Wakes devices without a stanza: all of the user's devices, or the `given` ones. `cause` is the reason. Unless an
    /// administrator or a module asked for it, a device whose client answers is not woken.
    pub fn on_ping(
        &mut self,
        event: Event,
        given: Option<Vec<Registration<P::Asked>>>,
        cause: Cause,
        holders: Holders,
    ) -> Result<Pushes<P>, NotLoaded> {
        self.wake(event, given, cause, Kind::Silent, holders)
    }

    /// Wakes the devices of a user whose registrations could not be read when events came, except devices whose client answers.
    /// `kind` is the greatest kind of push that the user has missed.
    pub fn on_missed(&mut self, event: Event, kind: Kind, holders: Holders) -> Result<Pushes<P>, NotLoaded> {
        self.wake(event, None, Cause::Missed, kind, holders)
    }

    fn wake(
        &mut self,
        event: Event,
        given: Option<Vec<Registration<P::Asked>>>,
        cause: Cause,
        kind: Kind,
        holders: Holders,
    ) -> Result<Pushes<P>, NotLoaded> {
        let (user, known) = self.devices(event.now, event.user).ok_or(NotLoaded { missed: Some(kind) })?;
        let mut context = self.context(event, cause, None, (&user, &known));
        context.worth = context.worth.map(|_| kind.importance());
        let devices = given.map_or(known, |given| Devices::new(given, usize::MAX));
        let is_asked_for = matches!(cause, Cause::Ping | Cause::Test);
        let is_back = |device: &&Rc<Registration<P::Asked>>| !is_asked_for && holders.answer(&device.identifier);
        let (back, woken): (Vec<_>, Vec<_>) = devices.iter().partition(is_back);
        for device in back {
            self.not_sent(&context, &user, device, Reason::HasSession);
        }
        Ok(self.push(&context, user, woken.into_iter()))
    }
}
