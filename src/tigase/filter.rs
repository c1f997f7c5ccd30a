//! Filters that keep messages from a device: `tigase:push:filter:{ignore-unknown,muted,groupchat}:0`.

use crate::address::bare;
use crate::reason::Reason;
use crate::rules::facts::{GROUPCHAT, INVITATION, Message, STRANGER};
use crate::rules::mention::User;

/// The filters of one registration.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only contacts in the roster and rooms wake the device.
    pub ignore_unknown: bool,
    /// Bare JIDs that never wake the device.
    pub muted: Box<[Box<str>]>,
    /// Rooms with a rule of their own; all other rooms wake the device.
    pub rooms: Box<[Room]>,
}

/// A rule for one room.
#[derive(Debug, PartialEq, Eq)]
pub struct Room {
    /// Bare JID.
    pub jid: Box<str>,
    pub allow: Allow,
    /// The user's nickname there.
    pub nick: Option<Box<str>>,
}

/// Which messages of a room wake the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allow {
    Always,
    Never,
    /// Messages that mention the user.
    Mentioned,
}

impl Filter {
    /// Whether the client has a rule for the sender or the room of the message.
    pub fn has_rule_for(&self, message: &Message) -> bool {
        let sender = message.from.map(bare);
        let is_groupchat = message.word & GROUPCHAT != 0;
        self.muted.iter().any(|muted| Some(&**muted) == sender)
            || is_groupchat && self.rooms.iter().any(|room| Some(&*room.jid) == sender)
    }

    /// Returns why the device is not woken for a message to `user` on `host`. `text` returns the text in lower case.
    pub fn objection<'t>(
        &self,
        user: &str,
        host: &str,
        message: &Message,
        text: &dyn Fn() -> &'t str,
    ) -> Option<Reason> {
        let sender = bare(message.from?);
        let is_groupchat = message.word & GROUPCHAT != 0;
        // A server adds a resource to the sender of a user's stanza, so an invitation from a bare JID comes from the room.
        let is_of_room = is_groupchat || message.word & INVITATION != 0 && Some(sender) == message.from;
        if self.ignore_unknown && message.word & STRANGER != 0 && !is_of_room {
            return Some(Reason::UnknownSender);
        }
        if self.muted.iter().any(|muted| **muted == *sender) {
            return Some(Reason::SenderMuted);
        }
        let room = self.rooms.iter().filter(|_| is_groupchat).find(|room| *room.jid == *sender)?;
        match room.allow {
            Allow::Always => None,
            Allow::Never => Some(Reason::RoomMuted),
            Allow::Mentioned => {
                let user = User { user, host, nick: room.nick.as_deref() };
                (!user.is_mentioned(message, text())).then_some(Reason::NotMentioned)
            }
        }
    }
}
