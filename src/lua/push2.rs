//! Push 2.0 at the edge to Lua: its records, its stanzas and its requests. Records have the shape of the module that this one
//! replaces, so that each side reads the records of the other.

use mlua::prelude::*;
use uuid::Uuid;

use super::host::{EnableArguments, Enabled, Host, method};
use super::protocol::{LooksAt, LuaProtocol, Normal, Scribe, Told};
use super::stanza::{Writer, error, request};
use super::value::{Text, field, is_set, pairs, string, timestamp};
use crate::engine::{Engine, Push};
use crate::ns;
use crate::push2::Push2;
use crate::push2::asked::{Asked, Chat, Match, Profile, Send, features, identifier};
use crate::push2::enable::{Refusal, Request, Requested};
use crate::push2::keys::{Keys, Signing};
use crate::registration::Registration;
use crate::rules::facts::EXTRACTS;
use crate::rules::walk::MESSAGE_PUSH2;

impl LuaProtocol for Push2 {
    type Shared = ();
    type Scribe<'a> = Sender<'a>;

    fn shared(_: &Lua, _: &str, _: &LuaTable, _: LuaFunction) -> LuaResult<()> {
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

    fn features(_: Option<&str>) -> Vec<&'static str> {
        features().collect()
    }

    fn looks_at(&self) -> LooksAt {
        LooksAt { message: &MESSAGE_PUSH2, extracts: EXTRACTS, archived: true, activity: true }
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

/// Adds the methods that only Push 2.0 has.
pub fn methods<M: LuaUserDataMethods<Host<Push2>>>(methods: &mut M) {
    method(
        methods,
        "enable",
        |lua, host, (user, client_id, resource, enable, record): EnableArguments| -> LuaResult<Enabled> {
            let normal = |jid: &str| host.normal.of(jid);
            let identifier = identifier(client_id.as_deref(), resource.as_deref()).ok_or(Refusal::NoClient);
            let request = identifier.and_then(|identifier| {
                let enable = request(&enable).ok_or(Refusal::TooLarge)?;
                let request = Request::read(&enable, &user, &host.engine.server().host, identifier, normal)?;
                Ok((identifier.to_owned(), request))
            });
            match request {
                Ok((identifier, request)) => {
                    write(lua, request, &record)?;
                    Ok((Some(identifier), None))
                }
                Err(refusal) => Ok((None, Some(error(lua, &host.stanza_metatable, refusal.stanza_error())?))),
            }
        },
    );
    type Client = (Option<LuaTable>, Option<Text>, Option<Text>);
    method(methods, "disabled", |lua, _, (stored, client_id, resource): Client| {
        // An unreadable record also belongs to the client.
        let is_stored =
            |identifier: &&str| stored.iter().any(|stored| stored.contains_key(*identifier).unwrap_or(false));
        lua.create_sequence_from(identifier(client_id.as_deref(), resource.as_deref()).filter(is_stored))
    });
}

fn read(rule: &LuaTable) -> Match {
    let chats = pairs(rule, "chats").into_iter().filter_map(|(jid, chat)| {
        let chat = chat.as_table()?;
        Some(Chat { jid: string(&jid)?.into(), mention: is_set(chat, "mention"), reply: is_set(chat, "reply") })
    });
    let mut chats: Vec<_> = chats.collect();
    // Lua's tables have no order, but equal registrations have to compare equal.
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

/// Writes a client's request into the record for the store.
fn write(lua: &Lua, request: Request, record: &LuaTable) -> LuaResult<()> {
    let matches = lua.create_table()?;
    for Requested { profile, grace, chats, encrypted } in request.matches {
        let (rule, chats_table) = (lua.create_table()?, lua.create_table()?);
        for Chat { jid, mention, reply } in chats {
            let chat = lua.create_table()?;
            chat.raw_set("mention", mention.then_some(true))?;
            chat.raw_set("reply", reply.then_some(true))?;
            chats_table.raw_set(&*jid, chat)?;
        }
        rule.raw_set("match", profile)?;
        rule.raw_set("grace", grace)?;
        rule.raw_set("chats", chats_table)?;
        match encrypted {
            None => rule.raw_set("send", ns::PUSH2_SEND_NOTIFY_ONLY)?,
            Some(encrypted) => {
                rule.raw_set("send", ns::PUSH2_SEND_ENCRYPTED)?;
                rule.raw_set("jwt_claims", lua.create_table_from(encrypted.named_claims())?)?;
                rule.raw_set("ua_public", encrypted.ua_public)?;
                rule.raw_set("auth_secret", encrypted.auth_secret)?;
                rule.raw_set("jwt_alg", encrypted.jwt_alg)?;
                rule.raw_set("jwt_key", encrypted.jwt_key)?;
            }
        }
        matches.raw_push(rule)?;
    }
    record.raw_set("service", request.service)?;
    record.raw_set("client", request.client)?;
    record.raw_set("matches", matches)
}
