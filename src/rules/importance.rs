//! The importance of a stanza: whether it has something to show to the user, and whether it must be shown at once.

use serde::{Deserialize, Serialize};

use crate::reason::Reason;
use crate::rules::facts::{
    AMENDMENT, ANSWER, AT_CLIENT, BODY, CALL, CALL_ENDS, CHAT_STATE, DISPLAYED, EME, ENCRYPTED, ERROR, EVENT, FALLBACK,
    FILE, GROUPCHAT, HAS_BODY, HEADLINE, INVITATION, NO_STORE, NOTIFICATION, OMEMO, PRESENCE_STANZA, PROCEED, RECEIPTS,
    REFLECTED, RETRACT, RINGING, SENT, SUBJECT, SUBSCRIBE, Word,
};

/// The importance of a stanza for the user's devices.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Importance {
    /// Nothing to show, and nothing that a notification must stop showing: presence, chat states, subjects of rooms.
    None,
    /// Nothing to show, but the client has to know: receipts, markers, reactions, errors, keys.
    Low,
    /// Something to read.
    Important,
    /// A call: every device rings at once, connected or not.
    Urgent,
    /// The end of a call: the devices that rang have to stop.
    CallEnds,
}

impl Importance {
    /// Whether there is something to show.
    pub fn is_important(self) -> bool {
        matches!(self, Importance::Important | Importance::Urgent)
    }

    /// Whether the stanza is about a call: its push is never delayed.
    pub fn is_call(self) -> bool {
        matches!(self, Importance::Urgent | Importance::CallEnds)
    }
}

/// The kind of a push; a greater kind covers the lesser ones, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Silent,
    Important,
    Call,
}

impl Kind {
    pub const ALL: [Kind; 3] = [Kind::Silent, Kind::Important, Kind::Call];

    pub fn new(importance: Importance) -> Kind {
        match importance {
            Importance::Urgent => Kind::Call,
            Importance::Important => Kind::Important,
            Importance::Low | Importance::None | Importance::CallEnds => Kind::Silent,
        }
    }

    /// Returns the importance of a push of this kind without content.
    pub fn importance(self) -> Importance {
        match self {
            Kind::Call | Kind::Important => Importance::Important,
            Kind::Silent => Importance::Low,
        }
    }
}

/// Judges a stanza by its facts. Returns a reason if no device is ever woken for it, whatever its client asked for.
pub fn judge(word: Word) -> Result<Importance, Reason> {
    let has = |bits| word & bits != 0;
    if has(NOTIFICATION) {
        return Err(Reason::IsPush);
    }
    if has(ANSWER) {
        return Err(Reason::IsAnswer);
    }
    let is_own = has(SENT | REFLECTED);
    let has_text = shows_text(word);
    if !has(ERROR | HEADLINE) && ends_call(word, is_own) && (is_own || !has_text) {
        return Ok(Importance::CallEnds);
    }
    if is_own {
        return Err(Reason::OwnMessage);
    }
    // The other end reports the state of its own devices before the call is over, which rings none of the user's devices and
    // silences none. In a room, an occupant who takes a call takes it only for their own devices.
    if has(CALL_ENDS | PROCEED | RINGING) && !has(CALL | ERROR | HAS_BODY) && !has_text {
        return Err(Reason::NothingToShow);
    }
    Ok(if has(ERROR) {
        Importance::Low
    } else if has(HEADLINE | EVENT) {
        if has(BODY) { Importance::Low } else { Importance::None }
    } else if has(CALL) && !has(FILE) {
        Importance::Urgent
    } else if has(SUBSCRIBE | INVITATION) || has_text {
        Importance::Important
    } else if has(PRESENCE_STANZA)
        || has(NO_STORE) && !has(HAS_BODY)
        || has(GROUPCHAT) && has(SUBJECT) && !has(HAS_BODY)
        || has(CHAT_STATE) && !has(HAS_BODY | RECEIPTS | AMENDMENT | OMEMO | SUBJECT)
    {
        Importance::None
    } else {
        Importance::Low
    })
}

/// Whether there is a text to show, or an encrypted payload that may be one.
fn shows_text(word: Word) -> bool {
    let has = |bits| word & bits != 0;
    let is_amendment = has(AMENDMENT) && (has(FALLBACK) || !has(BODY));
    let is_subject = has(GROUPCHAT) && has(SUBJECT);
    // OMEMO without a payload only moves keys. Every other encrypted stanza has a text.
    let is_encrypted = has(ENCRYPTED) || has(EME) && !has(OMEMO);
    !is_amendment && (is_encrypted || has(BODY) && !is_subject)
}

/// Whether the stanza ends a call for the user's devices. The user takes a call with `<proceed>` (XEP-0353 §3.4).
fn ends_call(word: Word, is_own: bool) -> bool {
    let ends = if is_own {
        word & (CALL_ENDS | PROCEED) != 0
    } else if word & GROUPCHAT != 0 {
        word & RETRACT != 0
    } else {
        word & CALL_ENDS != 0
    };
    ends && word & CALL == 0
}

/// Whether a message that the user sends shows that the user is at the client: the `<grace>` of Push 2.0 and `push_patience`
/// count from then.
pub fn shows_activity(word: Word) -> bool {
    word & (BODY | ENCRYPTED | AT_CLIENT | DISPLAYED) != 0 && word & ERROR == 0
}

/// Returns the reason for [`Importance::None`].
pub fn why_none(word: Word) -> Reason {
    if word & NO_STORE != 0 { Reason::NobodyKeepsIt } else { Reason::NothingToShow }
}
