//! Cryptography and randomness: the only file that knows the libraries for them.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, ParsedPublicKey, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
    RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};

/// Bytes of an initialisation vector, NIST SP 800-38D.
pub const GCM_IV: usize = 12;
/// Bytes of an authentication tag.
pub const GCM_TAG: usize = 16;
/// Bytes of an uncompressed point of the curve P-256, SEC 1 §2.3.3.
pub const P256_POINT: usize = 65;
/// Bytes of the longest key. An RSA key of 4,096 bits takes 2,374. To sign with a longer one would hold up the server.
const LONGEST_KEY: usize = 2400;

/// Fills `bytes` with random bytes from the operating system.
pub fn random(bytes: &mut [u8]) {
    // Fails only where the kernel has no random source, and then nothing may be sent.
    getrandom::fill(bytes).expect("the operating system gives random bytes");
}

/// Encrypts a text. Returns the ciphertext, followed by its tag. An `iv` is for one text only.
pub fn aes_128_gcm(key: &[u8; 16], iv: [u8; GCM_IV], mut text: Vec<u8>) -> Vec<u8> {
    // The type guarantees a key of 16 bytes. Texts are parts of stanzas, far shorter than the 64 GB that GCM allows.
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, key).expect("16 bytes are a key of AES-128"));
    let nonce = Nonce::assume_unique_for_key(iv);
    key.seal_in_place_append_tag(nonce, Aad::empty(), &mut text).expect("texts are shorter than 64 GB");
    text
}

/// Derives a key by both steps of HKDF (RFC 5869).
pub fn hkdf_sha256<const LENGTH: usize>(salt: &[u8], secret: &[u8], info: &[&[u8]]) -> [u8; LENGTH] {
    struct Length(usize);
    impl KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let mut key = [0; LENGTH];
    let pseudo_random = Salt::new(HKDF_SHA256, salt).extract(secret);
    let expanded = pseudo_random.expand(info, Length(LENGTH)).and_then(|key_material| key_material.fill(&mut key));
    // RFC 5869 §2.3: 255 hashes at most; our keys have at most 32 bytes.
    expanded.expect("keys are shorter than 255 hashes");
    key
}

/// A point on the curve P-256.
pub struct PublicKey(ParsedPublicKey);

impl PublicKey {
    /// Reads an uncompressed point; `None` if it is not on the curve.
    pub fn new(point: &[u8]) -> Option<PublicKey> {
        let is_uncompressed = point.len() == P256_POINT && point[0] == 4;
        let parsed = ParsedPublicKey::try_from(UnparsedPublicKey::new(&ECDH_P256, point));
        parsed.ok().filter(|_| is_uncompressed).map(PublicKey)
    }

    /// Returns the point, uncompressed.
    pub fn point(&self) -> &[u8] {
        self.0.as_ref()
    }
}

/// A key pair of the curve P-256 that is used once.
pub struct OneTimeKey {
    private: PrivateKey,
    point: [u8; P256_POINT],
}

impl OneTimeKey {
    /// Takes the private key. Returns `None` if the 32 bytes are no valid key, which happens for one of 2^32 random values.
    pub fn new(private: &[u8; 32]) -> Option<OneTimeKey> {
        let private = PrivateKey::from_private_key(&ECDH_P256, private).ok()?;
        let point = private.compute_public_key().ok()?.as_ref().try_into().ok()?;
        Some(OneTimeKey { private, point })
    }

    /// Returns the public key as an uncompressed point.
    pub fn point(&self) -> &[u8; P256_POINT] {
        &self.point
    }

    /// Returns the secret that both sides can compute.
    pub fn agree(self, theirs: &PublicKey) -> [u8; 32] {
        let agreed = agree(&self.private, theirs.0.clone(), (), |secret| secret.try_into().map_err(|_| ()));
        // PublicKey::new takes no other point, and OneTimeKey makes no other key.
        agreed.expect("both are of P-256, and the point is on the curve")
    }
}

/// Why a key cannot sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsuitable {
    Algorithm,
    Key,
}

/// A key that signs.
pub enum Signer {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    Hmac(Box<hmac::Key>),
}

impl Signer {
    /// Makes a signer for an algorithm of RFC 7518 §3.1, or for EdDSA (RFC 8037). The key is PKCS#8 in DER; for HMAC it is any
    /// `secret` that is not empty.
    pub fn new(algorithm: &str, secret: &[u8], pkcs8: Option<&[u8]>) -> Result<Signer, Unsuitable> {
        let pkcs8 = || pkcs8.filter(|der| der.len() <= LONGEST_KEY).ok_or(Unsuitable::Key);
        let ecdsa = |algorithm: &'static EcdsaSigningAlgorithm| {
            EcdsaKeyPair::from_pkcs8(algorithm, pkcs8()?).map(Signer::Ecdsa).map_err(|_| Unsuitable::Key)
        };
        let rsa = |encoding: &'static dyn RsaEncoding| {
            RsaKeyPair::from_pkcs8(pkcs8()?).map(|key| Signer::Rsa(key, encoding)).map_err(|_| Unsuitable::Key)
        };
        let hmac = |algorithm| match secret {
            [] => Err(Unsuitable::Key),
            secret => Ok(Signer::Hmac(hmac::Key::new(algorithm, secret).into())),
        };
        match algorithm {
            "ES256" => ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING),
            "ES384" => ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING),
            "ES512" => ecdsa(&ECDSA_P521_SHA512_FIXED_SIGNING),
            "EdDSA" => Ed25519KeyPair::from_pkcs8(pkcs8()?).map(Signer::Ed25519).map_err(|_| Unsuitable::Key),
            "RS256" => rsa(&RSA_PKCS1_SHA256),
            "RS384" => rsa(&RSA_PKCS1_SHA384),
            "RS512" => rsa(&RSA_PKCS1_SHA512),
            "PS256" => rsa(&RSA_PSS_SHA256),
            "PS384" => rsa(&RSA_PSS_SHA384),
            "PS512" => rsa(&RSA_PSS_SHA512),
            "HS256" => hmac(hmac::HMAC_SHA256),
            "HS384" => hmac(hmac::HMAC_SHA384),
            "HS512" => hmac(hmac::HMAC_SHA512),
            _ => Err(Unsuitable::Algorithm),
        }
    }

    /// Returns the public key: a point for elliptic curves, PKCS#1 for RSA, `None` for HMAC.
    pub fn public(&self) -> Option<&[u8]> {
        match self {
            Signer::Ecdsa(key) => Some(key.public_key().as_ref()),
            Signer::Ed25519(key) => Some(key.public_key().as_ref()),
            Signer::Rsa(key, _) => Some(key.public_key().as_ref()),
            Signer::Hmac(_) => None,
        }
    }

    /// Signs a text. Returns `None` if the library fails, for example without memory.
    pub fn sign(&self, text: &[u8]) -> Option<Vec<u8>> {
        match self {
            Signer::Ecdsa(key) => Some(key.sign(&SystemRandom::new(), text).ok()?.as_ref().to_vec()),
            Signer::Ed25519(key) => Some(key.try_sign(text).ok()?.as_ref().to_vec()),
            Signer::Rsa(key, encoding) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(*encoding, &SystemRandom::new(), text, &mut signature).ok()?;
                Some(signature)
            }
            Signer::Hmac(key) => Some(hmac::sign(key, text).as_ref().to_vec()),
        }
    }
}
