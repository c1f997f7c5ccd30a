//! Whether a message mentions the user.

use unicode_segmentation::UnicodeSegmentation;

use crate::address::{bare, is_account};
use crate::limits::MOST_OF_A_KIND;
use crate::ns;
use crate::rules::facts::Message;

/// The user, by the names that others may use where a message comes from.
#[derive(Clone, Copy)]
pub struct User<'a> {
    pub user: &'a str,
    pub host: &'a str,
    /// A nickname that the client has registered, in addition to those in the message's facts.
    pub nick: Option<&'a str>,
}

impl User<'_> {
    /// Whether the message mentions the user: by reference (XEP-0372), explicitly (XEP-0513), by a reply (XEP-0461), or with
    /// the user's name or a nickname as a word of the text. `text` is the text in lower case.
    pub fn is_mentioned(self, message: &Message, text: &str) -> bool {
        message.mentioned_jids().any(|jid| self.is(jid, message))
            || message.mentioned_occupants().any(|id| message.occupants().any(|own| own == id))
            || message.mentioned_groups().any(|(group, of)| self.is_in(group, of, message))
            || self.is_replied_to(message)
            || self.nicknames(message).chain([self.user]).any(|name| has_word(text, &name.to_lowercase()))
    }

    /// Whether the message replies to a message of the user (XEP-0461).
    pub fn is_replied_to(self, message: &Message) -> bool {
        message.reply_to().is_some_and(|jid| self.is(jid, message))
    }

    fn nicknames<'n>(self, message: &Message<'n>) -> impl Iterator<Item = &'n str>
    where
        Self: 'n,
    {
        message.nicknames().chain(self.nick)
    }

    /// Whether `jid` is the user's account, or the user as an occupant of the room.
    fn is(self, jid: &str, message: &Message) -> bool {
        let in_room = || {
            let nick = jid.strip_prefix(message.from.map(bare)?)?.strip_prefix('/')?;
            Some(self.nicknames(message).any(|own| own == nick))
        };
        is_account(jid, self.user, self.host) || in_room().unwrap_or(false)
    }

    /// Whether the user belongs to a group of XEP-0513 that Prosody knows: the occupants of the room, or the users of the server.
    fn is_in(self, group: &str, of: &str, message: &Message) -> bool {
        match group.strip_prefix(ns::MENTIONS) {
            Some("#channel") => of.is_empty() || message.from.map(bare) == Some(of),
            Some("#server") => of == self.host,
            _ => false,
        }
    }
}

/// Bytes on each side of a word in which its bounds are looked for.
const CONTEXT: usize = 64;

/// Whether the text has `word` as a word of its own; both are in lower case.
fn has_word(text: &str, word: &str) -> bool {
    !word.is_empty()
        && text
            .match_indices(word)
            .take(MOST_OF_A_KIND)
            .any(|(start, _)| stands_apart(text, start, start + word.len()) || is_word(text, start, start + word.len()))
}

/// Whether there is no letter or digit on either side, as for a name before a colon, or before a hyphen and an ending.
fn stands_apart(text: &str, start: usize, end: usize) -> bool {
    let is_part = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    !is_part(text[..start].chars().next_back()) && !is_part(text[end..].chars().next())
}

/// Whether both ends are word bounds of UAX #29, the only bounds in scripts without spaces.
fn is_word(text: &str, start: usize, end: usize) -> bool {
    let from = (0..=start.saturating_sub(CONTEXT)).rfind(|&place| text.is_char_boundary(place)).unwrap_or(0);
    let to = (end + CONTEXT..text.len()).find(|&place| text.is_char_boundary(place)).unwrap_or(text.len());
    let around = &text[from..to];
    let is_bound = |place| place == around.len() || around.split_word_bound_indices().any(|(bound, _)| bound == place);
    is_bound(start - from) && is_bound(end - from)
}

#[cfg(test)]
mod tests {
    use super::{CONTEXT, has_word};

    #[test]
    fn a_name_is_found_only_as_a_word() {
        for text in
            ["romeo", "romeo: hi", "hi,romeo", "(romeo)", "@romeo!", "romeoo romeo", "é romeo é", "romeo's", "romeo:hi"]
        {
            assert!(has_word(text, "romeo"), "{text}");
        }
        for text in ["", "romeos", "aromeo", "éromeo", "rome", "romeo1"] {
            assert!(!has_word(text, "romeo"), "{text}");
        }
        assert!(has_word("ask c++ now", "c++"));
        assert!(!has_word("anything", ""));
    }

    #[test]
    fn scripts_without_spaces_have_words_too() {
        for (text, word) in
            [("你好小明在吗", "小明"), ("@小明在吗", "小明"), ("たろうさん", "たろう"), ("สวัสดีโรมิโอครับ", "โรมิโอ")]
        {
            assert!(has_word(text, word), "{text}");
        }
        assert!(!has_word("カタカナ", "タカ"), "a part of a word");
        // The bytes that are looked at begin and end within characters.
        let far = "好".repeat(CONTEXT);
        assert!(has_word(&format!("{far}小明{far}"), "小明"));
        assert!(!has_word(&format!("{far}カタカナ{far}"), "タカ"));
    }
}
