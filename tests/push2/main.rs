//! Push 2.0: which stanzas a client is woken for, what it gets, and what failures mean.

mod bursts;
mod content;
mod failures;
mod matching;
mod reader;
mod registrations;
#[path = "../support/mod.rs"]
mod support;
mod tokens;
mod trimming;

use prosody_push::element::{Element, Node};
use prosody_push::engine::{Content, Push};
use prosody_push::facts::{BODY, Call, Message};
use prosody_push::protocol::Protocol;
use prosody_push::push2::notification::{Notice, Priority};
use prosody_push::push2::registration::{Match, Profile, Send, Settings};
use prosody_push::registration::Registration;
use support::{Host, element, one_by_one};

const JULIET: &str = "juliet@example.org/balcony";
const CHAT: Message =
    Message { word: BODY, from: Some(JULIET), body: Some("Romeo?"), name: None, call: None, more: None, stanza: None };

fn rule(profile: Profile) -> Match {
    Match { profile, grace: None, chats: [].into(), send: Send::NotifyOnly }
}

fn client(identifier: &str, matches: Vec<Match>) -> Registration {
    let mut registration = Registration::new(identifier, "pusher@push.example", None, None, 1);
    registration.push2 = Some(Settings { client: "https://push.example/abc".into(), matches: matches.into() }.into());
    registration
}

fn host(matches: Vec<Match>) -> Host {
    Host::speaking(Protocol::Push2, one_by_one(), vec![client("phone", matches)])
}

fn notices(pushes: &[Push]) -> Vec<&Notice> {
    let notice = |push| match push {
        &Push { content: Content::Notice(ref notice), .. } => &**notice,
        other => panic!("Push 2.0 sends notices: {other:?}"),
    };
    pushes.iter().map(notice).collect()
}

/// A call of juliet's.
fn of(id: &str) -> Call<'_> {
    Call { peer: Some("juliet@example.org"), id }
}

/// The priority of the push that a message leads to, if it does.
fn pushed(host: &mut Host, message: &Message) -> Option<Priority> {
    let pushes = host.offline(message);
    assert!(pushes.len() < 2, "one device");
    notices(&pushes).first().map(|notice| notice.priority)
}

/// The pushes that are sent again now.
fn again(host: &mut Host) -> Vec<Push> {
    host.engine.release(host.now).into_iter().map(|held| held.push).collect()
}

fn body(text: &str) -> Node {
    Node::Element(element("body", &[], vec![Node::Text(text.into())]))
}

fn message(children: Vec<Node>) -> Element {
    let attrs = [("from", JULIET), ("id", "m1"), ("to", "romeo@example.org"), ("type", "chat"), ("xml:lang", "en")];
    element("message", &attrs, children)
}
