//! What a protocol adds at the edge to Lua: how its records are read and its stanzas written.

use mlua::prelude::*;

use super::stanza::Writer;
use crate::config::Config;
use crate::engine::{Engine, Push};
use crate::protocol::Protocol;
use crate::registration::Registration;
use crate::rules::facts::Message;
use crate::rules::walk::Rule;

/// A protocol at the edge to Lua.
pub trait LuaProtocol: Protocol {
    /// Lua tables that its stanzas share.
    type Shared;
    /// Writes the stanzas of pushes that have the same reason.
    type Scribe<'a>: Scribe<Self>;

    /// `is_observed` tells whether somebody can write into what is sent to a domain.
    fn shared(lua: &Lua, host: &str, stanza_metatable: &LuaTable, is_observed: LuaFunction) -> LuaResult<Self::Shared>;

    /// Reads a record of the store; `None` for one that nobody can use.
    fn registration(identifier: &LuaValue, record: &LuaValue, normal: &Normal) -> Option<Registration<Self::Asked>>;

    /// Returns what an account announces (XEP-0030) for the protocol, or for one of its extensions.
    fn features(extension: Option<&str>) -> Vec<&'static str>;

    /// Says what the shim looks at in a stanza.
    fn looks_at(&self, config: &Config) -> LooksAt;

    fn scribe<'a>(
        engine: &'a Engine<Self>,
        shared: &'a mut Self::Shared,
        writer: Writer<'a>,
        told: Told<'a>,
    ) -> Self::Scribe<'a>;
}

/// What pushes with the same reason tell.
#[derive(Clone, Copy)]
pub struct Told<'a> {
    pub message: Option<&'a Message<'a>>,
    pub important: bool,
    /// Whether other modules see each push and may change it.
    pub observed: bool,
}

/// Writes stanzas of pushes.
pub trait Scribe<P: Protocol> {
    /// Returns the stanza of a push. Where pushes are observed it shares no part with another.
    fn stanza(&mut self, push: &Push<P>) -> LuaResult<LuaTable>;

    /// Returns what `cloud_notify/push` tells of a push, in a protocol that has such an event.
    fn details(&self, _lua: &Lua, _push: &Push<P>) -> LuaResult<Option<LuaTable>> {
        Ok(None)
    }
}

/// What the shim looks at in a stanza.
pub struct LooksAt {
    /// The rule for a `<message>`.
    pub message: &'static Rule,
    /// Whether it passes the text on.
    pub body: bool,
    /// The kinds of repeatable values that it passes on.
    pub extracts: &'static [char],
    /// Whether it tells that a stanza is archived, and when the user's sessions were active.
    pub sessions: bool,
}

/// Prosody's `util.jid.prep`: what Prosody takes for a JID we take, in the form that it returns.
pub struct Normal(LuaFunction);

impl Normal {
    pub fn new(prep: LuaFunction) -> Normal {
        Normal(prep)
    }

    /// Returns the normal form; `None` for what is no JID.
    pub fn of(&self, jid: &str) -> Option<String> {
        self.0.call(jid).ok().flatten()
    }
}
