//! Errors that come back for a push, RFC 6120 §8.3.

use strum::{EnumCount, EnumIter, EnumString, IntoEnumIterator, IntoStaticStr};

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

/// The conditions of RFC 6120 §8.3.3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumCount, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Condition {
    BadRequest,
    Conflict,
    FeatureNotImplemented,
    Forbidden,
    Gone,
    InternalServerError,
    ItemNotFound,
    JidMalformed,
    NotAcceptable,
    NotAllowed,
    NotAuthorized,
    PolicyViolation,
    RecipientUnavailable,
    Redirect,
    RegistrationRequired,
    RemoteServerNotFound,
    RemoteServerTimeout,
    ResourceConstraint,
    ServiceUnavailable,
    SubscriptionRequired,
    /// Also stands for every condition that is not known.
    #[default]
    UndefinedCondition,
    UnexpectedRequest,
}

impl Condition {
    /// Returns all conditions, in the order of their numbers.
    pub fn all() -> impl Iterator<Item = Condition> {
        Condition::iter()
    }

    /// Returns its name in a stanza.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

impl StanzaError<'_> {
    /// Whether it tells of the way to the app server, or of the moment, and not of the registration.
    pub fn is_of_transport(&self) -> bool {
        self.made_here || self.kind == "wait" || TRANSPORT_FAILURES.contains(&self.condition)
    }

    /// Returns the condition as it may be kept and counted: others choose the words.
    pub fn known_condition(&self) -> Condition {
        self.condition.parse().unwrap_or_default()
    }
}
