//! Every namespace that is read or written, with its specification: those that xmpp-parsers knows, and the others.

pub use xmpp_parsers::ns::{
    BOOKMARKS2 as BOOKMARKS, CARBONS, CHATSTATES as CHAT_STATES, DATA_FORMS, DISPLAYED_MARKERS as MARKERS, EME,
    FORWARD, JABBER_CLIENT as CLIENT, JINGLE, JINGLE_FT as JINGLE_FILE, JINGLE_MESSAGE, JINGLE_RTP,
    LEGACY_OMEMO as OMEMO_LEGACY, MAM, MDS as DISPLAYED, MESSAGE_CORRECT, MUC_USER, OOB, OX as OPENPGP, PUBSUB,
    PUBSUB_EVENT, PUSH, REACTIONS, RECEIPTS, SID as STANZA_ID,
};

/// XML 1.0: the attributes `xml:lang` and others.
pub const XML: &str = "http://www.w3.org/XML/1998/namespace";
/// XEP-0357 §7: `FORM_TYPE` of the summary in a notification.
pub const PUSH_SUMMARY: &str = "urn:xmpp:push:summary";
/// XEP-0384 0.4 to 0.7.
pub const OMEMO_0: &str = "urn:xmpp:omemo:0";
/// XEP-0384 from 0.8.
pub const OMEMO_2: &str = "urn:xmpp:omemo:2";
/// XEP-0027: OpenPGP, historical.
pub const PGP_LEGACY: &str = "jabber:x:encrypted";
/// XEP-0372: References.
pub const REFERENCE: &str = "urn:xmpp:reference:0";
/// Tigase: Encrypted Push Notifications.
pub const TIGASE_ENCRYPT: &str = "tigase:push:encrypt:0";
/// Tigase: Encrypted Push Notifications, the algorithm that we know.
pub const TIGASE_AES_128_GCM: &str = "tigase:push:encrypt:aes-128-gcm";
/// Tigase: Push Notifications - Jingle: pushes are marked as calls.
pub const TIGASE_JINGLE: &str = "tigase:push:jingle:0";
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
/// Push 2.0, draft.
pub const PUSH2: &str = "urn:xmpp:push2:0";
/// Push 2.0, match profile: every stanza.
pub const PUSH2_MATCH_ALL: &str = "urn:xmpp:push2:match:all";
/// Push 2.0, match profile: important stanzas.
pub const PUSH2_MATCH_IMPORTANT: &str = "urn:xmpp:push2:match:important";
/// Push 2.0, match profile: stanzas in the user's archive.
pub const PUSH2_MATCH_ARCHIVED: &str = "urn:xmpp:push2:match:archived";
/// Push 2.0, match profile: stanzas in the user's archive that have a body.
pub const PUSH2_MATCH_ARCHIVED_WITH_BODY: &str = "urn:xmpp:push2:match:archived-with-body";
/// Push 2.0, send profile: a push without content.
pub const PUSH2_SEND_NOTIFY_ONLY: &str = "urn:xmpp:push2:send:notify-only:0";
/// Push 2.0, send profile: the encrypted stanza, with a token of the sender.
pub const PUSH2_SEND_ENCRYPTED: &str = "urn:xmpp:push2:send:sce+rfc8291+rfc8292:0";
/// Push 2.0: a payload that is encrypted by RFC 8291.
pub const SCE_RFC8291: &str = "urn:xmpp:sce:rfc8291:0";
/// XEP-0420: Stanza Content Encryption.
pub const SCE: &str = "urn:xmpp:sce:1";
/// XEP-0249: Direct MUC Invitations.
pub const CONFERENCE: &str = "jabber:x:conference";
/// XEP-0461: Message Replies.
pub const REPLY: &str = "urn:xmpp:reply:0";
/// XEP-0424: Message Retraction.
pub const RETRACT: &str = "urn:xmpp:message-retract:1";
/// XEP-0424 before 0.4, fastened to the message.
pub const RETRACT_0: &str = "urn:xmpp:message-retract:0";
/// XEP-0422: Message Fastening.
pub const FASTEN: &str = "urn:xmpp:fasten:0";
/// XEP-0428: Fallback Indication.
pub const FALLBACK: &str = "urn:xmpp:fallback:0";
/// XEP-0482: Call Invites.
pub const CALL_INVITES: &str = "urn:xmpp:call-invites:0";
/// XEP-0353, as some clients sent it for a while.
pub const JINGLE_MESSAGE_1: &str = "urn:xmpp:jingle-message:1";
/// XEP-0234 before 0.18.
pub const JINGLE_FILE_4: &str = "urn:xmpp:jingle:apps:file-transfer:4";
/// XEP-0384 0.7.
pub const OMEMO_1: &str = "urn:xmpp:omemo:1";
/// The notification of `mod_muc_notifications` to members who are not in their room.
pub const MUC_NOTIFICATIONS: &str = "http://quobis.com/xmpp/muc#push";
/// XEP-0513: Explicit Mentions.
pub const MENTIONS: &str = "urn:xmpp:mentions:0";
/// XEP-0492: Chat Notification Settings.
pub const NOTIFICATION_SETTINGS: &str = "urn:xmpp:notification-settings:1";
/// XEP-0492 before 0.2.
pub const NOTIFICATION_SETTINGS_0: &str = "urn:xmpp:notification-settings:0";
