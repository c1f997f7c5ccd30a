//! What the administrator can ask.

use std::collections::BTreeMap;

use super::Engine;
use crate::delivery::outages::AppServer;
use crate::memory::journal::Decision;
use crate::memory::stats::Count;
use crate::protocol::Protocol;
use crate::time::Millis;

impl<P: Protocol> Engine<P> {
    /// The last decisions for a user, the newest first.
    pub fn decisions(&self, user: &str) -> impl Iterator<Item = &Decision> {
        self.journal.decisions(user)
    }

    /// What is known of a device: when a push arrived last, refusals in a row, and since when pushes to it have failed on their way.
    pub fn health(&self, user: &str, identifier: &str) -> (Option<Millis>, u32, Option<Millis>) {
        let history = self.delivery.failures.of(user, identifier);
        let (refusals, failing_since) = history.map_or((0, None), |history| (history.refusals, history.since));
        let device = self.users.peek(user).and_then(|devices| devices.get(identifier));
        let last = match device {
            Some(device) => Some(device.last_success.get()).filter(|at| *at > 0),
            None => self.successes.get(&(user.into(), identifier.into())).copied(),
        };
        (last, refusals, failing_since)
    }

    /// Everything that is counted.
    pub fn counts(&self) -> Vec<Count> {
        self.stats.counts()
    }

    /// App servers that have failed since they answered last, or where something is owed: JID, what is known of it, and how many pushes
    /// are owed there.
    pub fn app_servers(&self) -> Vec<(String, AppServer, usize)> {
        let mut servers: BTreeMap<String, (AppServer, usize)> = BTreeMap::new();
        for (jid, server) in self.outages.failing() {
            servers.insert(jid.to_owned(), (server.clone(), 0));
        }
        for debt in self.owed.iter() {
            servers.entry(debt.registration.jid().to_owned()).or_default().1 += 1;
        }
        servers.into_iter().map(|(jid, (server, owed))| (jid, server, owed)).collect()
    }

    /// The times to answer since the last call.
    pub fn take_times(&mut self) -> Vec<Millis> {
        self.stats.take_times()
    }

    /// Pushes that are not answered, and registrations and users in memory.
    pub fn sizes(&self) -> (usize, usize, usize) {
        let registrations = self.users.iter().map(|(_, devices)| devices.iter().len()).sum();
        (self.delivery.in_flight().len(), registrations, self.users.len())
    }
}
