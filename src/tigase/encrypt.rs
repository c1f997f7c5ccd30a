//! Pushes that only the device can read: `tigase:push:encrypt:0`.
//!
//! A JSON object takes the place of the summary, encrypted with the key that the client gave when it enabled push.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;

use crate::address::bare;
use crate::crypto::{self, GCM_TAG};
use crate::element::Sink;
use crate::facts::{E2E, ENCRYPTED, ERROR, GROUPCHAT, Message, Omemo, PROPOSE, SUBSCRIBE};
use crate::ns;

/// The algorithm that the specification wants, in `alg` and in the store.
pub const AES_128_GCM: &str = "aes-128-gcm";
/// Bytes of a message's text that are sent: as much as a notification shows.
const LONGEST_TEXT: usize = 255;

/// What a client asked for.
#[derive(PartialEq, Eq)]
pub enum Encryption {
    Aes128Gcm(Aes128Gcm),
    /// A record says that the client wants what we cannot do: it gets nothing that others can read instead.
    Unusable,
}

/// How a device can read its pushes.
#[derive(PartialEq, Eq)]
pub struct Aes128Gcm {
    pub key: [u8; 16],
    /// Bytes that the encrypted text may take (`max-size`).
    pub max_size: Option<usize>,
    /// The client's OMEMO device, if it wants the ciphertext too (`tigase:push:encrypt:omemo:0`).
    pub omemo: Option<Box<str>>,
}

/// Keys are for nobody's eyes.
impl std::fmt::Debug for Encryption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Encryption::Aes128Gcm(_) => AES_128_GCM,
            Encryption::Unusable => "unusable",
        })
    }
}

/// Takes the key as the client sent it: base64 of 16 bytes, maybe with white space around it.
pub fn key(base64: &str) -> Option<[u8; 16]> {
    BASE64.decode(base64.trim()).ok()?.try_into().ok()
}

/// What takes the place of the summary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encrypted {
    iv: String,
    text: String,
    is_call: bool,
}

impl Encrypted {
    /// Writes `<encrypted>`.
    pub fn write<S: Sink>(&self, sink: &mut S) -> Result<(), S::Error> {
        let attrs = [("xmlns", ns::TIGASE_ENCRYPT), ("iv", &self.iv), ("type", "voip")];
        sink.open("encrypted", &attrs[..if self.is_call { 3 } else { 2 }])?;
        sink.text(&self.text)?;
        sink.close()
    }
}

/// The JSON object. Field by field: Tigase's "Encrypted Push Notifications", 4.4.
#[derive(Serialize)]
struct Payload<'a> {
    unread: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nickname: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    media: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    omemo: Option<Omemo<'a>>,
}

impl<'a> Payload<'a> {
    /// `secret` stands for the text of a message that is encrypted end to end. A ping has no message.
    fn new(message: Option<&Message<'a>>, secret: &'a str, rid: Option<&str>) -> Self {
        let nothing = Payload {
            unread: 1,
            sender: None,
            kind: None,
            message: None,
            nickname: None,
            sid: None,
            media: Vec::new(),
            omemo: rid.zip(message).and_then(|(rid, message)| message.omemo(rid)),
        };
        let Some(message) = message else { return nothing };
        let has = |bit| message.word & bit != 0;
        let text = if has(E2E | ENCRYPTED) { Some(secret) } else { message.body };
        let payload =
            Payload { sender: message.from.map(bare), message: text.map(|text| cut(text, LONGEST_TEXT)), ..nothing };
        if has(SUBSCRIBE) {
            Payload { kind: Some("subscribe"), ..payload }
        } else if has(GROUPCHAT) {
            let nickname = message.from.and_then(|from| from.split_once('/')).map(|(_, nickname)| nickname);
            Payload { kind: Some("groupchat"), nickname, ..payload }
        } else if has(PROPOSE) {
            let media = message.media().collect();
            Payload { kind: Some("call"), sender: message.from, sid: message.call, media, ..payload }
        } else if has(ERROR) {
            payload
        } else {
            Payload { kind: Some("chat"), ..payload }
        }
    }

    /// As JSON of no more than `size` bytes, if leaving the ciphertext away and cutting the text can do it.
    fn fitting(mut self, size: usize) -> Vec<u8> {
        loop {
            let json = self.json();
            if json.len() > size && self.omemo.take().is_some() {
                continue;
            }
            let (Some(text), Some(surplus @ 1..)) = (self.message, json.len().checked_sub(size)) else { return json };
            // A byte of text may take six: some rounds.
            let shorter = cut(text, text.len().saturating_sub(surplus.div_ceil(6)));
            self.message = Some(shorter).filter(|shorter| !shorter.is_empty());
        }
    }

    fn json(&self) -> Vec<u8> {
        // Fails for types that JSON has not, and there is none here.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl Aes128Gcm {
    /// Encrypts what the device is to know of `message`; a ping has none. `secret` stands for a text that is encrypted end
    /// to end, `random` fills a slice with random bytes.
    pub fn apply(&self, message: Option<&Message>, secret: &str, random: fn(&mut [u8])) -> Encrypted {
        let size = self.max_size.map_or(usize::MAX, plain_size);
        let json = Payload::new(message, secret, self.omemo.as_deref()).fitting(size);
        let mut iv = [0; crypto::GCM_IV];
        random(&mut iv);
        let is_call = message.is_some_and(|message| message.word & PROPOSE != 0);
        Encrypted { iv: BASE64.encode(iv), text: BASE64.encode(crypto::aes_128_gcm(&self.key, iv, json)), is_call }
    }
}

/// Bytes that may be encrypted if base64 of all is to take no more than `max_size`.
fn plain_size(max_size: usize) -> usize {
    (max_size / 4 * 3).saturating_sub(GCM_TAG)
}

/// As much of the beginning as fits into `size` bytes, without cutting a character.
fn cut(text: &str, size: usize) -> &str {
    &text[..text.floor_char_boundary(size)]
}
