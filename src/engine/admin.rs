//! What the administrator can ask.

use super::Engine;
use crate::delivery::Millis;
use crate::journal::Decision;
use crate::stats::Count;

impl Engine {
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
}
