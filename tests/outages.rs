//! Outages, on a fake clock: a failed push is owed, and app servers go away and come back.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use proptest::collection::vec;
use proptest::prelude::*;
use prosody_push::config::Config;
use prosody_push::context::Event;
use prosody_push::delivery::LATE;
use prosody_push::engine::durable::{Record, Records};
use prosody_push::engine::{Done, Engine, Push, Verdict};
use prosody_push::protocol::Protocol;
use prosody_push::push2::Push2;
use prosody_push::push2::asked::{Asked, Match, Profile, Send};
use prosody_push::push2::notification::Priority;
use prosody_push::registration::Registration;
use prosody_push::registration::holders::Holders;
use prosody_push::rules::facts::{self, BODY, Call, Message, RECEIPT, RETRACT};
use prosody_push::rules::importance::Kind;
use prosody_push::stanza_error::StanzaError;
use prosody_push::time::Millis;
use prosody_push::xep0357::Xep0357;
use support::{CHAT, DAY, HOST, HOUR, Host, SECOND, assert_goes, assert_stays, is_stranger, not_random, one_by_one};

const ANSWER_TIMEOUT: Millis = Xep0357::POLICY.answer_timeout;
const ERROR_TIMEOUT: Millis = Push2::POLICY.answer_timeout;
const JID: &str = "push.example";
/// A silent message: it shows nothing, but the client has to learn of it.
const SILENT: Message = Message { word: RECEIPT, ..CHAT };
const MINUTE: Millis = 60 * SECOND;
const YEAR: i64 = 365 * DAY as i64;

/// A protocol, with the functions that only these tests need.
trait Tested: Protocol {
    fn device(jid: &str, device: &str) -> Registration<Self::Asked>;
    /// The identifier of a device at [`JID`].
    fn identifier(device: &str) -> String;
    fn name_of(push: &Push<Self>) -> &str;
    /// Whether the push is marked as a call; always true for a protocol without such a mark.
    fn is_urgent(push: &Push<Self>) -> bool;
}

impl Tested for Xep0357 {
    fn device(jid: &str, device: &str) -> Registration<Self::Asked> {
        support::registration(jid, device, 1)
    }

    fn identifier(device: &str) -> String {
        format!("{JID}<{device}")
    }

    fn name_of(push: &Push<Self>) -> &str {
        push.registration.node().expect("a node")
    }

    fn is_urgent(_: &Push<Self>) -> bool {
        true
    }
}

impl Tested for Push2 {
    fn device(jid: &str, device: &str) -> Registration<Self::Asked> {
        let all = Match { profile: Profile::All, grace: None, chats: [].into(), send: Send::NotifyOnly };
        let asked = Asked { client: "https://push.example/abc".into(), matches: [all].into() };
        Registration::new(device, jid, asked, 1)
    }

    fn identifier(device: &str) -> String {
        device.into()
    }

    fn name_of(push: &Push<Self>) -> &str {
        &push.registration.identifier
    }

    fn is_urgent(push: &Push<Self>) -> bool {
        push.payload.priority == Priority::High
    }
}

/// Runs a test with each protocol.
macro_rules! with_each_protocol {
    ($($test:ident),* $(,)?) => {
        $(mod $test {
            #[test]
            fn xep0357() {
                super::$test::<super::Xep0357>();
            }

            #[test]
            fn push2() {
                super::$test::<super::Push2>();
            }
        })*
    };
}

fn phone<P: Tested>() -> Host<P> {
    Host::speaking(one_by_one(), vec![P::device(JID, "phone")])
}

fn keyed(key: &str) -> Message<'_> {
    Message { dedup_key: Some(key), ..CHAT }
}

/// A transport failure: this server cannot reach the app server.
#[track_caller]
fn fails<P: Tested>(host: &mut Host<P>, push: &Push<P>) {
    assert_stays(host.answer_here(push, "remote-server-not-found"));
}

/// The app server says that it cannot take the push now.
#[track_caller]
fn is_put_off<P: Tested>(host: &mut Host<P>, push: &Push<P>) {
    assert_stays(host.answer(push, push.registration.jid(), Some(("wait", "resource-constraint"))));
}

/// The app server accepts the push. With Push 2.0 it sends no answer.
#[track_caller]
fn is_taken<P: Tested>(host: &mut Host<P>, push: &Push<P>) {
    if P::POLICY.answers {
        assert_stays(host.answer(push, push.registration.jid(), None));
    }
}

/// Returns the pushes that leave within `time` milliseconds, each with the time when it leaves.
fn leave_within<P: Tested>(
    host: &mut Host<P>,
    time: Millis,
    mut each: impl FnMut(&mut Host<P>, &Push<P>),
) -> Vec<(Millis, Push<P>)> {
    let end = host.now.mono + time;
    let mut left = Vec::new();
    while let Some(delay) = host.next().filter(|delay| host.now.mono + delay <= end) {
        host.after(delay);
        assert!(host.timer().is_empty(), "no registration ends");
        for push in host.leaving() {
            each(host, &push);
            left.push((host.now.mono, push));
        }
    }
    let rest = end - host.now.mono;
    host.after(rest);
    left
}

/// Lets pushes to ten devices of other users fail, so that the app server is away.
fn goes_away<P: Tested>(host: &mut Host<P>) {
    for i in 0..10 {
        let user = format!("other{i}");
        host.engine.load(&user, vec![P::device(JID, "other")], false);
        let event = Event { user: &user, ..host.event() };
        let push = host.engine.on_offline(event, &SILENT).expect("loaded").list.remove(0);
        fails(host, &push);
        host.engine.on_resumed(host.now, &user, &P::identifier("other"));
    }
    assert!(host.engine.app_servers(false)[0].1.away_since.is_some());
}

fn owed<P: Tested>(host: &Host<P>) -> usize {
    host.engine.app_servers(false).iter().map(|(_, _, owed)| owed).sum()
}

with_each_protocol! {
    the_timer_looks_at_the_oldest_push_and_not_through_all,
    a_failed_push_is_repeated_until_the_app_server_accepts_it,
    a_device_is_owed_at_most_one_push_of_each_kind,
    nothing_is_owed_after_the_client_is_back_or_its_registration_has_ended,
    a_push_that_fails_after_its_client_is_back_is_not_owed,
    a_push_that_fails_is_owed_if_its_client_has_gone_again_without_the_message,
    a_message_may_be_pushed_again_only_if_its_push_failed,
    a_refused_push_is_not_repeated,
    any_error_made_by_this_server_is_a_transport_failure,
    an_accepted_push_does_not_settle_the_push_owed_for_a_later_message,
    the_push_for_a_call_is_repeated_for_half_a_minute,
    the_push_for_a_call_that_is_over_is_not_repeated,
    no_push_for_a_call_is_owed_while_the_app_server_is_away,
    after_ten_failures_in_a_row_pushes_are_owed_and_not_sent,
    failures_of_a_single_device_are_no_outage,
    few_pushes_are_tried_during_an_outage_and_all_are_sent_after_it,
    after_an_outage_important_pushes_leave_first_and_each_device_gets_one,
    in_an_outage_one_push_at_a_time_is_tried_on_schedule,
    one_unreachable_device_does_not_hold_up_the_others,
    pushes_to_many_app_servers_strand_none_that_waits_for_another,
    pushes_owed_at_more_app_servers_than_are_remembered_leave,
    a_step_of_the_wall_clock_neither_delays_a_push_nor_sends_it_early,
    a_step_of_the_wall_clock_ends_no_registration,
    failures_on_many_days_end_a_registration_and_two_far_apart_do_not,
    owed_pushes_survive_a_restart,
    a_repeated_push_in_flight_when_the_server_stops_is_still_owed,
    nothing_is_recalled_for_an_ended_registration_or_a_disabled_account,
    a_reload_keeps_the_deduplication_keys_and_the_pushes_in_flight,
    a_push_that_fails_after_a_reload_is_sent_again_as_its_client_asked,
    a_push_in_flight_during_a_reload_does_not_settle_a_greater_one_that_is_owed,
}

// One device.

fn a_failed_push_is_repeated_until_the_app_server_accepts_it<P: Tested>() {
    let mut host = phone::<P>();
    let mut push = host.offline(&CHAT).remove(0);
    let mut delays = Vec::new();
    for _ in 0..11 {
        is_put_off(&mut host, &push);
        let delay = host.next().expect("a push is owed");
        assert!(host.after(delay - 1).leaving().is_empty(), "the push does not leave early");
        let mut pushes = host.after(1).leaving();
        assert_eq!(pushes.len(), 1);
        push = pushes.remove(0);
        delays.push(delay / SECOND);
    }
    assert_eq!(delays, [4, 8, 16, 32, 64, 128, 256, 512, 600, 600, 600]);
    is_taken(&mut host, &push);
    assert!(leave_within(&mut host, DAY, |_, _| ()).is_empty());
    assert_eq!((host.next(), owed(&host)), (None, 0));
}

fn a_device_is_owed_at_most_one_push_of_each_kind<P: Tested>() {
    let mut host = phone::<P>();
    for message in [&CHAT, &SILENT, &CHAT, &SILENT] {
        let push = host.offline(message).remove(0);
        is_put_off(&mut host, &push);
    }
    let left = leave_within(&mut host, HOUR, is_taken);
    assert_eq!((left.len(), owed(&host)), (2, 0));
}

type Change<P> = fn(&mut Host<P>);

fn nothing_is_owed_after_the_client_is_back_or_its_registration_has_ended<P: Tested>() {
    let changes: [(&str, Change<P>); 5] = [
        ("resumed", |host| host.engine.on_resumed(host.now, "romeo", &P::identifier("phone"))),
        ("enabled", |host| host.engine.enabled(host.now, "romeo", &P::identifier("phone"))),
        ("ended", |host| host.engine.load("romeo", Vec::new(), false)),
        ("disabled", |host| host.engine.load("romeo", vec![P::device(JID, "phone")], true)),
        ("deleted", |host| host.engine.forget("romeo")),
    ];
    for is_away in [false, true] {
        for (name, change) in &changes {
            let mut host = phone::<P>();
            if is_away {
                goes_away(&mut host);
                assert!(host.offline(&CHAT).is_empty());
            } else {
                let push = host.offline(&CHAT).remove(0);
                is_put_off(&mut host, &push);
            }
            assert_eq!(owed(&host), 1);
            change(&mut host);
            assert_eq!(owed(&host), 0, "{name}");
            assert!(host.after(DAY).leaving().is_empty(), "{name}");
            let records: BTreeMap<_, Records> = host.engine.unwritten(usize::MAX).into_iter().collect();
            let is_owed = |records: &Records| records.values().any(|record| record.owed.is_some());
            assert!(!records.get("romeo").is_some_and(is_owed), "{name}");
        }
    }
}

#[test]
fn a_failed_push_is_not_owed_to_a_registration_renewed_since() {
    let mut host = phone::<Xep0357>();
    let push = host.offline(&CHAT).remove(0);
    host.after(1);
    host.engine.enabled(host.now, "romeo", "push.example<phone");
    fails(&mut host, &push);
    assert_eq!(owed(&host), 0, "the client has renewed the registration since");
}

fn a_push_that_fails_after_its_client_is_back_is_not_owed<P: Tested>() {
    let mut host = phone::<P>();
    let mut push = host.offline(&CHAT).remove(0);
    for is_repeated in [false, true] {
        if is_repeated {
            push = host.offline(&CHAT).remove(0);
            fails(&mut host, &push);
            push = host.after(4 * SECOND).leaving().remove(0);
        }
        host.after(SECOND);
        host.engine.on_resumed(host.now, "romeo", &P::identifier("phone"));
        fails(host.after(SECOND), &push);
        assert_eq!(owed(&host), 0, "{is_repeated}");
        assert!(leave_within(&mut host, DAY, |_, _| ()).is_empty());
        push = host.offline(&CHAT).remove(0);
        fails(&mut host, &push);
        assert_eq!(owed(&host), 1, "the message came after the client had gone again");
        assert_eq!(leave_within(&mut host, 20 * MINUTE, is_taken).len(), 1);
    }
}

fn a_push_that_fails_is_owed_if_its_client_has_gone_again_without_the_message<P: Tested>() {
    let mut host = phone::<P>();
    let push = host.offline(&keyed("a1")).remove(0);
    host.after(SECOND);
    host.engine.on_resumed(host.now, "romeo", &P::identifier("phone"));
    assert!(host.after(SECOND).offline(&keyed("a1")).is_empty(), "in flight");
    fails(host.after(SECOND), &push);
    assert_eq!((owed(&host), host.after(4 * SECOND).leaving().len()), (1, 1));
}

#[test]
fn a_push_that_fails_after_a_later_one_was_accepted_is_not_owed() {
    let ring = call(facts::CALL, "c1");
    for (first, second, is_owed) in [
        (&CHAT, &CHAT, false),
        (&SILENT, &CHAT, false),
        (&CHAT, &ring, false),
        (&CHAT, &SILENT, true),
        (&ring, &CHAT, true),
    ] {
        let mut host = phone::<Xep0357>();
        let early = host.offline(first).remove(0);
        let late = host.after(2 * SECOND).offline(second).remove(0);
        is_taken(host.after(SECOND), &late);
        fails(host.after(SECOND), &early);
        let left = leave_within(&mut host, HOUR, is_taken);
        assert_eq!(left.len(), usize::from(is_owed), "{} {}", first.word, second.word);
    }
}

#[test]
fn a_refusal_counts_though_the_client_is_back() {
    let config = Config { max_errors: 1, ..one_by_one() };
    let mut host = Host::<Xep0357>::speaking(config, vec![Xep0357::device(JID, "phone")]);
    let push = host.offline(&CHAT).remove(0);
    host.after(SECOND);
    host.engine.on_resumed(host.now, "romeo", "push.example<phone");
    assert_goes(host.answer(&push, JID, Some(("cancel", "item-not-found"))), "push.example<phone");
}

fn a_message_may_be_pushed_again_only_if_its_push_failed<P: Tested>() {
    let mut host = phone::<P>();
    let push = host.archived(&keyed("a1"), &[]).remove(0);
    assert!(host.offline(&keyed("a1")).is_empty(), "in flight");
    fails(&mut host, &push);
    let again = host.after(1).offline(&keyed("a1")).remove(0);
    assert!(host.archived(&keyed("a1"), &[]).is_empty(), "in flight");
    is_taken(&mut host, &again);
    assert!(host.offline(&keyed("a1")).is_empty(), "the push was accepted");
    let left = leave_within(&mut host, HOUR, is_taken).len();
    // With Push 2.0 no answer confirms that the second push was accepted.
    assert_eq!(left, usize::from(!P::POLICY.answers));
}

#[test]
fn queued_messages_may_be_pushed_again_if_their_common_push_failed() {
    let mut host = phone::<Xep0357>();
    let identifier = "push.example<phone";
    let first = host.engine.on_queued(host.event(), identifier, Done::default(), &keyed("a1"), Holders::default());
    let first = first.expect("loaded");
    let second = host.engine.on_queued(host.event(), identifier, first.done, &keyed("a2"), Holders::default());
    assert!(second.expect("loaded").pushes.list.is_empty());
    fails(&mut host, &first.pushes.list[0]);
    assert_eq!(host.offline(&keyed("a2")).len(), 1);
}

#[test]
fn messages_of_a_burst_may_be_pushed_again_if_their_push_failed() {
    let mut host = Host::new(Config::default(), vec![Xep0357::device(JID, "phone")]);
    let first = host.offline(&keyed("a1")).remove(0);
    assert!(host.offline(&keyed("a2")).is_empty() && host.offline(&keyed("a3")).is_empty());
    is_taken(&mut host, &first);
    let second = host.after(SECOND).leaving().remove(0);
    fails(&mut host, &second);
    host.after(2 * SECOND);
    let third = host.offline(&keyed("a2")).remove(0);
    is_taken(&mut host, &third);
    assert!(host.after(2 * SECOND).offline(&keyed("a1")).is_empty(), "the push for a1 was accepted");
    assert_eq!(host.offline(&keyed("a3")).len(), 1);
}

fn a_refused_push_is_not_repeated<P: Tested>() {
    for (kind, condition) in [("cancel", "item-not-found"), ("auth", "forbidden"), ("modify", "bad-request")] {
        let mut host = phone::<P>();
        let push = host.offline(&keyed("a1")).remove(0);
        assert_stays(host.answer(&push, JID, Some((kind, condition))));
        assert!(host.offline(&keyed("a1")).is_empty(), "another event does not push the message either");
        assert!(host.after(DAY).leaving().is_empty());
        assert_eq!((host.next(), owed(&host)), (None, 0));
    }
}

fn any_error_made_by_this_server_is_a_transport_failure<P: Tested>() {
    let mut host = phone::<P>();
    let push = host.offline(&CHAT).remove(0);
    assert_stays(host.answer_here(&push, "forbidden"));
    assert_eq!(owed(&host), 1);
}

fn an_accepted_push_does_not_settle_the_push_owed_for_a_later_message<P: Tested>() {
    let mut host = phone::<P>();
    let early = host.offline(&keyed("a1")).remove(0);
    let time = if P::POLICY.answers { 100 * SECOND } else { ERROR_TIMEOUT - 2 * SECOND };
    let late = host.after(time).offline(&keyed("a2")).remove(0);
    fails(&mut host, &late);
    host.after(2 * SECOND);
    is_taken(&mut host, &early);
    assert!(host.timer().is_empty(), "no registration ends");
    assert_eq!((owed(&host), host.after(2 * SECOND).leaving().len()), (1, 1));
}

// Calls.

fn call(word: u64, id: &str) -> Message<'_> {
    Message { word, call: Some(Call { peer: Some("juliet@example.org"), id }), ..CHAT }
}

fn the_push_for_a_call_is_repeated_for_half_a_minute<P: Tested>() {
    let mut host = phone::<P>();
    let start = host.now.mono;
    let push = host.offline(&call(facts::CALL, "c1")).remove(0);
    fails(&mut host, &push);
    let left = leave_within(&mut host, DAY, fails);
    let times: Vec<_> = left.iter().map(|(at, _)| (at - start) / SECOND).collect();
    assert_eq!(times, [4, 12, 28]);
    assert!(left.iter().all(|(_, push)| P::is_urgent(push)));
}

#[test]
fn a_push_for_a_call_without_an_answer_in_time_is_not_repeated() {
    let mut host = phone::<Xep0357>();
    host.offline(&call(facts::CALL, "c1"));
    assert!(host.after(ANSWER_TIMEOUT).timer().is_empty());
    assert!(leave_within(&mut host, HOUR, fails).is_empty());
}

fn the_push_for_a_call_that_is_over_is_not_repeated<P: Tested>() {
    for fails_first in [true, false] {
        let mut host = phone::<P>();
        let ring = host.offline(&call(facts::CALL, "c1")).remove(0);
        if fails_first {
            fails(&mut host, &ring);
        }
        let end = host.archived(&call(RETRACT, "c1"), &[]).remove(0);
        is_taken(&mut host, &end);
        if !fails_first {
            fails(&mut host, &ring);
        }
        assert!(leave_within(&mut host, DAY, fails).is_empty());
    }
}

fn no_push_for_a_call_is_owed_while_the_app_server_is_away<P: Tested>() {
    let mut host = phone::<P>();
    goes_away(&mut host);
    assert!(host.offline(&call(facts::CALL, "c1")).is_empty());
    assert_eq!(owed(&host), 0);
    assert!(leave_within(&mut host, HOUR, fails).is_empty());
}

// App servers.

/// A host with this many users, each with one device.
fn crowd<P: Tested>(users: usize) -> Host<P> {
    let mut host = Host::<P>::speaking(one_by_one(), Vec::new());
    for user in 0..users {
        host.engine.load(&format!("user{user}"), vec![P::device(JID, "phone")], false);
    }
    host
}

fn message_for<P: Tested>(host: &mut Host<P>, user: usize, message: &Message) -> Vec<Push<P>> {
    let user = format!("user{user}");
    host.engine.on_offline(Event { user: &user, ..host.event() }, message).expect("loaded").list
}

fn after_ten_failures_in_a_row_pushes_are_owed_and_not_sent<P: Tested>() {
    let mut host = crowd::<P>(30);
    let mut pushes: Vec<_> = (0..10).flat_map(|user| message_for(&mut host, user, &CHAT)).collect();
    for push in pushes.drain(..9) {
        fails(&mut host, &push);
    }
    assert_eq!(message_for(&mut host, 10, &CHAT).len(), 1, "nine failures are not enough");
    fails(&mut host, &pushes[0]);
    for user in 11..30 {
        assert!(message_for(&mut host, user, &CHAT).is_empty(), "{user}");
    }
    assert_eq!(owed(&host), 29);
}

fn failures_of_a_single_device_are_no_outage<P: Tested>() {
    let mut host = crowd::<P>(2);
    for _ in 0..50 {
        let push = message_for(&mut host, 0, &CHAT).remove(0);
        is_put_off(host.after(MINUTE), &push);
    }
    assert_eq!(message_for(&mut host, 1, &CHAT).len(), 1);
}

fn few_pushes_are_tried_during_an_outage_and_all_are_sent_after_it<P: Tested>() {
    const USERS: usize = 2000;
    let mut host = crowd::<P>(USERS);
    // Before the outage, the app server accepts every push.
    for user in 0..USERS {
        for push in message_for(&mut host, user, &SILENT) {
            is_taken(&mut host, &push);
        }
    }
    let start = host.after(MINUTE).now.mono;
    let (mut tried, mut last_try) = (0, 0);
    for minute in 0..600 {
        for user in (0..USERS).filter(|user| user % 600 == minute || minute == 0) {
            // Every third user gets an important message.
            for push in message_for(&mut host, user, if user % 3 == 0 { &CHAT } else { &SILENT }) {
                tried += 1;
                fails(&mut host, &push);
            }
        }
        let left = leave_within(&mut host, MINUTE, fails);
        assert!(left.len() <= 4 + tried, "{} in a minute", left.len());
        for (at, _) in left {
            assert!(at - start < 20 * SECOND || at > last_try, "pushes are tried one at a time");
            last_try = at;
            tried += 1;
        }
    }
    assert!(tried < 100, "{tried} pushes");
    assert_eq!(owed(&host), USERS);

    // The app server accepts the next push that is tried.
    let left = leave_within(&mut host, 20 * MINUTE, is_taken);
    let devices: BTreeSet<_> = left.iter().map(|(_, push)| push.id.to_string()).collect();
    assert_eq!((left.len(), devices.len(), owed(&host)), (USERS, USERS, 0), "each user gets one push");
    let drained = &left[1..];
    for (at, _) in drained {
        let in_a_second = drained.iter().filter(|(other, _)| (*at..at + SECOND).contains(other)).count();
        assert!(in_a_second <= 50, "{in_a_second} in a second");
    }
    assert!(drained[USERS - 2].0 - drained[0].0 <= 40 * SECOND);
}

fn after_an_outage_important_pushes_leave_first_and_each_device_gets_one<P: Tested>() {
    let mut host = crowd::<P>(200);
    goes_away(&mut host);
    for user in 0..200 {
        assert!(message_for(&mut host, user, if user % 2 == 0 { &SILENT } else { &CHAT }).is_empty());
    }
    let mut left = Vec::new();
    let end = host.now.mono + 10 * MINUTE;
    while let Some(delay) = host.next().filter(|delay| host.now.mono + delay <= end) {
        host.after(delay);
        host.timer();
        for held in host.engine.release(host.now) {
            is_taken(&mut host, &held.push);
            left.push(held.important);
        }
    }
    assert_eq!(left.len(), 200);
    assert!(left[..100].iter().all(|important| *important));
    assert!(!left[100..].iter().any(|important| *important));
}

fn in_an_outage_one_push_at_a_time_is_tried_on_schedule<P: Tested>() {
    let mut host = crowd::<P>(20);
    goes_away(&mut host);
    let start = host.now.mono;
    for user in 0..20 {
        assert!(message_for(&mut host, user, &CHAT).is_empty());
    }
    let left = leave_within(&mut host, 40 * MINUTE, fails);
    let times: Vec<_> = left.iter().map(|(at, _)| (at - start) / SECOND).collect();
    assert_eq!(times, [4, 12, 28, 60, 124, 252, 508, 1020, 1620, 2220]);
    assert_eq!(owed(&host), 20);
}

#[test]
fn while_one_push_is_tried_no_other_push_leaves() {
    let mut host = crowd::<Xep0357>(20);
    goes_away(&mut host);
    host.after(4 * SECOND);
    assert_eq!(message_for(&mut host, 0, &CHAT).len(), 1, "the first push is tried");
    for user in 1..20 {
        assert!(message_for(host.after(SECOND), user, &CHAT).is_empty());
        assert!(host.leaving().is_empty());
    }
}

fn one_unreachable_device_does_not_hold_up_the_others<P: Tested>() {
    let mut host = crowd::<P>(20);
    goes_away(&mut host);
    for user in 0..20 {
        assert!(message_for(&mut host, user, if user == 0 { &CHAT } else { &SILENT }).is_empty());
    }
    let mut is_first = None;
    leave_within(&mut host, HOUR, |host, push| {
        let first = is_first.get_or_insert_with(|| push.registration.clone());
        if Rc::ptr_eq(first, &push.registration) { is_put_off(host, push) } else { is_taken(host, push) }
    });
    assert_eq!(owed(&host), 1);
}

/// More app servers than are remembered.
const MANY: usize = 1500;

/// Loads a user with one device at an app server of its own.
fn load_far<P: Tested>(host: &mut Host<P>, i: usize) -> String {
    let user = format!("far{i}");
    host.engine.load(&user, vec![P::device(&format!("push{i}.example"), "phone")], false);
    user
}

fn pushes_to_many_app_servers_strand_none_that_waits_for_another<P: Tested>() {
    let mut host = crowd::<P>(20);
    goes_away(&mut host);
    for user in 0..20 {
        assert!(message_for(&mut host, user, &CHAT).is_empty());
    }
    for i in 0..MANY {
        let user = load_far(&mut host, i);
        let push = host.engine.on_offline(Event { user: &user, ..host.event() }, &CHAT).expect("loaded").list.remove(0);
        fails(&mut host, &push);
        host.engine.on_resumed(host.now, &user, &push.registration.identifier);
    }
    assert_eq!(owed(&host), 20);
    assert!(message_for(host.after(SECOND), 0, &CHAT).is_empty(), "it is known to be away");
    let left = leave_within(&mut host, 20 * MINUTE, is_taken);
    assert_eq!((left.len(), owed(&host)), (20, 0));
}

fn pushes_owed_at_more_app_servers_than_are_remembered_leave<P: Tested>() {
    let mut host = crowd::<P>(0);
    for i in 0..MANY {
        let user = load_far(&mut host, i);
        let identifier = P::device(&format!("push{i}.example"), "phone").identifier;
        let record = Record { owed: Some(Kind::Important), ..Record::default() };
        host.engine.recall(host.now, &user, [(identifier, record)].into());
    }
    assert_eq!(owed(&host), MANY);
    let left = leave_within(&mut host, 20 * MINUTE, is_taken);
    assert_eq!((left.len(), owed(&host)), (MANY, 0));
}

#[test]
fn an_app_server_that_does_not_answer_is_away_after_twenty_seconds() {
    let mut host = crowd::<Xep0357>(20);
    for user in 0..10 {
        assert_eq!(message_for(&mut host, user, &CHAT).len(), 1);
    }
    assert_eq!(message_for(host.after(20 * SECOND - 1), 10, &CHAT).len(), 1);
    assert!(message_for(host.after(1), 11, &CHAT).is_empty());
    assert_eq!(owed(&host), 1);

    let mut host = crowd::<Push2>(20);
    for user in 0..10 {
        assert_eq!(message_for(&mut host, user, &CHAT).len(), 1);
    }
    assert_eq!(message_for(host.after(MINUTE), 10, &CHAT).len(), 1, "a Push 2.0 service never confirms a push");
}

#[test]
fn an_app_server_that_answers_now_and_then_is_not_away() {
    let mut host = crowd::<Xep0357>(1);
    for i in 0..200 {
        let push = message_for(host.after(SECOND), 0, &CHAT).remove(0);
        if i % 9 == 0 {
            is_taken(&mut host, &push);
        }
    }
}

#[test]
fn failures_of_pushes_sent_before_an_outage_do_not_move_the_schedule() {
    let mut host = crowd::<Xep0357>(60);
    let before: Vec<_> = (0..40).flat_map(|user| message_for(&mut host, user, &CHAT)).collect();
    goes_away(host.after(SECOND));
    let start = host.now.mono;
    assert!(message_for(&mut host, 50, &CHAT).is_empty());
    for push in &before[..20] {
        fails(&mut host, push);
    }
    let probe = leave_within(&mut host, 4 * SECOND, |_, _| ());
    assert_eq!(probe.iter().map(|(at, _)| at - start).collect::<Vec<_>>(), [4 * SECOND]);
    for push in &before[20..] {
        fails(host.after(100), push);
    }
    assert!(host.leaving().is_empty(), "the push that was tried is still in flight");
    let now = host.now.mono;
    fails(&mut host, &probe[0].1);
    let next = leave_within(&mut host, 8 * SECOND, |_, _| ());
    assert_eq!(next.iter().map(|(at, _)| at - now).collect::<Vec<_>>(), [8 * SECOND]);
}

#[test]
fn missing_errors_for_pushes_sent_before_an_outage_do_not_end_it() {
    let mut host = crowd::<Push2>(20);
    for user in 0..10 {
        assert_eq!(message_for(host.after(SECOND), user, &CHAT).len(), 1);
    }
    goes_away(host.after(9 * MINUTE));
    for user in 10..20 {
        assert!(message_for(&mut host, user, &CHAT).is_empty());
    }
    let left = leave_within(&mut host, 10 * MINUTE, fails);
    assert!(left.len() < 10, "{}", left.len());
    assert_eq!(owed(&host), 10);
}

#[test]
fn a_held_push_is_not_the_push_that_tries_an_app_server() {
    let mut host = Host::new(Config::default(), vec![Xep0357::device(JID, "phone")]);
    let start = host.now.mono;
    assert_eq!(host.offline(&keyed("a0")).len(), 1);
    goes_away(&mut host);
    // The device's lane is still busy when the app server may be tried.
    assert!(host.after(4 * SECOND).offline(&keyed("a1")).is_empty());
    let left = leave_within(&mut host, MINUTE, is_taken);
    assert_eq!(left.len(), 1);
    assert!(left[0].0 - start <= 20 * SECOND);
}

#[test]
fn a_session_hibernates_on_while_its_device_is_owed_its_push() {
    let mut host = phone::<Xep0357>();
    let alerted = |host: &mut Host, key: &'static str| {
        let (event, done) = (host.event(), Done::default());
        let queued = host.engine.on_queued(event, "push.example<phone", done, &keyed(key), Holders::default());
        queued.expect("loaded").alerted
    };
    assert!(alerted(&mut host, "a1"));
    goes_away(&mut host);
    assert!(!alerted(&mut host, "a2"), "nothing has left");
}

#[test]
fn pushes_that_another_module_blocks_say_nothing_about_the_app_server() {
    let mut host = crowd::<Xep0357>(60);
    for user in 0..40 {
        let push = message_for(host.after(SECOND), user, &CHAT).remove(0);
        host.engine.withdraw(&push.id.to_string());
    }
    assert_eq!(message_for(host.after(MINUTE), 50, &CHAT).len(), 1);
    assert!(host.engine.app_servers(false).iter().all(|(_, server, _)| server.away_since.is_none()));

    // What the app server does not answer counts as before.
    let mut host = crowd::<Xep0357>(60);
    for user in 0..20 {
        let push = message_for(host.after(SECOND), user, &CHAT).remove(0);
        if user % 2 == 0 {
            host.engine.withdraw(&push.id.to_string());
        }
    }
    assert!(message_for(host.after(2 * SECOND), 50, &CHAT).is_empty());
}

#[test]
fn a_blocked_push_is_not_the_push_that_tries_an_app_server() {
    let mut host = crowd::<Xep0357>(20);
    goes_away(&mut host);
    for user in 0..20 {
        assert!(message_for(&mut host, user, &CHAT).is_empty());
    }
    let mut blocked = 0;
    let left = leave_within(&mut host, 4 * SECOND, |host, push| {
        if blocked < 3 {
            blocked += 1;
            host.engine.withdraw(&push.id.to_string());
        } else {
            is_taken(host, push);
        }
    });
    assert!(left.len() > 3, "the fourth push tries it as soon as the third is blocked");
    assert!(host.engine.app_servers(false).iter().all(|(_, server, _)| server.away_since.is_none()));
    leave_within(&mut host, MINUTE, is_taken);
    assert_eq!(owed(&host), 0);
}

#[test]
fn a_blocked_push_is_owed_no_more_after_a_restart() {
    let mut host = phone::<Xep0357>();
    let push = host.offline(&CHAT).remove(0);
    fails(&mut host, &push);
    assert_eq!(host.engine.unwritten(usize::MAX)[0].1.len(), 1);
    let again = host.after(4 * SECOND).leaving().remove(0);
    host.engine.withdraw(&again.id.to_string());
    assert!(host.engine.unwritten(usize::MAX)[0].1.values().all(|record| record.owed.is_none()));
}

#[test]
fn a_push_whose_record_cannot_be_read_is_owed_and_says_nothing_about_the_app_server() {
    let mut host = phone::<Xep0357>();
    let mut push = host.offline(&keyed("m1")).remove(0);
    for delay in [4, 8, 16] {
        host.engine.postpone(host.now, &push.id.to_string());
        let said = host.engine.decisions("romeo").next().expect("a decision").text(true);
        assert!(
            said.ends_with("owed: its registration cannot be read now, and one push follows when it can be"),
            "{said}"
        );
        assert_eq!(
            host.engine.unwritten(usize::MAX)[0].1.values().next().and_then(|of| of.owed),
            Some(Kind::Important)
        );
        assert!(host.after(delay * SECOND - 1).leaving().is_empty());
        push = host.after(1).leaving().remove(0);
    }
    assert!(host.engine.app_servers(false).iter().all(|(_, server, _)| server.failures == 0));
    host.engine.postpone(host.now, &push.id.to_string());
    let again = host.offline(&keyed("m1"));
    assert_eq!(again.len(), 1, "the message does not count as pushed");
    is_taken(host.after(1), &again[0]);
    assert_eq!(host.next(), None);
    // A call is over before long.
    let call = Message { word: facts::CALL, call: Some(Call { peer: Some("juliet@example.org"), id: "c1" }), ..CHAT };
    let ring = host.offline(&call).remove(0);
    host.engine.postpone(host.now, &ring.id.to_string());
    let rings = leave_within(&mut host, HOUR, |host, ring| host.engine.postpone(host.now, &ring.id.to_string()));
    assert_eq!(rings.len(), 3, "after 4, 12 and 28 seconds");
}

#[test]
fn a_push_whose_record_cannot_be_read_is_not_the_push_that_tries_an_app_server() {
    let mut host = crowd::<Xep0357>(20);
    goes_away(&mut host);
    for user in 0..20 {
        assert!(message_for(&mut host, user, &CHAT).is_empty());
    }
    let probe = host.after(4 * SECOND).leaving().remove(0);
    host.engine.postpone(host.now, &probe.id.to_string());
    assert_eq!(owed(&host), 20);
    let probe = host.after(SECOND).leaving().remove(0);
    is_taken(&mut host, &probe);
    leave_within(&mut host, MINUTE, is_taken);
    assert_eq!(owed(&host), 0);
}

// The clock.

fn a_step_of_the_wall_clock_neither_delays_a_push_nor_sends_it_early<P: Tested>() {
    for step in [-50 * YEAR, -(HOUR as i64), HOUR as i64, 50 * YEAR] {
        let mut host = phone::<P>();
        let push = host.offline(&CHAT).remove(0);
        is_put_off(host.step(step), &push);
        assert!(host.step(step).after(4 * SECOND - 1).leaving().is_empty(), "{step}");
        assert_eq!(host.step(-step).after(1).leaving().len(), 1, "{step}");

        let mut host = crowd::<P>(3);
        goes_away(&mut host);
        assert!(message_for(&mut host, 0, &CHAT).is_empty());
        assert!(host.step(step).after(4 * SECOND - 1).leaving().is_empty(), "{step}");
        assert_eq!(host.after(1).leaving().len(), 1, "{step}");
    }
}

fn a_step_of_the_wall_clock_ends_no_registration<P: Tested>() {
    for step in [HOUR as i64, 50 * YEAR, -50 * YEAR, -(HOUR as i64)] {
        let mut host = phone::<P>();
        let push = host.offline(&CHAT).remove(0);
        fails(&mut host, &push);
        for there in [step, -step].repeat(50) {
            for push in host.step(there).after(SECOND).offline(&CHAT) {
                fails(&mut host, &push);
            }
        }
    }
}

fn failures_on_many_days_end_a_registration_and_two_far_apart_do_not<P: Tested>() {
    let once = |host: &mut Host<P>| {
        let push = host.offline(&CHAT).remove(0);
        let verdict = host.answer_here(&push, "remote-server-not-found");
        // The client comes back and fetches its messages.
        host.engine.on_resumed(host.now, "romeo", &P::identifier("phone"));
        verdict
    };
    let mut host = phone::<P>();
    assert_stays(once(&mut host));
    assert_stays(once(host.after(31 * DAY)));
    let mut host = phone::<P>();
    let days = if P::POLICY.answers { 30 } else { 3 };
    for _ in 0..days {
        assert_stays(once(&mut host));
        host.after(DAY);
    }
    assert_goes(once(&mut host), &P::identifier("phone"));
}

// Restarts.

fn engine<P: Tested>() -> Engine<P> {
    Engine::new(HOST.into(), one_by_one(), not_random)
}

fn owed_pushes_survive_a_restart<P: Tested>() {
    const USERS: usize = 100;
    let mut host = crowd::<P>(USERS);
    goes_away(&mut host);
    for user in 0..USERS {
        assert!(message_for(&mut host, user, if user == 50 { &CHAT } else { &SILENT }).is_empty());
    }
    let mut written: BTreeMap<_, Records> = host.engine.unwritten(usize::MAX).into_iter().collect();
    assert!(host.engine.unwritten(usize::MAX).is_empty(), "changes are written once");
    written.extend(host.engine.last_unwritten(host.now));

    host.engine = engine::<P>();
    // After a boot, the monotonic clock starts again.
    host.now.mono = 1000;
    for (user, records) in written {
        host.engine.load(&user, vec![P::device(JID, "phone")], false);
        host.engine.recall(host.now, &user, records);
    }
    assert_eq!(owed(&host), USERS);
    let first = host.leaving();
    assert_eq!(first.len(), 1, "one push tries the app server");
    assert!(leave_within(&mut host, 3 * SECOND, |_, _| ()).is_empty());
    is_taken(&mut host, &first[0]);
    let left = leave_within(&mut host, 2 * MINUTE, is_taken);
    assert_eq!((left.len(), owed(&host)), (USERS - 1, 0));
    let nothing_left = |(_, records): &(_, Records)| records.values().all(|record| record.owed.is_none());
    leave_within(&mut host, ERROR_TIMEOUT, |_, _| ());
    assert!(host.engine.unwritten(usize::MAX).iter().all(nothing_left));
}

fn a_repeated_push_in_flight_when_the_server_stops_is_still_owed<P: Tested>() {
    let mut host = phone::<P>();
    let push = host.offline(&CHAT).remove(0);
    fails(&mut host, &push);
    assert_eq!(host.after(4 * SECOND).leaving().len(), 1);
    let written = host.engine.unwritten(usize::MAX);
    let is_owed = written[0].1.values().any(|record| record.owed.is_some());
    assert_eq!(is_owed, P::POLICY.answers, "a Push 2.0 service never confirms a push");
}

#[test]
fn an_unanswered_push_is_owed_when_the_server_stops() {
    let mut host = phone::<Xep0357>();
    host.offline(&CHAT);
    assert!(host.engine.last_unwritten(host.now).is_empty(), "the push has only just left");
    host.after(2 * SECOND);
    let written = host.engine.last_unwritten(host.now);
    let (user, records) = &written[0];
    assert_eq!((&**user, written.len()), ("romeo", 1));
    assert!(records["push.example<phone"].owed.is_some());
}

#[test]
fn a_push_without_an_answer_for_a_second_is_stored_as_owed() {
    for is_answered in [true, false] {
        let mut host = phone::<Xep0357>();
        let push = host.offline(&CHAT).remove(0);
        assert_eq!(host.engine.timer(host.now), Some(LATE));
        assert!(host.engine.unwritten(usize::MAX).is_empty(), "the push has only just left");
        if is_answered {
            assert_stays(host.answer(&push, JID, None));
        }
        assert!(host.after(LATE).timer().is_empty());
        let written = host.engine.unwritten(usize::MAX);
        if is_answered {
            assert!(written.is_empty(), "an app server that answers in time causes no writes");
            continue;
        }
        assert_eq!(written[0].1["push.example<phone"].owed, Some(Kind::Important));
        assert_stays(host.answer(&push, JID, None));
        assert!(host.engine.unwritten(usize::MAX)[0].1.is_empty(), "the app server accepted the push, though late");
    }
}

fn the_timer_looks_at_the_oldest_push_and_not_through_all<P: Tested>() {
    let mut host = crowd::<P>(1);
    for _ in 0..5000 {
        message_for(&mut host, 0, &CHAT);
    }
    let start = std::time::Instant::now();
    for _ in 0..20_000 {
        host.engine.timer(host.now);
    }
    assert!(start.elapsed() < std::time::Duration::from_secs(1), "{:?}", start.elapsed());
}

#[test]
fn a_push_in_flight_during_a_reload_is_not_sent_twice() {
    let mut old = phone::<Xep0357>();
    let push = old.offline(&CHAT).remove(0);
    assert!(old.after(LATE).timer().is_empty());
    let written = old.engine.unwritten(usize::MAX);
    let state = old.engine.save();
    let mut new = phone::<Xep0357>();
    new.now = old.now;
    for (user, records) in written {
        new.engine.recall(new.now, &user, records);
    }
    new.engine.restore(state);
    assert!(new.leaving().is_empty());
    assert_stays(new.answer(&push, JID, None));
    assert!(new.after(DAY).leaving().is_empty());
}

#[test]
fn failures_survive_a_restart() {
    let mut host = phone::<Xep0357>();
    for day in 0..=30 {
        let push = host.offline(&CHAT).remove(0);
        let verdict = host.answer_here(&push, "remote-server-not-found");
        if day == 30 {
            assert_goes(verdict, "push.example<phone");
            break;
        }
        assert_stays(verdict);
        host.engine.on_resumed(host.now, "romeo", "push.example<phone");
        let written = host.engine.unwritten(usize::MAX);
        host.engine = engine();
        host.after(DAY).engine.load("romeo", vec![Xep0357::device(JID, "phone")], false);
        for (user, records) in written {
            host.engine.recall(host.now, &user, records);
        }
    }
}

fn nothing_is_recalled_for_an_ended_registration_or_a_disabled_account<P: Tested>() {
    let mut host = phone::<P>();
    let push = host.offline(&CHAT).remove(0);
    fails(&mut host, &push);
    let written = host.engine.unwritten(usize::MAX);
    for (devices, is_disabled) in [(vec![], false), (vec![P::device(JID, "phone")], true)] {
        host.engine = engine::<P>();
        host.engine.load("romeo", devices, is_disabled);
        for (user, records) in &written {
            host.engine.recall(host.now, user, records.clone());
        }
        assert_eq!(owed(&host), 0);
        assert!(host.after(DAY).leaving().is_empty());
    }
}

fn a_reload_keeps_the_deduplication_keys_and_the_pushes_in_flight<P: Tested>() {
    let mut host = phone::<P>();
    let told = host.offline(&keyed("told")).remove(0);
    is_taken(&mut host, &told);
    let flying = host.offline(&keyed("flying")).remove(0);
    let failed = host.offline(&keyed("failed")).remove(0);
    fails(&mut host, &failed);
    let written = host.engine.last_unwritten(host.now);
    let saved = serde_json::to_string(&host.engine.save()).expect("the state is JSON");

    host.engine = engine::<P>();
    host.engine.restore(serde_json::from_str(&saved).expect("as it was saved"));
    host.engine.load("romeo", vec![P::device(JID, "phone")], false);
    for (user, records) in written {
        host.engine.recall(host.now, &user, records);
    }
    assert!(host.offline(&keyed("told")).is_empty());
    assert!(host.offline(&keyed("flying")).is_empty());
    assert_eq!(owed(&host), 1);
    assert_eq!(host.leaving().len(), 1);
    fails(&mut host, &flying);
    assert!(is_stranger(&host.answer_here(&flying, "forbidden")));
    assert!(host.offline(&keyed("told")).is_empty());
}

fn a_push_that_fails_after_a_reload_is_sent_again_as_its_client_asked<P: Tested>() {
    for can_be_loaded in [true, false] {
        let mut host = phone::<P>();
        let push = host.offline(&CHAT).remove(0);
        let state = host.engine.save();
        host.engine = engine::<P>();
        assert_eq!(host.engine.restore(state), [Rc::from("romeo")]);
        fails(&mut host, &push);
        if can_be_loaded {
            host.engine.load("romeo", vec![P::device(JID, "phone")], false);
        }
        let left: Vec<_> = host.after(4 * SECOND).leaving().into_iter().map(|push| push.registration).collect();
        let whole = can_be_loaded.then(|| Rc::new(P::device(JID, "phone")));
        assert_eq!(left, Vec::from_iter(whole), "nothing is sent that the client did not ask for");
    }
}

fn a_push_in_flight_during_a_reload_does_not_settle_a_greater_one_that_is_owed<P: Tested>() {
    let mut old = phone::<P>();
    let push = old.offline(&CHAT).remove(0);
    fails(&mut old, &push);
    old.offline(&SILENT);
    let written = old.engine.last_unwritten(old.now);
    let mut new = phone::<P>();
    for (user, records) in written {
        new.engine.recall(new.now, &user, records);
    }
    assert!(new.engine.restore(old.engine.save()).is_empty(), "the user is in memory");
    let left: Vec<_> = new.engine.release(new.now).into_iter().map(|leaving| leaving.important).collect();
    assert_eq!(left, [true]);
}

// Events in any order.

#[derive(Clone, Debug)]
enum Step {
    /// A new message, important or not.
    Message(bool),
    /// An earlier message once more.
    Again(prop::sample::Index),
    Take(prop::sample::Index),
    Fail(prop::sample::Index, &'static str, bool),
    /// Another answer to a push that has had its answer.
    Twice(prop::sample::Index, bool),
    Resume(usize),
    Clock(i64),
    Wait(Millis),
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    let error = prop_oneof![Just("remote-server-timeout"), Just("internal-server-error"), Just("resource-constraint")];
    prop_oneof![
        4 => any::<bool>().prop_map(Step::Message),
        1 => index().prop_map(Step::Again),
        2 => index().prop_map(Step::Take),
        6 => (index(), error, any::<bool>()).prop_map(|(which, error, here)| Step::Fail(which, error, here)),
        1 => (index(), any::<bool>()).prop_map(|(which, fails)| Step::Twice(which, fails)),
        1 => (0..DEVICES.len()).prop_map(Step::Resume),
        1 => prop_oneof![Just(HOUR as i64), Just(-(HOUR as i64)), Just(50 * YEAR), Just(-50 * YEAR)].prop_map(Step::Clock),
        2 => prop_oneof![0..5 * SECOND, 0..400 * SECOND].prop_map(Step::Wait),
    ]
}

/// Identifier and app server.
const DEVICES: [(&str, &str); 3] = [("phone", "push.example"), ("tablet", "push.example"), ("laptop", "other.example")];

/// A push, and what the test knows of it.
struct Seen<P: Tested> {
    push: Push<P>,
    device: usize,
    left: u64,
    important: bool,
    /// The message that caused the push, unless the push was held or owed.
    message: Option<usize>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    InFlight,
    Taken,
    Failed,
}

struct World<P: Tested> {
    host: Host<P>,
    /// Counts the events.
    moment: u64,
    messages: Vec<bool>,
    /// By device: the moments of the last silent and of the last important message since the client was back.
    needs: [[Option<u64>; 2]; DEVICES.len()],
    /// By device: whether the client has been back since the last event with a message.
    is_back: [bool; DEVICES.len()],
    pushes: Vec<Seen<P>>,
    is_good: bool,
}

impl<P: Tested> World<P> {
    fn new(coalesce: bool) -> Self {
        let devices = DEVICES.iter().map(|(name, jid)| P::device(jid, name)).collect();
        let config = Config { coalesce, max_errors: u32::MAX, ..Config::default() };
        let host = Host::speaking(config, devices);
        World {
            host,
            moment: 0,
            messages: vec![],
            needs: [[None; 2]; 3],
            is_back: [false; 3],
            pushes: vec![],
            is_good: false,
        }
    }

    fn live(mut self, steps: Vec<Step>) -> Result<(), TestCaseError> {
        for step in steps {
            // No two events happen at the same time.
            self.host.after(1);
            self.moment += 1;
            self.step(step)?;
            self.release()?;
        }
        self.is_good = true;
        self.wait(2 * HOUR)?;
        prop_assert_eq!(owed(&self.host), 0, "no push is owed for ever");
        for (device, needs) in self.needs.iter().enumerate() {
            for (important, needed) in [false, true].into_iter().zip(needs) {
                let Some(needed) = needed else { continue };
                let is_told = |seen: &&Seen<P>| {
                    seen.device == device
                        && seen.left >= *needed
                        && seen.state == State::Taken
                        && (seen.important || !important)
                };
                prop_assert!(
                    self.pushes.iter().any(|seen| is_told(&seen)),
                    "device {} got no push for its last message, important: {}",
                    device,
                    important
                );
            }
        }
        Ok(())
    }

    fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Message(important) => {
                self.messages.push(important);
                for needs in &mut self.needs {
                    needs[usize::from(important)] = Some(self.moment);
                }
                self.message(self.messages.len() - 1)?;
            }
            Step::Again(which) if !self.messages.is_empty() => {
                self.message(which.index(self.messages.len()))?;
            }
            Step::Take(which) if P::POLICY.answers => self.answer(which, State::InFlight, None)?,
            Step::Fail(which, error, here) => self.answer(which, State::InFlight, Some((error, here)))?,
            Step::Twice(which, fails) => {
                let error = fails.then_some(("remote-server-timeout", false));
                self.answer(which, State::Taken, error)?;
                self.answer(which, State::Failed, error)?;
            }
            Step::Resume(device) => {
                let (device_name, jid) = DEVICES[device];
                self.host.engine.on_resumed(self.host.now, "romeo", &P::device(jid, device_name).identifier);
                self.needs[device] = [None; 2];
                self.is_back[device] = true;
            }
            Step::Clock(step) => {
                self.host.step(step);
            }
            Step::Wait(time) => self.wait(time)?,
            Step::Again(_) | Step::Take(_) => {}
        }
        Ok(())
    }

    fn message(&mut self, message: usize) -> Result<(), TestCaseError> {
        self.is_back = [false; 3];
        let name = message.to_string();
        let word = if self.messages[message] { BODY } else { RECEIPT };
        for push in self.host.offline(&Message { word, dedup_key: Some(&name), ..CHAT }) {
            let device = which_device(&push);
            let known =
                |seen: &&Seen<P>| seen.device == device && seen.message == Some(message) && seen.state != State::Failed;
            prop_assert!(
                !self.pushes.iter().any(|seen| known(&seen)),
                "device {} got two pushes for message {}",
                device,
                message
            );
            self.left(push, self.messages[message], Some(message));
        }
        Ok(())
    }

    fn left(&mut self, push: Push<P>, important: bool, message: Option<usize>) {
        let device = which_device(&push);
        if self.is_good && P::POLICY.answers {
            is_taken(&mut self.host, &push);
        }
        let state = if self.is_good { State::Taken } else { State::InFlight };
        self.pushes.push(Seen { push, device, left: self.moment, important, message, state });
    }

    fn release(&mut self) -> Result<(), TestCaseError> {
        for held in self.host.engine.release(self.host.now) {
            let device = which_device(&held.push);
            prop_assert!(!self.is_back[device], "device {} got a push though its client was back", device);
            self.left(held.push, held.important, None);
        }
        Ok(())
    }

    /// Answers one of the pushes in this state.
    fn answer(
        &mut self,
        which: prop::sample::Index,
        state: State,
        error: Option<(&str, bool)>,
    ) -> Result<(), TestCaseError> {
        let known: Vec<usize> = (0..self.pushes.len()).filter(|i| self.pushes[*i].state == state).collect();
        if known.is_empty() {
            return Ok(());
        }
        let seen = &mut self.pushes[known[which.index(known.len())]];
        let error = error.map(|(condition, made_here)| StanzaError { kind: "wait", condition, text: None, made_here });
        let (id, from) = (seen.push.id.to_string(), seen.push.registration.jid().to_owned());
        let verdict = self.host.engine.on_answer(self.host.now, &id, Some(&from), error).verdict;
        if state == State::InFlight {
            prop_assert_eq!(verdict, Verdict::Stays);
            seen.state = if error.is_some() { State::Failed } else { State::Taken };
        } else {
            prop_assert!(is_stranger(&verdict));
        }
        Ok(())
    }

    fn wait(&mut self, time: Millis) -> Result<(), TestCaseError> {
        let end = self.host.now.mono + time;
        while let Some(delay) = self.host.next().filter(|delay| self.host.now.mono + delay <= end) {
            self.host.after(delay);
            self.moment += 1;
            let in_flight = self.host.engine.sizes().0;
            prop_assert!(self.host.timer().is_empty(), "no registration ends");
            if in_flight != self.host.engine.sizes().0 {
                self.overdue();
            }
            self.release()?;
        }
        let rest = end - self.host.now.mono;
        self.host.after(rest);
        Ok(())
    }

    /// Changes the state of the oldest pushes in flight, which have had no answer in time.
    fn overdue(&mut self) {
        let silent = if P::POLICY.answers { State::Failed } else { State::Taken };
        let left = self.host.engine.sizes().0;
        let in_flight = self.pushes.iter_mut().filter(|seen| seen.state == State::InFlight);
        let mut in_flight: Vec<_> = in_flight.collect();
        let overdue = in_flight.len().saturating_sub(left);
        for seen in &mut in_flight[..overdue] {
            seen.state = silent;
        }
    }
}

fn which_device<P: Tested>(push: &Push<P>) -> usize {
    let name = P::name_of(push);
    DEVICES.iter().position(|(device, _)| *device == name).expect("a known device")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn each_device_gets_its_pushes_in_the_end(
        steps in vec(step(), 1..120),
        is_push2 in any::<bool>(),
        coalesce in any::<bool>(),
    ) {
        if is_push2 {
            World::<Push2>::new(coalesce).live(steps)?;
        } else {
            World::<Xep0357>::new(coalesce).live(steps)?;
        }
    }
}
