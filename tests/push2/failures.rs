//! Failures: which pushes are repeated, for how long, and when a registration ends.

use prosody_push::context::Event;
use prosody_push::engine::{Push, Verdict};
use prosody_push::push2::Push2;
use prosody_push::push2::asked::{Match, Profile, Send};
use prosody_push::push2::notification::{Payload, Priority};
use prosody_push::rules::facts::{BODY, CALL, Message, RECEIPT, RETRACT};

use crate::reader::Reader;
use crate::support::{DAY, Host, SECOND, assert_goes, one_by_one};
use crate::{ANSWER_TIMEOUT, CHAT, PATIENCE, again, body, client, host, message, of, payloads, rule, speaking};

/// The service refuses the push.
fn refuse(host: &mut Host<Push2>, push: &Push<Push2>, kind: &str) -> Verdict {
    host.answer(push, "pusher@push.example", Some((kind, "item-not-found")))
}

/// The service answers with resource-constraint, in an error of this type.
fn fail(host: &mut Host<Push2>, push: &Push<Push2>, kind: &str) -> Verdict {
    host.answer(push, "pusher@push.example", Some((kind, "resource-constraint")))
}

#[test]
fn a_push_that_cannot_be_taken_now_is_repeated_with_growing_delays_up_to_ten_minutes() {
    let reader = Reader::new();
    let mut host = host(vec![Match { send: reader.sends(None), ..rule(Profile::All) }]);
    let stanza = || Some(message(vec![body("Romeo?")]));
    let mut push = host.offline(&Message { stanza: Some(&stanza), ..CHAT }).remove(0);
    let payload = push.payload.encrypted.clone();
    let mut delays = Vec::new();
    while delays.len() < 12 {
        assert_eq!(fail(&mut host, &push, "wait"), Verdict::Stays);
        let delay = host.next().expect("a push is owed");
        assert!(again(host.after(delay - 1)).is_empty(), "the push does not leave early");
        let mut pushes = again(host.after(1));
        assert_eq!(pushes.len(), 1);
        assert_ne!(pushes[0].id, push.id);
        push = pushes.remove(0);
        assert_eq!(push.payload.encrypted, payload, "the same payload");
        delays.push(delay / SECOND);
    }
    assert_eq!(delays, [4, 8, 16, 32, 64, 128, 256, 512, 600, 600, 600, 600]);
}

#[test]
fn a_push_service_sends_no_answers_so_that_none_is_missing_when_a_stream_ends() {
    let mut host = host(vec![rule(Profile::All)]);
    assert_eq!(host.offline(&CHAT).len(), 1);
    assert_eq!(host.engine.unanswered("push.example").count(), 0);
}

#[test]
fn the_push_for_a_call_is_repeated_for_half_a_minute_and_not_after_the_call() {
    let mut host = host(vec![rule(Profile::Important)]);
    let call = Message { word: CALL, call: Some(of("c1")), ..CHAT };
    let mut push = host.offline(&call).remove(0);
    let mut delays = Vec::new();
    while {
        fail(&mut host, &push, "wait");
        host.next().is_some()
    } {
        let delay = host.next().expect("a push is owed");
        push = again(host.after(delay)).remove(0);
        assert_eq!(push.payload.priority, Priority::High);
        delays.push(delay / SECOND);
    }
    assert_eq!(delays, [4, 8, 16]);

    for error_first in [true, false] {
        let call = Message { call: Some(of(if error_first { "c2" } else { "c3" })), ..call };
        let push = host.offline(&call).remove(0);
        if error_first {
            fail(&mut host, &push, "wait");
        }
        assert_eq!(host.archived(&Message { word: RETRACT, ..call }, &[]).len(), 1);
        if !error_first {
            fail(&mut host, &push, "wait");
        }
        assert!(again(host.after(DAY)).is_empty(), "the caller has given up");
    }
}

#[test]
fn the_push_for_the_end_of_a_call_is_marked_as_a_call_for_half_a_minute() {
    let reader = Reader::new();
    for rule in [rule(Profile::All), Match { send: reader.sends(None), ..rule(Profile::All) }] {
        let is_encrypted = rule.send != Send::NotifyOnly;
        let mut host = host(vec![rule]);
        let stanza = || Some(message(vec![body("Romeo?")]));
        let call = Message { word: CALL, call: Some(of("c1")), stanza: Some(&stanza), ..CHAT };
        assert_eq!(host.offline(&call).len(), 1);
        let mut push = host.offline(&Message { word: RETRACT, ..call }).remove(0);
        let mut repeated = Vec::new();
        while repeated.len() < 5 {
            fail(&mut host, &push, "wait");
            let delay = host.next().expect("a push is owed");
            push = again(host.after(delay)).remove(0);
            repeated.push((delay / SECOND, push.payload.priority, push.payload.encrypted.is_some()));
        }
        let marked = [4, 8, 16].map(|delay| (delay, Priority::High, is_encrypted));
        let plain = [32, 64].map(|delay| (delay, Priority::Low, false));
        assert_eq!(repeated, [&marked[..], &plain].concat());
    }
}

#[test]
fn the_push_for_the_end_of_a_call_is_not_marked_as_a_call_after_an_outage() {
    let mut host = host(vec![rule(Profile::All)]);
    let call = Message { word: CALL, call: Some(of("c1")), ..CHAT };
    assert_eq!(host.offline(&call).len(), 1);
    let end = host.offline(&Message { word: RETRACT, ..call }).remove(0);
    for user in 0..10 {
        let user = format!("user{user}");
        host.engine.load(&user, vec![client("phone", vec![rule(Profile::All)])], false);
        let pushes = host.engine.on_offline(Event { user: &user, ..host.event() }, &CHAT).expect("loaded").list;
        host.answer_here(&pushes[0], "remote-server-not-found");
        host.engine.on_resumed(host.now, &user, "phone");
    }
    assert!(host.engine.app_servers(false)[0].1.away_since.is_some());
    fail(&mut host, &end, "wait");
    assert_eq!(payloads(&again(host.after(DAY))), [&Payload::empty(Priority::Low)]);
}

#[test]
fn a_refused_push_is_not_repeated() {
    for kind in ["cancel", "modify", "auth", "continue"] {
        let mut host = host(vec![rule(Profile::All)]);
        let push = host.offline(&CHAT).remove(0);
        assert_eq!(refuse(&mut host, &push, kind), Verdict::Stays);
        assert_eq!(host.next(), None, "{kind}");
    }
}

#[test]
fn an_error_counts_only_once_and_only_from_the_service() {
    let mut host = host(vec![rule(Profile::All)]);
    let push = host.offline(&CHAT).remove(0);
    for stranger in ["push.example", "other@push.example", "pusher@push.example.evil/x"] {
        assert_eq!(host.answer(&push, stranger, Some(("wait", "x"))), Verdict::Stranger, "{stranger}");
    }
    assert_eq!(fail(&mut host, &push, "wait"), Verdict::Stays);
    assert_eq!(fail(&mut host, &push, "wait"), Verdict::Stranger);
    assert_eq!(again(host.after(4 * SECOND)).len(), 1);
}

#[test]
fn a_service_that_is_an_account_may_answer_from_any_of_its_resources() {
    let mut host = host(vec![rule(Profile::All)]);
    let push = host.offline(&CHAT).remove(0);
    assert_eq!(host.answer(&push, "pusher@push.example/gateway", Some(("wait", "x"))), Verdict::Stays);
    assert_eq!(again(host.after(4 * SECOND)).len(), 1);
}

#[test]
fn a_failed_push_is_not_repeated_after_the_client_is_back_or_enables_again() {
    let put_off = || {
        let mut host = host(vec![rule(Profile::All)]);
        let push = host.offline(&CHAT).remove(0);
        fail(&mut host, &push, "wait");
        host
    };
    let mut host = put_off();
    host.engine.on_resumed(host.now, "romeo", "phone");
    assert!(again(host.after(DAY)).is_empty(), "back");
    let mut host = put_off();
    let now = host.now;
    host.engine.enabled(now, "romeo", "phone");
    assert!(again(host.after(DAY)).is_empty(), "enabled again");
    let mut host = put_off();
    host.engine.forget("romeo");
    assert!(again(host.after(DAY)).is_empty(), "deleted");
    let mut host = put_off();
    host.engine.load("romeo", vec![], false);
    assert!(again(host.after(DAY)).is_empty(), "disabled");
    assert_eq!(again(put_off().after(DAY)).len(), 1, "otherwise the push is repeated");
}

#[test]
fn a_device_is_owed_one_push_of_each_kind_for_any_number_of_failures() {
    let devices = (0..5).map(|i| client(&i.to_string(), vec![rule(Profile::All)])).collect();
    let mut host = speaking(one_by_one(), devices);
    let mut pushes = Vec::new();
    for word in [BODY, RECEIPT] {
        for _ in 0..50 {
            pushes.extend(host.offline(&Message { word, ..CHAT }));
        }
    }
    // Nine failures, so that the service is not away.
    for push in &pushes[..9] {
        fail(&mut host, push, "wait");
    }
    assert_eq!(again(host.after(4 * SECOND)).len(), 5);
    let important = |push: &Push<Push2>| push.payload.priority == Priority::Normal;
    let mut host = speaking(one_by_one(), vec![client("phone", vec![rule(Profile::All)])]);
    let pushes: Vec<_> =
        [BODY, RECEIPT, BODY].into_iter().flat_map(|word| host.offline(&Message { word, ..CHAT })).collect();
    for push in &pushes {
        fail(&mut host, push, "wait");
    }
    let again = again(host.after(4 * SECOND));
    assert_eq!((again.len(), again.iter().filter(|push| important(push)).count()), (2, 1));
}

#[test]
fn failures_on_several_days_without_a_break_end_the_registration() {
    let mut host = host(vec![rule(Profile::All)]);
    let fails = |host: &mut Host<Push2>, kind| {
        let push = host.offline(&CHAT).remove(0);
        let verdict = fail(host, &push, kind);
        host.engine.on_resumed(host.now, "romeo", "phone");
        verdict
    };
    for _ in 0..100 {
        assert_eq!(fails(&mut host, "cancel"), Verdict::Stays, "any number of failures on one day");
    }
    assert_eq!(fails(host.after(PATIENCE), "cancel"), Verdict::Stays, "two failures with no push between them");
    assert_eq!(fails(host.after(DAY), "cancel"), Verdict::Stays);
    assert_eq!(fails(host.after(DAY - 1), "wait"), Verdict::Stays);
    assert_goes(fails(host.after(1), "wait"), "phone");
}

#[test]
fn a_push_without_an_error_is_a_break() {
    let mut host = host(vec![rule(Profile::All)]);
    for _ in 0..2 {
        for _ in 0..PATIENCE / DAY {
            let push = host.after(DAY).offline(&CHAT).remove(0);
            assert_eq!(fail(&mut host, &push, "cancel"), Verdict::Stays);
        }
        host.offline(&CHAT);
        assert!(host.after(ANSWER_TIMEOUT).timer().is_empty(), "silence is no failure");
    }
}

#[test]
fn the_number_of_pushes_in_flight_is_bounded() {
    let mut host = host(vec![rule(Profile::All)]);
    let first = host.offline(&CHAT).remove(0);
    let second = host.offline(&CHAT).remove(0);
    for _ in 0..49_999 {
        host.offline(&CHAT);
    }
    assert_eq!(fail(&mut host, &first, "cancel"), Verdict::Stranger);
    assert_eq!(fail(&mut host, &second, "cancel"), Verdict::Stays);
    assert_eq!(fail(&mut host, &second, "cancel"), Verdict::Stranger, "its error has come already");
}

#[test]
fn the_pushes_of_a_deleted_account_are_forgotten() {
    let mut host = host(vec![rule(Profile::All)]);
    let push = host.offline(&CHAT).remove(0);
    host.engine.forget("romeo");
    assert_eq!(fail(&mut host, &push, "wait"), Verdict::Stranger);
    assert!(again(host.after(DAY)).is_empty());
}

#[test]
fn the_decisions_for_a_user_can_be_listed() {
    let mut host = host(vec![rule(Profile::Important)]);
    let push = host.offline(&CHAT).remove(0);
    refuse(&mut host, &push, "cancel");
    host.offline(&CHAT);
    host.after(ANSWER_TIMEOUT).timer();
    host.offline(&Message { word: 0, ..CHAT });
    let decisions: Vec<_> = host.engine.decisions("romeo").map(|decision| decision.text(false)).collect();
    assert_eq!(
        decisions,
        [
            "stanza without a text (no client took it): not sent: it is not important",
            "message (no client took it): sent, and no error came back",
            "message (no client took it): sent, item-not-found after 0 ms",
        ]
    );
    assert!(host.engine.take_times() == [0], "a push without an answer has no answer time");
}

#[test]
fn failures_survive_a_reload() {
    let mut old = host(vec![rule(Profile::All)]);
    for _ in 0..PATIENCE / DAY {
        let push = old.after(DAY).offline(&CHAT).remove(0);
        fail(&mut old, &push, "cancel");
    }
    let under_way = old.offline(&CHAT).remove(0);
    let mut new = host(vec![rule(Profile::All)]);
    new.now = old.now;
    let written = old.engine.last_unwritten(old.now);
    new.engine.restore(old.engine.save());
    for (user, records) in written {
        new.engine.recall(new.now, &user, records);
    }
    assert_goes(fail(new.after(DAY), &under_way, "cancel"), "phone");
}
