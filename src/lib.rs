//! Push notifications for Prosody: the rules, and every stanza they send.
//!
//! Prosody keeps sessions, storage, time and the wire; a Lua shim (`lua/`) tells what happened and does what it is
//! told; this crate decides. What the shim looks at in a stanza is said in [`walk`]; an event comes in through [`lua`], as positional
//! [`facts`]; [`engine`] finds the user's [`registration`]s and who [`holders`] of them are, asks [`importance`] what the message is
//! worth, [`dedup`] and [`calls`] whether a device knows it already and [`coalesce`] whether a push would say anything new, and hands
//! each push to [`delivery`], which waits for its answer;
//! [`summary`] writes it, or [`tigase`] encrypts it for the device. A host has an engine for each [`protocol`] that it speaks;
//! what is different in [`push2`] is there. What was decided, and for which [`reason`], is in the [`journal`] and in the
//! [`stats`], for the administrator. Nothing but [`lua`] knows Lua, and nothing reads a
//! clock: both are arguments.

pub mod address;
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

/// The shim refuses a library of another version: after an update the old one stays in a server that was reloaded,
/// not restarted.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
