//! A signed token that identifies the sender of a push: Voluntary Application Server Identification, RFC 8292.

use std::cell::RefCell;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD as BASE64_URL};
use serde_json::{Map, Value, json};

use crate::base64::decode;
use crate::crypto::{Signer, Unsuitable};
use crate::time::Seconds;

/// How long a token is valid. RFC 8292 §2 allows 24 hours at most.
const LIFETIME: Seconds = 12 * 3600;
/// How long before its end a token is renewed: the push service's clock may differ, and a push takes some time.
const RENEWAL: Seconds = 3600;

/// Signs the tokens of one registration.
pub struct Identity {
    algorithm: Box<str>,
    signer: Signer,
    /// The client's claims: the audience (`aud`) and others.
    claims: Map<String, Value>,
    last: RefCell<Option<Rc<Token>>>,
}

/// A signed token.
#[derive(Debug, PartialEq, Eq)]
pub struct Token {
    /// JSON Web Signature, compact (RFC 7515 §7.1).
    pub jws: String,
    /// The public key in base64; `None` for HMAC.
    pub key: Option<String>,
    expires: Seconds,
}

impl Identity {
    /// `key` is PKCS#8 in base64, or for HMAC the secret itself.
    pub fn new<'c>(
        algorithm: &str,
        key: &str,
        claims: impl IntoIterator<Item = (&'c str, &'c str)>,
    ) -> Result<Identity, Unsuitable> {
        let signer = Signer::new(algorithm, key.trim().as_bytes(), decode(key).as_deref())?;
        Ok(Identity { algorithm: algorithm.into(), signer, claims: object(claims), last: RefCell::new(None) })
    }

    /// Returns a valid token. It is signed once, and returned again until it is about to expire. `contact` is the address of
    /// this server's administrator (`sub`).
    pub fn token(&self, now: Seconds, contact: &str) -> Option<Rc<Token>> {
        if !self.has_token(now) {
            *self.last.borrow_mut() = Some(Rc::new(self.sign(now + LIFETIME, contact)?));
        }
        self.last.borrow().clone()
    }

    /// Whether [`token`](Identity::token) has a valid token and need not sign one.
    pub fn has_token(&self, now: Seconds) -> bool {
        self.last.borrow().as_ref().is_some_and(|token| token.is_valid(now))
    }

    fn sign(&self, expires: Seconds, contact: &str) -> Option<Token> {
        let mut claims = self.claims.clone();
        claims.insert("sub".into(), contact.into());
        claims.insert("exp".into(), expires.into());
        let header = json!({ "typ": "JWT", "alg": self.algorithm });
        let mut jws = format!("{}.{}", part(header), part(Value::Object(claims)));
        let signature = self.signer.sign(jws.as_bytes())?;
        jws.push('.');
        BASE64_URL.encode_string(signature, &mut jws);
        Some(Token { jws, key: self.signer.public().map(|key| BASE64.encode(key)), expires })
    }
}

impl Token {
    /// Whether a push that leaves now may carry it.
    pub fn is_valid(&self, now: Seconds) -> bool {
        (now..=now + LIFETIME).contains(&(self.expires - RENEWAL))
    }
}

/// Returns the bytes that a client's claims take in a token.
pub fn claims_size<'c>(claims: impl IntoIterator<Item = (&'c str, &'c str)>) -> usize {
    part(Value::Object(object(claims))).len()
}

fn object<'c>(claims: impl IntoIterator<Item = (&'c str, &'c str)>) -> Map<String, Value> {
    claims.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
}

/// Encodes a part of a token.
fn part(json: Value) -> String {
    BASE64_URL.encode(json.to_string())
}
