//! The rules about a stanza: the facts that the shim reads from it, its importance, and whether it mentions the user.

pub mod facts;
pub mod importance;
pub mod mention;
pub mod patience;
pub mod queue;
pub mod read;
pub mod settings;
pub mod walk;
