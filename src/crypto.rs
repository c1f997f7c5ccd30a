//! Cryptography: the only file that knows the library that does it.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

/// Bytes of an initialisation vector, NIST SP 800-38D.
pub const GCM_IV: usize = 12;
/// Bytes of an authentication tag.
pub const GCM_TAG: usize = 16;

/// The ciphertext with its tag behind it. An `iv` is for one text only.
pub fn aes_128_gcm(key: &[u8; 16], iv: [u8; GCM_IV], mut text: Vec<u8>) -> Vec<u8> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, key).expect("16 bytes are a key of AES-128"));
    let nonce = Nonce::assume_unique_for_key(iv);
    key.seal_in_place_append_tag(nonce, Aad::empty(), &mut text).expect("texts are shorter than 64 GB");
    text
}
