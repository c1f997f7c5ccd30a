//! From pushes to stanzas, as Prosody sends them.

use mlua::prelude::*;
use uuid::Uuid;

use super::shared;
use super::stanza::Writer;
use super::{Host, seconds};
use crate::element::Packed;
use crate::engine::{Content, Event, Held, NotLoaded, Push, Pushes};
use crate::facts::Message;
use crate::protocol::Protocol;
use crate::push2::notification::Notice;
use crate::summary::{self, Notification, Publish, Summary};

/// False if the registrations are not loaded; where other modules see the stanzas, what `cloud_notify/push` tells of each;
/// the seconds until `on_timer` is due, where a push is held; two places for what only `on_queued` says; the stanza, which
/// is mostly one; the others. A table for one, or any number of values, would cost more.
pub type Written = (LuaValue, Option<f64>, Option<u8>, Option<bool>, Option<LuaTable>, Option<LuaTable>);

impl Host {
    /// The stanzas of an event, and what else the shim has to know of it.
    pub fn write(
        &mut self,
        lua: &Lua,
        event: Event,
        pushes: Result<Pushes, NotLoaded>,
        message: Option<&Message>,
    ) -> LuaResult<Written> {
        let Ok(Pushes { important, list: pushes, .. }) = pushes else {
            return Ok((LuaValue::Boolean(false), None, None, None, None, None));
        };
        let wait = self.engine.next_release(event.now).map(seconds);
        if pushes.is_empty() {
            return Ok((LuaNil, wait, None, None, None, None));
        }
        let (host, config) = (self.engine.host(), self.engine.config());
        let priority = self.engine.extensions().priority;
        let summary = Summary::new(config, message, important);
        let notification = Notification { summary: &summary, encrypted: None, priority: important && priority };
        let mut writer = Writer::new(lua, &self.stanza_metatable);
        let content = if event.seen || self.engine.protocol() == Protocol::Push2 {
            None
        } else if Summary::has_content(config, message, important) {
            Some(shared::content(&mut writer, &notification)?)
        } else {
            Some(self.shared.plain(&mut writer, config, important, priority)?)
        };
        let mut stanzas = pushes.iter().map(|push| match (&content, &push.content) {
            (_, Content::Notice(notice)) => message_of(&mut writer, host, push, notice),
            (Some(content), Content::Summary) => self.shared.publish(&mut writer, push, content),
            (Some(_), Content::Encrypted(encrypted)) => {
                let own = Notification { encrypted: Some(encrypted), ..notification };
                let content = shared::content(&mut writer, &own)?;
                self.shared.publish(&mut writer, push, &content)
            }
            (None, Content::Encrypted(encrypted)) => {
                let own = Notification { encrypted: Some(encrypted), ..notification };
                publish_own(&mut writer, host, push, &own)
            }
            (None, Content::Summary) => publish_own(&mut writer, host, push, &notification),
        });
        let first = stanzas.next().transpose()?;
        let others = stanzas.collect::<LuaResult<Vec<_>>>()?;
        let others = if others.is_empty() { None } else { Some(lua.create_sequence_from(others)?) };
        let details = if event.seen {
            let each = pushes.iter().map(|push| details(lua, push, &summary));
            LuaValue::Table(lua.create_sequence_from(each.collect::<LuaResult<Vec<_>>>()?)?)
        } else {
            LuaNil
        };
        Ok((details, wait, None, None, first, others))
    }

    /// The stanzas of pushes that were held or owed; where other modules see them, what `cloud_notify/push` tells of each, and of
    /// whom it is.
    pub fn write_held(&mut self, lua: &Lua, held: Vec<Held>, seen: bool) -> LuaResult<(LuaTable, Option<LuaTable>)> {
        let config = self.engine.config();
        let priority = self.engine.extensions().priority;
        let mut writer = Writer::new(lua, &self.stanza_metatable);
        let stanzas = lua.create_table_with_capacity(held.len(), 0)?;
        let all = if seen { Some(lua.create_table_with_capacity(held.len(), 0)?) } else { None };
        for (i, Held { user, push, important }) in held.iter().enumerate() {
            let summary = Summary::new(config, None, *important);
            let notification = Notification { summary: &summary, encrypted: None, priority: *important && priority };
            let stanza = match &push.content {
                Content::Notice(notice) => message_of(&mut writer, self.engine.host(), push, notice)?,
                Content::Summary if seen => publish_own(&mut writer, self.engine.host(), push, &notification)?,
                Content::Summary => {
                    let content = self.shared.plain(&mut writer, config, *important, priority)?;
                    self.shared.publish(&mut writer, push, &content)?
                }
                Content::Encrypted(encrypted) => {
                    let own = Notification { encrypted: Some(encrypted), ..notification };
                    publish_own(&mut writer, self.engine.host(), push, &own)?
                }
            };
            stanzas.raw_seti(i + 1, stanza)?;
            if let Some(all) = &all {
                let details = details(lua, push, &summary)?;
                details.raw_set("username", &**user)?;
                all.raw_seti(i + 1, details)?;
            }
        }
        Ok((stanzas, all))
    }
}

/// The stanza of a push of Push 2.0.
fn message_of(writer: &mut Writer, host: &str, push: &Push, notice: &Notice) -> LuaResult<LuaTable> {
    let client = push.registration.push2.as_ref().map_or("", |settings| &settings.client);
    notice.write(
        writer,
        push.id.hyphenated().encode_lower(&mut Uuid::encode_buffer()),
        host,
        push.registration.jid(),
        client,
    )?;
    writer.take()
}

/// The stanza of a push that belongs to whoever sees it.
fn publish_own(writer: &mut Writer, host: &str, push: &Push, notification: &Notification) -> LuaResult<LuaTable> {
    let Push { id, registration, .. } = push;
    let form = registration.options.as_ref().and_then(Packed::unpack);
    let options = |writer: &mut Writer| form.iter().try_for_each(|form| summary::options(writer, form));
    let mut buffer = Uuid::encode_buffer();
    let id = id.hyphenated().encode_lower(&mut buffer);
    let to = Publish { id, from: host, to: registration.jid(), node: registration.node() };
    summary::publish(writer, &to, |writer| summary::notification(writer, notification), options)?;
    writer.take()
}

/// Of a push its `identifier`, `important` and `summary`, as `cloud_notify/push` has them.
fn details(lua: &Lua, push: &Push, summary: &Summary) -> LuaResult<LuaTable> {
    let details = lua.create_table()?;
    details.raw_set("identifier", &*push.registration.identifier)?;
    details.raw_set("important", summary.important())?;
    details.raw_set("summary", lua.create_table_from(summary.fields())?)?;
    Ok(details)
}
