//! Read reports: the other devices need not be woken for a message that the user has read with one client.

use std::rc::Rc;

use tracing::debug;

use super::Engine;
use super::types::{NotLoaded, Pushes};
use crate::address::is_account;
use crate::context::{Context, Event};
use crate::delivery::bursts::Lane;
use crate::memory::journal::{Cause, Decision, Outcome};
use crate::memory::unread::{Place, Tells};
use crate::protocol::Protocol;
use crate::reason::Reason;
use crate::registration::devices::Devices;
use crate::registration::holders::Holders;
use crate::rules::facts::{Message, REFLECTED};
use crate::rules::importance::Importance;
use crate::rules::read::{Name, Read};
use crate::time::Moment;

impl<P: Protocol> Engine<P> {
    /// Handles a read report of a client of the user; `reader` is the registration that its session holds. Held, owed and
    /// waiting pushes that cover only read messages are dropped. With `push_take_away`, the devices that show only read
    /// messages of the chat are woken silently, except those whose client answers.
    pub fn on_read(
        &mut self,
        event: Event,
        read: &Read,
        reader: Option<&str>,
        holders: Holders,
    ) -> Result<Pushes<P>, NotLoaded> {
        if self.chats(event.user).is_none_or(|(chats, _)| chats.is_empty()) {
            return Ok(Pushes::default());
        }
        // A report that comes while the registrations cannot be read is not made up for.
        let (user, devices) = self.devices(event.now, event.user).ok_or(NotLoaded { missed: None })?;
        let archived = match read.message {
            Name::Archive(id) => Some(self.pushed.key(id)),
            Name::Marker(_) => None,
        };
        let Some((chats, unread)) = self.chats(&user) else { return Ok(Pushes::default()) };
        let Some(place) = unread.read(chats, read, archived) else { return Ok(Pushes::default()) };
        let shown = chats.take_shown(place);
        self.drop_read(event.now, &user, &devices, place);
        let shows = |identifier: &Rc<str>| {
            shown.contains(identifier) && Some(&**identifier) != reader && !holders.answer(identifier)
        };
        let woken: Vec<_> = devices.iter().filter(|device| shows(&device.identifier)).collect();
        if woken.is_empty() {
            return Ok(Pushes::default());
        }
        let context = self.context(event, Cause::TakeAway, None, (&user, &devices));
        Ok(self.push(&context, user, woken.into_iter()))
    }

    /// Notes a message that waits for others before it is pushed: the user may read it meanwhile.
    pub fn on_collected(&mut self, event: Event, message: &Message) {
        if let Some((user, devices)) = self.devices(event.now, event.user) {
            self.context(event, Cause::Queued, Some(message), (&user, &devices));
        }
    }

    fn drop_read(&mut self, now: Moment, user: &Rc<str>, devices: &Devices<P::Asked>, place: Place) {
        for device in devices.iter() {
            for important in [false, true] {
                let lane = Lane { user: user.clone(), identifier: device.identifier.clone(), important };
                if self.lanes.read(&lane, place) {
                    self.needless(now, Cause::Released, user, &device.identifier);
                }
            }
        }
        for device in self.owed.read(user, place) {
            self.changed(user);
            self.needless(now, Cause::Again, user, &device);
        }
        for wait in self.waiting.read(user, place) {
            self.changed(user);
            self.needless(now, Cause::Waited, user, &wait.registration.identifier);
        }
    }

    /// Removes from `tells` the messages that the user has read. Returns whether nothing is left.
    pub(super) fn has_read(&mut self, user: &str, tells: &mut Tells) -> bool {
        self.chats(user).is_some_and(|(chats, _)| chats.has_read(tells))
    }

    /// Notes that a push is dropped, because the user has read all its messages.
    pub(super) fn needless(&mut self, now: Moment, cause: Cause, user: &Rc<str>, device: &Rc<str>) {
        let reason = Reason::ReadElsewhere;
        debug!("A push for {user} to {device} leaves no more: {}", reason.text());
        self.stats.suppressed(reason);
        let outcome = Outcome::NotSent(reason);
        self.journal.add(user, Decision { at: now.wall, cause, word: None, device: device.clone(), outcome });
    }

    /// Whether the message of an event gets a place, so that a read report can refer to it: it wakes devices and is not about a
    /// call, or a room reflects it to the user.
    pub(super) fn has_place(&self, context: &Context) -> bool {
        match context.worth {
            Ok(importance) => importance != Importance::None && !importance.is_call(),
            Err(_) => context.word.is_some_and(|word| word & REFLECTED != 0),
        }
    }

    /// Notes an archived message that the user sent to `to`.
    pub(super) fn note_own(&mut self, user: &str, to: Option<&str>, message: &Message) {
        let is_own = self.is_own(user, message);
        let to = to.filter(|to| is_own && !is_account(to, user, &self.server.host));
        if let Some((to, key)) = to.zip(message.dedup_key) {
            let key = self.pushed.key(key);
            if let Some((chats, unread)) = self.chats(user) {
                unread.note_own(chats, to, key);
            }
        }
    }
}
