//! The content of a push: the stanza in its envelope, encrypted.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use minidom::Node;
use prosody_push::memory::journal::Outcome;
use prosody_push::ns;
use prosody_push::push2::asked::{Match, Profile, Send};
use prosody_push::push2::envelope::envelope;
use prosody_push::push2::keys::{Keys, Signing};
use prosody_push::push2::notification::{Payload, Priority};
use prosody_push::reason::Reason;
use prosody_push::rules::facts::{ARCHIVED, BODY, Message, RECEIVED};

use crate::reader::{AUTH, Reader, archive_ids, open, text_of};
use crate::support::{element, not_random};
use crate::{CHAT, JULIET, body, host, message, payloads, pushed, rule};

#[test]
fn a_client_can_read_the_stanza_and_its_archive_id() {
    let reader = Reader::new();
    let matches = vec![rule(Profile::All), Match { send: reader.sends(None), ..rule(Profile::Important) }];
    let mut host = host(matches);
    let forged =
        element("stanza-id", &[("xmlns", ns::STANZA_ID), ("by", "romeo@example.org"), ("id", "forged")], vec![]);
    let stanza = || Some(message(vec![body("Wherefore art thou <Romeo>?"), Node::Element(forged.clone())]));
    let chat = Message { word: BODY | ARCHIVED, dedup_key: Some("a1"), stanza: Some(&stanza), ..CHAT };
    let pushes = host.offline(&chat);
    let notice = payloads(&pushes)[0];
    assert_eq!((notice.priority, &notice.token), (Priority::Normal, &None));
    let read = open(&reader.read(notice.encrypted.as_ref().expect("a payload")));
    assert!(read.is("message", ns::CLIENT));
    assert_eq!(read.attr("from"), Some(JULIET));
    assert_eq!(text_of(&read).as_deref(), Some("Wherefore art thou <Romeo>?"));
    assert_eq!(archive_ids(&read), [("romeo@example.org", "a1")]);
    // Only the match without content applies.
    let pushes = host.offline(&Message { word: 0, dedup_key: Some("a2"), ..chat });
    assert_eq!(payloads(&pushes), [&Payload::empty(Priority::Low)]);
}

#[test]
fn the_push_for_a_carbon_contains_the_message_in_it() {
    let read = |from: &str, word| {
        let reader = Reader::new();
        let mut host = host(vec![Match { send: reader.sends(None), ..rule(Profile::All) }]);
        let carbon = || {
            let inner = Node::Element(message(vec![body("hi")]));
            let forwarded = Node::Element(element("forwarded", &[("xmlns", ns::FORWARD)], vec![inner]));
            let received = Node::Element(element("received", &[("xmlns", ns::CARBONS)], vec![forwarded]));
            Some(element("message", &[("from", from), ("to", "romeo@example.org/phone")], vec![received]))
        };
        let pushes = host.offline(&Message { word, dedup_key: Some("a1"), stanza: Some(&carbon), ..CHAT });
        open(&reader.read(payloads(&pushes)[0].encrypted.as_ref().expect("a payload")))
    };
    let trusted = read("romeo@example.org", BODY | ARCHIVED | RECEIVED);
    assert_eq!((trusted.attr("from"), text_of(&trusted).as_deref()), (Some(JULIET), Some("hi")));
    assert_eq!(archive_ids(&trusted), [("romeo@example.org", "a1")]);
    // The walk does not set the bit for a carbon that somebody else sends.
    let forged = read("mercutio@example.org", BODY | ARCHIVED);
    assert_eq!((forged.attr("from"), text_of(&forged)), (Some("mercutio@example.org"), None));
}

#[test]
fn the_push_for_a_carbon_whose_message_cannot_be_read_has_no_content() {
    let reader = Reader::new();
    let mut host = host(vec![Match { send: reader.sends(None), ..rule(Profile::All) }]);
    let carbon = || Some(element("message", &[("from", "romeo@example.org")], vec![]));
    let pushes = host.offline(&Message { word: BODY | RECEIVED, stanza: Some(&carbon), ..CHAT });
    assert_eq!(payloads(&pushes), [&Payload::empty(Priority::Normal)]);
}

#[test]
fn an_archive_id_forged_by_the_sender_is_left_out() {
    let forged = element("stanza-id", &[("xmlns", ns::STANZA_ID), ("by", "romeo@example.org"), ("id", "x")], vec![]);
    let rooms = element("stanza-id", &[("xmlns", ns::STANZA_ID), ("by", "verona@rooms.example"), ("id", "y")], vec![]);
    let stanza = message(vec![body("hi"), Node::Element(forged), Node::Element(rooms)]);
    assert_eq!(
        archive_ids(&open(&envelope(&stanza, "romeo@example.org", None, not_random))),
        [("verona@rooms.example", "y")]
    );
}

#[test]
fn no_two_pushes_share_a_key_or_a_salt() {
    let reader = Reader::new();
    let mut host = host(vec![Match { send: reader.sends(None), ..rule(Profile::All) }]);
    let stanza = || Some(message(vec![body("Romeo?")]));
    let mut headers: Vec<_> = (0..200)
        .flat_map(|_| {
            let pushes = host.offline(&Message { stanza: Some(&stanza), ..CHAT });
            let body = BASE64.decode(payloads(&pushes)[0].encrypted.as_ref().expect("a payload")).expect("base64");
            [body[..16].to_vec(), body[21..86].to_vec()]
        })
        .collect();
    headers.sort();
    headers.dedup();
    assert_eq!(headers.len(), 400);
}

#[test]
fn with_unusable_keys_nothing_is_pushed_and_the_decision_names_the_reason() {
    let (point, auth) = (BASE64.encode(Reader::new().point()), BASE64.encode(AUTH));
    let signing = |algorithm: &str| Some(Signing { algorithm: algorithm.into(), key: "AAAA".into(), claims: vec![] });
    let encrypted = |keys: Keys| Send::Encrypted(keys.into());
    for (send, reason) in [
        (encrypted(Keys::new("AAAA", &auth, None)), Reason::InvalidPublicKey),
        (encrypted(Keys::new(&point, "AAAA", None)), Reason::InvalidAuthSecret),
        (encrypted(Keys::new(&point, &auth, signing("ES257"))), Reason::UnknownJwtAlgorithm),
        (encrypted(Keys::new(&point, &auth, signing("ES256"))), Reason::InvalidJwtKey),
        (Send::Unknown, Reason::UnknownProfile),
    ] {
        let mut host = host(vec![Match { send, ..rule(Profile::All) }]);
        assert_eq!(pushed(&mut host, &CHAT), None);
        let outcomes: Vec<_> = host.engine.decisions("romeo").map(|decision| decision.outcome).collect();
        assert_eq!(outcomes, [Outcome::NotSent(reason)]);
    }
}

#[test]
fn random_padding_hides_the_size_of_a_short_message() {
    let stanza = message(vec![body("hi")]);
    let sizes: std::collections::HashSet<_> =
        (0..500).map(|_| envelope(&stanza, "romeo@example.org", None, not_random).len()).collect();
    assert!(sizes.len() > 100, "{} sizes", sizes.len());
    let (least, most) = (sizes.iter().min().expect("one"), sizes.iter().max().expect("one"));
    assert!(most - least > 150 && most - least <= 213, "{least} to {most}");
}
