//! Push notifications for Prosody: the rules, and every stanza that they send.
//!
//! Prosody keeps sessions, storage, time and the wire. The Lua modules in `lua/` tell this crate what happened and do what it
//! answers; this crate decides. It reads no clock, and only [`lua`] knows Lua: both are arguments.
//!
//! The path of an event:
//!
//! 1. The shim walks the stanza as [`rules::walk`] says and passes on its [`rules::facts`]; [`lua`] takes them.
//! 2. [`engine`] finds the user's [`registration`]s, and which sessions hold them.
//! 3. [`rules::importance`] says what the stanza is worth; the [`protocol`] decides how each device is told of it.
//! 4. [`memory::dedup`] and [`memory::calls`] know what a device has heard already.
//! 5. [`delivery`] holds, sends or owes the push and waits for its answer.
//! 6. [`xep0357`] or [`push2`] writes the stanza, and [`lua`] returns it.
//!
//! What was decided, and for which [`reason`], is in [`memory::journal`] and [`memory::stats`] for the administrator.
//! `docs/contributing.md` draws which module stands on which.

pub mod address;
pub mod base64;
pub mod config;
pub mod context;
pub mod crypto;
pub mod delivery;
pub mod element;
pub mod engine;
pub mod ids;
pub mod limits;
#[cfg(feature = "mlua")]
pub mod lua;
pub mod memory;
pub mod ns;
pub mod protocol;
pub mod push2;
pub mod reason;
pub mod registration;
pub mod rules;
pub mod stanza_error;
pub mod text;
pub mod tigase;
pub mod time;
pub mod xep0357;
pub mod xml;

/// The shim refuses a library of another version: after an update, a server that was reloaded and not restarted still has the
/// old library.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
