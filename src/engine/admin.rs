//! Answers to the administrator's questions.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::Engine;
use crate::delivery::outages::AppServer;
use crate::memory::endings::Ending;
use crate::memory::history::History;
use crate::memory::journal::Decision;
use crate::memory::stats::Count;
use crate::protocol::Protocol;
use crate::time::{Millis, Moment};

impl<P: Protocol> Engine<P> {
    /// Returns the last decisions for a user, the newest first.
    pub fn decisions(&self, user: &str) -> impl Iterator<Item = &Decision> {
        self.journal.decisions(user)
    }

    /// Returns the last decisions for all users, the newest first.
    pub fn latest_decisions(&self, most: usize) -> Vec<(&Rc<str>, &Decision)> {
        self.journal.latest(most)
    }

    /// Returns the counts of each minute of the last day.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Notes that a registration ended.
    pub fn removed(&mut self, now: Moment, user: &str, identifier: &str, why: &str) {
        self.endings.add(now.wall, user, identifier, why);
    }

    /// Returns the last registrations that ended, the newest first.
    pub fn endings(&self) -> impl Iterator<Item = &Ending> {
        self.endings.iter()
    }

    /// Returns the state of a device: when a push was taken last, refusals in a row, and since when transport to it has failed.
    pub fn health(&self, user: &str, identifier: &str) -> (Option<Millis>, u32, Option<Millis>) {
        let history = self.delivery.failures.of(user, identifier);
        let (refusals, failing_since) = history.map_or((0, None), |history| (history.refusals, history.since));
        let device = self.device(user, identifier);
        let last = match device {
            Some(device) => Some(device.last_success.get()).filter(|at| *at > 0),
            None => self.successes.get(&(user.into(), identifier.into())).copied(),
        };
        (last, refusals, failing_since)
    }

    /// Returns all counts since the start of the engine.
    pub fn counts(&self) -> Vec<Count> {
        self.stats.counts()
    }

    /// Returns the app servers that have failed since their last answer or to whose devices pushes are owed; with `all`, also
    /// the others that were pushed to lately. Each has its JID, its state, and the number of owed pushes.
    pub fn app_servers(&self, all: bool) -> Vec<(String, AppServer, usize)> {
        let mut servers: BTreeMap<&str, (AppServer, usize)> = BTreeMap::new();
        for (jid, server) in self.outages.iter().filter(|(_, server)| all || server.is_failing()) {
            servers.insert(jid, (server.clone(), 0));
        }
        for (jid, owed) in self.owed.app_servers() {
            servers.entry(jid).or_default().1 = owed;
        }
        servers.into_iter().map(|(jid, (server, owed))| (jid.to_owned(), server, owed)).collect()
    }

    /// Returns the answer times since the last call.
    pub fn take_times(&mut self) -> Vec<Millis> {
        self.stats.take_times()
    }

    /// Returns the numbers of pushes in flight, and of registrations and users in memory.
    pub fn sizes(&self) -> (usize, usize, usize) {
        let registrations = self.users.iter().map(|(_, user)| user.devices.iter().len()).sum();
        (self.delivery.in_flight().len(), registrations, self.users.len())
    }
}
