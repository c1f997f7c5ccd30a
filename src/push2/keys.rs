//! The keys that a client gave for its pushes, parsed when they are first used.

use std::cell::OnceCell;

use crate::crypto::PublicKey;
use crate::push2::base64::decode;
use crate::push2::enable::Refusal;
use crate::push2::jwt::Identity;

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
