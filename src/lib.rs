//! Push notifications for Prosody: the rules, and every stanza that they send.
//!
//! Prosody keeps sessions, storage, time and the wire. The Lua modules in `lua/` pass events to this crate and perform its
//! decisions. The crate reads no clock: the time is an argument. Only [`lua`] knows Lua.
//!
//! The path of an event:
//!
//! 1. The shim walks the stanza by the tables of [`rules::walk`] and passes its [`rules::facts`] to [`lua`].
//! 2. [`engine`] finds the user's [`registration`]s, and which sessions hold them.
//! 3. [`rules::importance`] judges the stanza; the [`protocol`] decides how each device is notified of it.
//! 4. [`memory::dedup`] and [`memory::calls`] know which messages and calls were pushed to a device before.
//! 5. [`delivery`] holds, sends or owes the push and waits for its answer.
//! 6. [`xep0357`] or [`push2`] writes the stanza, and [`lua`] returns it.
//!
//! [`memory::journal`] and [`memory::stats`] keep the decisions and their [`reason`]s for the administrator.
//! `docs/contributing.md` has a picture of the modules and their dependencies.

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

/// The version of the library. The shim refuses another one: after an update, a server that was reloaded and not restarted
/// still has the old library.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
