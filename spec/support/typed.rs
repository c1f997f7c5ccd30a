//! A client and an app server that know only xmpp-parsers' types, as tokio-xmpp's users do (spec/support/typed.lua).
//!
//! A line of input is `enable JID NODE SECRET` or `disable JID NODE`, and the line of output is the IQ; or it is `push` and what an
//! app server got, and the line of output says what the types have of it, as JSON: node, options and summary by name of field, other
//! payloads of the notification; or `error`, why they take nothing.

use std::io::{BufRead, Write};

use minidom::Element;
use serde_json::{Map, Value, json};
use xmpp_parsers::data_forms::{DataForm, DataFormType, Field};
use xmpp_parsers::iq::{Iq, IqPayload};
use xmpp_parsers::jid::BareJid;
use xmpp_parsers::pubsub::PubSub;
use xmpp_parsers::push::{Disable, Enable, Notification};

fn main() {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("UTF-8");
        let (command, rest) = line.split_once(' ').expect("a command and its arguments");
        let answer = if command == "push" {
            read(rest).unwrap_or_else(|error| json!({ "error": error })).to_string()
        } else {
            String::from(&Element::from(write(command, rest)))
        };
        writeln!(out, "{answer}").expect("somebody reads");
    }
}

fn write(command: &str, arguments: &str) -> Iq {
    let words: Vec<&str> = arguments.split(' ').collect();
    let (jid, node) = (BareJid::new(words[0]).expect("a JID"), Some(words[1].to_owned()));
    if command == "disable" {
        return Iq::from_set("typed", Disable { jid, node });
    }
    let secret = Field::text_single("secret", words[2]);
    let form = DataForm::new(DataFormType::Submit, "http://jabber.org/protocol/pubsub#publish-options", vec![secret]);
    Iq::from_set("typed", Enable { jid, node, form: Some(form) })
}

fn read(xml: &str) -> Result<Value, String> {
    let stanza: Element = xml.parse().map_err(|error| format!("{error}"))?;
    let iq = Iq::try_from(stanza).map_err(|error| format!("{error:?}"))?;
    let (_, IqPayload::Set(payload)) = iq.split() else { return Err("no request".to_owned()) };
    let PubSub::Publish { publish, publish_options } =
        PubSub::try_from(payload).map_err(|error| format!("{error:?}"))?
    else {
        return Err("no publish".to_owned());
    };
    let [item] = publish.items.as_slice() else { return Err("not one item".to_owned()) };
    let payload = item.payload.clone().ok_or("no payload")?;
    let notification = Notification::try_from(payload).map_err(|error| format!("{error:?}"))?;
    Ok(json!({
        "node": publish.node.0,
        "options": publish_options.and_then(|options| options.form).map(|form| fields(&form)),
        "summary": notification.form.map(|form| fields(&form)),
        "payloads": notification.payloads.iter().map(Element::name).collect::<Vec<_>>(),
    }))
}

fn fields(form: &DataForm) -> Map<String, Value> {
    form.fields.iter().filter_map(|field| Some((field.var.clone()?, json!(field.values.first())))).collect()
}
