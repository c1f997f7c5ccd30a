//! An app server that knows only xmpp-parsers' types, as tokio-xmpp's users do (spec/support/typed.lua).
//!
//! A line of input is a push, and the line of output says what the types have of it, as JSON: node, options and summary by name of
//! field, other payloads of the notification; or `error`, why they take nothing.

use std::io::{BufRead, Write};

use minidom::Element;
use serde_json::{Map, Value, json};
use xmpp_parsers::data_forms::DataForm;
use xmpp_parsers::iq::{Iq, IqPayload};
use xmpp_parsers::pubsub::PubSub;
use xmpp_parsers::push::Notification;

fn main() {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let answer = read(&line.expect("UTF-8")).unwrap_or_else(|error| json!({ "error": error }));
        writeln!(out, "{answer}").expect("somebody reads");
    }
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
