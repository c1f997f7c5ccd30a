//! Registrations that ended, with the reason. `push list` no longer shows them.

use std::collections::VecDeque;

use crate::text::cut;
use crate::time::Millis;

/// Registrations that are remembered; the oldest is forgotten first.
const MOST: usize = 100;
/// Bytes of a reason: an app server may have written it.
const LONGEST: usize = 300;

/// One registration that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// When, by the wall clock.
    pub at: Millis,
    pub user: String,
    pub device: String,
    /// In words.
    pub why: String,
}

/// The last registrations that ended.
#[derive(Default)]
pub struct Endings(VecDeque<Ending>);

impl Endings {
    pub fn add(&mut self, at: Millis, user: &str, device: &str, why: &str) {
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        let why = cut(why, LONGEST).to_owned();
        self.0.push_back(Ending { at, user: user.to_owned(), device: device.to_owned(), why });
    }

    /// Returns them, the newest first.
    pub fn iter(&self) -> impl Iterator<Item = &Ending> {
        self.0.iter().rev()
    }

    /// Forgets a user whose account was deleted.
    pub fn forget(&mut self, user: &str) {
        self.0.retain(|ending| ending.user != user);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_hundred_are_kept_in_bounds() {
        let mut endings = Endings::default();
        for at in 0..150 {
            endings.add(at, if at % 2 == 0 { "romeo" } else { "juliet" }, "phone", &"é".repeat(400));
        }
        assert_eq!(endings.iter().map(|ending| ending.at).collect::<Vec<_>>(), (50..150).rev().collect::<Vec<_>>());
        assert!(endings.iter().all(|ending| ending.why.len() <= LONGEST));
        endings.forget("romeo");
        assert!(endings.iter().all(|ending| ending.user == "juliet"));
    }
}
