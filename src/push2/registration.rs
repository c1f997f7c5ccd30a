//! What a client asks for in `<enable xmlns='urn:xmpp:push2:0'>`: which stanzas it wants to be woken for, and how.

use std::cell::OnceCell;

use crate::address::is_account;
use crate::crypto::{PublicKey, Unsuitable};
use crate::ns;
use crate::push2::base64::decode;
use crate::push2::jwt::Identity;

/// The part of a registration that is Push 2.0's.
#[derive(Debug, PartialEq)]
pub struct Settings {
    /// Opaque, echoed in every push: how the push service finds the client.
    pub client: Box<str>,
    pub matches: Box<[Match]>,
}

/// A rule: which stanzas, and what is sent for one.
#[derive(Debug, PartialEq)]
pub struct Match {
    pub profile: Profile,
    /// Seconds after the user was active elsewhere in which the client is left in peace.
    pub grace: Option<u32>,
    pub chats: Box<[Chat]>,
    pub send: Send,
}

/// Which stanzas a match is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    All,
    Important,
    Archived,
    ArchivedWithBody,
    /// Of another specification: it matches nothing.
    Unknown,
}

/// The match profiles that there are.
const PROFILES: [(&str, Profile); 4] = [
    (ns::PUSH2_MATCH_ALL, Profile::All),
    (ns::PUSH2_MATCH_IMPORTANT, Profile::Important),
    (ns::PUSH2_MATCH_ARCHIVED, Profile::Archived),
    (ns::PUSH2_MATCH_ARCHIVED_WITH_BODY, Profile::ArchivedWithBody),
];

/// What an account announces (XEP-0030): the protocol, and the profiles to match and to send.
pub fn features() -> impl Iterator<Item = &'static str> {
    let profiles = PROFILES.iter().map(|(profile, _)| *profile);
    [ns::PUSH2].into_iter().chain(profiles).chain([ns::PUSH2_SEND_NOTIFY_ONLY, ns::PUSH2_SEND_ENCRYPTED])
}

impl Profile {
    /// By its URI.
    pub fn new(uri: &str) -> Profile {
        PROFILES.iter().find(|(known, _)| *known == uri).map_or(Profile::Unknown, |(_, profile)| *profile)
    }
}

/// A rule for what comes from one JID: full, bare, or a host. With neither, nothing of it is heard.
#[derive(Debug, PartialEq, Eq)]
pub struct Chat {
    pub jid: Box<str>,
    /// What mentions the user.
    pub mention: bool,
    /// What replies to the user (XEP-0461).
    pub reply: bool,
}

/// What is sent for a stanza that matches.
#[derive(Debug, PartialEq)]
pub enum Send {
    NotifyOnly,
    Encrypted(Box<Keys>),
    /// A record says that the client wants what we cannot do: it gets nothing that others can read instead.
    Unknown,
}

/// The keys of [`Send::Encrypted`] as the client sent them. What they are is found out once, when they are first used: that takes
/// longer than all the rest of reading a registration.
pub struct Keys {
    pub ua_public: Box<str>,
    pub auth_secret: Box<str>,
    pub signing: Option<Signing>,
    parsed: OnceCell<Option<WebPush>>,
}

/// With what a client wants its pushes signed.
#[derive(PartialEq)]
pub struct Signing {
    pub algorithm: Box<str>,
    pub key: Box<str>,
    pub claims: Vec<(String, String)>,
}

impl Keys {
    /// Takes them as the client sent them, and as the store has them.
    pub fn new(ua_public: &str, auth_secret: &str, signing: Option<Signing>) -> Keys {
        Keys { ua_public: ua_public.into(), auth_secret: auth_secret.into(), signing, parsed: OnceCell::new() }
    }

    /// Nothing if they are none, as a record of others may have them.
    pub fn parsed(&self) -> Option<&WebPush> {
        self.parsed.get_or_init(|| self.parse().ok()).as_ref()
    }

    /// What they are, or what is wrong with them.
    pub fn parse(&self) -> Result<WebPush, Refusal> {
        let identity = match &self.signing {
            Some(Signing { algorithm, key, claims }) => {
                let claims = claims.iter().map(|(name, value)| (&**name, &**value));
                Some(Identity::new(algorithm, key, claims)?)
            }
            None => None,
        };
        WebPush::new(&self.ua_public, &self.auth_secret, identity)
    }
}

impl PartialEq for Keys {
    fn eq(&self, other: &Keys) -> bool {
        (&self.ua_public, &self.auth_secret, &self.signing) == (&other.ua_public, &other.auth_secret, &other.signing)
    }
}

/// Keys are for nobody's eyes.
impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

/// The keys of `urn:xmpp:push2:send:sce+rfc8291+rfc8292:0`.
pub struct WebPush {
    pub client: PublicKey,
    pub auth: [u8; 16],
    /// Tells the push service who sends, where the client has given a key for it.
    pub identity: Option<Identity>,
}

impl WebPush {
    /// Takes the keys as the client sent them, in base64.
    pub fn new(ua_public: &str, auth_secret: &str, identity: Option<Identity>) -> Result<WebPush, Refusal> {
        let client = decode(ua_public).and_then(|point| PublicKey::new(&point)).ok_or(Refusal::InvalidPublicKey)?;
        let auth = decode(auth_secret).and_then(|auth| auth.try_into().ok()).ok_or(Refusal::InvalidSecret)?;
        Ok(WebPush { client, auth, identity })
    }
}

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
            Refusal::TooLarge => crate::registration::Refusal::TooLarge.text(),
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
/// push would be a message to push. `normal` is as in [`app_server`](crate::registration::app_server).
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
