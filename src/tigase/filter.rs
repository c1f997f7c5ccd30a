//! What a device does not want to be woken for: `tigase:push:filter:{ignore-unknown,muted,groupchat}:0`.

use crate::address::{bare, is_account};
use crate::facts::{GROUPCHAT, Message, STRANGER};
use crate::mention::has_word;
use crate::reason::Reason;

/// The filters of one registration.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Nobody but contacts of the roster, rooms and the user himself.
    pub ignore_unknown: bool,
    /// Bare JIDs that are never heard.
    pub muted: Box<[Box<str>]>,
    /// Rooms with a rule of their own; all others are heard.
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

/// Which messages of a room are heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allow {
    Always,
    Never,
    /// Those that mention the user: by reference (XEP-0372), or with the nickname as a word of the text.
    Mentioned,
}

impl Filter {
    /// Why the device is not woken for a message to `user` on `host`; nothing if it is.
    pub fn objection(&self, user: &str, host: &str, message: &Message) -> Option<Reason> {
        let sender = bare(message.from?);
        let is_groupchat = message.word & GROUPCHAT != 0;
        if self.ignore_unknown && message.word & STRANGER != 0 && !is_groupchat && !is_account(sender, user, host) {
            return Some(Reason::UnknownSender);
        }
        if self.muted.iter().any(|muted| **muted == *sender) {
            return Some(Reason::SenderMuted);
        }
        let room = self.rooms.iter().filter(|_| is_groupchat).find(|room| *room.jid == *sender)?;
        match room.allow {
            Allow::Always => None,
            Allow::Never => Some(Reason::RoomMuted),
            Allow::Mentioned if room.is_mention(user, host, message) => None,
            Allow::Mentioned => Some(Reason::NotMentioned),
        }
    }
}

impl Room {
    fn is_mention(&self, user: &str, host: &str, message: &Message) -> bool {
        let of_nick = |uri: &str| {
            let nick = uri.strip_prefix(&*self.jid).and_then(|rest| rest.strip_prefix('/'));
            nick.is_some() && nick == self.nick.as_deref()
        };
        let mut mentioned = message.mentions().filter_map(|uri| uri.strip_prefix("xmpp:"));
        mentioned.any(|uri| is_account(uri, user, host) || of_nick(uri))
            || self.nick.as_ref().zip(message.body).is_some_and(|(nick, body)| has_word(body, nick))
    }
}
