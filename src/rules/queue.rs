//! When the queue of a session (XEP-0198) wakes its device.

use crate::rules::facts::{CALL, CALL_ENDS, PROCEED, Word};
use crate::time::{Millis, SECOND};

/// Returns how long a queued stanza may wait for others, so that one push covers all of them.
pub fn delay(word: Word) -> Millis {
    if word & (CALL | CALL_ENDS | PROCEED) != 0 { 0 } else { SECOND }
}

/// Returns the number of stanzas, in a queue with room for `size`, at which the device is woken to fetch them: with more than
/// `size` the session cannot be resumed. `woken_at` is the number at which the device was last woken since its client was back.
pub fn alarm(size: u32, woken_at: Option<u32>) -> u32 {
    woken_at.map_or((u64::from(size) * 4).div_ceil(5) as u32, |woken_at| woken_at.saturating_mul(2)).max(1)
}
