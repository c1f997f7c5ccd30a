//! The Lua library: what `require "prosody_push"` gives. Its types for Lua are in `lua/prosody_push.meta.lua`.
//!
//! Every method takes positional facts and answers with values: `nil` when there is nothing to do, `false` when the
//! user's registrations have to be loaded first. None calls back into Prosody, but for the log.

mod durable;
mod known;
mod log;
mod push2;
mod pushes;
mod records;
mod shared;
mod stanza;
mod tigase;

use std::rc::Rc;

use mlua::prelude::*;

use crate::VERSION;
use crate::address::is_account;
use crate::config::{Config, Value};
use crate::crypto;
use crate::delivery;
use crate::delivery::failures::Gone;
use crate::engine::{Answered, Done, Engine, Event, Verdict};
use crate::facts::{Call, Message, Word};
use crate::holders::{CONNECTED, HIBERNATES, Holders, IN_USE, LATE};
use crate::journal::Cause;
use crate::protocol::Protocol;
use crate::push2::registration::features;
use crate::registration::{Devices, Refusal, Registration, admit, app_server, identifier};
use crate::stanza_error::{Condition, StanzaError};
use crate::time::{Millis, Moment};
use shared::Shared;

// Lua 5.4 raises in the middle of an allocation only where there is no memory left. To be ready for that costs more than
// the rest of a push (`make bench`). In 5.2 and 5.3 a faulty finalizer of anybody's raises there.
#[cfg_attr(feature = "lua54", mlua::lua_module(skip_memory_check))]
#[cfg_attr(not(feature = "lua54"), mlua::lua_module)]
fn prosody_push(lua: &Lua) -> LuaResult<LuaTable> {
    let library = lua.create_table()?;
    library.set("version", VERSION)?;
    library.set("late_after", delivery::LATE / 1000)?;
    let states = [("in_use", IN_USE), ("connected", CONNECTED), ("late", LATE), ("hibernates", HIBERNATES)];
    library.set("session_states", lua.create_table_from(states.map(|(name, letter)| (name, letter.to_string())))?)?;
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
    normal: Normal,
    log: LuaFunction,
}

/// Prosody's `util.jid.prep`: what it takes for a JID we take, in the form that it gives.
struct Normal(LuaFunction);

impl Normal {
    /// Nothing for what is no JID.
    fn of(&self, jid: &str) -> Option<String> {
        self.0.call(jid).ok().flatten()
    }
}

type New = (String, String, LuaFunction, LuaTable, LuaFunction, LuaFunction);

fn new(lua: &Lua, (name, protocol, option, stanza_metatable, normal, log): New) -> LuaResult<Host> {
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
    let engine = Engine::new(name, protocol, config, crypto::random);
    Ok(Host { engine, shared, stanza_metatable, normal: Normal(normal), log })
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

/// A string argument; one that is not UTF-8 is refused. To copy it is cheaper than to hold on to Lua's own.
type Text = String;

/// What every event of a message brings first: user, seconds since 1970 and by the clock that never steps, whether other
/// modules see each push, the stanza where a push may carry it, word of facts, sender, body, name, id of a call, what there can
/// be several of. `$more` are the types of what comes after it.
macro_rules! message_event {
    ($($more:ty),*) => {
        (Text, f64, f64, bool, Option<LuaTable>, Word, Option<Text>, Option<Text>, Option<Text>, Option<Text>, Option<Text>, $($more),*)
    };
}

fn event(user: &str, now: Moment, seen: bool) -> Event<'_> {
    Event { now, user, seen }
}

fn message<'a>(
    word: Word,
    from: &'a Option<Text>,
    body: &'a Option<Text>,
    name: &'a Option<Text>,
    call: Option<Call<'a>>,
    more: &'a Option<Text>,
) -> Message<'a> {
    let (from, body, name) = (from.as_deref(), body.as_deref(), name.as_deref());
    Message { word, from, body, name, call, more: more.as_deref(), stanza: None }
}

impl LuaUserData for Host {
    fn add_methods<M: LuaUserDataMethods<Self>>(methods: &mut M) {
        knowledge(methods);
        registrations(methods);
        events(methods);
        answers(methods);
        administration(methods);
        reload(methods);
        // A bug, for the specs.
        #[cfg(debug_assertions)]
        method(methods, "panic", |_, _, ()| -> LuaResult<()> { panic!("a bug in Rust") });
    }
}

/// What the rules look at.
fn knowledge<M: LuaUserDataMethods<Host>>(methods: &mut M) {
    method(methods, "known", |lua, host, ()| {
        known::stanzas(lua, host.engine.protocol(), host.engine.config(), host.engine.extensions())
    });
    method(methods, "extend", |_, host, (name, on): (Text, bool)| {
        let mut extensions = host.engine.extensions();
        match &*name {
            "encrypted" => extensions.encrypted = on,
            "encrypted elsewhere" => extensions.encrypted_elsewhere = on,
            "filters" => extensions.filters = on,
            "priority" => extensions.priority = on,
            _ => return Err(LuaError::runtime(format!("There is no extension {name}"))),
        }
        host.engine.extend(extensions);
        host.shared.clear();
        Ok(extensions.filters)
    });
}

/// What clients and app servers ask for, and what the store has of it.
fn registrations<M: LuaUserDataMethods<Host>>(methods: &mut M) {
    method(methods, "load", |_, host, (user, stored, is_disabled): (Text, Option<LuaTable>, bool)| {
        let registrations = host.registrations(&user, stored);
        host.engine.load(&user, registrations, is_disabled);
        Ok(())
    });
    method(methods, "is_disabled", |_, host, user: Text| Ok(host.engine.is_disabled(&user)));
    method(methods, "ended", |_, host, refused: bool| {
        host.engine.ended(refused);
        Ok(())
    });
    method(methods, "forget", |_, host, user: Text| {
        host.engine.forget(&user);
        Ok(())
    });
    method(methods, "enabled", |_, host, (wall, mono, user, identifier): (f64, f64, Text, Text)| {
        host.engine.enabled(moment(wall, mono), &user, &identifier);
        Ok(())
    });
    type Address = (Option<Text>, Option<Text>, Text);
    method(methods, "address", |_, host, (jid, node, user): Address| {
        Ok(match app_server(jid.as_deref(), &user, host.engine.host(), |jid| host.normal.of(jid)) {
            Ok(jid) => (Some(identifier(&jid, node.as_deref())), jid),
            Err(refusal) => (None, refusal.text().to_owned()),
        })
    });
    type Client = (Text, Option<LuaTable>, Option<Text>, Text);
    method(methods, "of_client", |_, host, (user, stored, client_id, resource): Client| {
        let devices = host.stored_devices(&user, stored);
        Ok(devices.of_client(client_id.as_deref(), &resource).map(|device| device.identifier.to_string()))
    });
    method(methods, "refusal", |lua, host, (identifier, record, enable): (LuaValue, LuaTable, LuaTable)| {
        let asked = tigase::ask(lua, &enable, &record, host.engine.extensions(), &host.normal)?;
        let refusal = asked.and_then(|()| records::check(&identifier, &LuaValue::Table(record), &host.normal)).err();
        Ok((refusal.map(Refusal::condition), refusal.map(Refusal::text)))
    });
    method(methods, "features", |lua, _, ()| lua.create_sequence_from(features()));
    method(methods, "ask", |lua, host, (enable, user, identifier): (LuaTable, Text, Text)| {
        Ok(match push2::ask(lua, &enable, &user, host.engine.host(), &identifier, &host.normal)? {
            Ok(record) => (Some(record), None, None),
            Err(refusal) => (None, Some(refusal.condition()), Some(refusal.text())),
        })
    });
    method(methods, "admit", |lua, host, (user, stored, newest, now): (Text, LuaTable, Text, i64)| {
        let registrations = host.registrations(&user, Some(stored));
        let (timestamp, superseded) = admit(registrations, &newest, now, host.engine.max_devices());
        Ok((timestamp, identifiers(lua, superseded.iter())?))
    });
    method(
        methods,
        "matching",
        |lua, host, (user, stored, jid, node): (Text, Option<LuaTable>, Text, Option<Text>)| {
            let jid = host.normal.of(&jid).unwrap_or(jid);
            identifiers(lua, host.stored_devices(&user, stored).matching(&jid, node.as_deref()))
        },
    );
    method(methods, "standing", |lua, host, (user, stored): (Text, Option<LuaTable>)| {
        let devices = host.stored_devices(&user, stored);
        let (too_many, woken) = devices.split(host.engine.max_woken());
        Ok((identifiers(lua, woken.iter())?, identifiers(lua, too_many.iter())?))
    });
    type Affiliation = (Text, Option<LuaTable>, Option<Text>, Option<Text>, Option<Text>, Option<Text>);
    method(methods, "revoked", |lua, host, (user, stored, from, node, jid, affiliation): Affiliation| {
        let is_theirs = jid.is_some_and(|jid| is_account(&jid, &user, host.engine.host()));
        let devices = host.stored_devices(&user, stored);
        let from = from.filter(|_| is_theirs);
        let revoked = from.iter().flat_map(|from| devices.revoked(from, node.as_deref(), affiliation.as_deref()));
        identifiers(lua, revoked)
    });
}

/// Events that lead to pushes.
fn events<M: LuaUserDataMethods<Host>>(methods: &mut M) {
    type OnOffline = message_event!();
    method(
        methods,
        "on_offline",
        |lua, host, (user, wall, mono, seen, stanza, word, from, body, name, call, more): OnOffline| {
            let call = host.call(&user, &call);
            let stanza = || stanza::whole(stanza.as_ref()?);
            let message = Message { stanza: Some(&stanza), ..message(word, &from, &body, &name, call, &more) };
            let event = event(&user, moment(wall, mono), seen);
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
         (user, wall, mono, seen, stanza, word, from, body, name, call, more, to, held, sender): OnAddressed| {
            let call = host.call(&user, &call);
            let stanza = || stanza::whole(stanza.as_ref()?);
            let message = Message { stanza: Some(&stanza), ..message(word, &from, &body, &name, call, &more) };
            let event = event(&user, moment(wall, mono), seen);
            let holders = Holders::new(held.as_deref());
            let pushes = host.engine.on_addressed(event, to.as_deref(), &message, holders, sender.as_deref());
            host.write(lua, event, pushes, Some(&message))
        },
    );
    method(methods, "name", |_, host, (from, id, text): (Option<Text>, Text, Option<Text>)| {
        Ok(host.engine.name(from.as_deref(), &id, text.as_deref()))
    });
    method(methods, "is_activity", |_, _, word: Word| Ok(Engine::is_activity(word)));
    method(methods, "queue_delay", |_, _, word: Word| Ok(seconds(Engine::queue_delay(word))));
    method(methods, "queue_alarm", |_, _, (size, woken_at): (u32, Option<u32>)| {
        Ok(Engine::queue_alarm(size, woken_at))
    });
    type OnQueued = message_event!(Text, u8, Option<Text>);
    method(
        methods,
        "on_queued",
        |lua, host, (user, wall, mono, seen, stanza, word, from, body, name, call, more, identifier, done, held): OnQueued| {
            let call = host.call(&user, &call);
            let stanza = || stanza::whole(stanza.as_ref()?);
            let message = Message { stanza: Some(&stanza), ..message(word, &from, &body, &name, call, &more) };
            let event = event(&user, moment(wall, mono), seen);
            let holders = Holders::new(held.as_deref());
            let queued = host.engine.on_queued(event, &identifier, Done::new(done), &message, holders);
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
    method(methods, "wake_on_start", |_, host, ()| Ok(host.engine.config().wake_on_start));
    method(methods, "wake_before", |_, host, ()| Ok(host.engine.config().wake_before));
    // It brings no stanza.
    type Ping = (Text, f64, f64, bool, LuaValue, Option<LuaTable>, Option<Text>, Option<Text>);
    method(methods, "on_ping", |lua, host, (user, wall, mono, seen, _, given, cause, held): Ping| {
        let given = given.map(|given| host.registrations(&user, Some(given)));
        let event = event(&user, moment(wall, mono), seen);
        let cause = match cause.as_deref() {
            None => Cause::Ping,
            Some("test") => Cause::Test,
            Some("queue full") => Cause::QueueFull,
            Some("started") => Cause::Started,
            Some("hibernation ends") => Cause::HibernationEnds,
            Some(cause) => return Err(LuaError::runtime(format!("There is no cause {cause}"))),
        };
        let pushes = host.engine.on_ping(event, given, cause, Holders::new(held.as_deref()));
        host.write(lua, event, pushes, None)
    });
    method(methods, "withdraw", |_, host, id: Text| {
        host.engine.withdraw(&id);
        Ok(())
    });
}

/// What becomes of pushes, and time that passes.
fn answers<M: LuaUserDataMethods<Host>>(methods: &mut M) {
    type Answer = (f64, f64, Text, Option<Text>, bool, Option<Text>, Option<Text>, Option<Text>);
    method(methods, "on_answer", |lua, host, (wall, mono, id, from, made_here, kind, condition, text): Answer| {
        let error = kind.as_deref().map(|kind| StanzaError {
            kind,
            condition: condition.as_deref().unwrap_or("undefined-condition"),
            text: text.as_deref(),
            made_here,
        });
        let now = moment(wall, mono);
        let Answered { verdict, refusals } = host.engine.on_answer(now, &id, from.as_deref(), error);
        let gone = match verdict {
            Verdict::Stranger => return Ok((None, None, None, None, None)),
            Verdict::Stays => None,
            Verdict::Goes(gone) => Some(gone_table(lua, &gone)?),
        };
        let (identifier, refusals) = refusals.map(|(identifier, n)| (identifier.to_string(), n)).unzip();
        Ok((Some(true), host.engine.next_release(now).map(seconds), gone, identifier, refusals))
    });
    method(methods, "on_timer", |lua, host, (wall, mono, seen): (f64, f64, bool)| {
        let now = moment(wall, mono);
        let gone = host.engine.on_timer(now);
        let held = host.engine.release(now);
        let gone = gone.iter().map(|gone| gone_table(lua, gone)).collect::<LuaResult<Vec<_>>>()?;
        let gone = lua.create_sequence_from(gone)?;
        let (stanzas, details) = host.write_held(lua, held, seen)?;
        Ok((gone, stanzas, host.engine.timer(now).map(seconds), details))
    });
    method(methods, "release_all", |lua, host, (wall, mono): (f64, f64)| {
        let held = host.engine.release_all(moment(wall, mono));
        Ok(host.write_held(lua, held, false)?.0)
    });
}

/// What the administrator asks.
fn administration<M: LuaUserDataMethods<Host>>(methods: &mut M) {
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
    method(methods, "app_servers", |lua, host, ()| {
        let rows = host.engine.app_servers().into_iter().map(|(jid, server, owed)| {
            let row = lua.create_table()?;
            row.raw_set("jid", jid)?;
            row.raw_set("away_since", server.away_since.map(seconds))?;
            row.raw_set("failures", server.failures)?;
            row.raw_set("last_error", server.last_error.map(Condition::name))?;
            row.raw_set("owed", owed)?;
            Ok(row)
        });
        lua.create_sequence_from(rows.collect::<LuaResult<Vec<_>>>()?)
    });
}

/// What survives the server, or a reload.
fn reload<M: LuaUserDataMethods<Host>>(methods: &mut M) {
    method(methods, "unwritten", |lua, host, ()| durable::tables(lua, host.engine.unwritten()));
    method(methods, "last_unwritten", |lua, host, (wall, mono): (f64, f64)| {
        durable::tables(lua, host.engine.last_unwritten(moment(wall, mono)))
    });
    method(methods, "recall", |_, host, (wall, mono, user, records): (f64, f64, Text, LuaTable)| {
        host.engine.recall(moment(wall, mono), &user, durable::records(&records));
        Ok(())
    });
    method(methods, "save", |_, host, ()| serde_json::to_string(&host.engine.save()).map_err(LuaError::external));
    method(methods, "restore", |_, host, saved: Text| {
        host.engine.restore(serde_json::from_str(&saved).map_err(LuaError::external)?);
        Ok(())
    });
}

/// A registration that has to go, for the shim.
fn gone_table(lua: &Lua, gone: &Gone) -> LuaResult<LuaTable> {
    let table = lua.create_table()?;
    table.raw_set("user", &*gone.user)?;
    table.raw_set("identifier", &*gone.identifier)?;
    table.raw_set("refused", gone.refused)?;
    table.raw_set("why", &*gone.why)?;
    Ok(table)
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

impl Host {
    /// The registrations in a user's table of the store, in no order.
    fn registrations(&self, user: &str, stored: Option<LuaTable>) -> Vec<Registration> {
        records::read(self.engine.protocol(), user, stored, &self.normal)
    }

    /// All of them, be they too many or not.
    fn stored_devices(&self, user: &str, stored: Option<LuaTable>) -> Devices {
        Devices::new(self.registrations(user, stored), usize::MAX)
    }

    /// The call that the shim has written down.
    fn call<'a>(&self, user: &str, written: &'a Option<Text>) -> Option<Call<'a>> {
        let written = written.as_deref()?;
        Call::parse(written, &format!("{user}@{}", self.engine.host()))
    }
}

fn identifiers<'d>(lua: &Lua, devices: impl Iterator<Item = &'d Rc<Registration>>) -> LuaResult<LuaTable> {
    lua.create_sequence_from(devices.map(|registration| &*registration.identifier))
}

/// Prosody's times: seconds since 1970, and by the clock that never steps.
fn moment(wall: f64, mono: f64) -> Moment {
    Moment { wall: millis(wall), mono: millis(mono) }
}

fn millis(seconds: f64) -> Millis {
    (seconds * 1000.0) as Millis
}

fn seconds(millis: Millis) -> f64 {
    millis as f64 / 1000.0
}
