//! One host's rules: what happened and when goes in, what has to be sent comes out.

use std::borrow::Cow;
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::rc::Rc;

use lru::LruCache;
use serde::{Deserialize, Serialize};

use crate::address::is_account;
use crate::coalesce::Lanes;
use crate::config::Config;
use crate::dedup::Pushed;
use crate::delivery::{self, Delivery, Gone, Millis};
use crate::facts::{BODY, CALL_ENDS, CHAT_STATE, ENCRYPTED, ERROR, Message, PROPOSE, RECEIVED, SENT, Word};
use crate::ids::{Id, Ids};
use crate::importance::{Importance, judge};
use crate::journal::{Cause, Journal};
use crate::protocol::Protocol;
use crate::push2::matching;
use crate::push2::notification::{Notice, Priority};
use crate::push2::registration::WebPush;
use crate::push2::retry::Retries;
use crate::reason::Reason;
use crate::registration::{Devices, Registration};
use crate::stats::Stats;
use crate::tigase::Extensions;
use crate::tigase::encrypt::{Aes128Gcm, Encrypted};

mod admin;
mod answers;
mod pushing;

/// The user's registrations are not in memory: [`Engine::load`] them and ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotLoaded;

/// Facts that every event has.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// Milliseconds since 1970.
    pub now: Millis,
    pub user: &'a str,
    /// Whether other modules see each push, and may put something into it: then none stands for another.
    pub seen: bool,
}

/// What came of an answer.
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
#[derive(Clone, Copy)]
struct Occasion<'a> {
    event: Event<'a>,
    cause: Cause,
    message: Option<&'a Message<'a>>,
    /// Its facts, with what the user himself sent marked.
    word: Option<Word>,
    importance: Importance,
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
    pub push: Push,
    pub important: bool,
}

/// The part of an engine that survives a reload.
#[derive(Serialize, Deserialize)]
pub struct State {
    #[serde(flatten)]
    delivery: delivery::State,
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
    lanes: Lanes,
    delivery: Delivery,
    retries: Retries,
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
        Engine {
            host,
            protocol,
            config,
            extensions: Extensions::default(),
            random,
            users,
            pushed: Pushed::default(),
            lanes: Lanes::default(),
            delivery,
            retries: Retries::default(),
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

    /// Takes what the store has of `user`; called after every change of it.
    pub fn load(&mut self, user: &str, registrations: Vec<Registration>) {
        let devices = Devices::new(registrations, self.max_woken());
        self.delivery.retain(user, |identifier| devices.get(identifier).is_some());
        let user: Rc<str> = user.into();
        let known = self.users.peek(&user).cloned().unwrap_or_default();
        let devices = devices.keeping(&known);
        for device in devices.iter().filter(|device| known.get(&device.identifier).is_none()) {
            let last = self.successes.remove(&(user.clone(), device.identifier.clone()));
            device.last_success.set(last.unwrap_or(0));
        }
        self.users.put(user, devices);
    }

    /// `identifier` was enabled, anew or again: its failures so far do not count.
    pub fn enabled(&mut self, now: Millis, user: &str, identifier: &str) {
        self.delivery.succeeded(user, identifier);
        self.retries.drop_for(user, identifier);
        if let Some(device) = self.users.peek(user).and_then(|devices| devices.get(identifier)) {
            device.made.set(now);
        }
    }

    /// The account is no more, and nothing that is held for it leaves.
    pub fn forget(&mut self, user: &str) {
        self.users.pop(user);
        self.lanes.drop_user(user);
        self.retries.drop_user(user);
        self.delivery.forget(user);
        self.successes.retain(|(of, _), _| **of != *user);
        self.journal.forget(user);
    }

    /// No session took the message: all the user's devices are woken.
    pub fn on_offline(&mut self, event: Event, message: &Message) -> Result<Pushes, NotLoaded> {
        let (user, devices) = self.devices(event.user)?;
        let occasion = self.occasion(event, Cause::Offline, Some(message));
        Ok(self.push(&occasion, user, devices.iter()))
    }

    /// A message to `to` was archived for the user, or a call is on its way to him. Of one that the user sent, to
    /// whomever, no device needs to hear.
    /// Devices with a session, connected or hibernating, hear of a message there; only a call goes to them at once,
    /// since their connection may be dead. Whoever ends the call: a device that rang for it hears so at once, unless it is
    /// `sender`, the one whose client says so.
    pub fn on_addressed(
        &mut self,
        event: Event,
        to: Option<&str>,
        message: &Message,
        held: impl Fn(&str) -> bool,
        sender: Option<&str>,
    ) -> Result<Pushes, NotLoaded> {
        let user = event.user;
        let is_incoming = to.is_some_and(|to| is_account(to, user, &self.host)) && !self.is_own(user, message);
        if !is_incoming && message.word & CALL_ENDS == 0 {
            return Ok(Pushes::default());
        }
        let (name, devices) = self.devices(user)?;
        let occasion = self.occasion(event, Cause::Addressed, Some(message));
        let is_urgent = occasion.importance == Importance::Urgent;
        let mut woken = Vec::new();
        for device in devices.iter() {
            let rang = self.rang(user, device, message);
            if rang && sender == Some(&*device.identifier) {
                self.note(user, device, message);
            } else if rang || is_incoming && (is_urgent || !held(&device.identifier)) {
                woken.push(device);
            } else {
                let reason = if is_incoming { Reason::HasSession } else { Reason::DidNotRing };
                self.not_sent(&occasion, &name, device, reason);
            }
        }
        Ok(self.push(&occasion, name, woken.into_iter()))
    }

    /// What to know a stanza by that is in no archive, and may be met again. Some senders give all their messages one id:
    /// the text tells these apart.
    pub fn name(&self, from: Option<&str>, id: &str, text: Option<&str>) -> String {
        self.pushed.name(&(from, id, text))
    }

    /// How long a stanza that waits for a client that does not answer may wait for others, so that one push does for
    /// all of them. In milliseconds.
    pub fn queue_delay(word: Word) -> Millis {
        if judge(word) == Importance::Urgent || word & CALL_ENDS != 0 { 0 } else { 1000 }
    }

    /// Whether a message that the user sends tells that he is there: `<grace>` counts from then.
    pub fn is_activity(word: Word) -> bool {
        word & (BODY | ENCRYPTED | CHAT_STATE) != 0 && word & ERROR == 0
    }

    /// A stanza waits in the stream-management queue of a session that holds the registration `identifier`. Of those
    /// that have waited together at most one important and one unimportant are pushed; `done` has what was pushed of
    /// them so far. A call goes to every device, its end to every device that rang.
    pub fn on_queued(
        &mut self,
        event: Event,
        identifier: &str,
        done: Done,
        message: &Message,
    ) -> Result<Queued, NotLoaded> {
        let (user, devices) = self.devices(event.user)?;
        let occasion = self.occasion(event, Cause::Queued, Some(message));
        let important = occasion.importance.is_important();
        let Some(own) = devices.get(identifier) else {
            return Ok(Queued { pushes: Pushes::default(), alerted: false, done });
        };
        let alerted = important && self.wish(&occasion, own).is_ok();
        let is_call = message.word & (PROPOSE | CALL_ENDS) != 0;
        if done.has(important) && !is_call {
            self.note(event.user, own, message);
            self.not_sent(&occasion, &user, own, Reason::WaitedTogether);
            return Ok(Queued { pushes: Pushes::default(), alerted, done });
        }
        let concerned = |device: &&Rc<Registration>| {
            device.identifier == own.identifier
                || occasion.importance == Importance::Urgent
                || self.rang(event.user, device, message)
        };
        let concerned: Vec<_> = devices.iter().filter(concerned).collect();
        let pushes = self.push(&occasion, user, concerned.into_iter());
        let is_told = !pushes.list.is_empty() || pushes.held;
        let done = if is_told { done.with(important) } else { done };
        Ok(Queued { pushes, alerted, done })
    }

    /// A session that holds the registration is there: a push that was held for it says nothing any more.
    pub fn on_resumed(&mut self, user: &str, identifier: &str) {
        self.lanes.drop_held(&user.into(), &identifier.into());
        self.retries.drop_for(user, identifier);
    }

    /// Another module wants the devices woken: all, or those it gives. `at_once`, whatever was pushed a moment ago.
    pub fn on_ping(
        &mut self,
        event: Event,
        given: Option<Vec<Registration>>,
        at_once: bool,
    ) -> Result<Pushes, NotLoaded> {
        let (user, devices) = match given {
            Some(given) => (event.user.into(), Devices::new(given, usize::MAX)),
            None => self.devices(event.user)?,
        };
        let cause = if at_once { Cause::Test } else { Cause::Ping };
        Ok(self.push(&self.occasion(event, cause, None), user, devices.iter()))
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

    /// What is known of an event, and what it is worth to the user; nobody has to be told of what he says himself.
    fn occasion<'a>(&self, event: Event<'a>, cause: Cause, message: Option<&'a Message<'a>>) -> Occasion<'a> {
        let word = message.map(|message| message.word | if self.is_own(event.user, message) { SENT } else { 0 });
        let importance = word.map_or(Importance::Low, |word| match self.protocol {
            Protocol::Push => judge(word),
            Protocol::Push2 => matching::importance(word),
        });
        Occasion { event, cause, message, word, importance }
    }

    /// Whether the user sent the message, with another client. A carbon of one that was received is not.
    fn is_own(&self, user: &str, message: &Message) -> bool {
        message.word & RECEIVED == 0 && message.from.is_some_and(|from| is_account(from, user, &self.host))
    }

    /// Whether the message ends a call for which the device was woken.
    fn rang(&self, user: &str, device: &Registration, message: &Message) -> bool {
        let Some(call) = message.call.filter(|_| message.word & CALL_ENDS != 0) else { return false };
        self.pushed.knows(user, &device.identifier, &rings(call))
    }

    /// The device knows of the message, and is not woken for it any more.
    fn note(&mut self, user: &str, device: &Registration, message: &Message) {
        if let Some(name) = name(message) {
            self.pushed.first_time(user, &device.identifier, &name);
        }
    }
}

/// What a message is known by. The start and the end of a call have the call's id on every way, archive or not.
fn name<'a>(message: &Message<'a>) -> Option<Cow<'a, str>> {
    match message.call {
        Some(call) if message.word & PROPOSE != 0 => Some(rings(call).into()),
        Some(call) if message.word & CALL_ENDS != 0 => Some(ends(call).into()),
        _ => message.name.map(Into::into),
    }
}

fn rings(call: &str) -> String {
    format!("call {call}")
}

fn ends(call: &str) -> String {
    format!("call {call} ends")
}
