//! An engine's memory of the past, which is bounded.

pub mod bookmarks;
pub mod calls;
pub mod dedup;
pub mod journal;
pub mod stats;
pub mod unread;
