//! The signed tokens (JWT) that come with a push.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD as BASE64_URL};
use prosody_push::config::Config;
use prosody_push::engine::Push;
use prosody_push::engine::durable::Record;
use prosody_push::memory::journal::Cause;
use prosody_push::push2::Push2;
use prosody_push::push2::asked::{Match, Profile};
use prosody_push::push2::jwt::Identity;
use prosody_push::push2::keys::{InvalidKeys, Signing};
use prosody_push::push2::notification::{Payload, Priority};
use prosody_push::registration::holders::Holders;
use prosody_push::rules::facts::Message;
use prosody_push::rules::importance::Kind;
use prosody_push::rules::read::{Name, Read};
use serde_json::{Value, json};

use crate::reader::Reader;
use crate::support::{HOUR, Host, SECOND, one_by_one};
use crate::{CHAT, again, body, client, host, message, payloads, rule, speaking};

/// A key pair for RFC 8292: the private key in PKCS#8, and the public key.
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

fn verify(jws: &str, public: &[u8]) {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
    let (signed, signature) = jws.rsplit_once('.').expect("a signature");
    let signature = BASE64_URL.decode(signature).expect("base64");
    let verifying = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public);
    verifying.verify(signed.as_bytes(), &signature).expect("the signature is right");
}

/// A client whose pushes are encrypted and signed.
struct Phone {
    reader: Reader,
    key: String,
    public: Vec<u8>,
}

impl Phone {
    fn new() -> Phone {
        let (key, public) = es256();
        Phone { reader: Reader::new(), key, public }
    }

    fn rule(&self) -> Match {
        let signing = Signing { algorithm: "ES256".into(), key: (&*self.key).into(), claims: vec![] };
        Match { send: self.reader.sends(Some(signing)), ..rule(Profile::Important) }
    }

    fn host(&self, config: Config) -> Host<Push2> {
        speaking(config, vec![client("phone", vec![self.rule()])])
    }

    /// Asserts that there is one push, whose token is signed with the client's key and valid for another hour.
    #[track_caller]
    fn assert_signed(&self, host: &Host<Push2>, pushes: &[Push<Push2>]) {
        let [payload] = &payloads(pushes)[..] else { panic!("{} pushes", pushes.len()) };
        let token = payload.token.as_ref().expect("a token");
        verify(&token.jws, &self.public);
        let expires = claims(&token.jws).1["exp"].as_u64().expect("a time");
        let now = host.now.wall / SECOND;
        assert!((now + 3600..=now + 24 * 3600).contains(&expires), "{expires} at {now}");
    }
}

fn woken(host: &mut Host<Push2>, cause: Cause) -> Vec<Push<Push2>> {
    host.engine.on_ping(host.event(), None, cause, Holders::default()).expect("romeo is loaded").list
}

#[test]
fn a_token_is_signed_once_and_replaced_before_it_expires() {
    let (key, public) = es256();
    let identity = Identity::new("ES256", &key, [("aud", "https://push.example"), ("exp", "0")]).expect("a key");
    let now = 1_800_000_000;
    let first = identity.token(now, "xmpp:example.org").expect("a token");
    let (header, body) = claims(&first.jws);
    assert_eq!(header, json!({ "typ": "JWT", "alg": "ES256" }));
    assert_eq!(body, json!({ "aud": "https://push.example", "sub": "xmpp:example.org", "exp": now + 12 * 3600 }));
    assert_eq!(first.key, Some(BASE64.encode(&public)));
    verify(&first.jws, &public);
    assert_eq!(identity.token(now + 11 * 3600, "xmpp:example.org").expect("a token").jws, first.jws, "the same token");
    let second = identity.token(now + 11 * 3600 + 1, "xmpp:example.org").expect("a token");
    assert_eq!(claims(&second.jws).1["exp"], now + 23 * 3600 + 1);
    let set_back = identity.token(now - 3600 * 24 * 365, "xmpp:example.org").expect("a token");
    assert_eq!(claims(&set_back.jws).1["exp"], now - 3600 * 24 * 365 + 12 * 3600, "never more than a day ahead");
}

#[test]
fn parsed_keys_are_kept_while_the_registration_is_unchanged() {
    let reader = Reader::new();
    let (key, _) = es256();
    let signing = || Signing { algorithm: "ES256".into(), key: (&*key).into(), claims: vec![] };
    let devices =
        |grace| vec![client("phone", vec![Match { send: reader.sends(Some(signing())), grace, ..rule(Profile::All) }])];
    let stanza = || Some(message(vec![body("Romeo?")]));
    let token = |host: &mut Host<Push2>| {
        let pushes = host.offline(&Message { stanza: Some(&stanza), ..CHAT });
        payloads(&pushes)[0].token.clone().expect("a token").jws.clone()
    };
    let mut host = speaking(one_by_one(), devices(None));
    let first = token(&mut host);
    // ECDSA signs the same text differently each time.
    host.engine.load("romeo", devices(None), false);
    assert_eq!(token(&mut host), first, "the same token");
    host.engine.load("romeo", devices(Some(1)), false);
    assert_ne!(token(&mut host), first, "a new token");
}

#[test]
fn keys_that_cannot_sign_are_refused() {
    let (key, _) = es256();
    let refusal = |algorithm, key: &str| Identity::new(algorithm, key, []).err().map(InvalidKeys::from);
    assert_eq!(refusal("ES256", &key), None);
    assert_eq!(refusal("HS256", "a secret"), None);
    assert_eq!(refusal("none", &key), Some(InvalidKeys::Algorithm));
    assert_eq!(refusal("es256", &key), Some(InvalidKeys::Algorithm));
    for (algorithm, key) in
        [("ES256", ""), ("ES256", "AAAA"), ("ES384", &*key), ("RS256", &*key), ("EdDSA", &*key), ("HS256", "  ")]
    {
        assert_eq!(refusal(algorithm, key), Some(InvalidKeys::SigningKey), "{algorithm}");
    }
}

#[test]
fn a_push_without_a_stanza_has_a_token() {
    let phone = Phone::new();
    let mut host = phone.host(one_by_one());
    for cause in [Cause::Ping, Cause::Test, Cause::QueueFull, Cause::Started, Cause::HibernationEnds] {
        let pushes = woken(host.after(5 * HOUR), cause);
        phone.assert_signed(&host, &pushes);
    }

    let mut host = phone.host(Config { take_away: true, ..one_by_one() });
    host.offline(&Message { dedup_key: Some("a1"), ..CHAT });
    let read = Read { chat: "juliet@example.org", message: Name::Archive("a1") };
    let pushes = host.engine.on_read(host.event(), &read, None, Holders::default()).expect("romeo is loaded");
    phone.assert_signed(&host, &pushes.list);

    let mut host = phone.host(Config::default());
    assert_eq!(woken(&mut host, Cause::Ping).len() + woken(&mut host, Cause::Ping).len(), 1);
    let held = again(host.after(SECOND));
    phone.assert_signed(&host, &held);
}

#[test]
fn a_push_that_stands_for_several_stanzas_has_a_token() {
    let phone = Phone::new();
    let mut host = phone.host(one_by_one());
    let stanza = || Some(message(vec![body("Romeo?")]));
    for _ in 0..2 {
        let push = host.offline(&Message { stanza: Some(&stanza), ..CHAT }).remove(0);
        host.answer(&push, "pusher@push.example", Some(("wait", "resource-constraint")));
    }
    let pushes = again(host.after(4 * SECOND));
    assert_eq!(pushes[0].payload.encrypted, None);
    phone.assert_signed(&host, &pushes);
}

#[test]
fn a_push_that_was_owed_or_has_waited_has_a_token_after_a_restart() {
    let phone = Phone::new();
    let until = |host: &Host<Push2>| Some(host.now.wall + 60 * SECOND);
    for (is_owed, waits) in [(true, false), (false, true)] {
        let mut host = phone.host(Config { patience: 60 * SECOND, ..one_by_one() });
        let owed = is_owed.then_some(Kind::Important);
        let record = Record { owed, waits: until(&host).filter(|_| waits), ..Record::default() };
        host.engine.recall(host.now, "romeo", [("phone".into(), record)].into());
        let pushes = again(host.after(60 * SECOND));
        phone.assert_signed(&host, &pushes);
    }
}

#[test]
fn a_payload_that_is_sent_again_keeps_its_token_as_long_as_it_is_valid() {
    let phone = Phone::new();
    let mut host = phone.host(one_by_one());
    let stanza = || Some(message(vec![body("Romeo?")]));
    let mut last = host.offline(&Message { stanza: Some(&stanza), ..CHAT }).remove(0);
    for (later, is_kept) in [(4 * SECOND, true), (12 * HOUR, false), (11 * HOUR, true), (HOUR, false)] {
        host.answer(&last, "pusher@push.example", Some(("wait", "resource-constraint")));
        let mut pushes = again(host.after(later));
        phone.assert_signed(&host, &pushes);
        assert_eq!(pushes[0].payload.encrypted, last.payload.encrypted);
        assert_eq!(pushes[0].payload.token == last.payload.token, is_kept, "after {later} ms");
        last = pushes.remove(0);
    }
}

#[test]
fn a_match_without_content_has_the_token_of_another_match() {
    let phone = Phone::new();
    let mut host = host(vec![rule(Profile::All), phone.rule()]);
    let pushes = host.offline(&Message { word: 0, ..CHAT });
    assert_eq!(pushes[0].payload.encrypted, None);
    phone.assert_signed(&host, &pushes);
}

/// A signature with a large RSA key takes milliseconds.
#[test]
fn new_tokens_of_many_clients_are_signed_in_turns() {
    let phone = Phone::new();
    let clients = (0..20).map(|i| client(&format!("client{i}"), vec![rule(Profile::All), phone.rule()])).collect();
    let mut host = speaking(one_by_one(), clients);
    let mut told = Vec::new();
    let pushes = host.offline(&Message { word: 0, ..CHAT });
    assert_eq!(pushes.len(), 4);
    told.extend(pushes);
    while host.engine.timer(host.now) == Some(0) {
        let turn = again(&mut host);
        assert!((1..=4).contains(&turn.len()));
        told.extend(turn);
    }
    assert_eq!(told.len(), 20);
    assert!(told.iter().all(|push| push.payload.token.is_some() && push.payload.encrypted.is_none()));
    host.after(SECOND);
    assert_eq!(host.offline(&Message { word: 0, ..CHAT }).len(), 20, "now all have tokens");
}

#[test]
fn keys_that_cannot_be_used_keep_no_push_without_a_stanza_back() {
    let phone = Phone::new();
    let signing = || Signing { algorithm: "ES256".into(), key: "AAAA".into(), claims: vec![] };
    let unusable = || Match { send: phone.reader.sends(Some(signing())), ..rule(Profile::All) };
    let mut alone = host(vec![unusable()]);
    let pushes = woken(&mut alone, Cause::Ping);
    assert_eq!(payloads(&pushes), [&Payload::empty(Priority::Low)]);
    let mut with_others = host(vec![unusable(), phone.rule()]);
    let pushes = woken(&mut with_others, Cause::Ping);
    phone.assert_signed(&with_others, &pushes);
}
