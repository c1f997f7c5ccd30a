//! A message is pushed once to each device, however many events report it.
//!
//! A message is identified by its id in the addressee's archive, which is in the archive's event and in the `stanza-id` of
//! every later copy. Without an archive, the shim makes a key for a stanza in a session's queue. Calls are identified by more:
//! see [`calls`](crate::memory::calls).

use std::hash::Hash;
use std::num::NonZeroUsize;

use lru::LruCache;
use serde::{Deserialize, Serialize};

use crate::memory::seeded;

/// Devices remembered; the one pushed least recently is forgotten first.
const DEVICES: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// The messages that were pushed lately, in bounded memory: hashes only.
pub struct Pushed {
    devices: LruCache<u64, Recent>,
    /// Messages remembered for one device: as many as stream management keeps for a session and hands back when it ends.
    messages: usize,
    /// Part of each hash, so that nobody can choose a message with the hash of another.
    seed: u64,
}

/// The newest messages of one device, in a ring.
#[derive(Default, Serialize, Deserialize)]
struct Recent {
    messages: Vec<u64>,
    next: usize,
}

/// The part that survives a reload.
#[derive(Default, Serialize, Deserialize)]
pub struct State {
    seed: u64,
    devices: Vec<(u64, Recent)>,
}

impl Pushed {
    /// `messages` is the number remembered for a device; `seed` is random.
    pub fn new(messages: usize, seed: u64) -> Self {
        Pushed { devices: LruCache::new(DEVICES), messages: messages.max(1), seed }
    }

    /// Makes a deduplication key from facts of a message, which cannot be found out from the key.
    pub fn make_key(&self, message: &impl Hash) -> String {
        format!("{:016x}", self.hash(message))
    }

    /// Returns the hash of a deduplication key.
    pub fn key(&self, message: &str) -> u64 {
        self.hash(&message)
    }

    /// Notes that a message goes to a device of `user`. Returns false if it went there before.
    pub fn first_time(&mut self, user: &str, identifier: &str, message: u64) -> bool {
        let device = self.hash(&(user, identifier));
        let messages = self.messages;
        self.devices.get_or_insert_mut(device, Recent::default).insert(message, messages)
    }

    /// Forgets messages whose push did not arrive.
    pub fn forget(&mut self, user: &str, identifier: &str, messages: &[u64]) {
        let device = self.hash(&(user, identifier));
        if let Some(recent) = self.devices.peek_mut(&device) {
            for known in recent.messages.iter_mut().filter(|known| messages.contains(known)) {
                *known = GONE;
            }
        }
    }

    /// Returns the state that survives a reload.
    pub fn save(&mut self) -> State {
        let mut devices = Vec::new();
        while let Some(device) = self.devices.pop_lru() {
            devices.push(device);
        }
        State { seed: self.seed, devices }
    }

    /// Restores the state that [`save`](Pushed::save) returned.
    pub fn restore(&mut self, state: State) {
        self.seed = state.seed;
        for (device, recent) in state.devices {
            self.devices.put(device, recent);
        }
    }

    fn hash(&self, what: &impl Hash) -> u64 {
        seeded::hash(self.seed, what).max(GONE + 1)
    }
}

/// Marks a place of a ring whose message was forgotten.
const GONE: u64 = 0;

impl Recent {
    fn insert(&mut self, message: u64, most: usize) -> bool {
        if self.messages.contains(&message) {
            return false;
        }
        if self.messages.len() < most {
            self.messages.push(message);
        } else {
            // After a reload there may be room for fewer.
            self.next %= self.messages.len();
            self.messages[self.next] = message;
            self.next += 1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGES: usize = 512;

    #[test]
    fn a_message_is_new_to_each_device_once() {
        let mut pushed = Pushed::new(MESSAGES, 1);
        let message = pushed.key("m");
        assert!(pushed.first_time("romeo", "a<1", message));
        assert!(!pushed.first_time("romeo", "a<1", message));
        assert!(pushed.first_time("romeo", "a<2", message));
        assert!(pushed.first_time("juliet", "a<1", message));
    }

    #[test]
    fn a_message_whose_push_failed_is_new_again() {
        let mut pushed = Pushed::new(MESSAGES, 1);
        for message in 1..=3 {
            assert!(pushed.first_time("romeo", "a<1", message));
        }
        pushed.forget("romeo", "a<1", &[1, 3]);
        let known: Vec<_> = (1..=3).map(|message| pushed.first_time("romeo", "a<1", message)).collect();
        assert_eq!(known, [true, false, true]);
    }

    #[test]
    fn the_newest_messages_of_a_device_are_remembered_and_no_more() {
        let mut pushed = Pushed::new(MESSAGES, 1);
        for i in 1..=10 * MESSAGES as u64 {
            assert!(pushed.first_time("romeo", "a<1", i));
        }
        for i in 9 * MESSAGES as u64 + 1..=10 * MESSAGES as u64 {
            assert!(!pushed.first_time("romeo", "a<1", i), "{i} is among the newest");
        }
        let (_, recent) = pushed.devices.peek_lru().expect("one device");
        assert_eq!((pushed.devices.len(), recent.messages.len()), (1, MESSAGES));
    }

    #[test]
    fn the_number_of_devices_is_bounded() {
        let mut pushed = Pushed::new(MESSAGES, 1);
        for i in 0..DEVICES.get() + 10 {
            pushed.first_time(&i.to_string(), "a<1", 1);
        }
        assert_eq!(pushed.devices.len(), DEVICES.get());
    }

    #[test]
    fn pushed_messages_are_known_after_a_reload() {
        let mut before = Pushed::new(MESSAGES, 1);
        let message = before.key("m");
        before.first_time("romeo", "a<1", message);
        let mut after = Pushed::new(MESSAGES, 2);
        after.restore(before.save());
        let message = after.key("m");
        assert!(!after.first_time("romeo", "a<1", message));
    }
}
