//! The signed tokens (JWT) that come with a push.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD as BASE64_URL};
use prosody_push::push2::Push2;
use prosody_push::push2::asked::{Match, Profile};
use prosody_push::push2::jwt::Identity;
use prosody_push::push2::keys::{InvalidKeys, Signing};
use prosody_push::rules::facts::Message;
use serde_json::{Value, json};

use crate::reader::Reader;
use crate::support::{Host, one_by_one};
use crate::{CHAT, body, client, message, payloads, rule, speaking};

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
    let (signed, signature) = first.jws.rsplit_once('.').expect("a signature");
    let verifying =
        aws_lc_rs::signature::UnparsedPublicKey::new(&aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED, &public);
    verifying
        .verify(signed.as_bytes(), &BASE64_URL.decode(signature).expect("base64"))
        .expect("the signature is right");
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
