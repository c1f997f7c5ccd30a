//! What an engine remembers of the past, in bounded memory.

pub mod calls;
pub mod dedup;
pub mod journal;
pub mod stats;
