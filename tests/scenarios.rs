//! Which devices get a push for which events, on a fake clock.

mod support;

use prosody_push::config::Config;
use prosody_push::context::Event;
use prosody_push::delivery::LATE;
use prosody_push::engine::{Done, NotLoaded, Verdict};
use prosody_push::memory::journal::Cause;
use prosody_push::protocol::Protocol;
use prosody_push::reason::Reason;
use prosody_push::registration::devices::admit;
use prosody_push::registration::holders::Holders;
use prosody_push::rules::facts::{
    self, BODY, CALL_OVER, CHAT_STATE, Call, Message, PROCEED, RECEIPT, RECEIVED, RETRACT, SENT,
};
use prosody_push::rules::importance::Kind;
use prosody_push::rules::queue;
use prosody_push::time::Millis;
use prosody_push::xep0357::Xep0357;
use support::{CHAT, DAY, HOUR, Host, SECOND, assert_goes, assert_stays, is_stranger, nodes, one_by_one, registration};

const ANSWER_TIMEOUT: Millis = Xep0357::POLICY.answer_timeout;
const PATIENCE: Millis = Xep0357::POLICY.patience;
const CALL: Message = Message { word: facts::CALL, ..CHAT };
/// A silent message: it shows nothing, but the client has to learn of it.
const SILENT: Message = Message { word: RECEIPT, ..CHAT };

fn archived_as(id: &str) -> Message<'_> {
    Message { dedup_key: Some(id), ..CHAT }
}

#[test]
fn an_offline_message_wakes_every_device_once() {
    let mut host = Host::with_devices(&["phone", "tablet"]);
    assert_eq!(nodes(&host.offline(&CHAT)), ["phone", "tablet"]);
}

#[test]
fn two_pushes_never_have_the_same_id() {
    let mut host = Host::with_devices(&["phone"]);
    let mut ids: Vec<_> = (0..1000).map(|_| host.offline(&CHAT)[0].id.to_string()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 1000);
    let is_uuid = |id: &String| id.len() == 36 && id.as_bytes()[14] == b'4' && *id == id.to_lowercase();
    assert!(ids.iter().all(is_uuid), "Apple's push service accepts only UUIDs in lower case");
}

#[test]
fn an_archived_message_wakes_devices_without_a_session() {
    let mut host = Host::with_devices(&["phone", "tablet"]);
    assert_eq!(nodes(&host.archived(&CHAT, &["push.example<phone"])), ["tablet"]);
}

#[test]
fn an_archived_call_wakes_devices_with_a_session_too() {
    let mut host = Host::with_devices(&["phone", "tablet"]);
    assert_eq!(nodes(&host.archived(&CALL, &["push.example<phone"])), ["phone", "tablet"]);
}

#[test]
fn an_archived_message_wakes_only_the_devices_of_the_archive_s_owner() {
    let mut host = Host::with_devices(&["phone"]);
    for stranger in
        ["juliet@example.org", "romeo@elsewhere.example", "romeo@example.org.evil", "romeo", "example.org", ""]
    {
        assert!(host.archived_for(stranger, &CHAT, &[]).expect("loaded").is_empty(), "{stranger}");
    }
    assert_eq!(host.archived_for("romeo@example.org/orchard", &CHAT, &[]).expect("loaded").len(), 1);
}

#[test]
fn an_archived_message_that_the_user_sent_wakes_no_device() {
    let mut host = Host::with_devices(&["phone"]);
    let note = Message { from: Some("romeo@example.org/laptop"), ..CHAT };
    assert!(host.archived(&note, &[]).is_empty());
    assert_eq!(nodes(&host.archived(&Message { from: Some("romeo@elsewhere.example"), ..CHAT }, &[])), ["phone"]);
}

#[test]
fn a_message_in_an_archive_event_and_an_offline_event_is_pushed_once() {
    let mut host = Host::with_devices(&["phone", "tablet"]);
    assert_eq!(nodes(&host.archived(&archived_as("a1"), &["push.example<phone"])), ["tablet"]);
    assert_eq!(nodes(&host.offline(&archived_as("a1"))), ["phone"]);
    assert_eq!(nodes(&host.offline(&archived_as("a1"))), [""; 0]);
    assert_eq!(nodes(&host.offline(&archived_as("a2"))), ["phone", "tablet"]);
}

#[test]
fn a_ping_wakes_all_devices_or_the_given_ones() {
    let mut host = Host::with_devices(&["phone", "tablet"]);
    assert_eq!(nodes(&host.ping()), ["phone", "tablet"]);
    assert_eq!(nodes(&host.ping()), ["phone", "tablet"], "pings are not deduplicated");
    let given = vec![registration("push.example", "tablet", 0)];
    assert_eq!(
        nodes(&host.engine.on_ping(host.event(), Some(given), Cause::Ping, Holders::default()).expect("loaded").list),
        ["tablet"]
    );
}

#[test]
fn no_push_leaves_before_the_registrations_are_loaded() {
    let mut host = Host::with_devices(&["phone"]);
    host.engine.forget("romeo");
    let chat_state = Message { word: CHAT_STATE, ..CHAT };
    let missed = [
        (CHAT, Some(Kind::Important)),
        (SILENT, Some(Kind::Silent)),
        (chat_state, None),
        (own(BODY, "c1"), None),
        (CALL, None),
    ];
    for (message, missed) in missed {
        let pushes = host.engine.on_offline(host.event(), &message);
        assert_eq!(pushes.map(|_| ()), Err(NotLoaded { missed }), "{:#x}", message.word);
    }
    let pushes = host.engine.on_ping(host.event(), None, Cause::Ping, Holders::default());
    assert_eq!(pushes.map(|_| ()), Err(NotLoaded { missed: Some(Kind::Silent) }));
}

#[test]
fn a_user_whose_registrations_could_not_be_read_is_woken_once_they_can_be() {
    let mut host = Host::with_devices(&["phone", "tablet", "laptop"]);
    host.engine.forget("romeo");
    let holders = Holders::new(Some("cpush.example<laptop\0hpush.example<tablet"));
    let missed = host.engine.on_missed(host.event(), Kind::Important, holders);
    assert_eq!(missed.map(|_| ()), Err(NotLoaded { missed: Some(Kind::Important) }));
    let devices = |nodes: &[&str]| nodes.iter().map(|node| registration("push.example", node, 1)).collect();
    host.engine.load("romeo", devices(&["phone", "tablet", "laptop"]), false);
    for kind in [Kind::Silent, Kind::Important] {
        let pushes = host.engine.on_missed(host.event(), kind, holders).expect("loaded");
        assert_eq!((nodes(&pushes.list), pushes.important), (vec!["phone", "tablet"], kind == Kind::Important));
    }
    let said = host.engine.decisions("romeo").next().expect("a decision").text(true);
    assert_eq!(said, "push (the registrations could not be read before): sent, no answer yet");
    host.engine.load("romeo", devices(&["phone"]), true);
    let pushes = host.engine.on_missed(host.event(), Kind::Important, Holders::default()).expect("loaded");
    assert!(pushes.list.is_empty(), "the account is disabled");
}

#[test]
fn only_the_newest_devices_are_woken() {
    let config = Config { max_devices: 2, ..one_by_one() };
    let devices = vec![registration("p", "b", 2), registration("p", "c", 3), registration("p", "a", 1)];
    let mut host = Host::new(config, devices);
    assert_eq!(nodes(&host.offline(&CHAT)), ["b", "c"]);
}

// Calls.

const JULIET: &str = "juliet@example.org";

fn call<'a>(word: u64, id: &'a str, from: &'a str) -> Message<'a> {
    Message { word, from: Some(from), call: Some(Call { peer: Some(JULIET), id }), ..CHAT }
}

/// A stanza about a call that romeo himself sends.
fn own(word: u64, id: &str) -> Message<'_> {
    call(word, id, "romeo@example.org/laptop")
}

#[test]
fn a_call_in_several_events_rings_a_device_once() {
    let mut host = Host::with_devices(&["phone", "tablet"]);
    let ring = call(facts::CALL, "c1", "juliet@example.org/x");
    assert_eq!(nodes(&host.archived(&ring, &["push.example<phone"])), ["phone", "tablet"]);
    assert!(host.queued(&[&ring]).is_empty());
    assert!(host.offline(&ring).is_empty());
    assert_eq!(host.offline(&call(facts::CALL, "c2", "juliet@example.org/x")).len(), 2);
}

#[test]
fn a_call_in_the_queue_of_one_session_rings_every_device() {
    let mut host = Host::with_devices(&["phone", "tablet"]);
    assert_eq!(host.queued(&[&call(facts::CALL, "c1", "juliet@example.org/x")]), [0, 0]);
}

#[test]
fn two_callers_may_use_the_same_call_id() {
    let mut host = Host::with_devices(&["phone"]);
    let of_nurse = |word| Message {
        from: Some("nurse@example.org/y"),
        call: Some(Call { peer: Some("nurse@example.org"), id: "1" }),
        ..call(word, "1", "")
    };
    assert_eq!(host.offline(&call(facts::CALL, "1", "juliet@example.org/x")).len(), 1);
    assert_eq!(host.offline(&of_nurse(facts::CALL)).len(), 1, "the second call rings, too");
    assert_eq!(host.offline(&of_nurse(RETRACT)).len(), 1);
    assert_eq!(host.offline(&call(RETRACT, "1", "juliet@example.org/x")).len(), 1, "each caller ends its own call");
}

#[test]
fn a_stranger_cannot_end_another_caller_s_call() {
    let mut host = Host::with_devices(&["phone"]);
    host.offline(&call(facts::CALL, "c1", "juliet@example.org/x"));
    let of_tybalt = Call { peer: Some("tybalt@example.org"), id: "c1" };
    let end = Message { call: Some(of_tybalt), ..call(RETRACT, "c1", "tybalt@example.org/x") };
    assert!(host.offline(&end).is_empty());
    assert_eq!(host.offline(&call(RETRACT, "c1", "juliet@example.org/x")).len(), 1);
}

#[test]
fn the_end_of_a_call_is_pushed_at_once_to_the_devices_that_rang() {
    for word in [CALL_OVER, RETRACT] {
        let mut host = Host::with_devices(&["phone", "tablet"]);
        host.archived(&call(facts::CALL, "c1", "juliet@example.org/x"), &[]);
        let end = call(word, "c1", "juliet@example.org/x");
        assert_eq!(queue::delay(word), 0);
        assert_eq!(nodes(&host.archived(&end, &["push.example<phone", "push.example<tablet"])), ["phone", "tablet"]);
        assert!(host.archived(&end, &[]).is_empty(), "the end is pushed once");
        assert!(host.queued(&[&end]).is_empty(), "the queue does not push it again");
    }
}

#[test]
fn a_call_that_another_client_takes_stops_ringing() {
    for word in [PROCEED, CALL_OVER, RETRACT] {
        let mut host = Host::with_devices(&["phone"]);
        host.archived(&call(facts::CALL, "c1", "juliet@example.org/x"), &[]);
        let taken = own(word, "c1");
        assert_eq!(
            host.archived_for("juliet@example.org/x", &taken, &[]).expect("loaded").len(),
            1,
            "an answer to the caller"
        );
    }
    let mut host = Host::with_devices(&["phone"]);
    host.archived(&call(facts::CALL, "c1", "juliet@example.org/x"), &[]);
    let accept = Message { call: Some(Call { peer: None, id: "c1" }), ..own(CALL_OVER, "c1") };
    assert_eq!(
        nodes(&host.archived(&accept, &["push.example<phone"])),
        ["phone"],
        "an answer to the user's own account"
    );
    assert!(host.archived(&call(CALL_OVER, "c1", "juliet@example.org/x"), &[]).is_empty(), "the call is over already");
}

#[test]
fn a_carbon_of_the_user_s_answer_stops_the_ringing() {
    let mut host = Host::with_devices(&["phone"]);
    host.archived(&call(facts::CALL, "c1", "juliet@example.org/x"), &[]);
    let carbon = own(SENT | PROCEED, "c1");
    assert_eq!(host.queued(&[&carbon]), [0], "without an archive only the carbon tells of the answer");
    assert!(host.archived_for("juliet@example.org/x", &own(PROCEED, "c1"), &[]).expect("loaded").is_empty());
}

#[test]
fn neither_the_device_that_took_the_call_nor_a_device_in_use_gets_a_push() {
    let mut host = Host::with_devices(&["phone", "tablet", "laptop"]);
    assert_eq!(host.archived(&call(facts::CALL, "c1", "juliet@example.org/x"), &[]).len(), 3);
    let (event, taken) = (host.event(), own(PROCEED, "c1"));
    let holders = Holders::new(Some("clpush.example<tablet\0upush.example<laptop"));
    let sender = Some("push.example<phone");
    let pushes = host.engine.on_addressed(event, Some("juliet@example.org/x"), &taken, holders, sender);
    assert_eq!(nodes(&pushes.expect("loaded").list), ["tablet"]);
    let finish = call(CALL_OVER, "c1", "juliet@example.org/x");
    assert!(host.archived(&finish, &[]).is_empty(), "the end of the accepted call wakes no device");
    let reasons: Vec<_> = host.engine.decisions("romeo").map(|decision| decision.outcome).take(6).collect();
    let because = |reason| prosody_push::memory::journal::Outcome::NotSent(reason);
    assert!(reasons.contains(&because(Reason::TookCall)) && reasons.contains(&because(Reason::InUse)), "{reasons:?}");
}

#[test]
fn the_end_of_a_call_that_never_rang_wakes_no_device() {
    let mut host = Host::with_devices(&["phone", "tablet"]);
    let end = call(CALL_OVER, "c1", "juliet@example.org/x");
    assert!(host.archived(&end, &["push.example<phone"]).is_empty());
    assert!(host.offline(&end).is_empty() && host.queued(&[&end]).is_empty());
}

// Stanzas that wake no device.

#[test]
fn the_user_s_own_message_is_never_important() {
    let mut host = Host::with_devices(&["phone"]);
    let own = Message { from: Some("romeo@example.org/laptop"), ..CHAT };
    let alerted = |host: &mut Host, message: &Message| {
        let (event, done) = (host.event(), Done::default());
        let queued = host.engine.on_queued(event, "push.example<phone", done, message, Holders::default());
        queued.expect("loaded").alerted
    };
    assert!(!alerted(&mut host, &own));
    assert!(!alerted(&mut host, &Message { word: facts::CALL, ..own }));
    assert!(!alerted(&mut host, &Message { word: BODY | RECEIVED, ..own }), "the carbon of a message to oneself");
    assert!(alerted(&mut host, &Message { word: BODY | RECEIVED, ..CHAT }), "a carbon of juliet's message");
    assert!(alerted(&mut host, &CHAT));
}

#[test]
fn a_chat_state_wakes_no_device_in_any_event() {
    let mut host = Host::with_devices(&["phone"]);
    let state = Message { word: CHAT_STATE, ..CHAT };
    assert!(
        host.offline(&state).is_empty() && host.archived(&state, &[]).is_empty() && host.queued(&[&state]).is_empty()
    );
    assert_eq!(host.queued(&[&state, &SILENT, &CHAT]), [1, 2], "a chat state does not keep other stanzas from a push");
}

#[test]
fn a_disabled_account_gets_no_push_and_keeps_its_registrations() {
    let mut host = coalescing();
    let load = |host: &mut Host, is_disabled| {
        let devices = vec![registration("push.example", "phone", 1), registration("push.example", "tablet", 2)];
        host.engine.load("romeo", devices, is_disabled);
    };
    host.offline(&CHAT);
    host.after(1).offline(&CHAT);
    load(&mut host, true);
    assert_eq!(host.engine.is_disabled("romeo"), Some(true));
    assert!(host.after(ANSWER_TIMEOUT).released().is_empty(), "the held push is dropped");
    assert!(host.offline(&CALL).is_empty() && host.archived(&CHAT, &[]).is_empty() && host.queued(&[&CHAT]).is_empty());
    assert!(host.ping().is_empty());
    load(&mut host, false);
    assert_eq!(host.after(DAY).offline(&CHAT).len(), 2);
}

// Stream management.

#[test]
fn a_queue_causes_one_important_and_one_unimportant_push() {
    let mut host = Host::with_devices(&["phone", "tablet"]);
    let (receipt, chat) = (SILENT, CHAT);
    assert_eq!(host.queued(&[&receipt, &chat, &receipt, &chat]), [0, 1]);
    assert_eq!(host.queued(&[&chat]), [0]);
}

#[test]
fn a_message_seen_in_a_session_s_queue_is_not_pushed_again_to_that_device() {
    let mut host = Host::with_devices(&["phone", "tablet"]);
    let messages = ["a", "b", "c"].map(archived_as);
    assert_eq!(host.queued(&messages.each_ref()), [0], "first the acks are late");
    assert!(host.queued(&messages.each_ref()).is_empty(), "then the session hibernates");
    for message in &messages {
        assert_eq!(nodes(&host.offline(message)), ["tablet"], "then mod_smacks hands the queue back");
    }
}

#[test]
fn a_call_that_was_pushed_at_once_is_not_pushed_from_the_queue() {
    let mut host = Host::with_devices(&["phone"]);
    let call = Message { dedup_key: Some("a1"), ..CALL };
    assert_eq!(nodes(&host.archived(&call, &["push.example<phone"])), ["phone"]);
    assert_eq!(host.queued(&[&call, &archived_as("a2")]), [1]);
}

#[test]
fn a_call_does_not_wait_in_the_queue() {
    for word in [facts::CALL, RETRACT, CALL_OVER, PROCEED] {
        assert_eq!(queue::delay(word), 0);
    }
    assert_eq!(queue::delay(BODY), SECOND);
}

#[test]
fn a_session_whose_ack_is_late_does_not_keep_a_push_back() {
    let mut host = Host::with_devices(&["phone", "tablet", "watch"]);
    let holders = Holders::new(Some("lpush.example<phone\0hpush.example<tablet\0cpush.example<watch"));
    let pushes = host.engine.on_addressed(host.event(), Some("romeo@example.org"), &archived_as("a1"), holders, None);
    assert_eq!(nodes(&pushes.expect("loaded").list), ["phone"]);
    assert!(host.queued(&[&archived_as("a1")]).is_empty(), "the session's queue holds the same message");
}

#[test]
fn a_queue_does_not_push_to_a_client_that_answers_in_another_session() {
    let mut host = Host::with_devices(&["phone", "tablet"]);
    let queued = |host: &mut Host, message: &Message, holders: &str| {
        let (event, holders) = (host.event(), Holders::new(Some(holders)));
        let queued =
            host.engine.on_queued(event, "push.example<phone", Done::default(), message, holders).expect("loaded");
        (nodes(&queued.pushes.list).join(" "), queued.alerted)
    };
    assert_eq!(queued(&mut host, &CHAT, "cpush.example<phone"), (String::new(), false));
    assert_eq!(queued(&mut host, &CHAT, "upush.example<phone"), (String::new(), false));
    assert_eq!(queued(&mut host, &CALL, "cpush.example<phone"), ("tablet".into(), false), "a call rings the others");
    assert_eq!(queued(&mut host, &CHAT, "lpush.example<phone"), ("phone".into(), true));
    assert_eq!(queued(&mut host, &CHAT, "hpush.example<phone"), ("phone".into(), true));
    assert_eq!(queued(&mut host, &CHAT, "cpush.example<tablet"), ("phone".into(), true));
}

#[test]
fn a_queue_wakes_its_device_at_four_fifths_of_its_size_and_when_it_has_doubled() {
    assert_eq!(queue::alarm(500, None), 400);
    assert_eq!(queue::alarm(500, Some(400)), 800);
    assert_eq!(queue::alarm(1, None), 1);
    assert_eq!(queue::alarm(9, None), 8);
    assert_eq!(queue::alarm(u32::MAX, Some(u32::MAX)), u32::MAX);
}

#[test]
fn a_client_that_is_back_is_not_woken_for_a_start_or_a_queue() {
    let mut host = Host::with_devices(&["phone", "tablet"]);
    for (cause, expected) in [
        (Cause::Started, vec!["tablet"]),
        (Cause::QueueFull, vec!["tablet"]),
        (Cause::HibernationEnds, vec!["tablet"]),
        (Cause::Ping, vec!["phone", "tablet"]),
        (Cause::Test, vec!["phone", "tablet"]),
    ] {
        let holders = Holders::new(Some("cpush.example<phone\0hpush.example<tablet"));
        let pushes = host.engine.on_ping(host.event(), None, cause, holders).expect("loaded");
        assert_eq!(nodes(&pushes.list), expected, "{cause:?}");
    }
}

#[test]
fn a_client_s_new_token_replaces_its_old_one() {
    let of = |node: &str, timestamp, client: Option<&str>, resource: Option<&str>| {
        let mut device = registration("push.example", node, timestamp);
        (device.asked.client_id, device.asked.resource) = (client.map(Into::into), resource.map(Into::into));
        device
    };
    let gone = |devices, newest: &str, limit| {
        let (_, gone) = admit(devices, newest, 100, limit);
        gone.iter().map(|device| device.node().unwrap_or("").to_owned()).collect::<Vec<_>>()
    };
    let devices = vec![of("old", 5, Some("c"), None), of("other", 1, Some("d"), None), of("new", 9, Some("c"), None)];
    assert_eq!(gone(devices, "push.example<new", 5), ["old"], "at once, if the client sends its id");
    let devices =
        || vec![of("oldest", 1, None, Some("x")), of("old", 5, None, Some("r")), of("new", 9, None, Some("r"))];
    assert!(gone(devices(), "push.example<new", 3).is_empty(), "the same resource may be another client's");
    assert_eq!(gone(devices(), "push.example<new", 2), ["old"], "the registration with the same resource goes first");
    assert_eq!(gone(devices(), "push.example<new", 1), ["old", "oldest"]);
}

#[test]
fn a_session_whose_registration_has_ended_wakes_no_device() {
    let mut host = Host::with_devices(&["tablet"]);
    assert!(host.queued(&[&CHAT]).is_empty());
}

// Bursts.

fn coalescing() -> Host {
    Host::new(
        Config::default(),
        vec![registration("push.example", "phone", 1), registration("push.example", "tablet", 2)],
    )
}

#[test]
fn a_burst_is_one_push_at_once_and_one_for_all_later_messages() {
    let mut host = coalescing();
    let first = host.offline(&CHAT);
    assert_eq!(nodes(&first), ["phone", "tablet"]);
    host.after(20);
    for push in &first {
        host.answer(push, "push.example", None);
    }
    for _ in 1..500 {
        assert!(host.after(1).offline(&CHAT).is_empty());
    }
    assert_eq!(host.next(), Some(SECOND - 20 - 499));
    assert!(host.released().is_empty());
    assert_eq!(host.after(SECOND).released(), [("phone".into(), true), ("tablet".into(), true)]);
    assert!(host.after(SECOND).released().is_empty());
}

#[test]
fn a_held_push_waits_for_the_answer_to_the_push_before_it() {
    let mut host = coalescing();
    let first = host.offline(&CHAT);
    assert!(host.after(5 * SECOND).offline(&CHAT).is_empty());
    assert!(host.after(SECOND).released().is_empty());
    host.answer(&first[1], "push.example", Some(("wait", "resource-constraint")));
    assert_eq!(host.released(), [("tablet".into(), true)]);
}

#[test]
fn no_message_waits_longer_than_ten_seconds() {
    let mut host = coalescing();
    assert_eq!(host.offline(&CHAT).len(), 2);
    assert!(host.after(SECOND).offline(&CHAT).is_empty());
    assert!(host.after(9 * SECOND).offline(&CHAT).is_empty());
    assert_eq!(host.timer(), [""; 0]);
    assert_eq!(host.next(), Some(SECOND));
    assert_eq!(host.after(SECOND).released().len(), 2);
    assert!(host.after(SECOND).offline(&CHAT).is_empty(), "behind the push that was released");
    assert_eq!(host.after(10 * SECOND).released().len(), 2);
}

#[test]
fn important_and_unimportant_pushes_do_not_wait_for_each_other() {
    let mut host = coalescing();
    assert_eq!(host.offline(&CHAT).len(), 2);
    assert_eq!(host.offline(&SILENT).len(), 2);
    assert_eq!(host.ping().len(), 0, "a ping is unimportant");
}

#[test]
fn calls_and_pushes_with_content_never_wait() {
    let mut host = coalescing();
    assert_eq!(host.offline(&CALL).len(), 2);
    assert_eq!(host.offline(&CALL).len(), 2);
    assert_eq!(host.offline(&CHAT).len(), 2, "a message may tell more than the call");

    let with_sender = Config { with_sender: true, ..Config::default() };
    let mut host = Host::new(with_sender, vec![registration("push.example", "phone", 1)]);
    assert_eq!(host.offline(&CHAT).len(), 1);
    assert_eq!(host.offline(&CHAT).len(), 1);

    let with_body = Config { with_body: true, ..Config::default() };
    let mut host = Host::new(with_body, vec![registration("push.example", "phone", 1)]);
    let chat = Message { body: Some("Romeo?"), ..CHAT };
    assert_eq!(host.offline(&chat).len(), 1);
    assert_eq!(host.offline(&chat).len(), 1);
}

#[test]
fn no_push_waits_if_other_modules_observe_the_pushes() {
    let mut host = coalescing();
    for _ in 0..3 {
        let event = Event { observed: true, ..host.event() };
        assert_eq!(host.engine.on_offline(event, &CHAT).expect("loaded").list.len(), 2);
    }
}

#[test]
fn a_held_push_is_dropped_when_the_client_is_back() {
    let mut host = coalescing();
    host.offline(&CHAT);
    host.after(1).offline(&CHAT);
    host.engine.on_resumed(host.now, "romeo", "push.example<phone");
    assert_eq!(host.after(ANSWER_TIMEOUT).released(), [("tablet".into(), true)]);
}

#[test]
fn a_held_push_is_dropped_when_the_registration_ends() {
    let mut host = coalescing();
    host.offline(&CHAT);
    host.after(1).offline(&CHAT);
    host.engine.load("romeo", vec![registration("push.example", "tablet", 2)], false);
    assert_eq!(host.after(ANSWER_TIMEOUT).released(), [("tablet".into(), true)]);
}

#[test]
fn a_held_push_is_dropped_when_the_account_is_deleted() {
    let mut host = coalescing();
    host.offline(&CHAT);
    host.after(1).offline(&CHAT);
    host.engine.forget("romeo");
    assert!(host.after(ANSWER_TIMEOUT).released().is_empty());
}

#[test]
fn no_held_push_is_lost_in_a_reload() {
    let mut host = coalescing();
    host.offline(&CHAT);
    host.after(1).offline(&CHAT);
    assert_eq!(host.engine.release_all(host.now).len(), 2);
    assert!(host.engine.release_all(host.now).is_empty());
}

// Delivery.

#[test]
fn refusals_in_a_row_end_a_registration() {
    let mut host = Host::with_devices(&["phone"]);
    for _ in 1..16 {
        let push = host.offline(&CHAT).remove(0);
        assert_stays(host.answer(&push, "push.example", Some(("cancel", "item-not-found"))));
    }
    let push = host.offline(&CHAT).remove(0);
    let verdict = host.answer(&push, "push.example", Some(("cancel", "item-not-found")));
    assert_goes(verdict, "push.example<phone");
}

#[test]
fn a_success_clears_the_refusals() {
    let mut host = Host::with_devices(&["phone"]);
    for _ in 0..3 {
        for _ in 1..16 {
            let push = host.offline(&CHAT).remove(0);
            let verdict = host.answer(&push, "push.example", Some(("auth", "forbidden")));
            assert_stays(verdict);
        }
        let push = host.offline(&CHAT).remove(0);
        assert_stays(host.answer(&push, "push.example", None));
    }
}

#[test]
fn enabling_again_clears_the_refusals() {
    let mut host = Host::new(Config { max_errors: 2, ..one_by_one() }, vec![registration("push.example", "phone", 1)]);
    for _ in 0..3 {
        let push = host.offline(&CHAT).remove(0);
        assert_stays(host.answer(&push, "push.example", Some(("cancel", "gone"))));
        host.engine.enabled(host.now, "romeo", "push.example<phone");
    }
}

#[test]
fn a_transport_failure_does_not_count_as_a_refusal() {
    for (kind, condition) in [
        ("cancel", "remote-server-not-found"),
        ("wait", "remote-server-timeout"),
        ("cancel", "remote-server-timeout"),
        ("wait", "resource-constraint"),
        ("cancel", "internal-server-error"),
        ("wait", "policy-violation"),
    ] {
        let mut host = Host::with_devices(&["phone"]);
        let pushes: Vec<_> = (0..50).map(|_| host.offline(&CHAT).remove(0)).collect();
        for push in &pushes {
            assert_stays(host.answer(push, "push.example", Some((kind, condition))));
        }
    }
    let mut host = Host::new(Config { max_errors: 1, ..one_by_one() }, vec![registration("push.example", "phone", 1)]);
    let push = host.offline(&CHAT).remove(0);
    assert_stays(host.answer_here(&push, "forbidden"));
}

#[test]
fn an_app_server_that_is_down_for_an_afternoon_ends_no_registration() {
    let mut host = Host::with_devices(&["phone"]);
    for _ in 0..300 {
        let mut pushes = host.after(60 * SECOND).leaving();
        pushes.extend(host.offline(&CHAT));
        for push in pushes {
            assert_stays(host.answer(&push, "push.example", Some(("wait", "remote-server-timeout"))));
        }
    }
}

/// Lets a push fail. The client is back afterwards, so that nothing is owed.
fn fail(host: &mut Host) -> Verdict {
    let push = host.offline(&CHAT).remove(0);
    let verdict = host.answer(&push, "push.example", Some(("cancel", "remote-server-not-found")));
    host.engine.on_resumed(host.now, "romeo", "push.example<phone");
    verdict
}

#[test]
fn transport_failures_for_a_month_end_a_registration() {
    let mut host = Host::with_devices(&["phone"]);
    assert_stays(fail(&mut host));
    for _ in 1..PATIENCE / DAY {
        assert_stays(fail(host.after(DAY)));
    }
    // The app server is away, and is tried every ten minutes.
    assert_stays(fail(host.after(DAY - HOUR)));
    assert_goes(fail(host.after(HOUR)), "push.example<phone");
}

#[test]
fn one_accepted_push_starts_the_month_again() {
    let mut host = Host::with_devices(&["phone"]);
    for _ in 0..2 {
        for _ in 0..PATIENCE / DAY {
            assert_stays(fail(host.after(DAY)));
        }
        let push = host.after(HOUR).offline(&CHAT).remove(0);
        assert_stays(host.answer(&push, "push.example", None));
    }
}

#[test]
fn a_missing_answer_is_a_transport_failure() {
    let mut host = Host::with_devices(&["phone"]);
    let push = host.offline(&CHAT).remove(0);
    assert_eq!(host.next(), Some(LATE));
    assert_eq!(host.after(LATE).timer(), [""; 0]);
    assert_eq!(host.next(), Some(ANSWER_TIMEOUT - LATE));
    assert_eq!(host.after(ANSWER_TIMEOUT - LATE - 1).timer(), [""; 0]);
    assert_eq!(host.next(), Some(1));
    assert_eq!(host.after(1).timer(), [""; 0]);
    assert_eq!(host.next(), Some(4 * SECOND), "the device is owed a push");
    let late = host.answer(&push, "push.example", Some(("cancel", "item-not-found")));
    assert!(is_stranger(&late));

    for _ in 1..PATIENCE / DAY {
        host.engine.on_resumed(host.now, "romeo", "push.example<phone");
        host.after(DAY - ANSWER_TIMEOUT).offline(&CHAT);
        assert_eq!(host.after(ANSWER_TIMEOUT).timer(), [""; 0]);
    }
    host.engine.on_resumed(host.now, "romeo", "push.example<phone");
    host.after(DAY).offline(&CHAT);
    assert_eq!(host.after(ANSWER_TIMEOUT).timer(), ["push.example<phone"]);
}

#[test]
fn an_answer_counts_only_once_and_only_from_the_app_server() {
    let mut host = Host::new(Config { max_errors: 1, ..one_by_one() }, vec![registration("push.example", "phone", 1)]);
    let push = host.offline(&CHAT).remove(0);
    let refused = Some(("cancel", "item-not-found"));
    assert!(is_stranger(&host.answer(&push, "evil.example", refused)));
    assert!(is_stranger(&host.answer(&push, "push.example/other", refused)));
    assert!(is_stranger(&host.engine.on_answer(host.now, &push.id.to_string(), None, None).verdict));
    assert!(is_stranger(
        &host.engine.on_answer(host.now, "00000000-0000-4000-8000-000000000000", Some("push.example"), None).verdict
    ));
    assert!(is_stranger(&host.engine.on_answer(host.now, "", Some("push.example"), None).verdict));
    assert_goes(host.answer(&push, "push.example", refused), "push.example<phone");
    assert!(is_stranger(&host.answer(&push, "push.example", refused)));
}

#[test]
fn pushes_without_an_answer_are_found_by_the_domain_of_their_app_server() {
    let registrations = ["push.example", "gateway@push.example/a", "sub.push.example", "push.example.org"];
    let registrations = Vec::from(registrations.map(|jid| registration(jid, "phone", 1)));
    let mut host = Host::new(one_by_one(), registrations);
    let sent = host.offline(&CHAT);
    let unanswered = |host: &Host<Xep0357>, domain| -> Vec<String> {
        host.engine.unanswered(domain).map(|(_, app_server)| app_server.to_owned()).collect()
    };
    let mut found = unanswered(&host, "push.example");
    found.sort();
    assert_eq!(found, ["gateway@push.example/a", "push.example"]);
    assert_eq!(unanswered(&host, "example"), [""; 0]);
    let push = sent.iter().find(|push| push.registration.jid() == "push.example").expect("it was pushed to");
    assert_stays(host.answer(push, "push.example", None));
    assert_eq!(unanswered(&host, "push.example"), ["gateway@push.example/a"]);
}

#[test]
fn failures_of_one_user_do_not_count_for_another_with_the_same_registration() {
    let mut host = Host::new(Config { max_errors: 2, ..one_by_one() }, vec![registration("push.example", "phone", 1)]);
    host.engine.load("juliet", vec![registration("push.example", "phone", 1)], false);
    let refused = Some(("cancel", "item-not-found"));
    let push = host.offline(&CHAT).remove(0);
    assert_stays(host.answer(&push, "push.example", refused));
    let chat = Message { from: Some("nurse@example.org/x"), ..CHAT };
    let push = host.engine.on_offline(Event { user: "juliet", ..host.event() }, &chat).expect("loaded").list.remove(0);
    assert_stays(host.answer(&push, "push.example", refused));
}

#[test]
fn an_answer_to_an_earlier_push_does_not_count_for_a_newer_registration() {
    let mut host = Host::new(Config { max_errors: 1, ..one_by_one() }, vec![registration("push.example", "phone", 1)]);
    let refused = Some(("cancel", "item-not-found"));
    let (first, second) = (host.offline(&CHAT).remove(0), host.offline(&CHAT).remove(0));
    assert_goes(host.answer(&first, "push.example", refused), "push.example<phone");
    host.engine.load("romeo", vec![], false);
    host.after(1).engine.load("romeo", vec![registration("push.example", "phone", 1)], false);
    host.engine.enabled(host.now, "romeo", "push.example<phone");
    assert_stays(host.answer(&second, "push.example", refused));
    let third = host.after(1).offline(&CHAT).remove(0);
    assert_goes(host.answer(&third, "push.example", refused), "push.example<phone");
}

#[test]
fn an_answer_for_a_disabled_registration_has_no_effect() {
    let mut host = Host::new(Config { max_errors: 1, ..one_by_one() }, vec![registration("push.example", "phone", 1)]);
    let push = host.offline(&CHAT).remove(0);
    host.engine.load("romeo", vec![], false);
    assert_stays(host.answer(&push, "push.example", Some(("cancel", "item-not-found"))));
}

#[test]
fn no_answer_is_expected_for_a_withdrawn_push() {
    let mut host = Host::with_devices(&["phone"]);
    let push = host.offline(&CHAT).remove(0);
    host.engine.withdraw(&push.id.to_string());
    assert_eq!(host.next(), None);
    assert!(is_stranger(&host.answer(&push, "push.example", None)));
}

fn reload(host: &mut Host<Xep0357>, devices: &[&str]) {
    let saved = serde_json::to_string(&host.engine.save()).expect("the state is JSON");
    host.engine = Host::with_devices(devices).engine;
    host.engine.restore(serde_json::from_str(&saved).expect("as it was saved"));
}

#[test]
fn calls_survive_a_reload() {
    let devices = ["phone", "tablet"];
    let mut host = Host::with_devices(&devices);
    let (ring, end) = (call(facts::CALL, "c1", "juliet@example.org/x"), call(RETRACT, "c1", "juliet@example.org/x"));
    assert_eq!(nodes(&host.archived(&ring, &[])), devices);
    reload(&mut host, &devices);
    assert!(host.archived(&ring, &[]).is_empty(), "it rings once");
    assert_eq!(nodes(&host.archived(&end, &[])), devices);
    reload(&mut host, &devices);
    assert!(host.archived(&end, &[]).is_empty(), "it ends once");
}

#[test]
fn the_push_for_a_call_that_is_over_is_not_repeated_after_a_reload() {
    let mut host = Host::with_devices(&["phone"]);
    let ring = host.archived(&call(facts::CALL, "c1", "juliet@example.org/x"), &[]).remove(0);
    assert_eq!(host.archived(&call(RETRACT, "c1", "juliet@example.org/x"), &[]).len(), 1);
    reload(&mut host, &["phone"]);
    assert_stays(host.answer_here(&ring, "remote-server-not-found"));
    assert!(host.after(4 * SECOND).leaving().is_empty());
}

#[test]
fn failures_and_pushes_in_flight_survive_a_reload() {
    let mut host = Host::with_devices(&["phone"]);
    for _ in 1..16 {
        let push = host.offline(&CHAT).remove(0);
        host.answer(&push, "push.example", Some(("cancel", "item-not-found")));
    }
    let push = host.offline(&CHAT).remove(0);
    let written = host.engine.last_unwritten(host.now);
    reload(&mut host, &["phone"]);
    for (user, records) in written {
        host.engine.recall(host.now, &user, records);
    }
    assert_eq!(host.next(), Some(LATE));
    let verdict = host.answer(&push, "push.example", Some(("cancel", "item-not-found")));
    assert_goes(verdict, "push.example<phone");
}

#[test]
fn an_ended_registration_leaves_no_failures_to_the_next_with_its_identifier() {
    let mut host = Host::new(Config { max_errors: 2, ..one_by_one() }, vec![registration("push.example", "phone", 1)]);
    let refused = Some(("cancel", "item-not-found"));
    for forget in [true, false] {
        let push = host.offline(&CHAT).remove(0);
        assert_stays(host.answer(&push, "push.example", refused));
        if forget {
            host.engine.forget("romeo")
        } else {
            host.engine.load("romeo", vec![], false)
        }
        host.engine.load("romeo", vec![registration("push.example", "phone", 1)], false);
    }
    let push = host.offline(&CHAT).remove(0);
    assert_stays(host.answer(&push, "push.example", refused));
}
