//! Quiet where the user wants it: settings of chats (XEP-0492), what he reads elsewhere, and patience while he is at another client.

mod support;

use prosody_push::config::{Config, Rooms};
use prosody_push::engine::{Done, Push};
use prosody_push::memory::journal::Outcome;
use prosody_push::protocol::Protocol;
use prosody_push::push2::Push2;
use prosody_push::push2::asked::{Asked, Chat, Match, Profile, Send};
use prosody_push::reason::Reason;
use prosody_push::registration::Registration;
use prosody_push::registration::holders::Holders;
use prosody_push::rules::facts::{self, BODY, CALL_OVER, Call, GROUPCHAT, Message, PUBLIC_ROOM, RECEIPT};
use prosody_push::rules::read::{Name, Read};
use prosody_push::rules::settings::Setting;
use prosody_push::time::Millis;
use support::{CHAT, Host, SECOND, nodes, one_by_one, registration};

const ROOM: &str = "room@rooms.example";
const IN_ROOM: Message =
    Message { word: BODY | GROUPCHAT, from: Some("room@rooms.example/max"), body: Some("hello"), ..CHAT };
const PATIENCE: Millis = 60 * SECOND;

fn message(key: &'static str) -> Message<'static> {
    Message { dedup_key: Some(key), ..CHAT }
}

fn with(config: Config) -> Host {
    Host::new(config, vec![registration("push.example", "phone", 1)])
}

fn bookmark<P: Protocol>(host: &mut Host<P>, bookmarks: &[(&str, Setting)]) {
    host.engine.load_bookmarks(host.now, "romeo", Some(bookmarks.iter().copied()));
}

/// What the journal says of the newest decision.
fn reason<P: Protocol>(host: &Host<P>) -> Option<Reason> {
    match host.engine.decisions("romeo").next().map(|decision| decision.outcome) {
        Some(Outcome::NotSent(reason)) => Some(reason),
        _ => None,
    }
}

fn read<P: Protocol>(host: &mut Host<P>, chat: &str, message: Name) -> Vec<Push<P>> {
    let read = Read { chat, message };
    host.engine.on_read(host.event(), &read, None, Holders::default()).expect("romeo is loaded").list
}

fn reads_juliet<P: Protocol>(host: &mut Host<P>, key: &str) -> Vec<Push<P>> {
    read(host, "juliet@example.org", Name::Archive(key))
}

#[test]
fn a_chat_that_is_set_to_never_wakes_nobody() {
    let mut host = Host::with_devices(&["phone"]);
    bookmark(&mut host, &[("juliet@example.org", Setting::Never), (ROOM, Setting::Never)]);
    let call = Message { word: facts::CALL, call: Some(Call { peer: Some("juliet@example.org"), id: "c" }), ..CHAT };
    let mention = Message { body: Some("romeo: hello"), ..IN_ROOM };
    for message in [CHAT, call, Message { word: RECEIPT, ..CHAT }, IN_ROOM, mention] {
        assert!(host.offline(&message).is_empty());
        assert_eq!(reason(&host), Some(Reason::ChatNever));
    }
    assert_eq!(host.offline(&Message { from: Some("nurse@example.org/x"), ..CHAT }).len(), 1);
    host.engine.on_bookmark("romeo", "juliet@example.org", None, 256);
    assert_eq!(host.offline(&CHAT).len(), 1, "it was retracted");
}

#[test]
fn a_chat_that_is_set_to_mentions_wakes_for_a_mention_a_reply_and_a_call() {
    let mut host = Host::with_devices(&["phone"]);
    bookmark(&mut host, &[("juliet@example.org", Setting::OnMention), (ROOM, Setting::OnMention)]);
    let call = Call { peer: Some("juliet@example.org"), id: "c" };
    let loud = [
        Message { body: Some("ask Romeo"), ..IN_ROOM },
        Message { extracts: Some("nmontague"), body: Some("montague?"), ..IN_ROOM },
        Message { extracts: Some("mromeo@example.org"), ..IN_ROOM },
        Message { extracts: Some("rroom@rooms.example/montague\0nmontague"), ..IN_ROOM },
        Message { extracts: Some("rromeo@example.org"), ..CHAT },
        Message { word: facts::CALL, call: Some(call), ..CHAT },
        Message { word: CALL_OVER, call: Some(call), ..CHAT },
    ];
    for message in loud {
        assert_eq!(host.offline(&message).len(), 1, "{:?} {:?}", message.body, message.extracts);
    }
    for message in [CHAT, IN_ROOM, Message { word: RECEIPT, ..CHAT }] {
        assert!(host.offline(&message).is_empty());
        assert_eq!(reason(&host), Some(Reason::ChatOnMention));
    }
}

#[test]
fn a_call_that_rang_ends_on_the_device_whatever_is_set_meanwhile() {
    let mut host = Host::with_devices(&["phone"]);
    let call = Some(Call { peer: Some("juliet@example.org"), id: "c" });
    assert_eq!(host.offline(&Message { word: facts::CALL, call, ..CHAT }).len(), 1);
    bookmark(&mut host, &[("juliet@example.org", Setting::Never)]);
    assert_eq!(host.offline(&Message { word: facts::RETRACT, call, ..CHAT }).len(), 1);
}

#[test]
fn rooms_without_a_setting_are_as_push_rooms_says() {
    let public = Message { word: IN_ROOM.word | PUBLIC_ROOM, ..IN_ROOM };
    let mention = Message { body: Some("romeo"), ..public };
    // Bookmarked, not bookmarked, set to always, not known: whether a message of a private and of a public room wakes.
    let cases = [
        (Some(vec![(ROOM, Setting::Unset)]), [true, false]),
        (Some(vec![]), [false, false]),
        (Some(vec![(ROOM, Setting::Always)]), [true, true]),
        (None, [true, false]),
    ];
    for (bookmarks, wakes) in cases {
        for rooms in [Rooms::All, Rooms::Mentions] {
            let mut host = with(Config { rooms, ..one_by_one() });
            host.engine.load_bookmarks(host.now, "romeo", bookmarks.clone().map(Vec::into_iter));
            for (message, wakes) in [IN_ROOM, public].iter().zip(wakes) {
                let wakes = wakes || rooms == Rooms::All;
                assert_eq!(host.offline(message).len(), usize::from(wakes), "{bookmarks:?} {rooms:?}");
                assert!(wakes || reason(&host) == Some(Reason::RoomOnMention));
            }
            assert_eq!((host.offline(&mention).len(), host.offline(&CHAT).len()), (1, 1));
        }
    }
}

#[test]
fn what_a_client_says_for_itself_comes_before_the_settings() {
    let chat = |mention| Chat { jid: ROOM.into(), mention, reply: false };
    let device = |name: &str, chats: Vec<Chat>| {
        let rule = Match { profile: Profile::Important, grace: None, chats: chats.into(), send: Send::NotifyOnly };
        let asked = Asked { client: name.into(), matches: [rule].into() };
        Registration::new(name, "push.example", asked, 1)
    };
    let devices = vec![device("phone", vec![chat(true)]), device("tablet", vec![]), device("watch", vec![chat(false)])];
    let mut host = Host::<Push2>::speaking(one_by_one(), devices);
    let woken = |host: &mut Host<Push2>, message: &Message| {
        let pushes = host.offline(message);
        pushes.iter().map(|push| push.registration.identifier.to_string()).collect::<Vec<_>>()
    };
    let mention = Message { body: Some("romeo"), ..IN_ROOM };
    bookmark(&mut host, &[(ROOM, Setting::Never)]);
    assert_eq!(woken(&mut host, &mention), ["phone"]);
    assert_eq!(woken(&mut host, &IN_ROOM), [""; 0]);
    bookmark(&mut host, &[(ROOM, Setting::Always)]);
    assert_eq!(woken(&mut host, &IN_ROOM), ["tablet"]);
    assert_eq!(woken(&mut host, &mention), ["phone", "tablet"]);
}

#[test]
fn bookmarks_that_have_to_be_read_again_are_asked_for() {
    let mut host = Host::with_devices(&["phone"]);
    assert!(host.engine.wants_bookmarks("romeo"));
    bookmark(&mut host, &[("juliet@example.org", Setting::Never)]);
    assert!(!host.engine.wants_bookmarks("romeo"));
    host.engine.bookmarks_changed("romeo");
    assert!(host.engine.on_offline(host.event(), &CHAT).is_err() && host.engine.wants_bookmarks("romeo"));
    host.engine.load_bookmarks(host.now, "romeo", None::<std::iter::Empty<(&str, Setting)>>);
    assert_eq!(host.offline(&CHAT).len(), 1, "what cannot be read silences nobody");
    host.after(61 * SECOND);
    assert!(host.engine.on_offline(host.event(), &CHAT).is_err());
    // Without mod_pep the shim has none to give.
    let devices = || vec![registration("push.example", "phone", 1)];
    host.engine.load("romeo", devices(), false);
    assert_eq!(host.offline(&CHAT).len(), 1, "a user who is loaded is not asked for again");
    host.engine.bookmarks_can_be_read();
    assert!(host.engine.on_offline(host.event(), &CHAT).is_err(), "mod_pep is there");
    // Without a device nobody needs them.
    host.engine.load("romeo", vec![], false);
    assert!(host.offline(&CHAT).is_empty() && !host.engine.wants_bookmarks("romeo"));
}

#[test]
fn what_is_held_leaves_no_more_once_it_is_read() {
    let mut host = with(Config::default());
    assert_eq!(host.offline(&message("1")).len(), 1);
    assert!(host.offline(&message("2")).is_empty());
    assert!(host.offline(&message("3")).is_empty());
    reads_juliet(&mut host, "2");
    assert!(reason(&host).is_none(), "the third is not read");
    reads_juliet(&mut host, "3");
    assert_eq!(reason(&host), Some(Reason::ReadElsewhere));
    assert!(host.after(20 * SECOND).leaving().is_empty());
    assert!(host.offline(&message("2")).is_empty(), "nor when it comes again");
    assert_eq!(reason(&host), Some(Reason::ReadElsewhere));
}

#[test]
fn what_is_held_for_two_chats_leaves_until_both_are_read() {
    let nurse = Message { from: Some("nurse@example.org/x"), dedup_key: Some("n"), ..CHAT };
    for last in [None, Some("n")] {
        let mut host = with(Config::default());
        host.offline(&message("1"));
        host.offline(&message("2"));
        host.offline(&nurse);
        reads_juliet(&mut host, "2");
        if let Some(id) = last {
            read(&mut host, "nurse@example.org", Name::Archive(id));
        }
        assert_eq!(host.after(20 * SECOND).leaving().len(), usize::from(last.is_none()));
    }
}

#[test]
fn stanzas_that_waited_together_are_all_in_the_push_that_is_held() {
    let mut host = with(Config::default());
    assert_eq!(host.queued(&[&message("0")]), [0]);
    host.queued(&[&message("1"), &message("2")]);
    reads_juliet(&mut host, "1");
    assert_eq!(host.after(20 * SECOND).leaving().len(), 1, "the second is not read");
}

#[test]
fn what_is_owed_leaves_no_more_once_it_is_read() {
    let mut host = with(one_by_one());
    let push = host.offline(&message("1")).remove(0);
    host.answer_here(&push, "remote-server-timeout");
    host.engine.unwritten(usize::MAX);
    reads_juliet(&mut host, "1");
    assert_eq!(reason(&host), Some(Reason::ReadElsewhere));
    let written = host.engine.unwritten(usize::MAX);
    assert!(written.len() == 1 && written[0].1.values().all(|record| record.owed.is_none()), "nor after a restart");
    assert!(host.after(700 * SECOND).leaving().is_empty());
    assert!(host.offline(&message("1")).is_empty());
}

#[test]
fn a_push_that_fails_is_not_owed_if_its_message_was_read_meanwhile() {
    let mut host = with(one_by_one());
    let push = host.offline(&message("1")).remove(0);
    reads_juliet(&mut host, "1");
    host.answer_here(&push, "remote-server-timeout");
    assert!(host.after(700 * SECOND).leaving().is_empty());
}

#[test]
fn what_nobody_can_have_read_is_owed_all_the_same() {
    let mut host = with(one_by_one());
    let ping = host.ping().remove(0);
    host.answer_here(&ping, "remote-server-timeout");
    let push = host.offline(&message("1")).remove(0);
    host.answer_here(&push, "remote-server-timeout");
    reads_juliet(&mut host, "1");
    assert_eq!(host.after(700 * SECOND).leaving().len(), 1, "the ping is no message");
}

#[test]
fn a_marker_names_a_message_by_its_sender_s_or_its_room_s_id() {
    for (chat, message) in [
        ("juliet@example.org", Message { extracts: Some("em1"), ..message("1") }),
        (ROOM, Message { extracts: Some("em1"), dedup_key: Some("1"), ..IN_ROOM }),
    ] {
        let mut host = with(Config { coalesce: true, ..Config::default() });
        host.offline(&CHAT);
        host.offline(&Message { dedup_key: Some("0"), extracts: Some("em0"), ..message });
        host.offline(&message);
        read(&mut host, "nurse@example.org", Name::Marker("m1"));
        read(&mut host, chat, Name::Marker("m2"));
        assert_eq!(reason(&host), None);
        read(&mut host, chat, Name::Marker("m1"));
        assert_eq!(reason(&host), Some(Reason::ReadElsewhere));
    }
}

#[test]
fn a_message_that_the_user_sent_marks_a_chat_as_read_up_to_there() {
    let mut host = with(Config::default());
    host.offline(&message("1"));
    host.offline(&message("2"));
    let own = Message { from: Some("romeo@example.org/desk"), ..message("own") };
    assert!(host.archived_for("juliet@example.org", &own, &[]).expect("loaded").is_empty());
    reads_juliet(&mut host, "own");
    assert_eq!(reason(&host), Some(Reason::ReadElsewhere));
}

#[test]
fn a_device_takes_away_what_was_read_if_it_is_asked_for() {
    for take_away in [false, true] {
        let devices = ["phone", "tablet", "watch"].map(|node| registration("push.example", node, 1));
        let mut host = Host::new(Config { take_away, ..one_by_one() }, devices.into());
        assert_eq!(host.offline(&message("1")).len(), 3);
        host.engine.on_resumed(host.now, "romeo", "push.example<watch");
        let read = Read { chat: "juliet@example.org", message: Name::Archive("1") };
        let pushes = host.engine.on_read(host.event(), &read, Some("push.example<tablet"), Holders::default());
        let pushes = pushes.expect("loaded");
        assert_eq!(nodes(&pushes.list), if take_away { vec!["phone"] } else { vec![] });
        assert!(!pushes.important, "silently");
        let again = host.engine.on_read(host.event(), &read, None, Holders::default()).expect("loaded");
        assert!(again.list.is_empty(), "once");
    }
}

fn patient() -> Host {
    with(Config { patience: PATIENCE, ..Config::default() })
}

/// A message while another client was active a moment ago.
fn at_desk(key: &'static str, now: Millis) -> Message<'static> {
    let extracts: &'static str = Box::leak(format!("a{} ", now / SECOND - 5).into_boxed_str());
    Message { extracts: Some(extracts), ..message(key) }
}

#[test]
fn a_push_waits_while_the_user_is_at_another_client() {
    let mut host = patient();
    let (one, two) = (at_desk("1", host.now.wall), at_desk("2", host.now.wall + 30 * SECOND));
    assert!(host.offline(&one).is_empty());
    assert_eq!(host.engine.decisions("romeo").next().map(|decision| decision.outcome), Some(Outcome::Waits));
    host.after(30 * SECOND);
    assert!(host.offline(&two).is_empty());
    assert_eq!(host.next(), Some(30 * SECOND));
    assert!(host.after(30 * SECOND - 1).leaving().is_empty());
    assert_eq!(host.after(1).released(), [("phone".to_owned(), true)], "for both");
    assert!(host.after(PATIENCE).leaving().is_empty());
}

#[test]
fn a_session_hibernates_on_while_its_push_waits() {
    let mut host = patient();
    let message = at_desk("1", host.now.wall);
    let (event, done) = (host.event(), Done::default());
    let queued = host.engine.on_queued(event, "push.example<phone", done, &message, Holders::default());
    assert!(!queued.expect("loaded").alerted);
}

#[test]
fn a_push_that_waits_leaves_no_more_once_it_is_read() {
    let mut host = patient();
    let (one, two) = (at_desk("1", host.now.wall), at_desk("2", host.now.wall));
    host.offline(&one);
    host.offline(&two);
    reads_juliet(&mut host, "1");
    reads_juliet(&mut host, "2");
    assert_eq!(reason(&host), Some(Reason::ReadElsewhere));
    assert!(host.after(PATIENCE).leaving().is_empty());
    assert_eq!(host.engine.unwritten(usize::MAX).into_iter().map(|(_, records)| records.len()).sum::<usize>(), 0);
}

#[test]
fn calls_and_silent_pushes_and_pushes_to_an_idle_user_do_not_wait() {
    let mut host = patient();
    let call = Some(Call { peer: Some("juliet@example.org"), id: "c" });
    let desk = at_desk("1", host.now.wall);
    assert_eq!(host.offline(&Message { word: facts::CALL, call, ..desk }).len(), 1);
    assert_eq!(host.offline(&Message { word: RECEIPT, ..desk }).len(), 1);
    assert_eq!(host.offline(&message("2")).len(), 1, "no other client");
    let long_ago = at_desk("3", host.now.wall - PATIENCE);
    host.after(2 * SECOND);
    let push = host.offline(&long_ago);
    assert!(push.len() == 1 || host.engine.decisions("romeo").next().unwrap().outcome == Outcome::Held);
}

#[test]
fn a_push_that_waits_survives_the_server() {
    let mut host = patient();
    host.offline(&at_desk("1", host.now.wall));
    assert!(host.engine.release_all(host.now).is_empty());
    let records = host.engine.last_unwritten(host.now).remove(0).1;
    let mut after = patient();
    after.now = host.now.after(20 * SECOND);
    after.engine.recall(after.now, "romeo", records);
    assert!(after.after(40 * SECOND - 1).leaving().is_empty());
    assert_eq!(after.after(1).leaving().len(), 1);
}

#[test]
fn a_push_that_waits_ends_with_its_registration_and_when_its_client_is_back() {
    let cases: [fn(&mut Host); 3] = [
        |host| host.engine.on_resumed(host.now, "romeo", "push.example<phone"),
        |host| host.engine.load("romeo", vec![], false),
        |host| host.engine.forget("romeo"),
    ];
    for case in cases {
        let mut host = patient();
        host.offline(&at_desk("1", host.now.wall));
        case(&mut host);
        assert!(host.after(PATIENCE).leaving().is_empty());
    }
}

#[test]
fn of_patience_and_grace_the_longer_one_counts() {
    for (grace, patience, waits) in [(144, PATIENCE, false), (30, PATIENCE, true), (144, 0, false)] {
        let rule =
            Match { profile: Profile::Important, grace: Some(grace), chats: Box::new([]), send: Send::NotifyOnly };
        let asked = Asked { client: "c".into(), matches: [rule].into() };
        let config = Config { patience, ..one_by_one() };
        let mut host = Host::<Push2>::speaking(config, vec![Registration::new("phone", "push.example", asked, 1)]);
        assert!(host.offline(&at_desk("1", host.now.wall)).is_empty());
        assert_eq!(reason(&host), (!waits).then_some(Reason::ActiveElsewhere), "{grace} {patience}");
        assert_eq!(host.after(PATIENCE).leaving().len(), usize::from(waits));
    }
}

#[test]
fn content_is_there_when_the_push_leaves() {
    let mut host = with(Config { patience: PATIENCE, with_body: true, ..Config::default() });
    for (key, body) in [("1", "one"), ("2", "two")] {
        host.offline(&Message { body: Some(body), ..at_desk(key, host.now.wall) });
    }
    host.after(PATIENCE);
    let leaving = host.engine.release(host.now);
    let bodies: Vec<_> = leaving.iter().map(|leaving| leaving.body.as_deref()).collect();
    assert_eq!(bodies, [Some("one"), Some("two")]);
}

#[test]
fn what_is_read_is_known_after_reloads_whenever_the_registrations_are_loaded() {
    let mut host = with(one_by_one());
    host.offline(&message("told"));
    reads_juliet(&mut host, "told");
    for is_loaded_before in [false, true] {
        for _ in 0..3 {
            let state = serde_json::to_string(&host.engine.save()).expect("it is text");
            host = with(one_by_one());
            if !is_loaded_before {
                host.engine.forget("romeo");
            }
            host.engine.restore(serde_json::from_str(&state).expect("it is a state"));
        }
        host.engine.load("romeo", vec![registration("push.example", "phone", 2)], false);
        assert!(host.offline(&message("told")).is_empty());
        assert_eq!(reason(&host), Some(Reason::ReadElsewhere));
    }
}

#[test]
fn a_reload_forgets_nothing_of_what_is_read_and_of_what_waits() {
    let mut host = patient();
    host.offline(&message("told"));
    host.offline(&at_desk("1", host.now.wall));
    reads_juliet(&mut host, "told");
    let records = host.engine.last_unwritten(host.now).remove(0).1;
    let state = serde_json::to_string(&host.engine.save()).expect("it is text");
    for reads in [false, true] {
        let mut after = patient();
        after.now = host.now;
        after.engine.recall(after.now, "romeo", records.clone());
        after.engine.restore(serde_json::from_str(&state).expect("it is a state"));
        assert!(after.offline(&message("told")).is_empty());
        assert_eq!(reason(&after), Some(Reason::ReadElsewhere));
        if reads {
            reads_juliet(&mut after, "1");
        }
        assert_eq!(after.after(PATIENCE).leaving().len(), usize::from(!reads));
    }
}
