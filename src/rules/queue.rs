//! When the queue of a session (XEP-0198) wakes its device.

use crate::rules::facts::{CALL, CALL_ENDS, PROCEED, Word};
use crate::time::{Millis, SECOND};

/// Returns how long a queued stanza may wait for others, so that one push does for all of them.
pub fn delay(word: Word) -> Millis {
    if word & (CALL | CALL_ENDS | PROCEED) != 0 { 0 } else { SECOND }
}

/// Returns how many stanzas may wait in a queue with room for `size` before its device is woken to take them: with more than
/// `size` the session cannot be resumed. `woken_at` is how many waited when the device was woken before, since its client was
/// there last.
pub fn alarm(size: u32, woken_at: Option<u32>) -> u32 {
    woken_at.map_or((u64::from(size) * 4).div_ceil(5) as u32, |woken_at| woken_at.saturating_mul(2)).max(1)
}
