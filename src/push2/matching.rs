//! Whether a client wants to be woken for a stanza, and with what.

use crate::address::{bare, is_account};
use crate::delivery::Millis;
use crate::facts::{ARCHIVED, BODY, CORRECTED, ENCRYPTED, Message, RETRACT, Word};
use crate::importance::{Importance, judge};
use crate::mention::has_word;
use crate::push2::registration::{Chat, Match, Profile, Send, Settings, WebPush};
use crate::reason::Reason;

/// What a stanza is worth. Push 2.0 knows of one more that matters, the end of a call before anybody took it, and of one that
/// does not: a correction (XEP-0308).
pub fn importance(word: Word) -> Importance {
    match judge(word) {
        Importance::Low if word & RETRACT != 0 => Importance::Important,
        Importance::Important if word & CORRECTED != 0 => Importance::Low,
        importance => importance,
    }
}

/// A stanza that may match.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    pub now: Millis,
    pub user: &'a str,
    pub host: &'a str,
    /// The registration's.
    pub identifier: &'a str,
    pub message: &'a Message<'a>,
    pub importance: Importance,
    /// A call, or the end of one for which the client rang: it is always let through.
    pub rings: bool,
}

/// With what keys the stanza is to be sent to a client with such settings, or with none, or why it is not. Where several rules
/// match, none is sent twice, and the content goes along if one of them wants it.
pub fn matched<'s>(settings: &'s Settings, case: &Case) -> Result<Option<&'s WebPush>, Reason> {
    let mut matched = Err(Reason::NothingAsked);
    for rule in &settings.matches {
        match (rule.objection(case), &rule.send) {
            (None, Send::Encrypted(keys)) => match keys.parsed() {
                Some(keys) => return Ok(Some(keys)),
                None => matched = matched.or(Err(Reason::UnusableKeys)),
            },
            (None, _) => matched = Ok(None),
            (Some(reason), _) => matched = matched.or(Err(reason)),
        }
    }
    matched
}

impl Match {
    /// Why the rule does not match.
    fn objection(&self, case: &Case) -> Option<Reason> {
        if matches!(self.send, Send::Unknown) {
            return Some(Reason::UnknownProfile);
        }
        if case.rings {
            return None;
        }
        let has = |bits| case.message.word & bits != 0;
        match self.profile {
            Profile::All => {}
            Profile::Important if case.importance.is_important() => {}
            Profile::Important => return Some(Reason::NotImportant),
            Profile::Archived | Profile::ArchivedWithBody if !has(ARCHIVED) => return Some(Reason::NotArchived),
            Profile::Archived => {}
            Profile::ArchivedWithBody if has(BODY | ENCRYPTED) => {}
            Profile::ArchivedWithBody => return Some(Reason::NoBody),
            Profile::Unknown => return Some(Reason::UnknownProfile),
        }
        if self.grace.is_some_and(|grace| case.is_active_elsewhere(grace)) {
            return Some(Reason::ActiveElsewhere);
        }
        match self.chat(case) {
            Some(chat) if !(chat.mention && case.is_mention() || chat.reply && case.is_reply()) => {
                Some(Reason::Filtered)
            }
            _ => None,
        }
    }

    /// The rule for whom the stanza comes from, the most exact one.
    fn chat(&self, case: &Case) -> Option<&Chat> {
        let from = case.message.from?;
        let bare = bare(from);
        let host = bare.split_once('@').map_or(bare, |(_, host)| host);
        [from, bare, host].iter().find_map(|jid| self.chats.iter().find(|chat| *chat.jid == **jid))
    }
}

impl Case<'_> {
    /// Whether another client of the user sent something within the last `grace` seconds.
    fn is_active_elsewhere(&self, grace: u32) -> bool {
        let since = (self.now / 1000).saturating_sub(u64::from(grace));
        self.message.activities().any(|(at, identifier)| identifier != self.identifier && at > since)
    }

    fn room(&self) -> Option<&str> {
        self.message.from.map(bare)
    }

    /// By reference (XEP-0372), or with a nickname or the user's name as a word of the text.
    fn is_mention(&self) -> bool {
        let mut uris = self.message.mentions().filter_map(|uri| uri.strip_prefix("xmpp:"));
        let mut names = self.message.nicknames().chain([self.user]);
        uris.any(|jid| self.is_user(jid))
            || self.message.body.is_some_and(|body| names.any(|name| has_word(body, name)))
    }

    fn is_reply(&self) -> bool {
        self.message.reply_to().is_some_and(|jid| self.is_user(jid))
    }

    /// Whether it is the user's JID, or that of the user in the room.
    fn is_user(&self, jid: &str) -> bool {
        let in_room = |nick: &str| self.room().is_some_and(|room| jid.strip_prefix(room) == Some(&format!("/{nick}")));
        is_account(jid, self.user, self.host) || self.message.nicknames().any(in_room)
    }
}
