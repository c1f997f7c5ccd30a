//! Errors that come back for a push, RFC 6120 §8.3.

/// A stanza error.
#[derive(Clone, Copy, Debug)]
pub struct StanzaError<'a> {
    pub kind: &'a str,
    pub condition: &'a str,
    pub text: Option<&'a str>,
    /// Whether this server made it in the app server's name: it is not connected, or a module does not let the push out.
    pub made_here: bool,
}

/// Stands for the answer that did not come.
pub const NO_ANSWER: StanzaError =
    StanzaError { kind: "wait", condition: "remote-server-timeout", text: Some("no answer"), made_here: true };

/// Conditions (RFC 6120 §8.3.3) that tell of transport, not of the registration, whatever their type.
const TRANSPORT_FAILURES: [&str; 4] =
    ["remote-server-not-found", "remote-server-timeout", "resource-constraint", "internal-server-error"];

/// Conditions of RFC 6120 §8.3.3, of which one stands for all others.
pub const CONDITIONS: [&str; 22] = [
    "bad-request",
    "conflict",
    "feature-not-implemented",
    "forbidden",
    "gone",
    "internal-server-error",
    "item-not-found",
    "jid-malformed",
    "not-acceptable",
    "not-allowed",
    "not-authorized",
    "policy-violation",
    "recipient-unavailable",
    "redirect",
    "registration-required",
    "remote-server-not-found",
    "remote-server-timeout",
    "resource-constraint",
    "service-unavailable",
    "subscription-required",
    "undefined-condition",
    "unexpected-request",
];

/// `undefined-condition`
const UNDEFINED: usize = 20;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition(u8);

impl Condition {
    /// Its place in [`CONDITIONS`].
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// As it stands in a stanza (RFC 6120 §8.3.3).
    pub fn name(self) -> &'static str {
        CONDITIONS[self.index()]
    }
}

impl StanzaError<'_> {
    /// Whether it tells of the way to the app server, or of the moment, and not of the registration.
    pub fn is_of_transport(&self) -> bool {
        self.made_here || self.kind == "wait" || TRANSPORT_FAILURES.contains(&self.condition)
    }

    /// What may be kept of it, and counted: others choose the words.
    pub fn known_condition(&self) -> Condition {
        let known = CONDITIONS.iter().position(|known| *known == self.condition);
        Condition(known.unwrap_or(UNDEFINED) as u8)
    }
}
