//! The user's bookmarks, as the shim finds them in PEP.

use mlua::prelude::*;

use super::host::{Host, method, moment};
use super::protocol::{LuaProtocol, Normal};
use super::value::{Text, string};
use crate::rules::facts::Message;
use crate::rules::settings::Setting;

pub fn methods<P: LuaProtocol, M: LuaUserDataMethods<Host<P>>>(methods: &mut M) {
    type Bookmarks = (f64, f64, Text, Option<LuaTable>);
    method(methods, "load_bookmarks", |_, host, (wall, mono, user, stored): Bookmarks| {
        let stored = stored.map(|stored| read(&host.normal, &stored));
        let stored = stored.as_ref().map(|stored| stored.iter().map(|(jid, setting)| (&**jid, *setting)));
        host.engine.load_bookmarks(moment(wall, mono), &user, stored);
        Ok(())
    });
    type Published = (Text, Text, Option<Text>, usize);
    method(methods, "on_bookmark", |_, host, (user, jid, extracts, most): Published| {
        if let Some(jid) = host.normal.of(&jid) {
            host.engine.on_bookmark(&user, &jid, Some(setting(extracts.as_deref())), most);
        }
        Ok(())
    });
    method(methods, "on_bookmark_retracted", |_, host, (user, jid): (Text, Text)| {
        if let Some(jid) = host.normal.of(&jid) {
            host.engine.on_bookmark(&user, &jid, None, usize::MAX);
        }
        Ok(())
    });
    method(methods, "bookmarks_changed", |_, host, user: Text| {
        host.engine.bookmarks_changed(&user);
        Ok(())
    });
    method(methods, "bookmarks_can_be_read", |_, host, ()| {
        host.engine.bookmarks_can_be_read();
        Ok(())
    });
}

/// Reads pairs of a JID and the extracts of its item, or `false` for none, in one sequence. An item whose id is no JID is
/// skipped.
fn read(normal: &Normal, stored: &LuaTable) -> Vec<(String, Setting)> {
    let values: Vec<LuaValue> = stored.sequence_values().flatten().collect();
    let bookmark = |pair: &[LuaValue]| {
        let [jid, extracts] = pair else { return None };
        Some((normal.of(&string(jid)?)?, setting(string(extracts).as_deref())))
    };
    values.chunks(2).filter_map(bookmark).collect()
}

fn setting(extracts: Option<&str>) -> Setting {
    Setting::of_bookmark(&Message { extracts, ..Message::default() })
}
