//! Whether a stanza wakes a client, and with which content.

use std::rc::Rc;

use crate::address::bare;
use crate::push2::asked::{Asked, Chat, Match, Profile, Send};
use crate::push2::keys::WebPush;
use crate::reason::Reason;
use crate::rules::facts::{ARCHIVED, BODY, CORRECTED, ENCRYPTED, Message, Word};
use crate::rules::importance::{Importance, judge};
use crate::rules::mention::User;
use crate::time::{Millis, SECOND};

/// Returns the importance of a stanza. In Push 2.0, a correction (XEP-0308) is not important.
pub fn importance(word: Word) -> Result<Importance, Reason> {
    judge(word).map(|importance| match importance {
        Importance::Important if word & CORRECTED != 0 => Importance::Low,
        importance => importance,
    })
}

/// A stanza that may match.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    pub now: Millis,
    pub user: &'a str,
    pub host: &'a str,
    /// The identifier of the registration.
    pub identifier: &'a str,
    pub message: &'a Message<'a>,
    /// Returns the text of the message, in lower case.
    pub text: &'a dyn Fn() -> &'a str,
    pub importance: Importance,
    /// How long an important push waits while the user is at another client (`push_patience`). The longer one of this and a
    /// rule's grace counts.
    pub patience: Millis,
}

/// Returns the keys to encrypt with, `None` for a push without content, or the reason not to push. If several rules match, there is
/// one push, with content if one of them asks for it.
pub fn matched<'s>(asked: &'s Asked, case: &Case) -> Result<Option<&'s Rc<WebPush>>, Reason> {
    let mut matched = Err(Reason::NothingAsked);
    for rule in &asked.matches {
        match (rule.objection(case), &rule.send) {
            (None, Send::Encrypted(keys)) => match keys.parsed() {
                Ok(keys) => return Ok(Some(keys)),
                Err(invalid) => matched = matched.or(Err(invalid.into())),
            },
            (None, _) => matched = Ok(None),
            (Some(reason), _) => matched = matched.or(Err(reason)),
        }
    }
    matched
}

impl Match {
    /// Returns why the rule does not match.
    fn objection(&self, case: &Case) -> Option<Reason> {
        if matches!(self.send, Send::Unknown) {
            return Some(Reason::UnknownProfile);
        }
        // A call, or the end of one for which the client rang, is always let through.
        if case.importance.is_call() {
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
        let patience = if case.importance.is_important() { case.patience } else { 0 };
        let grace = self.grace.filter(|grace| Millis::from(*grace) * SECOND >= patience);
        if grace.is_some_and(|grace| case.is_active_elsewhere(grace)) {
            return Some(Reason::ActiveElsewhere);
        }
        match case.message.from.and_then(|from| self.chat(from)) {
            Some(chat) if !case.passes(chat) => Some(Reason::Filtered),
            _ => None,
        }
    }

    /// Returns the most exact filter for the sender.
    pub fn chat(&self, from: &str) -> Option<&Chat> {
        let bare = bare(from);
        let host = bare.split_once('@').map_or(bare, |(_, host)| host);
        [from, bare, host].iter().find_map(|jid| self.chats.iter().find(|chat| *chat.jid == **jid))
    }
}

impl Case<'_> {
    /// Whether another client of the user sent something within the last `grace` seconds. A time in the future, after the clock
    /// was set back, does not count.
    fn is_active_elsewhere(&self, grace: u32) -> bool {
        let now = self.now / SECOND;
        let since = now.saturating_sub(u64::from(grace));
        self.message.activities().any(|(at, identifier)| identifier != self.identifier && at > since && at <= now)
    }

    /// Whether the filter lets the stanza through.
    fn passes(&self, chat: &Chat) -> bool {
        let user = User { user: self.user, host: self.host, nick: None };
        chat.mention && user.is_mentioned(self.message, (self.text)()) || chat.reply && user.is_replied_to(self.message)
    }
}
