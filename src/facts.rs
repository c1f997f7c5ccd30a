//! What the rules know of a message: a word of bits and a few scalars.
//!
//! The shim walks a stanza's children once and ORs the bits of those it knows; which they are is said here, in
//! [`MESSAGE`], and handed to it when it loads. A rule that looks at one more element is one more line here and no
//! new Lua.

use serde::Serialize;

use crate::element::Element;
use crate::ns;

/// A set of the bits below.
pub type Word = u32;

/// `<body>` with text in it.
pub const BODY: Word = 1;
/// `<subject>`, empty or not.
pub const SUBJECT: Word = 1 << 1;
/// End-to-end encrypted (XEP-0384, XEP-0027, XEP-0373). OMEMO counts only with a payload: without one it moves keys
/// and there is nothing to show.
pub const ENCRYPTED: Word = 1 << 2;
/// XEP-0353 `<propose>`: somebody calls.
pub const PROPOSE: Word = 1 << 3;
/// A carbon of a message that the user sent (XEP-0280).
pub const SENT: Word = 1 << 4;
/// Type `groupchat`.
pub const GROUPCHAT: Word = 1 << 5;
/// Type `headline`.
pub const HEADLINE: Word = 1 << 6;
/// Type `error`.
pub const ERROR: Word = 1 << 7;
/// XEP-0353 `<accept>`, `<reject>` or `<finish>`.
const CALL_TAKEN: Word = 1 << 8;
/// XEP-0353 `<retract>`: the caller has given up.
pub const RETRACT: Word = 1 << 16;
/// Either of these: a device that rings can stop.
pub const CALL_ENDS: Word = CALL_TAKEN | RETRACT;
/// XEP-0334 `<no-store>`: nobody keeps the message.
pub const NO_STORE: Word = 1 << 9;
/// A carbon of a message that another client of the user received.
pub const RECEIVED: Word = 1 << 10;
/// The user's own message, reflected by a room. Prosody knows it by the nickname; the shim sets the bit.
pub const REFLECTED: Word = 1 << 11;

/// Said to be end-to-end encrypted, with something to show or not: what stands in `<body>` is not the text. So it is with
/// [`ENCRYPTED`].
pub const E2E: Word = 1 << 12;
/// A presence of type `subscribe` (RFC 6121 §3.1).
pub const SUBSCRIBE: Word = 1 << 13;
/// The sender is in the user's roster. The shim looks that up, where somebody asks for it.
pub const CONTACT: Word = 1 << 14;
/// The sender is not in the user's roster.
pub const STRANGER: Word = 1 << 15;

/// The text of another message is corrected (XEP-0308).
pub const CORRECTED: Word = 1 << 17;
/// XEP-0085: a chat state, of any kind.
pub const CHAT_STATE: Word = 1 << 18;
/// The stanza is in the user's archive. The shim sets the bit, where it has the id.
pub const ARCHIVED: Word = 1 << 19;
/// A push of Push 2.0. None is pushed in turn: two users whose registrations name each other would never have an end of it.
pub const NOTIFICATION: Word = 1 << 20;

/// What to note of an element: the stanza itself or something below it.
#[derive(Debug)]
pub struct Rule {
    /// One bit, set when the element is there; 0 for none.
    pub bit: Word,
    /// One bit, set when the element has text; 0 for none.
    pub text: Word,
    /// What the shim keeps of the element besides bits.
    pub keep: Keep,
    /// Bits for values of the `type` attribute.
    pub types: &'static [(&'static str, Word)],
    /// The children that matter, in groups that several elements share.
    pub children: &'static [&'static [Child]],
}

/// An element by its qualified name.
#[derive(Debug)]
pub struct Child {
    pub ns: &'static str,
    pub name: &'static str,
    pub rule: Rule,
}

/// A scalar that goes with the word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keep {
    Nothing,
    /// The text, where an option lets it be pushed.
    Body,
    /// The `id` of the last one whose `by` is the user's own account (XEP-0359).
    ArchiveId,
    /// The `id` of a call (XEP-0353).
    CallId,
    /// The `from` of the message in a carbon, which only the user's own account may send (XEP-0280 §11).
    Sender,
    /// The same as [`Keep::ArchiveId`], of the message in a carbon.
    CarbonArchiveId,
    /// For [`Message::more`].
    More(More),
}

/// An entry of [`Message::more`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct More {
    pub kind: char,
    /// The attribute that it is.
    pub attr: Option<&'static str>,
    /// Whether it is the text; behind the attribute and a space, where both are wanted.
    pub text: bool,
    /// Only of elements of this type.
    pub of_type: Option<&'static str>,
}

/// A `<message>` as it comes: one that stands for itself, or a carbon around another.
pub static MESSAGE: Rule = message(&[CONTENT, OUTSIDE, &[received(&[FORWARDING])]]);

/// The same, with what Push 2.0 looks at besides.
pub static MESSAGE_PUSH2: Rule = message(&[CONTENT, CONTENT_PUSH2, OUTSIDE, &[received(&[FORWARDING_PUSH2])]]);

/// What stands beside a message's content.
const OUTSIDE: &[Child] = &[
    child(ns::STANZA_ID, "stanza-id", Rule { keep: Keep::ArchiveId, ..PLAIN }),
    child(ns::CARBONS, "sent", bit(SENT)),
    child(ns::PUSH2, "notification", bit(NOTIFICATION)),
];

/// The message in a carbon. A carbon within a carbon means nothing.
const FORWARDING: &[Child] = &[child(ns::FORWARD, "forwarded", with(&[FORWARDED]))];
const FORWARDED: &[Child] = &[child(ns::CLIENT, "message", forwarded(&[CONTENT, ARCHIVED_AS]))];
const FORWARDING_PUSH2: &[Child] = &[child(ns::FORWARD, "forwarded", with(&[FORWARDED_PUSH2]))];
const FORWARDED_PUSH2: &[Child] = &[child(ns::CLIENT, "message", forwarded(&[CONTENT, CONTENT_PUSH2, ARCHIVED_AS]))];
const ARCHIVED_AS: &[Child] = &[child(ns::STANZA_ID, "stanza-id", Rule { keep: Keep::CarbonArchiveId, ..PLAIN })];

const TYPES: &[(&str, Word)] = &[("groupchat", GROUPCHAT), ("headline", HEADLINE), ("error", ERROR)];

const CONTENT: &[Child] = &[
    child(ns::CLIENT, "body", Rule { text: BODY, keep: Keep::Body, ..PLAIN }),
    child(ns::CLIENT, "subject", bit(SUBJECT)),
    child(ns::EME, "encryption", bit(E2E)),
    child(ns::OMEMO_LEGACY, "encrypted", e2e(OMEMO)),
    child(ns::OMEMO_0, "encrypted", e2e(&[&[child(ns::OMEMO_0, "payload", bit(ENCRYPTED))]])),
    child(ns::OMEMO_2, "encrypted", e2e(&[&[child(ns::OMEMO_2, "payload", bit(ENCRYPTED))]])),
    child(ns::PGP_LEGACY, "x", bit(ENCRYPTED)),
    child(ns::OPENPGP, "openpgp", bit(ENCRYPTED)),
    child(ns::REFERENCE, "reference", more(More { of_type: Some("mention"), ..attr(MENTION, "uri") })),
    child(ns::JINGLE_MESSAGE, "propose", Rule { children: PROPOSED, ..call(PROPOSE) }),
    child(ns::JINGLE_MESSAGE, "retract", call(RETRACT)),
    child(ns::JINGLE_MESSAGE, "accept", call(CALL_TAKEN)),
    child(ns::JINGLE_MESSAGE, "reject", call(CALL_TAKEN)),
    child(ns::JINGLE_MESSAGE, "finish", call(CALL_TAKEN)),
    child(ns::HINTS, "no-store", bit(NO_STORE)),
];

const CONTENT_PUSH2: &[Child] = &[
    child(ns::MESSAGE_CORRECT, "replace", bit(CORRECTED)),
    child(ns::REPLY, "reply", more(attr(REPLY_TO, "to"))),
    child(ns::CHAT_STATES, "active", bit(CHAT_STATE)),
    child(ns::CHAT_STATES, "composing", bit(CHAT_STATE)),
    child(ns::CHAT_STATES, "paused", bit(CHAT_STATE)),
    child(ns::CHAT_STATES, "inactive", bit(CHAT_STATE)),
    child(ns::CHAT_STATES, "gone", bit(CHAT_STATE)),
];

const PROPOSED: &[&[Child]] = &[&[child(ns::JINGLE_RTP, "description", more(attr(MEDIA, "media")))]];

const OMEMO: &[&[Child]] = &[&[
    child(ns::OMEMO_LEGACY, "payload", Rule { bit: ENCRYPTED, ..more(text(OMEMO_PAYLOAD)) }),
    child(ns::OMEMO_LEGACY, "header", Rule { children: OMEMO_HEADER, ..more(attr(OMEMO_SENDER, "sid")) }),
]];
const OMEMO_HEADER: &[&[Child]] = &[&[
    child(ns::OMEMO_LEGACY, "key", more(More { text: true, ..attr(OMEMO_KEY, "rid") })),
    child(ns::OMEMO_LEGACY, "iv", more(text(OMEMO_IV))),
]];

/// A `<presence>` as it comes.
pub static PRESENCE: Rule = Rule { types: &[("subscribe", SUBSCRIBE)], ..PLAIN };

const PLAIN: Rule = Rule { bit: 0, text: 0, keep: Keep::Nothing, types: &[], children: &[] };

const fn message(children: &'static [&'static [Child]]) -> Rule {
    Rule { types: TYPES, children, ..PLAIN }
}

const fn forwarded(children: &'static [&'static [Child]]) -> Rule {
    Rule { keep: Keep::Sender, ..message(children) }
}

const fn received(children: &'static [&'static [Child]]) -> Child {
    child(ns::CARBONS, "received", Rule { bit: RECEIVED, children, ..PLAIN })
}

const fn bit(bit: Word) -> Rule {
    Rule { bit, ..PLAIN }
}

const fn call(bit: Word) -> Rule {
    Rule { bit, keep: Keep::CallId, ..PLAIN }
}

const fn e2e(children: &'static [&'static [Child]]) -> Rule {
    Rule { bit: E2E, children, ..PLAIN }
}

const fn more(more: More) -> Rule {
    Rule { keep: Keep::More(more), ..PLAIN }
}

const fn attr(kind: char, attr: &'static str) -> More {
    More { kind, attr: Some(attr), text: false, of_type: None }
}

const fn text(kind: char) -> More {
    More { kind, attr: None, text: true, of_type: None }
}

const fn with(children: &'static [&'static [Child]]) -> Rule {
    Rule { children, ..PLAIN }
}

const fn child(ns: &'static str, name: &'static str, rule: Rule) -> Child {
    Child { ns, name, rule }
}

/// A message as the engine gets it.
#[derive(Clone, Copy, Default)]
pub struct Message<'a> {
    pub word: Word,
    /// Sender, as the server stamped it; of a carbon, that of the message in it.
    pub from: Option<&'a str>,
    /// Only where an option or an extension asks for it.
    pub body: Option<&'a str>,
    /// What the message is known by across all its ways: its id in the addressee's archive (XEP-0313), or without an
    /// archive one that the shim gives to a stanza that it may meet again.
    pub name: Option<&'a str>,
    /// The id of the call that it is about (XEP-0353).
    pub call: Option<&'a str>,
    /// What elements say that there can be several of, each a letter and its text, "\0" between them; only where an
    /// extension asks for it. For Push 2.0 the shim adds what it knows of the user's sessions.
    pub more: Option<&'a str>,
    /// Reads the whole of it, which only some pushes carry.
    pub stanza: Option<&'a dyn Fn() -> Option<Element>>,
}

/// In [`Message::more`]: the `uri` of a mention (XEP-0372).
const MENTION: char = 'm';
/// The `media` of a call (XEP-0167).
const MEDIA: char = 'd';
/// In a message that is encrypted by OMEMO: the sender's device, a key with the id of the device it is for, the
/// initialisation vector, the ciphertext.
const OMEMO_SENDER: char = 's';
const OMEMO_KEY: char = 'k';
const OMEMO_IV: char = 'i';
const OMEMO_PAYLOAD: char = 'p';
/// Whose message it replies to (XEP-0461).
const REPLY_TO: char = 'r';
/// A nickname of the user in the room that the message comes from. The shim adds it.
pub const NICKNAME: char = 'n';
/// When a session of the user was active last, in seconds since 1970, a space, and the registration that it holds, if any. The
/// shim adds it.
pub const ACTIVITY: char = 'a';

/// The letters that Tigase's extensions ask for, and those of Push 2.0.
pub const MORE_TIGASE: &[char] = &[MENTION, MEDIA, OMEMO_SENDER, OMEMO_KEY, OMEMO_IV, OMEMO_PAYLOAD];
pub const MORE_PUSH2: &[char] = &[MENTION, REPLY_TO];

impl<'a> Message<'a> {
    fn each(&self, kind: char) -> impl Iterator<Item = &'a str> {
        self.more.into_iter().flat_map(|more| more.split('\0')).filter_map(move |entry| entry.strip_prefix(kind))
    }

    /// Whom it mentions: URIs.
    pub fn mentions(&self) -> impl Iterator<Item = &'a str> {
        self.each(MENTION)
    }

    /// Whom it replies to: a JID.
    pub fn reply_to(&self) -> Option<&'a str> {
        self.each(REPLY_TO).next()
    }

    /// The user's, in the room.
    pub fn nicknames(&self) -> impl Iterator<Item = &'a str> {
        self.each(NICKNAME)
    }

    /// When a session was active last, in seconds since 1970, and the registration that it holds, or the empty text.
    pub fn activities(&self) -> impl Iterator<Item = (u64, &'a str)> {
        let parse = |entry: &'a str| entry.split_once(' ').and_then(|(at, holds)| Some((at.parse().ok()?, holds)));
        self.each(ACTIVITY).filter_map(parse)
    }

    /// What is offered to whom is called: `audio`, `video`.
    pub fn media(&self) -> impl Iterator<Item = &'a str> {
        self.each(MEDIA)
    }

    /// What an OMEMO message has for the device `rid` (XEP-0384 before 0.4); nothing if it has nothing for that.
    pub fn omemo(&self, rid: &str) -> Option<Omemo<'a>> {
        let for_rid = |key: &'a str| key.strip_prefix(rid)?.strip_prefix(' ');
        let keys: Vec<_> = self.each(OMEMO_KEY).filter_map(for_rid).collect();
        let first = |kind| self.each(kind).next();
        let (sid, iv, data) = (first(OMEMO_SENDER)?, first(OMEMO_IV)?, first(OMEMO_PAYLOAD)?);
        if keys.is_empty() { None } else { Some(Omemo { keys, sid, iv, data }) }
    }
}

/// An OMEMO message for one device, all in base64 but the id.
#[derive(Debug, Serialize)]
pub struct Omemo<'a> {
    pub keys: Vec<&'a str>,
    /// The sender's device.
    pub sid: &'a str,
    pub iv: &'a str,
    /// The ciphertext.
    pub data: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules<'e>(rule: &'e Rule, found: &mut Vec<&'e Rule>) {
        found.push(rule);
        for child in rule.children.iter().copied().flatten() {
            rules(&child.rule, found);
        }
    }

    /// The shim adds bits up: two in one would be carried into a third.
    #[test]
    fn an_element_sets_one_bit() {
        let mut all = Vec::new();
        [&MESSAGE, &MESSAGE_PUSH2, &PRESENCE].into_iter().for_each(|stanza| rules(stanza, &mut all));
        assert!(all.len() > 50);
        for rule in all {
            let bits = rule.types.iter().map(|(_, bit)| *bit).chain([rule.bit, rule.text]);
            assert!(bits.into_iter().all(|bit| bit.count_ones() <= 1), "{rule:?}");
        }
    }
}
