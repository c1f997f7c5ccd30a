//! Pushes that take long to compose. Only a few pushes of an event are composed at once. The others are composed in later turns
//! of the server's event loop, a few in each turn, so that the server does its other work in between.

use std::collections::VecDeque;

use super::InFlight;
use crate::memory::journal::Cause;
use crate::protocol::Protocol;
use crate::rules::facts::Word;
use crate::rules::importance::Importance;

/// Pushes that are composed in one turn.
const AT_ONCE: usize = 4;
/// In each turn, at least one in this many of the waiting pushes is composed, so that a flood of events does not fill the
/// memory.
const PART: usize = 8;

/// A push that waits to be composed.
pub struct Waiting<P: Protocol> {
    pub in_flight: InFlight<P>,
    pub draft: P::Draft,
    pub importance: Importance,
    /// For the journal.
    pub cause: Cause,
    pub word: Option<Word>,
}

/// The pushes of a host that wait, in their order.
pub struct Turns<P: Protocol> {
    waiting: VecDeque<Waiting<P>>,
}

impl<P: Protocol> Default for Turns<P> {
    fn default() -> Self {
        Turns { waiting: VecDeque::new() }
    }
}

impl<P: Protocol> Turns<P> {
    /// Returns how many pushes of an event of the user may be composed at once. Returns 0 while others of the user wait,
    /// because no push may overtake another.
    pub fn at_once(&self, user: &str) -> usize {
        let waits = self.waiting.iter().any(|waiting| *waiting.in_flight.user == *user);
        if waits { 0 } else { AT_ONCE }
    }

    pub fn put(&mut self, waiting: Waiting<P>) {
        self.waiting.push_back(waiting);
    }

    /// Takes out the pushes of this turn.
    pub fn take(&mut self) -> Vec<Waiting<P>> {
        let n = AT_ONCE.max(self.waiting.len() / PART).min(self.waiting.len());
        self.waiting.drain(..n).collect()
    }

    /// Takes out all pushes.
    pub fn take_all(&mut self) -> Vec<Waiting<P>> {
        self.waiting.drain(..).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Forgets the pushes of a user whose account was disabled or deleted.
    pub fn drop_user(&mut self, user: &str) {
        self.waiting.retain(|waiting| *waiting.in_flight.user != *user);
    }
}
