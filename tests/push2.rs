//! Push 2.0: which stanzas a client is woken for, what it gets, and what failures mean.

mod support;

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD as BASE64_URL};
use minidom::Element as Dom;
use proptest::prelude::*;
use prosody_push::config::Config;
use prosody_push::crypto::hkdf_sha256;
use prosody_push::delivery::{ERROR_TIMEOUT, Gone, SERVICE_PATIENCE};
use prosody_push::element::{Element, Node};
use prosody_push::engine::{Content, Done, Event, Push, Verdict};
use prosody_push::facts::{
    ARCHIVED, BODY, CALL_ENDS, CORRECTED, ENCRYPTED, GROUPCHAT, HEADLINE, Message, NO_STORE, NOTIFICATION, PROPOSE,
    REFLECTED, RETRACT,
};
use prosody_push::ns;
use prosody_push::protocol::Protocol;
use prosody_push::push2::envelope::{LARGEST, envelope};
use prosody_push::push2::jwt::Identity;
use prosody_push::push2::notification::{Notice, Priority};
use prosody_push::push2::registration::{
    Chat, Keys, Match, Profile, Refusal, Send, Settings, Signing, WebPush, decode, service,
};
use prosody_push::registration::{Registration, admit};
use serde_json::{Value, json};
use support::{DAY, Host, SECOND, not_random, one_by_one};

const JULIET: &str = "juliet@example.org/balcony";
const ROOM: &str = "verona@rooms.example.org/juliet";
const CHAT: Message =
    Message { word: BODY, from: Some(JULIET), body: Some("Romeo?"), name: None, call: None, more: None, stanza: None };

fn rule(profile: Profile) -> Match {
    Match { profile, grace: None, chats: [].into(), send: Send::NotifyOnly }
}

fn client(identifier: &str, matches: Vec<Match>) -> Registration {
    let mut registration = Registration::new(identifier, "pusher@push.example", None, None, 1);
    registration.push2 = Some(Settings { client: "https://push.example/abc".into(), matches: matches.into() }.into());
    registration
}

fn host(matches: Vec<Match>) -> Host {
    Host::speaking(Protocol::Push2, one_by_one(), vec![client("phone", matches)])
}

fn notices(pushes: &[Push]) -> Vec<&Notice> {
    let notice = |push| match push {
        &Push { content: Content::Notice(ref notice), .. } => &**notice,
        other => panic!("Push 2.0 sends notices: {other:?}"),
    };
    pushes.iter().map(notice).collect()
}

/// The priority of the push that a message leads to, if it does.
fn pushed(host: &mut Host, message: &Message) -> Option<Priority> {
    let pushes = host.offline(message);
    assert!(pushes.len() < 2, "one device");
    notices(&pushes).first().map(|notice| notice.priority)
}

fn gone(identifier: &str) -> Gone {
    Gone { user: "romeo".into(), identifier: identifier.into() }
}

// Profiles.

#[test]
fn each_profile_matches_what_it_says() {
    let (low, normal, high) = (Some(Priority::Low), Some(Priority::Normal), Some(Priority::High));
    let own = "romeo@example.org/laptop";
    let cases = [
        //  word                           from    all     important  archived  archived-with-body
        ("chat", BODY, JULIET, normal, normal, None, None),
        ("archived chat", BODY | ARCHIVED, JULIET, normal, normal, normal, normal),
        ("end-to-end encrypted", ENCRYPTED | ARCHIVED, JULIET, normal, normal, normal, normal),
        ("receipt", 0, JULIET, low, None, None, None),
        ("archived receipt", ARCHIVED, JULIET, low, None, low, None),
        ("headline", BODY | HEADLINE, JULIET, low, None, None, None),
        ("correction", BODY | CORRECTED | ARCHIVED, JULIET, low, None, low, low),
        ("own, reflected", BODY | GROUPCHAT | REFLECTED, ROOM, low, None, None, None),
        ("own", BODY, own, low, None, None, None),
        ("kept by nobody", NO_STORE, JULIET, low, None, None, None),
        ("call", PROPOSE, JULIET, high, high, high, high),
        ("call kept by nobody", PROPOSE | NO_STORE, JULIET, high, high, high, high),
        ("own call", PROPOSE, own, low, None, None, None),
        ("caller gives up", RETRACT, JULIET, normal, normal, None, None),
        ("call taken", CALL_ENDS & !RETRACT, JULIET, low, None, None, None),
        ("a push", BODY | ARCHIVED | NOTIFICATION, JULIET, None, None, None, None),
    ];
    for (what, word, from, all, important, archived, with_body) in cases {
        let expected = [
            (Profile::All, all),
            (Profile::Important, important),
            (Profile::Archived, archived),
            (Profile::ArchivedWithBody, with_body),
            (
                Profile::Unknown,
                if word == PROPOSE && from == JULIET || word == PROPOSE | NO_STORE { high } else { None },
            ),
        ];
        for (profile, priority) in expected {
            let message = Message { word, from: Some(from), ..CHAT };
            assert_eq!(pushed(&mut host(vec![rule(profile)]), &message), priority, "{what}, {profile:?}");
        }
    }
}

#[test]
fn what_did_not_match_may_match_when_it_comes_again() {
    let mut host = host(vec![rule(Profile::Archived)]);
    let chat = Message { name: Some("a1"), ..CHAT };
    assert_eq!(pushed(&mut host, &chat), None);
    let archived = Message { word: BODY | ARCHIVED, ..chat };
    assert_eq!(pushed(&mut host, &archived), Some(Priority::Normal), "nothing was pushed before");
    assert_eq!(pushed(&mut host, &archived), None, "once");
}

#[test]
fn a_client_that_asks_for_nothing_gets_nothing() {
    assert_eq!(pushed(&mut host(vec![]), &CHAT), None);
    assert_eq!(pushed(&mut host(vec![]), &Message { word: PROPOSE, ..CHAT }), None, "there is no way to send it");
}

#[test]
fn what_rang_hears_that_the_call_ends_whoever_takes_it() {
    let mut host = host(vec![rule(Profile::ArchivedWithBody)]);
    let call = Message { word: PROPOSE, call: Some("c1"), ..CHAT };
    assert_eq!(pushed(&mut host, &call), Some(Priority::High));
    let taken = Message { word: CALL_ENDS & !RETRACT, from: Some("romeo@example.org/laptop"), ..call };
    assert_eq!(notices(&host.archived(&taken, &["phone"]))[0].priority, Priority::Normal, "only a call rings");
}

#[test]
fn a_device_that_ends_the_call_itself_is_not_told() {
    let devices = ["phone", "tablet"].map(|identifier| client(identifier, vec![rule(Profile::Important)]));
    let mut host = Host::speaking(Protocol::Push2, one_by_one(), devices.into());
    let call = Message { word: PROPOSE, call: Some("c1"), ..CHAT };
    assert_eq!(host.offline(&call).len(), 2);
    let taken = Message { word: CALL_ENDS & !RETRACT, from: Some("romeo@example.org/x"), ..call };
    let to = Some("romeo@example.org");
    let event = host.event();
    let pushes = host.engine.on_addressed(event, to, &taken, |_| true, Some("phone")).expect("romeo is loaded");
    let told: Vec<_> = pushes.list.iter().map(|push| &*push.registration.identifier).collect();
    assert_eq!(told, ["tablet"]);
    let finished = Message { from: Some(JULIET), ..taken };
    assert!(host.archived(&finished, &["phone", "tablet"]).is_empty(), "both know");
}

#[test]
fn a_ping_wakes_all_who_ask_for_anything() {
    let mut host = host(vec![rule(Profile::Important)]);
    let pushes = host.ping();
    assert_eq!(notices(&pushes), [&Notice::empty(Priority::Low)]);
}

// Grace.

#[test]
fn a_client_is_left_in_peace_while_another_is_used() {
    let graceful = || Match { grace: Some(144), ..rule(Profile::All) };
    let at = |seconds_ago: u64, holds: &str| {
        let host = host(vec![]);
        format!("a{} {holds}", host.now / SECOND - seconds_ago)
    };
    for (more, is_pushed) in [
        (at(0, ""), false),
        (at(143, ""), false),
        (at(144, ""), true),
        (at(0, "tablet"), false),
        (at(0, "phone"), true),
        (format!("{}\0{}", at(1000, ""), at(3, "tablet")), false),
        ("anonsense\0a".into(), true),
        (String::new(), true),
    ] {
        let message = Message { more: Some(&more), ..CHAT };
        assert_eq!(pushed(&mut host(vec![graceful()]), &message).is_some(), is_pushed, "{more:?}");
        let call = Message { word: PROPOSE, ..message };
        assert!(pushed(&mut host(vec![graceful()]), &call).is_some(), "a call always rings: {more:?}");
        assert!(pushed(&mut host(vec![rule(Profile::All)]), &message).is_some(), "without grace: {more:?}");
    }
}

// Filters.

fn filtered(jid: &str, mention: bool, reply: bool) -> Host {
    let chat = Chat { jid: jid.into(), mention, reply };
    host(vec![Match { chats: [chat].into(), ..rule(Profile::Important) }])
}

#[test]
fn a_filter_is_about_a_full_a_bare_or_a_host_s_jid() {
    for (jid, is_muted) in [
        ("juliet@example.org/balcony", true),
        ("juliet@example.org", true),
        ("example.org", true),
        ("juliet@example.org/tomb", false),
        ("example.com", false),
        ("juliet", false),
    ] {
        assert_eq!(pushed(&mut filtered(jid, false, false), &CHAT).is_none(), is_muted, "{jid}");
        let call = Message { word: PROPOSE, ..CHAT };
        assert_eq!(pushed(&mut filtered(jid, false, false), &call), Some(Priority::High), "a call always rings: {jid}");
    }
}

#[test]
fn the_most_exact_filter_counts() {
    let chat = |jid: &str, mention| Chat { jid: jid.into(), mention, reply: false };
    let chats = [chat("example.org", false), chat("juliet@example.org", true)].into();
    let mut host = host(vec![Match { chats, ..rule(Profile::Important) }]);
    assert!(pushed(&mut host, &Message { body: Some("romeo, romeo!"), ..CHAT }).is_some());
    assert!(pushed(&mut host, &Message { from: Some("nurse@example.org/x"), body: Some("romeo"), ..CHAT }).is_none());
}

#[test]
fn mentions_and_replies_come_through() {
    let room = "verona@rooms.example.org";
    let other = "mxmpp:verona@rooms.example.org/juliet";
    for (body, more, is_mention, is_reply) in [
        ("hello all", "", false, false),
        ("Romeo: hi", "", true, false),
        ("hi Monty", "nMonty", true, false),
        ("hi Montyx", "nMonty", false, false),
        ("hello", "mxmpp:romeo@example.org", true, false),
        ("hello", "nMonty\0mxmpp:verona@rooms.example.org/Monty", true, false),
        ("hello", "mxmpp:verona@rooms.example.org/Monty", false, false),
        ("hello", other, false, false),
        ("hello", "nMonty\0rverona@rooms.example.org/Monty", false, true),
        ("hello", "rverona@rooms.example.org/Monty", false, false),
        ("hello", "nMonty\0rother@rooms.example.org/Monty", false, false),
        ("hello", "rromeo@example.org/x", false, true),
        ("hello", "rverona@rooms.example.org/juliet", false, false),
    ] {
        let message = Message { word: BODY | GROUPCHAT, from: Some(ROOM), body: Some(body), more: Some(more), ..CHAT };
        let cases = [
            (false, false, false),
            (true, false, is_mention),
            (false, true, is_reply),
            (true, true, is_mention || is_reply),
        ];
        for (mention, reply, expected) in cases {
            let got = pushed(&mut filtered(room, mention, reply), &message).is_some();
            assert_eq!(got, expected, "{body:?}, {more:?}, mention {mention}, reply {reply}");
        }
    }
}

// Content.

/// The client's side.
struct Reader {
    private: PrivateKey,
}

const AUTH: [u8; 16] = *b"sixteen bytes ok";

impl Reader {
    fn new() -> Reader {
        Reader { private: PrivateKey::generate(&ECDH_P256).expect("a key") }
    }

    fn point(&self) -> Vec<u8> {
        self.private.compute_public_key().expect("a public key").as_ref().to_vec()
    }

    fn sends(&self, signing: Option<Signing>) -> Send {
        Send::Encrypted(Keys::new(&BASE64_URL.encode(self.point()), &BASE64.encode(AUTH), signing).into())
    }

    /// RFC 8188 and RFC 8291 from the other end.
    fn read(&self, payload: &str) -> String {
        assert!(payload.len() <= 4096, "{} bytes on the wire", payload.len());
        let body = BASE64.decode(payload).expect("base64");
        let (salt, rest) = body.split_at(16);
        assert_eq!(rest[..5], [0, 0, 16, 0, 65], "record size 4096, a key of 65 bytes");
        let (theirs, sealed) = rest[5..].split_at(65);
        let theirs = UnparsedPublicKey::new(&ECDH_P256, theirs);
        let secret = agree(&self.private, theirs, (), |secret| Ok(secret.to_vec())).expect("a secret");
        let input: [u8; 32] = hkdf_sha256(&AUTH, &secret, &[b"WebPush: info\0", &self.point(), theirs.bytes()]);
        let key: [u8; 16] = hkdf_sha256(salt, &input, &[b"Content-Encoding: aes128gcm\0"]);
        let nonce: [u8; 12] = hkdf_sha256(salt, &input, &[b"Content-Encoding: nonce\0"]);
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).expect("a key"));
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        let text = key.open_in_place(nonce, Aad::empty(), &mut sealed).expect("the tag is right");
        assert_eq!(text.last(), Some(&2), "the last record");
        String::from_utf8(text[..text.len() - 1].to_vec()).expect("UTF-8")
    }
}

fn element(name: &str, attrs: &[(&str, &str)], children: Vec<Node>) -> Element {
    Element {
        name: name.into(),
        attrs: attrs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        children: children.into(),
    }
}

fn body(text: &str) -> Node {
    Node::Element(element("body", &[], vec![Node::Text(text.into())]))
}

fn message(children: Vec<Node>) -> Element {
    let attrs = [("from", JULIET), ("id", "m1"), ("to", "romeo@example.org"), ("type", "chat"), ("xml:lang", "en")];
    element("message", &attrs, children)
}

/// The stanza in an envelope.
fn open(envelope: &str) -> Dom {
    let envelope: Dom = envelope.parse().unwrap_or_else(|error| panic!("{error}: {envelope}"));
    assert!(envelope.is("envelope", ns::SCE));
    let content = envelope.get_child("content", ns::SCE).expect("content");
    let forwarded = content.get_child("forwarded", ns::FORWARD).expect("forwarded");
    forwarded.children().next().expect("a stanza").clone()
}

fn text_of(stanza: &Dom) -> Option<String> {
    stanza.get_child("body", ns::CLIENT).map(Dom::text)
}

fn archive_ids(stanza: &Dom) -> Vec<(&str, &str)> {
    let ids = stanza.children().filter(|child| child.is("stanza-id", ns::STANZA_ID));
    ids.map(|id| (id.attr("by").unwrap_or(""), id.attr("id").unwrap_or(""))).collect()
}

#[test]
fn a_client_reads_the_stanza_with_its_id_in_the_archive() {
    let reader = Reader::new();
    let matches = vec![rule(Profile::All), Match { send: reader.sends(None), ..rule(Profile::Important) }];
    let mut host = host(matches);
    let forged =
        element("stanza-id", &[("xmlns", ns::STANZA_ID), ("by", "romeo@example.org"), ("id", "forged")], vec![]);
    let stanza = || Some(message(vec![body("Wherefore art thou <Romeo>?"), Node::Element(forged.clone())]));
    let chat = Message { word: BODY | ARCHIVED, name: Some("a1"), stanza: Some(&stanza), ..CHAT };
    let pushes = host.offline(&chat);
    let notice = notices(&pushes)[0];
    assert_eq!((notice.priority, &notice.token), (Priority::Normal, &None));
    let read = open(&reader.read(notice.payload.as_ref().expect("a payload")));
    assert!(read.is("message", ns::CLIENT));
    assert_eq!(read.attr("from"), Some(JULIET));
    assert_eq!(text_of(&read).as_deref(), Some("Wherefore art thou <Romeo>?"));
    assert_eq!(archive_ids(&read), [("romeo@example.org", "a1")]);
    // Only the other match wants it.
    let pushes = host.offline(&Message { word: 0, name: Some("a2"), ..chat });
    assert_eq!(notices(&pushes), [&Notice::empty(Priority::Low)]);
}

#[test]
fn of_a_carbon_the_client_gets_the_message_in_it() {
    let carbon = |from: &str| {
        let forwarded = element("forwarded", &[("xmlns", ns::FORWARD)], vec![Node::Element(message(vec![body("hi")]))]);
        let received = element("received", &[("xmlns", ns::CARBONS)], vec![Node::Element(forwarded)]);
        let carbon =
            element("message", &[("from", from), ("to", "romeo@example.org/phone")], vec![Node::Element(received)]);
        open(&envelope(&carbon, "romeo@example.org", Some("a1"), not_random))
    };
    let read = carbon("romeo@example.org");
    assert_eq!((read.attr("from"), text_of(&read).as_deref()), (Some(JULIET), Some("hi")));
    assert_eq!(archive_ids(&read), [("romeo@example.org", "a1")]);
    let forged = carbon("mercutio@example.org");
    assert_eq!((forged.attr("from"), text_of(&forged)), (Some("mercutio@example.org"), None));
}

#[test]
fn an_archive_id_that_a_sender_has_made_up_is_left_out() {
    let forged = element("stanza-id", &[("xmlns", ns::STANZA_ID), ("by", "romeo@example.org"), ("id", "x")], vec![]);
    let rooms = element("stanza-id", &[("xmlns", ns::STANZA_ID), ("by", "verona@rooms.example"), ("id", "y")], vec![]);
    let stanza = message(vec![body("hi"), Node::Element(forged), Node::Element(rooms)]);
    assert_eq!(
        archive_ids(&open(&envelope(&stanza, "romeo@example.org", None, not_random))),
        [("verona@rooms.example", "y")]
    );
}

#[test]
fn keys_are_parsed_once_and_kept_while_the_registration_is_the_same() {
    let reader = Reader::new();
    let (key, _) = es256();
    let signing = || Signing { algorithm: "ES256".into(), key: (&*key).into(), claims: vec![] };
    let devices =
        |grace| vec![client("phone", vec![Match { send: reader.sends(Some(signing())), grace, ..rule(Profile::All) }])];
    let stanza = || Some(message(vec![body("Romeo?")]));
    let token = |host: &mut Host| {
        let pushes = host.offline(&Message { stanza: Some(&stanza), ..CHAT });
        notices(&pushes)[0].token.clone().expect("a token").jws.clone()
    };
    let mut host = Host::speaking(Protocol::Push2, one_by_one(), devices(None));
    let first = token(&mut host);
    // ECDSA signs no text twice in the same way.
    host.engine.load("romeo", devices(None));
    assert_eq!(token(&mut host), first, "as it was");
    host.engine.load("romeo", devices(Some(1)));
    assert_ne!(token(&mut host), first, "another");
}

#[test]
fn no_two_pushes_share_key_or_salt() {
    let reader = Reader::new();
    let mut host = host(vec![Match { send: reader.sends(None), ..rule(Profile::All) }]);
    let stanza = || Some(message(vec![body("Romeo?")]));
    let mut headers: Vec<_> = (0..200)
        .flat_map(|_| {
            let pushes = host.offline(&Message { stanza: Some(&stanza), ..CHAT });
            let body = BASE64.decode(notices(&pushes)[0].payload.as_ref().expect("a payload")).expect("base64");
            [body[..16].to_vec(), body[21..86].to_vec()]
        })
        .collect();
    headers.sort();
    headers.dedup();
    assert_eq!(headers.len(), 400);
}

#[test]
fn keys_that_cannot_be_read_push_nothing_in_the_clear() {
    let point = BASE64.encode(Reader::new().point());
    let signing = Signing { algorithm: "ES256".into(), key: "AAAA".into(), claims: vec![] };
    for keys in [Keys::new("AAAA", "AAAA", None), Keys::new(&point, &BASE64.encode(AUTH), Some(signing))] {
        let broken = Match { send: Send::Encrypted(keys.into()), ..rule(Profile::All) };
        assert_eq!(pushed(&mut host(vec![broken]), &CHAT), None);
    }
    let unknown = Match { send: Send::Unknown, ..rule(Profile::All) };
    assert_eq!(pushed(&mut host(vec![unknown]), &CHAT), None);
}

#[test]
fn keys_are_taken_in_any_base64_and_refused_where_they_are_none() {
    let point = Reader::new().point();
    let auth = BASE64.encode(AUTH);
    for key in [
        BASE64.encode(&point),
        BASE64_URL.encode(&point),
        BASE64_URL.encode(&point) + "=",
        format!("\n {}\n", BASE64.encode(&point)),
    ] {
        assert!(WebPush::new(&key, &auth, None).is_ok(), "{key}");
    }
    let mut off = point.clone();
    off[64] ^= 1;
    for key in ["", "!", &BASE64.encode(&off), &BASE64.encode(&point[1..]), &BASE64.encode([4; 65])] {
        assert_eq!(WebPush::new(key, &auth, None).err(), Some(Refusal::InvalidPublicKey), "{key}");
    }
    for auth in ["", "é", &BASE64.encode([0; 15]), &BASE64.encode([0; 17])] {
        assert_eq!(WebPush::new(&BASE64.encode(&point), auth, None).err(), Some(Refusal::InvalidSecret), "{auth}");
    }
}

#[test]
fn a_service_is_a_jid_and_not_the_user_s_own() {
    for jid in ["push.example", "pusher@push.example", "pusher@push.example/x", " push.example\n", "romeo@example.com"]
    {
        assert_eq!(service(Some(jid), "romeo", "example.org").map(|jid| jid.to_string()), Ok(jid.trim().into()));
    }
    assert_eq!(service(Some("PUSH.Example"), "romeo", "example.org").expect("a JID").as_str(), "push.example");
    for (jid, refusal) in [
        (None, Refusal::MissingService),
        (Some(" "), Refusal::MissingService),
        (Some("@"), Refusal::NotAJid),
        (Some("romeo@example.org"), Refusal::OwnJid),
        (Some("romeo@example.org/phone"), Refusal::OwnJid),
    ] {
        assert_eq!(service(jid, "romeo", "example.org").err(), Some(refusal), "{jid:?}");
    }
}

// Tokens.

/// PKCS#8 of RFC 8292's kind of key, and its public half.
fn es256() -> (String, Vec<u8>) {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
    let der = pair.to_pkcs8v1().expect("PKCS#8");
    (BASE64.encode(der.as_ref()), pair.public_key().as_ref().to_vec())
}

fn claims(jws: &str) -> (Value, Value) {
    let part = |i| serde_json::from_slice(&BASE64_URL.decode(jws.split('.').nth(i).expect("a part")).expect("base64"));
    (part(0).expect("a header"), part(1).expect("claims"))
}

#[test]
fn a_token_is_signed_once_and_again_before_it_expires() {
    let (key, public) = es256();
    let identity = Identity::new("ES256", &key, [("aud", "https://push.example"), ("exp", "0")]).expect("a key");
    let now = 1_800_000_000;
    let first = identity.token(now, "xmpp:example.org").expect("a token");
    let (header, body) = claims(&first.jws);
    assert_eq!(header, json!({ "typ": "JWT", "alg": "ES256" }));
    assert_eq!(body, json!({ "aud": "https://push.example", "sub": "xmpp:example.org", "exp": now + 12 * 3600 }));
    assert_eq!(first.key, Some(BASE64.encode(&public)));
    let (signed, signature) = first.jws.rsplit_once('.').expect("a signature");
    let verifying =
        aws_lc_rs::signature::UnparsedPublicKey::new(&aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED, &public);
    verifying
        .verify(signed.as_bytes(), &BASE64_URL.decode(signature).expect("base64"))
        .expect("the signature is right");
    assert_eq!(identity.token(now + 11 * 3600, "xmpp:example.org").expect("a token").jws, first.jws, "as it was");
    let second = identity.token(now + 11 * 3600 + 1, "xmpp:example.org").expect("a token");
    assert_eq!(claims(&second.jws).1["exp"], now + 23 * 3600 + 1);
    let set_back = identity.token(now - 3600 * 24 * 365, "xmpp:example.org").expect("a token");
    assert_eq!(claims(&set_back.jws).1["exp"], now - 3600 * 24 * 365 + 12 * 3600, "never more than a day ahead");
}

#[test]
fn keys_that_cannot_sign_are_refused() {
    let (key, _) = es256();
    let refusal = |algorithm, key: &str| Identity::new(algorithm, key, []).err().map(Refusal::from);
    assert_eq!(refusal("ES256", &key), None);
    assert_eq!(refusal("HS256", "a secret"), None);
    assert_eq!(refusal("none", &key), Some(Refusal::UnknownAlgorithm));
    assert_eq!(refusal("es256", &key), Some(Refusal::UnknownAlgorithm));
    for (algorithm, key) in
        [("ES256", ""), ("ES256", "AAAA"), ("ES384", &*key), ("RS256", &*key), ("EdDSA", &*key), ("HS256", "  ")]
    {
        assert_eq!(refusal(algorithm, key), Some(Refusal::InvalidSigningKey), "{algorithm}");
    }
}

// Trimming.

fn sized(text: &str) -> Dom {
    open(&envelope(&message(vec![body(text)]), "romeo@example.org", Some("a1"), not_random))
}

#[test]
fn a_large_stanza_is_trimmed_in_steps() {
    let large =
        |xmlns: &str, name: &str, size| element(name, &[("xmlns", xmlns)], vec![Node::Text("x".repeat(size).into())]);
    let read = |children: Vec<Node>| open(&envelope(&message(children), "romeo@example.org", Some("a1"), not_random));
    let names = |stanza: &Dom| stanza.children().map(|child| child.name().to_owned()).collect::<Vec<_>>();

    let whole = read(vec![body("hi"), Node::Element(large("urn:x", "needless", 1000))]);
    assert_eq!(names(&whole), ["body", "needless", "stanza-id"], "nothing, where there is room");

    let call = Node::Element(element("propose", &[("xmlns", ns::JINGLE_MESSAGE), ("id", "c1")], vec![]));
    let oob = Node::Element(element("x", &[("xmlns", ns::OOB)], vec![]));
    let needed = read(vec![body("hi"), Node::Element(large("urn:x", "needless", 3000)), call.clone(), oob]);
    assert_eq!(names(&needed), ["body", "propose", "x", "stanza-id"], "what a notification does not need");

    let quoting = format!("> {}\nanswer\n> {}\nbelow", "x".repeat(3000), "y".repeat(100));
    let cut = read(vec![body(&quoting), Node::Element(large("urn:x", "needless", 1))]);
    assert_eq!(text_of(&cut).as_deref(), Some("answer\nbelow"), "what it quotes");

    let essential = read(vec![body("hi"), Node::Element(large(ns::OMEMO_LEGACY, "encrypted", 3000)), call.clone()]);
    assert_eq!(names(&essential), ["body", "propose", "stanza-id"]);

    let least = read(vec![body("hi"), Node::Element(large(ns::JINGLE_MESSAGE, "propose", 3000))]);
    assert_eq!(
        (names(&least), text_of(&least).as_deref()),
        (vec!["body".to_owned(), "stanza-id".to_owned()], Some("hi"))
    );
}

#[test]
fn a_long_text_is_cut_between_characters() {
    for character in ["a", "é", "€", "𝄞", "&", "'", "\n"] {
        let stanza = sized(&character.repeat(4000));
        let text = text_of(&stanza).expect("a body");
        let kept = text.strip_suffix('…').expect("it was cut");
        assert!(character.repeat(4000).starts_with(kept), "{character:?}");
        let escaped = if "&'".contains(character) { 6 } else { character.len() };
        assert!(kept.chars().count() * escaped > 2000, "{character:?}: {} characters are left", kept.chars().count());
    }
    let exact = text_of(&sized(&"> quoted\n".repeat(400))).expect("a body");
    assert!(exact.starts_with("> quoted"), "a text that only quotes is cut as it is");
}

#[test]
fn the_archive_id_has_room_beside_the_longest_names() {
    // RFC 7622 §3: 1,023 bytes for each part.
    let account = format!("{}@{}", "r".repeat(1023), "h".repeat(1023));
    let long = "'".repeat(20);
    let attrs = ["from", "to", "id", "type", "xml:lang", "other"].map(|name| (name, &*long));
    let read = open(&envelope(&element("message", &attrs, vec![body("hi")]), &account, Some("a1"), not_random));
    assert!(read.is("message", ns::CLIENT));
    assert_eq!(archive_ids(&read), [(&*account, "a1")]);
}

#[test]
fn whatever_cannot_be_trimmed_is_left_out() {
    for (name, id) in [("x".repeat(5000), "a1".to_owned()), ("message".to_owned(), "x".repeat(5000))] {
        let envelope = envelope(
            &element(&name, &[("from", JULIET)], vec![body("hi")]),
            "romeo@example.org",
            Some(&id),
            not_random,
        );
        assert!(envelope.len() <= LARGEST && open(&envelope).is("message", ns::CLIENT));
    }
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof!["\\PC{0,40}", "[a-z&<>'\"\n>é€𝄞]{0,4000}", Just(String::new()), any::<String>()]
}

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{1,12}", Just("body".to_owned()), Just("stanza-id".to_owned()), Just("propose".to_owned())]
}

fn any_namespace() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "",
        ns::STANZA_ID,
        ns::OOB,
        ns::OMEMO_LEGACY,
        ns::JINGLE_MESSAGE,
        ns::CONFERENCE,
        ns::MUC_USER,
        ns::HINTS,
        "urn:x",
    ])
}

fn any_element() -> impl Strategy<Value = Element> {
    let made = |(name, xmlns, value, children): (String, &str, String, Vec<Node>)| {
        let attrs = [("xmlns", xmlns), ("id", &*value), ("by", "romeo@example.org")];
        element(&name, if xmlns.is_empty() { &attrs[1..] } else { &attrs }, children)
    };
    let leaf = (
        any_name(),
        any_namespace(),
        any_text(),
        prop::collection::vec(any_text().prop_map(|text| Node::Text(text.into())), 0..3),
    );
    leaf.prop_map(made).prop_recursive(3, 12, 4, move |inner| {
        (any_name(), any_namespace(), any_text(), prop::collection::vec(inner.prop_map(Node::Element), 0..4))
            .prop_map(made)
    })
}

proptest! {
    #[test]
    fn whatever_the_stanza_the_push_has_room_and_the_archive_id(
        name in prop::sample::select(vec!["message", "presence", "iq"]),
        from in any_text(),
        others in prop::collection::btree_map("[a-z]{1,300}", any_text(), 0..10),
        id in "[A-Za-z0-9-]{1,100}",
        user in "[a-z]{1,1000}",
        children in prop::collection::vec(any_element().prop_map(Node::Element), 0..8),
        texts in prop::collection::vec(any_text(), 0..3),
    ) {
        let mut attrs = vec![("from", &*from), ("to", "romeo@example.org"), ("xml:lang", "en")];
        attrs.extend(others.iter().filter(|(name, _)| !["from", "to", "xmlns"].contains(&&***name)).map(|(name, value)| (&**name, &**value)));
        let bodies = texts.iter().map(|text| body(text));
        let stanza = element(name, &attrs, bodies.chain(children).collect());
        let by = format!("{user}@example.org");
        let envelope = envelope(&stanza, &by, Some(&id), not_random);
        prop_assert!(envelope.len() <= LARGEST, "{} bytes", envelope.len());
        let read = open(&envelope);
        prop_assert!(read.is(name, ns::CLIENT));
        prop_assert!(archive_ids(&read).contains(&(&*by, &*id)));
        let own = archive_ids(&read).iter().filter(|(known, _)| *known == by).count();
        prop_assert_eq!(own, 1);
        let reader = Reader::new();
        let keys = WebPush::new(&BASE64.encode(reader.point()), &BASE64.encode(AUTH), None).expect("keys");
        let payload = prosody_push::push2::webpush::seal(envelope.as_bytes(), &keys.client, &keys.auth, not_random);
        prop_assert_eq!(reader.read(&payload), envelope);
    }

    #[test]
    fn any_base64_is_taken_apart_or_refused_and_never_a_fault(text in any::<String>(), bytes in any::<Vec<u8>>()) {
        decode(&text);
        prop_assert_eq!(decode(&BASE64.encode(&bytes)), Some(bytes.clone()));
        prop_assert_eq!(decode(&BASE64_URL.encode(&bytes)), Some(bytes));
    }
}

#[test]
fn the_size_tells_little_of_a_short_message() {
    let stanza = message(vec![body("hi")]);
    let sizes: std::collections::HashSet<_> =
        (0..500).map(|_| envelope(&stanza, "romeo@example.org", None, not_random).len()).collect();
    assert!(sizes.len() > 100, "{} sizes", sizes.len());
    let (least, most) = (sizes.iter().min().expect("one"), sizes.iter().max().expect("one"));
    assert!(most - least > 150 && most - least <= 213, "{least} to {most}");
}

// Bursts.

#[test]
fn bursts_without_content_are_one_push_a_second_and_content_always_goes() {
    let reader = Reader::new();
    let devices = vec![
        client("phone", vec![rule(Profile::All)]),
        client("tablet", vec![Match { send: reader.sends(None), ..rule(Profile::All) }]),
    ];
    let mut host = Host::speaking(Protocol::Push2, Config::default(), devices);
    let mut pushed = Vec::new();
    for _ in 0..10 {
        pushed.extend(host.offline(&CHAT).iter().map(|push| push.registration.identifier.to_string()));
    }
    assert_eq!(pushed.iter().filter(|device| *device == "phone").count(), 1);
    assert_eq!(pushed.iter().filter(|device| *device == "tablet").count(), 10);
    let (now, event) = (host.now, host.event());
    assert_eq!(host.engine.next_release(now), Some(SECOND), "nobody answers, and nobody is waited for");
    let held = host.engine.release(event.now + SECOND);
    assert_eq!(held.len(), 1);
    assert_eq!(notices(&[held[0].push.clone()]), [&Notice::empty(Priority::Normal)]);
}

#[test]
fn what_is_held_leaves_for_where_the_client_is_now() {
    let mut host = Host::speaking(Protocol::Push2, Config::default(), vec![client("phone", vec![rule(Profile::All)])]);
    assert_eq!(host.offline(&CHAT).len() + host.offline(&CHAT).len(), 1);
    let mut moved = client("phone", vec![rule(Profile::All)]);
    moved.push2 =
        Some(Settings { client: "https://push.example/new".into(), matches: [rule(Profile::All)].into() }.into());
    host.engine.load("romeo", vec![moved]);
    let now = host.now;
    host.engine.enabled(now, "romeo", "phone");
    let push = again(host.after(SECOND)).remove(0);
    assert_eq!(push.registration.push2.as_ref().map(|settings| &*settings.client), Some("https://push.example/new"));
}

// Registrations.

#[test]
fn a_client_that_comes_with_another_resource_is_the_same() {
    let of = |identifier: &str, address: &str, timestamp| {
        let mut registration = client(identifier, vec![rule(Profile::All)]);
        registration.push2 = Some(Settings { client: address.into(), matches: [].into() }.into());
        registration.timestamp = timestamp;
        registration
    };
    let registrations = vec![
        of("a1", "https://push.example/x", 1),
        of("b", "https://push.example/y", 2),
        of("a2", "https://push.example/x", 3),
    ];
    let (_, gone) = admit(registrations, "a2", 3, 20);
    assert_eq!(gone.iter().map(|gone| &*gone.identifier).collect::<Vec<_>>(), ["a1"]);
}

// Failures.

fn fail(host: &mut Host, push: &Push, kind: &str) -> Verdict {
    host.answer(push, "pusher@push.example", Some((kind, "resource-constraint")))
}

/// The pushes that are sent again now.
fn again(host: &mut Host) -> Vec<Push> {
    host.engine.release(host.now).into_iter().map(|held| held.push).collect()
}

#[test]
fn what_cannot_be_taken_now_is_sent_again_later_and_later_up_to_a_limit() {
    let reader = Reader::new();
    let mut host = host(vec![Match { send: reader.sends(None), ..rule(Profile::All) }]);
    let stanza = || Some(message(vec![body("Romeo?")]));
    let mut push = host.offline(&Message { stanza: Some(&stanza), ..CHAT }).remove(0);
    let payload = notices(&[push.clone()])[0].payload.clone();
    let mut delays = Vec::new();
    loop {
        assert_eq!(fail(&mut host, &push, "wait"), Verdict::Stays);
        let Some(delay) = host.engine.next_release(host.now) else { break };
        assert!(again(host.after(delay - 1)).is_empty(), "not before its time");
        let mut pushes = again(host.after(1));
        assert_eq!(pushes.len(), 1);
        assert_ne!(pushes[0].id, push.id);
        push = pushes.remove(0);
        assert_eq!(notices(&[push.clone()])[0].payload, payload, "what it was");
        delays.push(delay / SECOND);
    }
    assert_eq!(delays, [4, 8, 16, 32, 64, 128, 256, 512]);
}

#[test]
fn a_call_is_sent_again_for_half_a_minute_and_not_when_it_is_over() {
    let mut host = host(vec![rule(Profile::Important)]);
    let call = Message { word: PROPOSE, call: Some("c1"), ..CHAT };
    let mut push = host.offline(&call).remove(0);
    let mut delays = Vec::new();
    while {
        fail(&mut host, &push, "wait");
        host.engine.next_release(host.now).is_some()
    } {
        let delay = host.engine.next_release(host.now).expect("it waits");
        push = again(host.after(delay)).remove(0);
        assert_eq!(notices(&[push.clone()])[0].priority, Priority::High);
        delays.push(delay / SECOND);
    }
    assert_eq!(delays, [4, 8, 16]);

    for error_first in [true, false] {
        let call = Message { call: Some(if error_first { "c2" } else { "c3" }), ..call };
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
fn other_errors_are_never_sent_again() {
    for kind in ["cancel", "modify", "auth", "continue"] {
        let mut host = host(vec![rule(Profile::All)]);
        let push = host.offline(&CHAT).remove(0);
        assert_eq!(fail(&mut host, &push, kind), Verdict::Stays);
        assert_eq!(host.engine.next_release(host.now), None, "{kind}");
    }
}

#[test]
fn an_error_counts_only_from_the_service_and_once() {
    let mut host = host(vec![rule(Profile::All)]);
    let push = host.offline(&CHAT).remove(0);
    for stranger in ["push.example", "other@push.example", "pusher@push.example/x"] {
        assert_eq!(host.answer(&push, stranger, Some(("wait", "x"))), Verdict::Stranger, "{stranger}");
    }
    assert_eq!(fail(&mut host, &push, "wait"), Verdict::Stays);
    assert_eq!(fail(&mut host, &push, "wait"), Verdict::Stranger);
    assert_eq!(again(host.after(4 * SECOND)).len(), 1);
}

#[test]
fn a_client_that_is_back_or_asks_anew_is_not_sent_what_failed() {
    let put_off = || {
        let mut host = host(vec![rule(Profile::All)]);
        let push = host.offline(&CHAT).remove(0);
        fail(&mut host, &push, "wait");
        host
    };
    let mut host = put_off();
    host.engine.on_resumed("romeo", "phone");
    assert!(again(host.after(DAY)).is_empty(), "back");
    let mut host = put_off();
    let now = host.now;
    host.engine.enabled(now, "romeo", "phone");
    assert!(again(host.after(DAY)).is_empty(), "anew");
    let mut host = put_off();
    host.engine.forget("romeo");
    assert!(again(host.after(DAY)).is_empty(), "deleted");
    let mut host = put_off();
    host.engine.load("romeo", vec![]);
    assert!(again(host.after(DAY)).is_empty(), "disabled");
    assert_eq!(again(put_off().after(DAY)).len(), 1, "and otherwise it is");
}

#[test]
fn what_waits_is_bounded() {
    let mut host = host(vec![rule(Profile::All)]);
    let pushes: Vec<_> = (0..50).map(|_| host.offline(&CHAT).remove(0)).collect();
    for push in &pushes {
        fail(&mut host, push, "wait");
    }
    assert_eq!(again(host.after(DAY)).len(), 10);
    let devices = (0..5).map(|i| client(&i.to_string(), vec![rule(Profile::All)])).collect();
    let mut host = Host::speaking(Protocol::Push2, one_by_one(), devices);
    for _ in 0..10 {
        for push in host.offline(&CHAT) {
            fail(&mut host, &push, "wait");
        }
    }
    assert_eq!(again(host.after(DAY)).len(), 20, "for one user");
}

#[test]
fn a_service_that_fails_for_three_days_without_a_break_loses_the_registration() {
    let mut host = host(vec![rule(Profile::All)]);
    let fails = |host: &mut Host, kind| {
        let push = host.offline(&CHAT).remove(0);
        fail(host, &push, kind)
    };
    assert_eq!(fails(&mut host, "cancel"), Verdict::Stays);
    for _ in 0..100 {
        assert_eq!(fails(&mut host, "cancel"), Verdict::Stays, "however often");
    }
    assert_eq!(fails(host.after(SERVICE_PATIENCE - 1), "wait"), Verdict::Stays);
    assert_eq!(fails(host.after(1), "wait"), Verdict::Goes(gone("phone")));
}

#[test]
fn a_push_that_brings_no_error_is_a_break() {
    let mut host = host(vec![rule(Profile::All)]);
    let push = host.offline(&CHAT).remove(0);
    fail(&mut host, &push, "cancel");
    host.after(DAY).offline(&CHAT);
    assert!(host.after(ERROR_TIMEOUT).timer().is_empty(), "silence is no failure");
    let push = host.after(2 * DAY).offline(&CHAT).remove(0);
    assert_eq!(fail(&mut host, &push, "cancel"), Verdict::Stays);
    let push = host.after(SERVICE_PATIENCE).offline(&CHAT).remove(0);
    assert_eq!(fail(&mut host, &push, "cancel"), Verdict::Goes(gone("phone")));
}

#[test]
fn pushes_whose_errors_are_waited_for_are_bounded() {
    let mut host = host(vec![rule(Profile::All)]);
    let first = host.offline(&CHAT).remove(0);
    let second = host.offline(&CHAT).remove(0);
    for _ in 0..49_999 {
        host.offline(&CHAT);
    }
    assert_eq!(fail(&mut host, &first, "cancel"), Verdict::Stranger);
    assert_eq!(fail(&mut host, &second, "cancel"), Verdict::Stays);
    assert_eq!(fail(&mut host, &second, "cancel"), Verdict::Stranger, "it was heard");
}

#[test]
fn nothing_is_left_of_an_account_that_is_deleted() {
    let mut host = host(vec![rule(Profile::All)]);
    let push = host.offline(&CHAT).remove(0);
    host.engine.forget("romeo");
    assert_eq!(fail(&mut host, &push, "wait"), Verdict::Stranger);
    assert!(again(host.after(DAY)).is_empty());
}

#[test]
fn what_was_decided_can_be_asked() {
    let mut host = host(vec![rule(Profile::Important)]);
    let push = host.offline(&CHAT).remove(0);
    fail(&mut host, &push, "cancel");
    host.offline(&CHAT);
    host.after(ERROR_TIMEOUT).timer();
    host.offline(&Message { word: 0, ..CHAT });
    let decisions: Vec<_> = host.engine.decisions("romeo").map(|decision| decision.text(Protocol::Push2)).collect();
    assert_eq!(
        decisions,
        [
            "stanza without a text (no client took it): not sent: it is not important",
            "message (no client took it): sent, and no error came back",
            "message (no client took it): sent, resource-constraint after 0 ms",
        ]
    );
    assert!(host.engine.take_times() == [0], "silence takes no time");
}

#[test]
fn failures_survive_a_reload() {
    let mut old = host(vec![rule(Profile::All)]);
    let push = old.offline(&CHAT).remove(0);
    fail(&mut old, &push, "cancel");
    let under_way = old.offline(&CHAT).remove(0);
    let mut new = host(vec![rule(Profile::All)]);
    new.engine.restore(old.engine.save());
    assert_eq!(fail(new.after(SERVICE_PATIENCE), &under_way, "cancel"), Verdict::Goes(gone("phone")));
}

// Stream management.

#[test]
fn of_what_waited_together_one_important_and_one_unimportant_stanza_are_pushed() {
    let mut host = host(vec![rule(Profile::All)]);
    let mut done = Default::default();
    let mut pushed = Vec::new();
    for (i, word) in [0, BODY, 0, BODY].into_iter().enumerate() {
        let event: Event = host.event();
        let queued = host.engine.on_queued(event, "phone", done, &Message { word, ..CHAT }).expect("loaded");
        pushed.extend(queued.pushes.list.iter().map(|_| i));
        done = queued.done;
    }
    assert_eq!(pushed, [0, 1]);
}

#[test]
fn a_device_is_told_of_what_matches_only() {
    let mut host = filtered("juliet@example.org", false, false);
    let event = host.event();
    let queued = host.engine.on_queued(event, "phone", Default::default(), &CHAT).expect("loaded");
    assert!(queued.pushes.list.is_empty() && !queued.alerted && queued.done == Done::default());
}
