//! The calls for which each device rang, in bounded memory: hashes only.
//!
//! A call is identified by its two ends and its id: two callers may use the same id, and only the two ends may end the call. It
//! rings once on a device and ends there once, however many events report it.

use std::collections::VecDeque;
use std::hash::Hash;
use std::num::NonZeroUsize;

use lru::LruCache;
use serde::{Deserialize, Serialize};

use crate::memory::seeded;
use crate::rules::facts::Call;

/// Calls remembered for one device, the newest.
const CALLS: usize = 32;
/// Devices remembered; the one that rang least recently is forgotten first.
const DEVICES: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// The calls that rang lately.
pub struct Calls {
    devices: LruCache<u64, VecDeque<Ring>>,
    /// Part of each hash, so that nobody can choose a call with the hash of another.
    seed: u64,
}

/// The part that survives a reload.
#[derive(Serialize, Deserialize)]
pub struct State {
    seed: u64,
    devices: Vec<(u64, VecDeque<Ring>)>,
}

/// The key of a call: hashes only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallKey {
    peer: Option<u64>,
    id: u64,
}

/// A call on one device.
#[derive(Serialize, Deserialize)]
struct Ring {
    call: CallKey,
    is_over: bool,
}

impl Calls {
    /// `seed` is random.
    pub fn new(seed: u64) -> Self {
        Calls { devices: LruCache::new(DEVICES), seed }
    }

    /// Returns the key of a call.
    pub fn key(&self, call: &Call) -> CallKey {
        CallKey { peer: call.peer.map(|peer| self.hash(&peer)), id: self.hash(&call.id) }
    }

    /// Notes that a call rings on a device of `user`. Returns false if it rang there before.
    pub fn ring(&mut self, user: &str, identifier: &str, call: CallKey) -> bool {
        if self.find(user, identifier, call).is_some() {
            return false;
        }
        let device = self.hash(&(user, identifier));
        let rings = self.devices.get_or_insert_mut(device, VecDeque::new);
        if rings.len() >= CALLS {
            rings.pop_front();
        }
        rings.push_back(Ring { call, is_over: false });
        true
    }

    /// Whether the device rang for the call and was not notified of its end.
    pub fn rings(&self, user: &str, identifier: &str, call: CallKey) -> bool {
        self.find(user, identifier, call).is_some_and(|ring| !ring.is_over)
    }

    /// Whether the device was notified of the end of the call.
    pub fn is_over(&self, user: &str, identifier: &str, call: CallKey) -> bool {
        self.find(user, identifier, call).is_some_and(|ring| ring.is_over)
    }

    /// Notes that a device is notified of the end of the call.
    pub fn end(&mut self, user: &str, identifier: &str, call: CallKey) {
        let device = self.hash(&(user, identifier));
        let rings = self.devices.peek_mut(&device);
        for ring in rings.into_iter().flatten().filter(|ring| call.is(ring.call)) {
            ring.is_over = true;
        }
    }

    /// Returns the state that survives a reload.
    pub fn save(&mut self) -> State {
        State { seed: self.seed, devices: std::iter::from_fn(|| self.devices.pop_lru()).collect() }
    }

    /// Restores the state that [`save`](Calls::save) returned.
    pub fn restore(&mut self, state: State) {
        self.seed = state.seed;
        for (device, rings) in state.devices {
            self.devices.put(device, rings);
        }
    }

    fn hash(&self, what: &impl Hash) -> u64 {
        seeded::hash(self.seed, what)
    }

    fn find(&self, user: &str, identifier: &str, call: CallKey) -> Option<&Ring> {
        let rings = self.devices.peek(&self.hash(&(user, identifier)))?;
        rings.iter().rev().find(|ring| call.is(ring.call))
    }
}

impl CallKey {
    /// Whether the keys are of the same call. A key without a peer matches any call with the id.
    fn is(self, other: CallKey) -> bool {
        self.id == other.id && (self.peer.is_none() || self.peer == other.peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JULIET: Call = Call { peer: Some("juliet@example.org"), id: "1" };
    const NURSE: Call = Call { peer: Some("nurse@example.org"), id: "1" };

    #[test]
    fn a_call_is_its_peer_and_its_id() {
        let mut calls = Calls::new(1);
        let (juliet, nurse) = (calls.key(&JULIET), calls.key(&NURSE));
        assert!(calls.ring("romeo", "phone", juliet) && !calls.ring("romeo", "phone", juliet));
        assert!(calls.ring("romeo", "phone", nurse), "another caller uses the same id");
        calls.end("romeo", "phone", nurse);
        assert!(calls.rings("romeo", "phone", juliet) && calls.is_over("romeo", "phone", nurse));
        calls.end("romeo", "phone", calls.key(&Call { peer: None, ..JULIET }));
        assert!(!calls.rings("romeo", "phone", juliet), "the user himself, whoever calls");
        assert!(!calls.rings("romeo", "tablet", juliet) && !calls.is_over("romeo", "tablet", juliet));
    }

    #[test]
    fn memory_is_bounded() {
        let mut calls = Calls::new(1);
        for i in 0..10 * CALLS {
            calls.ring("romeo", "phone", calls.key(&Call { id: &i.to_string(), ..JULIET }));
        }
        assert_eq!(calls.devices.peek_lru().map(|(_, rings)| rings.len()), Some(CALLS));
        for i in 0..DEVICES.get() + 10 {
            calls.ring(&i.to_string(), "phone", calls.key(&JULIET));
        }
        assert_eq!(calls.devices.len(), DEVICES.get());
    }
}
