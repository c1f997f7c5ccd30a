//! Which sessions of a user hold a registration, and whether their clients answer.

/// Separates the sessions in one string, because a table would cost more than all the rest of the call. XML does not allow this
/// character.
const SEPARATOR: char = '\0';

/// The state of a session: the letter that the shim puts before the registration that the session holds.
pub const IN_USE: char = 'u';
pub const CONNECTED: char = 'c';
pub const LATE: char = 'l';
pub const HIBERNATES: char = 'h';

/// The registrations that sessions of a user hold.
#[derive(Clone, Copy, Debug, Default)]
pub struct Holders<'a>(Option<&'a str>);

impl<'a> Holders<'a> {
    /// Takes the string that the shim writes: for each session a letter and the registration.
    pub fn new(written: Option<&'a str>) -> Self {
        Holders(written)
    }

    /// Whether a session receives the stanzas for the device: it hibernates, or is connected and no ack is late.
    pub fn hold(&self, identifier: &str) -> bool {
        self.any(identifier, |state| state != LATE)
    }

    /// Whether a session is connected, and no ack is late.
    pub fn answer(&self, identifier: &str) -> bool {
        self.any(identifier, |state| state == IN_USE || state == CONNECTED)
    }

    /// Whether a session is connected, and its client has acknowledged every stanza.
    pub fn in_use(&self, identifier: &str) -> bool {
        self.any(identifier, |state| state == IN_USE)
    }

    fn any(&self, identifier: &str, is: impl Fn(char) -> bool) -> bool {
        let held = |entry: &str| {
            entry.chars().next().is_some_and(|state| is(state) && entry[state.len_utf8()..] == *identifier)
        };
        self.0.is_some_and(|written| written.split(SEPARATOR).any(held))
    }
}

#[cfg(test)]
mod tests {
    use super::Holders;

    #[test]
    fn each_state_of_a_session_has_its_meaning() {
        let holders = Holders::new(Some("ha\0lb\0cc\0ud\0lc"));
        let of = |identifier| (holders.hold(identifier), holders.answer(identifier), holders.in_use(identifier));
        assert_eq!(of("a"), (true, false, false));
        assert_eq!(of("b"), (false, false, false));
        assert_eq!(of("c"), (true, true, false));
        assert_eq!(of("d"), (true, true, true));
        assert_eq!(of("e"), (false, false, false));
        assert!(!Holders::new(None).hold("") && !Holders::new(Some("")).hold(""));
    }
}
