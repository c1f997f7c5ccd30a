//! The fate of a test push, and hints where to look next.

use strum::{EnumIter, EnumMessage, IntoEnumIterator, IntoStaticStr};

use crate::stanza_error::StanzaError;

/// The fate of one test push. The shim itself finds the fates that do not come from an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, EnumMessage, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Fate {
    #[strum(
        message = "The server has done its part. If the device stays silent, look at the client's notification settings and at \
                       the battery settings of the system."
    )]
    Taken,
    #[strum(
        message = "A push service of Push 2.0 answers only with errors: it has most likely taken the push. If the device stays \
                       silent, look at the client's notification settings and at the battery settings of the system."
    )]
    NoError,
    #[strum(
        message = "The app server does not know this device any more, or does not want its pushes. Open the client, or switch \
                       push notifications off and on again in it."
    )]
    Refused,
    #[strum(
        message = "The push did not get to the app server. The server goes on trying for messages. If it stays so, the \
                       administrator finds the reason with push check."
    )]
    Failed,
    #[strum(
        message = "The app server may be slow, or cannot be reached. Try again in a minute. If it stays so, the administrator \
                       finds the reason with push check."
    )]
    NoAnswer,
    #[strum(message = "The push did not leave the server, for the reason given.")]
    NotSent,
    #[strum(message = "The device is no longer registered. Open the client: it registers when it connects.")]
    Gone,
    #[strum(message = "The module was loaded anew meanwhile. Try again.")]
    Unknown,
}

impl Fate {
    /// Returns the fate of a push that was answered, with an error or without.
    pub fn of(error: Option<StanzaError>) -> Fate {
        match error {
            None => Fate::Taken,
            Some(error) if error.is_of_transport() => Fate::Failed,
            Some(_) => Fate::Refused,
        }
    }

    /// Returns all fates.
    pub fn all() -> impl Iterator<Item = Fate> {
        Fate::iter()
    }

    /// Returns its name.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Returns what it means and where to look next, in words.
    pub fn hint(self) -> &'static str {
        self.get_message().unwrap_or_default()
    }
}
