//! What happens to whom, on a fake clock.

mod support;

use prosody_push::config::Config;
use prosody_push::delivery::{ANSWER_TIMEOUT, ROAD_PATIENCE};
use prosody_push::engine::{Engine, Event, NotLoaded, Verdict};
use prosody_push::facts::{BODY, CALL_ENDS, Message, NO_STORE, PROPOSE, RECEIVED};
use support::{DAY, Host, SECOND, gone, nodes, one_by_one, registration};

const CHAT: Message = Message {
    word: BODY,
    from: Some("juliet@example.org/x"),
    body: None,
    name: None,
    call: None,
    more: None,
    stanza: None,
};
const CALL: Message = Message { word: PROPOSE, ..CHAT };

fn archived_as(id: &str) -> Message<'_> {
    Message { name: Some(id), ..CHAT }
}

#[test]
fn an_offline_message_wakes_every_device_once() {
    let mut host = Host::with_devices(&["phone", "tablet"]);
    assert_eq!(nodes(&host.offline(&CHAT)), ["phone", "tablet"]);
}

#[test]
fn two_pushes_never_have_the_same_id() {
    let mut host = Host::with_devices(&["phone"]);
    let mut ids: Vec<_> = (0..1000).map(|_| host.offline(&CHAT)[0].id.as_str().to_owned()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 1000);
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
fn only_the_archive_s_owner_hears_of_an_archived_message() {
    let mut host = Host::with_devices(&["phone"]);
    for stranger in
        ["juliet@example.org", "romeo@elsewhere.example", "romeo@example.org.evil", "romeo", "example.org", ""]
    {
        assert!(host.archived_for(stranger, &CHAT, &[]).expect("loaded").is_empty(), "{stranger}");
    }
    assert_eq!(host.archived_for("romeo@example.org/orchard", &CHAT, &[]).expect("loaded").len(), 1);
}

#[test]
fn nobody_hears_of_an_archived_message_that_the_user_sent() {
    let mut host = Host::with_devices(&["phone"]);
    let note = Message { from: Some("romeo@example.org/laptop"), ..CHAT };
    assert!(host.archived(&note, &[]).is_empty());
    assert_eq!(nodes(&host.archived(&Message { from: Some("romeo@elsewhere.example"), ..CHAT }, &[])), ["phone"]);
}

#[test]
fn a_message_that_comes_from_the_archive_and_as_offline_is_pushed_once() {
    let mut host = Host::with_devices(&["phone", "tablet"]);
    assert_eq!(nodes(&host.archived(&archived_as("a1"), &["push.example<phone"])), ["tablet"]);
    assert_eq!(nodes(&host.offline(&archived_as("a1"))), ["phone"]);
    assert_eq!(nodes(&host.offline(&archived_as("a1"))), [""; 0]);
    assert_eq!(nodes(&host.offline(&archived_as("a2"))), ["phone", "tablet"]);
}

#[test]
fn a_ping_wakes_all_devices_or_those_given() {
    let mut host = Host::with_devices(&["phone", "tablet"]);
    assert_eq!(nodes(&host.ping()), ["phone", "tablet"]);
    assert_eq!(nodes(&host.ping()), ["phone", "tablet"], "a ping is not a message");
    let given = vec![registration("push.example", "tablet", 0)];
    assert_eq!(nodes(&host.engine.on_ping(host.event(), Some(given), false).expect("loaded").list), ["tablet"]);
}

#[test]
fn nobody_is_pushed_before_the_store_was_read() {
    let mut host = Host::with_devices(&["phone"]);
    assert_eq!(host.engine.on_offline(Event { user: "juliet", ..host.event() }, &CHAT).map(|_| ()), Err(NotLoaded));
    host.engine.forget("romeo");
    assert_eq!(host.engine.on_ping(host.event(), None, false).map(|_| ()), Err(NotLoaded));
}

#[test]
fn only_the_newest_devices_are_woken() {
    let config = Config { max_devices: 2, ..one_by_one() };
    let devices = vec![registration("p", "b", 2), registration("p", "c", 3), registration("p", "a", 1)];
    let mut host = Host::new(config, devices);
    assert_eq!(nodes(&host.offline(&CHAT)), ["b", "c"]);
}

// Calls.

fn call<'a>(word: u32, id: &'a str, from: &'a str) -> Message<'a> {
    Message { word, from: Some(from), call: Some(id), ..CHAT }
}

#[test]
fn a_call_rings_a_device_once_whichever_ways_it_comes() {
    let mut host = Host::with_devices(&["phone", "tablet"]);
    let ring = call(PROPOSE, "c1", "juliet@example.org/x");
    assert_eq!(nodes(&host.archived(&ring, &["push.example<phone"])), ["phone", "tablet"]);
    assert!(host.queued(&[&ring]).is_empty());
    assert!(host.offline(&ring).is_empty());
    assert_eq!(host.offline(&call(PROPOSE, "c2", "juliet@example.org/x")).len(), 2);
}

#[test]
fn a_call_in_the_queue_of_one_session_rings_every_device() {
    let mut host = Host::with_devices(&["phone", "tablet"]);
    assert_eq!(host.queued(&[&call(PROPOSE, "c1", "juliet@example.org/x")]), [0, 0]);
}

#[test]
fn the_end_of_a_call_reaches_who_rang_at_once() {
    let mut host = Host::with_devices(&["phone", "tablet"]);
    host.archived(&call(PROPOSE, "c1", "juliet@example.org/x"), &[]);
    let end = call(CALL_ENDS, "c1", "juliet@example.org/x");
    assert_eq!(Engine::queue_delay(CALL_ENDS), 0);
    assert_eq!(nodes(&host.archived(&end, &["push.example<phone", "push.example<tablet"])), ["phone", "tablet"]);
    assert!(host.archived(&end, &[]).is_empty(), "once");
}

#[test]
fn a_call_that_another_client_takes_stops_ringing() {
    let mut host = Host::with_devices(&["phone"]);
    host.archived(&call(PROPOSE, "c1", "juliet@example.org/x"), &[]);
    let accept = call(CALL_ENDS, "c1", "romeo@example.org/laptop");
    assert_eq!(nodes(&host.archived(&accept, &["push.example<phone"])), ["phone"]);
}

#[test]
fn a_call_that_was_refused_elsewhere_stops_ringing() {
    let mut host = Host::with_devices(&["phone"]);
    host.archived(&call(PROPOSE, "c1", "juliet@example.org/x"), &[]);
    let reject = call(CALL_ENDS, "c1", "romeo@example.org/laptop");
    assert_eq!(host.archived_for("juliet@example.org/x", &reject, &[]).expect("loaded").len(), 1);
}

#[test]
fn the_end_of_a_call_that_never_rang_is_a_message_like_any() {
    let mut host = Host::with_devices(&["phone", "tablet"]);
    let end = call(CALL_ENDS, "c1", "juliet@example.org/x");
    assert_eq!(nodes(&host.archived(&end, &["push.example<phone"])), ["tablet"]);
}

// What never rings.

#[test]
fn one_s_own_message_is_never_important() {
    let mut host = Host::with_devices(&["phone"]);
    let own = Message { from: Some("romeo@example.org/laptop"), ..CHAT };
    let alerted = |host: &mut Host, message: &Message| {
        let event = host.event();
        host.engine.on_queued(event, "push.example<phone", Default::default(), message).expect("loaded").alerted
    };
    assert!(!alerted(&mut host, &own));
    assert!(!alerted(&mut host, &Message { word: PROPOSE, ..own }));
    assert!(alerted(&mut host, &Message { word: BODY | RECEIVED, ..own }), "a carbon of what juliet wrote");
    assert!(alerted(&mut host, &CHAT));
}

#[test]
fn what_nobody_keeps_wakes_nobody_but_for_a_call() {
    let mut host = Host::with_devices(&["phone"]);
    assert!(host.offline(&Message { word: NO_STORE, ..CHAT }).is_empty());
    assert!(host.offline(&Message { word: NO_STORE | BODY, ..CHAT }).is_empty());
    assert!(host.queued(&[&Message { word: NO_STORE, ..CHAT }]).is_empty());
    assert_eq!(host.offline(&Message { word: NO_STORE | PROPOSE, ..CHAT }).len(), 1);
    assert_eq!(host.offline(&Message { word: NO_STORE | CALL_ENDS, ..CHAT }).len(), 1);
}

// Stream management.

#[test]
fn of_what_waited_together_one_important_and_one_unimportant_stanza_are_pushed() {
    let mut host = Host::with_devices(&["phone", "tablet"]);
    let (state, chat) = (Message { word: 0, ..CHAT }, CHAT);
    assert_eq!(host.queued(&[&state, &chat, &state, &chat]), [0, 1]);
    assert_eq!(host.queued(&[&chat]), [0]);
}

#[test]
fn what_was_met_in_the_queue_is_not_pushed_again_to_that_device() {
    let mut host = Host::with_devices(&["phone", "tablet"]);
    let messages = ["a", "b", "c"].map(archived_as);
    assert_eq!(host.queued(&messages.each_ref()), [0], "late acks");
    assert!(host.queued(&messages.each_ref()).is_empty(), "then hibernation");
    for message in &messages {
        assert_eq!(nodes(&host.offline(message)), ["tablet"], "then the queue is given back");
    }
}

#[test]
fn a_call_that_was_pushed_at_once_is_not_pushed_from_the_queue() {
    let mut host = Host::with_devices(&["phone"]);
    let call = Message { name: Some("a1"), ..CALL };
    assert_eq!(nodes(&host.archived(&call, &["push.example<phone"])), ["phone"]);
    assert_eq!(host.queued(&[&call, &archived_as("a2")]), [1]);
}

#[test]
fn a_call_does_not_wait() {
    assert_eq!(Engine::queue_delay(PROPOSE), 0);
    assert_eq!(Engine::queue_delay(BODY), SECOND);
}

#[test]
fn a_session_whose_registration_went_wakes_nobody() {
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
fn a_burst_is_a_push_at_once_and_one_after_the_last_message() {
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
    assert_eq!(host.engine.timer(host.now), Some(SECOND - 20 - 499));
    assert!(host.released().is_empty());
    assert_eq!(host.after(SECOND).released(), [("phone".into(), true), ("tablet".into(), true)]);
    assert!(host.after(SECOND).released().is_empty());
}

#[test]
fn a_held_push_waits_for_the_answer_to_the_last() {
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
    assert_eq!(host.engine.timer(host.now), Some(SECOND));
    assert_eq!(host.after(SECOND).released().len(), 2);
    assert!(host.after(SECOND).offline(&CHAT).is_empty(), "behind the push that was released");
    assert_eq!(host.after(10 * SECOND).released().len(), 2);
}

#[test]
fn important_and_unimportant_pushes_do_not_wait_for_each_other() {
    let mut host = coalescing();
    assert_eq!(host.offline(&CHAT).len(), 2);
    assert_eq!(host.offline(&Message { word: 0, ..CHAT }).len(), 2);
    assert_eq!(host.ping().len(), 0, "a ping is unimportant");
}

#[test]
fn calls_and_content_never_wait() {
    let mut host = coalescing();
    assert_eq!(host.offline(&CALL).len(), 2);
    assert_eq!(host.offline(&CALL).len(), 2);
    assert_eq!(host.offline(&CHAT).len(), 2, "it may say more than the call");

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
fn nothing_waits_where_other_modules_see_the_pushes() {
    let mut host = coalescing();
    for _ in 0..3 {
        let event = Event { seen: true, ..host.event() };
        assert_eq!(host.engine.on_offline(event, &CHAT).expect("loaded").list.len(), 2);
    }
}

#[test]
fn what_is_held_for_a_client_that_comes_back_is_dropped() {
    let mut host = coalescing();
    host.offline(&CHAT);
    host.after(1).offline(&CHAT);
    host.engine.on_resumed("romeo", "push.example<phone");
    assert_eq!(host.after(ANSWER_TIMEOUT).released(), [("tablet".into(), true)]);
}

#[test]
fn what_is_held_for_a_registration_that_went_is_dropped() {
    let mut host = coalescing();
    host.offline(&CHAT);
    host.after(1).offline(&CHAT);
    host.engine.load("romeo", vec![registration("push.example", "tablet", 2)]);
    assert_eq!(host.after(ANSWER_TIMEOUT).released(), [("tablet".into(), true)]);
}

#[test]
fn what_is_held_for_a_deleted_account_is_dropped() {
    let mut host = coalescing();
    host.offline(&CHAT);
    host.after(1).offline(&CHAT);
    host.engine.forget("romeo");
    assert!(host.after(ANSWER_TIMEOUT).released().is_empty());
}

#[test]
fn nothing_that_is_held_is_lost_in_a_reload() {
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
        assert_eq!(host.answer(&push, "push.example", Some(("cancel", "item-not-found"))), Verdict::Stays);
    }
    let push = host.offline(&CHAT).remove(0);
    let verdict = host.answer(&push, "push.example", Some(("cancel", "item-not-found")));
    assert_eq!(verdict, Verdict::Goes(gone("push.example<phone")));
}

#[test]
fn a_success_clears_the_refusals() {
    let mut host = Host::with_devices(&["phone"]);
    for round in 0..3 {
        for _ in 1..16 {
            let push = host.offline(&CHAT).remove(0);
            let verdict = host.answer(&push, "push.example", Some(("auth", "forbidden")));
            assert_eq!(verdict, Verdict::Stays, "round {round}");
        }
        let push = host.offline(&CHAT).remove(0);
        assert_eq!(host.answer(&push, "push.example", None), Verdict::Stays);
    }
}

#[test]
fn enabling_again_clears_the_refusals() {
    let mut host = Host::new(Config { max_errors: 2, ..one_by_one() }, vec![registration("push.example", "phone", 1)]);
    for _ in 0..3 {
        let push = host.offline(&CHAT).remove(0);
        assert_eq!(host.answer(&push, "push.example", Some(("cancel", "gone"))), Verdict::Stays);
        host.engine.enabled(host.now, "romeo", "push.example<phone");
    }
}

#[test]
fn trouble_on_the_road_is_not_the_registration_s_fault() {
    let mut host = Host::with_devices(&["phone"]);
    for (kind, condition) in [
        ("cancel", "remote-server-not-found"),
        ("wait", "remote-server-timeout"),
        ("cancel", "remote-server-timeout"),
        ("wait", "resource-constraint"),
        ("cancel", "internal-server-error"),
        ("wait", "policy-violation"),
    ] {
        for _ in 0..50 {
            let push = host.offline(&CHAT).remove(0);
            assert_eq!(host.answer(&push, "push.example", Some((kind, condition))), Verdict::Stays, "{condition}");
        }
    }
}

#[test]
fn an_app_server_that_is_down_for_an_afternoon_costs_nothing() {
    let mut host = Host::with_devices(&["phone"]);
    for _ in 0..300 {
        let push = host.after(60 * SECOND).offline(&CHAT).remove(0);
        assert_eq!(host.answer(&push, "push.example", Some(("wait", "remote-server-timeout"))), Verdict::Stays);
    }
}

#[test]
fn a_road_that_fails_for_a_month_ends_a_registration() {
    let mut host = Host::with_devices(&["phone"]);
    let fail = |host: &mut Host| {
        let push = host.offline(&CHAT).remove(0);
        host.answer(&push, "push.example", Some(("cancel", "remote-server-not-found")))
    };
    assert_eq!(fail(&mut host), Verdict::Stays);
    assert_eq!(fail(host.after(ROAD_PATIENCE - DAY)), Verdict::Stays);
    assert_eq!(fail(host.after(DAY)), Verdict::Goes(gone("push.example<phone")));
}

#[test]
fn one_success_and_the_month_starts_afresh() {
    let mut host = Host::with_devices(&["phone"]);
    for error in [Some(("wait", "remote-server-timeout")), None, Some(("wait", "remote-server-timeout"))] {
        let push = host.after(ROAD_PATIENCE - DAY).offline(&CHAT).remove(0);
        assert_eq!(host.answer(&push, "push.example", error), Verdict::Stays);
    }
}

#[test]
fn no_answer_in_time_is_a_failure_of_the_road() {
    let mut host = Host::with_devices(&["phone"]);
    let push = host.offline(&CHAT).remove(0);
    assert_eq!(host.engine.timer(host.now), Some(ANSWER_TIMEOUT));
    assert_eq!(host.after(ANSWER_TIMEOUT - 1).timer(), []);
    assert_eq!(host.engine.timer(host.now), Some(1));
    assert_eq!(host.after(1).timer(), []);
    assert_eq!(host.engine.timer(host.now), None);
    let late = host.answer(&push, "push.example", Some(("cancel", "item-not-found")));
    assert_eq!(late, Verdict::Stranger);

    host.after(ROAD_PATIENCE).offline(&CHAT);
    assert_eq!(host.after(ANSWER_TIMEOUT).timer(), [gone("push.example<phone")]);
}

#[test]
fn only_the_app_server_s_own_answer_counts_and_only_once() {
    let mut host = Host::new(Config { max_errors: 1, ..one_by_one() }, vec![registration("push.example", "phone", 1)]);
    let push = host.offline(&CHAT).remove(0);
    let refused = Some(("cancel", "item-not-found"));
    assert_eq!(host.answer(&push, "evil.example", refused), Verdict::Stranger);
    assert_eq!(host.answer(&push, "push.example/other", refused), Verdict::Stranger);
    assert_eq!(host.engine.on_answer(host.now, push.id.as_str(), None, None), Verdict::Stranger);
    assert_eq!(host.engine.on_answer(host.now, "AAAAAAAAAAAAAAAA", Some("push.example"), None), Verdict::Stranger);
    assert_eq!(host.engine.on_answer(host.now, "", Some("push.example"), None), Verdict::Stranger);
    assert_eq!(host.answer(&push, "push.example", refused), Verdict::Goes(gone("push.example<phone")));
    assert_eq!(host.answer(&push, "push.example", refused), Verdict::Stranger);
}

#[test]
fn an_answer_from_a_jid_that_the_reference_stored_unprepared_counts() {
    let mut host = Host::new(one_by_one(), vec![registration("Push.Example", "phone", 1)]);
    let push = host.offline(&CHAT).remove(0);
    assert_eq!(host.answer(&push, "push.example", None), Verdict::Stays);
}

#[test]
fn failures_of_one_user_do_not_count_for_another_with_the_same_registration() {
    let mut host = Host::new(Config { max_errors: 2, ..one_by_one() }, vec![registration("push.example", "phone", 1)]);
    host.engine.load("juliet", vec![registration("push.example", "phone", 1)]);
    let refused = Some(("cancel", "item-not-found"));
    let push = host.offline(&CHAT).remove(0);
    assert_eq!(host.answer(&push, "push.example", refused), Verdict::Stays);
    let push = host.engine.on_offline(Event { user: "juliet", ..host.event() }, &CHAT).expect("loaded").list.remove(0);
    assert_eq!(host.answer(&push, "push.example", refused), Verdict::Stays);
}

#[test]
fn what_became_of_a_push_says_nothing_of_a_registration_made_since() {
    let mut host = Host::new(Config { max_errors: 1, ..one_by_one() }, vec![registration("push.example", "phone", 1)]);
    let refused = Some(("cancel", "item-not-found"));
    let (first, second) = (host.offline(&CHAT).remove(0), host.offline(&CHAT).remove(0));
    assert_eq!(host.answer(&first, "push.example", refused), Verdict::Goes(gone("push.example<phone")));
    host.engine.load("romeo", vec![]);
    host.after(1).engine.load("romeo", vec![registration("push.example", "phone", 1)]);
    host.engine.enabled(host.now, "romeo", "push.example<phone");
    assert_eq!(host.answer(&second, "push.example", refused), Verdict::Stays);
    let third = host.after(1).offline(&CHAT).remove(0);
    assert_eq!(host.answer(&third, "push.example", refused), Verdict::Goes(gone("push.example<phone")));
}

#[test]
fn the_answer_for_a_registration_that_was_disabled_is_nobody_s_business() {
    let mut host = Host::new(Config { max_errors: 1, ..one_by_one() }, vec![registration("push.example", "phone", 1)]);
    let push = host.offline(&CHAT).remove(0);
    host.engine.load("romeo", vec![]);
    assert_eq!(host.answer(&push, "push.example", Some(("cancel", "item-not-found"))), Verdict::Stays);
}

#[test]
fn a_push_kept_back_waits_for_no_answer() {
    let mut host = Host::with_devices(&["phone"]);
    let push = host.offline(&CHAT).remove(0);
    host.engine.withdraw(push.id.as_str());
    assert_eq!(host.engine.timer(host.now), None);
    assert_eq!(host.answer(&push, "push.example", None), Verdict::Stranger);
}

#[test]
fn failures_and_pushes_in_flight_survive_a_reload() {
    let mut host = Host::with_devices(&["phone"]);
    for _ in 1..16 {
        let push = host.offline(&CHAT).remove(0);
        host.answer(&push, "push.example", Some(("cancel", "item-not-found")));
    }
    let push = host.offline(&CHAT).remove(0);
    let saved = serde_json::to_string(&host.engine.save()).expect("the state is JSON");

    let mut host = Host::with_devices(&["phone"]);
    host.engine.restore(serde_json::from_str(&saved).expect("as it was saved"));
    assert_eq!(host.engine.timer(host.now), Some(ANSWER_TIMEOUT));
    let verdict = host.answer(&push, "push.example", Some(("cancel", "item-not-found")));
    assert_eq!(verdict, Verdict::Goes(gone("push.example<phone")));
}

#[test]
fn a_registration_that_went_leaves_no_failures_to_the_next_of_its_name() {
    let mut host = Host::new(Config { max_errors: 2, ..one_by_one() }, vec![registration("push.example", "phone", 1)]);
    let refused = Some(("cancel", "item-not-found"));
    for forget in [true, false] {
        let push = host.offline(&CHAT).remove(0);
        assert_eq!(host.answer(&push, "push.example", refused), Verdict::Stays);
        if forget {
            host.engine.forget("romeo")
        } else {
            host.engine.load("romeo", vec![])
        }
        host.engine.load("romeo", vec![registration("push.example", "phone", 1)]);
    }
    let push = host.offline(&CHAT).remove(0);
    assert_eq!(host.answer(&push, "push.example", refused), Verdict::Stays);
}
