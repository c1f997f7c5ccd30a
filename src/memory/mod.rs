//! An engine's memory of the past, which is bounded.

pub mod calls;
pub mod dedup;
pub mod journal;
pub mod stats;
