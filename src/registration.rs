//! A registration: what a client enabled so that its device is woken. And a user's registrations.

use std::rc::Rc;

use jid::Jid;

use crate::element::Element;

/// Seconds since 1970, as the store has them.
pub type Seconds = i64;

/// One device's registration, the part of the stored record that rules need.
#[derive(Debug, PartialEq, Eq)]
pub struct Registration {
    /// Key in the store, and in a session's `push_identifier`.
    pub identifier: Rc<str>,
    /// The app server.
    pub jid: Rc<str>,
    pub node: Option<Box<str>>,
    /// The form to send along with every push.
    pub options: Option<Element>,
    /// When it was enabled last; orders a user's registrations.
    pub timestamp: Seconds,
}

/// A user's registrations, the oldest first.
#[derive(Clone, Debug, Default)]
pub struct Devices(Vec<Rc<Registration>>);

impl Devices {
    /// Puts registrations in order and keeps the newest `limit`. The order of those made in the same second, which
    /// [`timestamp`](Devices::timestamp) avoids, is by name, so that it is the same after a restart.
    pub fn new(mut registrations: Vec<Registration>, limit: usize) -> Self {
        registrations.sort_by(|a, b| (a.timestamp, &a.identifier).cmp(&(b.timestamp, &b.identifier)));
        let surplus = registrations.len().saturating_sub(limit);
        Devices(registrations.into_iter().skip(surplus).map(Rc::new).collect())
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Rc<Registration>> {
        self.0.iter()
    }

    pub fn get(&self, identifier: &str) -> Option<&Rc<Registration>> {
        self.0.iter().find(|registration| &*registration.identifier == identifier)
    }

    /// The time to store for a registration that is made now: later than every other's, so that their order can be
    /// told from the store even when two are made within one second.
    pub fn timestamp(&self, identifier: &str, now: Seconds) -> Seconds {
        let others = self.0.iter().filter(|other| &*other.identifier != identifier);
        others.map(|other| other.timestamp.saturating_add(1)).fold(now, Seconds::max)
    }

    /// The oldest, where there are more than `limit`.
    pub fn surplus(&self, limit: usize) -> impl Iterator<Item = &Rc<Registration>> {
        self.0.iter().take(self.0.len().saturating_sub(limit))
    }

    /// What `<disable jid= node=>` means (XEP-0357 §6): without a node, all of that app server.
    pub fn matching(&self, jid: &str, node: Option<&str>) -> impl Iterator<Item = &Rc<Registration>> {
        let normal = Jid::new(jid).ok();
        self.0.iter().filter(move |registration| {
            let same_jid =
                *registration.jid == *jid || normal.as_ref().is_some_and(|n| n.as_str() == &*registration.jid);
            same_jid && node.is_none_or(|node| registration.node.as_deref().unwrap_or("") == node)
        })
    }
}

/// The key of a registration: the reference's.
pub fn identifier(jid: &str, node: Option<&str>) -> String {
    format!("{jid}<{}", node.unwrap_or(""))
}

/// Why a registration is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    MissingJid,
    NotAJid,
    OwnJid,
}

impl Refusal {
    /// For the client, in a `modify/bad-request` (XEP-0357 §5).
    pub fn text(self) -> &'static str {
        match self {
            Refusal::MissingJid => "Missing jid",
            Refusal::NotAJid => "The jid attribute is not a valid JID (RFC 7622)",
            Refusal::OwnJid => "The jid attribute must be the push service's JID, not your own",
        }
    }
}

/// Checks the `jid` of an `<enable>` and gives it in its normal form (RFC 7622), as the app server's answers will
/// have it.
pub fn app_server(jid: Option<&str>, sender: Option<&str>) -> Result<Jid, Refusal> {
    let jid = Jid::new(jid.ok_or(Refusal::MissingJid)?).map_err(|_| Refusal::NotAJid)?;
    if sender == Some(jid.as_str()) {
        return Err(Refusal::OwnJid);
    }
    Ok(jid)
}

/// Whether `jid`, bare or full, is that of `user` on `host`.
pub fn is_account(jid: &str, user: &str, host: &str) -> bool {
    let rest = jid.strip_prefix(user).and_then(|rest| rest.strip_prefix('@')).and_then(|rest| rest.strip_prefix(host));
    rest.is_some_and(|resource| resource.is_empty() || resource.starts_with('/'))
}
