//! One host's rules: what happened and when goes in, what has to be sent comes out.

use std::borrow::Cow;
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::rc::Rc;

use lru::LruCache;
use tracing::debug;

use crate::coalesce::{Lane, Lanes, Released};
use crate::config::Config;
use crate::dedup::Pushed;
use crate::delivery::{Delivery, Failure, Flight, Gone, Millis, State};
use crate::facts::{
    ARCHIVED, BODY, CALL_ENDS, CHAT_STATE, CONTACT, ENCRYPTED, ERROR, Message, NOTIFICATION, PROPOSE, RECEIVED,
    RETRACT, SENT, STRANGER, Word,
};
use crate::ids::{Id, Ids};
use crate::importance::{Importance, judge};
use crate::journal::{Answer, Cause, Decision, Journal, Outcome};
use crate::protocol::Protocol;
use crate::push2::envelope::envelope;
use crate::push2::matching::{self, Case, matched};
use crate::push2::notification::{Notice, Priority};
use crate::push2::registration::WebPush;
use crate::push2::retry::{Parcel, Retries, Waiting};
use crate::push2::webpush;
use crate::reason::Reason;
use crate::registration::{Devices, Registration, Seconds, is_account};
use crate::stanza_error::StanzaError;
use crate::stats::{Count, Stats};
use crate::summary::Summary;
use crate::tigase::Extensions;
use crate::tigase::encrypt::{Encrypted, Encryption};

/// The user's registrations are not in memory: [`Engine::load`] them and ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotLoaded;

/// Facts that every event has.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
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
    Encrypted(&'d Encryption),
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

/// Which kinds of stanzas of those that waited together have been pushed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    pub important: bool,
    pub unimportant: bool,
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
        // Push 2.0's reference has no limit, and nobody's registration is passed over for one.
        let limit = if self.protocol == Protocol::Push { self.config.max_devices } else { usize::MAX };
        let devices = Devices::new(registrations, limit);
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
        Ok(self.push(event, Cause::Offline, user, Some(message), devices.iter()))
    }

    /// A message to `to` was archived for the user, or a call is on its way to him. Of one that the user sent, to
    /// whomever, no device needs to hear.
    /// Devices with a session, connected or hibernating, hear of a message there; only a call goes to them at once,
    /// since their connection may be dead. Whoever ends the call: a device that rang for it hears so at once.
    pub fn on_addressed(
        &mut self,
        event: Event,
        to: Option<&str>,
        message: &Message,
        held: impl Fn(&str) -> bool,
    ) -> Result<Pushes, NotLoaded> {
        let user = event.user;
        let is_incoming = to.is_some_and(|to| is_account(to, user, &self.host)) && !self.is_own(user, message);
        if !is_incoming && message.word & CALL_ENDS == 0 {
            return Ok(Pushes::default());
        }
        let (word, importance) = self.judge(user, message);
        let urgent = importance == Importance::Urgent;
        let (name, devices) = self.devices(user)?;
        let occasion =
            Occasion { event, cause: Cause::Addressed, message: Some(message), word: Some(word), importance };
        let mut woken = Vec::new();
        for device in devices.iter() {
            if is_incoming && (urgent || !held(&device.identifier)) || self.rang(user, device, message) {
                woken.push(device);
            } else {
                self.not_sent(&occasion, &name, device, Reason::SessionAlive);
            }
        }
        Ok(self.push(event, Cause::Addressed, name, Some(message), woken.into_iter()))
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
        let (word, importance) = self.judge(event.user, message);
        let important = importance.is_important();
        let none = Queued { pushes: Pushes::default(), alerted: important, done };
        let Some(own) = devices.get(identifier) else { return Ok(Queued { alerted: false, ..none }) };
        let occasion = Occasion { event, cause: Cause::Queued, message: Some(message), word: Some(word), importance };
        let none = Queued { alerted: important && self.wish(&occasion, own).is_ok(), ..none };
        let is_call = message.word & (PROPOSE | CALL_ENDS) != 0;
        if !is_call && if important { done.important } else { done.unimportant } {
            if let Some(name) = message.name {
                self.pushed.first_time(event.user, identifier, name);
            }
            let own = own.clone();
            self.not_sent(&occasion, &user, &own, Reason::WaitedTogether);
            return Ok(none);
        }
        let concerned: Vec<_> = devices
            .iter()
            .filter(|device| {
                device.identifier == own.identifier
                    || importance == Importance::Urgent
                    || self.rang(event.user, device, message)
            })
            .collect();
        let pushes = self.push(event, Cause::Queued, user, Some(message), concerned.into_iter());
        let told = !pushes.list.is_empty() || pushes.held;
        let done = Done {
            important: done.important || (important && told),
            unimportant: done.unimportant || (!important && told),
        };
        Ok(Queued { pushes, done, ..none })
    }

    /// The session that holds the registration is back: a push that was held for it says nothing any more.
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
        Ok(self.push(event, cause, user, None, devices.iter()))
    }

    /// A handler of another module kept the push back.
    pub fn withdraw(&mut self, id: &str) {
        if let Some(id) = Id::parse(id)
            && let Some(flight) = self.delivery.withdrawn(id)
        {
            self.stats.suppressed(Reason::Blocked);
            self.journal.withdrawn(&flight.user, id);
        }
    }

    /// An IQ of type result or error came to the host.
    pub fn on_answer(&mut self, now: Millis, id: &str, from: Option<&str>, error: Option<StanzaError>) -> Verdict {
        let id = Id::parse(id);
        let flight = id.zip(from).and_then(|(id, from)| self.delivery.land(id, from));
        match id.zip(flight) {
            None => Verdict::Stranger,
            Some((id, flight)) => match self.landed(now, id, flight, error, false) {
                Failure::Borne => Verdict::Stays,
                Failure::Ends { gone, .. } => Verdict::Goes(gone),
                Failure::Again(failed) => {
                    self.put_off(now, failed);
                    Verdict::Stays
                }
            },
        }
    }

    /// Time has passed: the registrations that have to go because no answer came.
    pub fn on_timer(&mut self, now: Millis) -> Vec<Gone> {
        let (overdue, silence) = (self.delivery.overdue(now), self.delivery.silence());
        let landed = overdue.into_iter().map(|(id, flight)| self.landed(now, id, flight, silence, true));
        landed.filter_map(|failure| if let Failure::Ends { gone, .. } = failure { Some(gone) } else { None }).collect()
    }

    /// The pushes that were held and may leave now.
    pub fn release(&mut self, now: Millis) -> Vec<Held> {
        self.release_due(now, now)
    }

    /// All pushes that are held.
    pub fn release_all(&mut self, now: Millis) -> Vec<Held> {
        self.release_due(now, Millis::MAX)
    }

    fn release_due(&mut self, now: Millis, until: Millis) -> Vec<Held> {
        let released = self.lanes.release(now, until);
        let standing =
            released.into_iter().filter(|released| stands(&self.users, &released.lane.user, &released.lane.identifier));
        let standing: Vec<Released> = standing.collect();
        let mut leaving = Vec::new();
        for Released { lane, registration } in standing {
            let Lane { user, important, .. } = lane.clone();
            debug!("A push for {user} to {} was held and leaves now", lane.identifier);
            let content = match self.protocol {
                Protocol::Push => Content::Summary,
                Protocol::Push2 => {
                    let importance = if important { Importance::Important } else { Importance::Low };
                    Content::Notice(Notice::empty(Priority::new(importance, false)).into())
                }
            };
            let device = registration.identifier.clone();
            let push = self.send(now, user.clone(), &registration, Some(lane), content);
            self.stats.sent(if important { Importance::Important } else { Importance::Low });
            let outcome = Outcome::Sent(push.id, None);
            self.journal.add(&user, Decision { at: now, cause: Cause::Released, word: None, device, outcome });
            leaving.push(Held { push, important });
        }
        for Waiting { user, registration, parcel } in self.retries.due(until) {
            if !stands(&self.users, &user, &registration.identifier) {
                continue;
            }
            debug!("A push for {user} to {} failed and is sent again", registration.identifier);
            let (notice, attempts) = (parcel.notice, parcel.attempts);
            let important = notice.priority != Priority::Low;
            let device = registration.identifier.clone();
            let push = self.post(now, user.clone(), &registration, None, notice, attempts);
            self.stats.sent_again += 1;
            let outcome = Outcome::Sent(push.id, None);
            self.journal.add(&user, Decision { at: now, cause: Cause::Again, word: None, device, outcome });
            leaving.push(Held { push, important });
        }
        leaving
    }

    fn put_off(&mut self, now: Millis, failed: Waiting) {
        let (user, device) = (failed.user.clone(), failed.registration.identifier.clone());
        match self.retries.put(now, failed) {
            Some(delay) => debug!("The push for {user} to {device} is sent again in {} seconds", delay / 1000),
            None => debug!("The push for {user} to {device} is not sent again: it was tried often, or too many wait"),
        }
    }

    /// Milliseconds until [`on_timer`](Engine::on_timer) or [`release`](Engine::release) have something to do; none
    /// while nothing is in flight or held.
    pub fn timer(&mut self, now: Millis) -> Option<Millis> {
        let next = [self.delivery.next_due(), self.lanes.next_due(), self.retries.next_due()];
        next.into_iter().flatten().min().map(|next| next.saturating_sub(now))
    }

    /// Milliseconds until a push that is held, or put off, may leave; none while none is. Sooner than [`timer`](Engine::timer) said
    /// before, where an event has held or freed one.
    pub fn next_release(&self, now: Millis) -> Option<Millis> {
        let next = [self.lanes.next_due(), self.retries.next_due()];
        next.into_iter().flatten().min().map(|next| next.saturating_sub(now))
    }

    /// What has to survive a reload.
    pub fn save(&self) -> State {
        let mut state = self.delivery.save();
        let devices = self.users.iter().flat_map(|(user, devices)| devices.iter().map(move |device| (user, device)));
        let successes =
            devices.map(|(user, device)| (user.clone(), device.identifier.clone(), device.last_success.get()));
        state.successes = successes.filter(|(_, _, at)| *at > 0).collect();
        state
    }

    pub fn restore(&mut self, mut state: State) {
        let successes = std::mem::take(&mut state.successes).into_iter();
        self.successes = successes.map(|(user, device, at)| ((user, device), at)).collect();
        self.delivery.restore(state);
    }

    /// The last decisions for a user, the newest first.
    pub fn decisions(&self, user: &str) -> impl Iterator<Item = &Decision> {
        self.journal.decisions(user)
    }

    /// What is known of a device: when a push arrived last, refusals in a row, and since when its road has failed.
    pub fn health(&self, user: &str, identifier: &str) -> (Option<Millis>, u32, Option<Millis>) {
        let (refusals, road_fails_since) = self.delivery.failures(user, identifier);
        let device = self.users.peek(user).and_then(|devices| devices.get(identifier));
        let last = match device {
            Some(device) => Some(device.last_success.get()).filter(|at| *at > 0),
            None => self.successes.get(&(user.into(), identifier.into())).copied(),
        };
        (last, refusals, road_fails_since)
    }

    /// Everything that is counted.
    pub fn counts(&self) -> Vec<Count> {
        self.stats.counts()
    }

    /// The times to answer since the last call.
    pub fn take_times(&mut self) -> Vec<Millis> {
        self.stats.take_times()
    }

    /// Pushes that are not answered, and registrations and users in memory.
    pub fn sizes(&self) -> (usize, usize, usize) {
        let registrations = self.users.iter().map(|(_, devices)| devices.iter().len()).sum();
        (self.delivery.in_flight(), registrations, self.users.len())
    }

    /// The user's name, to be shared by all that is kept of the pushes, and registrations.
    fn devices(&mut self, user: &str) -> Result<(Rc<str>, Devices), NotLoaded> {
        let Some((user, devices)) = self.users.get_key_value(user) else {
            self.stats.cache_misses += 1;
            return Err(NotLoaded);
        };
        self.stats.cache_hits += 1;
        Ok((user.clone(), devices.clone()))
    }

    /// What is known of a message, and what it is worth to the user; nobody has to be told of what he says himself.
    fn judge(&self, user: &str, message: &Message) -> (Word, Importance) {
        let word = if self.is_own(user, message) { message.word | SENT } else { message.word };
        let importance = match self.protocol {
            Protocol::Push => judge(word),
            Protocol::Push2 => matching::importance(word),
        };
        (word, importance)
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

    fn push<'d>(
        &mut self,
        event: Event,
        cause: Cause,
        user: Rc<str>,
        message: Option<&Message>,
        devices: impl Iterator<Item = &'d Rc<Registration>>,
    ) -> Pushes {
        let Event { now, seen, .. } = event;
        let judged = message.map(|message| self.judge(&user, message));
        let (word, importance) =
            (judged.map(|(word, _)| word), judged.map_or(Importance::Low, |(_, importance)| importance));
        let occasion = Occasion { event, cause, message, word, importance };
        let important = importance.is_important();
        let is_call = message.is_some_and(|message| message.word & (PROPOSE | CALL_ENDS) != 0);
        let may_wait = self.config.coalesce && !seen && !is_call && cause != Cause::Test;
        let name = message.and_then(name);
        // The same for each device that wants it.
        let mut whole = None;
        let (mut list, mut held) = (Vec::new(), false);
        for registration in devices {
            let device = &registration.identifier;
            let wish = match self.wish(&occasion, registration) {
                Ok(wish) => wish,
                Err(reason) => {
                    self.not_sent(&occasion, &user, registration, reason);
                    continue;
                }
            };
            if let Some(name) = &name
                && !self.pushed.first_time(&user, device, name)
            {
                self.not_sent(&occasion, &user, registration, Reason::PushedBefore);
                continue;
            }
            let is_plain = match wish {
                Wish::Summary => !Summary::has_content(&self.config, message),
                Wish::Encrypted(_) => false,
                Wish::Notice(_, keys) => keys.is_none(),
            };
            let lane =
                (may_wait && is_plain).then(|| Lane { user: user.clone(), identifier: device.clone(), important });
            if let Some(lane) = &lane
                && !self.lanes.admit(now, lane, registration)
            {
                debug!("A push for {user} to {device} is held: the last one says it already");
                self.stats.held += 1;
                self.decided(&occasion, &user, device, Outcome::Held);
                held = true;
                continue;
            }
            let content = match wish {
                Wish::Summary => Content::Summary,
                Wish::Encrypted(encryption) => encryption
                    .apply(message, &self.config.encrypted_body, self.random)
                    .map_or(Content::Summary, Content::Encrypted),
                Wish::Notice(priority, keys) => {
                    let sealed = keys.map(|keys| (keys, whole.get_or_insert_with(|| self.whole(&user, message))));
                    Content::Notice(self.notice(now, priority, sealed).into())
                }
            };
            let push = self.send(now, user.clone(), registration, lane, content);
            self.stats.sent(importance);
            self.decided(&occasion, &user, device, Outcome::Sent(push.id, None));
            list.push(push);
        }
        Pushes { important, list, held }
    }

    fn not_sent(&mut self, occasion: &Occasion, user: &Rc<str>, registration: &Registration, reason: Reason) {
        debug!("No push for {user} to {}: {}", registration.identifier, reason.text());
        self.stats.suppressed(reason);
        self.decided(occasion, user, &registration.identifier, Outcome::NotSent(reason));
    }

    fn decided(&mut self, occasion: &Occasion, user: &Rc<str>, device: &Rc<str>, outcome: Outcome) {
        let Occasion { event, cause, word, .. } = *occasion;
        self.journal.add(user, Decision { at: event.now, cause, word, device: device.clone(), outcome });
    }

    /// What a device wants to get, or why it gets nothing.
    fn wish<'d>(&self, occasion: &Occasion, registration: &'d Registration) -> Result<Wish<'d>, Reason> {
        let Occasion { event, message, importance, .. } = *occasion;
        if let Some(settings) = &registration.push2 {
            let Some(message) = message else { return Ok(Wish::Notice(Priority::Low, None)) };
            if message.word & NOTIFICATION != 0 {
                return Err(Reason::IsPush);
            }
            let rings = importance == Importance::Urgent || self.rang(event.user, registration, message);
            let identifier = &registration.identifier;
            let case =
                Case { now: event.now, user: event.user, host: &self.host, identifier, message, importance, rings };
            let priority = Priority::new(importance, rings || message.word & RETRACT != 0);
            return matched(settings, &case).map(|keys| Wish::Notice(priority, keys));
        }
        if importance == Importance::None {
            let is_push = message.is_some_and(|message| message.word & NOTIFICATION != 0);
            return Err(if is_push { Reason::IsPush } else { Reason::NobodyKeepsIt });
        }
        if let Some(objection) = message.and_then(|message| self.objection(event.user, registration, message)) {
            return Err(objection);
        }
        match self.encryption(registration) {
            Some(Encryption::Unusable) => Err(Reason::UnusableKeys),
            Some(encryption) => Ok(Wish::Encrypted(encryption)),
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

    fn notice(&self, now: Millis, priority: Priority, sealed: Option<(&WebPush, &mut Option<String>)>) -> Notice {
        let Some((keys, whole)) = sealed else { return Notice::empty(priority) };
        let contact = || self.config.contact_uri.clone().unwrap_or_else(|| format!("xmpp:{}", self.host));
        let token = keys.identity.as_ref().and_then(|identity| identity.token((now / 1000) as Seconds, &contact()));
        let payload =
            whole.as_ref().map(|whole| webpush::seal(whole.as_bytes(), &keys.client, &keys.auth, self.random));
        Notice { priority, payload, token }
    }

    /// How the registration wants its pushes encrypted.
    fn encryption<'d>(&self, registration: &'d Registration) -> Option<&'d Encryption> {
        registration.tigase.as_ref().filter(|_| self.extensions.encrypted)?.encryption.as_ref()
    }

    /// Why a device does not want to hear of a message.
    fn objection(&self, user: &str, registration: &Registration, message: &Message) -> Option<Reason> {
        let settings = registration.tigase.as_ref().filter(|_| self.extensions.filters)?;
        settings.filter.objection(user, &self.host, message)
    }

    /// Whether somebody asks if the sender of a message is in the user's roster, and that is not known yet.
    pub fn asks_for_roster(&self, user: &str, word: Word) -> bool {
        let asks =
            |device: &Rc<Registration>| device.tigase.as_ref().is_some_and(|settings| settings.filter.ignore_unknown);
        self.extensions.filters
            && word & (CONTACT | STRANGER) == 0
            && self.users.peek(user).is_some_and(|devices| devices.iter().any(asks))
    }

    fn send(
        &mut self,
        now: Millis,
        user: Rc<str>,
        registration: &Rc<Registration>,
        lane: Option<Lane>,
        content: Content,
    ) -> Push {
        match content {
            Content::Notice(notice) => self.post(now, user, registration, lane, notice, 0),
            content => Push { content, ..self.launch(now, user, registration, lane) },
        }
    }

    /// Sends what may be sent again.
    fn post(
        &mut self,
        now: Millis,
        user: Rc<str>,
        registration: &Rc<Registration>,
        lane: Option<Lane>,
        notice: Rc<Notice>,
        attempts: u32,
    ) -> Push {
        let launched = self.launch(now, user, registration, lane.clone());
        self.delivery.keep(launched.id, Parcel { notice: notice.clone(), attempts });
        // Nobody answers it: the next one need not wait for that.
        if let Some(lane) = lane {
            self.lanes.landed(now, &lane, launched.id);
        }
        Push { content: Content::Notice(notice), ..launched }
    }

    fn launch(&mut self, now: Millis, user: Rc<str>, registration: &Rc<Registration>, lane: Option<Lane>) -> Push {
        let id = self.ids.make();
        debug!("Push {} for {user} to {}", id.as_str(), registration.identifier);
        self.delivery.sent(now, id, user, registration, lane.as_ref().map(|lane| lane.important));
        if let Some(lane) = lane {
            self.lanes.sent(now, lane, id);
        }
        Push { id, registration: registration.clone(), content: Content::Summary }
    }

    fn landed(&mut self, now: Millis, id: Id, flight: Flight, error: Option<StanzaError>, is_silence: bool) -> Failure {
        if let Some(important) = flight.plain {
            let lane =
                Lane { user: flight.user.clone(), identifier: flight.registration.identifier.clone(), important };
            self.lanes.landed(now, &lane, id);
        }
        let Flight { user, registration, sent, .. } = &flight;
        let after = now.saturating_sub(*sent);
        let answer = match error {
            Some(error) => Answer::Error(after, error.known_condition()),
            None if is_silence => Answer::Silence,
            None => Answer::Taken(after),
        };
        self.journal.answered(user, id, answer);
        self.stats.answered(answer);
        let mut made = 0;
        match self.users.peek(user).map(|devices| devices.get(&registration.identifier)) {
            Some(None) => {
                debug!("A push for {user} is answered whose registration {} is no more", registration.identifier);
                return Failure::Borne;
            }
            Some(Some(device)) => {
                made = device.made.get();
                if error.is_none() {
                    device.last_success.set(now);
                }
            }
            None => {}
        }
        if made > *sent && error.is_some() {
            debug!("A push for {user} failed whose registration was made anew since: not counted");
            return Failure::Borne;
        }
        let failure = self.delivery.settle(now, flight, error);
        if let Failure::Ends { refused, .. } = failure {
            *(if refused { &mut self.stats.removed_refused } else { &mut self.stats.removed_unreachable }) += 1;
        }
        failure
    }
}

/// What a message is known by. The start and the end of a call have the call's id on every way, archive or not.
fn name<'a>(message: &Message<'a>) -> Option<Cow<'a, str>> {
    match message.call {
        Some(call) if message.word & PROPOSE != 0 => Some(rings(call).into()),
        Some(call) if message.word & CALL_ENDS != 0 => Some(format!("call {call} ends").into()),
        _ => message.name.map(Into::into),
    }
}

fn rings(call: &str) -> String {
    format!("call {call}")
}

/// Whether a registration is there, as far as memory tells.
fn stands(users: &LruCache<Rc<str>, Devices>, user: &str, identifier: &str) -> bool {
    users.peek(user).is_none_or(|devices| devices.get(identifier).is_some())
}
