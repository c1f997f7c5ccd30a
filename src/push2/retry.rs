//! What a push service could not take just now is sent again, later and later.
//!
//! Each time twice as long after, and not for ever: the draft wants an "exponential back-off algorithm, up to a limit".

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::delivery::Millis;
use crate::push2::notification::{Notice, Priority};
use crate::registration::Registration;

/// How long after the first error.
const FIRST: Millis = 4_000;
/// How often a push is sent again: for the last time some 17 minutes after the first.
const ATTEMPTS: u32 = 8;
/// The same for a call: for the last time half a minute after the first. Who has not heard of it then has missed it.
const CALL_ATTEMPTS: u32 = 3;
/// Pushes that may wait for a device, for a user, and bytes for all of them. Others are given up: the message is where it was.
const FOR_DEVICE: usize = 10;
const FOR_USER: usize = 20;
const FOR_ALL: usize = 4 * 1024 * 1024;

/// A push, as it was sent.
#[derive(Clone, Debug)]
pub struct Parcel {
    pub notice: Rc<Notice>,
    /// How often it was sent before.
    pub attempts: u32,
}

/// A push that is to be sent again.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub user: Rc<str>,
    pub registration: Rc<Registration>,
    pub parcel: Parcel,
}

/// All that wait.
#[derive(Default)]
pub struct Retries {
    /// By time, and a number that no other has.
    waiting: BTreeMap<(Millis, u64), Waiting>,
    number: u64,
}

impl Retries {
    /// Takes a push that was sent for `attempts` times before this one failed: when it is sent again, if so.
    pub fn put(&mut self, now: Millis, mut failed: Waiting) -> Option<Millis> {
        let attempts = failed.parcel.attempts;
        let of_user = self.waiting.values().filter(|waiting| waiting.user == failed.user);
        let (mut for_user, mut for_device) = (0, 0);
        let bytes: usize = self.waiting.values().map(|waiting| waiting.parcel.notice.size()).sum();
        for waiting in of_user {
            for_user += 1;
            for_device += usize::from(waiting.registration.identifier == failed.registration.identifier);
        }
        let is_full = bytes >= FOR_ALL || for_user >= FOR_USER || for_device >= FOR_DEVICE;
        let most = if failed.parcel.notice.priority == Priority::High { CALL_ATTEMPTS } else { ATTEMPTS };
        if attempts >= most || is_full {
            return None;
        }
        let delay = FIRST << attempts;
        failed.parcel.attempts += 1;
        self.number += 1;
        self.waiting.insert((now + delay, self.number), failed);
        Some(delay)
    }

    /// Those that are due by `until`.
    pub fn due(&mut self, until: Millis) -> Vec<Waiting> {
        let mut due = Vec::new();
        while let Some(first) = self.waiting.first_entry()
            && first.key().0 <= until
        {
            due.push(first.remove());
        }
        due
    }

    /// When [`due`](Retries::due) has something to give.
    pub fn next_due(&self) -> Option<Millis> {
        self.waiting.first_key_value().map(|((due, _), _)| *due)
    }

    /// The client is back, or asks for something else: what waits for it says nothing any more.
    pub fn drop_for(&mut self, user: &str, identifier: &str) {
        self.waiting.retain(|_, waiting| *waiting.user != *user || *waiting.registration.identifier != *identifier);
    }

    /// The account is no more.
    pub fn drop_user(&mut self, user: &str) {
        self.waiting.retain(|_, waiting| *waiting.user != *user);
    }
}
