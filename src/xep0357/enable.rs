//! What is checked of an `<enable xmlns='urn:xmpp:push:0'/>`.

use crate::address::is_account;

/// Bytes that a client may put into a registration: it stays in memory, and its filters see every message.
pub const MAX_SIZE: usize = 16 * 1024;
/// Bytes of what every push says again, to whomever the client named: node and form, escaped.
pub const MAX_ECHO: usize = 4 * 1024;

/// Why a registration is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    TooLarge,
    TooLongEcho,
    UnknownAlgorithm,
    InvalidKey,
    InvalidMaxSize,
    MissingJid,
    NotAJid,
    OwnJid,
}

impl Refusal {
    /// The condition of the client's error, of type `modify` (RFC 6120 §8.3.3).
    pub fn condition(self) -> &'static str {
        match self {
            Refusal::UnknownAlgorithm => "feature-not-implemented",
            _ => "bad-request",
        }
    }

    /// For the client.
    pub fn text(self) -> &'static str {
        match self {
            Refusal::TooLarge => "The registration is too large: 16 kB at most",
            Refusal::TooLongEcho => {
                "Node and form are too large: every push carries them, and they may take 4 kB at most"
            }
            Refusal::UnknownAlgorithm => "Pushes can be encrypted with aes-128-gcm only",
            Refusal::InvalidKey => "The encryption key must be 16 bytes in base64",
            Refusal::InvalidMaxSize => "max-size must be a number of bytes",
            Refusal::MissingJid => "Missing jid",
            Refusal::NotAJid => "The jid attribute is not a valid JID (RFC 7622)",
            Refusal::OwnJid => "The jid attribute must be the push service's JID, not your own",
        }
    }
}

/// Checks the `jid` of an `<enable>` of `user` on `host` and gives it in its normal form, as the app server's answers will have
/// it. `normal` gives that of a JID, as Prosody has it, or nothing for what is none.
pub fn app_server(
    jid: Option<&str>,
    user: &str,
    host: &str,
    normal: impl Fn(&str) -> Option<String>,
) -> Result<String, Refusal> {
    let jid = normal(jid.ok_or(Refusal::MissingJid)?).ok_or(Refusal::NotAJid)?;
    if is_account(&jid, user, host) { Err(Refusal::OwnJid) } else { Ok(jid) }
}
