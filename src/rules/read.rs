//! Read reports of the user's clients: a marker to the other end (XEP-0333), or an item for the user's other clients
//! (XEP-0490). Either means that the user has read a chat up to one message.

use crate::address::{bare, is_account};
use crate::rules::facts::{ERROR, Message, READ, READ_AS};

/// The newest message of a chat that the user has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read<'a> {
    /// The bare JID of the contact or the room.
    pub chat: &'a str,
    pub message: Name<'a>,
}

/// The id of a message, by the entity that has given it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name<'a> {
    /// The id in the user's archive.
    Archive(&'a str),
    /// The id by which a marker names the message: the sender's, or the room's.
    Marker(&'a str),
}

impl<'a> Read<'a> {
    /// Reads a marker in a message that the user sends to `to`.
    pub fn in_marker(to: &'a str, message: &Message<'a>) -> Option<Read<'a>> {
        let id = message.each(READ).next().filter(|_| message.word & ERROR == 0)?;
        Some(Read { chat: bare(to), message: Name::Marker(id) })
    }

    /// Reads an item that `user` on `host` publishes for `chat`. An id that neither the user's account nor the chat has given
    /// is ignored.
    pub fn in_item(user: &str, host: &str, chat: &'a str, item: &Message<'a>) -> Option<Read<'a>> {
        let (by, id) = item.each(READ_AS).next()?.split_once(' ')?;
        let message = match by {
            by if by == bare(by) && is_account(by, user, host) => Name::Archive(id),
            by if by == bare(chat) => Name::Marker(id),
            _ => return None,
        };
        Some(Read { chat: bare(chat), message })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_names_a_message_by_the_id_that_the_archive_or_the_room_gave_it() {
        let item = |by: &str, chat: &'static str| {
            let extracts = format!("h{by} a1");
            let item = Message { extracts: Some(&extracts), ..Message::default() };
            Read::in_item("romeo", "example.org", chat, &item).map(|read| match read.message {
                Name::Archive(id) => format!("{} archive {id}", read.chat),
                Name::Marker(id) => format!("{} marker {id}", read.chat),
            })
        };
        assert_eq!(item("romeo@example.org", "juliet@example.org").as_deref(), Some("juliet@example.org archive a1"));
        assert_eq!(item("room@rooms.example", "room@rooms.example").as_deref(), Some("room@rooms.example marker a1"));
        assert_eq!(
            item("romeo@example.org", "room@rooms.example/nick").as_deref(),
            Some("room@rooms.example archive a1")
        );
        assert_eq!(item("juliet@example.org", "room@rooms.example"), None);
        assert_eq!(item("", "room@rooms.example"), None);
    }
}
