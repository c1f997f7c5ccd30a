//! Events that lead to pushes.

use mlua::prelude::*;

use super::host::{Host, method, moment, seconds};
use super::protocol::LuaProtocol;
use super::stanza;
use super::value::Text;
use crate::context::Event;
use crate::engine::{Done, Pushes};
use crate::memory::journal::Cause;
use crate::registration::holders::Holders;
use crate::rules::facts::{Message, Word};
use crate::rules::importance::{Kind, shows_activity};
use crate::rules::queue;
use crate::rules::read::Read;

/// Adds the method of an event with a message. The method takes, after the engine: the user, the time by the wall clock and by
/// the monotonic clock, whether other modules observe the pushes, the stanza where a push may carry it, then the facts of
/// [`Message`], and then its own arguments. They are positional, because a table of them would cost more than the rest of the call.
macro_rules! message_method {
    ($methods:ident, $name:literal, |$host:ident, $lua:ident, $event:ident, $message:ident $(, $arg:ident: $type:ty)*| $body:expr) => {
        method(
            $methods,
            $name,
            |$lua,
             $host: &mut Host<P>,
             (user, wall, mono, observed, stanza, word, from, body, dedup_key, call, extracts, $($arg),*): (
                Text, f64, f64, bool, Option<LuaTable>, Word, Option<Text>, Option<Text>, Option<Text>, Option<Text>, Option<Text>, $($type),*
            )| {
                let read = || stanza::trimmed(stanza.as_ref()?, word);
                let $message = &Message {
                    word,
                    from: from.as_deref(),
                    body: body.as_deref(),
                    dedup_key: dedup_key.as_deref(),
                    call: $host.call(&user, &call),
                    extracts: extracts.as_deref(),
                    stanza: Some(&read),
                };
                let $event = Event { now: moment(wall, mono), user: &user, observed };
                $body
            },
        )
    };
}

pub fn methods<P: LuaProtocol, M: LuaUserDataMethods<Host<P>>>(methods: &mut M) {
    message_method!(methods, "on_offline", |host,
                                            lua,
                                            event,
                                            message,
                                            sender: Option<Text>,
                                            id: Option<Text>,
                                            text: Option<Text>| {
        let own_key = id.map(|id| host.engine.dedup_key(sender.as_deref(), &id, text.as_deref()));
        let message = &Message { dedup_key: message.dedup_key.or(own_key.as_deref()), ..*message };
        let pushes = host.engine.on_offline(event, message);
        host.write(lua, event, pushes, Some(message))
    });
    message_method!(methods, "on_addressed", |host,
                                              lua,
                                              event,
                                              message,
                                              to: Option<Text>,
                                              held: Option<Text>,
                                              sender: Option<Text>| {
        let holders = Holders::new(held.as_deref());
        let pushes = host.engine.on_addressed(event, to.as_deref(), message, holders, sender.as_deref());
        host.write(lua, event, pushes, Some(message))
    });
    message_method!(methods, "on_queued", |host,
                                           lua,
                                           event,
                                           message,
                                           identifier: Text,
                                           done: u8,
                                           held: Option<Text>| {
        let holders = Holders::new(held.as_deref());
        let queued = host.engine.on_queued(event, &identifier, Done::new(done), message, holders);
        host.write_queued(lua, event, queued, message)
    });
    message_method!(methods, "on_collected", |host, _lua, event, message| {
        host.engine.on_collected(event, message);
        Ok(())
    });
    message_method!(methods, "on_read", |host,
                                         lua,
                                         event,
                                         message,
                                         chat: Text,
                                         reader: Option<Text>,
                                         held: Option<Text>| {
        let server_host = &host.engine.server().host;
        let read = Read::in_marker(&chat, message).or_else(|| Read::in_item(event.user, server_host, &chat, message));
        let Some(read) = read else { return host.write(lua, event, Ok(Pushes::default()), None) };
        let pushes = host.engine.on_read(event, &read, reader.as_deref(), Holders::new(held.as_deref()));
        host.write(lua, event, pushes, None)
    });
    // A ping has no stanza.
    type Ping = (Text, f64, f64, bool, LuaValue, Option<LuaTable>, Option<Text>, Option<Text>);
    method(methods, "on_ping", |lua, host, (user, wall, mono, observed, _, given, cause, held): Ping| {
        let given = given.map(|given| host.registrations(&user, Some(given)));
        let event = Event { now: moment(wall, mono), user: &user, observed };
        let unknown = |cause: &str| LuaError::runtime(format!("There is no cause {cause}"));
        let cause = cause.map_or(Ok(Cause::Ping), |cause| cause.parse().map_err(|_| unknown(&cause)))?;
        let pushes = host.engine.on_ping(event, given, cause, Holders::new(held.as_deref()));
        host.write(lua, event, pushes, None)
    });
    type Missed = (Text, f64, f64, bool, LuaValue, bool, Option<Text>);
    method(methods, "on_missed", |lua, host, (user, wall, mono, observed, _, important, held): Missed| {
        let event = Event { now: moment(wall, mono), user: &user, observed };
        let kind = if important { Kind::Important } else { Kind::Silent };
        let pushes = host.engine.on_missed(event, kind, Holders::new(held.as_deref()));
        host.write(lua, event, pushes, None)
    });
    method(methods, "dedup_key", |_, host, (from, id, text): (Option<Text>, Text, Option<Text>)| {
        Ok(host.engine.dedup_key(from.as_deref(), &id, text.as_deref()))
    });
    method(methods, "is_activity", |_, _, word: Word| Ok(shows_activity(word)));
    method(methods, "queue_delay", |_, _, word: Word| Ok(seconds(queue::delay(word))));
    method(methods, "queue_alarm", |_, _, (size, woken_at): (u32, Option<u32>)| Ok(queue::alarm(size, woken_at)));
    method(methods, "asks_for_roster", |_, host, (user, word): (Text, Word)| {
        Ok(host.engine.asks_for_roster(&user, word))
    });
    method(methods, "on_resumed", |_, host, (wall, mono, user, identifier): (f64, f64, Text, Text)| {
        host.engine.on_resumed(moment(wall, mono), &user, &identifier);
        Ok(())
    });
    method(methods, "max_hibernation", |_, host, ()| Ok(host.engine.config().max_hibernation));
    method(methods, "wake_on_start", |_, host, ()| Ok(host.engine.config().wake_on_start));
    method(methods, "wake_before", |_, host, ()| Ok(host.engine.config().wake_before));
}
