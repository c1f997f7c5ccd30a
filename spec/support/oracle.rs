//! What the rules know of a stanza, read from its XML by minidom: the other side of the shim's walk (spec/facts_spec.lua).
//!
//! A line of input is a stanza for romeo@example.test; a line of output has its facts, as JSON. The argument is `push` or `push2`.

use std::collections::HashMap;
use std::io::{BufRead, Write};

use minidom::Element;
use prosody_push::limits::{LONGEST_ENTRY, MOST_OF_A_KIND};
use prosody_push::ns;
use prosody_push::rules::facts::{
    EXTRACTS, EXTRACTS_TIGASE, MARKED_AS, MENTION, MENTIONED_GROUP, MENTIONED_OCCUPANT, Word,
};
use prosody_push::rules::walk::{Extract, Form, IQ, Keep, MESSAGE, MESSAGE_PUSH2, PRESENCE, Rule};
use serde_json::{Map, Value, json};
use xmpp_parsers::jid::Jid;

const ACCOUNT: &str = "romeo@example.test";

#[derive(Default)]
struct Facts<'e> {
    wanted: &'static [char],
    is_own: bool,
    word: Word,
    body: Option<String>,
    call: Option<String>,
    invited: bool,
    archive_id: Option<String>,
    carbon_archive_id: Option<String>,
    forwarded: Option<&'e Element>,
    entries: Vec<String>,
    counts: HashMap<char, usize>,
}

fn main() {
    let (message, wanted) = match std::env::args().nth(1).as_deref() {
        Some("push2") => (&MESSAGE_PUSH2, EXTRACTS),
        _ => (&MESSAGE, EXTRACTS_TIGASE),
    };
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let stanza: Element = line.expect("UTF-8").parse().expect("a stanza");
        let rule = match stanza.name() {
            "presence" => &PRESENCE,
            "iq" => &IQ,
            _ => message,
        };
        let mut facts = Facts { wanted, is_own: stanza.attr("from") == Some(ACCOUNT), ..Facts::default() };
        facts.visit(&stanza, rule);
        writeln!(out, "{}", facts.json(&stanza)).expect("somebody reads");
    }
}

impl<'e> Facts<'e> {
    fn visit(&mut self, element: &'e Element, rule: &Rule) {
        let (attribute, values) = rule.values;
        let value = element.attr(attribute).unwrap_or("");
        let of_value = values.iter().find(|(known, _)| *known == value).map_or(0, |(_, bit)| *bit);
        let text = text(element).filter(|text| !text.is_empty() && rule.text != 0);
        self.word |= rule.bit | of_value | text.as_ref().map_or(0, |_| rule.text);
        self.keep(element, rule, text);
        for child in element.children() {
            let known = rule.children.iter().copied().flatten().find(|known| child.is(known.name, known.ns));
            if let Some(known) = known.filter(|known| self.is_own || !known.rule.own) {
                self.visit(child, &known.rule);
            }
        }
    }

    fn keep(&mut self, element: &'e Element, rule: &Rule, text: Option<String>) {
        let id = || element.attr("id").filter(|_| element.attr("by") == Some(ACCOUNT)).map(str::to_owned);
        match rule.keep {
            Keep::Nothing => {}
            Keep::Body => self.body = self.body.take().or(text),
            Keep::CallId(attr) => self.call = self.call.take().or(element.attr(attr).map(str::to_owned)),
            Keep::Invite => self.invited = true,
            Keep::Forwarded => self.forwarded = Some(element),
            Keep::ArchiveId => self.archive_id = id().or(self.archive_id.take()),
            Keep::CarbonArchiveId => self.carbon_archive_id = id().or(self.carbon_archive_id.take()),
            Keep::Mention => self.mention(element),
            Keep::Attributes(kind, names) => {
                let values: Vec<_> = names.iter().map(|name| element.attr(*name).unwrap_or("")).collect();
                self.entries.push(format!("{kind}{}", values.join(" ")));
            }
            Keep::Extract(extract) => {
                if let Some(value) = value(element, &extract) {
                    self.note(extract.kind, &value);
                }
            }
        }
    }

    fn mention(&mut self, element: &Element) {
        if element.children().next().is_some() {
            return;
        }
        if let Some(jid) = element.attr("jid").and_then(normal) {
            self.note(MENTION, &jid);
        }
        if let Some(occupant) = element.attr("occupantid") {
            self.note(MENTIONED_OCCUPANT, occupant);
        }
        if let Some(group) = element.attr("mentions") {
            let uri = element.attr("uri").unwrap_or("");
            self.note(MENTIONED_GROUP, &format!("{group} {}", of_uri(uri).as_deref().unwrap_or(uri)));
        }
    }

    fn note(&mut self, kind: char, value: &str) {
        let is_wanted = self.wanted.contains(&kind) || [MENTIONED_OCCUPANT, MENTIONED_GROUP].contains(&kind);
        let count = self.counts.entry(kind).or_default();
        if is_wanted && *count < MOST_OF_A_KIND && value.len() <= LONGEST_ENTRY {
            *count += 1;
            self.entries.push(format!("{kind}{value}"));
        }
    }

    fn json(self, stanza: &Element) -> Value {
        let from = self.forwarded.map_or(stanza.attr("from"), |inner| inner.attr("from")).or(stanza.attr("from"));
        let name = if self.forwarded.is_some() { self.archive_id.or(self.carbon_archive_id) } else { self.archive_id };
        let about = self.forwarded.unwrap_or(stanza);
        let id = if self.invited { id_of_invite(about) } else { self.call };
        let is_own = from.map(bare) == Some(ACCOUNT);
        let peer = if is_own { about.attr("to").or(from) } else { from };
        let call = id.map(|id| format!("{} {id}", peer.map_or("", bare)));
        let texts = json!({ "from": from, "body": self.body, "name": name, "call": call });
        let texts = texts.as_object().into_iter().flatten().filter(|(_, text)| !text.is_null());
        let mut facts: Map<_, _> = texts.map(|(name, text)| (name.clone(), text.clone())).collect();
        let room = stanza.attr("from").map(bare).filter(|_| stanza.attr("type") == Some("groupchat"));
        let given = stanza.children().filter(|child| child.is("stanza-id", ns::STANZA_ID) && child.attr("by") == room);
        let given = given.filter_map(|child| child.attr("id")).last().filter(|_| room.is_some());
        let marked_as = given.or(about.attr("id")).filter(|_| about.name() == "message");
        let mut entries = self.entries;
        entries.extend(marked_as.map(|id| format!("{MARKED_AS}{id}")));
        facts.extend([("word".into(), self.word.into()), ("extracts".into(), entries.into())]);
        Value::Object(facts)
    }
}

/// What an entry says, if the element has it.
fn value(element: &Element, extract: &Extract) -> Option<String> {
    if extract.of_type.is_some() && element.attr("type") != extract.of_type {
        return None;
    }
    let of_attr = extract.attr.and_then(|attr| element.attr(attr)).map(str::to_owned);
    if extract.text {
        let text = text(element)?;
        return if extract.attr.is_some() { Some(format!("{} {text}", of_attr?)) } else { Some(text) };
    }
    match extract.form {
        Form::Text => of_attr,
        Form::Jid => normal(&of_attr?),
        Form::Uri => of_uri(&of_attr?),
    }
}

/// As util.stanza has it: none where there are elements.
fn text(element: &Element) -> Option<String> {
    element.children().next().is_none().then(|| element.text())
}

/// XEP-0482 §4.1.
fn id_of_invite(message: &Element) -> Option<String> {
    if message.attr("type") == Some("groupchat") {
        let room = bare(message.attr("from")?);
        let given =
            message.children().find(|child| child.is("stanza-id", ns::STANZA_ID) && child.attr("by") == Some(room));
        return given?.attr("id").map(str::to_owned);
    }
    let origin = message.get_child("origin-id", ns::STANZA_ID).and_then(|origin| origin.attr("id"));
    origin.or(message.attr("id")).map(str::to_owned)
}

fn bare(jid: &str) -> &str {
    jid.split_once('/').map_or(jid, |(bare, _)| bare)
}

fn normal(jid: &str) -> Option<String> {
    Jid::new(jid).ok().map(|jid| jid.to_string())
}

/// The URIs of the spec have no other escapes.
fn of_uri(uri: &str) -> Option<String> {
    normal(&uri.strip_prefix("xmpp:")?.split(['?', '#']).next()?.replace("%20", " "))
}
