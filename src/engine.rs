//! One host's rules: what happened and when goes in, what has to be sent comes out.

use std::num::NonZeroUsize;
use std::rc::Rc;

use lru::LruCache;
use tracing::debug;

use crate::config::Config;
use crate::dedup::Pushed;
use crate::delivery::{Delivery, Flight, Gone, Millis, StanzaError, State, Verdict};
use crate::facts::{Message, Word};
use crate::ids::{Id, Ids};
use crate::importance::{Importance, judge};
use crate::registration::{Devices, Registration, is_account};

/// Users whose registrations are held in memory; the one asked for least recently goes first and is read again when
/// the next message for them comes.
const CACHED_USERS: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// The user's registrations are not in memory: [`Engine::load`] them and ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotLoaded;

/// A push to be sent.
#[derive(Clone, Debug)]
pub struct Push {
    pub id: Id,
    pub registration: Rc<Registration>,
}

/// Which kinds of stanzas of those that waited together have been pushed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    pub important: bool,
    pub unimportant: bool,
}

/// What comes of a stanza that was queued.
#[derive(Debug)]
pub struct Queued {
    pub pushes: Vec<Push>,
    /// Whether the device knows of something important now, by this push or by one before.
    pub alerted: bool,
    /// What has been pushed now, if the push is not kept back.
    pub done: Done,
}

/// The state of one host.
pub struct Engine {
    host: String,
    config: Config,
    users: LruCache<Rc<str>, Devices>,
    pushed: Pushed,
    delivery: Delivery,
    ids: Ids,
}

impl Engine {
    /// `random` fills a slice with random bytes.
    pub fn new(host: String, config: Config, random: fn(&mut [u8])) -> Self {
        let delivery = Delivery::new(config.max_errors);
        let users = LruCache::new(CACHED_USERS);
        Engine { host, config, users, pushed: Pushed::default(), delivery, ids: Ids::new(random) }
    }

    /// Where the pushes come from.
    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Takes what the store has of `user`; called after every change of it.
    pub fn load(&mut self, user: &str, registrations: Vec<Registration>) {
        let devices = Devices::new(registrations, self.config.max_devices);
        self.delivery.retain(user, |identifier| devices.get(identifier).is_some());
        self.users.put(user.into(), devices);
    }

    /// `identifier` was enabled, anew or again: its failures so far do not count.
    pub fn enabled(&mut self, now: Millis, user: &str, identifier: &str) {
        self.delivery.made(now, user, identifier);
    }

    /// The account is no more.
    pub fn forget(&mut self, user: &str) {
        self.users.pop(user);
        self.delivery.retain(user, |_| false);
    }

    /// No session took the message: all the user's devices are woken.
    pub fn on_offline(&mut self, now: Millis, user: &str, message: &Message) -> Result<Vec<Push>, NotLoaded> {
        let devices = self.devices(user)?.clone();
        Ok(self.push(now, user, Some(message), devices.iter()))
    }

    /// A message to `to` was archived for `user`. Of one that the user sent, to whomever, no device needs to hear. Devices with a
    /// session, connected or hibernating, hear of a message there; only a call goes to them at once, since their
    /// connection may be dead.
    pub fn on_archived(
        &mut self,
        now: Millis,
        user: &str,
        to: Option<&str>,
        message: &Message,
        held: impl Fn(&str) -> bool,
    ) -> Result<Vec<Push>, NotLoaded> {
        let is_user = |jid: Option<&str>| jid.is_some_and(|jid| is_account(jid, user, &self.host));
        if !is_user(to) || is_user(message.from) {
            return Ok(Vec::new());
        }
        let devices = self.devices(user)?.clone();
        let urgent = judge(message.word) == Importance::Urgent;
        let absent = devices.iter().filter(|device| {
            let goes = urgent || !held(&device.identifier);
            if !goes {
                debug!("No push for {user} to {}: its session is alive", device.identifier);
            }
            goes
        });
        Ok(self.push(now, user, Some(message), absent))
    }

    /// How long a stanza that waits for a client that does not answer may wait for others, so that one push does for
    /// all of them. In milliseconds.
    pub fn queue_delay(word: Word) -> Millis {
        if judge(word) == Importance::Urgent { 0 } else { 1000 }
    }

    /// A stanza waits in the stream-management queue of a session that holds the registration `identifier`. Of those
    /// that have waited together at most one important and one unimportant are pushed; `done` has what was pushed of
    /// them so far.
    pub fn on_queued(
        &mut self,
        now: Millis,
        user: &str,
        identifier: &str,
        done: Done,
        message: &Message,
    ) -> Result<Queued, NotLoaded> {
        let registration = self.devices(user)?.get(identifier).cloned();
        let important = judge(message.word) != Importance::Low;
        let known = if important { done.important } else { done.unimportant };
        let Some(registration) = registration else {
            return Ok(Queued { pushes: Vec::new(), alerted: false, done });
        };
        if known {
            if let Some(name) = message.name {
                self.pushed.first_time(user, identifier, name);
            }
            return Ok(Queued { pushes: Vec::new(), alerted: important, done });
        }
        let pushes = self.push(now, user, Some(message), std::iter::once(&registration));
        let pushed = !pushes.is_empty();
        let done = Done {
            important: done.important || (important && pushed),
            unimportant: done.unimportant || (!important && pushed),
        };
        Ok(Queued { pushes, alerted: important, done })
    }

    /// Another module wants the devices woken: all, or those it gives.
    pub fn on_ping(
        &mut self,
        now: Millis,
        user: &str,
        given: Option<Vec<Registration>>,
    ) -> Result<Vec<Push>, NotLoaded> {
        let devices = match given {
            Some(given) => Devices::new(given, usize::MAX),
            None => self.devices(user)?.clone(),
        };
        Ok(self.push(now, user, None, devices.iter()))
    }

    /// A handler of another module kept the push back.
    pub fn withdraw(&mut self, id: &str) {
        self.delivery.withdrawn(id);
    }

    /// An IQ of type result or error came to the host.
    pub fn on_answer(&mut self, now: Millis, id: &str, from: Option<&str>, error: Option<StanzaError>) -> Verdict {
        let Some(from) = from else { return Verdict::Stranger };
        self.delivery.answered(now, id, from, error, stands(&self.users))
    }

    /// Time has passed: the registrations that have to go because no answer came.
    pub fn on_timer(&mut self, now: Millis) -> Vec<Gone> {
        self.delivery.expire(now, stands(&self.users))
    }

    /// Milliseconds until [`on_timer`](Engine::on_timer) is due; none while nothing is in flight.
    pub fn timer(&mut self, now: Millis) -> Option<Millis> {
        self.delivery.next_expiry(now)
    }

    /// What has to survive a reload of the module.
    pub fn save(&self) -> State {
        self.delivery.save()
    }

    pub fn restore(&mut self, state: State) {
        self.delivery.restore(state);
    }

    fn devices(&mut self, user: &str) -> Result<&Devices, NotLoaded> {
        self.users.get(user).ok_or(NotLoaded)
    }

    fn push<'d>(
        &mut self,
        now: Millis,
        user: &str,
        message: Option<&Message>,
        devices: impl Iterator<Item = &'d Rc<Registration>>,
    ) -> Vec<Push> {
        let mut pushes = Vec::new();
        let name: Rc<str> = user.into();
        for registration in devices {
            let device = &registration.identifier;
            if let Some(name) = message.and_then(|message| message.name)
                && !self.pushed.first_time(user, device, name)
            {
                debug!("No push for {user} to {device}: message {name} was pushed there before");
                continue;
            }
            let id = self.ids.make();
            self.delivery.sent(now, id, name.clone(), registration);
            debug!("Push {} for {user} to {device}", id.as_str());
            pushes.push(Push { id, registration: registration.clone() });
        }
        pushes
    }
}

/// Whether the registration that a push was for is still there, as far as memory tells.
fn stands(users: &LruCache<Rc<str>, Devices>) -> impl Fn(&Flight) -> bool {
    |flight| users.peek(&flight.user).is_none_or(|devices| devices.get(&flight.identifier).is_some())
}
