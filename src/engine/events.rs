//! What happens to a user, and whom of his devices it concerns.

use std::rc::Rc;

use super::{Done, Engine, Event, NotLoaded, Pushes, Queued};
use crate::address::is_account;
use crate::delivery::owed::Kind;
use crate::facts::{AT_CLIENT, BODY, CALL, CALL_ENDS, ENCRYPTED, ERROR, Message, PROCEED, Word};
use crate::holders::Holders;
use crate::importance::Importance;
use crate::journal::Cause;
use crate::reason::Reason;
use crate::registration::{Devices, Registration};
use crate::time::Millis;

impl Engine {
    /// No session took the message: all the user's devices are woken.
    pub fn on_offline(&mut self, event: Event, message: &Message) -> Result<Pushes, NotLoaded> {
        let (user, devices) = self.devices(event.user)?;
        let occasion = self.occasion(event, Cause::Offline, Some(message), devices.is_disabled);
        Ok(self.push(&occasion, user, devices.iter()))
    }

    /// A message to `to` was archived for the user, or is on its way to or from him and is about a call, or asks him for a
    /// subscription. Of one that the user sent, to whomever, no device needs to hear.
    /// Devices with a session that answers, or that hibernates, hear of a message there; only a call goes to them at once,
    /// since their connection may be dead. Whoever ends the call: a device that rang for it hears so at once, unless it is
    /// `sender`, the one whose client says so, or its client is in use.
    pub fn on_addressed(
        &mut self,
        event: Event,
        to: Option<&str>,
        message: &Message,
        holders: Holders,
        sender: Option<&str>,
    ) -> Result<Pushes, NotLoaded> {
        let user = event.user;
        let is_incoming = to.is_some_and(|to| is_account(to, user, &self.host)) && !self.is_own(user, message);
        let ends_call = self.worth(self.marked(user, message)) == Ok(Importance::CallEnds);
        if !is_incoming && !ends_call {
            return Ok(Pushes::default());
        }
        let (name, devices) = self.devices(user)?;
        let occasion = self.occasion(event, Cause::Addressed, Some(message), devices.is_disabled);
        let is_urgent = occasion.importance() == Importance::Urgent;
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
                Some(reason) => self.not_sent(&occasion, &name, device, reason),
            }
        }
        Ok(self.push(&occasion, name, woken.into_iter()))
    }

    /// Why a device need not be told that a call is over, which it knows from now on.
    fn unheard_end(
        &mut self,
        user: &str,
        device: &Registration,
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
        self.first_time(user, device, message, Importance::CallEnds);
        Some(reason)
    }

    /// What to know a stanza by that is in no archive, and may be met again. Some senders give all their messages one id:
    /// the text tells these apart.
    pub fn name(&self, from: Option<&str>, id: &str, text: Option<&str>) -> String {
        self.pushed.name(&(from, id, text))
    }

    /// How long a stanza that waits for a client that does not answer may wait for others, so that one push does for
    /// all of them. In milliseconds.
    pub fn queue_delay(word: Word) -> Millis {
        if word & (CALL | CALL_ENDS | PROCEED) != 0 { 0 } else { 1000 }
    }

    /// Whether a message that the user sends tells that he is there: `<grace>` counts from then.
    pub fn is_activity(word: Word) -> bool {
        word & (BODY | ENCRYPTED | AT_CLIENT) != 0 && word & ERROR == 0
    }

    /// How many stanzas may wait in the queue of a session before its device is woken to take them, if there is room for
    /// `size`: with more the session cannot be resumed. `woken_at` is how many it was woken for before, since it was there.
    pub fn queue_alarm(size: u32, woken_at: Option<u32>) -> u32 {
        woken_at.map_or((u64::from(size) * 4).div_ceil(5) as u32, |woken_at| woken_at.saturating_mul(2)).max(1)
    }

    /// A stanza waits in the stream-management queue of a session that holds the registration `identifier`. Of those
    /// that have waited together at most one important and one unimportant are pushed; `done` has what was pushed of
    /// them so far. A call goes to every device, its end to every device that rang. While another session that holds the
    /// registration answers, nothing that waits for this one is pushed to it.
    pub fn on_queued(
        &mut self,
        event: Event,
        identifier: &str,
        done: Done,
        message: &Message,
        holders: Holders,
    ) -> Result<Queued, NotLoaded> {
        let (user, devices) = self.devices(event.user)?;
        let occasion = self.occasion(event, Cause::Queued, Some(message), devices.is_disabled);
        let importance = occasion.importance();
        let important = importance.is_important();
        let Some(own) = devices.get(identifier) else {
            return Ok(Queued { pushes: Pushes::default(), alerted: false, done });
        };
        let is_in_use = holders.answer(identifier);
        let alerted = important && !is_in_use && self.wish(&occasion, own).is_ok();
        if done.has(important) && !importance.is_call() {
            self.note(event.user, own, message, Kind::new(importance));
            self.not_sent(&occasion, &user, own, Reason::WaitedTogether);
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
                Some(reason) => self.not_sent(&occasion, &user, device, reason),
            }
        }
        let pushes = self.push(&occasion, user, concerned.into_iter());
        let is_told = !pushes.list.is_empty() || pushes.held;
        let done = if is_told { done.with(important) } else { done };
        Ok(Queued { pushes, alerted, done })
    }

    /// A session that holds the registration is there: a push that was held for it says nothing any more.
    pub fn on_resumed(&mut self, user: &str, identifier: &str) {
        let (user, identifier) = (user.into(), identifier.into());
        self.lanes.drop_held(&user, &identifier);
        if self.owed.drop_for(&user, &identifier) {
            self.changed(&user);
        }
    }

    /// Devices are to be woken, all or those given, though there is no stanza: `cause` says why. Unless somebody has asked for it,
    /// a client that answers is left in peace.
    pub fn on_ping(
        &mut self,
        event: Event,
        given: Option<Vec<Registration>>,
        cause: Cause,
        holders: Holders,
    ) -> Result<Pushes, NotLoaded> {
        let (user, known) = self.devices(event.user)?;
        let occasion = self.occasion(event, cause, None, known.is_disabled);
        let devices = given.map_or(known, |given| Devices::new(given, usize::MAX));
        let is_asked_for = matches!(cause, Cause::Ping | Cause::Test);
        let is_back = |device: &&Rc<Registration>| !is_asked_for && holders.answer(&device.identifier);
        let (back, woken): (Vec<_>, Vec<_>) = devices.iter().partition(is_back);
        for device in back {
            self.not_sent(&occasion, &user, device, Reason::HasSession);
        }
        Ok(self.push(&occasion, user, woken.into_iter()))
    }
}
