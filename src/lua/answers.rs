//! Answers to pushes, the timer, and pushes that leave later.

use mlua::prelude::*;

use super::host::{Host, method, moment, seconds};
use super::protocol::LuaProtocol;
use super::value::Text;
use crate::delivery::failures::Gone;
use crate::engine::{Answered, Verdict};
use crate::stanza_error::StanzaError;

pub fn methods<P: LuaProtocol, M: LuaUserDataMethods<Host<P>>>(methods: &mut M) {
    method(methods, "withdraw", |_, host, id: Text| {
        host.engine.withdraw(&id);
        Ok(())
    });
    method(methods, "postpone", |_, host, (wall, mono, id): (f64, f64, Text)| {
        host.engine.postpone(moment(wall, mono), &id);
        Ok(())
    });
    type Answer = (f64, f64, Text, Option<Text>, bool, Option<Text>, Option<Text>, Option<Text>);
    method(methods, "on_answer", |lua, host, (wall, mono, id, from, made_here, kind, condition, text): Answer| {
        let error = stanza_error(made_here, kind.as_deref(), condition.as_deref(), text.as_deref());
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
    method(methods, "unanswered", |lua, host, domain: Text| {
        let unanswered =
            host.engine.unanswered(&domain).map(|(id, app_server)| [id.to_string(), app_server.to_owned()]);
        lua.create_sequence_from(unanswered)
    });
    method(methods, "on_timer", |lua, host, (wall, mono, observed): (f64, f64, bool)| {
        let now = moment(wall, mono);
        let gone = host.engine.on_timer(now);
        let leaving = host.engine.release(now);
        let gone = gone.iter().map(|gone| gone_table(lua, gone)).collect::<LuaResult<Vec<_>>>()?;
        let gone = lua.create_sequence_from(gone)?;
        let (stanzas, details) = host.write_leaving(lua, leaving, observed)?;
        Ok((gone, stanzas, host.engine.timer(now).map(seconds), details))
    });
    method(methods, "release_all", |lua, host, (wall, mono): (f64, f64)| {
        let leaving = host.engine.release_all(moment(wall, mono));
        Ok(host.write_leaving(lua, leaving, false)?.0)
    });
}

/// Takes an error as Prosody has it; `None` without a type, because every error has one.
pub fn stanza_error<'a>(
    made_here: bool,
    kind: Option<&'a str>,
    condition: Option<&'a str>,
    text: Option<&'a str>,
) -> Option<StanzaError<'a>> {
    kind.map(|kind| StanzaError { kind, condition: condition.unwrap_or("undefined-condition"), text, made_here })
}

/// Writes a registration to remove, for the shim.
fn gone_table(lua: &Lua, gone: &Gone) -> LuaResult<LuaTable> {
    let table = lua.create_table()?;
    table.raw_set("user", &*gone.user)?;
    table.raw_set("identifier", &*gone.identifier)?;
    table.raw_set("refused", gone.refused)?;
    table.raw_set("why", &*gone.why)?;
    Ok(table)
}
