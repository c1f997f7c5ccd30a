//! Properties that hold for any input.

mod support;

use std::collections::{BTreeMap, HashMap, HashSet};

use minidom::{Element, Node};
use proptest::collection::vec;
use proptest::prelude::*;
use prosody_push::config::Config;
use prosody_push::element::Packed;
use prosody_push::engine::{Done, Push, Verdict};
use prosody_push::registration::Registration;
use prosody_push::registration::devices::{Devices, admit};
use prosody_push::registration::holders::Holders;
use prosody_push::rules::facts::{BODY, Message};
use prosody_push::time::Millis;
use prosody_push::xep0357::Xep0357;
use prosody_push::xep0357::asked::{Asked, identifier};
use prosody_push::xep0357::enable::app_server;
use prosody_push::xep0357::summary::{Publish, Summary};
use support::{Host, SECOND, compose, is_stranger, one_by_one, registration};

/// Any text that XML can hold.
fn text() -> impl Strategy<Value = String> {
    "[\\t\\n -~\u{a0}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]{0,40}"
}

fn element() -> impl Strategy<Value = Element> {
    let attrs = || vec(("(var|type|label)", text()), 0..3);
    let make = |(name, attrs, children): (String, Vec<(String, String)>, Vec<Node>)| {
        let attrs: HashMap<String, String> = attrs.into_iter().collect();
        let attrs = attrs.iter().map(|(name, value)| (&**name, &**value)).chain([("xmlns", "jabber:x:data")]);
        support::element(&name, &attrs.collect::<Vec<_>>(), children)
    };
    let leaf = ("[a-z]{1,8}", attrs(), Just(Vec::new())).prop_map(make);
    leaf.prop_recursive(3, 20, 4, move |inner| {
        // Two texts in a row are one text after parsing.
        let child = (inner, text()).prop_map(|(element, text)| {
            let text = Some(text).filter(|text| !text.is_empty()).map(Node::Text);
            [Some(Node::Element(element)), text].into_iter().flatten().collect::<Vec<_>>()
        });
        ("[a-z]{1,8}", attrs(), vec(child, 0..4).prop_map(|children| children.concat())).prop_map(make)
    })
}

/// An event for a user with up to five devices.
#[derive(Clone, Debug)]
enum Step {
    Enable(u8),
    Disable(u8),
    /// A message arrives that no session receives.
    Offline(u8),
    /// A message is archived while some devices have a session.
    Archived(u8, Vec<u8>),
    /// A message waits in the queue of a device's session.
    Queued(u8, u8),
    /// A device resumes its session.
    Resumed(u8),
    Ping,
    /// The app server answers a push in flight.
    Answer(prop::sample::Index, Option<(&'static str, &'static str)>),
    Wait(Millis),
}

fn step() -> impl Strategy<Value = Step> {
    let (message, device) = (0..20u8, 0..5u8);
    let answer = prop_oneof![
        3 => Just(None),
        1 => Just(Some(("cancel", "item-not-found"))),
    ];
    prop_oneof![
        device.clone().prop_map(Step::Enable),
        device.clone().prop_map(Step::Disable),
        message.clone().prop_map(Step::Offline),
        (message.clone(), vec(device.clone(), 0..3)).prop_map(|(message, held)| Step::Archived(message, held)),
        (message, device.clone()).prop_map(|(message, device)| Step::Queued(message, device)),
        device.prop_map(Step::Resumed),
        Just(Step::Ping),
        (any::<prop::sample::Index>(), answer).prop_map(|(which, answer)| Step::Answer(which, answer)),
        prop_oneof![0..2 * SECOND, 0..100 * SECOND].prop_map(Step::Wait),
    ]
}

/// The longest time until an answer. Failures are tested in `outages.rs`.
const SLOWEST: Millis = 15 * SECOND;

/// The engine, and a short model of its rules: a device gets one push for each message that it needs, at once or, in a
/// burst, within ten seconds. No transport failure happens here.
struct World {
    host: Host,
    at_once: bool,
    /// The devices, and when each was enabled.
    devices: BTreeMap<u8, i64>,
    heard: HashSet<(u8, u8)>,
    /// The pushes in flight, and when each left.
    in_flight: Vec<(Millis, Push<Xep0357>)>,
    /// The devices that still need a push, and since when.
    waiting: HashMap<u8, Millis>,
}

fn device(push: &Push<Xep0357>) -> u8 {
    push.registration.node().and_then(|node| node.parse().ok()).expect("the node is the device")
}

impl World {
    fn new(config: Config) -> Self {
        let at_once = !config.coalesce;
        let (devices, heard, in_flight, waiting) = Default::default();
        World { host: Host::new(config, Vec::new()), at_once, devices, heard, in_flight, waiting }
    }

    fn live(&mut self, steps: Vec<Step>) -> Result<(), TestCaseError> {
        for step in steps {
            self.step(step)?;
        }
        self.wait(10 * SECOND)
    }

    fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Enable(device) => {
                let newest = self.devices.values().max().copied().unwrap_or(0);
                self.devices.insert(device, newest + 1);
                self.load();
                // The client is online.
                self.waiting.remove(&device);
                self.host.engine.enabled(
                    self.host.now,
                    "romeo",
                    &identifier("push.example", Some(&device.to_string())),
                );
            }
            Step::Disable(device) => self.gone(device),
            Step::Offline(id) => {
                let concerned = self.devices.keys().copied().collect();
                return self.message(id, concerned, |host, message| host.offline(message));
            }
            Step::Archived(id, held) => {
                let concerned = self.devices.keys().copied().filter(|device| !held.contains(device)).collect();
                let held: Vec<_> = held.iter().map(|device| format!("push.example<{device}")).collect();
                let held: Vec<_> = held.iter().map(String::as_str).collect();
                return self.message(id, concerned, |host, message| host.archived(message, &held));
            }
            Step::Queued(id, device) => {
                let concerned = self.devices.keys().copied().filter(|other| *other == device).collect();
                return self.message(id, concerned, |host, message| {
                    let identifier = format!("push.example<{device}");
                    let queued =
                        host.engine.on_queued(host.event(), &identifier, Done::default(), message, Holders::default());
                    queued.expect("romeo is loaded").pushes.list
                });
            }
            Step::Resumed(device) => {
                self.host.engine.on_resumed(self.host.now, "romeo", &format!("push.example<{device}"));
                self.waiting.remove(&device);
            }
            Step::Ping => {
                let pushes = self.host.ping();
                let now = self.host.now.mono;
                self.in_flight.extend(pushes.into_iter().map(|push| (now, push)));
            }
            Step::Answer(which, error) => {
                if !self.in_flight.is_empty() {
                    let (_, push) = self.in_flight.swap_remove(which.index(self.in_flight.len()));
                    if let Verdict::Goes(_) = self.host.answer(&push, "push.example", error) {
                        self.gone(device(&push));
                    }
                }
            }
            Step::Wait(time) => return self.wait(time),
        }
        self.release()
    }

    /// Handles a message that the devices in `concerned` need a push for.
    fn message(
        &mut self,
        id: u8,
        concerned: Vec<u8>,
        happens: impl FnOnce(&mut Host, &Message) -> Vec<Push<Xep0357>>,
    ) -> Result<(), TestCaseError> {
        let name = id.to_string();
        let message = Message { word: BODY, dedup_key: Some(&name), ..Message::default() };
        let pushes = happens(&mut self.host, &message);
        let new: HashSet<u8> = concerned.into_iter().filter(|device| self.heard.insert((id, *device))).collect();
        let pushed: Vec<u8> = pushes.iter().map(device).collect();
        prop_assert_eq!(pushed.len(), pushed.iter().collect::<HashSet<_>>().len(), "at most one push to a device");
        prop_assert!(
            pushed.iter().all(|device| new.contains(device)),
            "devices {:?} got a push, devices {:?} needed one",
            pushed,
            new
        );
        for device in new {
            if !pushed.contains(&device) {
                prop_assert!(!self.at_once, "device {} needed the push at once", device);
                self.waiting.entry(device).or_insert(self.host.now.mono);
            }
        }
        for device in pushed {
            self.waiting.remove(&device);
        }
        let now = self.host.now.mono;
        self.in_flight.extend(pushes.into_iter().map(|push| (now, push)));
        self.release()
    }

    fn release(&mut self) -> Result<(), TestCaseError> {
        for held in self.host.engine.release(self.host.now) {
            if held.important {
                self.waiting.remove(&device(&held.push));
            }
            self.in_flight.push((self.host.now.mono, held.push));
        }
        for (device, since) in &self.waiting {
            prop_assert!(self.host.now.mono < since + 10 * SECOND, "device {} has waited since {}", device, since);
        }
        Ok(())
    }

    fn wait(&mut self, time: Millis) -> Result<(), TestCaseError> {
        let end = self.host.now.mono + time;
        loop {
            let now = self.host.now.mono;
            let old = self.in_flight.iter().map(|(sent, _)| (sent + SLOWEST).saturating_sub(now)).min();
            let delay = [self.host.next(), old].into_iter().flatten().min();
            let Some(delay) = delay.filter(|delay| now + delay <= end) else { break };
            self.host.after(delay);
            let now = self.host.now.mono;
            let in_flight = std::mem::take(&mut self.in_flight);
            let (old, others) = in_flight.into_iter().partition(|(sent, _)| sent + SLOWEST <= now);
            self.in_flight = others;
            for (_, push) in old {
                self.host.answer(&push, "push.example", None);
            }
            let gone = self.host.timer();
            prop_assert!(gone.is_empty(), "no registration ends");
            self.release()?;
        }
        let rest = end - self.host.now.mono;
        self.host.after(rest);
        Ok(())
    }

    fn gone(&mut self, device: u8) {
        self.devices.remove(&device);
        self.waiting.remove(&device);
        self.load();
    }

    fn load(&mut self) {
        let devices =
            self.devices.iter().map(|(node, timestamp)| registration("push.example", &node.to_string(), *timestamp));
        self.host.engine.load("romeo", devices.collect(), false);
    }
}

proptest! {
    #[test]
    fn a_composed_stanza_survives_serialising_and_parsing(
        node in proptest::option::of(text()),
        sender in proptest::option::of("[a-z]{1,8}@[a-z]{1,8}\\.example"),
        body in proptest::option::of(text().prop_filter("never empty", |body| !body.is_empty())),
        options in proptest::option::of(element()),
    ) {
        let to = Publish { id: "i", from: "example.org", to: "push.example", node: node.as_deref() };
        let stanza = compose(&to, &Summary { sender: sender.as_deref(), body: body.as_deref() }, options.as_ref());
        let mut wire = Vec::new();
        stanza.write_to(&mut wire).expect("it serialises");
        let parsed: Element = std::str::from_utf8(&wire).expect("UTF-8").parse().expect("it parses");
        prop_assert_eq!(parsed, stanza);
    }

    #[test]
    fn the_client_s_form_is_sent_unchanged(options in element()) {
        let to = Publish { id: "i", from: "example.org", to: "push.example", node: None };
        let stanza = compose(&to, &Summary::default(), Packed::new(&options).unpack().as_ref());
        let echoed = stanza.children().next().and_then(|pubsub| pubsub.children().nth(1)).and_then(|x| x.children().next());
        prop_assert_eq!(echoed, Some(&options));
    }

    #[test]
    fn registrations_stay_within_the_limit_and_the_newest_is_kept(
        stored in vec(("[a-f]", 0i64..20), 0..12),
        limit in 1usize..6,
        now in 0i64..20,
    ) {
        let by_name: HashMap<_, _> = stored.into_iter().collect();
        let all = || by_name.iter().map(|(node, timestamp)| registration("p", node, *timestamp)).collect::<Vec<Registration<Asked>>>();
        let new = identifier("p", Some("new"));
        let mut with_new = all();
        with_new.push(registration("p", "new", now));
        let (timestamp, superseded) = admit(with_new, &new, now, limit);
        prop_assert!(timestamp >= now);

        let mut with_new = all();
        with_new.push(registration("p", "new", timestamp));
        let everything = Devices::new(with_new, usize::MAX);
        let surplus: Vec<_> = superseded.iter().map(|registration| registration.timestamp).collect();
        let kept = Devices::new(everything.iter().map(|r| registration("p", r.node().unwrap_or(""), r.timestamp)).collect(), limit);
        prop_assert!(kept.iter().count() <= limit);
        prop_assert_eq!(kept.iter().count() + surplus.len(), everything.iter().count());
        prop_assert!(kept.get(&new).is_some(), "the newest stays");
        let oldest_kept = kept.iter().map(|registration| registration.timestamp).min();
        prop_assert!(surplus.iter().max().is_none_or(|surplus| Some(*surplus) <= oldest_kept));
    }

    #[test]
    fn each_device_that_needs_a_message_gets_exactly_one_push(steps in vec(step(), 1..80)) {
        World::new(one_by_one()).live(steps)?;
    }

    #[test]
    fn in_a_burst_a_push_follows_each_message_within_ten_seconds(steps in vec(step(), 1..80)) {
        World::new(Config { max_errors: 3, ..Config::default() }).live(steps)?;
    }

    #[test]
    fn the_user_s_own_account_is_never_an_app_server(jid in "(R|r)omeo@(E|e)xample.org(/.{0,10})?|.{0,40}") {
        let normal = |jid: &str| Some(jid.to_lowercase()).filter(|jid| !jid.is_empty());
        if let Ok(jid) = app_server(Some(&jid), "romeo", "example.org", normal) {
            prop_assert!(jid != "romeo@example.org" && !jid.starts_with("romeo@example.org/"));
        }
    }

    #[test]
    fn a_publish_is_small_for_any_sender_body_and_node(
        sender in "[a-zé]{1,500}@[a-z]{1,20}\\.example/[ -~]{0,1000}",
        body in "([a-z]|👨‍👩‍👧|&){0,1000}",
        node in "[a-z0-9]{0,4000}",
    ) {
        let config = Config { with_body: true, with_sender: true, ..Config::default() };
        let message = Message { word: BODY, from: Some(&sender), body: Some(&body), ..Message::default() };
        let summary = Summary::new(&config, Some(&message), true);
        let to = Publish { id: "00000000-0000-4000-8000-000000000000", from: "example.org", to: "push.example", node: Some(&node) };
        let mut wire = Vec::new();
        compose(&to, &summary, None).write_to(&mut wire).expect("it serialises");
        prop_assert!(wire.len() <= 8 * 1024, "{} bytes", wire.len());
        let sent = summary.body.expect("there is a text");
        prop_assert!(body.is_empty() || body.starts_with(sent));
        prop_assert!(body.len() < 200 || sent.len() >= 100, "the text uses the room that there is: {}", sent.len());
    }

    #[test]
    fn an_answer_counts_only_once_and_only_from_the_app_server(from in ".{0,20}", id in ".{0,20}") {
        let mut host = Host::new(Config { max_errors: 1, ..one_by_one() }, vec![registration("push.example", "phone", 1)]);
        let push = host.ping().remove(0);
        let refused = Some(("cancel", "item-not-found"));
        host.engine.on_answer(host.now, &id, Some("push.example"), None);
        if from != "push.example" {
            host.answer(&push, &from, refused);
        }
        prop_assert!(!is_stranger(&host.answer(&push, "push.example", refused)));
        prop_assert!(is_stranger(&host.answer(&push, "push.example", refused)));
    }
}
