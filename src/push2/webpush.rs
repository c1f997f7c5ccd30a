//! Message Encryption for Web Push: RFC 8291, in the `aes128gcm` content coding of RFC 8188.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::crypto::{OneTimeKey, P256_POINT, PublicKey, aes_128_gcm, hkdf_sha256};

/// Bytes of the only record (RFC 8291 §4).
const RECORD_SIZE: u32 = 4096;
/// Bytes of a salt (RFC 8188 §2.1).
pub const SALT: usize = 16;
/// Ends the text of the last record (RFC 8188 §2); padding would follow it.
const DELIMITER: u8 = 2;

/// Encrypts `text` with the public key and the secret of a client. The one-time key and the salt are for this text only. The
/// text must fit into one record.
pub fn encrypt(text: &[u8], client: &PublicKey, auth: &[u8; 16], one_time: OneTimeKey, salt: &[u8; SALT]) -> Vec<u8> {
    let own_point = *one_time.point();
    let secret = one_time.agree(client);
    // §3.4
    let key_info: &[&[u8]] = &[b"WebPush: info\0", client.point(), &own_point];
    let input: [u8; 32] = hkdf_sha256(auth, &secret, key_info);
    let key = hkdf_sha256(salt, &input, &[b"Content-Encoding: aes128gcm\0"]);
    let nonce = hkdf_sha256(salt, &input, &[b"Content-Encoding: nonce\0"]);
    let sealed = aes_128_gcm(&key, nonce, [text, &[DELIMITER]].concat());
    // RFC 8188 §2.1
    [&salt[..], &RECORD_SIZE.to_be_bytes(), &[P256_POINT as u8], &own_point, &sealed].concat()
}

/// Encrypts a text with a new one-time key and salt. Returns base64. `random` fills a slice with random bytes.
pub fn seal(text: &[u8], client: &PublicKey, auth: &[u8; 16], random: fn(&mut [u8])) -> String {
    let (mut private, mut salt) = ([0; 32], [0; SALT]);
    random(&mut salt);
    let one_time = loop {
        random(&mut private);
        if let Some(key) = OneTimeKey::new(&private) {
            break key;
        }
    };
    BASE64.encode(encrypt(text, client, auth, one_time, &salt))
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

    use super::*;

    fn bytes<const LENGTH: usize>(base64: &str) -> [u8; LENGTH] {
        BASE64.decode(base64).expect("base64").try_into().expect("as many bytes")
    }

    /// RFC 8291 §5 and appendix A.
    #[test]
    fn the_published_vector() {
        let client = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
        let body = encrypt(
            b"When I grow up, I want to be a watermelon",
            &PublicKey::new(&bytes::<65>(client)).expect("a point"),
            &bytes("BTBZMqHH6r4Tts7J_aSIgg"),
            OneTimeKey::new(&bytes("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw")).expect("a key"),
            &bytes("DGv6ra1nlYgDCS1FRnbzlw"),
        );
        let published = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN";
        assert_eq!(BASE64.encode(body), published);
    }

    #[test]
    fn a_point_that_is_not_on_the_curve_is_no_key() {
        let mut point =
            bytes::<65>("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4");
        assert!(PublicKey::new(&point).is_some());
        point[64] ^= 1;
        assert!(PublicKey::new(&point).is_none());
        assert!(
            PublicKey::new(&[4; 65]).is_none() && PublicKey::new(&[]).is_none() && PublicKey::new(&[0; 65]).is_none()
        );
        assert!(OneTimeKey::new(&[0; 32]).is_none() && OneTimeKey::new(&[0xff; 32]).is_none());
    }
}
