//! Push 2.0 at the edge to Lua: its records, its stanzas, and what only its clients ask. Records have the shape of the module
//! that this one replaces, so that either can read what the other has written.

use mlua::prelude::*;
use uuid::Uuid;

use super::host::{Host, method};
use super::protocol::{LooksAt, LuaProtocol, Normal, Scribe, Told};
use super::stanza::{Writer, attribute, child, children, is, text};
use super::value::{Text, field, is_set, pairs, string, text_size, timestamp};
use crate::config::Config;
use crate::engine::{Engine, Push};
use crate::ns;
use crate::push2::Push2;
use crate::push2::asked::{Asked, Chat, Match, Profile, Send, features};
use crate::push2::enable::{MAX_ECHO, MAX_MATCHES, Refusal, chat, grace, service};
use crate::push2::keys::{Keys, Signing};
use crate::registration::Registration;
use crate::rules::facts::MORE_PUSH2;
use crate::rules::walk::MESSAGE_PUSH2;
use crate::xep0357::enable::MAX_SIZE;
use crate::xml::text_width;

impl LuaProtocol for Push2 {
    type Shared = ();
    type Scribe<'a> = Sender<'a>;

    fn shared(_: &Lua, _: &str, _: &LuaTable) -> LuaResult<()> {
        Ok(())
    }

    fn registration(identifier: &LuaValue, record: &LuaValue, normal: &Normal) -> Option<Registration<Asked>> {
        let (identifier, record) = (string(identifier)?, record.as_table()?);
        let (service, client) = (field(record, "service")?, field(record, "client")?);
        let service = normal.of(&service).unwrap_or(service);
        let matches: Option<LuaTable> = record.raw_get("matches").ok()?;
        let matches = matches.iter().flat_map(|matches| matches.sequence_values::<LuaTable>());
        let matches = matches.map(|rule| Some(read(&rule.ok()?))).collect::<Option<_>>()?;
        let asked = Asked { client: client.into(), matches };
        Some(Registration::new(&identifier, &service, asked, timestamp(record)))
    }

    fn looks_at(&self, _: &Config) -> LooksAt {
        LooksAt { message: &MESSAGE_PUSH2, body: true, more: MORE_PUSH2, sessions: true }
    }

    fn scribe<'a>(engine: &'a Engine<Self>, (): &'a mut (), writer: Writer<'a>, _: Told<'a>) -> Sender<'a> {
        Sender { host: &engine.server().host, writer }
    }
}

/// Writes the messages of one event.
pub struct Sender<'a> {
    host: &'a str,
    writer: Writer<'a>,
}

impl Scribe<Push2> for Sender<'_> {
    fn stanza(&mut self, push: &Push<Push2>) -> LuaResult<LuaTable> {
        let Push { id, registration, payload } = push;
        let mut buffer = Uuid::encode_buffer();
        let id = id.hyphenated().encode_lower(&mut buffer);
        payload.write(&mut self.writer, id, self.host, registration.jid(), &registration.asked.client)?;
        self.writer.take()
    }
}

/// What only clients of Push 2.0 ask.
pub fn methods<M: LuaUserDataMethods<Host<Push2>>>(methods: &mut M) {
    method(methods, "features", |lua, _, ()| lua.create_sequence_from(features()));
    method(methods, "ask", |lua, host, (enable, user, identifier): (LuaTable, Text, Text)| {
        Ok(match ask(lua, &enable, &user, &host.engine.server().host, &identifier, &host.normal)? {
            Ok(record) => (Some(record), None, None),
            Err(refusal) => (None, Some(refusal.condition()), Some(refusal.text())),
        })
    });
}

fn read(rule: &LuaTable) -> Match {
    let chats = pairs(rule, "chats").into_iter().filter_map(|(jid, chat)| {
        let chat = chat.as_table()?;
        Some(Chat { jid: string(&jid)?.into(), mention: is_set(chat, "mention"), reply: is_set(chat, "reply") })
    });
    let mut chats: Vec<_> = chats.collect();
    // Lua's tables have no order, and the same registration is to be known again.
    chats.sort_by(|a, b| a.jid.cmp(&b.jid));
    let seconds = field(rule, "grace").and_then(|grace| grace.parse::<f64>().ok());
    Match {
        profile: field(rule, "match").map_or(Profile::Unknown, |profile| Profile::new(&profile)),
        grace: seconds.filter(|seconds| *seconds >= 0.0).map(|seconds| seconds as u32),
        chats: chats.into(),
        send: match field(rule, "send").as_deref() {
            Some(ns::PUSH2_SEND_NOTIFY_ONLY) => Send::NotifyOnly,
            Some(ns::PUSH2_SEND_ENCRYPTED) => Send::Encrypted(keys(rule).into()),
            _ => Send::Unknown,
        },
    }
}

fn keys(rule: &LuaTable) -> Keys {
    let field = |key| field(rule, key);
    let signing = field("jwt_alg").map(|algorithm| {
        let claims = pairs(rule, "jwt_claims").into_iter();
        let mut claims: Vec<_> = claims.filter_map(|(name, value)| Some((string(&name)?, string(&value)?))).collect();
        claims.sort();
        Signing { algorithm: algorithm.into(), key: field("jwt_key").unwrap_or_default().into(), claims }
    });
    Keys::new(&field("ua_public").unwrap_or_default(), &field("auth_secret").unwrap_or_default(), signing)
}

/// The record for an `<enable>` of `user` on `host`, to be stored under `identifier`.
fn ask(
    lua: &Lua,
    enable: &LuaTable,
    user: &str,
    host: &str,
    identifier: &str,
    normal: &Normal,
) -> LuaResult<Result<LuaTable, Refusal>> {
    let service = match service(own_text(enable, "service").as_deref(), user, host, |jid| normal.of(jid)) {
        Ok(service) => service,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let Some(client) = own_text(enable, "client").filter(|client| !client.is_empty()) else {
        return Ok(Err(Refusal::MissingClient));
    };
    let mut size = Size { all: identifier.len() + service.len() + client.len(), echo: text_width(&client), claims: 0 };
    let (matches, mut is_any, mut is_any_usable) = (lua.create_table()?, false, false);
    for element in children(enable).iter().filter(|child| is(child, "match")) {
        is_any = true;
        let rule = match rule(lua, element, &mut size, normal)? {
            Ok(Some(rule)) => rule,
            Ok(None) => continue,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let read = read(&rule);
        is_any_usable |= read.profile != Profile::Unknown;
        if matches.raw_len() >= MAX_MATCHES {
            return Ok(Err(Refusal::TooManyMatches));
        }
        // Before what takes time.
        if let Err(refusal) = size.check() {
            return Ok(Err(refusal));
        }
        if let Send::Encrypted(keys) = &read.send
            && let Err(refusal) = keys.parse()
        {
            return Ok(Err(refusal));
        }
        matches.push(rule)?;
    }
    if is_any && !is_any_usable {
        return Ok(Err(Refusal::UnknownProfile));
    }
    if let Err(refusal) = size.check() {
        return Ok(Err(refusal));
    }
    let record = lua.create_table()?;
    record.set("service", service)?;
    record.set("client", client)?;
    record.set("matches", matches)?;
    Ok(Ok(record))
}

/// What a client can make large, in bytes.
struct Size {
    all: usize,
    /// What every push says again.
    echo: usize,
    /// Of the match that is being read: a push has the token of one.
    claims: usize,
}

impl Size {
    fn check(&mut self) -> Result<(), Refusal> {
        if self.all > MAX_SIZE {
            Err(Refusal::TooLarge)
        } else if self.echo + std::mem::take(&mut self.claims) > MAX_ECHO {
            Err(Refusal::TooLongEcho)
        } else {
            Ok(())
        }
    }
}

/// One of its matches, as the store has it; nothing if no send profile is known. Adds up what a client can make large.
fn rule(
    lua: &Lua,
    element: &LuaTable,
    size: &mut Size,
    normal: &Normal,
) -> LuaResult<Result<Option<LuaTable>, Refusal>> {
    let (rule, chats) = (lua.create_table()?, lua.create_table()?);
    rule.set("match", attribute(element, "profile"))?;
    for filter in children(element).iter().filter(|child| is(child, "filter")) {
        let jid = match chat(attribute(filter, "jid").as_deref(), |jid| normal.of(jid)) {
            Ok(jid) => jid,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let chat = lua.create_table()?;
        for name in ["mention", "reply"] {
            if child(filter, name, ns::PUSH2).is_some() {
                chat.set(name, true)?;
            }
        }
        size.all += jid.len();
        chats.set(jid, chat)?;
    }
    rule.set("chats", chats)?;
    if let Some(seconds) = own_text(element, "grace") {
        match grace(&seconds) {
            Ok(seconds) => rule.set("grace", seconds)?,
            Err(refusal) => return Ok(Err(refusal)),
        }
    }
    if child(element, "send", ns::PUSH2_SEND_NOTIFY_ONLY).is_some() {
        rule.set("send", ns::PUSH2_SEND_NOTIFY_ONLY)?;
    } else if let Some(send) = child(element, "send", ns::PUSH2_SEND_ENCRYPTED) {
        rule.set("send", ns::PUSH2_SEND_ENCRYPTED)?;
        let keys = [
            ("ua-public", "ua_public"),
            ("auth-secret", "auth_secret"),
            ("jwt-alg", "jwt_alg"),
            ("jwt-key", "jwt_key"),
        ];
        for (name, key) in keys {
            rule.set(key, own_text(&send, name))?;
        }
        let claims = lua.create_table()?;
        for claim in children(&send).iter().filter(|child| is(child, "jwt-claim")) {
            if let Some(name) = attribute(claim, "name") {
                let value = text(claim);
                size.all += name.len() + value.len();
                size.claims += name.len() + value.len();
                claims.set(name, value)?;
            }
        }
        rule.set("jwt_claims", claims)?;
    } else {
        return Ok(Ok(None));
    }
    size.all += text_size(&rule);
    Ok(Ok(Some(rule)))
}

/// The text of a child that belongs to the element's own namespace.
fn own_text(element: &LuaTable, name: &str) -> Option<String> {
    child(element, name, &attribute(element, "xmlns")?).map(|child| text(&child))
}
