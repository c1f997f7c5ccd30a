//! One host: its engine, and Prosody's functions and tables that it uses.

use std::hash::RandomState;
use std::rc::Rc;

use mlua::prelude::*;
use tracing::warn;

use super::log;
use super::protocol::{LuaProtocol, Normal};
use super::value::Text;
use crate::engine::Engine;
use crate::registration::Registration;
use crate::registration::devices::Devices;
use crate::rules::facts::Call;
use crate::time::{Millis, Moment};

/// One host that speaks one protocol.
pub struct Host<P: LuaProtocol> {
    pub engine: Engine<P>,
    pub shared: P::Shared,
    /// The metatable of `util.stanza`.
    pub stanza_metatable: LuaTable,
    pub normal: Normal,
    pub log: LuaFunction,
    /// The key of the fingerprints of requests. With a new key, no earlier fingerprint is known any more.
    pub fingerprints: RandomState,
}

impl<P: LuaProtocol> Host<P> {
    /// Reads the registrations in a user's table of the store, in any order. A record that cannot be read is skipped and
    /// logged.
    pub fn registrations(&self, user: &str, stored: Option<LuaTable>) -> Vec<Registration<P::Asked>> {
        let mut registrations = Vec::new();
        for pair in stored.iter().flat_map(|stored| stored.pairs::<LuaValue, LuaValue>()) {
            let Ok((identifier, record)) = pair else { break };
            match P::registration(&identifier, &record, &self.normal) {
                Some(registration) => registrations.push(registration),
                None => warn!(
                    "A stored push registration of {user} cannot be read and is skipped; the store is left as it is"
                ),
            }
        }
        registrations
    }

    /// Reads all registrations in a user's table of the store, including those that are not woken.
    pub fn stored_devices(&self, user: &str, stored: Option<LuaTable>) -> Devices<P::Asked> {
        Devices::new(self.registrations(user, stored), usize::MAX)
    }

    /// Reads a call as the shim writes it: the other end's bare JID, a space, and the id.
    pub fn call<'a>(&self, user: &str, written: &'a Option<Text>) -> Option<Call<'a>> {
        let written = written.as_deref()?;
        Call::parse(written, &format!("{user}@{}", self.engine.server().host))
    }
}

/// The arguments of `enable`: user, user agent id, resource, `<enable/>`, and the record to complete.
pub type EnableArguments = (Text, Option<Text>, Option<Text>, LuaTable, LuaTable);
/// The results of `enable`: the identifier, or the client's error.
pub type Enabled = (Option<String>, Option<LuaTable>);

/// Adds a method whose log lines go to Prosody when it is done.
pub fn method<P, M, A, R>(methods: &mut M, name: &str, method: impl Fn(&Lua, &mut Host<P>, A) -> LuaResult<R> + 'static)
where
    P: LuaProtocol,
    M: LuaUserDataMethods<Host<P>>,
    A: FromLuaMulti,
    R: IntoLuaMulti,
{
    methods.add_method_mut(name, move |lua, host, args| {
        let result = method(lua, host, args);
        log::drain(&host.log)?;
        result
    });
}

/// Returns the identifiers of registrations as a sequence.
pub fn identifiers<'d, A: 'd>(
    lua: &Lua,
    devices: impl Iterator<Item = &'d Rc<Registration<A>>>,
) -> LuaResult<LuaTable> {
    lua.create_sequence_from(devices.map(|registration| &*registration.identifier))
}

/// Takes Prosody's times: seconds since 1970, and seconds of the monotonic clock.
pub fn moment(wall: f64, mono: f64) -> Moment {
    Moment { wall: millis(wall), mono: millis(mono) }
}

fn millis(seconds: f64) -> Millis {
    (seconds * 1000.0) as Millis
}

pub fn seconds(millis: Millis) -> f64 {
    millis as f64 / 1000.0
}
