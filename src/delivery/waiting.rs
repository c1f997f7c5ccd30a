//! Pushes that wait while the user is at another client (`push_patience`). Each leaves when its time is over, unless the user
//! has read its messages elsewhere, or the device's client is back.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use crate::memory::unread::{Place, Tells};
use crate::protocol::Protocol;
use crate::registration::Registration;
use crate::time::{Millis, Moment};

/// Limits of the content that waits: pushes with content for one device, and bytes for all devices. A push beyond them becomes
/// a plain one.
const OF_DEVICE: usize = 16;
const BYTES: usize = 4 * 1024 * 1024;
/// Messages of one push that are pushed again if it fails.
const MESSAGES: usize = 500;
/// The bytes that a draft counts for.
const DRAFT: usize = 4096;

/// A push that waits.
pub struct Wait<P: Protocol> {
    pub user: Rc<str>,
    pub registration: Rc<Registration<P::Asked>>,
    /// When it leaves.
    pub until: Moment,
    /// The deduplication keys of the messages that the push covers.
    pub messages: Vec<u64>,
    pub tells: Tells,
    /// The content for one message. A plain push has none, and covers all messages without content.
    pub content: Option<Content<P>>,
}

/// The content of a push for one message.
pub struct Content<P: Protocol> {
    pub draft: P::Draft,
    /// Sender and text, for a payload that does not have them.
    pub from: Option<Box<str>>,
    pub body: Option<Box<str>>,
}

/// When the push leaves, and a number that no other push has.
type Key = (Millis, u64);

/// All pushes of a host that wait.
pub struct Waits<P: Protocol> {
    waits: BTreeMap<Key, Wait<P>>,
    users: HashMap<Rc<str>, BTreeSet<Key>>,
    next: u64,
    bytes: usize,
}

impl<P: Protocol> Default for Waits<P> {
    fn default() -> Self {
        Waits { waits: BTreeMap::new(), users: HashMap::new(), next: 0, bytes: 0 }
    }
}

impl<P: Protocol> Waits<P> {
    /// Lets a push wait. A push without content joins the one that waits for its device.
    pub fn put(&mut self, mut wait: Wait<P>) {
        let device = &wait.registration.identifier;
        let with_content = |wait: &&Wait<P>| wait.registration.identifier == *device && wait.content.is_some();
        if self.bytes + size(&wait) > BYTES || self.of_user(&wait.user).filter(with_content).count() >= OF_DEVICE {
            wait.content = None;
        }
        if wait.content.is_none() {
            let keys = self.users.get(&wait.user).into_iter().flatten();
            let is_plain = |key: &&Key| {
                self.waits
                    .get(key)
                    .is_some_and(|wait| wait.registration.identifier == *device && wait.content.is_none())
            };
            if let Some(before) = keys.copied().find(|key| is_plain(&key)).and_then(|key| self.waits.get_mut(&key)) {
                let room = MESSAGES.saturating_sub(before.messages.len());
                before.messages.extend(wait.messages.into_iter().take(room));
                before.tells.add(&wait.tells);
                before.registration = wait.registration;
                return;
            }
        }
        let key = (wait.until.mono, self.next);
        self.next += 1;
        self.bytes += size(&wait);
        self.users.entry(wait.user.clone()).or_default().insert(key);
        self.waits.insert(key, wait);
    }

    /// Takes out the pushes that leave by `now`.
    pub fn due(&mut self, now: Millis) -> Vec<Wait<P>> {
        let mut due = Vec::new();
        while let Some((&key, _)) = self.waits.first_key_value()
            && key.0 <= now
        {
            due.extend(self.remove(key));
        }
        due
    }

    /// Returns when [`due`](Waits::due) has something to return.
    pub fn next_due(&self) -> Option<Millis> {
        self.waits.first_key_value().map(|((due, _), _)| *due)
    }

    /// Takes out the pushes that cover only messages that the user has read.
    pub fn read(&mut self, user: &str, place: Place) -> Vec<Wait<P>> {
        self.take(user, |wait| wait.tells.read(place))
    }

    /// Drops the pushes to a device whose client is back. Returns whether there were any.
    pub fn drop_for(&mut self, user: &str, identifier: &str) -> bool {
        !self.take(user, |wait| *wait.registration.identifier == *identifier).is_empty()
    }

    /// Drops the pushes to a user's registrations that `exists` does not know. Returns whether there were any.
    pub fn retain(&mut self, user: &str, exists: impl Fn(&str) -> bool) -> bool {
        !self.take(user, |wait| !exists(&wait.registration.identifier)).is_empty()
    }

    /// Returns all pushes that wait.
    pub fn iter(&self) -> impl Iterator<Item = &Wait<P>> {
        self.waits.values()
    }

    /// Returns the pushes to a user's devices.
    pub fn of_user(&self, user: &str) -> impl Iterator<Item = &Wait<P>> {
        self.users.get(user).into_iter().flatten().filter_map(|key| self.waits.get(key))
    }

    fn take(&mut self, user: &str, mut is_it: impl FnMut(&mut Wait<P>) -> bool) -> Vec<Wait<P>> {
        let keys: Vec<_> = self.users.get(user).into_iter().flatten().copied().collect();
        let taken: Vec<_> = keys.into_iter().filter(|key| self.waits.get_mut(key).is_some_and(&mut is_it)).collect();
        taken.into_iter().filter_map(|key| self.remove(key)).collect()
    }

    fn remove(&mut self, key: Key) -> Option<Wait<P>> {
        let wait = self.waits.remove(&key)?;
        self.bytes -= size(&wait);
        if let Some(keys) = self.users.get_mut(&wait.user) {
            keys.remove(&key);
            if keys.is_empty() {
                self.users.remove(&wait.user);
            }
        }
        Some(wait)
    }
}

/// Returns the bytes of the content of a push.
fn size<P: Protocol>(wait: &Wait<P>) -> usize {
    wait.content.as_ref().map_or(0, |Content { from, body, .. }| {
        let text = |text: &Option<Box<str>>| text.as_ref().map_or(0, |text| text.len());
        DRAFT + text(from) + text(body)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xep0357::asked::Asked;
    use crate::xep0357::{Payload, Xep0357};

    fn wait(device: &str, until: Millis, has_content: bool) -> Wait<Xep0357> {
        Wait {
            user: "romeo".into(),
            registration: Rc::new(Registration::new(device, "push.example", Asked::default(), 1)),
            until: Moment { wall: 0, mono: until },
            messages: vec![until],
            tells: Tells::default(),
            content: has_content.then_some(Content { draft: Payload::Summary, from: None, body: None }),
        }
    }

    #[test]
    fn pushes_without_content_leave_together_when_the_first_is_due() {
        let mut waiting = Waits::default();
        for (device, until, has_content) in
            [("phone", 5, false), ("phone", 6, false), ("phone", 7, true), ("tablet", 8, false), ("phone", 9, true)]
        {
            waiting.put(wait(device, until, has_content));
        }
        assert_eq!(waiting.next_due(), Some(5));
        assert!(waiting.due(4).is_empty());
        let due = waiting.due(8);
        assert_eq!(due.iter().map(|wait| wait.messages.clone()).collect::<Vec<_>>(), [vec![5, 6], vec![7], vec![8]]);
        assert!(waiting.drop_for("romeo", "phone") && !waiting.drop_for("romeo", "phone"));
        assert!(waiting.waits.is_empty() && waiting.users.is_empty());
    }

    #[test]
    fn content_is_bounded() {
        let mut waiting = Waits::default();
        for until in 0..2 * OF_DEVICE as Millis {
            waiting.put(wait("phone", until, true));
        }
        assert_eq!(waiting.of_user("romeo").count(), OF_DEVICE + 1);
        for i in 0..2000 {
            let mut large = wait(&format!("device{i}"), 1, true);
            large.content = large.content.map(|content| Content { body: Some("x".repeat(8192).into()), ..content });
            waiting.put(large);
        }
        assert!(waiting.bytes <= BYTES && waiting.waits.len() > 2000);
        waiting.retain("romeo", |_| false);
        assert_eq!(waiting.bytes, 0);
    }
}
