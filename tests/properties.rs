//! What holds for any input.

mod support;

use std::collections::{HashMap, HashSet};

use proptest::collection::vec;
use proptest::prelude::*;
use prosody_push::config::Config;
use prosody_push::element::{Element, Node, Packed};
use prosody_push::engine::Verdict;
use prosody_push::facts::{BODY, Message};
use prosody_push::registration::{Devices, Registration, admit, app_server, identifier};
use prosody_push::summary::{Publish, Summary};
use support::{Dom, Host, compose, nodes, one_by_one, registration};

/// Any text that XML can hold.
fn text() -> impl Strategy<Value = String> {
    "[\\t\\n -~\u{a0}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]{0,40}"
}

fn element() -> impl Strategy<Value = Element> {
    let attrs = || vec(("(var|type|label)", text()), 0..3);
    let make = |(name, attrs, children): (String, Vec<(String, String)>, Vec<Node>)| {
        let attrs: HashMap<String, String> = attrs.into_iter().collect();
        let namespace = ("xmlns".to_owned(), "jabber:x:data".to_owned());
        let attrs = attrs.into_iter().chain([namespace]).map(|(name, value)| (name.into(), value.into())).collect();
        Element { name: name.into(), attrs, children: children.into() }
    };
    let leaf = ("[a-z]{1,8}", attrs(), Just(Vec::new())).prop_map(make);
    leaf.prop_recursive(3, 20, 4, move |inner| {
        // Two texts in a row are one text after parsing.
        let child = (inner, text()).prop_map(|(element, text)| {
            let text = Some(text).filter(|text| !text.is_empty()).map(|text| Node::Text(text.into()));
            [Some(Node::Element(element)), text].into_iter().flatten().collect::<Vec<_>>()
        });
        ("[a-z]{1,8}", attrs(), vec(child, 0..4).prop_map(|children| children.concat())).prop_map(make)
    })
}

proptest! {
    #[test]
    fn what_is_composed_parses_equal(
        node in proptest::option::of(text()),
        sender in proptest::option::of("[a-z]{1,8}@[a-z]{1,8}\\.example"),
        body in proptest::option::of(text().prop_filter("never empty", |body| !body.is_empty())),
        options in proptest::option::of(element()),
    ) {
        let to = Publish { id: "i", from: "example.org", to: "push.example", node: node.as_deref() };
        let stanza = compose(&to, &Summary { sender: sender.as_deref(), body: body.as_deref() }, options.as_ref());
        let mut wire = Vec::new();
        stanza.write_to(&mut wire).expect("it serialises");
        let parsed: minidom::Element = std::str::from_utf8(&wire).expect("UTF-8").parse().expect("it parses");
        prop_assert_eq!(parsed, stanza);
    }

    #[test]
    fn the_client_s_form_is_echoed_as_it_came(options in element()) {
        let mut dom = Dom::default();
        let Ok(()) = options.write(&mut dom);
        let alone = dom.take();
        let to = Publish { id: "i", from: "example.org", to: "push.example", node: None };
        let stanza = compose(&to, &Summary::default(), Packed::new(&options).unpack().as_ref());
        let echoed = stanza.children().next().and_then(|pubsub| pubsub.children().nth(1)).and_then(|x| x.children().next());
        prop_assert_eq!(echoed, Some(&alone));
    }

    #[test]
    fn devices_are_never_too_many_and_the_newest_stays(
        stored in vec(("[a-f]", 0i64..20), 0..12),
        limit in 1usize..6,
        now in 0i64..20,
    ) {
        let by_name: HashMap<_, _> = stored.into_iter().collect();
        let all = || by_name.iter().map(|(node, timestamp)| registration("p", node, *timestamp)).collect::<Vec<Registration>>();
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
    fn a_message_goes_to_each_device_at_most_once_and_to_each_that_needs_it(
        events in vec((0u8..4, proptest::bool::ANY, proptest::bool::ANY), 1..40),
    ) {
        let mut host = Host::with_devices(&["phone", "tablet"]);
        let mut pushed: HashMap<(String, String), usize> = HashMap::new();
        let mut needed = HashSet::new();
        for (id, archived, phone_is_connected) in events {
            let id = id.to_string();
            let message = Message { word: BODY, from: None, body: None, name: Some(&id), call: None };
            let held: &[&str] = if archived && phone_is_connected { &["push.example<phone"] } else { &[] };
            let pushes = if archived { host.archived(&message, held) } else { host.offline(&message) };
            needed.insert(("tablet", id.clone()));
            if held.is_empty() { needed.insert(("phone", id.clone())); }
            for node in nodes(&pushes) {
                *pushed.entry((node.to_owned(), id.clone())).or_default() += 1;
            }
        }
        for (node, id) in needed {
            prop_assert_eq!(pushed.remove(&(node.to_owned(), id.clone())), Some(1), "{} to {}", id, node);
        }
        prop_assert!(pushed.is_empty(), "nobody else was woken: {:?}", pushed);
    }

    #[test]
    fn any_jid_is_taken_or_refused(jid in ".{0,40}", sender in ".{0,10}") {
        if let Ok(jid) = app_server(Some(&jid), Some(&sender)) {
            prop_assert_eq!(app_server(Some(jid.as_str()), None), Ok(jid), "a normal form stays as it is");
        }
    }

    #[test]
    fn no_answer_is_ever_taken_twice_or_from_a_stranger(from in ".{0,20}", id in ".{0,20}") {
        let mut host = Host::new(Config { max_errors: 1, ..one_by_one() }, vec![registration("push.example", "phone", 1)]);
        let push = host.ping().remove(0);
        let refused = Some(("cancel", "item-not-found"));
        host.engine.on_answer(host.now, &id, Some("push.example"), None);
        if from != "push.example" {
            host.answer(&push, &from, refused);
        }
        prop_assert_ne!(host.answer(&push, "push.example", refused), Verdict::Stranger);
        prop_assert_eq!(host.answer(&push, "push.example", refused), Verdict::Stranger);
    }
}
