//! The Lua library: what `require "prosody_push"` gives. Its types for Lua are in `lua/prosody_push.meta.lua`.
//!
//! Every method takes positional facts and answers with values: `nil` when there is nothing to do, `false` when the
//! user's registrations have to be loaded first. None calls back into Prosody, but for the log.

mod known;
mod log;
mod push2;
mod records;
mod shared;
mod stanza;
mod tigase;

use std::rc::Rc;

use mlua::prelude::*;

use crate::VERSION;
use crate::config::{Config, Value};
use crate::delivery::{ANSWER_TIMEOUT, Gone, Millis};
use crate::element::Packed;
use crate::engine::{Content, Done, Engine, Event, Held, NotLoaded, Push, Pushes, Verdict};
use crate::facts::{Message, Word};
use crate::protocol::Protocol;
use crate::push2::notification::Notice;
use crate::registration::{Devices, Refusal, Registration, admit, app_server, identifier, is_account};
use crate::stanza_error::StanzaError;
use crate::summary::{self, Notification, Publish, Summary};
use shared::Shared;
use stanza::Writer;

// Lua 5.4 raises in the middle of an allocation only where there is no memory left. To be ready for that costs more than
// the rest of a push (`make bench`). In 5.2 and 5.3 a faulty finalizer of anybody's raises there.
#[cfg_attr(feature = "lua54", mlua::lua_module(skip_memory_check))]
#[cfg_attr(not(feature = "lua54"), mlua::lua_module)]
fn prosody_push(lua: &Lua) -> LuaResult<LuaTable> {
    let library = lua.create_table()?;
    library.set("version", VERSION)?;
    library.set("answer_timeout", ANSWER_TIMEOUT / 1000)?;
    library.set(
        "log_debug",
        lua.create_function(|_, on| {
            log::set_debug(on);
            Ok(())
        })?,
    )?;
    library.set("new", lua.create_function(new)?)?;
    Ok(library)
}

/// One host's engine, with what is needed to speak to its Prosody.
struct Host {
    engine: Engine,
    shared: Shared,
    stanza_metatable: LuaTable,
    log: LuaFunction,
}

type New = (String, String, LuaFunction, LuaTable, LuaFunction);

fn new(lua: &Lua, (name, protocol, option, stanza_metatable, log): New) -> LuaResult<Host> {
    let protocol = match &*protocol {
        "push" => Protocol::Push,
        "push2" => Protocol::Push2,
        _ => return Err(LuaError::runtime(format!("There is no protocol {protocol}"))),
    };
    log::install();
    let mut failure = Ok(());
    let (config, warnings) = Config::read(|name| {
        option.call(name).map(option_value).unwrap_or_else(|error| {
            failure = Err(error);
            Value::Nil
        })
    });
    failure?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    log::drain(&log)?;
    let shared = Shared::new(lua, &name, &stanza_metatable)?;
    Ok(Host { engine: Engine::new(name, protocol, config, random), shared, stanza_metatable, log })
}

fn option_value(value: LuaValue) -> Value {
    match value {
        LuaValue::Nil => Value::Nil,
        LuaValue::Boolean(value) => Value::Bool(value),
        LuaValue::Integer(value) => Value::Number(value as f64),
        LuaValue::Number(value) => Value::Number(value),
        LuaValue::String(value) => match value.to_str() {
            Ok(text) => Value::Text(text.to_owned()),
            Err(_) => Value::Other("string that is not UTF-8"),
        },
        other => Value::Other(other.type_name()),
    }
}

fn random(bytes: &mut [u8]) {
    // Fails only where the kernel has no random source, and then nothing may be sent.
    getrandom::fill(bytes).expect("the operating system gives random bytes");
}

/// A string argument; one that is not UTF-8 is refused. To copy it is cheaper than to hold on to Lua's own.
type Text = String;

/// Between several identifiers in one string: a table would cost more than all the rest of the call. XML cannot have it.
const SEPARATOR: char = '\0';

/// What every event of a message brings first: user, seconds since 1970, whether other modules see each push, the stanza
/// where a push may carry it, word of facts, sender, body, name, id of a call, what there can be several of. `$more` are the types of what comes after it.
macro_rules! message_event {
    ($($more:ty),*) => {
        (Text, f64, bool, Option<LuaTable>, Word, Option<Text>, Option<Text>, Option<Text>, Option<Text>, Option<Text>, $($more),*)
    };
}

fn event(user: &str, now: f64, seen: bool) -> Event<'_> {
    Event { now: millis(now), user, seen }
}

fn message<'a>(
    word: Word,
    from: &'a Option<Text>,
    body: &'a Option<Text>,
    name: &'a Option<Text>,
    call: &'a Option<Text>,
    more: &'a Option<Text>,
) -> Message<'a> {
    let (from, body, name, call) = (from.as_deref(), body.as_deref(), name.as_deref(), call.as_deref());
    Message { word, from, body, name, call, more: more.as_deref(), stanza: None }
}

impl LuaUserData for Host {
    fn add_methods<M: LuaUserDataMethods<Self>>(methods: &mut M) {
        method(methods, "known", |lua, host, ()| {
            known::stanzas(lua, host.engine.protocol(), host.engine.config(), host.engine.extensions())
        });
        method(methods, "extend", |_, host, (name, on): (Text, bool)| {
            let mut extensions = host.engine.extensions();
            match &*name {
                "encrypted" => extensions.encrypted = on,
                "filters" => extensions.filters = on,
                "priority" => extensions.priority = on,
                _ => return Err(LuaError::runtime(format!("There is no extension {name}"))),
            }
            host.engine.extend(extensions);
            host.shared.clear();
            Ok(extensions.filters)
        });

        // Registrations.
        method(methods, "load", |_, host, (user, stored): (Text, Option<LuaTable>)| {
            host.engine.load(&user, records::read(host.engine.protocol(), &user, stored));
            Ok(())
        });
        method(methods, "forget", |_, host, user: Text| {
            host.engine.forget(&user);
            Ok(())
        });
        method(methods, "enabled", |_, host, (now, user, identifier): (f64, Text, Text)| {
            host.engine.enabled(millis(now), &user, &identifier);
            Ok(())
        });
        type Address = (Option<Text>, Option<Text>, Option<Text>);
        method(methods, "address", |_, _, (jid, node, sender): Address| {
            Ok(match app_server(jid.as_deref(), sender.as_deref()) {
                Ok(jid) => (Some(identifier(jid.as_str(), node.as_deref())), jid.to_string()),
                Err(refusal) => (None, refusal.text().to_owned()),
            })
        });
        method(methods, "of_client", |_, host, (user, stored, client_id): (Text, Option<LuaTable>, Text)| {
            let devices = stored_devices(host.engine.protocol(), &user, stored);
            let device = match host.engine.protocol() {
                Protocol::Push => devices.of_client(&client_id),
                Protocol::Push2 => devices.get(&client_id),
            };
            Ok(device.map(|device| device.identifier.to_string()))
        });
        method(methods, "refusal", |lua, host, (identifier, record, enable): (LuaValue, LuaTable, LuaTable)| {
            let asked = tigase::ask(lua, &enable, &record, host.engine.extensions())?;
            let refusal = asked.and_then(|()| records::check(&identifier, &LuaValue::Table(record))).err();
            Ok((refusal.map(Refusal::condition), refusal.map(Refusal::text)))
        });
        method(methods, "features", |lua, _, ()| lua.create_sequence_from(push2::FEATURES));
        method(methods, "ask", |lua, host, (enable, user, identifier): (LuaTable, Text, Text)| {
            Ok(match push2::ask(lua, &enable, &user, host.engine.host(), &identifier)? {
                Ok(record) => (Some(record), None, None),
                Err(refusal) => (None, Some(refusal.condition()), Some(refusal.text())),
            })
        });
        method(methods, "admit", |lua, host, (user, stored, newest, now): (Text, LuaTable, Text, i64)| {
            let registrations = records::read(host.engine.protocol(), &user, Some(stored));
            let (timestamp, superseded) = admit(registrations, &newest, now, host.engine.max_devices());
            Ok((timestamp, identifiers(lua, superseded.iter())?))
        });
        method(
            methods,
            "matching",
            |lua, host, (user, stored, jid, node): (Text, Option<LuaTable>, Text, Option<Text>)| {
                identifiers(lua, stored_devices(host.engine.protocol(), &user, stored).matching(&jid, node.as_deref()))
            },
        );
        method(methods, "standing", |lua, host, (user, stored): (Text, Option<LuaTable>)| {
            let devices = stored_devices(host.engine.protocol(), &user, stored);
            let (too_many, woken) = devices.split(host.engine.most_devices());
            Ok((identifiers(lua, woken.iter())?, identifiers(lua, too_many.iter())?))
        });
        type Affiliation = (Text, Option<LuaTable>, Option<Text>, Option<Text>, Option<Text>, Option<Text>);
        method(methods, "revoked", |lua, host, (user, stored, from, node, jid, affiliation): Affiliation| {
            let theirs = jid.is_some_and(|jid| is_account(&jid, &user, host.engine.host()));
            let devices = stored_devices(host.engine.protocol(), &user, stored);
            let revoked = from.iter().filter(|_| theirs && affiliation.as_deref() == Some("none"));
            let revoked = revoked.flat_map(|from| devices.matching(from, Some(node.as_deref().unwrap_or(""))));
            identifiers(lua, revoked)
        });

        // Events that lead to pushes.
        type OnOffline = message_event!();
        method(
            methods,
            "on_offline",
            |lua, host, (user, now, seen, stanza, word, from, body, name, call, more): OnOffline| {
                let stanza = || stanza::whole(stanza.as_ref()?);
                let message = Message { stanza: Some(&stanza), ..message(word, &from, &body, &name, &call, &more) };
                let event = event(&user, now, seen);
                let pushes = host.engine.on_offline(event, &message);
                host.write(lua, event, pushes, Some(&message))
            },
        );
        type OnAddressed = message_event!(Option<Text>, Option<Text>, Option<Text>);
        method(
            methods,
            "on_addressed",
            |lua,
             host,
             (user, now, seen, stanza, word, from, body, name, call, more, to, held, sender): OnAddressed| {
                let stanza = || stanza::whole(stanza.as_ref()?);
                let message = Message { stanza: Some(&stanza), ..message(word, &from, &body, &name, &call, &more) };
                let event = event(&user, now, seen);
                let held = held.unwrap_or_default();
                let held = |identifier: &str| held.split(SEPARATOR).any(|held| held == identifier);
                let pushes = host.engine.on_addressed(event, to.as_deref(), &message, held, sender.as_deref());
                host.write(lua, event, pushes, Some(&message))
            },
        );
        method(methods, "name", |_, host, (from, id, text): (Option<Text>, Text, Option<Text>)| {
            Ok(host.engine.name(from.as_deref(), &id, text.as_deref()))
        });
        method(methods, "is_activity", |_, _, word: Word| Ok(Engine::is_activity(word)));
        method(methods, "queue_delay", |_, _, word: Word| Ok(seconds(Engine::queue_delay(word))));
        type OnQueued = message_event!(Text, u8);
        method(
            methods,
            "on_queued",
            |lua, host, (user, now, seen, stanza, word, from, body, name, call, more, identifier, done): OnQueued| {
                let stanza = || stanza::whole(stanza.as_ref()?);
                let message = Message { stanza: Some(&stanza), ..message(word, &from, &body, &name, &call, &more) };
                let event = event(&user, now, seen);
                let queued = host.engine.on_queued(event, &identifier, Done::new(done), &message);
                let said = queued.as_ref().ok().map(|queued| (queued.done, queued.alerted));
                let (details, wait, _, _, stanza, others) =
                    host.write(lua, event, queued.map(|queued| queued.pushes), Some(&message))?;
                let (done, alerted) = said.map(|(done, alerted)| (done.bits(), alerted)).unzip();
                Ok((details, wait, done, alerted, stanza, others))
            },
        );
        method(methods, "asks_for_roster", |_, host, (user, word): (Text, Word)| {
            Ok(host.engine.asks_for_roster(&user, word))
        });
        method(methods, "on_resumed", |_, host, (user, identifier): (Text, Text)| {
            host.engine.on_resumed(&user, &identifier);
            Ok(())
        });
        method(methods, "max_hibernation", |_, host, ()| Ok(host.engine.config().max_hibernation));
        method(methods, "hibernates_past_push", |_, host, ()| Ok(host.engine.hibernates_past_push()));
        method(methods, "wake_before", |_, host, ()| Ok(host.engine.config().wake_before));
        // It brings no stanza.
        type Ping = (Text, f64, bool, LuaValue, Option<LuaTable>, Option<bool>);
        method(methods, "on_ping", |lua, host, (user, now, seen, _, given, at_once): Ping| {
            let given = given.map(|given| records::read(host.engine.protocol(), &user, Some(given)));
            let event = event(&user, now, seen);
            let pushes = host.engine.on_ping(event, given, at_once.unwrap_or(false));
            host.write(lua, event, pushes, None)
        });
        method(methods, "withdraw", |_, host, id: Text| {
            host.engine.withdraw(&id);
            Ok(())
        });

        // Answers.
        type Answer = (f64, Text, Option<Text>, Option<Text>, Option<Text>, Option<Text>);
        method(methods, "on_answer", |_, host, (now, id, from, kind, condition, text): Answer| {
            let error = kind.as_deref().map(|kind| StanzaError {
                kind,
                condition: condition.as_deref().unwrap_or("undefined-condition"),
                text: text.as_deref(),
            });
            let now = millis(now);
            let (user, identifier) = match host.engine.on_answer(now, &id, from.as_deref(), error) {
                Verdict::Stranger => return Ok((None, None, None, None)),
                Verdict::Stays => (None, None),
                Verdict::Goes(Gone { user, identifier }) => (Some(user.to_string()), Some(identifier.to_string())),
            };
            Ok((Some(true), host.engine.next_release(now).map(seconds), user, identifier))
        });
        method(methods, "on_timer", |lua, host, now: f64| {
            let now = millis(now);
            let gone = host.engine.on_timer(now);
            let held = host.engine.release(now);
            let gone = lua.create_sequence_from(gone.iter().flat_map(|gone| [&*gone.user, &*gone.identifier]))?;
            Ok((gone, host.write_held(lua, held)?, host.engine.timer(now).map(seconds)))
        });
        method(methods, "release_all", |lua, host, now: f64| {
            let held = host.engine.release_all(millis(now));
            host.write_held(lua, held)
        });

        // A bug, for the specs.
        #[cfg(debug_assertions)]
        method(methods, "panic", |_, _, ()| -> LuaResult<()> { panic!("a bug in Rust") });

        // For the administrator.
        method(methods, "decisions", |lua, host, user: Text| {
            let protocol = host.engine.protocol();
            let rows = host.engine.decisions(&user).map(|decision| {
                let row = lua.create_table()?;
                row.raw_set("at", seconds(decision.at))?;
                row.raw_set("device", &*decision.device)?;
                row.raw_set("text", decision.text(protocol))?;
                Ok(row)
            });
            lua.create_sequence_from(rows.collect::<LuaResult<Vec<_>>>()?)
        });
        method(methods, "health", |_, host, (user, identifier): (Text, Text)| {
            let (last, refusals, since) = host.engine.health(&user, &identifier);
            Ok((last.map(seconds), refusals, since.map(seconds)))
        });
        method(methods, "counts", |lua, host, ()| {
            let rows = host.engine.counts().into_iter().map(|(name, label, n)| {
                let row = lua.create_table()?;
                row.raw_set("name", name)?;
                row.raw_set("label", Some(label).filter(|label| !label.is_empty()))?;
                row.raw_set("count", n)?;
                Ok(row)
            });
            lua.create_sequence_from(rows.collect::<LuaResult<Vec<_>>>()?)
        });
        method(methods, "take_times", |lua, host, ()| {
            lua.create_sequence_from(host.engine.take_times().into_iter().map(seconds))
        });
        method(methods, "sizes", |_, host, ()| Ok(host.engine.sizes()));

        // Reload.
        method(methods, "save", |_, host, ()| serde_json::to_string(&host.engine.save()).map_err(LuaError::external));
        method(methods, "restore", |_, host, saved: Text| {
            host.engine.restore(serde_json::from_str(&saved).map_err(LuaError::external)?);
            Ok(())
        });
    }
}

/// Adds a method whose log lines go to Prosody when it is done.
fn method<M, A, R>(methods: &mut M, name: &str, method: impl Fn(&Lua, &mut Host, A) -> LuaResult<R> + 'static)
where
    M: LuaUserDataMethods<Host>,
    A: FromLuaMulti,
    R: IntoLuaMulti,
{
    methods.add_method_mut(name, move |lua, host, args| {
        let result = method(lua, host, args);
        log::drain(&host.log)?;
        result
    });
}

/// All registrations in a user's table of the store, be they too many or not.
fn stored_devices(protocol: Protocol, user: &str, stored: Option<LuaTable>) -> Devices {
    Devices::new(records::read(protocol, user, stored), usize::MAX)
}

fn identifiers<'d>(lua: &Lua, devices: impl Iterator<Item = &'d Rc<Registration>>) -> LuaResult<LuaTable> {
    lua.create_sequence_from(devices.map(|registration| &*registration.identifier))
}

/// Prosody's time: seconds since 1970 with a fraction.
fn millis(seconds: f64) -> Millis {
    (seconds * 1000.0) as Millis
}

fn seconds(millis: Millis) -> f64 {
    millis as f64 / 1000.0
}

/// False if the registrations are not loaded; where other modules see the stanzas, what `cloud_notify/push` tells of each;
/// the seconds until `on_timer` is due, where a push is held; two places for what only `on_queued` says; the stanza, which
/// is mostly one; the others. A table for one, or any number of values, would cost more.
type Written = (LuaValue, Option<f64>, Option<u8>, Option<bool>, Option<LuaTable>, Option<LuaTable>);

impl Host {
    fn write(
        &mut self,
        lua: &Lua,
        event: Event,
        pushes: Result<Pushes, NotLoaded>,
        message: Option<&Message>,
    ) -> LuaResult<Written> {
        let Ok(Pushes { important, list: pushes, .. }) = pushes else {
            return Ok((LuaValue::Boolean(false), None, None, None, None, None));
        };
        let wait = self.engine.next_release(event.now).map(seconds);
        if pushes.is_empty() {
            return Ok((LuaNil, wait, None, None, None, None));
        }
        let (host, config) = (self.engine.host(), self.engine.config());
        let priority = self.engine.extensions().priority;
        let summary = Summary::new(config, message, important);
        let notification = Notification { summary: &summary, encrypted: None, priority: important && priority };
        let mut writer = Writer::new(lua, &self.stanza_metatable);
        let content = if event.seen || self.engine.protocol() == Protocol::Push2 {
            None
        } else if Summary::has_content(config, message) {
            Some(shared::content(&mut writer, &notification)?)
        } else {
            Some(self.shared.plain(&mut writer, config, important, priority)?)
        };
        let mut stanzas = pushes.iter().map(|push| match (&content, &push.content) {
            (_, Content::Notice(notice)) => message_of(&mut writer, host, push, notice),
            (Some(content), Content::Summary) => self.shared.publish(&mut writer, push, content),
            (Some(_), Content::Encrypted(encrypted)) => {
                let own = Notification { encrypted: Some(encrypted), ..notification };
                let content = shared::content(&mut writer, &own)?;
                self.shared.publish(&mut writer, push, &content)
            }
            (None, Content::Encrypted(encrypted)) => {
                let own = Notification { encrypted: Some(encrypted), ..notification };
                publish_own(&mut writer, host, push, &own)
            }
            (None, Content::Summary) => publish_own(&mut writer, host, push, &notification),
        });
        let first = stanzas.next().transpose()?;
        let others = stanzas.collect::<LuaResult<Vec<_>>>()?;
        let others = if others.is_empty() { None } else { Some(lua.create_sequence_from(others)?) };
        let details = if event.seen { LuaValue::Table(details(lua, &pushes, &summary)?) } else { LuaNil };
        Ok((details, wait, None, None, first, others))
    }

    /// The stanzas of pushes that were held.
    fn write_held(&mut self, lua: &Lua, held: Vec<Held>) -> LuaResult<LuaTable> {
        let config = self.engine.config();
        let mut writer = Writer::new(lua, &self.stanza_metatable);
        let stanzas = lua.create_table_with_capacity(held.len(), 0)?;
        for (i, Held { push, important }) in held.iter().enumerate() {
            let stanza = match &push.content {
                Content::Notice(notice) => message_of(&mut writer, self.engine.host(), push, notice)?,
                Content::Summary | Content::Encrypted(_) => {
                    let priority = self.engine.extensions().priority;
                    let content = self.shared.plain(&mut writer, config, *important, priority)?;
                    self.shared.publish(&mut writer, push, &content)?
                }
            };
            stanzas.raw_seti(i + 1, stanza)?;
        }
        Ok(stanzas)
    }
}

/// The stanza of a push of Push 2.0.
fn message_of(writer: &mut Writer, host: &str, push: &Push, notice: &Notice) -> LuaResult<LuaTable> {
    let client = push.registration.push2.as_ref().map_or("", |settings| &settings.client);
    notice.write(writer, push.id.as_str(), host, push.registration.jid(), client)?;
    writer.take()
}

/// The stanza of a push that belongs to whoever sees it.
fn publish_own(writer: &mut Writer, host: &str, push: &Push, notification: &Notification) -> LuaResult<LuaTable> {
    let Push { id, registration, .. } = push;
    let form = registration.options.as_ref().and_then(Packed::unpack);
    let options = |writer: &mut Writer| form.iter().try_for_each(|form| summary::options(writer, form));
    let to = Publish { id: id.as_str(), from: host, to: registration.jid(), node: registration.node() };
    summary::publish(writer, &to, |writer| summary::notification(writer, notification), options)?;
    writer.take()
}

/// For each push its `identifier`, `important` and `summary`, as `cloud_notify/push` has them.
fn details(lua: &Lua, pushes: &[Push], summary: &Summary) -> LuaResult<LuaTable> {
    lua.create_sequence_from(
        pushes
            .iter()
            .map(|push| {
                let details = lua.create_table()?;
                details.raw_set("identifier", &*push.registration.identifier)?;
                details.raw_set("important", summary.important())?;
                details.raw_set("summary", lua.create_table_from(summary.fields())?)?;
                Ok(details)
            })
            .collect::<LuaResult<Vec<_>>>()?,
    )
}
