//! Tigase's extensions: filters on senders, and pushes that only the device can decrypt.

mod support;

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD};
use minidom::Element;
use proptest::prelude::*;
use prosody_push::context::Event;
use prosody_push::ns;
use prosody_push::reason::Reason;
use prosody_push::registration::Registration;
use prosody_push::registration::holders::Holders;
use prosody_push::rules::facts::{
    BODY, CALL, CALL_OVER, CONTACT, Call, EME, ERROR, GROUPCHAT, INVITATION, Message, PROCEED, RECEIPT, RETRACT,
    STRANGER, SUBSCRIBE,
};
use prosody_push::rules::importance::{Importance, judge};
use prosody_push::tigase::encrypt::{Aes128Gcm, Encrypted, Encryption, key};
use prosody_push::tigase::filter::{Allow, Filter, Room};
use prosody_push::tigase::{Extensions, Settings};
use prosody_push::xep0357::Payload;
use prosody_push::xep0357::asked::Asked;
use serde_json::{Value, json};
use std::collections::HashSet;
use support::{Dom, Host, nodes, not_random, one_by_one, registration};

const KEY: [u8; 16] = *b"sixteen bytes ok";
const ON: Extensions = Extensions { encrypted: true, encrypted_elsewhere: false, filters: true, priority: true };

fn with(settings: Settings) -> Registration<Asked> {
    let mut registration = registration("push.example", "phone", 1);
    registration.asked.tigase = Some(settings.into());
    registration
}

fn filtering(filter: Filter) -> Host {
    let mut host = Host::new(one_by_one(), vec![with(Settings { filter, encryption: None })]);
    host.engine.protocol_mut().extensions = ON;
    host
}

fn encrypting(max_size: Option<usize>) -> Aes128Gcm {
    Aes128Gcm { key: KEY, max_size, omemo: Some("1325".into()) }
}

fn from<'a>(from: &'a str, word: u64) -> Message<'a> {
    Message { word: BODY | word, from: Some(from), body: Some("Romeo?"), ..Message::default() }
}

fn rings(host: &mut Host, message: &Message) -> bool {
    !nodes(&host.offline(message)).is_empty()
}

/// Encrypts the content for a message. Returns what [`open`] returns.
fn read(encryption: &Aes128Gcm, message: Option<&Message>) -> (Element, Value) {
    let importance = message.map_or(Importance::Important, |message| judge(message.word).expect("it wakes a device"));
    open(&encryption.apply(message, importance, "a secret", not_random))
}

/// Decrypts `<encrypted>` as the device does. Returns the element and the JSON in it.
fn open(encrypted: &Encrypted) -> (Element, Value) {
    let mut dom = Dom::default();
    let Ok(()) = encrypted.write(&mut dom);
    let element = dom.take();
    let iv = BASE64.decode(element.attr("iv").expect("an IV")).expect("base64");
    let mut text = BASE64.decode(element.text()).expect("base64");
    let opening = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &KEY).expect("a key"));
    let nonce = Nonce::try_assume_unique_for_key(&iv).expect("12 bytes");
    let plain = opening.open_in_place(nonce, Aad::empty(), &mut text).expect("the tag is right");
    (element, serde_json::from_slice(plain).expect("JSON"))
}

#[test]
fn a_stranger_does_not_wake_a_device_that_ignores_unknown_senders() {
    let filter = || Filter { ignore_unknown: true, ..Filter::default() };
    let juliet = "juliet@example.org/balcony";
    assert!(rings(&mut filtering(filter()), &from(juliet, CONTACT)));
    assert!(!rings(&mut filtering(filter()), &from(juliet, STRANGER)));
    assert!(!rings(&mut filtering(filter()), &from(juliet, STRANGER | CALL)), "a stranger's call is filtered, too");
    assert!(
        rings(&mut filtering(filter()), &from("room@rooms.example/nick", STRANGER | GROUPCHAT)),
        "a room is no stranger"
    );
    assert!(
        rings(&mut filtering(filter()), &from("room@rooms.example", STRANGER | INVITATION)),
        "a room's invitation is not filtered"
    );
    assert!(
        !rings(&mut filtering(filter()), &from("juliet@example.org/x", STRANGER | INVITATION)),
        "a stranger's invitation is filtered"
    );
    assert!(rings(&mut filtering(Filter::default()), &from(juliet, STRANGER)));
}

#[test]
fn the_roster_is_needed_only_if_a_device_ignores_unknown_senders() {
    let host = filtering(Filter { ignore_unknown: true, ..Filter::default() });
    assert!(host.engine.asks_for_roster("romeo", BODY));
    assert!(!host.engine.asks_for_roster("romeo", BODY | CONTACT));
    assert!(!host.engine.asks_for_roster("romeo", BODY | STRANGER));
    assert!(!filtering(Filter::default()).engine.asks_for_roster("romeo", BODY));
}

#[test]
fn a_message_from_a_muted_contact_wakes_no_device() {
    let filter = || Filter { muted: ["juliet@example.org".into()].into(), ..Filter::default() };
    assert!(!rings(&mut filtering(filter()), &from("juliet@example.org/balcony", 0)));
    assert!(!rings(&mut filtering(filter()), &from("juliet@example.org", 0)));
    assert!(rings(&mut filtering(filter()), &from("juliet@example.orgs", 0)));
}

#[test]
fn a_filter_for_a_room_allows_all_messages_none_or_mentions() {
    let room = |allow| Room { jid: "room@rooms.example".into(), allow, nick: Some("Monty".into()) };
    let filter = |allow| filtering(Filter { rooms: [room(allow)].into(), ..Filter::default() });
    let says = |body, extracts| Message { body: Some(body), extracts, ..from("room@rooms.example/juliet", GROUPCHAT) };
    assert!(rings(&mut filter(Allow::Always), &says("hi", None)));
    assert!(!rings(&mut filter(Allow::Never), &says("Monty!", None)));
    assert!(!rings(&mut filter(Allow::Mentioned), &says("hi", None)));
    assert!(rings(&mut filter(Allow::Mentioned), &says("hi, monty!", None)));
    assert!(!rings(&mut filter(Allow::Mentioned), &says("montys", None)));
    for more in ["mromeo@example.org", "mroom@rooms.example/Monty", "daudio\0mx@y\0mromeo@example.org"] {
        assert!(rings(&mut filter(Allow::Mentioned), &says("hi", Some(more))), "{more}");
    }
    for more in ["mromeo@example.com", "mroom@rooms.example/Other", "dromeo@example.org"] {
        assert!(!rings(&mut filter(Allow::Mentioned), &says("hi", Some(more))), "{more}");
    }
    let elsewhere = from("other@rooms.example/juliet", GROUPCHAT);
    assert!(rings(&mut filter(Allow::Never), &elsewhere), "a room that is not listed");
}

#[test]
fn a_filtered_message_causes_no_push_and_no_alert() {
    let mut host = filtering(Filter { muted: ["juliet@example.org".into()].into(), ..Filter::default() });
    let message = from("juliet@example.org/x", 0);
    let queued =
        host.engine.on_queued(host.event(), "push.example<phone", Default::default(), &message, Holders::default());
    let queued = queued.expect("romeo is loaded");
    assert!(queued.pushes.list.is_empty() && !queued.alerted);
}

#[test]
fn an_extension_that_is_off_filters_nothing() {
    let filter = Filter { muted: ["juliet@example.org".into()].into(), ..Filter::default() };
    let mut host = Host::new(one_by_one(), vec![with(Settings { filter, encryption: None })]);
    assert_eq!(host.offline(&from("juliet@example.org/x", 0)).len(), 1);
}

#[test]
fn a_device_that_asks_for_encryption_never_gets_a_plain_push() {
    let device = || {
        let encryption = Some(Encryption::Aes128Gcm(encrypting(None)));
        vec![with(Settings { filter: Filter::default(), encryption })]
    };
    let content = |extensions: Extensions, observed: bool| {
        let mut host = Host::new(one_by_one(), device());
        host.engine.protocol_mut().extensions = extensions;
        let event = Event { observed, ..host.event() };
        let pushes = host.engine.on_offline(event, &from("juliet@example.org/x", 0)).expect("loaded").list;
        matches!(pushes[0].payload, Payload::Encrypted(_))
    };
    let elsewhere = Extensions { encrypted_elsewhere: true, ..Extensions::default() };
    for observed in [false, true] {
        assert!(content(Extensions::default(), observed), "even with the extension off");
        assert!(content(ON, observed));
    }
    assert!(!content(elsewhere, true), "another module encrypts the pushes that it sees");
    assert!(content(elsewhere, false), "another module cannot encrypt a push that it does not see");
}

#[test]
fn the_encrypted_json_describes_the_stanza() {
    let chat = from("juliet@example.org/x", 0);
    let (element, value) = read(&encrypting(None), Some(&chat));
    assert!(element.is("encrypted", ns::TIGASE_ENCRYPT) && element.attr("type").is_none());
    assert_eq!(value, json!({ "unread": 1, "sender": "juliet@example.org", "type": "chat", "message": "Romeo?" }));

    let room = from("room@rooms.example/Juliet", GROUPCHAT);
    let expected = json!({ "unread": 1, "sender": "room@rooms.example", "type": "groupchat", "message": "Romeo?", "nickname": "Juliet" });
    assert_eq!(read(&encrypting(None), Some(&room)).1, expected);

    let call = Message {
        body: None,
        call: Some(Call { peer: Some("juliet@example.org"), id: "sid" }),
        extracts: Some("daudio\0dvideo"),
        ..from("juliet@example.org/x", CALL)
    };
    let (element, value) = read(&encrypting(None), Some(&call));
    assert_eq!(element.attr("type"), Some("voip"));
    assert_eq!(
        value,
        json!({ "unread": 1, "sender": "juliet@example.org/x", "type": "call", "sid": "sid", "media": ["audio", "video"] })
    );

    let secret = Message { body: Some("ciphertext"), ..from("juliet@example.org/x", EME) };
    assert_eq!(read(&encrypting(None), Some(&secret)).1["message"], "a secret");

    let subscribe = Message { word: SUBSCRIBE, from: Some("juliet@example.org"), ..Message::default() };
    assert_eq!(
        read(&encrypting(None), Some(&subscribe)).1,
        json!({ "unread": 1, "sender": "juliet@example.org", "type": "subscribe" })
    );

    assert_eq!(read(&encrypting(None), None).1, json!({ "unread": 1 }), "a ping");
}

/// Siskin and Snikket iOS take a call without `media` for one that is over, and crash at media that they do not know.
#[test]
fn a_call_has_media_that_the_clients_know_even_none() {
    let call = |extracts| Message {
        word: CALL,
        from: Some("juliet@example.org/balcony"),
        call: Some(Call { peer: Some("juliet@example.org"), id: "sid" }),
        extracts,
        ..Message::default()
    };
    for (extracts, media) in [
        (None, json!([])),
        (Some("dchat"), json!([])),
        (Some("dvideo\0daudio\0dvideo\0dtext\0daudio"), json!(["audio", "video"])),
    ] {
        assert_eq!(read(&encrypting(None), Some(&call(extracts))).1["media"], media, "{extracts:?}");
    }
    for max_size in 0..250 {
        let value = read(&encrypting(Some(max_size)), Some(&call(Some("daudio")))).1;
        assert!(value["sid"].is_null() || value["media"].is_array(), "{max_size} bytes: {value}");
    }
    let room = Message { word: CALL | GROUPCHAT, ..call(None) };
    assert_eq!(read(&encrypting(None), Some(&room)).1["type"], "call", "an invite in a room");
    let bounced = Message { word: CALL | ERROR, ..call(Some("daudio")) };
    let (element, value) = read(&encrypting(None), Some(&bounced));
    assert_eq!((element.attr("type"), &value["type"]), (None, &Value::Null), "an error rings nothing");
}

#[test]
fn the_end_of_a_call_names_the_call_and_the_other_end() {
    let call = Some(Call { peer: Some("juliet@example.org"), id: "sid" });
    let says = |from, word| Message { word, from: Some(from), call, ..Message::default() };
    let (juliet, laptop) = ("juliet@example.org/x", "romeo@example.org/laptop");
    let host = || {
        let encryption = Some(Encryption::Aes128Gcm(encrypting(None)));
        Host::new(one_by_one(), vec![with(Settings { encryption, ..Settings::default() })])
    };
    for (sender, end) in [(juliet, RETRACT), (juliet, CALL_OVER), (laptop, CALL_OVER), (laptop, PROCEED)] {
        let mut host = host();
        let mut said = |message: Message| {
            let to = if message.from == Some(juliet) { "romeo@example.org" } else { juliet };
            let pushes = host.archived_for(to, &message, &[]).expect("loaded");
            match &pushes[..] {
                [push] => match &push.payload {
                    Payload::Encrypted(encrypted) => open(encrypted),
                    Payload::Summary => panic!("it is not encrypted"),
                },
                pushes => panic!("{} pushes", pushes.len()),
            }
        };
        assert_eq!(said(says(juliet, CALL)).0.attr("type"), Some("voip"));
        let (element, value) = said(says(sender, end));
        assert_eq!(element.attr("type"), None, "a push to PushKit has to ring");
        let expected = json!({ "unread": 1, "sender": "juliet@example.org", "type": "call", "sid": "sid" });
        assert_eq!(value, expected, "{sender} {end}");
    }
    let mut host = host();
    host.archived(&says(juliet, CALL), &[]);
    let to_account = Message { call: Some(Call { peer: None, id: "sid" }), ..says(laptop, CALL_OVER) };
    assert!(host.archived(&to_account, &[]).is_empty(), "it does not name the caller");
    assert_eq!(host.archived_for(juliet, &says(laptop, PROCEED), &[]).expect("loaded").len(), 1, "the next one does");
    let word = CALL_OVER | BODY;
    let text = Message { word, call, ..from(juliet, 0) };
    assert_eq!(read(&encrypting(None), Some(&text)).1["type"], "chat", "a text is shown");
}

#[test]
fn the_omemo_ciphertext_is_included_if_it_is_for_the_device_and_fits() {
    let extracts = "s27183\0k31415 b3RoZXI=\0k1325 a2V5\0k13250 bm90\0iaXY=\0pZGF0YQ==";
    let message = Message { extracts: Some(extracts), ..from("juliet@example.org/x", EME) };
    let value = read(&encrypting(None), Some(&message)).1;
    assert_eq!(value["omemo"], json!({ "keys": ["a2V5"], "sid": "27183", "iv": "aXY=", "data": "ZGF0YQ==" }));
    let value = read(&encrypting(Some(150)), Some(&message)).1;
    assert_eq!(
        (&value["omemo"], &value["message"]),
        (&Value::Null, &json!("a secret")),
        "the ciphertext is left out first"
    );
    let others = Message { extracts: Some("s27183\0k31415 b3RoZXI=\0iaXY=\0pZGF0YQ=="), ..message };
    assert_eq!(read(&encrypting(None), Some(&others)).1["omemo"], Value::Null);
}

#[test]
fn a_device_with_unusable_encryption_gets_no_push() {
    let encryption = Some(Encryption::Unusable(Reason::InvalidKey));
    let mut host = Host::new(one_by_one(), vec![with(Settings { encryption, ..Settings::default() })]);
    host.engine.protocol_mut().extensions = ON;
    assert!(host.offline(&from("juliet@example.org/x", 0)).is_empty());
}

#[test]
fn a_key_is_16_bytes_in_base64() {
    assert_eq!(key(&format!(" {}\n", BASE64.encode(KEY))), Some(KEY));
    assert_eq!(key(&URL_SAFE_NO_PAD.encode(KEY)), Some(KEY), "base64url, as for Push 2.0");
    for not in [String::new(), BASE64.encode(&KEY[1..]), BASE64.encode([0; 17]), "?".repeat(24)] {
        assert_eq!(key(&not), None, "{not}");
    }
    assert!(!format!("{:?}", Encryption::Aes128Gcm(encrypting(None))).contains("115"), "Debug prints no key");
}

#[test]
fn a_silent_push_has_no_text() {
    let message =
        Message { word: RECEIPT, body: Some("👍"), from: Some("juliet@example.org/x"), ..Message::default() };
    let expected = json!({ "unread": 1, "sender": "juliet@example.org", "type": "chat" });
    assert_eq!(read(&encrypting(None), Some(&message)).1, expected);
}

proptest! {
    #[test]
    fn an_encrypted_payload_fits_for_any_message_and_cuts_no_character(
        body in "(\\PC|\"|👨‍👩‍👧){0,600}",
        sender in "[a-z]{1,1000}@[a-z]{1,1000}/(\\PC|\"){0,900}",
        id in "[ -~]{0,300}",
        word in prop_oneof![Just(BODY), Just(BODY | GROUPCHAT), Just(CALL)],
        max_size in proptest::option::of(0usize..8000),
    ) {
        let media = "daudio\0dvideo";
        let call = Some(Call { peer: Some("juliet@example.org"), id: &id });
        let message = Message { word, from: Some(&sender), body: Some(&body), call, extracts: Some(media), ..Message::default() };
        let (element, value) = read(&encrypting(max_size), Some(&message));
        prop_assert!(value["sid"].is_null() || value["media"].is_array(), "it would be the end of the call");
        let text = value["message"].as_str().unwrap_or("");
        prop_assert!(text.len() <= 255 && body.starts_with(text));
        // The smallest object takes 40 bytes when it is encrypted.
        let most = max_size.unwrap_or(3072).clamp(40, 3072);
        prop_assert!(element.text().len() <= most, "{} of {most} bytes", element.text().len());
        if sender.len() < 500 && max_size.is_none_or(|size| size > 2800) {
            prop_assert!(value["sender"].is_string());
            prop_assert!(word == CALL || text == body || text.len() > 200, "the text uses the room that there is");
        }
    }

    #[test]
    fn no_iv_is_used_twice(count in 1usize..500) {
        let ivs: HashSet<_> = (0..count).map(|_| read(&encrypting(None), None).0.attr("iv").map(str::to_owned)).collect();
        prop_assert_eq!(ivs.len(), count);
    }
}
