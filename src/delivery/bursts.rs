//! Bursts: a push that brings no news is held.
//!
//! A plain push has no content: it only makes the client connect. While the app server has not answered the last plain push of
//! a kind to a device, or within a second of it, another one brings no news. It is held, and one push stands for all that were
//! held. That push leaves when the answer has come and the second is over, at the latest [`LONGEST_HOLD`] after the first push
//! that it stands for. So a push always follows the last message.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::rc::Rc;

use crate::ids::Id;
use crate::memory::unread::{Place, Tells};
use crate::protocol::Protocol;
use crate::registration::Registration;
use crate::time::Millis;

/// Time between two plain pushes of one kind to one device.
pub const SPACING: Millis = 1000;
/// How long a push is held at most if the app server does not answer.
pub const LONGEST_HOLD: Millis = 10_000;

/// Pushes of one kind, important or not, to one device.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane {
    pub user: Rc<str>,
    pub identifier: Rc<str>,
    pub important: bool,
}

/// A held push that leaves now.
pub struct Released<P: Protocol> {
    pub lane: Lane,
    pub registration: Rc<Registration<P::Asked>>,
    /// The deduplication keys of the messages that the push covers.
    pub messages: Vec<u64>,
    pub tells: Tells,
}

/// The last push of a lane, and the one that is held behind it.
struct Last<P: Protocol> {
    sent: Millis,
    /// The push, until it is answered.
    unanswered: Option<Id>,
    held: Option<Held<P>>,
}

struct Held<P: Protocol> {
    due: Millis,
    registration: Rc<Registration<P::Asked>>,
    messages: Vec<u64>,
    tells: Tells,
}

/// All lanes of a host that were used lately.
pub struct Lanes<P: Protocol> {
    lanes: HashMap<Lane, Last<P>>,
    /// When held pushes are due. An entry is out of date if its lane has another time.
    due: BinaryHeap<Reverse<(Millis, Lane)>>,
    /// Lanes in the order of their last push, so that idle ones are forgotten.
    recent: VecDeque<(Millis, Lane)>,
}

impl<P: Protocol> Default for Lanes<P> {
    fn default() -> Self {
        Lanes { lanes: HashMap::new(), due: BinaryHeap::new(), recent: VecDeque::new() }
    }
}

impl<P: Protocol> Lanes<P> {
    /// Whether a push for `messages` may leave now. Otherwise it is held until [`release`](Lanes::release) returns it.
    pub fn admit(
        &mut self,
        now: Millis,
        lane: &Lane,
        registration: &Rc<Registration<P::Asked>>,
        messages: &[u64],
        tells: &Tells,
    ) -> bool {
        self.forget_idle(now);
        if self.tells_also(lane, messages, tells) {
            return false;
        }
        let Some(last) = self.lanes.get_mut(lane) else { return true };
        let due = match last.unanswered {
            Some(_) => now + LONGEST_HOLD,
            None => last.sent + SPACING,
        };
        if due <= now {
            return true;
        }
        let (registration, messages, tells) = (registration.clone(), messages.to_vec(), tells.clone());
        last.held = Some(Held { due, registration, messages, tells });
        self.due.push(Reverse((due, lane.clone())));
        false
    }

    /// Adds messages to the push that a lane holds. Returns whether it holds one.
    pub fn tells_also(&mut self, lane: &Lane, messages: &[u64], tells: &Tells) -> bool {
        let Some(held) = self.lanes.get_mut(lane).and_then(|last| last.held.as_mut()) else { return false };
        held.messages.extend(messages);
        held.tells.add(tells);
        true
    }

    /// Notes that the user has read a chat. Returns whether the lane held a push that covers nothing else; that push is
    /// dropped.
    pub fn read(&mut self, lane: &Lane, place: Place) -> bool {
        let last = self.lanes.get_mut(lane);
        last.is_some_and(|last| last.held.take_if(|held| held.tells.read(place)).is_some())
    }

    /// Notes a push that left.
    pub fn sent(&mut self, now: Millis, lane: Lane, id: Id) {
        self.recent.push_back((now, lane.clone()));
        self.lanes.insert(lane, Last { sent: now, unanswered: Some(id), held: None });
    }

    /// Notes that a push was answered or withdrawn.
    pub fn landed(&mut self, now: Millis, lane: &Lane, id: Id) {
        let Some(last) = self.lanes.get_mut(lane) else { return };
        if last.unanswered != Some(id) {
            return;
        }
        last.unanswered = None;
        let free = last.sent + SPACING;
        if let Some(held) = &mut last.held {
            held.due = free.max(now);
            self.due.push(Reverse((held.due, lane.clone())));
        } else if free <= now {
            self.lanes.remove(lane);
        }
    }

    /// Drops the held pushes of a device whose client is back.
    pub fn drop_held(&mut self, user: &Rc<str>, identifier: &Rc<str>) {
        for important in [false, true] {
            let lane = Lane { user: user.clone(), identifier: identifier.clone(), important };
            if let Some(last) = self.lanes.get_mut(&lane) {
                last.held = None;
            }
        }
    }

    /// Forgets a user whose account was deleted or disabled.
    pub fn drop_user(&mut self, user: &str) {
        self.lanes.retain(|lane, _| *lane.user != *user);
    }

    /// Takes out the held pushes that are due by `until`. Each has to be noted with [`sent`](Lanes::sent) again.
    pub fn release(&mut self, now: Millis, until: Millis) -> Vec<Released<P>> {
        self.forget_idle(now);
        let mut released = Vec::new();
        while let Some(Reverse((due, _))) = self.due.peek()
            && *due <= until
        {
            let Some(Reverse((due, lane))) = self.due.pop() else { break };
            let Some(last) = self.lanes.get_mut(&lane) else { continue };
            if let Some(held) = last.held.take_if(|held| held.due == due) {
                let Held { registration, messages, tells, .. } = held;
                released.push(Released { lane, registration, messages, tells });
            }
        }
        released
    }

    /// Returns when the next held push is due, at the earliest.
    pub fn next_due(&self) -> Option<Millis> {
        self.due.peek().map(|Reverse((due, _))| *due)
    }

    fn forget_idle(&mut self, now: Millis) {
        while let Some((sent, _)) = self.recent.front()
            && sent + SPACING <= now
        {
            let Some((_, lane)) = self.recent.pop_front() else { break };
            let is_idle =
                |last: &Last<P>| last.unanswered.is_none() && last.held.is_none() && last.sent + SPACING <= now;
            if self.lanes.get(&lane).is_some_and(is_idle) {
                self.lanes.remove(&lane);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xep0357::Xep0357;
    use crate::xep0357::asked::Asked;

    fn lane(node: &str) -> (Lane, Rc<Registration<Asked>>) {
        let registration = Rc::new(Registration::new(node, "push.example", Asked::default(), 1));
        (Lane { user: "romeo".into(), identifier: node.into(), important: true }, registration)
    }

    fn id(n: u8) -> Id {
        Id::from_u128(n.into())
    }

    #[test]
    fn idle_lanes_take_no_memory() {
        let mut lanes = Lanes::<Xep0357>::default();
        for i in 0..100 {
            let (lane, registration) = lane(&i.to_string());
            assert!(lanes.admit(0, &lane, &registration, &[], &Tells::default()));
            lanes.sent(0, lane.clone(), id(i));
            lanes.landed(u64::from(i) * 20, &lane, id(i));
        }
        assert!(lanes.release(SPACING * 3, SPACING * 3).is_empty());
        assert_eq!((lanes.lanes.len(), lanes.due.len(), lanes.recent.len()), (0, 0, 0));
    }

    #[test]
    fn a_held_push_whose_time_was_moved_leaves_once() {
        let mut lanes = Lanes::<Xep0357>::default();
        let (lane, registration) = lane("n");
        lanes.sent(0, lane.clone(), id(1));
        assert!(!lanes.admit(10, &lane, &registration, &[], &Tells::default()));
        assert_eq!(lanes.next_due(), Some(10 + LONGEST_HOLD));
        lanes.landed(20, &lane, id(1));
        assert_eq!(lanes.next_due(), Some(SPACING));
        assert_eq!(lanes.release(SPACING, SPACING).len(), 1);
        lanes.sent(SPACING, lane.clone(), id(2));
        assert!(lanes.release(10 + LONGEST_HOLD, 10 + LONGEST_HOLD).is_empty());
    }
}
