//! The last day in numbers, as the administrator's page draws it, and the last decisions of all users.

mod support;

use prosody_push::config::Config;
use prosody_push::context::Event;
use prosody_push::memory::history::Series;
use prosody_push::rules::facts::{CALL, CHAT_STATE, Message, RECEIPT};
use prosody_push::stanza_error::StanzaError;
use support::{CHAT, Host, SECOND, one_by_one, registration};

/// What was counted in the last minutes, by name: all that is not zero, the oldest minute first.
fn counted(host: &Host) -> Vec<(u64, Vec<(&'static str, u32)>)> {
    let names = |counts: &[u32]| {
        Series::all().map(Series::name).zip(counts.iter().copied()).filter(|(_, n)| *n > 0).collect::<Vec<_>>()
    };
    host.engine.history().minutes(host.now).map(|(ago, counts)| (ago, names(counts))).collect()
}

#[test]
fn each_push_counts_by_its_kind_and_by_what_became_of_it() {
    let mut host = Host::with_devices(&["phone"]);
    host.now.mono = 0;
    let call = Message { word: CALL, call: None, ..CHAT };
    let receipt = Message { word: RECEIPT, ..CHAT };
    let ids: Vec<_> = [CHAT, call, receipt]
        .iter()
        .flat_map(|message| host.offline(message))
        .map(|push| push.id.to_string())
        .collect();
    assert_eq!(ids.len(), 3);
    let refused = StanzaError { kind: "cancel", condition: "item-not-found", text: None, made_here: false };
    let failed = StanzaError { kind: "wait", condition: "resource-constraint", text: None, made_here: false };
    host.after(2 * SECOND);
    for (id, error) in ids.iter().zip([None, Some(refused), Some(failed)]) {
        host.engine.on_answer(host.now, id, Some("push.example"), error);
    }
    host.after(60 * SECOND);
    // Nothing to show, and nothing that the client must know.
    host.offline(&Message { word: CHAT_STATE, ..CHAT });
    assert_eq!(
        counted(&host),
        [
            (1, vec![("call", 1), ("important", 1), ("silent", 1), ("taken", 1), ("refused", 1), ("failed", 1)]),
            (0, vec![("not_sent", 1)]),
        ]
    );
    let times = host.engine.history().times(host.now).expect("two answers took a time");
    assert_eq!((times.answers, times.median, times.p95), (2, 2 * SECOND, 2 * SECOND));
}

#[test]
fn what_is_held_counts_when_it_is_held_and_when_it_leaves() {
    let mut host = Host::new(Config::default(), vec![registration("push.example", "phone", 1)]);
    host.now.mono = 0;
    for _ in 0..3 {
        host.offline(&CHAT);
    }
    host.after(10 * SECOND).released();
    let all = counted(&host).remove(0).1;
    assert_eq!(all, [("important", 2), ("held", 2)]);
}

#[test]
fn the_latest_decisions_are_of_all_users_and_the_newest_first() {
    let mut host = Host::with_devices(&["phone"]);
    for user in ["juliet", "benvolio"] {
        host.engine.load(user, vec![registration("push.example", user, 1)], false);
    }
    for user in ["romeo", "juliet", "benvolio", "romeo"] {
        let now = host.after(SECOND).now;
        host.engine.on_offline(Event { now, user, observed: false }, &CHAT).expect("loaded");
    }
    let users = |most| host.engine.latest_decisions(most).iter().map(|(user, _)| user.to_string()).collect::<Vec<_>>();
    assert_eq!(users(10), ["romeo", "benvolio", "juliet", "romeo"]);
    assert_eq!(users(2), ["romeo", "benvolio"]);
}

#[test]
fn a_registration_that_ended_is_remembered_with_its_reason() {
    let mut host = Host::new(one_by_one(), Vec::new());
    host.engine.removed(host.now, "romeo", "push.example<phone", "its client disabled push");
    let endings: Vec<_> = host.engine.endings().map(|ending| (&*ending.user, &*ending.device, &*ending.why)).collect();
    assert_eq!(endings, [("romeo", "push.example<phone", "its client disabled push")]);
    host.engine.forget("romeo");
    assert_eq!(host.engine.endings().count(), 0, "the account was deleted");
}
