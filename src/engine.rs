//! One host's rules: what happened and when goes in, what has to be sent comes out.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::rc::Rc;

use lru::LruCache;
use serde::{Deserialize, Serialize};

use crate::address::is_account;
use crate::calls::Calls;
use crate::coalesce::Lanes;
use crate::config::Config;
use crate::dedup::{self, Pushed};
use crate::delivery::failures::Gone;
use crate::delivery::outages::Outages;
use crate::delivery::owed::{Kind, Owed};
use crate::delivery::{self, Delivery};
use crate::facts::{Message, RECEIVED, SENT, Word};
use crate::ids::{Id, Ids};
use crate::importance::{Importance, judge};
use crate::journal::{Cause, Journal};
use crate::protocol::Protocol;
use crate::push2::matching;
use crate::push2::notification::{Notice, Priority};
use crate::push2::registration::WebPush;
use crate::reason::Reason;
use crate::registration::{Devices, Registration};
use crate::stats::Stats;
use crate::tigase::Extensions;
use crate::tigase::encrypt::{Aes128Gcm, Encrypted};
use crate::time::{Millis, Moment};

mod admin;
mod answers;
pub mod durable;
mod events;
mod pushing;

/// The user's registrations are not in memory: [`Engine::load`] them and ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotLoaded;

/// Facts that every event has.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    pub now: Moment,
    pub user: &'a str,
    /// Whether other modules see each push, and may put something into it: then none stands for another.
    pub seen: bool,
}

/// What came of an answer.
#[derive(Debug)]
pub struct Answered {
    pub verdict: Verdict,
    /// The registration, and its refusals in a row, where these have changed.
    pub refusals: Option<(Rc<str>, u32)>,
}

/// Whether a registration stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not the answer to a push of ours.
    Stranger,
    /// The registration stays.
    Stays,
    /// The registration has to go.
    Goes(Gone),
}

/// What is to be sent for one event.
#[derive(Debug, Default)]
pub struct Pushes {
    /// Whether there is something to show.
    pub important: bool,
    pub list: Vec<Push>,
    /// Whether one is held, to leave later.
    pub held: bool,
}

/// A push to be sent.
#[derive(Clone, Debug)]
pub struct Push {
    pub id: Id,
    pub registration: Rc<Registration>,
    pub content: Content,
}

/// What a push brings.
#[derive(Clone, Debug)]
pub enum Content {
    /// XEP-0357's summary, the same for all devices.
    Summary,
    /// What only the device can read, in its place.
    Encrypted(Encrypted),
    /// Push 2.0's.
    Notice(Rc<Notice>),
}

/// What a device asks for, of a stanza.
enum Wish<'d> {
    Summary,
    Encrypted(&'d Aes128Gcm),
    Notice(Priority, Option<&'d WebPush>),
}

/// What all the devices of a user share of an event.
struct Occasion<'a> {
    event: Event<'a>,
    cause: Cause,
    message: Option<&'a Message<'a>>,
    /// Its facts, with what the user himself sent marked.
    word: Option<Word>,
    /// What it is worth, or why nobody is woken for it.
    worth: Result<Importance, Reason>,
    /// Its text in lower case, once somebody has asked for it.
    text: OnceCell<String>,
}

impl Occasion<'_> {
    fn importance(&self) -> Importance {
        self.worth.unwrap_or(Importance::None)
    }

    fn text(&self) -> &str {
        self.text.get_or_init(|| self.message.and_then(|message| message.body).unwrap_or("").to_lowercase())
    }
}

/// Which kinds of stanzas of those that waited together have been pushed: important ones, and others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done(u8);

impl Done {
    /// Takes what [`bits`](Done::bits) gave.
    pub fn new(bits: u8) -> Done {
        Done(bits)
    }

    /// What the shim keeps of it.
    pub fn bits(self) -> u8 {
        self.0
    }

    fn has(self, important: bool) -> bool {
        self.0 & Done::bit(important) != 0
    }

    /// And one that is important, or not.
    pub fn with(self, important: bool) -> Done {
        Done(self.0 | Done::bit(important))
    }

    fn bit(important: bool) -> u8 {
        if important { 2 } else { 1 }
    }
}

/// What comes of a stanza that was queued.
#[derive(Debug)]
pub struct Queued {
    pub pushes: Pushes,
    /// Whether the device knows of something important now, by this push or by one before.
    pub alerted: bool,
    /// What has been pushed now, if the push is not kept back.
    pub done: Done,
}

/// A push that was held and leaves now.
#[derive(Debug)]
pub struct Held {
    pub user: Rc<str>,
    pub push: Push,
    pub important: bool,
}

/// The part of an engine that survives a reload.
#[derive(Serialize, Deserialize)]
pub struct State {
    #[serde(flatten)]
    delivery: delivery::State,
    pushed: dedup::State,
    /// When pushes arrived last: user, identifier, time.
    successes: Vec<(Rc<str>, Rc<str>, Millis)>,
}

/// The state of one host.
pub struct Engine {
    host: String,
    protocol: Protocol,
    config: Config,
    extensions: Extensions,
    random: fn(&mut [u8]),
    users: LruCache<Rc<str>, Devices>,
    pushed: Pushed,
    calls: Calls,
    lanes: Lanes,
    delivery: Delivery,
    owed: Owed,
    outages: Outages,
    /// Users of whom something durable is not as it was written.
    unwritten: HashSet<Rc<str>>,
    journal: Journal,
    stats: Stats,
    /// When pushes arrived last at devices that have not been loaded since a reload.
    successes: HashMap<(Rc<str>, Rc<str>), Millis>,
    ids: Ids,
}

/// Registrations of one user that a Push 2.0 client may make; with XEP-0357 an option says so.
const CLIENTS: usize = 20;

impl Engine {
    /// `random` fills a slice with random bytes.
    pub fn new(host: String, protocol: Protocol, config: Config, random: fn(&mut [u8])) -> Self {
        let delivery = Delivery::new(protocol, config.max_errors);
        // Made without a size, and given one then: no memory is taken that is not used.
        let mut users = LruCache::unbounded();
        users.resize(NonZeroUsize::new(config.cached_users).unwrap_or(NonZeroUsize::MIN));
        let journal = Journal::new(config.explain);
        let (mut seed, queue_size) = ([0; 8], config.queue_size);
        random(&mut seed);
        Engine {
            host,
            protocol,
            config,
            extensions: Extensions::default(),
            random,
            users,
            pushed: Pushed::new(queue_size, u64::from_ne_bytes(seed)),
            calls: Calls::default(),
            lanes: Lanes::default(),
            delivery,
            owed: Owed::default(),
            outages: Outages::new(protocol),
            unwritten: HashSet::new(),
            journal,
            stats: Stats::default(),
            successes: HashMap::new(),
            ids: Ids::new(random),
        }
    }

    /// Where the pushes come from.
    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Registrations that a user may have; a new one ends the oldest.
    pub fn max_devices(&self) -> usize {
        match self.protocol {
            Protocol::Push => self.config.max_devices,
            Protocol::Push2 => CLIENTS,
        }
    }

    /// Of the registrations that the store has of a user as many are woken, the newest.
    pub fn max_woken(&self) -> usize {
        match self.protocol {
            Protocol::Push => self.config.max_devices,
            // Its reference has no limit, and nobody's registration is passed over for one.
            Protocol::Push2 => usize::MAX,
        }
    }

    /// Whether a session may go on to hibernate for long when its device has been told of something important.
    pub fn hibernates_past_push(&self) -> bool {
        self.protocol == Protocol::Push2 && self.config.hibernate_past_push
    }

    /// Those of Tigase's extensions that are on.
    pub fn extensions(&self) -> Extensions {
        self.extensions
    }

    /// Switches extensions on or off.
    pub fn extend(&mut self, extensions: Extensions) {
        self.extensions = extensions;
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Takes what the store has of `user`; called after every change of it, and when the account is disabled or enabled.
    pub fn load(&mut self, user: &str, registrations: Vec<Registration>, is_disabled: bool) {
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
        }
        let known = self.users.peek(&user).cloned().unwrap_or_default();
        let devices = devices.keeping(&known);
        for device in devices.iter().filter(|device| known.get(&device.identifier).is_none()) {
            let last = self.successes.remove(&(user.clone(), device.identifier.clone()));
            device.last_success.set(last.unwrap_or(0));
        }
        self.users.put(user, devices);
    }

    /// `identifier` was enabled, anew or again: its failures so far do not count, and its client is there.
    pub fn enabled(&mut self, now: Moment, user: &str, identifier: &str) {
        if self.delivery.failures.forget(user, identifier) {
            self.changed(&user.into());
        }
        self.on_resumed(user, identifier);
        if let Some(device) = self.users.peek(user).and_then(|devices| devices.get(identifier)) {
            device.made.set(now.mono);
        }
    }

    /// The account is no more, and nothing that is held for it leaves.
    pub fn forget(&mut self, user: &str) {
        self.users.pop(user);
        self.lanes.drop_user(user);
        self.owed.retain(user, |_| false);
        self.delivery.forget(user);
        self.changed(&user.into());
        self.successes.retain(|(of, _), _| **of != *user);
        self.journal.forget(user);
    }

    /// Whether the account is disabled, as far as memory tells.
    pub fn is_disabled(&self, user: &str) -> Option<bool> {
        self.users.peek(user).map(|devices| devices.is_disabled)
    }

    /// A registration is no more, since pushes to it failed: the app server refused them, or could not be reached.
    pub fn ended(&mut self, refused: bool) {
        self.stats.removed(refused);
    }

    /// The user's name, to be shared by all that is kept of the pushes, and registrations.
    fn devices(&mut self, user: &str) -> Result<(Rc<str>, Devices), NotLoaded> {
        let Some((user, devices)) = self.users.get_key_value(user) else {
            self.stats.looked_up(false);
            return Err(NotLoaded);
        };
        self.stats.looked_up(true);
        Ok((user.clone(), devices.clone()))
    }

    /// What is known of an event, and what it is worth to the user.
    fn occasion<'a>(
        &self,
        event: Event<'a>,
        cause: Cause,
        message: Option<&'a Message<'a>>,
        is_disabled: bool,
    ) -> Occasion<'a> {
        let word = message.map(|message| self.marked(event.user, message));
        let worth = match word {
            _ if is_disabled => Err(Reason::AccountDisabled),
            Some(word) => self.worth(word),
            None => Ok(Importance::Low),
        };
        Occasion { event, cause, message, word, worth, text: OnceCell::new() }
    }

    fn worth(&self, word: Word) -> Result<Importance, Reason> {
        match self.protocol {
            Protocol::Push => judge(word),
            Protocol::Push2 => matching::importance(word),
        }
    }

    /// The facts of a message, with what the user himself sent marked.
    fn marked(&self, user: &str, message: &Message) -> Word {
        message.word | if self.is_own(user, message) { SENT } else { 0 }
    }

    /// Whether the user sent the message, with another client. A carbon of one that was received is not.
    fn is_own(&self, user: &str, message: &Message) -> bool {
        message.word & RECEIVED == 0 && message.from.is_some_and(|from| is_account(from, user, &self.host))
    }

    /// Whether the device was woken for the call that the message is about, and does not know that it is over.
    fn rang(&self, user: &str, device: &Registration, message: &Message) -> bool {
        message.call.is_some_and(|call| self.calls.rings(user, &device.identifier, self.calls.key(&call)))
    }

    /// The device hears of the message now; false if it has heard of it before. A call, and its end, are known by its two ends
    /// and its id on every way, archive or not.
    fn first_time(&mut self, user: &str, device: &Registration, message: &Message, importance: Importance) -> bool {
        let identifier = &device.identifier;
        let call = message.call.map(|call| self.calls.key(&call));
        match (importance, call) {
            (Importance::Urgent, Some(call)) => self.calls.ring(user, identifier, call),
            (Importance::CallEnds, Some(call)) => {
                let rings = self.calls.rings(user, identifier, call);
                self.calls.end(user, identifier, call);
                rings
            }
            _ => message.name.is_none_or(|name| {
                let message = self.pushed.key(name);
                self.pushed.first_time(user, identifier, message)
            }),
        }
    }

    /// The device is told of the message by a push of that kind, which left a moment ago for another.
    fn note(&mut self, user: &str, device: &Registration, message: &Message, kind: Kind) {
        let Some(message) = message.name.map(|name| self.pushed.key(name)) else { return };
        if self.pushed.first_time(user, &device.identifier, message) {
            self.delivery.tells_also(user, &device.identifier, kind, message);
        }
    }
}
