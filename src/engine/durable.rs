//! What survives the server, whatever ends it: what devices are owed, and failures so far. The shim keeps it in a store of ours.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use super::Engine;
use crate::delivery::InFlight;
use crate::delivery::failures::History;
use crate::delivery::owed::{Debt, Tries};
use crate::protocol::Protocol;
use crate::rules::importance::Kind;
use crate::time::{Millis, Moment, SECOND};

/// How long a change waits to be written, and others with it.
pub(super) const DELAY: Millis = SECOND;

/// Of one device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// What kind of push it is owed, the greatest of them. A call is over when the server is back.
    pub owed: Option<Kind>,
    pub failures: History,
}

/// Of one user's devices, by identifier.
pub type Records = BTreeMap<Rc<str>, Record>;

impl<P: Protocol> Engine<P> {
    /// Something of a user's is not as it was written.
    pub(super) fn changed(&mut self, user: &Rc<str>) {
        self.unwritten.insert(user.clone());
    }

    /// Pushes that an app server at work would have answered by now are owed, whatever ends the server. A push service of Push 2.0
    /// never answers.
    pub(super) fn look_for_late(&mut self, now: Moment) {
        if P::POLICY.answers {
            let late = self.delivery.late(now);
            self.unwritten.extend(late);
        }
    }

    /// The server stops: what is late by now is owed as well.
    pub fn last_unwritten(&mut self, now: Moment) -> Vec<(Rc<str>, Records)> {
        self.look_for_late(now);
        self.unwritten()
    }

    /// Users whose records are not as they were written, with what is to be written; nothing of a user means that nothing is left
    /// to know of him.
    pub fn unwritten(&mut self) -> Vec<(Rc<str>, Records)> {
        let users = std::mem::take(&mut self.unwritten);
        // What is tried once more is owed until it is taken, where that is told, and so is what is on its way to an app server that
        // is away.
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
            for (identifier, history) in self.delivery.failures.of_user(user).into_iter().flatten() {
                records.entry(identifier.clone()).or_default().failures = history.clone();
            }
            records
        };
        users.iter().map(|user| (user.clone(), records(user))).collect()
    }

    /// Takes what was written of a user, whose registrations are loaded. Nobody knows yet whether an app server is there: one
    /// device finds out.
    pub fn recall(&mut self, now: Moment, user: &str, records: Records) {
        let Ok((user, devices)) = self.devices(user) else { return };
        let mut histories = BTreeMap::new();
        for (identifier, Record { owed, failures }) in records {
            let Some(registration) = devices.get(&identifier) else {
                // It ended, and the server before that was written.
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
                self.owed.put(now.mono, Debt { user, registration, kind, payload: None, call: None, tries }, true);
            }
        }
        self.delivery.failures.set(user, histories);
    }
}
