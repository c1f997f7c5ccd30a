//! A user's bookmarks (XEP-0402), as far as the rules need them: five bytes for each, with a hash of its JID and its setting.
//!
//! With 38 bits of hash and 200 bookmarks, a chat that is not bookmarked is mistaken for one that is in one of a thousand
//! million cases.

use crate::rules::settings::Setting;
use crate::time::{Millis, Moment, SECOND};

/// The time until bookmarks that could not be read are read again.
const RETRY: Millis = 60 * SECOND;

/// The bookmarks of one user.
#[derive(Debug, Default)]
pub enum Bookmarks {
    /// They have not been read yet.
    #[default]
    NotRead,
    /// They have changed in an unknown way, and have to be read anew.
    Changed,
    /// They could not be read at this time, by the monotonic clock.
    Unreadable(Millis),
    /// Sorted.
    Known(Box<[Entry]>),
}

/// The upper bits are the hash, the lower bits the setting.
type Entry = [u8; 5];

/// The bits of an entry: those of the setting, and those of the hash.
const SETTING_BITS: u32 = 2;
const HASH_BITS: u32 = 8 * size_of::<Entry>() as u32 - SETTING_BITS;

impl Bookmarks {
    /// Takes all bookmarks, by the hashes of their JIDs.
    pub fn new(bookmarks: impl Iterator<Item = (u64, Setting)>) -> Self {
        let mut entries: Vec<_> = bookmarks.map(|(jid, setting)| entry(jid, setting)).collect();
        entries.sort_unstable();
        entries.dedup_by_key(|entry| hash(entry));
        Bookmarks::Known(entries.into())
    }

    /// Whether they are known, as the store has them.
    pub fn are_known(&self) -> bool {
        matches!(self, Bookmarks::Known(_))
    }

    /// Whether it is time to read them again.
    pub fn are_stale(&self, now: Moment) -> bool {
        match self {
            Bookmarks::Changed => true,
            Bookmarks::Unreadable(at) => now.mono >= at + RETRY,
            Bookmarks::NotRead | Bookmarks::Known(_) => false,
        }
    }

    /// Returns the setting for the chat whose JID has the hash that `jid` returns. Most users have no bookmark, and need no hash.
    pub fn setting(&self, jid: impl FnOnce() -> u64) -> Setting {
        let Bookmarks::Known(entries) = self else { return Setting::NotKnown };
        if entries.is_empty() {
            return Setting::NotBookmarked;
        }
        match find(entries, jid()) {
            Ok(at) => setting(&entries[at]),
            Err(_) => Setting::NotBookmarked,
        }
    }

    /// Notes a bookmark that was published. The node keeps `most` items, and drops others without an event.
    pub fn put(&mut self, jid: u64, setting: Setting, most: usize) {
        self.change(|entries| match find(entries, jid) {
            Ok(at) => entries[at] = entry(jid, setting),
            Err(at) => entries.insert(at, entry(jid, setting)),
        });
        if matches!(self, Bookmarks::Known(entries) if entries.len() > most) {
            self.changed();
        }
    }

    /// Notes that a bookmark was retracted.
    pub fn remove(&mut self, jid: u64) {
        self.change(|entries| {
            if let Ok(at) = find(entries, jid) {
                entries.remove(at);
            }
        });
    }

    /// Notes that they have to be read anew before the next event.
    pub fn changed(&mut self) {
        *self = Bookmarks::Changed;
    }

    fn change(&mut self, change: impl FnOnce(&mut Vec<Entry>)) {
        if let Bookmarks::Known(known) = self {
            let mut entries = std::mem::take(known).into_vec();
            change(&mut entries);
            *known = entries.into();
        } else {
            // Bookmarks that could not be read may be readable now.
            self.changed();
        }
    }
}

fn find(entries: &[Entry], jid: u64) -> Result<usize, usize> {
    let wanted = jid >> (u64::BITS - HASH_BITS);
    entries.binary_search_by_key(&wanted, hash)
}

fn entry(jid: u64, setting: Setting) -> Entry {
    let code = match setting {
        Setting::Unset | Setting::NotBookmarked | Setting::NotKnown => 0,
        Setting::Never => 1,
        Setting::OnMention => 2,
        Setting::Always => 3,
    };
    let bytes = (jid >> (u64::BITS - HASH_BITS) << SETTING_BITS | code).to_be_bytes();
    let mut entry = Entry::default();
    entry.copy_from_slice(&bytes[bytes.len() - size_of::<Entry>()..]);
    entry
}

fn hash(entry: &Entry) -> u64 {
    let mut bytes = [0; size_of::<u64>()];
    bytes[size_of::<u64>() - size_of::<Entry>()..].copy_from_slice(entry);
    u64::from_be_bytes(bytes) >> SETTING_BITS
}

fn setting(entry: &Entry) -> Setting {
    match entry[size_of::<Entry>() - 1] & ((1 << SETTING_BITS) - 1) {
        1 => Setting::Never,
        2 => Setting::OnMention,
        3 => Setting::Always,
        _ => Setting::Unset,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::hash::{BuildHasher, RandomState};

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const SETTINGS: [Setting; 4] = [Setting::Unset, Setting::Never, Setting::OnMention, Setting::Always];

    proptest! {
        #[test]
        fn each_chat_has_the_setting_that_came_last(
            first in vec((0..40u8, 0..4usize), 0..40),
            changes in vec((0..40u8, prop::option::of(0..4usize)), 0..60),
        ) {
            let hasher = RandomState::new();
            let first: HashMap<u8, Setting> = first.into_iter().map(|(jid, code)| (jid, SETTINGS[code])).collect();
            let mut bookmarks = Bookmarks::new(first.iter().map(|(jid, setting)| (hasher.hash_one(jid), *setting)));
            let mut expected = first;
            for (jid, change) in changes {
                match change {
                    Some(code) => {
                        expected.insert(jid, SETTINGS[code]);
                        bookmarks.put(hasher.hash_one(jid), SETTINGS[code], 40);
                    }
                    None => {
                        expected.remove(&jid);
                        bookmarks.remove(hasher.hash_one(jid));
                    }
                }
            }
            for jid in 0..40u8 {
                let expected = expected.get(&jid).copied().unwrap_or(Setting::NotBookmarked);
                prop_assert_eq!(bookmarks.setting(|| hasher.hash_one(jid)), expected);
            }
        }
    }

    #[test]
    fn more_bookmarks_than_the_node_keeps_are_read_anew() {
        let now = Moment::default();
        let mut bookmarks = Bookmarks::new((0..3).map(|jid| (jid << 32, Setting::Never)));
        bookmarks.put(0, Setting::Always, 3);
        assert!(!bookmarks.are_stale(now));
        bookmarks.put(9 << 32, Setting::Always, 3);
        assert!(bookmarks.are_stale(now));
        assert_eq!(bookmarks.setting(|| 0), Setting::NotKnown, "until then there is no setting");
    }

    #[test]
    fn bookmarks_that_cannot_be_read_are_tried_again_in_a_minute_or_when_they_change() {
        let now = Moment { wall: 0, mono: 5 * SECOND };
        let mut bookmarks = Bookmarks::Unreadable(now.mono);
        assert!(!bookmarks.are_stale(now) && bookmarks.are_stale(now.after(RETRY)));
        assert_eq!(bookmarks.setting(|| 0), Setting::NotKnown);
        bookmarks.put(0, Setting::Never, 10);
        assert!(bookmarks.are_stale(now));
    }
}
