//! The administrator's questions: decisions, health, counts.

use mlua::prelude::*;

use super::host::{Host, method, seconds};
use super::protocol::LuaProtocol;
use super::value::Text;
use crate::stanza_error::Condition;

pub fn methods<P: LuaProtocol, M: LuaUserDataMethods<Host<P>>>(methods: &mut M) {
    method(methods, "decisions", |lua, host, user: Text| {
        let rows = host.engine.decisions(&user).map(|decision| {
            let row = lua.create_table()?;
            row.raw_set("at", seconds(decision.at))?;
            row.raw_set("device", &*decision.device)?;
            row.raw_set("text", decision.text(P::POLICY.answers))?;
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
