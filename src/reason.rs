//! Why a device is not woken for a stanza.

/// A reason, for the administrator and for the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    HasSession,
    InUse,
    DidNotRing,
    TookCall,
    NobodyKeepsIt,
    NothingToShow,
    OwnMessage,
    IsAnswer,
    IsPush,
    AccountDisabled,
    PushedBefore,
    WaitedTogether,
    UnknownSender,
    SenderMuted,
    RoomMuted,
    NotMentioned,
    UnusableKeys,
    NothingAsked,
    UnknownProfile,
    NotImportant,
    NotArchived,
    NoBody,
    ActiveElsewhere,
    Filtered,
    /// By a handler of `cloud_notify/push`.
    Blocked,
}

impl Reason {
    pub const ALL: [Reason; 25] = [
        Reason::HasSession,
        Reason::InUse,
        Reason::DidNotRing,
        Reason::TookCall,
        Reason::NobodyKeepsIt,
        Reason::NothingToShow,
        Reason::OwnMessage,
        Reason::IsAnswer,
        Reason::IsPush,
        Reason::AccountDisabled,
        Reason::PushedBefore,
        Reason::WaitedTogether,
        Reason::UnknownSender,
        Reason::SenderMuted,
        Reason::RoomMuted,
        Reason::NotMentioned,
        Reason::UnusableKeys,
        Reason::NothingAsked,
        Reason::UnknownProfile,
        Reason::NotImportant,
        Reason::NotArchived,
        Reason::NoBody,
        Reason::ActiveElsewhere,
        Reason::Filtered,
        Reason::Blocked,
    ];

    /// The value of a metric's label.
    pub fn label(self) -> &'static str {
        match self {
            Reason::HasSession => "has_session",
            Reason::InUse => "in_use",
            Reason::DidNotRing => "did_not_ring",
            Reason::TookCall => "took_call",
            Reason::NobodyKeepsIt => "nobody_keeps_it",
            Reason::NothingToShow => "nothing_to_show",
            Reason::OwnMessage => "own_message",
            Reason::IsAnswer => "is_answer",
            Reason::IsPush => "is_push",
            Reason::AccountDisabled => "account_disabled",
            Reason::PushedBefore => "pushed_before",
            Reason::WaitedTogether => "waited_together",
            Reason::UnknownSender => "unknown_sender",
            Reason::SenderMuted => "sender_muted",
            Reason::RoomMuted => "room_muted",
            Reason::NotMentioned => "not_mentioned",
            Reason::UnusableKeys => "unusable_keys",
            Reason::NothingAsked => "nothing_asked",
            Reason::UnknownProfile => "unknown_profile",
            Reason::NotImportant => "not_important",
            Reason::NotArchived => "not_archived",
            Reason::NoBody => "no_body",
            Reason::ActiveElsewhere => "active_elsewhere",
            Reason::Filtered => "filtered",
            Reason::Blocked => "blocked",
        }
    }

    /// In words.
    pub fn text(self) -> &'static str {
        match self {
            Reason::HasSession => "its session has it: connected, or it waits there",
            Reason::InUse => "its client is connected and answers",
            Reason::DidNotRing => "it did not ring for that call",
            Reason::TookCall => "its client took or ended the call",
            Reason::NobodyKeepsIt => "there is nothing to show, and the sender asks not to store it (no-store)",
            Reason::NothingToShow => "there is nothing to show, and nothing that the client must know",
            Reason::OwnMessage => "the user sent it",
            Reason::IsAnswer => "it is the answer to a request of the client",
            Reason::IsPush => "it is a push itself",
            Reason::AccountDisabled => "the account is disabled",
            Reason::PushedBefore => "it was pushed there before",
            Reason::WaitedTogether => "it waited together with one that was pushed",
            Reason::UnknownSender => "the sender is not in the roster",
            Reason::SenderMuted => "the sender is muted",
            Reason::RoomMuted => "the room is muted",
            Reason::NotMentioned => "the room's message does not mention the user",
            Reason::UnusableKeys => "the registration asks for an unknown encryption, or its keys cannot be read",
            Reason::NothingAsked => "the client asks for nothing",
            Reason::UnknownProfile => "the match profile is not known",
            Reason::NotImportant => "it is not important",
            Reason::NotArchived => "it is not archived",
            Reason::NoBody => "it has no body",
            Reason::ActiveElsewhere => "the user was active elsewhere a moment ago (grace)",
            Reason::Filtered => "the client filters what comes from there",
            Reason::Blocked => "another module blocked it",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_told_from_every_other() {
        let unique = |text: fn(Reason) -> &'static str| {
            Reason::ALL.map(text).into_iter().collect::<std::collections::HashSet<_>>().len()
        };
        assert_eq!((unique(Reason::label), unique(Reason::text)), (Reason::ALL.len(), Reason::ALL.len()));
        assert!(Reason::ALL.iter().enumerate().all(|(i, reason)| *reason as usize == i), "in order, and all");
    }
}
