//! Two clocks. What waits, waits by the one that never steps; days, and what people read, are by the one on the wall.

use serde::{Deserialize, Serialize};

/// Milliseconds, of either clock.
pub type Millis = u64;

/// Seconds since 1970, as the store has them.
pub type Seconds = i64;

pub const SECOND: Millis = 1000;
pub const HOUR: Millis = 3600 * SECOND;
pub const DAY: Millis = 24 * HOUR;

/// A moment, by both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// Since 1970. It may step, by hours (an administrator) or by decades (a board without a clock of its own that hears of the
    /// time).
    pub wall: Millis,
    /// Since some time before the server started.
    pub mono: Millis,
}

impl Moment {
    /// So much later.
    pub fn after(self, time: Millis) -> Moment {
        Moment { wall: self.wall.saturating_add(time), mono: self.mono.saturating_add(time) }
    }
}
