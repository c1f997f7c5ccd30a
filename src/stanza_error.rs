//! Errors that come back for a push, RFC 6120 §8.3.

use strum::{EnumCount, EnumIter, EnumString, IntoEnumIterator, IntoStaticStr};

/// A stanza error.
#[derive(Clone, Copy, Debug)]
pub struct StanzaError<'a> {
    pub kind: &'a str,
    pub condition: &'a str,
    pub text: Option<&'a str>,
    /// Whether this server made the error in the app server's name: the app server is not connected, or a module does not let
    /// the push out.
    pub made_here: bool,
}

/// The error that stands for a missing answer.
pub const NO_ANSWER: StanzaError =
    StanzaError { kind: "wait", condition: "remote-server-timeout", text: Some("no answer"), made_here: true };

/// Conditions (RFC 6120 §8.3.3) that mean a transport failure, whatever their type.
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
    /// Also stands for every unknown condition.
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
    /// Whether the error is a transport failure, or temporary, and not a refusal of the registration.
    pub fn is_of_transport(&self) -> bool {
        self.made_here || self.kind == "wait" || TRANSPORT_FAILURES.contains(&self.condition)
    }

    /// Returns the condition in a form that is safe to keep and count, because others choose its text.
    pub fn known_condition(&self) -> Condition {
        self.condition.parse().unwrap_or_default()
    }
}
