//! The trimming of a stanza that is too large for a push.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use minidom::{Element, Node};
use proptest::prelude::*;
use prosody_push::ns;
use prosody_push::push2::envelope::{LARGEST, envelope};
use prosody_push::push2::keys::WebPush;

use crate::reader::{AUTH, Reader, archive_ids, open, text_of};
use crate::support::{element, not_random};
use crate::{JULIET, body, message};

fn sized(text: &str) -> Element {
    open(&envelope(&message(vec![body(text)]), "romeo@example.org", Some("a1"), not_random))
}

#[test]
fn a_large_stanza_is_trimmed_in_steps() {
    let large = |xmlns: &str, name: &str, size| element(name, &[("xmlns", xmlns)], vec![Node::Text("x".repeat(size))]);
    let read = |children: Vec<Node>| open(&envelope(&message(children), "romeo@example.org", Some("a1"), not_random));
    let names = |stanza: &Element| stanza.children().map(|child| child.name().to_owned()).collect::<Vec<_>>();

    let whole = read(vec![body("hi"), Node::Element(large("urn:x", "needless", 1000))]);
    assert_eq!(names(&whole), ["body", "needless", "stanza-id"], "nothing is left out if there is room");

    let call = Node::Element(element("propose", &[("xmlns", ns::JINGLE_MESSAGE), ("id", "c1")], vec![]));
    let oob = Node::Element(element("x", &[("xmlns", ns::OOB)], vec![]));
    let needed = read(vec![body("hi"), Node::Element(large("urn:x", "needless", 3000)), call.clone(), oob]);
    assert_eq!(
        names(&needed),
        ["body", "propose", "x", "stanza-id"],
        "elements that a notification does not need are left out"
    );

    let quoting = format!("> {}\nanswer\n> {}\nbelow", "x".repeat(3000), "y".repeat(100));
    let cut = read(vec![body(&quoting), Node::Element(large("urn:x", "needless", 1))]);
    assert_eq!(text_of(&cut).as_deref(), Some("answer\nbelow"), "quotes are left out");

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
    assert!(exact.starts_with("> quoted"), "a text of quotes only is cut, and its quotes are kept");
}

#[test]
fn the_archive_id_fits_beside_the_longest_account_and_attributes() {
    // RFC 7622 §3: 1,023 bytes for each part.
    let account = format!("{}@{}", "r".repeat(1023), "h".repeat(1023));
    let long = "'".repeat(20);
    let attrs = ["from", "to", "id", "type", "xml:lang", "other"].map(|name| (name, &*long));
    let read = open(&envelope(&element("message", &attrs, vec![body("hi")]), &account, Some("a1"), not_random));
    assert!(read.is("message", ns::CLIENT));
    assert_eq!(archive_ids(&read), [(&*account, "a1")]);
}

#[test]
fn an_oversized_name_or_archive_id_still_gives_a_valid_message() {
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
    let leaf = (any_name(), any_namespace(), any_text(), prop::collection::vec(any_text().prop_map(Node::Text), 0..3));
    leaf.prop_map(made).prop_recursive(3, 12, 4, move |inner| {
        (any_name(), any_namespace(), any_text(), prop::collection::vec(inner.prop_map(Node::Element), 0..4))
            .prop_map(made)
    })
}

proptest! {
    #[test]
    fn any_stanza_fits_into_a_push_and_keeps_its_archive_id(
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
}
