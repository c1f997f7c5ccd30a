//! Is there something to show to the user, and must it be shown at once?
//!
//! The order of the checks is the reference's: what the user sent, a headline or an error is never important, whatever is in
//! it.

use crate::facts::{
    BODY, CALL_ENDS, ENCRYPTED, ERROR, GROUPCHAT, HEADLINE, NO_STORE, NOTIFICATION, PROPOSE, REFLECTED, SENT, SUBJECT,
    Word,
};

/// What a message is worth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Importance {
    /// Nobody keeps the message (XEP-0334), or it is a push itself: there would be nothing to wake up for.
    None,
    /// Nothing to show: receipts, chat states, keys, subjects, headlines, one's own messages.
    Low,
    /// Something to read.
    Important,
    /// A call (XEP-0353): every device rings at once, connected or not.
    Urgent,
}

impl Importance {
    /// Whether there is something to show.
    pub fn is_important(self) -> bool {
        matches!(self, Importance::Important | Importance::Urgent)
    }
}

/// Judges a message by the word of facts that stands for it.
pub fn judge(word: Word) -> Importance {
    let has = |bits| word & bits != 0;
    if has(NOTIFICATION) || has(NO_STORE) && !has(PROPOSE | CALL_ENDS) {
        Importance::None
    } else if has(SENT | HEADLINE | ERROR | REFLECTED) {
        Importance::Low
    } else if has(PROPOSE) {
        Importance::Urgent
    } else if has(ENCRYPTED) || (has(BODY) && !(has(GROUPCHAT) && has(SUBJECT))) {
        Importance::Important
    } else {
        Importance::Low
    }
}
