//! The reasons why a device is not woken for a stanza.

use strum::{EnumCount, EnumIter, EnumMessage, IntoEnumIterator, IntoStaticStr};

/// A reason, for the administrator and for the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumCount, EnumIter, EnumMessage, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Reason {
    #[strum(message = "its session has it: connected, or it waits there")]
    HasSession,
    #[strum(message = "its client is connected and answers")]
    InUse,
    #[strum(message = "it did not ring for that call")]
    DidNotRing,
    #[strum(message = "its client took or ended the call")]
    TookCall,
    #[strum(message = "it does not say whose call is over; what the client sends to the caller does")]
    UnknownCaller,
    #[strum(message = "there is nothing to show, and the sender asks not to store it (no-store)")]
    NobodyKeepsIt,
    #[strum(message = "there is nothing to show, and nothing that the client must know")]
    NothingToShow,
    #[strum(message = "the user sent it")]
    OwnMessage,
    #[strum(message = "it is the answer to a request of the client")]
    IsAnswer,
    #[strum(message = "it is a push itself")]
    IsPush,
    #[strum(message = "the account is disabled")]
    AccountDisabled,
    #[strum(message = "it was pushed there before")]
    PushedBefore,
    #[strum(message = "it waited together with one that was pushed")]
    WaitedTogether,
    #[strum(message = "the sender is not in the roster")]
    UnknownSender,
    #[strum(message = "the sender is muted")]
    SenderMuted,
    #[strum(message = "the room is muted")]
    RoomMuted,
    #[strum(message = "the room's message does not mention the user")]
    NotMentioned,
    #[strum(message = "the user has set this chat to notify never (XEP-0492)")]
    ChatNever,
    #[strum(
        message = "the user has set this chat to notify on mention (XEP-0492), and the message does not mention the user"
    )]
    ChatOnMention,
    #[strum(message = "of this room only mentions are pushed (push_rooms), and it does not mention the user")]
    RoomOnMention,
    #[strum(message = "the user has read it with another client")]
    ReadElsewhere,
    #[strum(message = "the registration asks for an encryption that this server does not know")]
    UnknownEncryption,
    #[strum(message = "the registration's encryption key is not 16 bytes in base64")]
    InvalidKey,
    #[strum(message = "the registration's ua-public is no uncompressed point of P-256 in base64")]
    InvalidPublicKey,
    #[strum(message = "the registration's auth-secret is not 16 bytes in base64")]
    InvalidAuthSecret,
    #[strum(message = "the registration's jwt-alg is none that this server knows")]
    UnknownJwtAlgorithm,
    #[strum(message = "the registration's jwt-key is no private key for its jwt-alg")]
    InvalidJwtKey,
    #[strum(message = "the client asks for nothing")]
    NothingAsked,
    #[strum(message = "the match profile is not known")]
    UnknownProfile,
    #[strum(message = "it is not important")]
    NotImportant,
    #[strum(message = "it is not archived")]
    NotArchived,
    #[strum(message = "it has no body")]
    NoBody,
    #[strum(message = "the user was active elsewhere a moment ago (grace)")]
    ActiveElsewhere,
    #[strum(message = "the client filters what comes from there")]
    Filtered,
    /// A handler of `cloud_notify/push` blocked it.
    #[strum(message = "another module blocked it")]
    Blocked,
}

impl Reason {
    /// Returns all reasons, in the order of their numbers.
    pub fn all() -> impl Iterator<Item = Reason> {
        Reason::iter()
    }

    /// Returns the value of a metric's label.
    pub fn label(self) -> &'static str {
        self.into()
    }

    /// Returns the reason in words.
    pub fn text(self) -> &'static str {
        self.get_message().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_told_from_every_other() {
        let unique = |text: fn(Reason) -> &'static str| {
            Reason::all().map(text).filter(|text| !text.is_empty()).collect::<std::collections::HashSet<_>>().len()
        };
        assert_eq!((unique(Reason::label), unique(Reason::text)), (Reason::COUNT, Reason::COUNT));
        assert_eq!(Reason::HasSession.label(), "has_session");
    }
}
