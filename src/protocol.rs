//! A protocol by which devices are woken. The rules are one; a protocol says what differs: the numbers in a [`Policy`], the
//! rest by the methods of [`Protocol`]. Each protocol is a folder of this crate.

use std::fmt::Debug;

use crate::context::{Context, Server};
use crate::reason::Reason;
use crate::registration::{Asked, Registration};
use crate::rules::facts::{Message, Word};
use crate::rules::importance::{Importance, Kind, judge};
use crate::time::{Millis, Moment};

/// The differences between protocols that are numbers and switches.
#[derive(Debug)]
pub struct Policy {
    /// Whether an app server answers each push that it takes. Otherwise only errors come back, and silence means success.
    pub answers: bool,
    /// Whether an answer may come from any resource of a bare JID that a push went to.
    pub answers_from_resources: bool,
    /// How long an answer may take.
    pub answer_timeout: Millis,
    /// Pushes whose answers are awaited; of more, the oldest count as taken.
    pub max_in_flight: usize,
    /// Whether an error tells a refusal from a transport failure. Otherwise each error counts as both.
    pub tells_refusals: bool,
    /// How long pushes to a registration may fail, with no success between, before the registration ends.
    pub patience: Millis,
    /// Registrations that a user may have; the option `push_max_devices` where it is `None`.
    pub max_registrations: Option<usize>,
    /// Of the stored registrations of a user the newest so many are woken; the option `push_max_devices` where it is `None`.
    pub max_woken: Option<usize>,
    /// Whether the option `hibernate_past_first_push` lets a session hibernate on after an important push. Otherwise it never may.
    pub hibernates_past_push: bool,
}

/// The differences between protocols that are behaviour. The value holds the settings that can change while the server runs.
pub trait Protocol: Clone + Debug + Default + 'static {
    const POLICY: &Policy;

    /// A client's request when it enabled push.
    type Asked: Asked;
    /// The plan of a push for a stanza.
    type Plan<'d>;
    /// What a push will carry, without what takes long.
    type Draft;
    /// The content of a push.
    type Payload: Clone + Debug + PartialEq;
    /// A value that is made once for an event and shared by its pushes.
    type Once: Default;

    /// Returns the importance of a stanza to the user, or why no device is woken for it.
    fn worth(&self, word: Word) -> Result<Importance, Reason> {
        judge(word)
    }

    /// Decides how a device is told of a stanza, or why it is not. A stanza that `context` finds worthless, and the end of a call
    /// for which the device did not ring, do not get here.
    fn plan<'d>(
        &self,
        server: &Server,
        context: &Context,
        registration: &'d Registration<Self::Asked>,
    ) -> Result<Self::Plan<'d>, Reason>;

    /// Whether a push says only that there is something: then one may stand for several.
    fn is_plain(&self, server: &Server, context: &Context, plan: &Self::Plan<'_>) -> bool;

    /// Drafts what the push carries.
    fn draft(&self, server: &Server, context: &Context, plan: Self::Plan<'_>, once: &Self::Once) -> Self::Draft;

    /// Whether to [`compose`](Protocol::compose) takes so long that only a few pushes are composed in one turn of the event loop.
    fn takes_long(_draft: &Self::Draft) -> bool {
        false
    }

    /// Composes what the push carries.
    fn compose(&self, server: &Server, now: Moment, draft: Self::Draft) -> Self::Payload;

    /// Composes a push that says only that there is something, as the registration wants it.
    fn plain(&self, server: &Server, registration: &Registration<Self::Asked>, kind: Kind) -> Self::Payload;

    /// Returns the bytes of a payload that is kept, to be sent again if the push fails. `None` where a plain push is sent instead.
    fn kept(_payload: &Self::Payload) -> Option<usize> {
        None
    }

    /// Whether the client itself has said what comes of messages from the chat that a message is from: that comes before the user's
    /// settings.
    fn has_rule_for(&self, _registration: &Registration<Self::Asked>, _message: &Message) -> bool {
        false
    }

    /// Whether the client asks that its device is not woken for strangers.
    fn asks_for_roster(&self, _registration: &Registration<Self::Asked>) -> bool {
        false
    }
}
