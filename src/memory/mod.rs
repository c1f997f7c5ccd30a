//! An engine's memory of the past, which is bounded.

pub mod bookmarks;
pub mod calls;
pub mod dedup;
pub mod endings;
pub mod fate;
pub mod history;
pub mod journal;
mod seeded;
pub mod stats;
pub mod unread;
