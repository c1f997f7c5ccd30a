//! A user's many encrypted clients: their pushes are spread over turns of the event loop.

use prosody_push::config::Config;
use prosody_push::push2::asked::{Match, Profile};
use prosody_push::push2::notification::Payload;
use prosody_push::registration::Registration;
use prosody_push::rules::facts::{BODY, Message};

use crate::reader::{Reader, open, text_of};
use crate::support::{Host, SECOND, one_by_one};
use crate::{CHAT, Push2, again, body, client, message, rule, speaking};

const CLIENTS: usize = 20;

fn identifiers() -> Vec<String> {
    (0..CLIENTS).map(|i| format!("client{i:02}")).collect()
}

fn encrypted(reader: &Reader, identifiers: &[String]) -> Vec<Registration<prosody_push::push2::asked::Asked>> {
    let sends = || Match { send: reader.sends(None), ..rule(Profile::Important) };
    identifiers
        .iter()
        .map(|identifier| {
            let mut client = client(identifier, vec![sends()]);
            client.asked.client = identifier.as_str().into();
            client
        })
        .collect()
}

/// Decrypts the pushes of a turn. Returns the client and the text of each.
fn read(reader: &Reader, pushes: &[prosody_push::engine::Push<Push2>]) -> Vec<(String, String)> {
    let text = |payload: &Payload| text_of(&open(&reader.read(payload.encrypted.as_ref().expect("a payload"))));
    pushes.iter().map(|push| (push.registration.identifier.to_string(), text(&push.payload).expect("a text"))).collect()
}

fn says(host: &mut Host<Push2>, text: &'static str) -> Vec<prosody_push::engine::Push<Push2>> {
    let stanza = move || Some(message(vec![body(text)]));
    host.offline(&Message { word: BODY, dedup_key: Some(text), stanza: Some(&stanza), ..CHAT })
}

#[test]
fn four_pushes_leave_at_once_and_four_in_each_turn_in_order() {
    let reader = Reader::new();
    let mut host = speaking(one_by_one(), encrypted(&reader, &identifiers()));
    let mut told = read(&reader, &says(&mut host, "a"));
    assert_eq!(told.len(), 4);
    for _ in 0..4 {
        assert_eq!(host.engine.timer(host.now), Some(0), "the next turn");
        let turn = read(&reader, &again(&mut host));
        assert_eq!(turn.len(), 4);
        told.extend(turn);
    }
    assert!(again(&mut host).is_empty() && host.engine.timer(host.now) != Some(0));
    let expected: Vec<_> = identifiers().into_iter().map(|identifier| (identifier, "a".to_owned())).collect();
    assert_eq!(told, expected);
}

#[test]
fn no_push_overtakes_another_and_a_flood_does_not_pile_up() {
    let reader = Reader::new();
    let mut host = speaking(one_by_one(), encrypted(&reader, &identifiers()));
    let mut told = read(&reader, &says(&mut host, "a"));
    told.extend(read(&reader, &says(&mut host, "b")));
    assert_eq!(told.len(), 4, "the second waits for the first");
    let mut turns = 0;
    while host.engine.timer(host.now) == Some(0) {
        told.extend(read(&reader, &again(&mut host)));
        turns += 1;
    }
    assert!((6..=9).contains(&turns), "{turns}");
    let of =
        |text: &str| told.iter().filter(|(_, said)| said == text).map(|(identifier, _)| identifier.clone()).collect();
    let (first, second): (Vec<_>, Vec<_>) = (of("a"), of("b"));
    assert_eq!((&first, &second), (&identifiers(), &identifiers()));
    let place = |entry: &(String, String)| told.iter().position(|told| told == entry);
    for identifier in identifiers() {
        assert!(place(&(identifier.clone(), "a".into())) < place(&(identifier, "b".into())));
    }
}

#[test]
fn waiting_pushes_leave_when_the_server_stops_or_the_module_is_reloaded() {
    let reader = Reader::new();
    let mut host = speaking(one_by_one(), encrypted(&reader, &identifiers()));
    assert_eq!(says(&mut host, "a").len(), 4);
    let rest: Vec<_> = host.engine.release_all(host.now).into_iter().map(|leaving| leaving.push).collect();
    assert_eq!(read(&reader, &rest).len(), CLIENTS - 4);
    assert!(again(&mut host).is_empty());
}

#[test]
fn waiting_pushes_of_a_deleted_user_or_an_ended_registration_are_dropped() {
    let reader = Reader::new();
    let mut host = speaking(one_by_one(), encrypted(&reader, &identifiers()));
    assert_eq!(says(&mut host, "a").len(), 4);
    host.engine.load("romeo", encrypted(&reader, &identifiers()[..10]), false);
    let told: Vec<_> = host.engine.release_all(host.now).into_iter().map(|leaving| leaving.push).collect();
    assert_eq!(read(&reader, &told).len(), 6);
    for forget in [(|host: &mut Host<Push2>| host.engine.forget("romeo")) as fn(&mut Host<Push2>), |host| {
        let reader = Reader::new();
        host.engine.load("romeo", encrypted(&reader, &identifiers()), true);
    }] {
        let mut host = speaking(one_by_one(), encrypted(&reader, &identifiers()));
        assert_eq!(says(&mut host, "a").len(), 4);
        forget(&mut host);
        assert!(host.engine.release_all(host.now).is_empty());
    }
}

#[test]
fn a_push_that_waits_for_its_turn_is_not_the_push_that_tries_a_service() {
    let reader = Reader::new();
    let mut clients = encrypted(&reader, &identifiers()[..5]);
    let [_, _, _, _, last] = &mut clients[..] else { panic!("five clients") };
    let asked = std::mem::take(&mut last.asked);
    *last = Registration::new("last", "away.example", asked, 2);
    let mut host = speaking(one_by_one(), clients);
    let to_last = |pushes: &[prosody_push::engine::Push<Push2>]| {
        pushes.iter().map(|push| push.registration.jid().to_owned()).collect::<Vec<_>>() == ["away.example"]
    };
    for _ in 0..10 {
        assert_eq!(host.offline(&CHAT).len(), 4);
        let in_turn = again(&mut host);
        assert!(to_last(&in_turn));
        host.answer_here(&in_turn[0], "remote-server-not-found");
    }
    host.engine.on_resumed(host.now, "romeo", "last");
    assert_eq!(host.after(4 * SECOND).offline(&CHAT).len(), 4);
    assert!(to_last(&again(&mut host)), "the service may be tried, and the push is the first to do so");
}

#[test]
fn a_push_that_has_waited_and_waits_for_its_turn_is_not_the_push_that_tries_a_service() {
    let reader = Reader::new();
    let config = Config { patience: 60 * SECOND, ..one_by_one() };
    let mut host = speaking(config, encrypted(&reader, &identifiers()[..1]));
    for _ in 0..10 {
        let push = host.offline(&CHAT).remove(0);
        host.answer_here(&push, "remote-server-not-found");
    }
    host.engine.on_resumed(host.now, "romeo", "client00");
    let elsewhere = format!("a{} ", host.now.wall / SECOND);
    assert!(host.offline(&Message { extracts: Some(&elsewhere), ..CHAT }).is_empty());
    assert!(again(host.after(60 * SECOND)).is_empty(), "it is composed in the next turn");
    assert_eq!(again(&mut host).len(), 1);
}
