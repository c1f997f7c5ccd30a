//! The part of a protocol at the edge to Lua: reading its records and writing its stanzas.

use mlua::prelude::*;

use super::stanza::Writer;
use crate::engine::{Engine, Push};
use crate::protocol::Protocol;
use crate::registration::Registration;
use crate::rules::facts::Message;
use crate::rules::walk::Rule;

/// A protocol at the edge to Lua.
pub trait LuaProtocol: Protocol {
    /// Lua tables that its stanzas share.
    type Shared;
    /// The writer of the stanzas of one event's pushes.
    type Scribe<'a>: Scribe<Self>;

    /// Makes the shared tables. `is_observed` returns whether other code can change a stanza that is sent to a domain.
    fn shared(lua: &Lua, host: &str, stanza_metatable: &LuaTable, is_observed: LuaFunction) -> LuaResult<Self::Shared>;

    /// Reads a record of the store; `None` for an unreadable one.
    fn registration(identifier: &LuaValue, record: &LuaValue, normal: &Normal) -> Option<Registration<Self::Asked>>;

    /// Returns the features (XEP-0030) that an account announces for the protocol, or for one of its extensions.
    fn features(extension: Option<&str>) -> Vec<&'static str>;

    /// Returns the parts of a stanza that the shim looks at.
    fn looks_at(&self) -> LooksAt;

    fn scribe<'a>(
        engine: &'a Engine<Self>,
        shared: &'a mut Self::Shared,
        writer: Writer<'a>,
        told: Told<'a>,
    ) -> Self::Scribe<'a>;
}

/// The content that pushes for the same event share.
#[derive(Clone, Copy)]
pub struct Told<'a> {
    pub message: Option<&'a Message<'a>>,
    pub important: bool,
    /// Whether other modules see each push and may change it.
    pub observed: bool,
}

/// Writes stanzas of pushes.
pub trait Scribe<P: Protocol> {
    /// Returns the stanza of a push. An observed stanza shares no part with another.
    fn stanza(&mut self, push: &Push<P>) -> LuaResult<LuaTable>;

    /// Returns the data of a push's `cloud_notify/push` event, in a protocol that fires it.
    fn details(&self, _lua: &Lua, _push: &Push<P>) -> LuaResult<Option<LuaTable>> {
        Ok(None)
    }
}

/// The parts of a stanza that the shim looks at.
pub struct LooksAt {
    /// The rule for a `<message>`.
    pub message: &'static Rule,
    /// The kinds of repeatable values that the shim passes on.
    pub extracts: &'static [char],
    /// Whether the shim notes that a stanza is archived.
    pub archived: bool,
    /// Whether the shim notes when the user's sessions were active. It also does so for `push_patience`.
    pub activity: bool,
}

/// Prosody's `util.jid.prep`: we accept the JIDs that Prosody accepts, in the form that it returns.
pub struct Normal(LuaFunction);

impl Normal {
    pub fn new(prep: LuaFunction) -> Normal {
        Normal(prep)
    }

    /// Returns the normal form; `None` for an invalid JID.
    pub fn of(&self, jid: &str) -> Option<String> {
        self.0.call(jid).ok().flatten()
    }
}
