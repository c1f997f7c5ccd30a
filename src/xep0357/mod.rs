//! XEP-0357: Push Notifications. An IQ publishes a [`summary`], or with Tigase's extensions encrypted content that only the
//! device can read ([`tigase`](crate::tigase)). The app server answers each IQ.

pub mod asked;
pub mod disable;
pub mod enable;
pub mod summary;

use crate::context::{Context, Server};
use crate::protocol::{Policy, Protocol};
use crate::reason::Reason;
use crate::registration::Registration;
use crate::rules::facts::Message;
use crate::rules::importance::{Importance, Kind, why_none};
use crate::tigase::Extensions;
use crate::tigase::encrypt::{Aes128Gcm, Encrypted, Encryption};
use crate::time::{DAY, Moment, SECOND};
use asked::Asked;
use summary::Summary;

/// XEP-0357, with those of Tigase's extensions that are switched on.
#[derive(Clone, Debug, Default)]
pub struct Xep0357 {
    pub extensions: Extensions,
}

/// The plan of a push for a stanza.
pub enum Plan<'d> {
    Summary,
    Encrypted(&'d Aes128Gcm),
}

/// The content of a push's `<notification>`.
#[derive(Clone, Debug, PartialEq)]
pub enum Payload {
    /// The summary, the same for all devices.
    Summary,
    /// Encrypted content that only the device can read, instead of the summary.
    Encrypted(Encrypted),
}

impl Protocol for Xep0357 {
    const POLICY: &Policy = &Policy {
        answers: true,
        answers_from_resources: false,
        answer_timeout: 120 * SECOND,
        max_in_flight: usize::MAX,
        tells_refusals: true,
        patience: 30 * DAY,
        max_registrations: None,
        max_woken: None,
        hibernates_past_push: false,
    };

    type Asked = Asked;
    type Plan<'d> = Plan<'d>;
    type Draft = Payload;
    type Payload = Payload;
    type Once = ();

    fn plan<'d>(
        &self,
        server: &Server,
        context: &Context,
        registration: &'d Registration<Asked>,
    ) -> Result<Plan<'d>, Reason> {
        let importance = context.importance();
        if importance == Importance::None {
            return Err(context.word.map_or(Reason::NothingToShow, why_none));
        }
        // A device that rang gets a push for the end of the call, despite its filters.
        if let Some(message) = context.message.filter(|_| importance != Importance::CallEnds)
            && let Some(objection) = self.objection(server, context, registration, message)
        {
            return Err(objection);
        }
        match self.encryption(registration, context.event.observed) {
            // Siskin needs the caller to end a call. A client that takes or rejects a call tells first its own account, which
            // does not name the caller, and then the caller (XEP-0353 before 0.6).
            Some(Encryption::Aes128Gcm(_)) if importance == Importance::CallEnds && !names_peer(context) => {
                Err(Reason::UnknownCaller)
            }
            Some(Encryption::Aes128Gcm(keys)) => Ok(Plan::Encrypted(keys)),
            Some(Encryption::Unusable(reason)) => Err(*reason),
            None => Ok(Plan::Summary),
        }
    }

    fn is_plain(&self, server: &Server, context: &Context, plan: &Plan) -> bool {
        match plan {
            Plan::Summary => {
                !Summary::has_content(&server.config, context.message, context.importance().is_important())
            }
            Plan::Encrypted(_) => false,
        }
    }

    fn draft(&self, server: &Server, context: &Context, plan: Plan, (): &()) -> Payload {
        match plan {
            Plan::Summary => Payload::Summary,
            Plan::Encrypted(keys) => encrypted(server, keys, context.message, context.importance()),
        }
    }

    fn compose(&self, _: &Server, _: Moment, draft: Payload) -> Payload {
        draft
    }

    fn plain(&self, server: &Server, registration: &Registration<Asked>, kind: Kind) -> Payload {
        match self.encryption(registration, false) {
            Some(Encryption::Aes128Gcm(keys)) => encrypted(server, keys, None, kind.importance()),
            _ => Payload::Summary,
        }
    }

    fn has_rule_for(&self, registration: &Registration<Asked>, message: &Message) -> bool {
        let settings = registration.asked.tigase.as_ref().filter(|_| self.extensions.filters);
        settings.is_some_and(|settings| settings.filter.has_rule_for(message))
    }

    fn asks_for_roster(&self, registration: &Registration<Asked>) -> bool {
        let settings = registration.asked.tigase.as_ref();
        self.extensions.filters && settings.is_some_and(|settings| settings.filter.ignore_unknown)
    }
}

impl Xep0357 {
    /// Returns the encryption that the registration asks for. Such a registration never gets unencrypted pushes, even if the
    /// extension is off, unless another author's module encrypts the pushes that it observes.
    fn encryption<'d>(&self, registration: &'d Registration<Asked>, is_observed: bool) -> Option<&'d Encryption> {
        let encryption = registration.asked.tigase.as_ref()?.encryption.as_ref()?;
        Some(encryption).filter(|_| !(is_observed && self.extensions.encrypted_elsewhere))
    }

    /// Returns why the filters of a registration keep a message from its device.
    fn objection(
        &self,
        server: &Server,
        context: &Context,
        registration: &Registration<Asked>,
        message: &Message,
    ) -> Option<Reason> {
        let settings = registration.asked.tigase.as_ref().filter(|_| self.extensions.filters)?;
        settings.filter.objection(context.event.user, &server.host, message, &|| context.text())
    }
}

/// Whether the message names the other end of the call that it is about.
fn names_peer(context: &Context) -> bool {
    context.message.and_then(|message| message.call).is_some_and(|call| call.peer.is_some())
}

fn encrypted(server: &Server, keys: &Aes128Gcm, message: Option<&Message>, importance: Importance) -> Payload {
    Payload::Encrypted(keys.apply(message, importance, &server.config.encrypted_body, server.random))
}
