//! Push 2.0 (`urn:xmpp:push2:0`, a draft): a push is a message with the content that the client asked for, and only errors come
//! back.
//!
//! A client's request ([`asked`]) has matches. [`matching`] finds the match for a stanza, and with it the send profile. The
//! push service gets a [`notification`]. With the send profile `sce+rfc8291+rfc8292` the notification carries the stanza in an
//! [`envelope`], encrypted for the client as a [`webpush`], with a [`jwt`] for the push service.

pub mod asked;
pub mod enable;
pub mod envelope;
pub mod jwt;
pub mod keys;
pub mod matching;
pub mod notification;
pub mod webpush;

use std::cell::OnceCell;
use std::rc::Rc;

use crate::context::{Context, Server};
use crate::protocol::{Policy, Protocol};
use crate::reason::Reason;
use crate::registration::Registration;
use crate::rules::facts::{ARCHIVED, Message, RECEIVED, Word};
use crate::rules::importance::{Importance, Kind};
use crate::time::{HOUR, Moment, SECOND, Seconds};
use asked::Asked;
use envelope::{envelope, in_carbon};
use jwt::Token;
use keys::WebPush;
use matching::{Case, matched};
use notification::{Payload, Priority};

/// Push 2.0.
#[derive(Clone, Debug, Default)]
pub struct Push2;

/// The plan of a push for a stanza.
pub struct Plan<'d> {
    priority: Priority,
    /// The keys to encrypt the stanza with; `None` for a plain push.
    keys: Option<&'d Rc<WebPush>>,
}

/// A push that is not encrypted yet.
pub struct Draft {
    priority: Priority,
    /// The keys, and the stanza in its envelope if it can be read.
    content: Option<(Rc<WebPush>, Option<Rc<str>>)>,
}

impl Protocol for Push2 {
    const POLICY: &Policy = &Policy {
        answers: false,
        answers_from_resources: true,
        // Prosody tries several addresses of a server before it gives up.
        answer_timeout: 600 * SECOND,
        max_in_flight: 50_000,
        tells_refusals: false,
        // The draft's minimum.
        patience: 72 * HOUR,
        max_registrations: Some(20),
        // The reference has no limit, so every registration that it stored is woken.
        max_woken: Some(usize::MAX),
        hibernates_past_push: true,
    };

    type Asked = Asked;
    type Plan<'d> = Plan<'d>;
    type Draft = Draft;
    type Payload = Rc<Payload>;
    /// The envelope of the stanza; `None` inside if the stanza cannot be read.
    type Once = OnceCell<Option<Rc<str>>>;

    fn worth(&self, word: Word) -> Result<Importance, Reason> {
        matching::importance(word)
    }

    fn plan<'d>(
        &self,
        server: &Server,
        context: &Context,
        registration: &'d Registration<Asked>,
    ) -> Result<Plan<'d>, Reason> {
        let importance = context.importance();
        let priority = Priority::new(importance);
        let Some(message) = context.message else { return Ok(Plan { priority, keys: None }) };
        let case = Case {
            now: context.event.now.wall,
            user: context.event.user,
            host: &server.host,
            identifier: &registration.identifier,
            message,
            text: &|| context.text(),
            importance,
            patience: server.config.patience,
        };
        matched(&registration.asked, &case).map(|keys| Plan { priority, keys })
    }

    fn has_rule_for(&self, registration: &Registration<Asked>, message: &Message) -> bool {
        let has_chat = |from| registration.asked.matches.iter().any(|rule| rule.chat(from).is_some());
        message.from.is_some_and(has_chat)
    }

    fn is_plain(&self, _: &Server, _: &Context, plan: &Plan) -> bool {
        plan.keys.is_none()
    }

    fn draft(&self, server: &Server, context: &Context, plan: Plan, once: &Self::Once) -> Draft {
        let envelope = || once.get_or_init(|| enveloped(server, context).map(Into::into)).clone();
        Draft { priority: plan.priority, content: plan.keys.map(|keys| (keys.clone(), envelope())) }
    }

    fn takes_long(draft: &Draft) -> bool {
        draft.content.is_some()
    }

    fn compose(&self, server: &Server, now: Moment, draft: Draft) -> Rc<Payload> {
        let Draft { priority, content: Some((keys, envelope)) } = draft else {
            return Payload::empty(draft.priority).into();
        };
        let token = token(server, now, &keys);
        let seal = |envelope: Rc<str>| webpush::seal(envelope.as_bytes(), &keys.client, &keys.auth, server.random);
        Payload { encrypted: envelope.map(seal), token, ..Payload::empty(priority) }.into()
    }

    fn plain(&self, _: &Server, _: &Registration<Asked>, kind: Kind) -> Rc<Payload> {
        let priority = if kind == Kind::Call { Priority::High } else { Priority::new(kind.importance()) };
        Payload::empty(priority).into()
    }

    fn signed(
        &self,
        server: &Server,
        now: Moment,
        registration: &Registration<Asked>,
        mut payload: Rc<Payload>,
    ) -> Rc<Payload> {
        // A push without content, or one that is sent again, has no match to take the key from. A subscription is restricted to
        // one key (RFC 8292 §4), so the first key that can be used is right.
        if !payload.token.as_ref().is_some_and(|token| token.is_valid(seconds(now))) {
            let token = registration.asked.keys().find_map(|keys| token(server, now, keys));
            Rc::make_mut(&mut payload).token = token;
        }
        payload
    }

    fn signs_anew(&self, now: Moment, registration: &Registration<Asked>) -> bool {
        registration.asked.signs_anew(seconds(now))
    }

    fn kept(payload: &Rc<Payload>) -> Option<usize> {
        Some(payload.size())
    }

    fn is_of_call(payload: &Rc<Payload>) -> bool {
        payload.priority == Priority::High
    }
}

/// Returns a token that is valid now; `None` if the client gave no key to sign it with.
fn token(server: &Server, now: Moment, keys: &WebPush) -> Option<Rc<Token>> {
    let identity = keys.identity.as_ref()?;
    let contact = server.config.contact_uri.clone().unwrap_or_else(|| format!("xmpp:{}", server.host));
    identity.token(seconds(now), &contact)
}

fn seconds(now: Moment) -> Seconds {
    (now.wall / SECOND) as Seconds
}

/// Returns the stanza in its envelope; `None` if it cannot be read.
fn enveloped(server: &Server, context: &Context) -> Option<String> {
    let message = context.message?;
    let account = format!("{}@{}", context.event.user, server.host);
    let id = message.dedup_key.filter(|_| message.word & ARCHIVED != 0);
    let stanza = message.stanza.and_then(|read| read())?;
    let stanza = if message.word & RECEIVED == 0 { &stanza } else { in_carbon(&stanza)? };
    Some(envelope(stanza, &account, id, server.random))
}
