//! Every namespace that is read or written, with its specification.

/// RFC 6120: stanzas of a client stream; Prosody leaves it out of `attr.xmlns`.
pub const CLIENT: &str = "jabber:client";
/// XEP-0357: Push Notifications.
pub const PUSH: &str = "urn:xmpp:push:0";
/// XEP-0357 §7: `FORM_TYPE` of the summary in a notification.
pub const PUSH_SUMMARY: &str = "urn:xmpp:push:summary";
/// XEP-0060: Publish-Subscribe.
pub const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
/// XEP-0004: Data Forms.
pub const DATA_FORMS: &str = "jabber:x:data";
/// XEP-0280: Message Carbons.
pub const CARBONS: &str = "urn:xmpp:carbons:2";
/// XEP-0297: Stanza Forwarding.
pub const FORWARD: &str = "urn:xmpp:forward:0";
/// XEP-0353: Jingle Message Initiation.
pub const JINGLE_MESSAGE: &str = "urn:xmpp:jingle-message:0";
/// XEP-0384 before 0.4, as most clients send it.
pub const OMEMO_LEGACY: &str = "eu.siacs.conversations.axolotl";
/// XEP-0384 0.4 to 0.7.
pub const OMEMO_0: &str = "urn:xmpp:omemo:0";
/// XEP-0384 from 0.8.
pub const OMEMO_2: &str = "urn:xmpp:omemo:2";
/// XEP-0027: OpenPGP, historical.
pub const PGP_LEGACY: &str = "jabber:x:encrypted";
/// XEP-0373: OpenPGP for XMPP.
pub const OPENPGP: &str = "urn:xmpp:openpgp:0";
/// XEP-0359: Unique and Stable Stanza IDs.
pub const STANZA_ID: &str = "urn:xmpp:sid:0";
/// XEP-0380: Explicit Message Encryption.
pub const EME: &str = "urn:xmpp:eme:0";
/// XEP-0167: Jingle RTP Sessions.
pub const JINGLE_RTP: &str = "urn:xmpp:jingle:apps:rtp:1";
/// XEP-0372: References.
pub const REFERENCE: &str = "urn:xmpp:reference:0";
/// Tigase: Encrypted Push Notifications.
pub const TIGASE_ENCRYPT: &str = "tigase:push:encrypt:0";
/// Tigase: Encrypted Push Notifications - OMEMO.
pub const TIGASE_OMEMO: &str = "tigase:push:encrypt:omemo:0";
/// Tigase: Push Notifications - Priority.
pub const TIGASE_PRIORITY: &str = "tigase:push:priority:0";
/// Tigase: Push Notifications - Ignore unknown senders.
pub const TIGASE_UNKNOWN: &str = "tigase:push:filter:ignore-unknown:0";
/// Tigase: Push Notifications - Muted senders.
pub const TIGASE_MUTED: &str = "tigase:push:filter:muted:0";
/// Tigase: Push Notifications - Groupchat filters.
pub const TIGASE_GROUPCHAT: &str = "tigase:push:filter:groupchat:0";
/// XEP-0334: Message Processing Hints.
pub const HINTS: &str = "urn:xmpp:hints";
