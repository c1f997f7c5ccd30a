//! Two clocks. Waits are measured by the monotonic clock, which never steps. Days, and times that people read, are by the wall
//! clock.

use serde::{Deserialize, Serialize};

/// Milliseconds, of either clock.
pub type Millis = u64;

/// Seconds since 1970, as the store has them.
pub type Seconds = i64;

pub const SECOND: Millis = 1000;
pub const HOUR: Millis = 3600 * SECOND;
pub const DAY: Millis = 24 * HOUR;

/// A moment by both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// The wall clock, since 1970. It may step: by hours when an administrator sets it, by decades on a board without a battery.
    pub wall: Millis,
    /// The monotonic clock, since some time before the server started.
    pub mono: Millis,
}

impl Moment {
    /// Returns the moment that is `time` later.
    pub fn after(self, time: Millis) -> Moment {
        Moment { wall: self.wall.saturating_add(time), mono: self.mono.saturating_add(time) }
    }
}
