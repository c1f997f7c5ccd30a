//! What is checked of an `<enable xmlns='urn:xmpp:push2:0'/>`.

use crate::address::is_account;
use crate::crypto::Unsuitable;

/// Why a registration is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    MissingService,
    NotAJid,
    OwnJid,
    MissingClient,
    InvalidGrace,
    InvalidFilter,
    UnknownProfile,
    InvalidPublicKey,
    InvalidSecret,
    UnknownAlgorithm,
    InvalidSigningKey,
    TooManyMatches,
    TooLarge,
    TooLongEcho,
}

/// Bytes of what every push says again, to whomever the client named: `<client>`, and the claims of its token.
pub const MAX_ECHO: usize = 2 * 1024;

/// Matches of a registration: one for each profile, with each way to send.
pub const MAX_MATCHES: usize = 8;

impl Refusal {
    /// The condition of the client's error, of type `modify` (RFC 6120 §8.3.3).
    pub fn condition(self) -> &'static str {
        match self {
            Refusal::UnknownProfile | Refusal::UnknownAlgorithm => "feature-not-implemented",
            _ => "bad-request",
        }
    }

    /// For the client.
    pub fn text(self) -> &'static str {
        match self {
            Refusal::MissingService => "Missing service",
            Refusal::NotAJid => "The service is not a valid JID (RFC 7622)",
            Refusal::OwnJid => "The service must be the push service's JID, not your own",
            Refusal::MissingClient => "Missing client",
            Refusal::InvalidGrace => "grace must be a number of seconds",
            Refusal::InvalidFilter => "A filter needs a jid that is a valid JID (RFC 7622)",
            Refusal::UnknownProfile => {
                "No match has both a match profile and a send profile that this server knows: see the account's features"
            }
            Refusal::InvalidPublicKey => "ua-public must be an uncompressed point of P-256, 65 bytes in base64",
            Refusal::InvalidSecret => "auth-secret must be 16 bytes in base64",
            Refusal::UnknownAlgorithm => {
                "jwt-alg must be one of ES256, ES384, ES512, EdDSA, RS256, RS384, RS512, PS256, PS384, PS512, HS256, HS384, HS512"
            }
            Refusal::InvalidSigningKey => {
                "jwt-key must be a private key for jwt-alg: PKCS#8 in PEM without its first and last line (RSA up to 4096 bits)"
            }
            Refusal::TooManyMatches => "A registration has 8 matches at most",
            Refusal::TooLongEcho => {
                "client and jwt-claim are too large: every push carries them, and they may take 2 kB at most"
            }
            Refusal::TooLarge => "The registration is too large: 16 kB at most",
        }
    }
}

impl From<Unsuitable> for Refusal {
    fn from(unsuitable: Unsuitable) -> Refusal {
        match unsuitable {
            Unsuitable::Algorithm => Refusal::UnknownAlgorithm,
            Unsuitable::Key => Refusal::InvalidSigningKey,
        }
    }
}

/// Checks `<service>` and gives it in its normal form, as its errors will have it. Of the user's own account it may not be: each
/// push would be a message to push. `normal` is as in [`app_server`](crate::xep0357::enable::app_server).
pub fn service(
    service: Option<&str>,
    user: &str,
    host: &str,
    normal: impl Fn(&str) -> Option<String>,
) -> Result<String, Refusal> {
    let service = service.map(str::trim).filter(|service| !service.is_empty()).ok_or(Refusal::MissingService)?;
    let jid = normal(service).ok_or(Refusal::NotAJid)?;
    if is_account(&jid, user, host) { Err(Refusal::OwnJid) } else { Ok(jid) }
}

/// Checks `<grace>`.
pub fn grace(grace: &str) -> Result<u32, Refusal> {
    grace.trim().parse().map_err(|_| Refusal::InvalidGrace)
}

/// Checks the `jid` of a `<filter>` and gives it in its normal form, as stanzas have it.
pub fn chat(jid: Option<&str>, normal: impl Fn(&str) -> Option<String>) -> Result<String, Refusal> {
    jid.and_then(normal).ok_or(Refusal::InvalidFilter)
}
