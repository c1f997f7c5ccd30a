//! Registrations: valid keys, a valid service, and one registration for each client.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD as BASE64_URL};
use proptest::prelude::*;
use prosody_push::base64::decode;
use prosody_push::push2::asked::{Asked, Profile};
use prosody_push::push2::enable::{Refusal, service};
use prosody_push::push2::keys::{InvalidKeys, WebPush};
use prosody_push::registration::devices::admit;

use crate::reader::{AUTH, Reader};
use crate::{client, rule};

#[test]
fn keys_are_accepted_in_any_base64_and_invalid_keys_are_refused() {
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
        assert_eq!(WebPush::new(key, &auth, None).err(), Some(InvalidKeys::PublicKey), "{key}");
    }
    for auth in ["", "é", &BASE64.encode([0; 15]), &BASE64.encode([0; 17])] {
        assert_eq!(WebPush::new(&BASE64.encode(&point), auth, None).err(), Some(InvalidKeys::Secret), "{auth}");
    }
}

proptest! {
    #[test]
    fn base64_of_both_alphabets_is_decoded_and_no_text_causes_a_panic(text in any::<String>(), bytes in any::<Vec<u8>>()) {
        decode(&text);
        prop_assert_eq!(decode(&BASE64.encode(&bytes)), Some(bytes.clone()));
        prop_assert_eq!(decode(&BASE64_URL.encode(&bytes)), Some(bytes));
    }
}

#[test]
fn a_service_is_a_jid_other_than_the_user_s_own() {
    let normal = |jid: &str| Some(jid.to_lowercase()).filter(|jid| jid != "@");
    for jid in ["push.example", "pusher@push.example", "pusher@push.example/x", " push.example\n", "romeo@example.com"]
    {
        assert_eq!(service(Some(jid), "romeo", "example.org", normal), Ok(jid.trim().into()));
    }
    assert_eq!(service(Some("PUSH.Example"), "romeo", "example.org", normal), Ok("push.example".into()));
    for (jid, refusal) in [
        (None, Refusal::MissingService),
        (Some(" "), Refusal::MissingService),
        (Some("@"), Refusal::NotAJid),
        (Some("romeo@example.org"), Refusal::OwnJid),
        (Some("romeo@example.org/phone"), Refusal::OwnJid),
        (Some("Romeo@Example.org"), Refusal::OwnJid),
    ] {
        assert_eq!(service(jid, "romeo", "example.org", normal).err(), Some(refusal), "{jid:?}");
    }
}

#[test]
fn a_client_with_another_resource_replaces_its_own_registration() {
    let of = |identifier: &str, address: &str, timestamp| {
        let mut registration = client(identifier, vec![rule(Profile::All)]);
        registration.asked = Asked { client: address.into(), matches: [].into() };
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
