//! Once per device and message, whichever way the message comes.
//!
//! A message is known by its id in the addressee's archive: it is in the event that tells of the archiving, and in
//! the `stanza-id` of every copy that goes on from there. Without an archive the shim names a stanza that it meets in
//! the queue of a session. Calls are known by more: see [`calls`](crate::calls).

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::num::NonZeroUsize;

use lru::LruCache;

/// Messages remembered for one device: as many as stream management keeps for a session, which gives them back when
/// the session ends.
const MESSAGES: usize = 512;
/// Devices remembered; the one pushed least recently is forgotten first.
const DEVICES: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// What was pushed of late, in bounded memory: hashes only.
pub struct Pushed {
    devices: LruCache<u64, Recent>,
    hasher: RandomState,
}

/// The newest messages of one device, in a ring.
#[derive(Default)]
struct Recent {
    messages: Vec<u64>,
    next: usize,
}

impl Default for Pushed {
    fn default() -> Self {
        Pushed { devices: LruCache::new(DEVICES), hasher: RandomState::new() }
    }
}

impl Pushed {
    /// Names a message by what is known of it. Nobody can tell from the name what that was.
    pub fn name(&self, message: &impl Hash) -> String {
        format!("{:016x}", self.hasher.hash_one(message))
    }

    /// Notes that `message` goes to the device of `user`; false if it went there before.
    pub fn first_time(&mut self, user: &str, identifier: &str, message: &str) -> bool {
        let device = self.hasher.hash_one((user, identifier));
        let message = self.hasher.hash_one(message);
        self.devices.get_or_insert_mut(device, Recent::default).insert(message)
    }
}

impl Recent {
    fn insert(&mut self, message: u64) -> bool {
        if self.messages.contains(&message) {
            return false;
        }
        if self.messages.len() < MESSAGES {
            self.messages.push(message);
        } else {
            self.messages[self.next] = message;
            self.next = (self.next + 1) % MESSAGES;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_new_to_each_device_once() {
        let mut pushed = Pushed::default();
        assert!(pushed.first_time("romeo", "a<1", "m"));
        assert!(!pushed.first_time("romeo", "a<1", "m"));
        assert!(pushed.first_time("romeo", "a<2", "m"));
        assert!(pushed.first_time("juliet", "a<1", "m"));
    }

    #[test]
    fn the_newest_messages_of_a_device_are_remembered_and_no_more() {
        let mut pushed = Pushed::default();
        for i in 0..10 * MESSAGES {
            assert!(pushed.first_time("romeo", "a<1", &i.to_string()));
        }
        for i in 9 * MESSAGES..10 * MESSAGES {
            assert!(!pushed.first_time("romeo", "a<1", &i.to_string()), "{i} is among the newest");
        }
        let (_, recent) = pushed.devices.peek_lru().expect("one device");
        assert_eq!((pushed.devices.len(), recent.messages.len()), (1, MESSAGES));
    }

    #[test]
    fn the_number_of_devices_is_bounded() {
        let mut pushed = Pushed::default();
        for i in 0..DEVICES.get() + 10 {
            pushed.first_time(&i.to_string(), "a<1", "m");
        }
        assert_eq!(pushed.devices.len(), DEVICES.get());
    }
}
