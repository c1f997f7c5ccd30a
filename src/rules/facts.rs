//! The facts about a stanza that the rules use: a word of bits and a few scalars. [`walk`](crate::rules::walk) has the elements
//! that they come from.

use minidom::Element;

use crate::limits::CALL_ID;
use crate::text::cut;

/// A set of the bits below. Lua counts up to 2^53 exactly, on every version.
pub type Word = u64;

/// `<body>` with text in it.
pub const BODY: Word = 1;
/// `<subject>`, empty or not.
pub const SUBJECT: Word = 1 << 1;
/// End-to-end encrypted (XEP-0384, XEP-0027, XEP-0373). OMEMO counts only with a payload: without one it only moves keys, and
/// there is nothing to show.
pub const ENCRYPTED: Word = 1 << 2;
/// The start of a call: XEP-0353 `<propose>`, XEP-0482 `<invite>`, or a Jingle `session-initiate` (XEP-0166).
pub const CALL: Word = 1 << 3;
/// A carbon of a message that the user sent (XEP-0280).
pub const SENT: Word = 1 << 4;
/// Type `groupchat`.
pub const GROUPCHAT: Word = 1 << 5;
/// Type `headline`.
pub const HEADLINE: Word = 1 << 6;
/// Type `error`.
pub const ERROR: Word = 1 << 7;
/// A call was taken, rejected or is over: XEP-0353 `<accept>`, `<reject>` or `<finish>`, XEP-0482 `<accept>`, `<reject>` or
/// `<left>`.
pub const CALL_OVER: Word = 1 << 8;
/// XEP-0334 `<no-store>`.
pub const NO_STORE: Word = 1 << 9;
/// A carbon of a message that another client of the user received.
pub const RECEIVED: Word = 1 << 10;
/// The user's own message, reflected by a room. The shim recognises it by the nickname and sets the bit.
pub const REFLECTED: Word = 1 << 11;
/// Marked as end-to-end encrypted (XEP-0380).
pub const EME: Word = 1 << 12;
/// A presence of type `subscribe` (RFC 6121 §3.1).
pub const SUBSCRIBE: Word = 1 << 13;
/// The sender is in the user's roster, or is a room that the user is in. The shim looks this up if a registration asks for it.
pub const CONTACT: Word = 1 << 14;
/// The sender is not in the user's roster.
pub const STRANGER: Word = 1 << 15;
/// The caller has given up: `<retract>` of XEP-0353 or XEP-0482.
pub const RETRACT: Word = 1 << 16;
/// The text of another message is corrected (XEP-0308).
pub const CORRECTED: Word = 1 << 17;
/// A chat state (XEP-0085) that shows the user at the client: `<active>`, `<composing>` or `<paused>`.
pub const AT_CLIENT: Word = 1 << 18;
/// The stanza is in the user's archive. The shim sets the bit if it has the id.
pub const ARCHIVED: Word = 1 << 19;
/// A push, by any protocol, also as an event of XEP-0060. A push is never pushed: two users whose registrations name each other
/// would push for ever.
pub const NOTIFICATION: Word = 1 << 20;
/// XEP-0353 `<proceed>`: sent by the user, it takes a call; sent by the other end, it means nothing.
pub const PROCEED: Word = 1 << 21;
/// An invitation to a room (XEP-0249, XEP-0045 §7.8.2), or a room's notice of messages to an absent member
/// (`mod_muc_notifications`).
pub const INVITATION: Word = 1 << 22;
/// An OMEMO element, with a payload or without.
pub const OMEMO: Word = 1 << 23;
/// A receipt (XEP-0184), or a marker (XEP-0333) that does not say that the message was read.
pub const RECEIPT: Word = 1 << 24;
/// A reaction (XEP-0444), or the retraction of a message (XEP-0424).
pub const AMENDMENT: Word = 1 << 25;
/// `<body>` is a fallback for an amendment (XEP-0428), for clients that do not know it.
pub const FALLBACK: Word = 1 << 26;
/// An event of publish-subscribe (XEP-0060 §7.1.2).
pub const EVENT: Word = 1 << 27;
/// A presence.
pub const PRESENCE_STANZA: Word = 1 << 28;
/// An answer to the client's own request: an IQ of type `result` or `error`, or a page of its archive (XEP-0313).
pub const ANSWER: Word = 1 << 29;
/// XEP-0353 `<ringing>`.
pub const RINGING: Word = 1 << 30;
/// `<body>`, with text or without.
pub const HAS_BODY: Word = 1 << 31;
/// A Jingle session for a file (XEP-0234): no call.
pub const FILE: Word = 1 << 32;
/// A chat state of a user who has left the chat: `<inactive>` or `<gone>`.
pub const LEFT_CLIENT: Word = 1 << 33;
/// An IQ.
pub const IQ_STANZA: Word = 1 << 34;
/// XEP-0333 `<displayed>`: a message was read.
pub const DISPLAYED: Word = 1 << 35;
/// `<x>` of a room (XEP-0045): a message with it that is not of type `groupchat` is private, from one occupant to another.
pub const FROM_OCCUPANT: Word = 1 << 36;
/// From a room of this server that is public by its configuration (XEP-0045). The shim looks this up if `push_rooms` asks for it.
pub const PUBLIC_ROOM: Word = 1 << 37;

/// A chat state, of any kind.
pub const CHAT_STATE: Word = AT_CLIENT | LEFT_CLIENT;
/// A receipt or a marker.
pub const RECEIPTS: Word = RECEIPT | DISPLAYED;
/// End-to-end encrypted, with or without a payload. Do not show `<body>`: it is only a fallback.
pub const E2E: Word = ENCRYPTED | EME | OMEMO;
/// Ends a call, whoever sent it.
pub const CALL_ENDS: Word = CALL_OVER | RETRACT;

/// A call, as its two ends know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call<'a> {
    /// The bare JID of the other end, or of the room. `None` in a call of the account with itself: then a client of the user
    /// ends any call with the id, whoever calls.
    pub peer: Option<&'a str>,
    /// The first [`CALL_ID`] bytes of its id.
    pub id: &'a str,
}

/// A message as the engine gets it.
#[derive(Clone, Copy, Default)]
pub struct Message<'a> {
    pub word: Word,
    /// The sender, as the server stamped it; for a carbon, the sender of the message in it.
    pub from: Option<&'a str>,
    pub body: Option<&'a str>,
    /// The deduplication key, the same in every event of the message: its id in the addressee's archive (XEP-0313), or, for a
    /// stanza that is not archived, a key that the shim keeps with it.
    pub dedup_key: Option<&'a str>,
    /// The call that the message is about.
    pub call: Option<Call<'a>>,
    /// Repeatable values, encoded as one string: for each a one-letter kind followed by its text, separated by NUL. The shim
    /// adds facts about the user's sessions.
    pub extracts: Option<&'a str>,
    /// Reads the stanza, which only some pushes carry.
    pub stanza: Option<&'a dyn Fn() -> Option<Element>>,
}

/// In [`Message::extracts`]: a JID that is mentioned (XEP-0372, XEP-0513).
pub const MENTION: char = 'm';
/// An occupant of the room that is mentioned, by id (XEP-0513, XEP-0421).
pub const MENTIONED_OCCUPANT: char = 'o';
/// A group that is mentioned (XEP-0513 §3.2), a space, and the room or server that the group belongs to, if it is given.
pub const MENTIONED_GROUP: char = 'g';
/// The `media` of a call (XEP-0167).
pub const MEDIA: char = 'd';
/// In a message that is encrypted by OMEMO: the sender's device, a key with the id of the device it is for, the
/// initialisation vector, the ciphertext.
pub const OMEMO_SENDER: char = 's';
pub const OMEMO_KEY: char = 'k';
pub const OMEMO_IV: char = 'i';
pub const OMEMO_PAYLOAD: char = 'p';
/// The JID whose message this one replies to (XEP-0461).
pub const REPLY_TO: char = 'r';
/// A nickname of the user in the room that the message comes from. The shim adds it.
pub const NICKNAME: char = 'n';
/// The id of the user as an occupant of that room (XEP-0421). The shim adds it.
pub const OCCUPANT: char = 'u';
/// When a session of the user was active last, in seconds since 1970, a space, and the registration that it holds, if any. The
/// shim adds it.
pub const ACTIVITY: char = 'a';

/// For each session whose client reports that it is in use (XEP-0352): the registration that the session holds, if any. The
/// shim adds it.
pub const IN_USE: char = 'w';
/// The id by which a marker names the message (XEP-0333): in a room, the id that the room has given it. The shim adds it.
pub const MARKED_AS: char = 'e';
/// In a message that the user sends: the id of the message that was read (XEP-0333).
pub const READ: char = 'f';
/// In an item that the user publishes: the entity that has given the read message its id, a space, and the id (XEP-0490).
pub const READ_AS: char = 'h';
/// In a bookmark: a setting (XEP-0492), with the identity that it is for: its category, a space, and its type.
pub const NEVER: char = 'N';
pub const ON_MENTION: char = 'M';
pub const ALWAYS: char = 'A';
/// The same, before 0.2 of the specification: the type of a client.
pub const NEVER_0: char = 'X';
pub const ON_MENTION_0: char = 'Y';
pub const ALWAYS_0: char = 'Z';

/// The letters that every protocol asks for, and those that Tigase's extensions ask for. Calls are encrypted for a registration
/// that asks for it even if the extension is off, so [`MEDIA`] is among the first ones. The letters of published items are not
/// among them, because no stanza has these values.
pub const EXTRACTS: &[char] = &[MENTION, REPLY_TO, READ, MEDIA];
pub const EXTRACTS_TIGASE: &[char] =
    &[MENTION, REPLY_TO, READ, MEDIA, OMEMO_SENDER, OMEMO_KEY, OMEMO_IV, OMEMO_PAYLOAD];

impl<'a> Call<'a> {
    /// Parses the other end's bare JID, a space, and the id. In a call of `account` with itself, the other end is not known.
    pub fn parse(text: &'a str, account: &str) -> Option<Call<'a>> {
        let (peer, id) = text.split_once(' ')?;
        Some(Call { peer: Some(peer).filter(|peer| !peer.is_empty() && *peer != account), id: cut(id, CALL_ID) })
    }
}

impl<'a> Message<'a> {
    /// Returns the repeatable values of a kind.
    pub fn each(&self, kind: char) -> impl Iterator<Item = &'a str> {
        self.extracts
            .into_iter()
            .flat_map(|extracts| extracts.split('\0'))
            .filter_map(move |entry| entry.strip_prefix(kind))
    }

    /// Returns the JIDs that are mentioned.
    pub fn mentioned_jids(&self) -> impl Iterator<Item = &'a str> {
        self.each(MENTION)
    }

    /// Returns the occupants that are mentioned, by id (XEP-0513).
    pub fn mentioned_occupants(&self) -> impl Iterator<Item = &'a str> {
        self.each(MENTIONED_OCCUPANT)
    }

    /// Returns the groups that are mentioned (XEP-0513 §3.2): the group's URI, and the JID of the room or server, or an empty text.
    pub fn mentioned_groups(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.each(MENTIONED_GROUP).filter_map(|entry| entry.split_once(' '))
    }

    /// Returns the user's ids as an occupant of the room.
    pub fn occupants(&self) -> impl Iterator<Item = &'a str> {
        self.each(OCCUPANT)
    }

    /// Returns the JID whose message this message replies to.
    pub fn reply_to(&self) -> Option<&'a str> {
        self.each(REPLY_TO).next()
    }

    /// Returns the user's nicknames in the room.
    pub fn nicknames(&self) -> impl Iterator<Item = &'a str> {
        self.each(NICKNAME)
    }

    /// Returns for each session when it was active last, in seconds since 1970, and the registration that it holds, or an empty text.
    pub fn activities(&self) -> impl Iterator<Item = (u64, &'a str)> {
        let parse = |entry: &'a str| entry.split_once(' ').and_then(|(at, holds)| Some((at.parse().ok()?, holds)));
        self.each(ACTIVITY).filter_map(parse)
    }

    /// Returns the registrations, or empty texts, of the sessions whose clients say that they are in use.
    pub fn in_use(&self) -> impl Iterator<Item = &'a str> {
        self.each(IN_USE)
    }

    /// Returns the id by which a marker names the message.
    pub fn marked_as(&self) -> Option<&'a str> {
        self.each(MARKED_AS).next()
    }

    /// Returns the media of a call: `audio`, `video`.
    pub fn media(&self) -> impl Iterator<Item = &'a str> {
        self.each(MEDIA)
    }
}
