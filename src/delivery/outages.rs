//! App servers that are away.
//!
//! An outage belongs to an app server, not to a device. After some failures in a row only one device at a time tries the app server,
//! by the schedule of owed pushes; when its push is taken, the app server is back. The same holds for an app server that has not
//! answered anything for a while, before its first push has timed out.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::rc::Rc;

use lru::LruCache;

use super::owed::delay;
use crate::protocol::Policy;
use crate::stanza_error::{Condition, NO_ANSWER};
use crate::time::{Millis, Moment, SECOND};

/// Failures in a row after which an app server counts as away.
const FAILURES: u32 = 10;
/// Devices that the failures must concern if the app server itself reported all of them: it may fail to reach one device only.
const DEVICES: usize = 3;
/// Pushes without any answer after which an app server counts as away, if [`SILENCE`] is over as well.
const UNANSWERED: u32 = 10;
/// The time since the first of these pushes.
const SILENCE: Millis = 20 * SECOND;
/// A push service without answers counts as back when no error has come for this long.
const NO_OBJECTION: Millis = 60 * SECOND;
/// A push that tried an app server and has had no answer for this long is lost: its account was deleted.
const LOST: Millis = 240 * SECOND;
/// App servers that are remembered; the one that was pushed to least recently is forgotten first, those that are away last.
const APP_SERVERS: NonZeroUsize = NonZeroUsize::new(1000).unwrap();

/// The state of an app server.
#[derive(Clone, Debug, Default)]
pub struct AppServer {
    /// Failures in a row.
    pub failures: u32,
    pub last_error: Option<Condition>,
    /// The last failure, by the monotonic clock.
    failed_at: Millis,
    /// Since when it is away, by the wall clock.
    pub away_since: Option<Millis>,
    /// Devices whose pushes failed, at most [`DEVICES`].
    devices: HashSet<Rc<str>>,
    has_failed_before_it: bool,
    /// Pushes since its last answer, and when the first of them left.
    unanswered: u32,
    unanswered_since: Millis,
    probes: u32,
    /// When the next push may try it, and when the push left that tries it now; by the monotonic clock.
    due: Millis,
    tried: Option<Millis>,
}

/// The effect of an answer on the state of an app server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    None,
    /// It is away from now on.
    Away,
    /// It is back. It was away since this time.
    Back(Millis),
}

/// All app servers that were pushed to lately, by JID.
pub struct Outages {
    policy: &'static Policy,
    servers: LruCache<String, AppServer>,
    /// App servers that were forgotten while they were away.
    forgotten: Vec<String>,
}

impl Outages {
    pub fn new(policy: &'static Policy) -> Self {
        Outages { policy, servers: LruCache::new(APP_SERVERS), forgotten: Vec::new() }
    }

    /// Notes a push that leaves.
    pub fn sent(&mut self, now: Moment, jid: &str) {
        if !self.policy.answers {
            return;
        }
        let server = self.of(jid);
        if server.unanswered == 0 {
            server.unanswered_since = now.mono;
        }
        server.unanswered = server.unanswered.saturating_add(1);
    }

    /// Notes that a push to `device`, sent at `sent`, failed. `by_itself`: whether the app server itself sent the error.
    pub fn failed(
        &mut self,
        now: Moment,
        jid: &str,
        sent: Millis,
        device: &Rc<str>,
        error: Condition,
        by_itself: bool,
    ) -> News {
        let server = self.of(jid);
        server.failures = server.failures.saturating_add(1);
        server.last_error = Some(error);
        server.failed_at = now.mono;
        server.has_failed_before_it |= !by_itself;
        if by_itself {
            // An error is an answer as well.
            server.unanswered = 0;
        }
        if server.devices.len() < DEVICES {
            server.devices.insert(device.clone());
        }
        if server.away_since.is_some() {
            // Only the push that tries the app server counts. Other pushes that fail left before it.
            if server.tried.is_some_and(|tried| sent >= tried) {
                server.probes = server.probes.saturating_add(1);
                (server.tried, server.due) = (None, now.mono + delay(server.probes));
            }
            return News::None;
        }
        if server.failures < FAILURES || !server.has_failed_before_it && server.devices.len() < DEVICES {
            return News::None;
        }
        server.goes(now)
    }

    /// Treats an app server as away: this server has started, a push is owed there, and nobody knows yet whether the app server
    /// can be reached.
    pub fn is_unknown(&mut self, now: Moment, jid: &str) {
        let server = self.of(jid);
        if server.away_since.is_none() {
            (server.away_since, server.due) = (Some(now.wall), now.mono);
        }
    }

    /// Notes that an app server has answered.
    pub fn answered(&mut self, jid: &str) -> News {
        let Some(server) = self.servers.peek_mut(jid) else { return News::None };
        let away_since = server.away_since;
        *server = AppServer::default();
        away_since.map_or(News::None, News::Back)
    }

    /// Notes that no error came for a push that left at `sent`. So the app server worked, unless a push failed later.
    pub fn said_nothing(&mut self, jid: &str, sent: Millis) {
        if let Some(server) = self.servers.peek_mut(jid)
            && server.away_since.is_none()
            && server.failed_at < sent
        {
            *server = AppServer::default();
        }
    }

    /// Returns whether an app server is away and not to be tried now, and whether that is news.
    pub fn is_away(&mut self, now: Moment, jid: &str) -> (bool, News) {
        let Some(server) = self.servers.peek_mut(jid) else { return (false, News::None) };
        if server.away_since.is_none() {
            let is_silent = server.unanswered >= UNANSWERED && server.unanswered_since + SILENCE <= now.mono;
            if !is_silent {
                return (false, News::None);
            }
            server.last_error = Some(NO_ANSWER.known_condition());
            return (true, server.goes(now));
        }
        let may_try = server.may_try(now.mono);
        if may_try {
            server.tried = Some(now.mono);
        }
        (!may_try, News::None)
    }

    /// Whether an app server is away, even if it may be tried.
    pub fn is_known_away(&self, jid: &str) -> bool {
        self.servers.peek(jid).is_some_and(|server| server.away_since.is_some())
    }

    /// Returns the app servers that are away and may be tried now. The caller tries each.
    pub fn due(&mut self, now: Millis) -> Vec<String> {
        let away = self.servers.iter_mut().filter(|(_, server)| server.away_since.is_some());
        let due = away.filter(|(_, server)| server.may_try(now));
        due.map(|(jid, server)| {
            server.tried = Some(now);
            jid.clone()
        })
        .collect()
    }

    /// Notes that there was no push to try the app server: the next one does.
    pub fn not_tried(&mut self, jid: &str) {
        if let Some(server) = self.servers.peek_mut(jid) {
            server.tried = None;
        }
    }

    /// Notes that a push, noted at `sent`, did not leave because another module blocked it: it says nothing about the app server.
    pub fn withdrawn(&mut self, jid: &str, sent: Millis) {
        if let Some(server) = self.servers.peek_mut(jid) {
            server.unanswered = server.unanswered.saturating_sub(1);
            server.tried.take_if(|tried| sent >= *tried);
        }
    }

    /// Returns the push services that sent no error for the push that tried them.
    pub fn unopposed(&self, now: Millis) -> Vec<String> {
        if self.policy.answers {
            return Vec::new();
        }
        let tried = |server: &AppServer| server.away_since.and(server.tried);
        let unopposed = |tried: Millis| tried + NO_OBJECTION <= now;
        self.servers
            .iter()
            .filter(|(_, server)| tried(server).is_some_and(unopposed))
            .map(|(jid, _)| jid.clone())
            .collect()
    }

    /// Takes out the app servers that were forgotten while they were away, because too many others are. Nothing tries them any
    /// more: the pushes that wait for one of them have to leave.
    pub fn forgotten(&mut self) -> Vec<String> {
        let forgotten = std::mem::take(&mut self.forgotten);
        forgotten.into_iter().filter(|jid| !self.is_known_away(jid)).collect()
    }

    /// Returns when [`due`](Outages::due) has an app server for which `is_waited_for` holds, or [`unopposed`](Outages::unopposed) or
    /// [`forgotten`](Outages::forgotten) has one.
    pub fn next_due(&self, is_waited_for: impl Fn(&str) -> bool) -> Option<Millis> {
        if !self.forgotten.is_empty() {
            return Some(0);
        }
        let away = self.servers.iter().filter(|(_, server)| server.away_since.is_some());
        let due = away.filter_map(|(jid, server)| match (server.tried, self.policy.answers) {
            (Some(tried), false) => Some(tried + NO_OBJECTION),
            (Some(tried), true) => is_waited_for(jid).then_some(tried + LOST),
            (None, _) => is_waited_for(jid).then_some(server.due),
        });
        due.min()
    }

    /// Returns all app servers that are remembered.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &AppServer)> {
        self.servers.iter().map(|(jid, server)| (jid.as_str(), server))
    }

    fn of(&mut self, jid: &str) -> &mut AppServer {
        if self.servers.len() == APP_SERVERS.get() && !self.servers.contains(jid) {
            self.forget_one();
        }
        self.servers.get_or_insert_mut_ref(jid, AppServer::default)
    }

    fn forget_one(&mut self) {
        let works = self.servers.iter().rev().find(|(_, server)| server.away_since.is_none());
        match works.map(|(jid, _)| jid.clone()) {
            Some(jid) => {
                self.servers.pop(&jid);
            }
            None => self.forgotten.extend(self.servers.pop_lru().map(|(jid, _)| jid)),
        }
    }
}

impl AppServer {
    /// Whether it has failed since its last answer.
    pub fn is_failing(&self) -> bool {
        self.failures > 0 || self.away_since.is_some()
    }

    fn may_try(&self, now: Millis) -> bool {
        self.tried.map_or(self.due, |tried| tried + LOST) <= now
    }

    fn goes(&mut self, now: Moment) -> News {
        (self.away_since, self.probes, self.tried) = (Some(now.wall), 0, None);
        self.due = now.mono + delay(0);
        News::Away
    }
}
