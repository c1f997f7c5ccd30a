//! The results of the methods of events: the stanzas of their pushes, and more facts for the shim.

use mlua::prelude::*;

use super::host::{Host, seconds};
use super::protocol::{LuaProtocol, Scribe, Told};
use super::stanza::Writer;
use crate::context::Event;
use crate::engine::{Leaving, NotLoaded, Pushes, Queued};
use crate::rules::facts::Message;

/// The return values of an event's method, in this order. The first stanza is returned by itself, because nearly every event
/// yields exactly one, and a table for it would cost more.
pub struct Written {
    /// `false` if the user's registrations are not in memory. If other modules observe pushes, a table with the data of each push's
    /// `cloud_notify/push` event. Otherwise nil.
    pub details: LuaValue,
    /// Seconds until `on_timer` is due for a push that leaves later or a change to write, if there is one. If the user's
    /// registrations are not in memory: whether the push is important that the user misses if they cannot be loaded, if there is
    /// one.
    pub wait: LuaValue,
    /// `on_queued` only: the kinds that have been pushed, of the stanzas that waited together.
    pub done: Option<u8>,
    /// `on_queued` only: whether the session must not hibernate for long, because its device got a push for something important.
    pub ends_long_hibernation: Option<bool>,
    pub stanza: Option<LuaTable>,
    /// The other stanzas, if there are more.
    pub others: Option<LuaTable>,
}

impl IntoLuaMulti for Written {
    fn into_lua_multi(self, lua: &Lua) -> LuaResult<LuaMultiValue> {
        (self.details, self.wait, self.done, self.ends_long_hibernation, self.stanza, self.others).into_lua_multi(lua)
    }
}

impl<P: LuaProtocol> Host<P> {
    /// Writes the stanzas of an event.
    pub fn write(
        &mut self,
        lua: &Lua,
        event: Event,
        pushes: Result<Pushes<P>, NotLoaded>,
        message: Option<&Message>,
    ) -> LuaResult<Written> {
        let nothing = Written {
            details: LuaNil,
            wait: LuaNil,
            done: None,
            ends_long_hibernation: None,
            stanza: None,
            others: None,
        };
        let Pushes { important, list: pushes, .. } = match pushes {
            Ok(pushes) => pushes,
            Err(NotLoaded { missed }) => {
                let wait = missed.map(|kind| kind.importance().is_important()).into_lua(lua)?;
                return Ok(Written { details: LuaValue::Boolean(false), wait, ..nothing });
            }
        };
        let wait = self.engine.next_release(event.now).map(seconds).into_lua(lua)?;
        let Some((first, others)) = pushes.split_first() else { return Ok(Written { wait, ..nothing }) };
        let told = Told { message, important, observed: event.observed };
        let writer = Writer::new(lua, &self.stanza_metatable);
        let mut scribe = P::scribe(&self.engine, &mut self.shared, writer, told);
        let stanza = Some(scribe.stanza(first)?);
        let others = match others {
            [] => None,
            others => {
                let stanzas = others.iter().map(|push| scribe.stanza(push));
                Some(lua.create_sequence_from(stanzas.collect::<LuaResult<Vec<_>>>()?)?)
            }
        };
        let details = if event.observed {
            let details = pushes.iter().filter_map(|push| scribe.details(lua, push).transpose());
            LuaValue::Table(lua.create_sequence_from(details.collect::<LuaResult<Vec<_>>>()?)?)
        } else {
            LuaNil
        };
        Ok(Written { details, wait, stanza, others, ..nothing })
    }

    /// Writes the stanzas of the pushes for a queued stanza.
    pub fn write_queued(
        &mut self,
        lua: &Lua,
        event: Event,
        queued: Result<Queued<P>, NotLoaded>,
        message: &Message,
    ) -> LuaResult<Written> {
        let is_patient = self.engine.hibernates_past_push();
        let said = queued.as_ref().ok().map(|queued| (queued.done.bits(), queued.alerted && !is_patient));
        let (done, ends_long_hibernation) = said.unzip();
        let written = self.write(lua, event, queued.map(|queued| queued.pushes), Some(message))?;
        Ok(Written { done, ends_long_hibernation, ..written })
    }

    /// Writes the stanzas of pushes that were held or owed. If other modules observe pushes, also writes the data of each
    /// push's `cloud_notify/push` event, with its user.
    pub fn write_leaving(
        &mut self,
        lua: &Lua,
        leaving: Vec<Leaving<P>>,
        observed: bool,
    ) -> LuaResult<(LuaTable, Option<LuaTable>)> {
        let stanzas = lua.create_table_with_capacity(leaving.len(), 0)?;
        let all = if observed { Some(lua.create_table()?) } else { None };
        for Leaving { user, push, important, from, body } in &leaving {
            let message = Message { from: from.as_deref(), body: body.as_deref(), ..Message::default() };
            let message = (from.is_some() || body.is_some()).then_some(&message);
            let told = Told { message, important: *important, observed };
            let writer = Writer::new(lua, &self.stanza_metatable);
            let mut scribe = P::scribe(&self.engine, &mut self.shared, writer, told);
            stanzas.raw_push(scribe.stanza(push)?)?;
            if let Some(all) = &all
                && let Some(details) = scribe.details(lua, push)?
            {
                details.raw_set("username", &**user)?;
                all.raw_push(details)?;
            }
        }
        Ok((stanzas, all))
    }
}
