//! The publish on the wire, parsed by xmpp-parsers, which refuses unknown elements.

mod support;

use minidom::{Element, Node};
use prosody_push::config::Config;
use prosody_push::rules::facts::{BODY, Message};
use prosody_push::rules::importance::judge;
use prosody_push::xep0357::summary::{Publish, Summary};
use support::{compose, element, parse};
use xmpp_parsers::data_forms::{DataForm, DataFormType};
use xmpp_parsers::iq::Iq;
use xmpp_parsers::pubsub::PubSub;
use xmpp_parsers::push::Notification;

const TO: Publish =
    Publish { id: "i1", from: "example.org", to: "push-5.client.example", node: Some("yxs32uqsflafdk3iuqo") };

const CHAT: Message = Message {
    word: BODY,
    from: Some("juliet@example.org/x"),
    body: Some("Romeo?"),
    dedup_key: None,
    call: None,
    extracts: None,
    stanza: None,
};

/// The form of the XEP's example.
fn options() -> Element {
    let field = |var: &str, value: &str| {
        let value = element("value", &[("xmlns", "jabber:x:data")], vec![Node::Text(value.into())]);
        Node::Element(element("field", &[("xmlns", "jabber:x:data"), ("var", var)], vec![Node::Element(value)]))
    };
    let fields = vec![
        field("FORM_TYPE", "http://jabber.org/protocol/pubsub#publish-options"),
        field("secret", "eruio234vzxc2kla-91"),
    ];
    element("x", &[("xmlns", "jabber:x:data"), ("type", "submit")], fields)
}

/// Parses a publish strictly. Returns it, and the form in its notification.
fn strictly(stanza: Element) -> (PubSub, DataForm) {
    let Iq::Set { from, to, id, payload } = Iq::try_from(stanza).expect("an IQ") else { panic!("not a set") };
    assert_eq!(from.expect("from").as_str(), "example.org");
    assert_eq!(to.expect("to").as_str(), "push-5.client.example");
    assert_eq!(id, "i1");
    let pubsub = PubSub::try_from(payload).expect("a pubsub element");
    let PubSub::Publish { publish, .. } = &pubsub else { panic!("not a publish") };
    let [item] = &publish.items[..] else { panic!("not one item") };
    assert!(item.id.is_none());
    let notification = Notification::try_from(item.payload.clone().expect("a payload")).expect("a notification");
    assert!(notification.payloads.is_empty());
    (pubsub, notification.form.expect("a summary"))
}

fn fields(form: &DataForm) -> Vec<(&str, &str)> {
    form.fields.iter().map(|field| (field.var.as_deref().unwrap_or(""), &*field.values[0])).collect()
}

#[test]
fn a_publish_is_exactly_the_stanza_of_xep_0357() {
    let summary = Summary { sender: Some("juliet@example.org/x"), body: Some("Romeo?") };
    let stanza = compose(&TO, &summary, Some(&options()));
    let expected = "<iq xmlns='jabber:client' type='set' id='i1' from='example.org' to='push-5.client.example'>\
        <pubsub xmlns='http://jabber.org/protocol/pubsub'>\
          <publish node='yxs32uqsflafdk3iuqo'><item><notification xmlns='urn:xmpp:push:0'>\
            <x xmlns='jabber:x:data' type='submit'>\
              <field var='FORM_TYPE' type='hidden'><value>urn:xmpp:push:summary</value></field>\
              <field var='message-count'><value>1</value></field>\
              <field var='last-message-sender'><value>juliet@example.org/x</value></field>\
              <field var='last-message-body'><value>Romeo?</value></field>\
            </x>\
          </notification></item></publish>\
          <publish-options><x xmlns='jabber:x:data' type='submit'>\
            <field var='FORM_TYPE'><value>http://jabber.org/protocol/pubsub#publish-options</value></field>\
            <field var='secret'><value>eruio234vzxc2kla-91</value></field>\
          </x></publish-options>\
        </pubsub></iq>";
    assert_eq!(stanza, parse(&expected.replace(">        <", "><")));

    let (pubsub, form) = strictly(stanza);
    assert_eq!(form.type_, DataFormType::Submit);
    assert_eq!(form.form_type(), Some("urn:xmpp:push:summary"));
    let PubSub::Publish { publish, publish_options } = pubsub else { unreachable!("checked above") };
    assert_eq!(publish.node.0, "yxs32uqsflafdk3iuqo");
    let form = publish_options.expect("options").form.expect("a form");
    assert_eq!(fields(&form)[1], ("secret", "eruio234vzxc2kla-91"));
}

#[test]
fn a_publish_without_options_and_node_omits_both() {
    let stanza = compose(&Publish { node: None, ..TO }, &Summary::default(), None);
    let pubsub = stanza.get_child("pubsub", "http://jabber.org/protocol/pubsub").expect("pubsub");
    assert_eq!(pubsub.children().count(), 1);
    let publish = pubsub.children().next().expect("publish");
    assert_eq!(publish.attr("node"), None);
}

#[test]
fn the_summary_of_a_ping_has_only_a_message_count() {
    let config = Config { with_body: true, with_sender: true, ..Config::default() };
    let (_, form) = strictly(compose(&TO, &Summary::new(&config, None, false), None));
    assert_eq!(fields(&form), [("FORM_TYPE", "urn:xmpp:push:summary"), ("message-count", "1")]);
}

#[test]
fn the_options_decide_which_fields_an_app_server_gets() {
    let summary = |config: &Config, message: Message| {
        let summary =
            Summary::new(config, Some(&message), judge(message.word).is_ok_and(|importance| importance.is_important()));
        (summary.sender.map(str::to_owned), summary.body.map(str::to_owned))
    };
    let some = |text: &str| Some(text.to_owned());
    let empty = Message { word: 0, body: None, ..CHAT };
    let encrypted = Message { word: prosody_push::rules::facts::ENCRYPTED, body: None, ..CHAT };

    let config = Config::default();
    assert_eq!(summary(&config, CHAT), (None, some("New Message!")));
    assert_eq!(summary(&config, empty), (None, None));

    let config = Config { with_sender: true, ..Config::default() };
    assert_eq!(summary(&config, empty), (some("juliet@example.org/x"), None));

    let config = Config { with_body: true, ..Config::default() };
    assert_eq!(summary(&config, CHAT), (None, some("Romeo?")));
    assert_eq!(summary(&config, Message { body: Some(""), ..CHAT }).1, some("New Message!"), "never an empty body");
    assert_eq!(
        summary(&config, encrypted),
        (None, some("New Message!")),
        "an important push does not ring without a body"
    );
    assert_eq!(summary(&config, empty), (None, None));

    let config = Config { important_body: None, ..Config::default() };
    assert_eq!(summary(&config, CHAT), (None, None));
}
