//! The effect of failures on a registration.
//!
//! XEP-0357 tells refusals from transport failures. A number of refusals in a row ends a registration. Transport failures end it
//! only when they happen on many days with no success between them. Push 2.0 does not tell refusals from transport failures: each
//! error counts as both.
//!
//! The time from failure to failure is added up by the wall clock, and no gap counts for more than a day: two failures with silence
//! between them are only two failures, and a clock that steps ends no registration.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::rc::Rc;

use lru::LruCache;
use tracing::debug;

use crate::protocol::Policy;
use crate::stanza_error::StanzaError;
use crate::time::{DAY, HOUR, Millis, Moment};

/// A gap between two failures counts for this time at most.
const LONGEST_GAP: Millis = DAY;
/// Users whose failures are remembered; the user whose pushes failed least recently is forgotten first.
const USERS: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// A registration to remove, because pushes to it fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    pub user: Rc<str>,
    pub identifier: Rc<str>,
    /// Whether the app server refused the pushes; otherwise it could not be reached.
    pub refused: bool,
    /// In words, for the log.
    pub why: String,
}

/// The failures of one registration since its last success.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Refusals in a row.
    pub refusals: u32,
    /// Since when transport has failed, by the wall clock, like `last`.
    pub since: Option<Millis>,
    pub last: Millis,
    /// For how long transport has failed, as far as gaps count.
    pub failed_for: Millis,
    /// The last failure by the monotonic clock; `None` if it was before the engine was made. A gap counts as no longer than by
    /// this clock.
    last_mono: Option<Millis>,
}

/// A user's registrations with failures.
pub type Histories = BTreeMap<Rc<str>, History>;

/// The failures of all registrations.
pub struct Failures {
    policy: &'static Policy,
    max_errors: u32,
    users: LruCache<Rc<str>, Histories>,
}

impl History {
    /// Makes a history from what the store has.
    pub fn new(refusals: u32, since: Option<Millis>, last: Millis, failed_for: Millis) -> Self {
        History { refusals, since, last, failed_for, last_mono: None }
    }

    /// Counts a transport failure and returns for how long transport has failed.
    fn failed(&mut self, now: Moment) -> Millis {
        match self.since {
            None => (self.since, self.failed_for) = (Some(now.wall), 0),
            Some(_) => {
                let by_mono = self.last_mono.map_or(Millis::MAX, |last| now.mono.saturating_sub(last));
                let gap = now.wall.saturating_sub(self.last).min(by_mono).min(LONGEST_GAP);
                self.failed_for = self.failed_for.saturating_add(gap);
            }
        }
        (self.last, self.last_mono) = (now.wall, Some(now.mono));
        self.failed_for
    }
}

impl Failures {
    pub fn new(policy: &'static Policy, max_errors: u32) -> Self {
        Failures { policy, max_errors, users: LruCache::new(USERS) }
    }

    /// Returns the failures of a registration.
    pub fn of(&self, user: &str, identifier: &str) -> Option<&History> {
        self.users.peek(user)?.get(identifier)
    }

    /// Returns the failures of a user's registrations.
    pub fn of_user(&self, user: &str) -> Option<&Histories> {
        self.users.peek(user)
    }

    /// Counts an error that came for a push to `device` at `app_server`. Returns the registration if it has to be removed.
    pub fn count(
        &mut self,
        now: Moment,
        user: &Rc<str>,
        device: &Rc<str>,
        app_server: &str,
        error: StanzaError,
    ) -> Option<Gone> {
        let history = self.users.get_or_insert_mut(user.clone(), Histories::new).entry(device.clone()).or_default();
        let StanzaError { kind, condition, text, .. } = error;
        let (refused, text) = (!error.is_of_transport(), text.unwrap_or("no text"));
        let Policy { tells_refusals, patience, .. } = *self.policy;
        let why = if !tells_refusals {
            history.refusals = history.refusals.saturating_add(1);
            let failures = history.refusals;
            debug!(
                "Push for {user} to {device} at {app_server} failed ({kind}/{condition}, {text}): {failures} in a row"
            );
            if history.failed(now) < patience {
                return None;
            }
            let hours = patience / HOUR;
            format!(
                "all pushes to {app_server} have failed for {hours} hours, {failures} in a row, the last with \
                 {kind}/{condition}: {text}"
            )
        } else if refused {
            history.since = None;
            history.refusals = history.refusals.saturating_add(1);
            let (refusals, max) = (history.refusals, self.max_errors);
            debug!(
                "Push for {user} to {device} was refused ({kind}/{condition}, {text}): {refusals} of {max} in a row"
            );
            if refusals < max {
                return None;
            }
            format!("it refused {refusals} pushes in a row, the last with {kind}/{condition}: {text}")
        } else {
            debug!("Push for {user} to {device} failed on its way ({kind}/{condition}, {text})");
            if history.failed(now) < patience {
                return None;
            }
            let days = patience / DAY;
            format!("no push has reached it on {days} days, the last error was {kind}/{condition}: {text}")
        };
        Some(Gone { user: user.clone(), identifier: device.clone(), refused, why })
    }

    /// Forgets the failures of a registration whose push was taken, or that was enabled again. Returns whether there were any.
    pub fn forget(&mut self, user: &str, identifier: &str) -> bool {
        self.retain(user, |failed| failed != identifier)
    }

    /// Forgets the failures of registrations that do not exist any more. Returns whether there were any.
    pub fn retain(&mut self, user: &str, exists: impl Fn(&str) -> bool) -> bool {
        let Some(histories) = self.users.peek_mut(user) else { return false };
        let before = histories.len();
        histories.retain(|identifier, _| exists(identifier));
        let after = histories.len();
        if after == 0 {
            self.users.pop(user);
        }
        after < before
    }

    /// Forgets a user whose account was deleted.
    pub fn forget_user(&mut self, user: &str) {
        self.users.pop(user);
    }

    /// Takes the failures that were stored before the server started.
    pub fn set(&mut self, user: Rc<str>, histories: Histories) {
        if !histories.is_empty() {
            self.users.put(user, histories);
        }
    }
}
