//! From an event to its pushes: what each device wants of it, and what it gets.

use std::rc::Rc;

use tracing::debug;

use super::{Content, Engine, Event, Occasion, Push, Pushes, Wish};
use crate::coalesce::Lane;
use crate::delivery::Flight;
use crate::delivery::owed::{Debt, Kind, Tries};
use crate::facts::{ARCHIVED, CONTACT, Message, STRANGER, Word};
use crate::importance::{Importance, why_none};
use crate::journal::{Cause, Decision, Outcome};
use crate::push2::envelope::envelope;
use crate::push2::matching::{Case, matched};
use crate::push2::notification::{Notice, Priority};
use crate::push2::registration::WebPush;
use crate::push2::webpush;
use crate::reason::Reason;
use crate::registration::Registration;
use crate::summary::Summary;
use crate::tigase::encrypt::Encryption;
use crate::time::{Moment, Seconds};

impl Engine {
    /// What the devices get for it.
    pub(super) fn push<'d>(
        &mut self,
        occasion: &Occasion,
        user: Rc<str>,
        devices: impl Iterator<Item = &'d Rc<Registration>>,
    ) -> Pushes {
        let Occasion { event: Event { now, seen, .. }, cause, message, .. } = *occasion;
        let importance = occasion.importance();
        let important = importance.is_important();
        let may_wait = self.config.coalesce && !seen && !importance.is_call() && cause != Cause::Test;
        // The same for each device that wants it.
        let mut whole = None;
        let (mut list, mut held) = (Vec::new(), false);
        for registration in devices {
            let device = &registration.identifier;
            let wish = match self.wish(occasion, registration) {
                Ok(wish) => wish,
                Err(reason) => {
                    self.not_sent(occasion, &user, registration, reason);
                    continue;
                }
            };
            if let Some(message) = message
                && !self.first_time(&user, registration, message, importance)
            {
                self.not_sent(occasion, &user, registration, Reason::PushedBefore);
                continue;
            }
            let key = message.and_then(|message| message.name).filter(|_| !importance.is_call());
            let key = key.map(|name| self.pushed.key(name));
            let kind = Kind::new(importance);
            if cause != Cause::Test && self.is_away(now, registration.jid()) {
                self.owes(now, &user, registration, kind, key.as_slice());
                self.decided(occasion, &user, device, Outcome::Owed);
                continue;
            }
            let is_plain = match wish {
                Wish::Summary => !Summary::has_content(&self.config, message, important),
                Wish::Encrypted(_) => false,
                Wish::Notice(_, keys) => keys.is_none(),
            };
            let lane =
                (may_wait && is_plain).then(|| Lane { user: user.clone(), identifier: device.clone(), important });
            if let Some(lane) = &lane
                && !self.lanes.admit(now.mono, lane, registration, key)
            {
                debug!("A push for {user} to {device} is held: the last one says it already");
                self.outages.not_tried(registration.jid());
                self.stats.held();
                self.decided(occasion, &user, device, Outcome::Held);
                held = true;
                continue;
            }
            let content = match wish {
                Wish::Summary => Content::Summary,
                Wish::Encrypted(encryption) => {
                    Content::Encrypted(encryption.apply(message, important, &self.config.encrypted_body, self.random))
                }
                Wish::Notice(priority, keys) => {
                    let sealed = keys.map(|keys| (keys, whole.get_or_insert_with(|| self.whole(&user, message))));
                    Content::Notice(self.notice(now, priority, sealed).into())
                }
            };
            let call = message.and_then(|message| message.call).filter(|_| importance == Importance::Urgent);
            let call = call.map(|call| self.calls.key(&call));
            let flight = Flight {
                call,
                messages: key.into_iter().collect(),
                ..Flight::new(user.clone(), registration.clone(), now, kind)
            };
            let push = self.send(flight, lane, content);
            self.stats.sent(importance);
            self.decided(occasion, &user, device, Outcome::Sent(push.id, None));
            list.push(push);
        }
        Pushes { important, list, held }
    }

    pub(super) fn not_sent(
        &mut self,
        occasion: &Occasion,
        user: &Rc<str>,
        registration: &Registration,
        reason: Reason,
    ) {
        debug!("No push for {user} to {}: {}", registration.identifier, reason.text());
        self.stats.suppressed(reason);
        self.decided(occasion, user, &registration.identifier, Outcome::NotSent(reason));
    }

    fn decided(&mut self, occasion: &Occasion, user: &Rc<str>, device: &Rc<str>, outcome: Outcome) {
        let Occasion { event, cause, word, .. } = *occasion;
        self.journal.add(user, Decision { at: event.now.wall, cause, word, device: device.clone(), outcome });
    }

    /// What a device wants to get, or why it gets nothing.
    pub(super) fn wish<'d>(&self, occasion: &Occasion, registration: &'d Registration) -> Result<Wish<'d>, Reason> {
        let Occasion { event, message, word, .. } = *occasion;
        let importance = occasion.worth?;
        if let Some(call) = message.and_then(|message| message.call)
            && importance == Importance::CallEnds
            && self.calls.is_over(event.user, &registration.identifier, self.calls.key(&call))
        {
            return Err(Reason::PushedBefore);
        }
        if importance == Importance::CallEnds
            && !message.is_some_and(|message| self.rang(event.user, registration, message))
        {
            return Err(Reason::DidNotRing);
        }
        let text = || occasion.text();
        if let Some(settings) = &registration.push2 {
            let priority = Priority::new(importance);
            let Some(message) = message else { return Ok(Wish::Notice(priority, None)) };
            let identifier = &registration.identifier;
            let Event { now, user, .. } = event;
            let case = Case { now: now.wall, user, host: &self.host, identifier, message, text: &text, importance };
            return matched(settings, &case).map(|keys| Wish::Notice(priority, keys));
        }
        if importance == Importance::None {
            return Err(word.map_or(Reason::NothingToShow, why_none));
        }
        // What rang stops ringing, whatever the device wants to hear otherwise.
        if let Some(message) = message.filter(|_| importance != Importance::CallEnds)
            && let Some(objection) = self.objection(event.user, registration, message, &text)
        {
            return Err(objection);
        }
        match self.encryption(registration, event.seen) {
            Some(Encryption::Aes128Gcm(encryption)) => Ok(Wish::Encrypted(encryption)),
            Some(Encryption::Unusable) => Err(Reason::UnusableKeys),
            None => Ok(Wish::Summary),
        }
    }

    /// The stanza in its envelope; nothing if it cannot be read.
    fn whole(&self, user: &str, message: Option<&Message>) -> Option<String> {
        let message = message?;
        let by = format!("{user}@{}", self.host);
        let id = message.name.filter(|_| message.word & ARCHIVED != 0);
        let stanza = message.stanza.and_then(|read| read())?;
        Some(envelope(&stanza, &by, id, self.random))
    }

    fn notice(&self, now: Moment, priority: Priority, sealed: Option<(&WebPush, &mut Option<String>)>) -> Notice {
        let Some((keys, whole)) = sealed else { return Notice::empty(priority) };
        let contact = || self.config.contact_uri.clone().unwrap_or_else(|| format!("xmpp:{}", self.host));
        let token =
            keys.identity.as_ref().and_then(|identity| identity.token((now.wall / 1000) as Seconds, &contact()));
        let payload =
            whole.as_ref().map(|whole| webpush::seal(whole.as_bytes(), &keys.client, &keys.auth, self.random));
        Notice { payload, token, ..Notice::empty(priority) }
    }

    /// A push of XEP-0357 that says only that there is something, as the registration wants it.
    pub(super) fn plain(&self, registration: &Registration, important: bool) -> Content {
        match self.encryption(registration, false) {
            Some(Encryption::Aes128Gcm(keys)) => {
                Content::Encrypted(keys.apply(None, important, &self.config.encrypted_body, self.random))
            }
            _ => Content::Summary,
        }
    }

    /// How the registration wants its pushes encrypted: it never gets plain ones, though the extension be off, unless another
    /// author's module does the work.
    fn encryption<'d>(&self, registration: &'d Registration, is_seen: bool) -> Option<&'d Encryption> {
        let encryption = registration.tigase.as_ref()?.encryption.as_ref()?;
        Some(encryption).filter(|_| !(is_seen && self.extensions.encrypted_elsewhere))
    }

    /// Why a device does not want to hear of a message.
    fn objection<'t>(
        &self,
        user: &str,
        registration: &Registration,
        message: &Message,
        text: &dyn Fn() -> &'t str,
    ) -> Option<Reason> {
        let settings = registration.tigase.as_ref().filter(|_| self.extensions.filters)?;
        settings.filter.objection(user, &self.host, message, text)
    }

    /// Whether somebody asks if the sender of a message is in the user's roster, and that is not known yet.
    pub fn asks_for_roster(&self, user: &str, word: Word) -> bool {
        let asks =
            |device: &Rc<Registration>| device.tigase.as_ref().is_some_and(|settings| settings.filter.ignore_unknown);
        self.extensions.filters
            && word & (CONTACT | STRANGER) == 0
            && self.users.peek(user).is_some_and(|devices| devices.iter().any(asks))
    }

    /// A device whose app server is away is owed a push, and the message is as unknown as before.
    pub(super) fn owes(
        &mut self,
        now: Moment,
        user: &Rc<str>,
        registration: &Rc<Registration>,
        kind: Kind,
        messages: &[u64],
    ) {
        self.changed(user);
        self.pushed.forget(user, &registration.identifier, messages);
        let tries = Tries { failed: 0, since: now.mono, newest: now.mono };
        let debt =
            Debt { user: user.clone(), registration: registration.clone(), kind, notice: None, call: None, tries };
        self.owed.put(now.mono, debt, true);
    }

    /// Sends a push, which keeps a lane if it has no content.
    pub(super) fn send(&mut self, flight: Flight, lane: Option<Lane>, content: Content) -> Push {
        let (id, registration, now) = (self.ids.make(), flight.registration.clone(), flight.sent);
        debug!("Push {id} for {} to {}", flight.user, registration.identifier);
        self.outages.sent(now, registration.jid());
        self.delivery.sent(id, Flight { plain: lane.as_ref().map(|lane| lane.important), ..flight });
        if let Some(lane) = &lane {
            self.lanes.sent(now.mono, lane.clone(), id);
        }
        if let Content::Notice(notice) = &content {
            self.delivery.keep(id, notice.clone());
            // Nobody answers it: the next one need not wait for that.
            if let Some(lane) = &lane {
                self.lanes.landed(now.mono, lane, id);
            }
        }
        Push { id, registration, content }
    }
}
