//! The interface of a push protocol. All protocols share the rules. A protocol defines its differences: numbers in a
//! [`Policy`], behaviour in the methods of [`Protocol`]. Each protocol is a folder of this crate.

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
    /// The most pushes in flight; if there are more, the oldest count as taken.
    pub max_in_flight: usize,
    /// Whether errors distinguish refusals from transport failures. Otherwise each error counts as both.
    pub tells_refusals: bool,
    /// How long pushes to a registration may fail, with no success between, before the registration ends.
    pub patience: Millis,
    /// Registrations that a user may have; the option `push_max_devices` where it is `None`.
    pub max_registrations: Option<usize>,
    /// The number of a user's stored registrations that are woken, newest first; the option `push_max_devices` where it is
    /// `None`.
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
    /// The content of a push before the slow part of its composition.
    type Draft;
    /// The content of a push.
    type Payload: Clone + Debug + PartialEq;
    /// A value that is made once for an event and shared by its pushes.
    type Once: Default;

    /// Returns the importance of a stanza to the user, or why no device is woken for it.
    fn worth(&self, word: Word) -> Result<Importance, Reason> {
        judge(word)
    }

    /// Decides how a device is notified of a stanza, or why it is not. The engine has already sorted out stanzas for which
    /// [`worth`](Protocol::worth) returned a reason, and ends of calls for which the device did not ring.
    fn plan<'d>(
        &self,
        server: &Server,
        context: &Context,
        registration: &'d Registration<Self::Asked>,
    ) -> Result<Self::Plan<'d>, Reason>;

    /// Whether a push is plain, without content: then one may stand for several.
    fn is_plain(&self, server: &Server, context: &Context, plan: &Self::Plan<'_>) -> bool;

    /// Drafts the content of a push.
    fn draft(&self, server: &Server, context: &Context, plan: Self::Plan<'_>, once: &Self::Once) -> Self::Draft;

    /// Whether [`compose`](Protocol::compose) takes so long that only a few pushes are composed in one turn of the event loop.
    fn takes_long(_draft: &Self::Draft) -> bool {
        false
    }

    /// Composes the content of a push from its draft.
    fn compose(&self, server: &Server, now: Moment, draft: Self::Draft) -> Self::Payload;

    /// Composes a plain push in the form that the registration asks for.
    fn plain(&self, server: &Server, registration: &Registration<Self::Asked>, kind: Kind) -> Self::Payload;

    /// Returns the payload of a push that leaves now, with a signature that is valid now if the registration asks for one.
    fn signed(
        &self,
        _server: &Server,
        _now: Moment,
        _registration: &Registration<Self::Asked>,
        payload: Self::Payload,
    ) -> Self::Payload {
        payload
    }

    /// Whether [`signed`](Protocol::signed) makes a new signature for the registration, which takes as long as composing does.
    fn signs_anew(&self, _now: Moment, _registration: &Registration<Self::Asked>) -> bool {
        false
    }

    /// Returns the bytes of a payload that is kept, to be sent again if the push fails. `None` where a plain push is sent instead.
    fn kept(_payload: &Self::Payload) -> Option<usize> {
        None
    }

    /// Whether a payload is marked as a call or its end. Such a payload is not kept for longer than a call.
    fn is_of_call(_payload: &Self::Payload) -> bool {
        false
    }

    /// Whether the client has a rule of its own for the chat of a message. Such a rule takes precedence over the user's
    /// settings.
    fn has_rule_for(&self, _registration: &Registration<Self::Asked>, _message: &Message) -> bool {
        false
    }

    /// Whether the client asks that strangers do not wake its device.
    fn asks_for_roster(&self, _registration: &Registration<Self::Asked>) -> bool {
        false
    }
}
