//! What a stanza is: the facts that the shim reads from it, what it is worth to the user, and whether it names him.

pub mod facts;
pub mod importance;
pub mod mention;
pub mod queue;
pub mod walk;
