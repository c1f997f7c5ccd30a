//! The stanzas that wake a client: profiles, grace, filters.

use prosody_push::engine::Done;
use prosody_push::push2::Push2;
use prosody_push::push2::asked::{Chat, Match, Profile};
use prosody_push::push2::notification::{Payload, Priority};
use prosody_push::registration::holders::Holders;
use prosody_push::rules::facts::{
    AMENDMENT, ANSWER, ARCHIVED, BODY, CALL, CALL_OVER, CHAT_STATE, CORRECTED, ENCRYPTED, FALLBACK, GROUPCHAT,
    HEADLINE, INVITATION, Message, NO_STORE, NOTIFICATION, PRESENCE_STANZA, RECEIPT, REFLECTED, RETRACT, SUBSCRIBE,
};

use crate::support::{Host, SECOND, one_by_one};
use crate::{CHAT, JULIET, client, host, of, payloads, pushed, rule, speaking};

const ROOM: &str = "verona@rooms.example.org/juliet";

// Profiles.

#[test]
fn each_profile_matches_its_stanzas() {
    let (low, normal, high) = (Some(Priority::Low), Some(Priority::Normal), Some(Priority::High));
    let own = "romeo@example.org/laptop";
    let cases = [
        //  word                           from    all     important  archived  archived-with-body
        ("chat", BODY, JULIET, normal, normal, None, None),
        ("archived chat", BODY | ARCHIVED, JULIET, normal, normal, normal, normal),
        ("end-to-end encrypted", ENCRYPTED | ARCHIVED, JULIET, normal, normal, normal, normal),
        ("receipt", RECEIPT, JULIET, low, None, None, None),
        ("archived receipt", RECEIPT | ARCHIVED, JULIET, low, None, low, None),
        ("chat state", CHAT_STATE, JULIET, low, None, None, None),
        ("presence", PRESENCE_STANZA, JULIET, low, None, None, None),
        ("request for a subscription", PRESENCE_STANZA | SUBSCRIBE, JULIET, normal, normal, None, None),
        ("invitation", INVITATION, JULIET, normal, normal, None, None),
        ("reaction", AMENDMENT | BODY | FALLBACK, JULIET, low, None, None, None),
        ("headline", BODY | HEADLINE, JULIET, low, None, None, None),
        ("correction", BODY | CORRECTED | ARCHIVED, JULIET, low, None, low, low),
        ("own, reflected", BODY | GROUPCHAT | REFLECTED, ROOM, None, None, None, None),
        ("own", BODY, own, None, None, None, None),
        ("answer", ANSWER, JULIET, None, None, None, None),
        ("with no-store", NO_STORE, JULIET, low, None, None, None),
        ("call", CALL, JULIET, high, high, high, high),
        ("call with no-store", CALL | NO_STORE, JULIET, high, high, high, high),
        ("own call", CALL, own, None, None, None, None),
        ("retracted call that never rang", RETRACT, JULIET, None, None, None, None),
        ("accepted call that never rang", CALL_OVER, JULIET, None, None, None, None),
        ("a push", BODY | ARCHIVED | NOTIFICATION, JULIET, None, None, None, None),
    ];
    for (what, word, from, all, important, archived, with_body) in cases {
        let expected = [
            (Profile::All, all),
            (Profile::Important, important),
            (Profile::Archived, archived),
            (Profile::ArchivedWithBody, with_body),
            (Profile::Unknown, if word & CALL != 0 && from == JULIET { high } else { None }),
        ];
        for (profile, priority) in expected {
            let message = Message { word, from: Some(from), ..CHAT };
            assert_eq!(pushed(&mut host(vec![rule(profile)]), &message), priority, "{what}, {profile:?}");
        }
    }
}

#[test]
fn a_stanza_that_did_not_match_may_match_in_a_later_event() {
    let mut host = host(vec![rule(Profile::Archived)]);
    let chat = Message { dedup_key: Some("a1"), ..CHAT };
    assert_eq!(pushed(&mut host, &chat), None);
    let archived = Message { word: BODY | ARCHIVED, ..chat };
    assert_eq!(pushed(&mut host, &archived), Some(Priority::Normal), "nothing was pushed before");
    assert_eq!(pushed(&mut host, &archived), None, "the stanza is pushed only once");
}

#[test]
fn a_client_without_a_match_gets_no_push() {
    assert_eq!(pushed(&mut host(vec![]), &CHAT), None);
    assert_eq!(pushed(&mut host(vec![]), &Message { word: CALL, ..CHAT }), None, "not even for a call");
}

#[test]
fn a_device_that_rang_gets_a_push_when_another_client_takes_the_call() {
    let mut host = host(vec![rule(Profile::ArchivedWithBody)]);
    let call = Message { word: CALL, call: Some(of("c1")), ..CHAT };
    assert_eq!(pushed(&mut host, &call), Some(Priority::High));
    let taken = Message { word: CALL_OVER, from: Some("romeo@example.org/laptop"), ..call };
    let told = host.archived(&taken, &["phone"]);
    assert_eq!(payloads(&told)[0].priority, Priority::High, "with the priority of the call");
}

#[test]
fn a_device_that_ends_the_call_itself_gets_no_push() {
    let devices = ["phone", "tablet"].map(|identifier| client(identifier, vec![rule(Profile::Important)]));
    let mut host = speaking(one_by_one(), devices.into());
    let call = Message { word: CALL, call: Some(of("c1")), ..CHAT };
    assert_eq!(host.offline(&call).len(), 2);
    let taken = Message { word: CALL_OVER, from: Some("romeo@example.org/x"), ..call };
    let to = Some("romeo@example.org");
    let event = host.event();
    let pushes =
        host.engine.on_addressed(event, to, &taken, Holders::default(), Some("phone")).expect("romeo is loaded");
    let told: Vec<_> = pushes.list.iter().map(|push| &*push.registration.identifier).collect();
    assert_eq!(told, ["tablet"]);
    let finished = Message { from: Some(JULIET), ..taken };
    assert!(host.archived(&finished, &["phone", "tablet"]).is_empty(), "both devices know already");
}

#[test]
fn a_ping_wakes_every_client_with_a_match() {
    let mut host = host(vec![rule(Profile::Important)]);
    let pushes = host.ping();
    assert_eq!(payloads(&pushes), [&Payload::empty(Priority::Low)]);
}

// Grace.

#[test]
fn with_grace_a_client_gets_no_push_while_another_client_is_in_use() {
    let graceful = || Match { grace: Some(144), ..rule(Profile::All) };
    let at = |seconds_ago: u64, holds: &str| {
        let host = host(vec![]);
        format!("a{} {holds}", host.now.wall / SECOND - seconds_ago)
    };
    for (extracts, is_pushed) in [
        (at(0, ""), false),
        (at(143, ""), false),
        (at(144, ""), true),
        (at(0, "tablet"), false),
        (at(0, "phone"), true),
        (format!("{}\0{}", at(1000, ""), at(3, "tablet")), false),
        ("anonsense\0a".into(), true),
        (format!("a{} ", host(vec![]).now.wall / SECOND + 3600), true),
        (String::new(), true),
    ] {
        let message = Message { extracts: Some(&extracts), ..CHAT };
        assert_eq!(pushed(&mut host(vec![graceful()]), &message).is_some(), is_pushed, "{extracts:?}");
        let call = Message { word: CALL, ..message };
        assert!(pushed(&mut host(vec![graceful()]), &call).is_some(), "a call always rings: {extracts:?}");
        assert!(pushed(&mut host(vec![rule(Profile::All)]), &message).is_some(), "without grace: {extracts:?}");
    }
}

// Filters.

fn filtered(jid: &str, mention: bool, reply: bool) -> Host<Push2> {
    let chat = Chat { jid: jid.into(), mention, reply };
    host(vec![Match { chats: [chat].into(), ..rule(Profile::Important) }])
}

#[test]
fn a_filter_matches_a_full_jid_a_bare_jid_or_a_host() {
    for (jid, is_muted) in [
        ("juliet@example.org/balcony", true),
        ("juliet@example.org", true),
        ("example.org", true),
        ("juliet@example.org/tomb", false),
        ("example.com", false),
        ("juliet", false),
    ] {
        assert_eq!(pushed(&mut filtered(jid, false, false), &CHAT).is_none(), is_muted, "{jid}");
        let call = Message { word: CALL, ..CHAT };
        assert_eq!(pushed(&mut filtered(jid, false, false), &call), Some(Priority::High), "a call always rings: {jid}");
    }
}

#[test]
fn the_most_specific_filter_applies() {
    let chat = |jid: &str, mention| Chat { jid: jid.into(), mention, reply: false };
    let chats = [chat("example.org", false), chat("juliet@example.org", true)].into();
    let mut host = host(vec![Match { chats, ..rule(Profile::Important) }]);
    assert!(pushed(&mut host, &Message { body: Some("romeo, romeo!"), ..CHAT }).is_some());
    assert!(pushed(&mut host, &Message { from: Some("nurse@example.org/x"), body: Some("romeo"), ..CHAT }).is_none());
}

#[test]
fn mentions_and_replies_pass_a_filter_that_allows_them() {
    let room = "verona@rooms.example.org";
    let other = "mverona@rooms.example.org/juliet";
    for (body, extracts, is_mention, is_reply) in [
        ("hello all", "", false, false),
        ("Romeo: hi", "", true, false),
        ("hi Monty", "nMonty", true, false),
        ("hi Montyx", "nMonty", false, false),
        ("hello", "mromeo@example.org", true, false),
        ("hello", "nMonty\0mverona@rooms.example.org/Monty", true, false),
        ("hello", "mverona@rooms.example.org/Monty", false, false),
        ("hello", other, false, false),
        ("hello", "nMonty\0rverona@rooms.example.org/Monty", true, true),
        ("hello", "rverona@rooms.example.org/Monty", false, false),
        ("hello", "nMonty\0rother@rooms.example.org/Monty", false, false),
        ("hello", "rromeo@example.org/x", true, true),
        ("hello", "ome\0ume", true, false),
        ("hello", "oyou\0ume", false, false),
        ("hello", "gurn:xmpp:mentions:0#channel ", true, false),
        ("hello", "gurn:xmpp:mentions:0#channel other@rooms.example.org", false, false),
        ("hello", "gurn:xmpp:mentions:0#server example.org", true, false),
        ("hello", "gurn:xmpp:mentions:0#moderators ", false, false),
        ("你好小明在吗", "n小明", true, false),
        ("hello", "rverona@rooms.example.org/juliet", false, false),
    ] {
        let message =
            Message { word: BODY | GROUPCHAT, from: Some(ROOM), body: Some(body), extracts: Some(extracts), ..CHAT };
        let cases = [
            (false, false, false),
            (true, false, is_mention),
            (false, true, is_reply),
            (true, true, is_mention || is_reply),
        ];
        for (mention, reply, expected) in cases {
            let got = pushed(&mut filtered(room, mention, reply), &message).is_some();
            assert_eq!(got, expected, "{body:?}, {extracts:?}, mention {mention}, reply {reply}");
        }
    }
}

#[test]
fn a_queued_stanza_that_does_not_match_causes_no_push() {
    let mut host = filtered("juliet@example.org", false, false);
    let event = host.event();
    let queued = host.engine.on_queued(event, "phone", Done::default(), &CHAT, Holders::default()).expect("loaded");
    assert!(queued.pushes.list.is_empty() && !queued.alerted && queued.done == Done::default());
}
