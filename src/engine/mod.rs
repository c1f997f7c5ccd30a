//! One host: events, answers and the time go in, pushes come out.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::rc::Rc;

use lru::LruCache;

use crate::address::is_account;
use crate::config::Config;
use crate::context::{Context, Event, Server};
use crate::delivery::Delivery;
use crate::delivery::bursts::{Lane, Lanes};
use crate::delivery::outages::Outages;
use crate::delivery::owed::Owed;
use crate::delivery::turns::Turns;
use crate::delivery::waiting::Waits;
use crate::ids::Ids;
use crate::memory::bookmarks::Bookmarks;
use crate::memory::calls::Calls;
use crate::memory::dedup::Pushed;
use crate::memory::endings::Endings;
use crate::memory::history::History;
use crate::memory::journal::{Cause, Journal};
use crate::memory::stats::Stats;
use crate::memory::unread::{Chats, Tells, Unread};
use crate::protocol::Protocol;
use crate::reason::Reason;
use crate::registration::devices::Devices;
use crate::registration::{Registration, Seen};
use crate::rules::facts::{Message, SENT, Word};
use crate::rules::importance::{Importance, Kind};
use crate::time::{HOUR, Millis, Moment, SECOND, Seconds};

mod admin;
mod answers;
pub mod durable;
mod events;
mod pushing;
mod reading;
mod reload;
mod settings;
mod types;

pub use types::{Answered, Done, Leaving, NotLoaded, Push, Pushes, Queued, State, Verdict};

/// The state of one host.
pub struct Engine<P: Protocol> {
    protocol: P,
    server: Server,
    users: LruCache<Rc<str>, User<P::Asked>>,
    /// Part of each hash of a bookmark, so that nobody can choose a JID with the hash of another.
    hasher: RandomState,
    unread: Unread,
    /// The chats of users who have not been loaded since a reload.
    chats: HashMap<Rc<str>, Chats>,
    pushed: Pushed,
    calls: Calls,
    lanes: Lanes<P>,
    delivery: Delivery<P>,
    owed: Owed<P>,
    turns: Turns<P>,
    waiting: Waits<P>,
    outages: Outages,
    /// Users whose durable state has changed since it was written.
    unwritten: HashSet<Rc<str>>,
    journal: Journal,
    stats: Stats,
    history: History,
    endings: Endings,
    /// When the last push was taken, for devices that have not been loaded since a reload.
    successes: HashMap<(Rc<str>, Rc<str>), Millis>,
    ids: Ids,
}

/// A user in memory.
struct User<A> {
    devices: Devices<A>,
    bookmarks: Bookmarks,
    chats: Chats,
}

impl<P: Protocol> Engine<P> {
    /// `random` fills a slice with random bytes.
    pub fn new(host: String, config: Config, random: fn(&mut [u8])) -> Self {
        // A cache that is made with a size reserves all its memory at once.
        let mut users = LruCache::unbounded();
        let most = NonZeroUsize::new(config.cached_users).unwrap_or(NonZeroUsize::MIN);
        users.resize(most);
        let mut seed = [0; 8];
        random(&mut seed);
        Engine {
            protocol: P::default(),
            users,
            hasher: RandomState::new(),
            unread: Unread::new(u64::from_ne_bytes(seed)),
            chats: HashMap::new(),
            pushed: Pushed::new(config.queue_size, u64::from_ne_bytes(seed)),
            calls: Calls::new(u64::from_ne_bytes(seed)),
            lanes: Lanes::default(),
            delivery: Delivery::new(config.max_errors),
            owed: Owed::default(),
            turns: Turns::default(),
            waiting: Waits::default(),
            outages: Outages::new(P::POLICY),
            unwritten: HashSet::new(),
            journal: Journal::new(config.explain),
            stats: Stats::default(),
            history: History::default(),
            endings: Endings::default(),
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

    /// Returns the protocol, to switch its extensions.
    pub fn protocol_mut(&mut self) -> &mut P {
        &mut self.protocol
    }

    /// Returns the number of registrations that a user may have; one more ends the oldest.
    pub fn max_devices(&self) -> usize {
        P::POLICY.max_registrations.unwrap_or(self.server.config.max_devices)
    }

    /// Returns the number of a user's stored registrations that are woken, the newest first.
    pub fn max_woken(&self) -> usize {
        P::POLICY.max_woken.unwrap_or(self.server.config.max_devices)
    }

    /// Whether a session may go on hibernating for long after an important push to its device.
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
        let stays = |identifier: &str| !is_disabled && exists(identifier);
        let was_owed = self.owed.retain(&user, stays);
        let has_waited = self.waiting.retain(&user, stays);
        if has_failures || was_owed || has_waited {
            self.changed(&user);
        }
        if is_disabled {
            self.lanes.drop_user(&user);
            self.turns.drop_user(&user);
        }
        let User { devices: known, bookmarks, chats } = self.users.pop(&user).unwrap_or_else(|| User {
            devices: Devices::default(),
            bookmarks: Bookmarks::default(),
            chats: self.chats.remove(&user).unwrap_or_default(),
        });
        let devices = devices.keeping(&known);
        // The shim reads them after this. Without mod_pep it does not, and stale ones would ask for another load for ever.
        let bookmarks = if bookmarks.are_known() { bookmarks } else { Bookmarks::default() };
        devices.iter().for_each(|device| device.seen.set(None));
        for device in devices.iter().filter(|device| known.get(&device.identifier).is_none()) {
            let last = self.successes.remove(&(user.clone(), device.identifier.clone()));
            device.last_success.set(last.unwrap_or(0));
        }
        self.users.put(user, User { devices, bookmarks, chats });
    }

    /// Returns the registration that a request with this `fingerprint` made, if the store need not be touched when the request
    /// comes again: the store had the registration in the last hour, so that changes by others are noticed in time, and the new
    /// time need not be written.
    pub fn seen(&self, now: Moment, user: &str, fingerprint: u64) -> Option<&Rc<str>> {
        let devices = &self.users.peek(user)?.devices;
        let is_known = |seen: Seen| seen.fingerprint == fingerprint && now.mono.saturating_sub(seen.at) < HOUR;
        let device = devices.iter().find(|device| device.seen.get().is_some_and(is_known))?;
        let now = (now.wall / SECOND) as Seconds;
        devices.current(&device.identifier, now, self.max_devices()).map(|device| &device.identifier)
    }

    /// Notes that `identifier` was enabled, for the first time or again: its failures are forgotten, and its client is back.
    pub fn enabled(&mut self, now: Moment, user: &str, identifier: &str) {
        if self.delivery.failures.forget(user, identifier) {
            self.changed(&user.into());
        }
        self.on_resumed(now, user, identifier);
        if let Some(device) = self.device(user, identifier) {
            device.made.set(now.mono);
        }
    }

    /// Notes that the store has the registration that a request with this `fingerprint` made: the record was read or written
    /// just now.
    pub fn saw(&mut self, now: Moment, user: &str, identifier: &str, fingerprint: u64) {
        if let Some(device) = self.device(user, identifier) {
            device.seen.set(Some(Seen { fingerprint, at: now.mono }));
        }
    }

    /// Forgets a user whose account was deleted.
    pub fn forget(&mut self, user: &str) {
        self.users.pop(user);
        self.lanes.drop_user(user);
        self.turns.drop_user(user);
        self.owed.retain(user, |_| false);
        self.waiting.retain(user, |_| false);
        self.chats.remove(user);
        self.delivery.forget(user);
        self.changed(&user.into());
        self.successes.retain(|(of, _), _| **of != *user);
        self.journal.forget(user);
        self.endings.forget(user);
    }

    /// Whether the account is disabled; `None` if the user's registrations are not in memory.
    pub fn is_disabled(&self, user: &str) -> Option<bool> {
        self.users.peek(user).map(|user| user.devices.is_disabled)
    }

    /// Counts a registration that ended because the app server refused its pushes, or could not be reached.
    pub fn ended(&mut self, refused: bool) {
        self.stats.removed(refused);
    }

    /// Returns the user's interned name and registrations, if these are in memory and the bookmarks need not be read again.
    fn devices(&mut self, now: Moment, user: &str) -> Option<(Rc<str>, Devices<P::Asked>)> {
        let known = self.users.get_key_value(user);
        let known = known.filter(|(_, user)| user.devices.iter().len() == 0 || !user.bookmarks.are_stale(now));
        self.stats.looked_up(known.is_some());
        known.map(|(name, user)| (name.clone(), user.devices.clone()))
    }

    /// Returns the same for the event of a message.
    fn devices_for(&mut self, event: Event, message: &Message) -> Result<(Rc<str>, Devices<P::Asked>), NotLoaded> {
        self.devices(event.now, event.user).ok_or_else(|| NotLoaded { missed: self.missed(event.user, message) })
    }

    /// Returns the push that a user misses whose registrations cannot be read. A call is over before they can be.
    fn missed(&self, user: &str, message: &Message) -> Option<Kind> {
        let importance = self.protocol.worth(self.marked(user, message)).ok()?;
        let wakes_later = importance != Importance::None && !importance.is_call();
        wakes_later.then(|| Kind::new(importance))
    }

    /// Returns a device of the user, as far as it is in memory.
    fn device(&self, user: &str, identifier: &str) -> Option<&Rc<Registration<P::Asked>>> {
        self.users.peek(user)?.devices.get(identifier)
    }

    /// Returns the chats of the user, if they are in memory, and what gives messages their places.
    fn chats(&mut self, user: &str) -> Option<(&mut Chats, &mut Unread)> {
        let chats = match self.users.peek_mut(user) {
            Some(user) => &mut user.chats,
            None => self.chats.get_mut(user)?,
        };
        Some((chats, &mut self.unread))
    }

    /// Returns the part of an event that all devices of a user share, and notes its message as one of the newest.
    fn context<'a>(
        &mut self,
        event: Event<'a>,
        cause: Cause,
        message: Option<&'a Message<'a>>,
        (user, devices): (&Rc<str>, &Devices<P::Asked>),
    ) -> Context<'a> {
        let is_disabled = devices.is_disabled;
        let word = message.map(|message| self.marked(event.user, message));
        let worth = match word {
            _ if is_disabled => Err(Reason::AccountDisabled),
            Some(word) => self.protocol.worth(word),
            None => Ok(Importance::Low),
        };
        let mut context = Context::new(event, cause, message, word, worth);
        if let Some(message) = message.filter(|_| devices.iter().len() > 0) {
            let has_place = self.has_place(&context);
            let key = message.dedup_key.filter(|_| has_place || worth.is_ok());
            context.key = key.map(|key| self.pushed.key(key));
            let noted = context.key.filter(|_| has_place).and_then(|key| {
                let (chats, unread) = self.chats(user)?;
                unread.note(chats, message, key)
            });
            context.place = noted.map(|(place, _)| place);
            context.is_read = noted.is_some_and(|(_, is_read)| is_read);
            context.quiet = self.quiet(&context, message);
        }
        context
    }

    /// Returns the facts of a message, with [`SENT`] set if the user sent it.
    fn marked(&self, user: &str, message: &Message) -> Word {
        message.word | if self.is_own(user, message) { SENT } else { 0 }
    }

    /// Whether the user sent the message, with another client. Of a carbon, the sender is the inner one.
    fn is_own(&self, user: &str, message: &Message) -> bool {
        message.from.is_some_and(|from| is_account(from, user, &self.server.host))
    }

    /// Whether the device rang for the call that the message is about, and was not notified of its end.
    fn rang(&self, user: &str, device: &Registration<P::Asked>, message: &Message) -> bool {
        message.call.is_some_and(|call| self.calls.rings(user, &device.identifier, self.calls.key(&call)))
    }

    /// Notes that the device is notified of the message. Returns false if it was notified before. A call and its end are
    /// identified by the two ends and the id of the call, archived or not.
    fn first_time(&mut self, context: &Context, device: &Registration<P::Asked>) -> bool {
        let (user, identifier) = (context.event.user, &device.identifier);
        let call = context.message.and_then(|message| message.call).map(|call| self.calls.key(&call));
        match (context.importance(), call) {
            (Importance::Urgent, Some(call)) => self.calls.ring(user, identifier, call),
            (Importance::CallEnds, Some(call)) => {
                let rings = self.calls.rings(user, identifier, call);
                self.calls.end(user, identifier, call);
                rings
            }
            _ => context.key.is_none_or(|message| self.pushed.first_time(user, identifier, message)),
        }
    }

    /// Notes that the device is notified of the message by a push of this kind that left a moment ago for another message.
    fn note(&mut self, context: &Context, user: &Rc<str>, device: &Registration<P::Asked>) {
        let (kind, tells) = (Kind::new(context.importance()), Tells::new(context.place));
        let Some(message) = context.key else { return };
        if self.pushed.first_time(user, &device.identifier, message) {
            let (identifier, important) = (device.identifier.clone(), kind.importance().is_important());
            let lane = Lane { user: user.clone(), identifier, important };
            if !self.lanes.tells_also(&lane, &[message], &tells) {
                self.delivery.tells_also(user, &device.identifier, kind, message, &tells);
            }
        }
    }
}
