//! Counts for the metrics: plain numbers that are read when a reporter asks.

use strum::EnumCount;

use crate::memory::journal::Answer;
use crate::reason::Reason;
use crate::rules::importance::Importance;
use crate::stanza_error::Condition;
use crate::time::Millis;

/// Answer times that are kept until they are read: a few until a reporter has read some, and more after that.
const ANSWERS: usize = 10_000;
const UNREAD: usize = 100;

/// Everything that is counted, from the start of the engine.
#[derive(Default)]
pub struct Stats {
    calls: u64,
    important: u64,
    unimportant: u64,
    held: u64,
    waited: u64,
    sent_again: u64,
    suppressed: Suppressed,
    taken: u64,
    errors: [u64; Condition::COUNT],
    times: Vec<Millis>,
    is_read: bool,
    removed_refused: u64,
    removed_unreachable: u64,
    cache_hits: u64,
    cache_misses: u64,
}

/// Devices that were not woken, by reason.
struct Suppressed([u64; Reason::COUNT]);

impl Default for Suppressed {
    fn default() -> Self {
        Suppressed([0; Reason::COUNT])
    }
}

/// A number with its name, and the value of its label if it has one.
pub type Count = (&'static str, &'static str, u64);

impl Stats {
    /// Counts a push that left.
    pub fn sent(&mut self, importance: Importance) {
        *match importance {
            Importance::Urgent => &mut self.calls,
            Importance::Important => &mut self.important,
            Importance::Low | Importance::None | Importance::CallEnds => &mut self.unimportant,
        } += 1;
    }

    /// Counts a push that is held.
    pub fn held(&mut self) {
        self.held += 1;
    }

    /// Counts a push that waits while the user is at another client.
    pub fn waited(&mut self) {
        self.waited += 1;
    }

    /// Counts an owed push that left.
    pub fn sent_again(&mut self) {
        self.sent_again += 1;
    }

    /// Counts a registration that ended because its app server refused pushes, or could not be reached.
    pub fn removed(&mut self, refused: bool) {
        *if refused { &mut self.removed_refused } else { &mut self.removed_unreachable } += 1;
    }

    /// Counts a look-up of a user's registrations in memory.
    pub fn looked_up(&mut self, is_hit: bool) {
        *if is_hit { &mut self.cache_hits } else { &mut self.cache_misses } += 1;
    }

    /// Counts a device that was not woken.
    pub fn suppressed(&mut self, reason: Reason) {
        self.suppressed.0[reason as usize] += 1;
    }

    /// Counts an answer. Silence has no time.
    pub fn answered(&mut self, answer: Answer) {
        let after = match answer {
            Answer::Taken(after) => {
                self.taken += 1;
                after
            }
            Answer::Error(after, condition, _) => {
                self.errors[condition as usize] += 1;
                after
            }
            Answer::Silence => {
                self.taken += 1;
                return;
            }
        };
        if self.times.len() < if self.is_read { ANSWERS } else { UNREAD } {
            self.times.push(after);
        }
    }

    /// Returns the answer times since the last call.
    pub fn take_times(&mut self) -> Vec<Millis> {
        self.is_read = true;
        std::mem::take(&mut self.times)
    }

    /// Returns all counts, without the times.
    pub fn counts(&self) -> Vec<Count> {
        let pushes = [("call", self.calls), ("important", self.important), ("unimportant", self.unimportant)];
        let removed = [("refused", self.removed_refused), ("unreachable", self.removed_unreachable)];
        let cache = [("hit", self.cache_hits), ("miss", self.cache_misses)];
        let labelled = [("pushes", &pushes[..]), ("removed", &removed), ("cache", &cache)];
        let labelled =
            labelled.into_iter().flat_map(|(name, values)| values.iter().map(move |(label, n)| (name, *label, *n)));
        let suppressed = Reason::all().map(|reason| ("suppressed", reason.label(), self.suppressed.0[reason as usize]));
        let errors = Condition::all().map(Condition::name).zip(self.errors).filter(|(_, n)| *n > 0);
        let answers =
            [("answers", "result", self.taken)].into_iter().chain(errors.map(|(name, n)| ("answers", name, n)));
        let plain = [("held", "", self.held), ("waited", "", self.waited), ("sent_again", "", self.sent_again)];
        labelled.chain(suppressed).chain(answers).chain(plain).collect()
    }
}
