//! One host: events, answers and the time go in, pushes come out.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::rc::Rc;

use lru::LruCache;

use crate::address::is_account;
use crate::config::Config;
use crate::context::{Context, Event, Server};
use crate::delivery::Delivery;
use crate::delivery::bursts::Lanes;
use crate::delivery::outages::Outages;
use crate::delivery::owed::Owed;
use crate::delivery::turns::Turns;
use crate::ids::Ids;
use crate::memory::calls::Calls;
use crate::memory::dedup::Pushed;
use crate::memory::journal::{Cause, Journal};
use crate::memory::stats::Stats;
use crate::protocol::Protocol;
use crate::reason::Reason;
use crate::registration::devices::Devices;
use crate::registration::{Registration, Seen};
use crate::rules::facts::{Message, RECEIVED, SENT, Word};
use crate::rules::importance::{Importance, Kind};
use crate::time::{HOUR, Millis, Moment, SECOND, Seconds};

mod admin;
mod answers;
pub mod durable;
mod events;
mod pushing;
mod types;

pub use types::{Answered, Done, Leaving, NotLoaded, Push, Pushes, Queued, State, Verdict};

/// The state of one host.
pub struct Engine<P: Protocol> {
    protocol: P,
    server: Server,
    users: LruCache<Rc<str>, Devices<P::Asked>>,
    pushed: Pushed,
    calls: Calls,
    lanes: Lanes<P>,
    delivery: Delivery<P>,
    owed: Owed<P>,
    turns: Turns<P>,
    outages: Outages,
    /// Users whose durable state has changed since it was written.
    unwritten: HashSet<Rc<str>>,
    journal: Journal,
    stats: Stats,
    /// When pushes were taken last, of devices that have not been loaded since a reload.
    successes: HashMap<(Rc<str>, Rc<str>), Millis>,
    ids: Ids,
}

impl<P: Protocol> Engine<P> {
    /// `random` fills a slice with random bytes.
    pub fn new(host: String, config: Config, random: fn(&mut [u8])) -> Self {
        // A cache that is made with a size takes all its memory at once.
        let mut users = LruCache::unbounded();
        users.resize(NonZeroUsize::new(config.cached_users).unwrap_or(NonZeroUsize::MIN));
        let mut seed = [0; 8];
        random(&mut seed);
        Engine {
            protocol: P::default(),
            users,
            pushed: Pushed::new(config.queue_size, u64::from_ne_bytes(seed)),
            calls: Calls::default(),
            lanes: Lanes::default(),
            delivery: Delivery::new(config.max_errors),
            owed: Owed::default(),
            turns: Turns::default(),
            outages: Outages::new(P::POLICY),
            unwritten: HashSet::new(),
            journal: Journal::new(config.explain),
            stats: Stats::default(),
            successes: HashMap::new(),
            ids: Ids::new(random),
            server: Server { host, config, random },
        }
    }

    pub fn server(&self) -> &Server {
        &self.server
    }

    pub fn config(&self) -> &Config {
        &self.server.config
    }

    pub fn protocol(&self) -> &P {
        &self.protocol
    }

    /// Returns the protocol, to switch what can be switched.
    pub fn protocol_mut(&mut self) -> &mut P {
        &mut self.protocol
    }

    /// How many registrations a user may have; a new one ends the oldest.
    pub fn max_devices(&self) -> usize {
        P::POLICY.max_registrations.unwrap_or(self.server.config.max_devices)
    }

    /// How many of a user's stored registrations are woken: the newest.
    pub fn max_woken(&self) -> usize {
        P::POLICY.max_woken.unwrap_or(self.server.config.max_devices)
    }

    /// Whether a session may hibernate on for long after its device has been told of something important.
    pub fn hibernates_past_push(&self) -> bool {
        P::POLICY.hibernates_past_push && self.server.config.hibernate_past_push
    }

    /// Takes the stored registrations of `user`. The shim calls it after every change of the store, and when the account is disabled or
    /// enabled.
    ///
    /// An engine takes only registrations of its protocol:
    ///
    /// ```
    /// # use prosody_push::{config::Config, engine::Engine, push2, registration::Registration, xep0357};
    /// let mut engine = Engine::<xep0357::Xep0357>::new("example.org".into(), Config::default(), |_| ());
    /// let asked = xep0357::asked::Asked::default();
    /// engine.load("romeo", vec![Registration::new("push.example<n", "push.example", asked, 1)], false);
    /// ```
    /// ```compile_fail,E0308
    /// # use prosody_push::{config::Config, engine::Engine, push2, registration::Registration, xep0357};
    /// let mut engine = Engine::<xep0357::Xep0357>::new("example.org".into(), Config::default(), |_| ());
    /// let asked = push2::asked::Asked::default();
    /// engine.load("romeo", vec![Registration::new("push.example<n", "push.example", asked, 1)], false);
    /// ```
    pub fn load(&mut self, user: &str, registrations: Vec<Registration<P::Asked>>, is_disabled: bool) {
        let mut devices = Devices::new(registrations, self.max_woken());
        devices.is_disabled = is_disabled;
        let exists = |identifier: &str| devices.get(identifier).is_some();
        let user: Rc<str> = user.into();
        let has_failures = self.delivery.failures.retain(&user, exists);
        let was_owed = self.owed.retain(&user, |identifier| !is_disabled && exists(identifier));
        if has_failures || was_owed {
            self.changed(&user);
        }
        if is_disabled {
            self.lanes.drop_user(&user);
            self.turns.drop_user(&user);
        }
        let known = self.users.peek(&user).cloned().unwrap_or_default();
        let devices = devices.keeping(&known);
        devices.iter().for_each(|device| device.seen.set(None));
        for device in devices.iter().filter(|device| known.get(&device.identifier).is_none()) {
            let last = self.successes.remove(&(user.clone(), device.identifier.clone()));
            device.last_success.set(last.unwrap_or(0));
        }
        self.users.put(user, devices);
    }

    /// Returns the registration that a request with that `fingerprint` made, if the store need not be touched when it comes again: the
    /// store was seen to have the registration in the last hour, so that what somebody else does to the store is noticed in time, and
    /// its new time need not be written.
    pub fn seen(&self, now: Moment, user: &str, fingerprint: u64) -> Option<&Rc<str>> {
        let devices = self.users.peek(user)?;
        let is_known = |seen: Seen| seen.fingerprint == fingerprint && now.mono.saturating_sub(seen.at) < HOUR;
        let device = devices.iter().find(|device| device.seen.get().is_some_and(is_known))?;
        let now = (now.wall / SECOND) as Seconds;
        devices.current(&device.identifier, now, self.max_devices()).map(|device| &device.identifier)
    }

    /// Notes that `identifier` was enabled, anew or again: its failures are forgotten, and its client is there.
    pub fn enabled(&mut self, now: Moment, user: &str, identifier: &str) {
        if self.delivery.failures.forget(user, identifier) {
            self.changed(&user.into());
        }
        self.on_resumed(user, identifier);
        if let Some(device) = self.users.peek(user).and_then(|devices| devices.get(identifier)) {
            device.made.set(now.mono);
        }
    }

    /// Notes that the store has the registration that a request with that `fingerprint` made: it was read or written just now.
    pub fn saw(&mut self, now: Moment, user: &str, identifier: &str, fingerprint: u64) {
        if let Some(device) = self.users.peek(user).and_then(|devices| devices.get(identifier)) {
            device.seen.set(Some(Seen { fingerprint, at: now.mono }));
        }
    }

    /// Forgets a user whose account was deleted.
    pub fn forget(&mut self, user: &str) {
        self.users.pop(user);
        self.lanes.drop_user(user);
        self.turns.drop_user(user);
        self.owed.retain(user, |_| false);
        self.delivery.forget(user);
        self.changed(&user.into());
        self.successes.retain(|(of, _), _| **of != *user);
        self.journal.forget(user);
    }

    /// Whether the account is disabled; `None` if the user's registrations are not in memory.
    pub fn is_disabled(&self, user: &str) -> Option<bool> {
        self.users.peek(user).map(|devices| devices.is_disabled)
    }

    /// Counts a registration that ended because the app server refused its pushes, or could not be reached.
    pub fn ended(&mut self, refused: bool) {
        self.stats.removed(refused);
    }

    /// Returns the user's interned name and registrations.
    fn devices(&mut self, user: &str) -> Result<(Rc<str>, Devices<P::Asked>), NotLoaded> {
        let Some((user, devices)) = self.users.get_key_value(user) else {
            self.stats.looked_up(false);
            return Err(NotLoaded);
        };
        self.stats.looked_up(true);
        Ok((user.clone(), devices.clone()))
    }

    /// Returns the part of an event that all devices of a user share.
    fn context<'a>(
        &self,
        event: Event<'a>,
        cause: Cause,
        message: Option<&'a Message<'a>>,
        is_disabled: bool,
    ) -> Context<'a> {
        let word = message.map(|message| self.marked(event.user, message));
        let worth = match word {
            _ if is_disabled => Err(Reason::AccountDisabled),
            Some(word) => self.protocol.worth(word),
            None => Ok(Importance::Low),
        };
        Context::new(event, cause, message, word, worth)
    }

    /// Returns the facts of a message, with the mark of one that the user sent.
    fn marked(&self, user: &str, message: &Message) -> Word {
        message.word | if self.is_own(user, message) { SENT } else { 0 }
    }

    /// Whether the user sent the message, with another client. The carbon of a received message does not count.
    fn is_own(&self, user: &str, message: &Message) -> bool {
        message.word & RECEIVED == 0 && message.from.is_some_and(|from| is_account(from, user, &self.server.host))
    }

    /// Whether the device rang for the call that the message is about, and does not know that it is over.
    fn rang(&self, user: &str, device: &Registration<P::Asked>, message: &Message) -> bool {
        message.call.is_some_and(|call| self.calls.rings(user, &device.identifier, self.calls.key(&call)))
    }

    /// Notes that the device is told of the message. Returns false if it was told before. A call and its end are known by the two
    /// ends and the id of the call, archived or not.
    fn first_time(
        &mut self,
        user: &str,
        device: &Registration<P::Asked>,
        message: &Message,
        importance: Importance,
    ) -> bool {
        let identifier = &device.identifier;
        let call = message.call.map(|call| self.calls.key(&call));
        match (importance, call) {
            (Importance::Urgent, Some(call)) => self.calls.ring(user, identifier, call),
            (Importance::CallEnds, Some(call)) => {
                let rings = self.calls.rings(user, identifier, call);
                self.calls.end(user, identifier, call);
                rings
            }
            _ => message.dedup_key.is_none_or(|name| {
                let message = self.pushed.key(name);
                self.pushed.first_time(user, identifier, message)
            }),
        }
    }

    /// Notes that the device is told of the message by a push of that kind that left a moment ago for another message.
    fn note(&mut self, user: &str, device: &Registration<P::Asked>, message: &Message, kind: Kind) {
        let Some(message) = message.dedup_key.map(|name| self.pushed.key(name)) else { return };
        if self.pushed.first_time(user, &device.identifier, message) {
            self.delivery.tells_also(user, &device.identifier, kind, message);
        }
    }
}
