//! The client's side in the tests: decrypts a push, and opens its envelope.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD as BASE64_URL};
use minidom::Element;
use prosody_push::crypto::hkdf_sha256;
use prosody_push::ns;
use prosody_push::push2::asked::Send;
use prosody_push::push2::keys::{Keys, Signing};

pub const AUTH: [u8; 16] = *b"sixteen bytes ok";

/// A client that can decrypt.
pub struct Reader {
    private: PrivateKey,
}

impl Reader {
    pub fn new() -> Reader {
        Reader { private: PrivateKey::generate(&ECDH_P256).expect("a key") }
    }

    pub fn point(&self) -> Vec<u8> {
        self.private.compute_public_key().expect("a public key").as_ref().to_vec()
    }

    pub fn sends(&self, signing: Option<Signing>) -> Send {
        Send::Encrypted(Keys::new(&BASE64_URL.encode(self.point()), &BASE64.encode(AUTH), signing).into())
    }

    /// Decrypts a payload as a client does (RFC 8188 and RFC 8291).
    pub fn read(&self, payload: &str) -> String {
        assert!(payload.len() <= 4096, "{} bytes on the wire", payload.len());
        let body = BASE64.decode(payload).expect("base64");
        let (salt, rest) = body.split_at(16);
        assert_eq!(rest[..5], [0, 0, 16, 0, 65], "record size 4096, a key of 65 bytes");
        let (theirs, sealed) = rest[5..].split_at(65);
        let theirs = UnparsedPublicKey::new(&ECDH_P256, theirs);
        let secret = agree(&self.private, theirs, (), |secret| Ok(secret.to_vec())).expect("a secret");
        let input: [u8; 32] = hkdf_sha256(&AUTH, &secret, &[b"WebPush: info\0", &self.point(), theirs.bytes()]);
        let key: [u8; 16] = hkdf_sha256(salt, &input, &[b"Content-Encoding: aes128gcm\0"]);
        let nonce: [u8; 12] = hkdf_sha256(salt, &input, &[b"Content-Encoding: nonce\0"]);
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).expect("a key"));
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        let text = key.open_in_place(nonce, Aad::empty(), &mut sealed).expect("the tag is right");
        assert_eq!(text.last(), Some(&2), "the last record");
        String::from_utf8(text[..text.len() - 1].to_vec()).expect("UTF-8")
    }
}

/// Returns the stanza in an envelope.
pub fn open(envelope: &str) -> Element {
    let envelope: Element = envelope.parse().unwrap_or_else(|error| panic!("{error}: {envelope}"));
    assert!(envelope.is("envelope", ns::SCE));
    let content = envelope.get_child("content", ns::SCE).expect("content");
    let forwarded = content.get_child("forwarded", ns::FORWARD).expect("forwarded");
    forwarded.children().next().expect("a stanza").clone()
}

pub fn text_of(stanza: &Element) -> Option<String> {
    stanza.get_child("body", ns::CLIENT).map(Element::text)
}

pub fn archive_ids(stanza: &Element) -> Vec<(&str, &str)> {
    let ids = stanza.children().filter(|child| child.is("stanza-id", ns::STANZA_ID));
    ids.map(|id| (id.attr("by").unwrap_or(""), id.attr("id").unwrap_or(""))).collect()
}
