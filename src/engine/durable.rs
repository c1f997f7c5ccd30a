//! The state that survives the server, however it ends: owed pushes, waiting pushes, and failures. The shim keeps it in a store
//! of its own.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use super::Engine;
use crate::delivery::InFlight;
use crate::delivery::failures::History;
use crate::delivery::owed::{Debt, Tries};
use crate::delivery::waiting::Wait;
use crate::memory::unread::Tells;
use crate::protocol::Protocol;
use crate::rules::importance::Kind;
use crate::time::{Millis, Moment, SECOND};

/// How long a change waits for others before it is written.
pub(super) const DELAY: Millis = SECOND;

/// The durable state of one device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The greatest kind of push that the device is owed. Calls are left out: they are over when the server is back.
    pub owed: Option<Kind>,
    /// When the first push leaves that waits because the user may read its messages elsewhere, by the wall clock.
    pub waits: Option<Millis>,
    pub failures: History,
}

/// The durable state of one user's devices, by identifier.
pub type Records = BTreeMap<Rc<str>, Record>;

impl<P: Protocol> Engine<P> {
    /// Marks the durable state of a user as changed.
    pub(super) fn changed(&mut self, user: &Rc<str>) {
        self.unwritten.insert(user.clone());
    }

    /// Looks for pushes that an app server that works would have answered by now: they are owed if this server stops. Finds
    /// none in a protocol without answers.
    pub(super) fn look_for_late(&mut self, now: Moment) {
        let late = self.delivery.late(now);
        self.unwritten.extend(late);
    }

    /// Returns the last changes before the server stops: late pushes are owed as well.
    pub fn last_unwritten(&mut self, now: Moment) -> Vec<(Rc<str>, Records)> {
        self.look_for_late(now);
        self.unwritten(usize::MAX)
    }

    /// Returns users whose state has changed, at most `limit`, with the state to write, which is empty if nothing is left to
    /// store.
    pub fn unwritten(&mut self, limit: usize) -> Vec<(Rc<str>, Records)> {
        let users: HashSet<_> = self.unwritten.iter().take(limit).cloned().collect();
        users.iter().for_each(|user| {
            self.unwritten.remove(user);
        });
        self.durable(users)
    }

    /// Returns the state of users, to write.
    pub fn durable(&self, users: HashSet<Rc<str>>) -> Vec<(Rc<str>, Records)> {
        if users.is_empty() {
            return Vec::new();
        }
        // If app servers answer, a push that is sent again is owed until the app server takes it. A push in flight to an app
        // server that is away is owed, too.
        let is_told_of = P::POLICY.answers;
        let mut tried: HashMap<&str, Vec<&InFlight<P>>> = HashMap::new();
        for push in self.delivery.in_flight().filter(|push| users.contains(&push.user)) {
            let is_retried = is_told_of && (push.tries.is_some() || push.is_late);
            if is_retried || self.outages.is_known_away(push.registration.jid()) {
                tried.entry(&push.user).or_default().push(push);
            }
        }
        let records = |user: &Rc<str>| {
            let mut records = Records::new();
            let owed = self.owed.of_user(user).map(|debt| (&debt.registration, debt.kind));
            let tried = tried.get(&**user).into_iter().flatten().map(|push| (&push.registration, push.kind));
            for (registration, kind) in owed.chain(tried).filter(|(_, kind)| *kind != Kind::Call) {
                let owed = &mut records.entry(registration.identifier.clone()).or_default().owed;
                *owed = (*owed).max(Some(kind));
            }
            for wait in self.waiting.of_user(user) {
                let waits = &mut records.entry(wait.registration.identifier.clone()).or_default().waits;
                *waits = Some(waits.map_or(wait.until.wall, |before| before.min(wait.until.wall)));
            }
            for (identifier, history) in self.delivery.failures.of_user(user).into_iter().flatten() {
                records.entry(identifier.clone()).or_default().failures = history.clone();
            }
            records
        };
        users.iter().map(|user| (user.clone(), records(user))).collect()
    }

    /// Takes the stored state of a user whose registrations are loaded. For each app server, one push at a time finds out
    /// whether it is there.
    pub fn recall(&mut self, now: Moment, user: &str, records: Records) {
        let Some((user, known)) = self.users.get_key_value(user) else { return };
        let (user, devices) = (user.clone(), known.devices.clone());
        let mut histories = BTreeMap::new();
        for (identifier, Record { owed, waits, failures }) in records {
            let Some(registration) = devices.get(&identifier) else {
                // The registration ended, and the server stopped before that was written.
                self.changed(&user);
                continue;
            };
            if failures != History::default() {
                histories.insert(registration.identifier.clone(), failures);
            }
            if let Some(kind) = owed
                && !devices.is_disabled
            {
                self.outages.is_unknown(now, registration.jid());
                let tries = Tries { failed: 0, since: now.mono, newest: now.mono };
                let (user, registration) = (user.clone(), registration.clone());
                let tells = Tells::default();
                self.owed.put(
                    now.mono,
                    Debt { user, registration, kind, payload: None, call: None, tells, tries },
                    true,
                );
            }
            if let Some(until) = waits
                && !devices.is_disabled
            {
                // The messages of the push are not stored. It waits no longer than `push_patience`, even if a clock was set.
                let rest = until.saturating_sub(now.wall).min(self.server.config.patience);
                let (user, registration) = (user.clone(), registration.clone());
                let (until, tells) = (now.after(rest), Tells::default());
                self.waiting.put(Wait { user, registration, until, messages: Vec::new(), tells, content: None });
            }
        }
        // Failures since the start are newer than the stored ones.
        if self.delivery.failures.of_user(&user).is_none() {
            self.delivery.failures.set(user, histories);
        }
    }
}
