//! Limits of a client's request, and of the parts of a stanza that the rules look at. In bytes unless stated otherwise.

/// The largest registration: it stays in memory, and its filters see every message.
pub const MAX_REGISTRATION: usize = 16 * 1024;
/// JID, node and form of XEP-0357, as Prosody writes them: every push carries them, to an address of the client's choice.
pub const MAX_ECHO: usize = 4 * 1024;
/// `<service>`, `<client>` and the claims of a token of Push 2.0, as a push has them: every push carries them, to an address of the
/// client's choice.
pub const MAX_PUSH2_ECHO: usize = 2 * 1024;
/// Matches of a Push 2.0 registration: one for each match profile with each send profile.
pub const MAX_MATCHES: usize = 8;
/// The first part of a text that a waiting push keeps: no push carries more.
pub const MAX_WAITING_TEXT: usize = 4 * 1024;
/// The first part of a call's id, which identifies the call.
pub const CALL_ID: usize = 128;
/// Entries of one kind in a stanza, and bytes of one entry, that the rules look at: no client sends more of either.
pub const MOST_OF_A_KIND: usize = 100;
pub const LONGEST_ENTRY: usize = 4096;
/// Children of an element that the rules look at: if there are more, the first ones and, because the archive adds its id at the
/// end, the last ones.
pub const FIRST_CHILDREN: usize = 400;
pub const LAST_CHILDREN: usize = 100;
