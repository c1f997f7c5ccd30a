//! A host on a fake clock, and minidom elements for the core's input and output.
#![allow(dead_code, reason = "each test file uses its part")]

use std::ops::BitOr;

use minidom::{Element, Node};
use prosody_push::config::Config;
use prosody_push::context::Event;
use prosody_push::element::{self, Sink};
use prosody_push::engine::{Done, Engine, NotLoaded, Push, Verdict};
use prosody_push::memory::journal::Cause;
use prosody_push::ns;
use prosody_push::protocol::Protocol;
use prosody_push::registration::Registration;
use prosody_push::registration::holders::Holders;
use prosody_push::rules::facts::{BODY, Message, Word};
use prosody_push::rules::walk;
use prosody_push::stanza_error::StanzaError;
use prosody_push::time::{Millis, Moment};
use prosody_push::xep0357::Xep0357;
use prosody_push::xep0357::asked::{self, Asked};
use prosody_push::xep0357::summary::{self, Notification, Publish, Summary};

/// A text from juliet.
pub const CHAT: Message = Message {
    word: BODY,
    from: Some("juliet@example.org/x"),
    body: None,
    dedup_key: None,
    call: None,
    extracts: None,
    stanza: None,
};

pub const HOST: &str = "example.org";
#[allow(unused_imports, reason = "each test file uses its part")]
pub use prosody_push::time::{DAY, HOUR, SECOND};

/// Fills the slice with bytes that no other call returns: SplitMix64 over a counter.
pub fn not_random(bytes: &mut [u8]) {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNTER: AtomicU64 = AtomicU64::new(1);
    for chunk in bytes.chunks_mut(8) {
        let mut z = COUNTER.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..chunk.len()]);
    }
}

/// Makes an element from attributes as Prosody has them. Without `xmlns` its namespace is `jabber:client`.
pub fn element(name: &str, attrs: &[(&str, &str)], children: Vec<Node>) -> Element {
    let xmlns = attrs.iter().find(|(name, _)| *name == "xmlns").map_or(ns::CLIENT, |(_, xmlns)| xmlns);
    let mut element = element::named(name, xmlns).expect("a name");
    for (name, value) in attrs.iter().filter(|(name, _)| *name != "xmlns") {
        element::set_attr(&mut element, name, value).expect("a name");
    }
    for child in children {
        match child {
            Node::Element(child) => {
                element.append_child(child);
            }
            Node::Text(text) => element::add_text(&mut element, &text),
        }
    }
    element
}

pub fn registration(jid: &str, node: &str, timestamp: i64) -> Registration<Asked> {
    asked::registration(&format!("{jid}<{node}"), jid, Some(node), None, timestamp)
}

/// A configuration with which no push waits for another.
pub fn one_by_one() -> Config {
    Config { coalesce: false, ..Config::default() }
}

/// One host, its clock, and a user `romeo` whose registrations are loaded.
pub struct Host<P: Protocol = Xep0357> {
    pub engine: Engine<P>,
    pub now: Moment,
}

impl Host {
    pub fn new(config: Config, devices: Vec<Registration<Asked>>) -> Self {
        Host::speaking(config, devices)
    }

    /// A host where romeo has the devices `nodes` at `push.example`.
    pub fn with_devices(nodes: &[&str]) -> Self {
        let devices = nodes.iter().zip(1..).map(|(node, i)| registration("push.example", node, i)).collect();
        Host::new(one_by_one(), devices)
    }

    /// Returns the held pushes that leave now: the node of each, and whether it is important.
    pub fn released(&mut self) -> Vec<(String, bool)> {
        let held = self.engine.release(self.now).into_iter();
        held.map(|held| (held.push.registration.node().unwrap_or("").to_owned(), held.important)).collect()
    }
}

impl<P: Protocol> Host<P> {
    pub fn speaking(config: Config, devices: Vec<Registration<P::Asked>>) -> Self {
        let mut engine = Engine::new(HOST.into(), config, not_random);
        engine.load("romeo", devices, false);
        Host { engine, now: Moment { wall: 1_800_000_000_000, mono: 50_000 } }
    }

    pub fn after(&mut self, time: Millis) -> &mut Self {
        self.now = self.now.after(time);
        self
    }

    /// Steps the wall clock by this many milliseconds, ahead or back.
    pub fn step(&mut self, wall: i64) -> &mut Self {
        self.now.wall = self.now.wall.saturating_add_signed(wall);
        self
    }

    pub fn event(&self) -> Event<'static> {
        Event { now: self.now, user: "romeo", observed: false }
    }

    pub fn offline(&mut self, message: &Message) -> Vec<Push<P>> {
        self.engine.on_offline(self.event(), message).expect("romeo is loaded").list
    }

    pub fn archived(&mut self, message: &Message, held: &[&str]) -> Vec<Push<P>> {
        self.archived_for("romeo@example.org", message, held).expect("romeo is loaded")
    }

    pub fn archived_for(&mut self, to: &str, message: &Message, held: &[&str]) -> Result<Vec<Push<P>>, NotLoaded> {
        let held: Vec<_> = held.iter().map(|identifier| format!("c{identifier}")).collect();
        let held = held.join("\0");
        Ok(self.engine.on_addressed(self.event(), Some(to), message, Holders::new(Some(&held)), None)?.list)
    }

    /// Hands in the stanzas that waited together in the queue of the session that holds `push.example<phone`. Returns
    /// the indices of the stanzas that were pushed, one for each push.
    pub fn queued(&mut self, messages: &[&Message]) -> Vec<usize> {
        let mut done = Done::default();
        let mut pushed = Vec::new();
        for (i, message) in messages.iter().enumerate() {
            let queued = self.engine.on_queued(self.event(), "push.example<phone", done, message, Holders::default());
            let queued = queued.expect("romeo is loaded");
            pushed.extend(queued.pushes.list.iter().map(|_| i));
            done = queued.done;
        }
        pushed
    }

    pub fn ping(&mut self) -> Vec<Push<P>> {
        let pushes = self.engine.on_ping(self.event(), None, Cause::Ping, Holders::default());
        pushes.expect("romeo is loaded").list
    }

    pub fn answer(&mut self, push: &Push<P>, from: &str, error: Option<(&str, &str)>) -> Verdict {
        let error = error.map(|(kind, condition)| StanzaError { kind, condition, text: None, made_here: false });
        self.engine.on_answer(self.now, &push.id.to_string(), Some(from), error).verdict
    }

    /// Hands in an error that this server made in the app server's name.
    pub fn answer_here(&mut self, push: &Push<P>, condition: &str) -> Verdict {
        let error = StanzaError { kind: "cancel", condition, text: None, made_here: true };
        let from = push.registration.jid().to_owned();
        self.engine.on_answer(self.now, &push.id.to_string(), Some(&from), Some(error)).verdict
    }

    /// Returns the time until the next timer, after every change has been written.
    pub fn next(&mut self) -> Option<Millis> {
        self.engine.unwritten(usize::MAX);
        self.engine.timer(self.now)
    }

    /// Returns the pushes that leave now, held ones and owed ones.
    pub fn leaving(&mut self) -> Vec<Push<P>> {
        self.engine.release(self.now).into_iter().map(|held| held.push).collect()
    }

    /// Runs the timer. Returns the registrations that end because no answer came.
    pub fn timer(&mut self) -> Vec<String> {
        self.engine.on_timer(self.now).into_iter().map(|gone| gone.identifier.to_string()).collect()
    }
}

/// Asserts that an answer ends the registration with this identifier.
#[track_caller]
pub fn assert_goes(verdict: Verdict, identifier: &str) {
    match verdict {
        Verdict::Goes(gone) => assert_eq!(&*gone.identifier, identifier),
        verdict => panic!("{identifier} should end: {verdict:?}"),
    }
}

/// Asserts that an answer ends no registration.
#[track_caller]
pub fn assert_stays(verdict: Verdict) {
    assert!(matches!(verdict, Verdict::Stays), "{verdict:?}");
}

pub fn is_stranger(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Stranger)
}

pub fn nodes(pushes: &[Push<Xep0357>]) -> Vec<&str> {
    pushes.iter().map(|push| push.registration.node().unwrap_or("")).collect()
}

/// Collects a written stanza as a minidom element.
#[derive(Default)]
pub struct Dom {
    open: Vec<Element>,
    done: Option<Element>,
}

impl Dom {
    pub fn take(&mut self) -> Element {
        self.done.take().expect("something was written")
    }
}

impl Sink for Dom {
    type Error = std::convert::Infallible;

    fn open(&mut self, name: &str, attrs: &[(&str, &str)]) -> Result<(), Self::Error> {
        self.open.push(self::element(name, attrs, Vec::new()));
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), Self::Error> {
        self.open.last_mut().expect("an element is open").append_text(text);
        Ok(())
    }

    fn close(&mut self) -> Result<(), Self::Error> {
        let element = self.open.pop().expect("an element is open");
        match self.open.last_mut() {
            Some(parent) => {
                parent.append_child(element);
            }
            None => self.done = Some(element),
        }
        Ok(())
    }
}

/// Composes the stanza of a push.
pub fn compose(to: &Publish, summary: &Summary, form: Option<&Element>) -> Element {
    let mut dom = Dom::default();
    let options = |dom: &mut Dom| form.map_or(Ok(()), |form| summary::options(dom, form));
    let notification = Notification { summary: *summary, encrypted: None, priority: false };
    let Ok(()) = summary::publish(&mut dom, to, |dom| summary::notification(dom, &notification), options);
    dom.take()
}

/// Returns the word of a stanza, as the shim's walk computes it.
pub fn word_of(stanza: &Element) -> Word {
    let rule = match stanza.name() {
        "presence" => &walk::PRESENCE,
        "iq" => &walk::IQ,
        _ => &walk::MESSAGE,
    };
    visit(stanza, rule)
}

fn visit(element: &Element, rule: &walk::Rule) -> Word {
    let (attribute, values) = rule.values;
    let value = element.attr(attribute).unwrap_or("");
    let of_value = values.iter().find(|(name, _)| *name == value).map_or(0, |(_, bit)| *bit);
    let text = if element.text().is_empty() { 0 } else { rule.text };
    let known = |child: &Element| {
        let all = rule.children.iter().copied().flatten();
        all.filter(|known| child.is(known.name, known.ns)).map(|known| visit(child, &known.rule)).fold(0, Word::bitor)
    };
    rule.bit | of_value | text | element.children().map(known).fold(0, Word::bitor)
}

pub fn parse(xml: &str) -> Element {
    xml.parse().unwrap_or_else(|error| panic!("{error}: {xml}"))
}
