//! The XEP-0357 notification and the publish around it (§5 and §7).

use minidom::Element;

use crate::address::bare;
use crate::config::Config;
use crate::element::{self, Sink};
use crate::ns;
use crate::rules::facts::Message;
use crate::text::cut_by;
use crate::tigase::encrypt::Encrypted;
use crate::xml;

/// Bytes that the sender and the text of a message may take together, escaped: a publish stays small, whatever a sender writes.
const LARGEST_CONTENT: usize = 3 * 1024;
/// Bytes of a sender's full JID, escaped. A longer one is sent without its resource.
const LONGEST_SENDER: usize = 1024;

/// The summary of a message that an app server gets.
#[derive(Clone, Copy, Default)]
pub struct Summary<'a> {
    /// `last-message-sender`: a JID.
    pub sender: Option<&'a str>,
    /// `last-message-body`, never empty. Receivers take its presence as high priority.
    pub body: Option<&'a str>,
}

impl<'a> Summary<'a> {
    /// Takes the parts of `message` that the options allow. Without a message, the summary only shows whether the push is
    /// important.
    pub fn new(config: &'a Config, message: Option<&Message<'a>>, important: bool) -> Self {
        let Some(message) = message else { return Summary::without_content(config, important) };
        let is_short = |jid: &str| xml::text_width(jid) <= LONGEST_SENDER;
        let sender = message.from.filter(|_| config.with_sender);
        let sender = sender.map(|sender| if is_short(sender) { sender } else { bare(sender) });
        let room = LARGEST_CONTENT.saturating_sub(sender.map_or(0, xml::text_width));
        let body = message.body.filter(|body| config.with_body && important && !body.is_empty());
        let body = body.map(|body| cut_by(body, room, xml::width)).filter(|body| !body.is_empty());
        Summary { sender, body: body.or(Summary::without_content(config, important).body) }
    }

    /// Makes the summary of a plain push, which only shows whether the push is important.
    pub fn without_content(config: &'a Config, important: bool) -> Self {
        Summary { sender: None, body: config.important_body.as_deref().filter(|_| important) }
    }

    /// Whether the summary has the sender or the text of the message.
    pub fn has_content(config: &Config, message: Option<&Message>, important: bool) -> bool {
        let has_text =
            |message: &Message| config.with_body && important && message.body.is_some_and(|body| !body.is_empty());
        message.is_some_and(|message| config.with_sender || has_text(message))
    }

    /// Returns the fields of the form, by name.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, &'a str)> + use<'a> {
        // XEP-0357 does not define the count, and receivers only look for a count above zero.
        let count = Some(("message-count", "1"));
        let sender = self.sender.map(|sender| ("last-message-sender", sender));
        let body = self.body.map(|body| ("last-message-body", body));
        count.into_iter().chain(sender).chain(body)
    }

    /// Whether receivers will treat the push as important.
    pub fn important(&self) -> bool {
        self.body.is_some()
    }
}

/// The addresses of one push.
#[derive(Clone, Copy, Debug)]
pub struct Publish<'a> {
    pub id: &'a str,
    /// The user's host.
    pub from: &'a str,
    /// The app server.
    pub to: &'a str,
    pub node: Option<&'a str>,
}

/// The content of a `<notification>`.
#[derive(Clone, Copy)]
pub struct Notification<'a> {
    pub summary: Summary<'a>,
    /// Takes the place of the summary.
    pub encrypted: Option<&'a Encrypted>,
    /// Whether the push has high priority (`tigase:push:priority:0`).
    pub priority: bool,
}

/// Writes `<notification>`.
pub fn notification<S: Sink>(sink: &mut S, notification: &Notification) -> Result<(), S::Error> {
    sink.open("notification", &[("xmlns", ns::PUSH)])?;
    match notification.encrypted {
        Some(encrypted) => encrypted.write(sink)?,
        None => form(sink, &notification.summary)?,
    }
    if notification.priority {
        sink.open("priority", &[("xmlns", ns::TIGASE_PRIORITY)])?;
        sink.text("high")?;
        sink.close()?;
    }
    sink.close()
}

fn form<S: Sink>(sink: &mut S, summary: &Summary) -> Result<(), S::Error> {
    sink.open("x", &[("xmlns", ns::DATA_FORMS), ("type", "submit")])?;
    field(sink, &[("xmlns", ns::DATA_FORMS), ("var", "FORM_TYPE"), ("type", "hidden")], ns::PUSH_SUMMARY)?;
    for (name, value) in summary.fields() {
        field(sink, &[("xmlns", ns::DATA_FORMS), ("var", name)], value)?;
    }
    sink.close()
}

fn field<S: Sink>(sink: &mut S, attrs: &[(&str, &str)], value: &str) -> Result<(), S::Error> {
    sink.open("field", attrs)?;
    sink.open("value", &[("xmlns", ns::DATA_FORMS)])?;
    sink.text(value)?;
    sink.close()?;
    sink.close()
}

/// Writes `<publish-options>` around the client's form.
pub fn options<S: Sink>(sink: &mut S, form: &Element) -> Result<(), S::Error> {
    sink.open("publish-options", &[("xmlns", ns::PUBSUB)])?;
    element::write(form, sink)?;
    sink.close()
}

/// Writes the `<iq>` around the output of `notification` and `options`. Each element has its namespace, as in a stanza from a
/// stream, because a component on the same server gets these very tables.
pub fn publish<S: Sink>(
    sink: &mut S,
    publish: &Publish,
    notification: impl FnOnce(&mut S) -> Result<(), S::Error>,
    options: impl FnOnce(&mut S) -> Result<(), S::Error>,
) -> Result<(), S::Error> {
    sink.open("iq", &[("type", "set"), ("id", publish.id), ("from", publish.from), ("to", publish.to)])?;
    sink.open("pubsub", &[("xmlns", ns::PUBSUB)])?;
    match publish.node {
        Some(node) => sink.open("publish", &[("xmlns", ns::PUBSUB), ("node", node)])?,
        None => sink.open("publish", &[("xmlns", ns::PUBSUB)])?,
    }
    sink.open("item", &[("xmlns", ns::PUBSUB)])?;
    notification(sink)?;
    sink.close()?;
    sink.close()?;
    options(sink)?;
    sink.close()?;
    sink.close()
}
