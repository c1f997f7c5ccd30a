//! Push 2.0: the stanzas that wake a client, the content of a push, and the handling of failures.

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
mod turns;

use minidom::{Element, Node};
use prosody_push::config::Config;
use prosody_push::engine::Push;
use prosody_push::protocol::Protocol;
use prosody_push::push2::Push2;
use prosody_push::push2::asked::{Asked, Match, Profile, Send};
use prosody_push::push2::notification::{Payload, Priority};
use prosody_push::registration::Registration;
use prosody_push::rules::facts::{BODY, Call, Message};
use prosody_push::time::Millis;
use support::{Host, element, one_by_one};

const ANSWER_TIMEOUT: Millis = Push2::POLICY.answer_timeout;
const PATIENCE: Millis = Push2::POLICY.patience;
const JULIET: &str = "juliet@example.org/balcony";
const CHAT: Message = Message {
    word: BODY,
    from: Some(JULIET),
    body: Some("Romeo?"),
    dedup_key: None,
    call: None,
    extracts: None,
    stanza: None,
};

fn rule(profile: Profile) -> Match {
    Match { profile, grace: None, chats: [].into(), send: Send::NotifyOnly }
}

fn client(identifier: &str, matches: Vec<Match>) -> Registration<Asked> {
    let asked = Asked { client: "https://push.example/abc".into(), matches: matches.into() };
    Registration::new(identifier, "pusher@push.example", asked, 1)
}

fn speaking(config: Config, devices: Vec<Registration<Asked>>) -> Host<Push2> {
    Host::speaking(config, devices)
}

fn host(matches: Vec<Match>) -> Host<Push2> {
    speaking(one_by_one(), vec![client("phone", matches)])
}

fn payloads(pushes: &[Push<Push2>]) -> Vec<&Payload> {
    pushes.iter().map(|push| &*push.payload).collect()
}

/// A call from juliet.
fn of(id: &str) -> Call<'_> {
    Call { peer: Some("juliet@example.org"), id }
}

/// Returns the priority of the push for an offline message, or `None` if no push leaves.
fn pushed(host: &mut Host<Push2>, message: &Message) -> Option<Priority> {
    let pushes = host.offline(message);
    assert!(pushes.len() < 2, "one device");
    payloads(&pushes).first().map(|notice| notice.priority)
}

/// Returns the pushes that leave now, held ones and owed ones.
fn again(host: &mut Host<Push2>) -> Vec<Push<Push2>> {
    host.engine.release(host.now).into_iter().map(|held| held.push).collect()
}

fn body(text: &str) -> Node {
    Node::Element(element("body", &[], vec![Node::Text(text.into())]))
}

fn message(children: Vec<Node>) -> Element {
    let attrs = [("from", JULIET), ("id", "m1"), ("to", "romeo@example.org"), ("type", "chat"), ("xml:lang", "en")];
    element("message", &attrs, children)
}
