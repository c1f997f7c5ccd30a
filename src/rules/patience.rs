//! `push_patience`: while the user is at another client, an important push waits, because the user will probably read the
//! message there.

use crate::rules::facts::Message;
use crate::time::{Millis, SECOND};

/// Whether the user is at a client that does not hold the registration `identifier`: the client sent something in the last
/// `patience`, or reports that it is in use (XEP-0352). `now` is by the wall clock, like the shim's times. A time in the
/// future, after a clock was set back, does not count.
pub fn is_elsewhere(message: &Message, identifier: &str, now: Millis, patience: Millis) -> bool {
    let is_other = |holds: &str| holds != identifier;
    let now = now / SECOND;
    let is_recent = |at: u64| at <= now && (now - at) * SECOND < patience.max(SECOND);
    patience > 0
        && (message.in_use().any(is_other) || message.activities().any(|(at, holds)| is_other(holds) && is_recent(at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_client_is_in_use_by_what_it_sent_or_says() {
        let is = |entries: &str, patience| {
            let message = Message { extracts: Some(entries), ..Message::default() };
            is_elsewhere(&message, "phone", 1_000_000, patience)
        };
        assert!(is("a990 ", 60_000) && is("a941 tablet", 60_000) && is("w", 60_000) && is("wtablet", 60_000));
        assert!(!is("a940 ", 60_000), "long ago");
        assert!(!is("a990 phone", 60_000) && !is("wphone", 60_000), "its own session");
        assert!(!is("a1001 ", 60_000), "a clock was set back");
        assert!(!is("a1000 \0w", 0), "the option is off");
    }
}
