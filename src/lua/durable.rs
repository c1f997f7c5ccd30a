//! The state that survives the server or a reload, as tables that any store of Prosody takes.

use mlua::prelude::*;

use super::host::{Host, method, moment};
use super::protocol::LuaProtocol;
use super::value::Text;
use crate::delivery::failures::History;
use crate::engine::durable::{Record, Records};
use crate::rules::importance::Kind;
use crate::time::Millis;

/// Kinds of pushes by their names in the store.
const KINDS: [(&str, Kind); 2] = [("silent", Kind::Silent), ("important", Kind::Important)];

pub fn methods<P: LuaProtocol, M: LuaUserDataMethods<Host<P>>>(methods: &mut M) {
    method(methods, "unwritten", |lua, host, limit: Option<usize>| {
        tables(lua, host.engine.unwritten(limit.unwrap_or(usize::MAX)))
    });
    method(methods, "durable", |lua, host, user: Text| -> LuaResult<LuaTable> {
        let records = host.engine.durable([user.as_str().into()].into());
        tables(lua, records)?.raw_get(user)
    });
    method(methods, "last_unwritten", |lua, host, (wall, mono): (f64, f64)| {
        tables(lua, host.engine.last_unwritten(moment(wall, mono)))
    });
    method(methods, "recall", |_, host, (wall, mono, user, records): (f64, f64, Text, LuaTable)| {
        host.engine.recall(moment(wall, mono), &user, read(&records));
        Ok(())
    });
    method(methods, "save", |_, host, ()| serde_json::to_string(&host.engine.save()).map_err(LuaError::external));
    method(methods, "restore", |lua, host, saved: Text| {
        let to_load = host.engine.restore(serde_json::from_str(&saved).map_err(LuaError::external)?);
        lua.create_sequence_from(to_load.iter().map(|user| &**user))
    });
}

/// Writes the table to store for each user, which is empty if nothing is left.
fn tables(lua: &Lua, users: Vec<(std::rc::Rc<str>, Records)>) -> LuaResult<LuaTable> {
    let all = lua.create_table_with_capacity(0, users.len())?;
    for (user, records) in users {
        let of_user = lua.create_table()?;
        for (identifier, Record { owed, waits, failures }) in records {
            let History { refusals, since, last, failed_for, .. } = failures;
            let record = lua.create_table()?;
            let kind = KINDS.iter().find(|(_, kind)| Some(*kind) == owed);
            record.raw_set("owed", kind.map(|(name, _)| *name))?;
            record.raw_set("waits_until", waits.map(|until| until.div_ceil(1000)))?;
            record.raw_set("refusals", Some(refusals).filter(|refusals| *refusals > 0))?;
            if let Some(since) = since {
                record.raw_set("failing_since", since / 1000)?;
                record.raw_set("failed_last", last / 1000)?;
                record.raw_set("failed_for", failed_for / 1000)?;
            }
            of_user.raw_set(&*identifier, record)?;
        }
        all.raw_set(&*user, of_user)?;
    }
    Ok(all)
}

/// Reads the stored table of a user; fields of an unexpected form count as absent.
fn read(stored: &LuaTable) -> Records {
    let record = |record: LuaTable| {
        let millis = |name: &str| record.raw_get::<f64>(name).ok().map(|seconds| (seconds * 1000.0) as Millis);
        let owed = record.raw_get::<String>("owed").unwrap_or_default();
        let refusals = record.raw_get("refusals").unwrap_or(0);
        let (last, failed_for) = (millis("failed_last").unwrap_or(0), millis("failed_for").unwrap_or(0));
        let failures = History::new(refusals, millis("failing_since"), last, failed_for);
        let owed = KINDS.iter().find(|(name, _)| *name == owed).map(|(_, kind)| *kind);
        Record { owed, waits: millis("waits_until"), failures }
    };
    let rows = stored.pairs::<String, LuaTable>().filter_map(Result::ok);
    rows.map(|(identifier, of_device)| (identifier.into(), record(of_device))).collect()
}
