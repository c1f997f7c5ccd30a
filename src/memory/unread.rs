//! How far the user has read each chat, and the newest messages, which read reports refer to. Hashes only, in bounded memory.
//!
//! The messages of a chat have places in the order in which they came. A push covers messages up to one place in each of its
//! chats: that of the newest message. When the user has read a chat up to a place, a push that covers no later message is
//! needless.

use std::hash::Hash;
use std::num::NonZeroU64;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::address::bare;
use crate::memory::seeded;
use crate::rules::facts::{FROM_OCCUPANT, GROUPCHAT, Message};
use crate::rules::read::{Name, Read};

/// Messages remembered for one user, and for one chat of the user.
const MESSAGES: usize = 32;
const MESSAGES_OF_CHAT: usize = 8;
/// For one user: chats that are remembered as read, and chats that are remembered as shown on devices.
const CHATS: usize = 32;
/// Chats that are remembered for one push; a push for more chats is never needless.
const CHATS_OF_PUSH: usize = 32;

/// The place of a message in its chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    chat: u64,
    at: u64,
}

/// The messages that a push covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tells {
    /// The newest message of each chat.
    places: Vec<Place>,
    /// Whether the push also covers something that no read report can refer to.
    more: bool,
}

/// Gives the messages of all users their places.
#[derive(Clone, Serialize, Deserialize)]
pub struct Unread {
    next: u64,
    /// Part of each hash, so that nobody can choose a message with the hash of another.
    seed: u64,
}

/// The newest messages and the read chats of one user, the oldest first.
#[derive(Default, Serialize, Deserialize)]
pub struct Chats {
    newest: Vec<Known>,
    /// Apart, since most users have none of it: there is one of these for each user in memory.
    reports: Option<Box<Reports>>,
}

/// What read reports have said, and what they may take away.
#[derive(Default, Serialize, Deserialize)]
struct Reports {
    read: Vec<Place>,
    /// The newest message of a chat that each device shows.
    shown: Vec<(Rc<str>, Place)>,
}

/// A message, by its ids.
#[derive(Serialize, Deserialize)]
struct Known {
    /// The hash of its deduplication key, which is its id in the archive if it is archived.
    key: u64,
    /// The hash of the id by which a marker names it, with its sender.
    marker: Option<NonZeroU64>,
    /// The hash of the bare JID that it came from.
    from: u64,
    place: Place,
}

impl Place {
    /// Whether a user who has read up to `read` has read this message.
    fn is_read_by(self, read: Place) -> bool {
        self.chat == read.chat && self.at <= read.at
    }
}

impl Tells {
    /// Covers one message; without a place, something that no read report can refer to.
    pub fn new(place: Option<Place>) -> Self {
        Tells { places: place.into_iter().collect(), more: place.is_none() }
    }

    /// Adds the messages that another push covers.
    pub fn add(&mut self, other: &Tells) {
        self.more |= other.more;
        for place in &other.places {
            if let Some(known) = self.places.iter_mut().find(|known| known.chat == place.chat) {
                known.at = known.at.max(place.at);
            } else if self.places.len() < CHATS_OF_PUSH {
                self.places.push(*place);
            } else {
                self.more = true;
            }
        }
    }

    /// Removes the messages that the user has read. Returns whether nothing is left.
    pub fn read(&mut self, read: Place) -> bool {
        self.places.retain(|place| !place.is_read_by(read));
        self.places.is_empty() && !self.more
    }
}

impl Default for Tells {
    fn default() -> Self {
        Tells::new(None)
    }
}

impl Unread {
    /// `seed` is random.
    pub fn new(seed: u64) -> Self {
        Unread { next: 0, seed }
    }

    /// Notes a message to the user with these `chats`, unless it was noted before; `key` is the hash of its deduplication key.
    /// Returns its place, and whether the user has read it. A message without a sender has no place.
    pub fn note(&mut self, chats: &mut Chats, message: &Message, key: u64) -> Option<(Place, bool)> {
        let sender = message.from?;
        let address = bare(sender);
        let marker = message.marked_as().and_then(|id| self.marker(address, id));
        let from = self.hash(address);
        let is_groupchat = message.word & GROUPCHAT != 0;
        let of_one = message.word & FROM_OCCUPANT != 0 && !is_groupchat;
        let chat = if of_one { self.hash(sender) } else { chat(from, is_groupchat) };
        Some(chats.insert(&mut self.next, key, marker, from, chat))
    }

    /// Notes a message that the user sent to `to`, because a read report of another client may refer to it.
    pub fn note_own(&mut self, chats: &mut Chats, to: &str, key: u64) {
        let from = self.hash(bare(to));
        let chat = chat(from, false);
        // If no message of the chat is known, no push covers one.
        if chats.newest.iter().any(|known| known.place.chat == chat) {
            chats.insert(&mut self.next, key, None, from, chat);
        }
    }

    /// Notes that the user has read a chat; `key` is the hash of the id in the archive, if the report has one. Returns the place
    /// up to which the chat is read; `None` if the message is not known, or was read before.
    pub fn read(&self, chats: &mut Chats, read: &Read, key: Option<u64>) -> Option<Place> {
        let from = self.hash(read.chat);
        let marker = match read.message {
            Name::Archive(_) => None,
            Name::Marker(id) => self.marker(read.chat, id),
        };
        let is_it = |known: &&Known| {
            known.from == from && (key == Some(known.key) || marker.is_some() && marker == known.marker)
        };
        let place = chats.newest.iter().rev().find(is_it)?.place;
        if chats.is_read(place) {
            return None;
        }
        let read = &mut chats.reports().read;
        read.retain(|before| before.chat != place.chat);
        keep(read, place);
        Some(place)
    }

    fn marker(&self, chat: &str, id: &str) -> Option<NonZeroU64> {
        NonZeroU64::new(self.hash((chat, id)))
    }

    fn hash(&self, what: impl Hash) -> u64 {
        seeded::hash(self.seed, what)
    }
}

impl Chats {
    /// Whether no message of the user is known.
    pub fn is_empty(&self) -> bool {
        self.newest.is_empty()
    }

    /// Removes from `tells` the messages that the user has read. Returns whether nothing is left.
    pub fn has_read(&self, tells: &mut Tells) -> bool {
        self.read().fold(false, |_, place| tells.read(*place))
    }

    /// Notes the messages that a device of the user shows.
    pub fn shown(&mut self, device: &Rc<str>, tells: &Tells) {
        let shown = &mut self.reports().shown;
        for place in &tells.places {
            shown.retain(|(of, before)| !(of == device && before.chat == place.chat));
            keep(shown, (device.clone(), *place));
        }
    }

    /// Takes out the devices that show only read messages of a chat, and returns them.
    pub fn take_shown(&mut self, read: Place) -> Vec<Rc<str>> {
        let Some(reports) = &mut self.reports else { return Vec::new() };
        let read = reports.shown.extract_if(.., |(_, place)| place.is_read_by(read));
        read.map(|(device, _)| device).collect()
    }

    /// Notes that the client of a device is back, and removes its notifications itself.
    pub fn hidden(&mut self, device: &str) {
        if let Some(reports) = &mut self.reports {
            reports.shown.retain(|(of, _)| **of != *device);
        }
    }

    fn insert(&mut self, next: &mut u64, key: u64, marker: Option<NonZeroU64>, from: u64, chat: u64) -> (Place, bool) {
        if let Some(known) = self.newest.iter().rev().find(|known| known.key == key) {
            return (known.place, self.is_read(known.place));
        }
        let place = Place { chat, at: *next };
        *next += 1;
        let mut of_chat = (0..self.newest.len()).filter(|i| self.newest[*i].place.chat == chat);
        match (of_chat.next(), of_chat.count() + 1) {
            (Some(oldest), MESSAGES_OF_CHAT..) => {
                self.newest.remove(oldest);
            }
            _ if self.newest.len() >= MESSAGES => {
                self.newest.remove(0);
            }
            // Not the four of a vector that grows by itself.
            _ if self.newest.is_empty() => self.newest.reserve_exact(1),
            _ => {}
        }
        self.newest.push(Known { key, marker, from, place });
        (place, false)
    }

    fn is_read(&self, place: Place) -> bool {
        self.read().any(|read| place.is_read_by(*read))
    }

    fn read(&self) -> impl Iterator<Item = &Place> {
        self.reports.iter().flat_map(|reports| &reports.read)
    }

    fn reports(&mut self) -> &mut Reports {
        self.reports.get_or_insert_default()
    }
}

/// The hash of a chat with the bare JID of this hash: with a person, or in a room.
fn chat(from: u64, is_groupchat: bool) -> u64 {
    from ^ u64::from(is_groupchat)
}

fn keep<T>(newest: &mut Vec<T>, value: T) {
    if newest.len() >= CHATS {
        newest.remove(0);
    }
    newest.push(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(from: &str) -> Message<'_> {
        Message { from: Some(from), ..Message::default() }
    }

    fn read(unread: &Unread, chats: &mut Chats, chat: &str, key: u64) -> Option<Place> {
        unread.read(chats, &Read { chat, message: Name::Archive("") }, Some(key))
    }

    fn unread() -> (Unread, Chats) {
        (Unread::new(1), Chats::default())
    }

    #[test]
    fn a_chat_is_read_up_to_a_message_and_never_back() {
        let (mut unread, mut romeo) = unread();
        let places = [1, 2, 3].map(|key| unread.note(&mut romeo, &message("juliet@example.org/x"), key).unwrap().0);
        let nurse = unread.note(&mut romeo, &message("nurse@example.org/x"), 4).unwrap().0;
        assert_eq!(read(&unread, &mut romeo, "juliet@example.org", 2), Some(places[1]));
        assert_eq!(read(&unread, &mut romeo, "juliet@example.org", 1), None);
        assert_eq!(read(&unread, &mut romeo, "juliet@example.org", 9), None);
        assert_eq!(read(&unread, &mut romeo, "juliet@example.org", 4), None, "of another chat");
        let is_read = |place| romeo.has_read(&mut Tells::new(Some(place)));
        assert_eq!(
            (is_read(places[0]), is_read(places[1]), is_read(places[2]), is_read(nurse)),
            (true, true, false, false)
        );
        let mut both = Tells::new(Some(places[0]));
        both.add(&Tells::new(Some(nurse)));
        assert!(!romeo.has_read(&mut both), "the nurse's is left");
        assert!(!romeo.has_read(&mut Tells::default()), "no read report can refer to it");
        assert_eq!(unread.note(&mut romeo, &message("juliet@example.org/x"), 1), Some((places[0], true)));
    }

    #[test]
    fn what_one_occupant_says_to_another_is_a_chat_of_its_own() {
        let (mut unread, mut romeo) = unread();
        let places = [
            ("room@rooms.example/max", 1, FROM_OCCUPANT),
            ("room@rooms.example/moritz", 2, FROM_OCCUPANT),
            ("room@rooms.example/max", 3, GROUPCHAT),
        ]
        .map(|(from, key, word)| unread.note(&mut romeo, &Message { word, ..message(from) }, key).unwrap().0);
        read(&unread, &mut romeo, "room@rooms.example", 2).expect("it is known");
        let is_read = places.map(|place| romeo.has_read(&mut Tells::new(Some(place))));
        assert_eq!(is_read, [false, true, false]);
    }

    #[test]
    fn memory_is_bounded_and_a_busy_chat_leaves_room_for_the_others() {
        let (mut unread, mut romeo) = unread();
        let first = unread.note(&mut romeo, &message("juliet@example.org/x"), 1).unwrap().0;
        for key in 1000..2000 {
            unread.note(&mut romeo, &message("nurse@example.org/x"), key);
        }
        assert_eq!(read(&unread, &mut romeo, "juliet@example.org", 1), Some(first));
        for key in 2000..3000 {
            let from = format!("friend{key}@example.org");
            unread.note(&mut romeo, &message(&from), key);
            assert!(read(&unread, &mut romeo, &from, key).is_some());
            romeo.shown(&"phone".into(), &Tells::new(Some(first)));
        }
        let reports = romeo.reports.as_deref().expect("something was read");
        assert_eq!((romeo.newest.len(), reports.read.len(), reports.shown.len()), (MESSAGES, CHATS, 1));
    }

    #[test]
    fn a_device_that_shows_what_was_read_is_named_once() {
        let (mut unread, mut romeo) = unread();
        let [one, two] = [1, 2].map(|key| unread.note(&mut romeo, &message("juliet@example.org/x"), key).unwrap().0);
        let (phone, tablet): (Rc<str>, Rc<str>) = ("phone".into(), "tablet".into());
        romeo.shown(&phone, &Tells::new(Some(one)));
        romeo.shown(&tablet, &Tells::new(Some(one)));
        romeo.shown(&tablet, &Tells::new(Some(two)));
        assert_eq!(romeo.take_shown(one), [phone]);
        romeo.hidden("watch");
        assert_eq!(romeo.take_shown(two), [tablet]);
        assert!(romeo.take_shown(two).is_empty());
    }
}
