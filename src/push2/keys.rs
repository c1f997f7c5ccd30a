//! The keys that a client gave for its pushes, parsed when they are first used.

use std::cell::OnceCell;
use std::rc::Rc;

use thiserror::Error;

use crate::base64::decode;
use crate::crypto::{PublicKey, Unsuitable};
use crate::push2::jwt::Identity;
use crate::reason::Reason;
use crate::time::Seconds;

/// The keys of a match that encrypts, as the client sent them. They are parsed once, when they are first used, because parsing
/// takes longer than all the rest of reading a registration.
pub struct Keys {
    pub ua_public: Box<str>,
    pub auth_secret: Box<str>,
    pub signing: Option<Signing>,
    parsed: OnceCell<Result<Rc<WebPush>, InvalidKeys>>,
}

/// How a client wants its pushes signed (RFC 8292).
#[derive(PartialEq)]
pub struct Signing {
    pub algorithm: Box<str>,
    pub key: Box<str>,
    pub claims: Vec<(String, String)>,
}

/// An error in keys. Displays as the text of the client's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidKeys {
    #[error("ua-public must be an uncompressed point of P-256, 65 bytes in base64")]
    PublicKey,
    #[error("auth-secret must be 16 bytes in base64")]
    Secret,
    #[error(
        "jwt-alg must be one of ES256, ES384, ES512, EdDSA, RS256, RS384, RS512, PS256, PS384, PS512, HS256, HS384, HS512"
    )]
    Algorithm,
    #[error(
        "jwt-key must be a private key for jwt-alg: PKCS#8 in PEM without its first and last line (RSA up to 4096 bits)"
    )]
    SigningKey,
}

impl From<Unsuitable> for InvalidKeys {
    fn from(unsuitable: Unsuitable) -> InvalidKeys {
        match unsuitable {
            Unsuitable::Algorithm => InvalidKeys::Algorithm,
            Unsuitable::Key => InvalidKeys::SigningKey,
        }
    }
}

impl From<InvalidKeys> for Reason {
    fn from(invalid: InvalidKeys) -> Reason {
        match invalid {
            InvalidKeys::PublicKey => Reason::InvalidPublicKey,
            InvalidKeys::Secret => Reason::InvalidAuthSecret,
            InvalidKeys::Algorithm => Reason::UnknownJwtAlgorithm,
            InvalidKeys::SigningKey => Reason::InvalidJwtKey,
        }
    }
}

impl Keys {
    /// Takes the keys as the client sent them, and as the store has them.
    pub fn new(ua_public: &str, auth_secret: &str, signing: Option<Signing>) -> Keys {
        Keys { ua_public: ua_public.into(), auth_secret: auth_secret.into(), signing, parsed: OnceCell::new() }
    }

    /// Returns the parsed keys, or an error, because another module may have stored invalid ones.
    pub fn parsed(&self) -> Result<&Rc<WebPush>, InvalidKeys> {
        self.parsed.get_or_init(|| self.parse().map(Rc::new)).as_ref().map_err(|invalid| *invalid)
    }

    /// Whether a push needs a new token; `None` if these keys sign none. Keys that are not parsed yet have no token.
    pub fn signs_anew(&self, now: Seconds) -> Option<bool> {
        self.signing.as_ref()?;
        match self.parsed.get() {
            Some(parsed) => Some(!parsed.as_ref().ok()?.identity.as_ref()?.has_token(now)),
            None => Some(true),
        }
    }

    /// Returns the bytes of the keys, without the claims.
    pub fn size(&self) -> usize {
        let signing = self.signing.as_ref().map_or(0, |signing| signing.algorithm.len() + signing.key.len());
        self.ua_public.len() + self.auth_secret.len() + signing
    }

    /// Parses the keys.
    pub fn parse(&self) -> Result<WebPush, InvalidKeys> {
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

/// Keys are never shown.
impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

/// The keys of `urn:xmpp:push2:send:sce+rfc8291+rfc8292:0`.
pub struct WebPush {
    pub client: PublicKey,
    pub auth: [u8; 16],
    /// Identifies the sender to the push service; `None` if the client gave no key for this.
    pub identity: Option<Identity>,
}

impl WebPush {
    /// Takes the keys as the client sent them, in base64.
    pub fn new(ua_public: &str, auth_secret: &str, identity: Option<Identity>) -> Result<WebPush, InvalidKeys> {
        let client = decode(ua_public).and_then(|point| PublicKey::new(&point)).ok_or(InvalidKeys::PublicKey)?;
        let auth = decode(auth_secret).and_then(|auth| auth.try_into().ok()).ok_or(InvalidKeys::Secret)?;
        Ok(WebPush { client, auth, identity })
    }
}
