//! XEP-0357 at the edge to Lua: its records, its stanzas and its requests.
//!
//! The cost of a push is the Lua tables that it is made of: half of it is for making them, half for the garbage collector. So
//! pushes that no other module observes share tables:
//!
//! - the content of `<item>` is the same in each push without content;
//! - the node and `<publish-options>` are the same in each push to one registration;
//! - to an app server elsewhere, all below `<iq>` is the same in each push without content to one registration. To a component of
//!   this server the elements from `<iq>` down to `<item>` are new, since a `pubsub` component writes into `<item>` and keeps it.
//!
//! `publish.lua` makes the new ones: Lua's constructors take a third of the time of setting fields from Rust.
//! `make bench` measures it: "offline message, 1 device".

use std::hash::RandomState;
use std::num::NonZeroUsize;
use std::rc::Rc;

use lru::LruCache;
use mlua::prelude::*;
use once_cell::unsync::OnceCell;
use uuid::Uuid;

use super::host::{EnableArguments, Enabled, Host, identifiers, method};
use super::protocol::{LooksAt, LuaProtocol, Normal, Scribe, Told};
use super::stanza::{Writer, error, request};
use super::tigase;
use super::value::{Text, field, string, text_size, timestamp};
use crate::address::{domain, is_account};
use crate::element::{self, Packed};
use crate::engine::{Engine, Push};
use crate::ns;
use crate::registration::Registration;
use crate::rules::facts::{EXTRACTS, EXTRACTS_TIGASE};
use crate::rules::walk::MESSAGE;
use crate::tigase::Extensions;
use crate::xep0357::asked::{self, Asked};
use crate::xep0357::disable::Disable;
use crate::xep0357::enable::{Refusal, Request};
use crate::xep0357::summary::{self, Notification, Publish, Summary};
use crate::xep0357::{Payload, Xep0357};

/// Registrations whose parts are kept.
const REGISTRATIONS: NonZeroUsize = NonZeroUsize::new(1000).unwrap();

impl LuaProtocol for Xep0357 {
    type Shared = Shared;
    type Scribe<'a> = Publisher<'a>;

    fn shared(lua: &Lua, host: &str, stanza_metatable: &LuaTable, is_observed: LuaFunction) -> LuaResult<Shared> {
        let attr = lua.create_table_from([("xmlns", ns::PUBSUB)])?;
        let publish = lua.load(include_str!("publish.lua")).set_name("=prosody_push");
        let publish = publish.call((stanza_metatable, host, attr, is_observed))?;
        Ok(Shared { publish, plain: Default::default(), parts: LruCache::new(REGISTRATIONS) })
    }

    /// The reference stores any text as a JID: an invalid one stays unchanged.
    fn registration(identifier: &LuaValue, record: &LuaValue, normal: &Normal) -> Option<Registration<Asked>> {
        let record = record.as_table()?;
        let options: LuaValue = record.raw_get("options").ok()?;
        let options = match &options {
            LuaValue::Nil => None,
            options => Some(request(options.as_table()?)?),
        };
        let (identifier, jid, node) = (string(identifier)?, field(record, "jid")?, field(record, "node"));
        let jid = normal.of(&jid).unwrap_or(jid);
        let mut registration =
            asked::registration(&identifier, &jid, node.as_deref(), options.as_ref(), timestamp(record));
        registration.asked.client_id = field(record, "client_id").map(Into::into);
        registration.asked.resource = field(record, "resource").map(Into::into);
        registration.asked.tigase = tigase::settings(record);
        Some(registration)
    }

    fn features(extension: Option<&str>) -> Vec<&'static str> {
        match extension {
            None => vec![ns::PUSH],
            Some("encrypted") => vec![ns::TIGASE_ENCRYPT, ns::TIGASE_AES_128_GCM, ns::TIGASE_OMEMO, ns::TIGASE_JINGLE],
            Some("filters") => vec![ns::TIGASE_UNKNOWN, ns::TIGASE_MUTED, ns::TIGASE_GROUPCHAT],
            Some("priority") => vec![ns::TIGASE_PRIORITY],
            Some(_) => Vec::new(),
        }
    }

    fn looks_at(&self) -> LooksAt {
        let is_extended = self.extensions.encrypted || self.extensions.filters;
        let extracts = if is_extended { EXTRACTS_TIGASE } else { EXTRACTS };
        LooksAt { message: &MESSAGE, extracts, archived: false, activity: false }
    }

    fn scribe<'a>(
        engine: &'a Engine<Self>,
        shared: &'a mut Shared,
        writer: Writer<'a>,
        told: Told<'a>,
    ) -> Publisher<'a> {
        let summary = Summary::new(engine.config(), told.message, told.important);
        Publisher { engine, shared, writer, told, summary, content: None }
    }
}

/// The tables that pushes share.
pub struct Shared {
    /// `src/lua/publish.lua`.
    publish: LuaFunction,
    /// `<notification>` without content: unimportant, important.
    plain: [OnceCell<LuaTable>; 2],
    /// By the registration's address in memory. The entry holds the registration, so that no other one gets this address
    /// meanwhile.
    parts: LruCache<*const Registration<Asked>, Parts>,
}

/// The tables that are the same in each push to a registration.
struct Parts {
    _registration: Rc<Registration<Asked>>,
    /// `to` of `src/lua/publish.lua`.
    to: LuaTable,
}

/// Writes the publishes of one event.
pub struct Publisher<'a> {
    engine: &'a Engine<Xep0357>,
    shared: &'a mut Shared,
    writer: Writer<'a>,
    told: Told<'a>,
    summary: Summary<'a>,
    /// The children of `<item>` in each push with the summary.
    content: Option<LuaTable>,
}

impl Scribe<Xep0357> for Publisher<'_> {
    fn stanza(&mut self, push: &Push<Xep0357>) -> LuaResult<LuaTable> {
        if self.told.observed {
            return self.own(push);
        }
        let (content, kind) = match &push.payload {
            Payload::Summary => (self.content()?, self.is_plain().then_some(self.told.important)),
            Payload::Encrypted(encrypted) => {
                let own = Notification { encrypted: Some(encrypted), ..self.notification() };
                (content(&mut self.writer, &own)?, None)
            }
        };
        let registration = &push.registration;
        let writer = &mut self.writer;
        let parts = self.shared.parts.try_get_or_insert(Rc::as_ptr(registration), || parts(writer, registration))?;
        let mut buffer = Uuid::encode_buffer();
        let id = &*push.id.hyphenated().encode_lower(&mut buffer);
        self.shared.publish.call((id, &parts.to, content, kind.map(|important| if important { 2 } else { 1 })))
    }

    fn details(&self, lua: &Lua, push: &Push<Xep0357>) -> LuaResult<Option<LuaTable>> {
        let details = lua.create_table()?;
        details.raw_set("identifier", &*push.registration.identifier)?;
        details.raw_set("important", self.summary.important())?;
        details.raw_set("summary", lua.create_table_from(self.summary.fields())?)?;
        Ok(Some(details))
    }
}

impl<'a> Publisher<'a> {
    fn notification(&self) -> Notification<'a> {
        let priority = self.told.important && self.engine.protocol().extensions.priority;
        Notification { summary: self.summary, encrypted: None, priority }
    }

    /// Whether a push with the summary has no content.
    fn is_plain(&self) -> bool {
        !Summary::has_content(self.engine.config(), self.told.message, self.told.important)
    }

    /// Returns the children of `<item>` in a push with the summary.
    fn content(&mut self) -> LuaResult<LuaTable> {
        if let Some(content) = &self.content {
            return Ok(content.clone());
        }
        let notification = self.notification();
        let made = if self.is_plain() {
            let plain = &self.shared.plain[usize::from(self.told.important)];
            plain.get_or_try_init(|| content(&mut self.writer, &notification))?.clone()
        } else {
            content(&mut self.writer, &notification)?
        };
        Ok(self.content.insert(made).clone())
    }

    /// Returns the stanza of an observed push, which shares no table with another.
    fn own(&mut self, push: &Push<Xep0357>) -> LuaResult<LuaTable> {
        let Push { id, registration, payload } = push;
        let encrypted = match payload {
            Payload::Summary => None,
            Payload::Encrypted(encrypted) => Some(encrypted),
        };
        let notification = Notification { encrypted, ..self.notification() };
        let form = registration.asked.options.as_ref().and_then(Packed::unpack);
        let options = |writer: &mut Writer| form.iter().try_for_each(|form| summary::options(writer, form));
        let mut buffer = Uuid::encode_buffer();
        let id = id.hyphenated().encode_lower(&mut buffer);
        let from = &self.engine.server().host;
        let to = Publish { id, from, to: registration.jid(), node: registration.node() };
        summary::publish(&mut self.writer, &to, |writer| summary::notification(writer, &notification), options)?;
        self.writer.take()
    }
}

/// Writes `<notification>`, as the `tags` of its parent.
fn content(writer: &mut Writer, notification: &Notification) -> LuaResult<LuaTable> {
    summary::notification(writer, notification)?;
    writer.lua().create_sequence_from([writer.take()?])
}

fn parts(writer: &mut Writer, registration: &Rc<Registration<Asked>>) -> LuaResult<Parts> {
    let attr = writer.lua().create_table_from([("xmlns", ns::PUBSUB)])?;
    attr.raw_set("node", registration.node())?;
    let to = writer.lua().create_table()?;
    to.raw_set("jid", registration.jid())?;
    to.raw_set("domain", domain(registration.jid()))?;
    to.raw_set("attr", attr)?;
    if let Some(form) = registration.asked.options.as_ref().and_then(Packed::unpack) {
        summary::options(writer, &form)?;
        to.raw_set("options", writer.take()?)?;
    }
    Ok(Parts { _registration: registration.clone(), to })
}

/// Adds the methods that only XEP-0357 has.
pub fn methods<M: LuaUserDataMethods<Host<Xep0357>>>(methods: &mut M) {
    method(methods, "extend", |_, host, (name, on): (Text, bool)| {
        let extensions = &mut host.engine.protocol_mut().extensions;
        match &*name {
            "encrypted" => extensions.encrypted = on,
            "encrypted elsewhere" => extensions.encrypted_elsewhere = on,
            "filters" => extensions.filters = on,
            "priority" => extensions.priority = on,
            _ => return Err(LuaError::runtime(format!("There is no extension {name}"))),
        }
        host.shared.plain = Default::default();
        host.shared.parts.clear();
        // The same request now means something else.
        host.fingerprints = RandomState::new();
        Ok(host.engine.protocol().extensions.filters)
    });
    method(methods, "extensions", |lua, host, ()| {
        let Extensions { encrypted, encrypted_elsewhere, filters, priority } = host.engine.protocol().extensions;
        lua.create_table_from([
            ("encrypted", encrypted),
            ("encrypted elsewhere", encrypted_elsewhere),
            ("filters", filters),
            ("priority", priority),
        ])
    });
    method(
        methods,
        "enable",
        |lua, host, (user, client_id, resource, enable, record): EnableArguments| -> LuaResult<Enabled> {
            let extensions = host.engine.protocol().extensions;
            let normal = |jid: &str| host.normal.of(jid);
            record.raw_set("resource", resource.filter(|_| client_id.is_none()))?;
            record.raw_set("client_id", client_id)?;
            let request = request(&enable).ok_or(Refusal::TooLarge).and_then(|enable| {
                Request::read(&enable, &user, &host.engine.server().host, extensions, text_size(&record), normal)
            });
            match request {
                Ok(request) => {
                    let identifier = request.identifier.clone();
                    write(&mut Writer::preserialized(lua), request, &record)?;
                    Ok((Some(identifier), None))
                }
                Err(refusal) => Ok((None, Some(error(lua, &host.stanza_metatable, refusal.stanza_error())?))),
            }
        },
    );
    type Disabled = (Option<Text>, Option<Text>, Option<LuaTable>);
    method(methods, "disable", |lua, host, disable: LuaTable| -> LuaResult<Disabled> {
        match request(&disable).ok_or(Refusal::Malformed).and_then(|disable| Disable::read(&disable)) {
            Ok(Disable { jid, node }) => Ok((Some(jid), node, None)),
            Err(refusal) => Ok((None, None, Some(error(lua, &host.stanza_metatable, refusal.stanza_error())?))),
        }
    });
    method(
        methods,
        "matching",
        |lua, host, (user, stored, jid, node): (Text, Option<LuaTable>, Text, Option<Text>)| {
            let jid = host.normal.of(&jid).unwrap_or(jid);
            // An unreadable record also belongs to the client, if its key matches.
            let key = node.as_deref().map(|node| asked::identifier(&jid, Some(node)));
            let key = key.filter(|key| stored.iter().any(|stored| stored.contains_key(&**key).unwrap_or(false)));
            let devices = host.stored_devices(&user, stored);
            let readable = devices.matching(&jid, node.as_deref()).map(|device| device.identifier.to_string());
            let others = key.filter(|key| devices.get(key).is_none());
            lua.create_sequence_from(readable.chain(others))
        },
    );
    type Affiliation = (Text, Option<LuaTable>, Option<Text>, Option<Text>, Option<Text>, Option<Text>);
    method(methods, "revoked", |lua, host, (user, stored, from, node, jid, affiliation): Affiliation| {
        let is_theirs = jid.is_some_and(|jid| is_account(&jid, &user, &host.engine.server().host));
        let devices = host.stored_devices(&user, stored);
        let from = from.filter(|_| is_theirs);
        let revoked = from.iter().flat_map(|from| devices.revoked(from, node.as_deref(), affiliation.as_deref()));
        identifiers(lua, revoked)
    });
}

/// Writes a client's request into the record for the store.
fn write(writer: &mut Writer, request: Request, record: &LuaTable) -> LuaResult<()> {
    let Request { jid, node, include_payload, form, tigase, .. } = request;
    record.raw_set("jid", jid)?;
    record.raw_set("node", node)?;
    record.raw_set("include_payload", include_payload)?;
    if let Some(form) = form {
        element::write(&form, writer)?;
        record.raw_set("options", writer.take()?)?;
    }
    tigase::write(writer.lua(), tigase, record)
}
