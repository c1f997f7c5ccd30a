//! Pushes that nobody looks into share all that nobody changes.
//!
//! What a push costs is the tables that it is made of: making them is half of it, and the garbage collector's work for
//! every byte of them the other. What is below `<item>` is the same in each push without content, `<publish-options>`
//! and the node in each to one registration; only what holds `<item>` together with the `<iq>` is made afresh, since a
//! `pubsub` component on the same server writes into `<item>` and keeps it. And Lua's own constructors make a table in
//! a third of the time that setting its fields from here takes. `make bench`: "offline message, 1 device".

use std::num::NonZeroUsize;
use std::rc::Rc;

use lru::LruCache;
use mlua::prelude::*;
use uuid::Uuid;

use super::stanza::Writer;
use crate::config::Config;
use crate::engine::Push;
use crate::ns;
use crate::registration::Registration;
use crate::summary::{self, Notification, Summary};

/// Registrations whose parts are kept.
const REGISTRATIONS: NonZeroUsize = NonZeroUsize::new(1000).unwrap();

/// What has been made of late.
pub struct Shared {
    /// `src/lua/envelope.lua`.
    envelope: LuaFunction,
    /// `<notification>` without content: unimportant, important.
    plain: [Option<LuaTable>; 2],
    /// By address: the registration is held with its parts, so that no other has the address meanwhile.
    parts: LruCache<*const Registration, Parts>,
}

/// What is the same in each push to a registration.
struct Parts {
    _registration: Rc<Registration>,
    /// Attributes of `<publish>`.
    attr: LuaTable,
    options: Option<LuaTable>,
}

impl Shared {
    pub fn new(lua: &Lua, host: &str, stanza_metatable: &LuaTable) -> LuaResult<Shared> {
        let attr = lua.create_table_from([("xmlns", ns::PUBSUB)])?;
        let envelope =
            lua.load(include_str!("envelope.lua")).set_name("=prosody_push").call((stanza_metatable, host, attr))?;
        Ok(Shared { envelope, plain: [None, None], parts: LruCache::new(REGISTRATIONS) })
    }

    /// Forgets what is not made so any more.
    pub fn clear(&mut self) {
        self.plain = [None, None];
    }

    /// What is in the `<item>` of a push without content.
    /// With `priority`, an important one says so (`tigase:push:priority:0`).
    pub fn plain(
        &mut self,
        writer: &mut Writer,
        config: &Config,
        important: bool,
        priority: bool,
    ) -> LuaResult<LuaTable> {
        match &mut self.plain[usize::from(important)] {
            Some(plain) => Ok(plain.clone()),
            plain => {
                let summary = Summary::without_content(config, important);
                let notification = Notification { summary: &summary, encrypted: None, priority: important && priority };
                Ok(plain.insert(content(writer, &notification)?).clone())
            }
        }
    }

    /// The stanza of a push with `content` in its `<item>`.
    pub fn publish(&mut self, writer: &mut Writer, push: &Push, content: &LuaTable) -> LuaResult<LuaTable> {
        let registration = &push.registration;
        let mut buffer = Uuid::encode_buffer();
        let parts = self.parts.try_get_or_insert(Rc::as_ptr(registration), || parts(writer, registration))?;
        let id = &*push.id.hyphenated().encode_lower(&mut buffer);
        self.envelope.call((id, registration.jid(), &parts.attr, content, parts.options.as_ref()))
    }
}

/// `<notification>`, as the `tags` of the element that it is in.
pub fn content(writer: &mut Writer, notification: &Notification) -> LuaResult<LuaTable> {
    summary::notification(writer, notification)?;
    writer.lua().create_sequence_from([writer.take()?])
}

fn parts(writer: &mut Writer, registration: &Rc<Registration>) -> LuaResult<Parts> {
    let attr = writer.lua().create_table_from([("xmlns", ns::PUBSUB)])?;
    attr.raw_set("node", registration.node())?;
    let options = match registration.options.as_ref().and_then(|form| form.unpack()) {
        Some(form) => {
            summary::options(writer, &form)?;
            Some(writer.take()?)
        }
        None => None,
    };
    Ok(Parts { _registration: registration.clone(), attr, options })
}
