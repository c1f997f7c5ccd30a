//! The administrator's questions: decisions, health, counts.

use mlua::prelude::*;

use super::answers::stanza_error;
use super::host::{Host, method, moment, seconds};
use super::protocol::LuaProtocol;
use super::value::Text;
use crate::memory::fate::Fate;
use crate::memory::history::{AnswerTimes, Series};
use crate::memory::journal::Decision;
use crate::stanza_error::Condition;

pub fn methods<P: LuaProtocol, M: LuaUserDataMethods<Host<P>>>(methods: &mut M) {
    method(methods, "decisions", |lua, host, user: Text| {
        let rows = host.engine.decisions(&user).map(|decision| decision_table::<P>(lua, &user, decision));
        lua.create_sequence_from(rows.collect::<LuaResult<Vec<_>>>()?)
    });
    method(methods, "latest_decisions", |lua, host, most: usize| {
        let latest = host.engine.latest_decisions(most).into_iter();
        let rows = latest.map(|(user, decision)| decision_table::<P>(lua, user, decision));
        lua.create_sequence_from(rows.collect::<LuaResult<Vec<_>>>()?)
    });
    method(methods, "history", |lua, host, (wall, mono): (f64, f64)| {
        let (now, history) = (moment(wall, mono), host.engine.history());
        let table = lua.create_table()?;
        table.raw_set("series", lua.create_sequence_from(Series::all().map(Series::name))?)?;
        let minutes = history.minutes(now).map(|(ago, counts)| {
            let row = lua.create_sequence_from(*counts)?;
            row.raw_set("ago", ago)?;
            Ok(row)
        });
        table.raw_set("minutes", lua.create_sequence_from(minutes.collect::<LuaResult<Vec<_>>>()?)?)?;
        if let Some(AnswerTimes { answers, median, p95 }) = history.times(now) {
            table.raw_set("answers", answers)?;
            table.raw_set("median", seconds(median))?;
            table.raw_set("p95", seconds(p95))?;
        }
        Ok(table)
    });
    type Removed = (f64, f64, Text, Text, String);
    method(methods, "removed", |_, host, (wall, mono, user, identifier, why): Removed| {
        host.engine.removed(moment(wall, mono), &user, &identifier, &why);
        Ok(())
    });
    method(methods, "endings", |lua, host, ()| {
        let rows = host.engine.endings().map(|ending| {
            let row = lua.create_table()?;
            row.raw_set("at", seconds(ending.at))?;
            row.raw_set("user", &*ending.user)?;
            row.raw_set("device", &*ending.device)?;
            row.raw_set("why", &*ending.why)?;
            Ok(row)
        });
        lua.create_sequence_from(rows.collect::<LuaResult<Vec<_>>>()?)
    });
    type Answer = (bool, Option<Text>, Option<Text>, Option<Text>);
    method(methods, "fate", |_, _, (made_here, kind, condition, text): Answer| {
        let error = stanza_error(made_here, kind.as_deref(), condition.as_deref(), text.as_deref());
        Ok(Fate::of(error).name())
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
    method(methods, "app_servers", |lua, host, all: Option<bool>| {
        let rows = host.engine.app_servers(all.unwrap_or(false)).into_iter().map(|(jid, server, owed)| {
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

fn decision_table<P: LuaProtocol>(lua: &Lua, user: &str, decision: &Decision) -> LuaResult<LuaTable> {
    let row = lua.create_table()?;
    row.raw_set("at", seconds(decision.at))?;
    row.raw_set("user", user)?;
    row.raw_set("device", &*decision.device)?;
    row.raw_set("outcome", decision.outcome.name())?;
    row.raw_set("text", decision.text(P::POLICY.answers))?;
    Ok(row)
}
