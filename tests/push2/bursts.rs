//! The number of pushes for many stanzas at once, in a burst or in the queue of a session.

use prosody_push::config::Config;
use prosody_push::context::Event;
use prosody_push::push2::asked::{Match, Profile};
use prosody_push::push2::notification::{Payload, Priority};
use prosody_push::registration::holders::Holders;
use prosody_push::rules::facts::{BODY, Message, RECEIPT};

use crate::reader::Reader;
use crate::support::SECOND;
use crate::{CHAT, again, client, host, rule, speaking};

#[test]
fn without_content_a_burst_is_one_push_a_second_and_content_is_never_held() {
    let reader = Reader::new();
    let devices = vec![
        client("phone", vec![rule(Profile::All)]),
        client("tablet", vec![Match { send: reader.sends(None), ..rule(Profile::All) }]),
    ];
    let mut host = speaking(Config::default(), devices);
    let mut pushed = Vec::new();
    for _ in 0..10 {
        pushed.extend(host.offline(&CHAT).iter().map(|push| push.registration.identifier.to_string()));
    }
    assert_eq!(pushed.iter().filter(|device| *device == "phone").count(), 1);
    assert_eq!(pushed.iter().filter(|device| *device == "tablet").count(), 10);
    let (now, event) = (host.now, host.event());
    assert_eq!(host.engine.next_release(now), Some(SECOND), "Push 2.0 has no answers to wait for");
    let held = host.engine.release(event.now.after(SECOND));
    assert_eq!(held.len(), 1);
    assert_eq!(*held[0].push.payload, Payload::empty(Priority::Normal));
}

#[test]
fn a_held_push_goes_to_the_client_s_current_address() {
    let mut host = speaking(Config::default(), vec![client("phone", vec![rule(Profile::All)])]);
    assert_eq!(host.offline(&CHAT).len() + host.offline(&CHAT).len(), 1);
    let mut moved = client("phone", vec![rule(Profile::All)]);
    moved.asked.client = "https://push.example/new".into();
    host.engine.load("romeo", vec![moved], false);
    let push = again(host.after(SECOND)).remove(0);
    assert_eq!(&*push.registration.asked.client, "https://push.example/new");
}

#[test]
fn a_queue_causes_one_important_and_one_unimportant_push() {
    let mut host = host(vec![rule(Profile::All)]);
    let mut done = Default::default();
    let mut pushed = Vec::new();
    for (i, word) in [RECEIPT, BODY, RECEIPT, BODY].into_iter().enumerate() {
        let event: Event = host.event();
        let message = Message { word, ..CHAT };
        let queued = host.engine.on_queued(event, "phone", done, &message, Holders::default()).expect("loaded");
        pushed.extend(queued.pushes.list.iter().map(|_| i));
        done = queued.done;
    }
    assert_eq!(pushed, [0, 1]);
}
