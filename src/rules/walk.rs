//! The parts of a stanza that matter.
//!
//! The shim walks the children of a stanza once and adds up the bits of those that it knows. [`MESSAGE`], [`PRESENCE`], [`IQ`]
//! and [`ITEM`] list them; the shim gets these tables when it loads. One more element takes one more line here and no Lua.

use crate::ns;
use crate::rules::facts::{
    ALWAYS, ALWAYS_0, AMENDMENT, ANSWER, AT_CLIENT, BODY, CALL, CALL_OVER, CORRECTED, DISPLAYED, EME, ENCRYPTED, ERROR,
    EVENT, FALLBACK, FILE, FROM_OCCUPANT, GROUPCHAT, HAS_BODY, HEADLINE, INVITATION, IQ_STANZA, LEFT_CLIENT, MEDIA,
    MENTION, NEVER, NEVER_0, NO_STORE, NOTIFICATION, OMEMO, OMEMO_IV, OMEMO_KEY, OMEMO_PAYLOAD, OMEMO_SENDER,
    ON_MENTION, ON_MENTION_0, PRESENCE_STANZA, PROCEED, READ, READ_AS, RECEIPT, RECEIVED, REPLY_TO, RETRACT, RINGING,
    SENT, SUBJECT, SUBSCRIBE, Word,
};

/// The facts to note about an element: the stanza itself or an element in it.
#[derive(Debug)]
pub struct Rule {
    /// One bit, set when the element is there; 0 for none.
    pub bit: Word,
    /// One bit, set when the element has text; 0 for none.
    pub text: Word,
    /// The value that the shim keeps in addition to the bits.
    pub keep: Keep,
    /// Bits for values of an attribute.
    pub values: Values,
    /// Only the user's own account may send the element (XEP-0280 §11): from anybody else it is ignored.
    pub own: bool,
    /// The children that matter, in groups that several elements share.
    pub children: &'static [&'static [Child]],
}

/// An attribute, and the bits for its values.
pub type Values = (&'static str, &'static [(&'static str, Word)]);

/// An element by its qualified name.
#[derive(Debug)]
pub struct Child {
    pub ns: &'static str,
    pub name: &'static str,
    pub rule: Rule,
}

/// A value of an element that the shim keeps in addition to the word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keep {
    Nothing,
    /// The text of the message.
    Body,
    /// The `id` of the last one whose `by` is the user's own account (XEP-0359).
    ArchiveId,
    /// The id of a call, in this attribute.
    CallId(&'static str),
    /// The call has the id of the message that it is in (XEP-0482 §3.1).
    Invite,
    /// The message in a carbon: its sender and its addressee.
    Forwarded,
    /// The same as [`Keep::ArchiveId`], of the message in a carbon.
    CarbonArchiveId,
    /// The target of a mention (XEP-0513). A mention with modifiers is ignored: modifiers ask not to notify.
    Mention,
    /// An entry of `extracts` of a [`Message`](crate::rules::facts::Message).
    Extract(Extract),
    /// The same: an entry of this kind with the values of these attributes, separated by spaces; an absent attribute counts as
    /// empty.
    Attributes(char, &'static [&'static str]),
}

/// How an entry of `extracts` is made from an element.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extract {
    pub kind: char,
    /// The attribute that has the value.
    pub attr: Option<&'static str>,
    /// Whether the element's text is the value; if `attr` is set, the text follows the attribute and a space.
    pub text: bool,
    /// If set, only elements of this type count.
    pub of_type: Option<&'static str>,
    /// The form of the attribute's value: the shim passes on JIDs in Prosody's form.
    pub form: Form,
}

/// The form of an attribute's value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    Text,
    Jid,
    /// RFC 5122
    Uri,
}

/// A `<message>`, or a carbon around another one.
pub static MESSAGE: Rule =
    message(&[CALLS, JINGLE_MESSAGE, JINGLE_MESSAGE_1, CONTENT, OUTSIDE, &[sent(), received(&[FORWARDING])]]);

/// The same for Push 2.0, which looks at more.
pub static MESSAGE_PUSH2: Rule = message(&[
    CALLS,
    JINGLE_MESSAGE,
    JINGLE_MESSAGE_1,
    CONTENT,
    CONTENT_PUSH2,
    OUTSIDE,
    &[sent(), received(&[FORWARDING_PUSH2])],
]);

/// A `<presence>`.
pub static PRESENCE: Rule = Rule { bit: PRESENCE_STANZA, values: ("type", &[("subscribe", SUBSCRIBE)]), ..PLAIN };

/// An `<iq>`.
pub static IQ: Rule = Rule {
    bit: IQ_STANZA,
    values: ("type", &[("result", ANSWER), ("error", ANSWER)]),
    children: &[&[child(ns::JINGLE, "jingle", JINGLE)]],
    ..PLAIN
};

/// An `<item>` that a user publishes (XEP-0163): a bookmark, or the newest message of a chat that was read.
pub static ITEM: Rule = Rule { children: &[PUBLISHED], ..PLAIN };

const PUBLISHED: &[Child] = &[
    child(ns::BOOKMARKS, "conference", with(&[&[child(ns::BOOKMARKS, "extensions", with(EXTENSIONS))]])),
    child(
        ns::DISPLAYED,
        "displayed",
        with(&[&[child(ns::STANZA_ID, "stanza-id", attributes(READ_AS, &["by", "id"]))]]),
    ),
];
const EXTENSIONS: &[&[Child]] = &[&[
    child(
        ns::NOTIFICATION_SETTINGS,
        "notify",
        with(&[&settings(ns::NOTIFICATION_SETTINGS, [NEVER, ON_MENTION, ALWAYS], IDENTITY)]),
    ),
    child(
        ns::NOTIFICATION_SETTINGS_0,
        "notify",
        with(&[&settings(ns::NOTIFICATION_SETTINGS_0, [NEVER_0, ON_MENTION_0, ALWAYS_0], CLIENT_TYPE)]),
    ),
]];
const IDENTITY: &[&str] = &["identity-category", "identity-type"];
const CLIENT_TYPE: &[&str] = &["client-type"];

const fn settings(ns: &'static str, kinds: [char; 3], whose: &'static [&'static str]) -> [Child; 3] {
    [
        child(ns, "never", attributes(kinds[0], whose)),
        child(ns, "on-mention", attributes(kinds[1], whose)),
        child(ns, "always", attributes(kinds[2], whose)),
    ]
}

/// Elements beside the content of a message.
const OUTSIDE: &[Child] = &[
    child(ns::STANZA_ID, "stanza-id", Rule { keep: Keep::ArchiveId, ..PLAIN }),
    child(ns::PUSH2, "notification", bit(NOTIFICATION)),
    child(ns::MAM, "result", bit(ANSWER)),
    child(ns::PUBSUB_EVENT, "event", Rule { bit: EVENT, children: EVENTS, ..PLAIN }),
];

/// Published items, as far as they are pushes: an app server may be a node that the user subscribes to.
const EVENTS: &[&[Child]] = &[&[child(ns::PUBSUB_EVENT, "items", with(ITEMS))]];
const ITEMS: &[&[Child]] = &[&[child(ns::PUBSUB_EVENT, "item", with(PUSHES))]];
const PUSHES: &[&[Child]] =
    &[&[child(ns::PUSH, "notification", bit(NOTIFICATION)), child(ns::PUSH2, "notification", bit(NOTIFICATION))]];

/// The message in a carbon. A carbon within a carbon is ignored.
const FORWARDING: &[Child] = &[child(ns::FORWARD, "forwarded", with(&[FORWARDED]))];
const FORWARDED: &[Child] =
    &[child(ns::CLIENT, "message", forwarded(&[CALLS, JINGLE_MESSAGE, JINGLE_MESSAGE_1, CONTENT, ARCHIVED_AS]))];
const FORWARDING_PUSH2: &[Child] = &[child(ns::FORWARD, "forwarded", with(&[FORWARDED_PUSH2]))];
const FORWARDED_PUSH2: &[Child] = &[child(
    ns::CLIENT,
    "message",
    forwarded(&[CALLS, JINGLE_MESSAGE, JINGLE_MESSAGE_1, CONTENT, CONTENT_PUSH2, ARCHIVED_AS]),
)];
const ARCHIVED_AS: &[Child] = &[child(ns::STANZA_ID, "stanza-id", Rule { keep: Keep::CarbonArchiveId, ..PLAIN })];
/// Of a sent message, only the end of a call matters.
const FORWARDING_SENT: &[Child] = &[child(ns::FORWARD, "forwarded", with(&[FORWARDED_SENT]))];
const FORWARDED_SENT: &[Child] =
    &[child(ns::CLIENT, "message", forwarded(&[CALLS, JINGLE_MESSAGE, JINGLE_MESSAGE_1, ARCHIVED_AS]))];

const TYPES: Values = ("type", &[("groupchat", GROUPCHAT), ("headline", HEADLINE), ("error", ERROR)]);

/// In a message: a call, and its end.
const CALLS: &[Child] = &[
    child(ns::CALL_INVITES, "invite", Rule { bit: CALL, keep: Keep::Invite, ..PLAIN }),
    child(ns::CALL_INVITES, "retract", call(RETRACT)),
    child(ns::CALL_INVITES, "accept", call(CALL_OVER)),
    child(ns::CALL_INVITES, "reject", call(CALL_OVER)),
    child(ns::CALL_INVITES, "left", call(CALL_OVER)),
];
const JINGLE_MESSAGE: &[Child] = &jingle_message(ns::JINGLE_MESSAGE);
const JINGLE_MESSAGE_1: &[Child] = &jingle_message(ns::JINGLE_MESSAGE_1);

const fn jingle_message(ns: &'static str) -> [Child; 7] {
    [
        child(ns, "propose", Rule { children: PROPOSED, ..call(CALL) }),
        child(ns, "ringing", bit(RINGING)),
        child(ns, "proceed", call(PROCEED)),
        child(ns, "retract", call(RETRACT)),
        child(ns, "accept", call(CALL_OVER)),
        child(ns, "reject", call(CALL_OVER)),
        child(ns, "finish", call(CALL_OVER)),
    ]
}

/// Namespaces of the elements that signal a call. The shim reports such messages whether they are archived or not.
pub const CALL_NAMESPACES: [&str; 3] = [ns::JINGLE_MESSAGE, ns::JINGLE_MESSAGE_1, ns::CALL_INVITES];

const PROPOSED: &[&[Child]] = &[&[child(ns::JINGLE_RTP, "description", extract(attr(MEDIA, "media")))]];

/// In an IQ: a call that no message has announced before.
const JINGLE: Rule = Rule {
    values: ("action", &[("session-initiate", CALL)]),
    keep: Keep::CallId("sid"),
    children: &[&[child(ns::JINGLE, "content", with(DESCRIBED))]],
    ..PLAIN
};
const DESCRIBED: &[&[Child]] = &[&[
    child(ns::JINGLE_RTP, "description", extract(attr(MEDIA, "media"))),
    child(ns::JINGLE_FILE, "description", bit(FILE)),
    child(ns::JINGLE_FILE_4, "description", bit(FILE)),
]];

const CONTENT: &[Child] = &[
    child(ns::CLIENT, "body", Rule { bit: HAS_BODY, text: BODY, keep: Keep::Body, ..PLAIN }),
    child(ns::CLIENT, "subject", bit(SUBJECT)),
    child(ns::EME, "encryption", bit(EME)),
    child(ns::OMEMO_LEGACY, "encrypted", encrypted(OMEMO_PARTS)),
    child(ns::OMEMO_0, "encrypted", encrypted(&[&[child(ns::OMEMO_0, "payload", bit(ENCRYPTED))]])),
    child(ns::OMEMO_1, "encrypted", encrypted(&[&[child(ns::OMEMO_1, "payload", bit(ENCRYPTED))]])),
    child(ns::OMEMO_2, "encrypted", encrypted(&[&[child(ns::OMEMO_2, "payload", bit(ENCRYPTED))]])),
    child(ns::PGP_LEGACY, "x", bit(ENCRYPTED)),
    child(ns::OPENPGP, "openpgp", bit(ENCRYPTED)),
    child(ns::CONFERENCE, "x", bit(INVITATION)),
    child(ns::MUC_USER, "x", Rule { bit: FROM_OCCUPANT, ..with(&[&[child(ns::MUC_USER, "invite", bit(INVITATION))]]) }),
    child(ns::MUC_NOTIFICATIONS, "notification", bit(INVITATION)),
    child(
        ns::REFERENCE,
        "reference",
        extract(Extract { of_type: Some("mention"), form: Form::Uri, ..attr(MENTION, "uri") }),
    ),
    child(ns::MENTIONS, "mention", Rule { keep: Keep::Mention, ..PLAIN }),
    child(ns::REPLY, "reply", extract(Extract { form: Form::Jid, ..attr(REPLY_TO, "to") })),
    child(ns::RECEIPTS, "received", bit(RECEIPT)),
    child(ns::MARKERS, "received", bit(RECEIPT)),
    child(ns::MARKERS, "displayed", Rule { bit: DISPLAYED, ..extract(attr(READ, "id")) }),
    child(ns::MARKERS, "acknowledged", bit(RECEIPT)),
    child(ns::REACTIONS, "reactions", bit(AMENDMENT)),
    child(ns::RETRACT, "retract", bit(AMENDMENT)),
    child(ns::FASTEN, "apply-to", with(&[&[child(ns::RETRACT_0, "retract", bit(AMENDMENT))]])),
    child(ns::FALLBACK, "fallback", Rule { values: FALLBACK_FOR, ..PLAIN }),
    child(ns::HINTS, "no-store", bit(NO_STORE)),
    child(ns::CHAT_STATES, "active", bit(AT_CLIENT)),
    child(ns::CHAT_STATES, "composing", bit(AT_CLIENT)),
    child(ns::CHAT_STATES, "paused", bit(AT_CLIENT)),
    child(ns::CHAT_STATES, "inactive", bit(LEFT_CLIENT)),
    child(ns::CHAT_STATES, "gone", bit(LEFT_CLIENT)),
];

const CONTENT_PUSH2: &[Child] = &[child(ns::MESSAGE_CORRECT, "replace", bit(CORRECTED))];

/// The text is a fallback if it stands for an amendment, or for the whole message.
const FALLBACK_FOR: Values =
    ("for", &[("", FALLBACK), (ns::REACTIONS, FALLBACK), (ns::RETRACT, FALLBACK), (ns::RETRACT_0, FALLBACK)]);

const OMEMO_PARTS: &[&[Child]] = &[&[
    child(ns::OMEMO_LEGACY, "payload", Rule { bit: ENCRYPTED, ..extract(text(OMEMO_PAYLOAD)) }),
    child(ns::OMEMO_LEGACY, "header", Rule { children: OMEMO_HEADER, ..extract(attr(OMEMO_SENDER, "sid")) }),
]];
const OMEMO_HEADER: &[&[Child]] = &[&[
    child(ns::OMEMO_LEGACY, "key", extract(Extract { text: true, ..attr(OMEMO_KEY, "rid") })),
    child(ns::OMEMO_LEGACY, "iv", extract(text(OMEMO_IV))),
]];

const PLAIN: Rule = Rule { bit: 0, text: 0, keep: Keep::Nothing, values: ("", &[]), own: false, children: &[] };

const fn message(children: &'static [&'static [Child]]) -> Rule {
    Rule { values: TYPES, children, ..PLAIN }
}

const fn forwarded(children: &'static [&'static [Child]]) -> Rule {
    Rule { keep: Keep::Forwarded, ..message(children) }
}

const fn received(children: &'static [&'static [Child]]) -> Child {
    child(ns::CARBONS, "received", Rule { bit: RECEIVED, own: true, children, ..PLAIN })
}

const fn sent() -> Child {
    child(ns::CARBONS, "sent", Rule { bit: SENT, own: true, children: &[FORWARDING_SENT], ..PLAIN })
}

const fn bit(bit: Word) -> Rule {
    Rule { bit, ..PLAIN }
}

const fn call(bit: Word) -> Rule {
    Rule { bit, keep: Keep::CallId("id"), ..PLAIN }
}

const fn encrypted(children: &'static [&'static [Child]]) -> Rule {
    Rule { bit: OMEMO, children, ..PLAIN }
}

const fn extract(extract: Extract) -> Rule {
    Rule { keep: Keep::Extract(extract), ..PLAIN }
}

const fn attributes(kind: char, names: &'static [&'static str]) -> Rule {
    Rule { keep: Keep::Attributes(kind, names), ..PLAIN }
}

const fn attr(kind: char, attr: &'static str) -> Extract {
    Extract { kind, attr: Some(attr), text: false, of_type: None, form: Form::Text }
}

const fn text(kind: char) -> Extract {
    Extract { kind, attr: None, text: true, of_type: None, form: Form::Text }
}

const fn with(children: &'static [&'static [Child]]) -> Rule {
    Rule { children, ..PLAIN }
}

const fn child(ns: &'static str, name: &'static str, rule: Rule) -> Child {
    Child { ns, name, rule }
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

    /// The shim sets bits by addition: two bits in one number could be carried into a third.
    #[test]
    fn an_element_sets_one_bit() {
        let mut all = Vec::new();
        [&MESSAGE, &MESSAGE_PUSH2, &PRESENCE, &IQ, &ITEM].into_iter().for_each(|stanza| rules(stanza, &mut all));
        assert!(all.len() > 50);
        for rule in all {
            let bits = rule.values.1.iter().map(|(_, bit)| *bit).chain([rule.bit, rule.text]);
            assert!(bits.into_iter().all(|bit| bit.count_ones() <= 1), "{rule:?}");
        }
    }
}
