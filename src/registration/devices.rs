//! A user's registrations: their order, their limit, and their replacement by new ones.

use std::rc::Rc;

use super::{Asked, Registration};
use crate::time::{DAY, SECOND, Seconds};

/// Some of a user's registrations, in their order.
pub type Slice<A> = [Rc<Registration<A>>];

/// A user's registrations, the oldest first.
#[derive(Debug)]
pub struct Devices<A> {
    all: Rc<Slice<A>>,
    /// The account is disabled: no device is woken until it is enabled again.
    pub is_disabled: bool,
}

impl<A> Clone for Devices<A> {
    fn clone(&self) -> Self {
        Devices { all: self.all.clone(), is_disabled: self.is_disabled }
    }
}

impl<A> Default for Devices<A> {
    fn default() -> Self {
        Devices { all: Rc::new([]), is_disabled: false }
    }
}

impl<A: Asked> Devices<A> {
    /// Sorts registrations by age and keeps the newest `limit`. Registrations of the same second, which [`admit`] avoids, are
    /// sorted by name, so that a restart does not change the order.
    pub fn new(mut registrations: Vec<Registration<A>>, limit: usize) -> Self {
        registrations.sort_by(|a, b| (a.timestamp, &a.identifier).cmp(&(b.timestamp, &b.identifier)));
        let all = Devices { all: registrations.into_iter().map(Rc::new).collect(), is_disabled: false };
        Devices { all: all.split(limit).1.into(), is_disabled: false }
    }

    /// Returns the surplus registrations, and the newest `limit` ones.
    pub fn split(&self, limit: usize) -> (&Slice<A>, &Slice<A>) {
        self.all.split_at(self.all.len().saturating_sub(limit))
    }

    /// Returns these registrations. Equal ones are taken from `known`, so that values derived from them are kept.
    pub fn keeping(&self, known: &Devices<A>) -> Devices<A> {
        let keep = |new: &Rc<Registration<A>>| match known.get(&new.identifier) {
            Some(old) if old == new => old.clone(),
            Some(old) => {
                new.last_success.set(old.last_success.get());
                new.clone()
            }
            None => new.clone(),
        };
        Devices { all: self.iter().map(keep).collect(), is_disabled: self.is_disabled }
    }

    /// Iterates over the registrations, the oldest first.
    pub fn iter(&self) -> std::slice::Iter<'_, Rc<Registration<A>>> {
        self.all.iter()
    }

    /// Returns the registration with that key in the store.
    pub fn get(&self, identifier: &str) -> Option<&Rc<Registration<A>>> {
        self.all.iter().find(|registration| &*registration.identifier == identifier)
    }

    /// Returns the newest registration of a client, by its user agent id (XEP-0388 §2.4) or, without one, by its resource.
    pub fn of_client(&self, client_id: Option<&str>, resource: &str) -> Option<&Rc<Registration<A>>> {
        self.all.iter().rev().find(|device| A::is_of_client(device, client_id, resource))
    }

    /// Returns the registrations to remove when `newest` is stored: first the same device under another identifier, then, where
    /// more than `limit` are left, those that may belong to the same client, and the oldest.
    fn superseded(&self, newest: &str, limit: usize) -> Vec<&Rc<Registration<A>>> {
        let newest = self.get(newest);
        let is_like_newest = |other: &Registration<A>, like: fn(&Registration<A>, &Registration<A>) -> bool| {
            newest.is_some_and(|newest| {
                other.identifier != newest.identifier && other.jid() == newest.jid() && like(other, newest)
            })
        };
        let (same, mut others): (Vec<_>, Vec<_>) =
            self.all.iter().partition(|other| is_like_newest(other, A::is_same_device));
        others.sort_by_key(|other| !is_like_newest(other, A::may_be_same_client));
        let surplus = others.len().saturating_sub(limit);
        same.into_iter().chain(others.into_iter().take(surplus)).collect()
    }

    /// Returns the registration if it may be enabled again without writing its new time: it is the user's newest, was written
    /// in the last day, and replaces none. The new time would not change the order.
    pub fn current(&self, identifier: &str, now: Seconds, limit: usize) -> Option<&Rc<Registration<A>>> {
        let is_fresh = |at| at <= now && now.saturating_sub(at) < (DAY / SECOND) as Seconds;
        let newest =
            self.all.last().filter(|newest| *newest.identifier == *identifier && is_fresh(newest.timestamp))?;
        self.superseded(identifier, limit).is_empty().then_some(newest)
    }
}

/// Returns the timestamp to store for `newest`, which is among the `registrations` of a user, and the registrations that it
/// replaces. The timestamp is later than every other's, so that the store keeps the order of two registrations that are made
/// within a second.
pub fn admit<A: Asked>(
    mut registrations: Vec<Registration<A>>,
    newest: &str,
    now: Seconds,
    limit: usize,
) -> (Seconds, Vec<Rc<Registration<A>>>) {
    let others = registrations.iter().filter(|other| *other.identifier != *newest);
    let timestamp = others.map(|other| other.timestamp.saturating_add(1)).fold(now, Seconds::max);
    for registration in registrations.iter_mut().filter(|registration| *registration.identifier == *newest) {
        registration.timestamp = timestamp;
    }
    let devices = Devices::new(registrations, usize::MAX);
    (timestamp, devices.superseded(newest, limit).into_iter().cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xep0357::asked;

    const NOW: Seconds = 1_800_000_000;

    fn enabled(times: &[(&str, Seconds)]) -> Vec<Registration<asked::Asked>> {
        let device = |(node, at): &(&str, Seconds)| {
            asked::registration(&format!("push.example<{node}"), "push.example", Some(node), None, *at)
        };
        times.iter().map(device).collect()
    }

    fn is_current(times: &[(&str, Seconds)], limit: usize) -> bool {
        Devices::new(enabled(times), usize::MAX).current("push.example<phone", NOW, limit).is_some()
    }

    #[test]
    fn the_newest_registration_is_current_for_a_day() {
        assert!(is_current(&[("phone", NOW)], 5));
        assert!(is_current(&[("phone", NOW - 86_399), ("tablet", NOW - 90_000)], 5));
        assert!(!is_current(&[("phone", NOW - 86_400)], 5));
        assert!(!is_current(&[("phone", Seconds::MIN)], 5));
    }

    #[test]
    fn a_registration_is_not_current_if_its_time_changes_an_order_or_the_clock_stepped_back() {
        assert!(!is_current(&[("phone", NOW - 1), ("tablet", NOW)], 5));
        assert!(!is_current(&[("phone", NOW + 1)], 5));
        assert!(!is_current(&[], 5));
    }

    #[test]
    fn a_registration_is_not_current_if_others_have_to_go() {
        let three = [("tablet", NOW - 3), ("watch", NOW - 2), ("phone", NOW - 1)];
        assert!(is_current(&three, 3));
        assert!(!is_current(&three, 2));
    }
}
