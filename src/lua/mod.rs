//! The Lua library that `require "prosody_push"` returns. Its types for Lua are in `lua/prosody_push.meta.lua`.
//!
//! Every method takes positional facts and answers with values: `nil` when there is nothing to do, `false` when the user's
//! registrations have to be loaded first. No method calls back into Prosody, except for the log, `util.jid`, and the check for
//! observers in `publish.lua`.

mod admin;
mod answers;
mod durable;
mod events;
mod host;
mod known;
mod log;
mod protocol;
mod push2;
mod registrations;
mod settings;
mod stanza;
mod tigase;
mod value;
mod written;
mod xep0357;

use std::hash::RandomState;

use mlua::prelude::*;

use crate::VERSION;
use crate::config::{Config, Value};
use crate::crypto;
use crate::delivery;
use crate::engine::Engine;
use crate::memory::fate::Fate;
use crate::push2::Push2;
use crate::registration::holders::{CONNECTED, HIBERNATES, IN_USE, LATE};
use crate::xep0357::Xep0357;
use host::Host;
use protocol::{LuaProtocol, Normal};

/// The protocols that a host can speak, by their names in the shim.
const PROTOCOLS: [(&str, Open); 2] = [("push", open::<Xep0357>), ("push2", open::<Push2>)];

/// Makes the engine of one host.
type Open = fn(&Lua, New) -> LuaResult<LuaAnyUserData>;

// Lua 5.4 raises an error in the middle of an allocation only if there is no memory left. To guard against that costs more than
// the rest of a push (`make bench`). In 5.2 and 5.3, a faulty finalizer of any code also raises an error there.
#[cfg_attr(feature = "lua54", mlua::lua_module(skip_memory_check))]
#[cfg_attr(not(feature = "lua54"), mlua::lua_module)]
fn prosody_push(lua: &Lua) -> LuaResult<LuaTable> {
    let library = lua.create_table()?;
    library.set("version", VERSION)?;
    library.set("late_after", delivery::LATE / 1000)?;
    let states = [("in_use", IN_USE), ("connected", CONNECTED), ("late", LATE), ("hibernates", HIBERNATES)];
    library.set("session_states", lua.create_table_from(states.map(|(name, letter)| (name, letter.to_string())))?)?;
    library.set("hints", lua.create_table_from(Fate::all().map(|fate| (fate.name(), fate.hint())))?)?;
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

/// Host, protocol, a function that reads options, the metatable of stanzas, `util.jid.prep`, a logger, and a function that
/// returns whether other code can change a stanza that is sent to a domain.
type New = (String, String, LuaFunction, LuaTable, LuaFunction, LuaFunction, LuaFunction);

fn new(lua: &Lua, arguments: New) -> LuaResult<LuaAnyUserData> {
    let protocol = &arguments.1;
    match PROTOCOLS.iter().find(|(name, _)| name == protocol) {
        Some((_, open)) => open(lua, arguments),
        None => Err(LuaError::runtime(format!("There is no protocol {protocol}"))),
    }
}

fn open<P: LuaProtocol>(
    lua: &Lua,
    (name, _, option, stanza_metatable, prep, log, is_observed): New,
) -> LuaResult<LuaAnyUserData>
where
    Host<P>: LuaUserData,
{
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
    let shared = P::shared(lua, &name, &stanza_metatable, is_observed)?;
    let engine = Engine::<P>::new(name, config, crypto::random);
    lua.create_userdata(Host {
        engine,
        shared,
        stanza_metatable,
        normal: Normal::new(prep),
        log,
        fingerprints: RandomState::new(),
    })
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

impl LuaUserData for Host<Xep0357> {
    fn add_methods<M: LuaUserDataMethods<Self>>(methods: &mut M) {
        shared_methods(methods);
        xep0357::methods(methods);
    }
}

impl LuaUserData for Host<Push2> {
    fn add_methods<M: LuaUserDataMethods<Self>>(methods: &mut M) {
        shared_methods(methods);
        push2::methods(methods);
    }
}

/// Adds the methods that every protocol has.
fn shared_methods<P: LuaProtocol, M: LuaUserDataMethods<Host<P>>>(methods: &mut M) {
    known::methods(methods);
    registrations::methods(methods);
    settings::methods(methods);
    events::methods(methods);
    answers::methods(methods);
    admin::methods(methods);
    durable::methods(methods);
    // A bug, for the specs.
    #[cfg(debug_assertions)]
    host::method(methods, "panic", |_, _, ()| -> LuaResult<()> { panic!("a bug in Rust") });
}
