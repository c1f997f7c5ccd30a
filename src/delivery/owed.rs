//! Owed pushes: one for each device and kind, whose push failed on its way or was not tried while the app server was away.
//!
//! An owed push is sent again at growing intervals and then every ten minutes, until the app server takes it, the client comes
//! back, the user has read its messages elsewhere, or the registration ends. A call is sent again for half a minute only: after
//! that it has been missed. From then on the push for the end of a call is no longer marked as a call.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use crate::memory::calls::CallKey;
use crate::memory::unread::{Place, Tells};
use crate::protocol::Protocol;
use crate::registration::Registration;
use crate::rules::importance::Kind;
use crate::time::{Millis, SECOND};

/// The time from the first failure to the next try.
const FIRST: Millis = 4 * SECOND;
/// The number of tries at growing times: the first after [`FIRST`], each other one after twice the time before.
const DOUBLINGS: u32 = 8;
/// The time between later tries.
const REST: Millis = 600 * SECOND;
/// How long a call is sent again.
const CALL: Millis = 30 * SECOND;
/// Bytes of payloads that are kept, for all devices; a push beyond them is sent again without its content.
const BYTES: usize = 4 * 1024 * 1024;

/// The earlier tries of an owed push.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tries {
    pub failed: u32,
    /// When the push was first sent, or was owed without a try; by the monotonic clock, like `newest`.
    pub since: Millis,
    /// When the newest message that the push covers was pushed, or would have been.
    pub newest: Millis,
}

/// A push that is owed.
#[derive(Clone, Debug)]
pub struct Debt<P: Protocol> {
    pub user: Rc<str>,
    pub registration: Rc<Registration<P::Asked>>,
    pub kind: Kind,
    /// The payload, if it can be sent again and is still known.
    pub payload: Option<P::Payload>,
    /// The call that the push is about.
    pub call: Option<CallKey>,
    pub tells: Tells,
    pub tries: Tries,
}

/// User, registration, kind.
type Key = (Rc<str>, Rc<str>, Kind);

/// The pushes that one user's devices are owed, by registration and kind, and when each is due.
type Debts<P> = BTreeMap<(Rc<str>, Kind), (Debt<P>, Option<Millis>)>;

/// All owed pushes of a host.
pub struct Owed<P: Protocol> {
    /// By user, so that one user's pushes do not slow down another's. A push without a due time waits for its app server.
    users: HashMap<Rc<str>, Debts<P>>,
    due: BTreeSet<(Millis, Key)>,
    app_servers: HashMap<Box<str>, AppServer>,
    /// The app servers that are back and whose pushes leave.
    back: Vec<Box<str>>,
    len: usize,
    bytes: usize,
}

/// The pushes that are owed to the devices of one app server.
#[derive(Default)]
struct AppServer {
    owed: usize,
    /// The pushes that wait for the app server, the most important first, and among these the ones that failed least often
    /// first.
    parked: BTreeMap<Reverse<Kind>, BTreeSet<Parked>>,
    back: Option<Back>,
}

/// How often the push has failed, the user, and the device.
type Parked = (u32, Rc<str>, Rc<str>);

/// An app server that is back. The pushes that have waited for it leave one by one, because there may be thousands.
struct Back {
    since: Millis,
    /// Pushes a second.
    rate: u64,
    left: u64,
}

impl AppServer {
    fn park(&mut self, failed: u32, (user, device, kind): &Key) {
        self.parked.entry(Reverse(*kind)).or_default().insert((failed, user.clone(), device.clone()));
    }

    fn unpark(&mut self, failed: u32, (user, device, kind): &Key) {
        if let Some(of_kind) = self.parked.get_mut(&Reverse(*kind)) {
            of_kind.remove(&(failed, user.clone(), device.clone()));
            if of_kind.is_empty() {
                self.parked.remove(&Reverse(*kind));
            }
        }
    }

    /// Returns the first push of each kind, with the number of its failures.
    fn firsts(&self) -> impl Iterator<Item = (u32, Key)> {
        self.parked.iter().filter_map(|(Reverse(kind), of_kind)| {
            let (failed, user, device) = of_kind.first()?;
            Some((*failed, (user.clone(), device.clone(), *kind)))
        })
    }

    /// Returns the push that leaves next, and when, if the app server is back.
    fn next(&self) -> Option<(Millis, Key)> {
        let back = self.back.as_ref()?;
        let (_, key) = self.firsts().next()?;
        // In steps of a tenth of a second, because a timer for each push would be too many.
        Some((back.since + back.left * 10 / back.rate * SECOND / 10, key))
    }
}

/// Returns the time until the next try of a push that had failed `failed` times before its last failure.
pub fn delay(failed: u32) -> Millis {
    if failed < DOUBLINGS { FIRST << failed } else { REST }
}

impl<P: Protocol> Default for Owed<P> {
    fn default() -> Self {
        Owed {
            users: HashMap::new(),
            due: BTreeSet::new(),
            app_servers: HashMap::new(),
            back: Vec::new(),
            len: 0,
            bytes: 0,
        }
    }
}

impl<P: Protocol> Owed<P> {
    /// Owes a push that failed or is not tried. If `parked`, its app server is away, and the push waits for
    /// [`unpark`](Owed::unpark). Returns the time until the next try; `None` if the push waits, or is too late for its call.
    pub fn put(&mut self, now: Millis, mut debt: Debt<P>, parked: bool) -> Option<Millis> {
        if parked || now + delay(debt.tries.failed) > debt.tries.since + CALL {
            if debt.kind == Kind::Call {
                return None;
            }
            // By now no device rings, and a platform shows a push that is marked as a call. So a plain push is sent in its place.
            debt.payload = debt.payload.filter(|payload| !P::is_of_call(payload));
        }
        if parked {
            self.stop(debt.registration.jid());
        }
        let mut due = (!parked).then(|| now + delay(debt.tries.failed));
        if let Some((before, was_due)) = self.remove(&key(&debt)) {
            // One push for two messages is plain.
            debt.payload = debt.payload.filter(|payload| before.payload.as_ref() == Some(payload));
            debt.tells.add(&before.tells);
            debt.tries.since = debt.tries.since.min(before.tries.since);
            debt.tries.newest = debt.tries.newest.max(before.tries.newest);
            if before.tries.failed > debt.tries.failed {
                debt.tries.failed = before.tries.failed;
                due = due.and(was_due.or(due));
            }
        }
        self.insert(debt, due);
        due.map(|due| due.saturating_sub(now))
    }

    /// Takes out pushes that are due by `until`, a few at a time and the most important of these first. Each is sent, and put again
    /// if it fails.
    pub fn due(&mut self, until: Millis) -> Vec<Debt<P>> {
        /// Pushes that leave in one turn of the server's event loop.
        const AT_ONCE: usize = 10;
        let mut due = Vec::new();
        while due.len() < AT_ONCE
            && let Some((at, key)) = self.next()
            && at <= until
        {
            let Some((debt, was_due)) = self.remove(&key) else { break };
            if was_due.is_none()
                && let Some(back) = self.app_servers.get_mut(debt.registration.jid()).and_then(|at| at.back.as_mut())
            {
                back.left += 1;
            }
            due.push(debt);
        }
        due.sort_by_key(|debt| Reverse(debt.kind));
        due
    }

    /// Returns when [`due`](Owed::due) has something to return.
    pub fn next_due(&self) -> Option<Millis> {
        self.next().map(|(due, _)| due)
    }

    /// Drops the pushes that a device no longer needs, because it was notified by a push of `kind` that left at `sent`: the
    /// pushes of the same kind or a lesser one for earlier messages. Returns whether there were any.
    pub fn told(&mut self, user: &Rc<str>, identifier: &Rc<str>, kind: Kind, sent: Millis) -> bool {
        let debts = self.users.get(user);
        let is_told = |kind: &Kind| {
            let debt = debts.and_then(|debts| debts.get(&(identifier.clone(), *kind)));
            debt.is_some_and(|(debt, _)| debt.tries.newest < sent)
        };
        let told: Vec<_> = Kind::ALL.into_iter().filter(|lesser| *lesser <= kind).filter(is_told).collect();
        for kind in &told {
            self.remove(&(user.clone(), identifier.clone(), *kind));
        }
        !told.is_empty()
    }

    /// Notes that the user has read a chat. Drops the pushes that cover nothing else, and returns their devices.
    pub fn read(&mut self, user: &Rc<str>, place: Place) -> Vec<Rc<str>> {
        let debts = self.users.get_mut(user).into_iter().flatten();
        let read =
            debts.filter_map(|((device, kind), (debt, _))| debt.tells.read(place).then(|| (device.clone(), *kind)));
        let read: Vec<_> = read.collect();
        for (device, kind) in &read {
            self.remove(&(user.clone(), device.clone(), *kind));
        }
        read.into_iter().map(|(device, _)| device).collect()
    }

    /// Sets the messages that an owed push covered before a reload.
    pub fn tells(&mut self, user: &Rc<str>, identifier: &Rc<str>, kind: Kind, tells: Tells) {
        let debts = self.users.get_mut(user);
        if let Some((debt, _)) = debts.and_then(|debts| debts.get_mut(&(identifier.clone(), kind))) {
            debt.tells = tells;
        }
    }

    /// Drops all pushes to a device whose client is back. Returns whether there were any.
    pub fn drop_for(&mut self, user: &Rc<str>, identifier: &Rc<str>) -> bool {
        self.told(user, identifier, Kind::Call, Millis::MAX)
    }

    /// Drops the pushes to a user's registrations that `exists` does not know. Returns whether there were any.
    pub fn retain(&mut self, user: &str, exists: impl Fn(&str) -> bool) -> bool {
        let of_user = self.users.get_key_value(user);
        let gone =
            of_user.into_iter().flat_map(|(user, debts)| debts.keys().map(move |(device, kind)| (user, device, kind)));
        let gone: Vec<Key> = gone
            .filter(|(_, device, _)| !exists(device))
            .map(|(user, device, kind)| (user.clone(), device.clone(), *kind))
            .collect();
        for key in &gone {
            self.remove(key);
        }
        !gone.is_empty()
    }

    /// Lets the pushes that wait for an app server leave: the most important first, `rate` a second. Returns how many wait.
    pub fn unpark(&mut self, now: Millis, app_server: &str, rate: u32) -> usize {
        let Some(at) = self.app_servers.get_mut(app_server).filter(|at| !at.parked.is_empty()) else { return 0 };
        if at.back.is_none() {
            at.back = Some(Back { since: now, rate: rate.max(1).into(), left: 0 });
            self.back.push(app_server.into());
        }
        self.parked_at(app_server)
    }

    /// Takes out one push that waits for an app server, to find out whether it is back: the most important of those that were tried
    /// least often, since the app server may fail to reach one device only.
    pub fn probe(&mut self, app_server: &str) -> Option<Debt<P>> {
        let (_, key) = self.app_servers.get(app_server)?.firsts().min_by_key(|(failed, _)| *failed)?;
        self.remove(&key).map(|(debt, _)| debt)
    }

    /// Returns how many pushes wait for an app server.
    pub fn parked_at(&self, app_server: &str) -> usize {
        self.app_servers.get(app_server).map_or(0, |at| at.parked.values().map(BTreeSet::len).sum())
    }

    /// Returns the app servers to whose devices pushes are owed, and how many.
    pub fn app_servers(&self) -> impl Iterator<Item = (&str, usize)> {
        self.app_servers.iter().map(|(jid, at)| (&**jid, at.owed))
    }

    /// Returns how many pushes are owed.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns all owed pushes.
    pub fn iter(&self) -> impl Iterator<Item = &Debt<P>> {
        self.users.values().flat_map(|debts| debts.values().map(|(debt, _)| debt))
    }

    /// Returns the pushes that a user's devices are owed.
    pub fn of_user(&self, user: &str) -> impl Iterator<Item = &Debt<P>> {
        self.users.get(user).into_iter().flat_map(|debts| debts.values().map(|(debt, _)| debt))
    }

    /// Returns the push that leaves next, and when.
    fn next(&self) -> Option<(Millis, Key)> {
        let back = self.back.iter().filter_map(|jid| self.app_servers.get(jid)?.next());
        back.chain(self.due.first().cloned()).min_by_key(|(at, _)| *at)
    }

    /// Lets no more of the pushes that wait for an app server leave: it is away again, or no push is left.
    fn stop(&mut self, app_server: &str) {
        if self.app_servers.get_mut(app_server).is_some_and(|at| at.back.take().is_some()) {
            self.back.retain(|jid| **jid != *app_server);
        }
    }

    fn insert(&mut self, mut debt: Debt<P>, due: Option<Millis>) {
        if self.bytes + size(&debt) > BYTES {
            debt.payload = None;
        }
        self.bytes += size(&debt);
        self.len += 1;
        let key @ (user, device, kind) = &key(&debt);
        let at = self.app_servers.entry(debt.registration.jid().into()).or_default();
        at.owed += 1;
        match due {
            Some(due) => {
                self.due.insert((due, key.clone()));
            }
            None => at.park(debt.tries.failed, key),
        }
        self.users.entry(user.clone()).or_default().insert((device.clone(), *kind), (debt, due));
    }

    fn remove(&mut self, key @ (user, device, kind): &Key) -> Option<(Debt<P>, Option<Millis>)> {
        let debts = self.users.get_mut(user)?;
        let (debt, due) = debts.remove(&(device.clone(), *kind))?;
        if debts.is_empty() {
            self.users.remove(user);
        }
        let jid = debt.registration.jid();
        if let Some(at) = self.app_servers.get_mut(jid) {
            at.owed -= 1;
            match due {
                Some(due) => {
                    self.due.remove(&(due, key.clone()));
                }
                None => at.unpark(debt.tries.failed, key),
            }
            let (is_settled, has_left) = (at.owed == 0, at.parked.is_empty());
            if has_left {
                self.stop(jid);
            }
            if is_settled {
                self.app_servers.remove(jid);
            }
        }
        self.len -= 1;
        self.bytes -= size(&debt);
        Some((debt, due))
    }
}

fn key<P: Protocol>(debt: &Debt<P>) -> Key {
    (debt.user.clone(), debt.registration.identifier.clone(), debt.kind)
}

fn size<P: Protocol>(debt: &Debt<P>) -> usize {
    debt.payload.as_ref().and_then(P::kept).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xep0357::Xep0357;
    use crate::xep0357::asked;

    fn debt(device: &str, kind: Kind, failed: u32) -> Debt<Xep0357> {
        let registration =
            asked::registration(&format!("push.example<{device}"), "push.example", Some(device), None, 1);
        Debt {
            user: "romeo".into(),
            registration: registration.into(),
            kind,
            payload: None,
            call: None,
            tells: Tells::default(),
            tries: Tries { failed, since: 0, newest: 1 },
        }
    }

    fn nodes(debts: &[Debt<Xep0357>]) -> Vec<(&str, Kind)> {
        debts.iter().map(|debt| (debt.registration.node().unwrap_or(""), debt.kind)).collect()
    }

    #[test]
    fn a_push_is_repeated_with_growing_delays_up_to_ten_minutes() {
        let delays: Vec<_> = (0..11).map(|failed| delay(failed) / SECOND).collect();
        assert_eq!(delays, [4, 8, 16, 32, 64, 128, 256, 512, 600, 600, 600]);
    }

    #[test]
    fn a_device_is_owed_one_push_of_a_kind() {
        let mut owed = Owed::<Xep0357>::default();
        for kind in [Kind::Silent, Kind::Important, Kind::Important] {
            assert_eq!(owed.put(0, debt("a", kind, 0), false), Some(4 * SECOND));
        }
        assert_eq!((owed.len(), owed.next_due()), (2, Some(4 * SECOND)));
        assert!(owed.due(4 * SECOND - 1).is_empty());
        assert_eq!(owed.due(4 * SECOND).len(), 2);
        assert!(owed.is_empty() && owed.users.is_empty() && owed.due.is_empty());
    }

    #[test]
    fn the_delay_does_not_start_again_with_the_next_message() {
        let mut owed = Owed::<Xep0357>::default();
        assert_eq!(owed.put(0, debt("a", Kind::Important, 5), false), Some(128 * SECOND));
        assert_eq!(owed.put(8 * SECOND, debt("a", Kind::Important, 0), false), Some(120 * SECOND));
        assert_eq!(owed.due(128 * SECOND)[0].tries.failed, 5);
    }

    #[test]
    fn a_call_is_owed_for_half_a_minute() {
        let mut owed = Owed::<Xep0357>::default();
        assert_eq!(owed.put(0, debt("a", Kind::Call, 0), false), Some(4 * SECOND));
        assert_eq!(owed.put(4 * SECOND, debt("b", Kind::Call, 1), false), Some(8 * SECOND));
        assert_eq!(owed.put(12 * SECOND, debt("c", Kind::Call, 2), false), Some(16 * SECOND));
        assert_eq!(owed.put(28 * SECOND, debt("d", Kind::Call, 3), false), None);
        assert_eq!(owed.put(0, debt("e", Kind::Call, 0), true), None, "nor is it kept for an app server that is away");
        assert_eq!(owed.len(), 3);
    }

    #[test]
    fn pushes_owed_to_an_app_server_leave_in_order_and_not_all_at_once() {
        let mut owed = Owed::<Xep0357>::default();
        for (device, kind) in [("a", Kind::Silent), ("b", Kind::Important), ("c", Kind::Silent), ("d", Kind::Important)]
        {
            assert_eq!(owed.put(0, debt(device, kind, 0), true), None);
        }
        assert_eq!((owed.parked_at("push.example"), owed.parked_at("other.example"), owed.next_due()), (4, 0, None));
        assert_eq!(nodes(&owed.probe("push.example").into_iter().collect::<Vec<_>>()), [("b", Kind::Important)]);
        assert_eq!(owed.unpark(10 * SECOND, "push.example", 1), 3);
        assert_eq!(nodes(&owed.due(10 * SECOND)), [("d", Kind::Important)]);
        assert_eq!(nodes(&owed.due(11 * SECOND)), [("a", Kind::Silent)]);
        assert_eq!(nodes(&owed.due(12 * SECOND)), [("c", Kind::Silent)]);
        assert!(owed.is_empty() && owed.app_servers.is_empty() && owed.back.is_empty());
    }

    #[test]
    fn what_leaves_to_an_app_server_that_is_away_again_waits_again() {
        let mut owed = Owed::<Xep0357>::default();
        for device in ["a", "b", "c", "d"] {
            owed.put(0, debt(device, Kind::Silent, 0), true);
        }
        assert_eq!(owed.unpark(0, "push.example", 10), 4);
        assert_eq!(owed.unpark(SECOND, "push.example", 10), 4, "it is heard of once more");
        assert_eq!(nodes(&owed.due(0)), [("a", Kind::Silent)]);
        assert_eq!(owed.next_due(), Some(SECOND / 10));
        owed.put(1, debt("a", Kind::Silent, 1), true);
        assert_eq!((owed.next_due(), owed.parked_at("push.example")), (None, 4));
        assert_eq!(nodes(&owed.probe("push.example").into_iter().collect::<Vec<_>>()), [("b", Kind::Silent)]);
        assert_eq!(owed.unpark(SECOND, "push.example", 10), 3);
        assert_eq!(nodes(&owed.due(2 * SECOND)), [("c", Kind::Silent), ("d", Kind::Silent), ("a", Kind::Silent)]);
        assert!(owed.is_empty() && owed.app_servers.is_empty() && owed.back.is_empty());
    }

    #[test]
    fn pushes_are_counted_by_app_server() {
        let mut owed = Owed::<Xep0357>::default();
        for (device, parked) in [("a", false), ("b", true), ("c", true)] {
            owed.put(0, debt(device, Kind::Silent, 0), parked);
            owed.put(0, debt(device, Kind::Silent, 0), !parked);
        }
        assert_eq!(owed.app_servers().collect::<Vec<_>>(), [("push.example", 3)]);
        owed.retain("romeo", |identifier| identifier == "push.example<a");
        assert_eq!(owed.app_servers().collect::<Vec<_>>(), [("push.example", 1)]);
        owed.due(4 * SECOND);
        owed.probe("push.example");
        assert_eq!(owed.app_servers().count(), 0);
    }

    #[test]
    fn an_accepted_push_also_settles_less_important_ones() {
        let (user, device) = ("romeo".into(), "push.example<a".into());
        for (taken, left) in [(Kind::Silent, 1), (Kind::Important, 0), (Kind::Call, 0)] {
            let mut owed = Owed::<Xep0357>::default();
            owed.put(0, debt("a", Kind::Silent, 0), false);
            owed.put(0, debt("a", Kind::Important, 0), true);
            assert!(!owed.told(&user, &device, taken, 1), "it may have left before");
            assert!(owed.told(&user, &device, taken, 2));
            assert_eq!(owed.of_user("romeo").count(), left, "{taken:?}");
        }
    }

    #[test]
    fn nothing_is_owed_to_an_ended_registration() {
        let mut owed = Owed::<Xep0357>::default();
        for device in ["a", "b"] {
            owed.put(0, debt(device, Kind::Silent, 0), device == "a");
        }
        owed.retain("romeo", |identifier| identifier == "push.example<a");
        assert_eq!((owed.len(), owed.parked_at("push.example"), owed.next_due()), (1, 1, None));
        owed.retain("romeo", |_| false);
        assert!(owed.is_empty());
    }
}
