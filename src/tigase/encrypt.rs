//! Pushes that only the device can read: `tigase:push:encrypt:0`.
//!
//! A JSON object takes the place of the summary, encrypted with the key that the client gave when it enabled push.

use ::base64::Engine as _;
use ::base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;

use crate::address::bare;
use crate::base64::decode;
use crate::crypto::{self, GCM_TAG};
use crate::element::Sink;
use crate::ns;
use crate::reason::Reason;
use crate::rules::facts::{
    E2E, ERROR, GROUPCHAT, Message, OMEMO_IV, OMEMO_KEY, OMEMO_PAYLOAD, OMEMO_SENDER, SUBSCRIBE,
};
use crate::rules::importance::Importance;
use crate::text::cut;

/// The algorithm that the specification wants, in `alg` and in the store.
pub const AES_128_GCM: &str = "aes-128-gcm";
/// Bytes of a message's text that are sent: as much as a notification shows.
const LONGEST_TEXT: usize = 255;
/// The most bytes of the encrypted text: the platforms accept 4 kB in all.
const LARGEST: usize = 3 * 1024;
/// The media of a call that are sent: Siskin and Snikket iOS crash at any other.
const MEDIA: [&str; 2] = ["audio", "video"];

/// The encryption that a client asked for.
#[derive(PartialEq, Eq)]
pub enum Encryption {
    Aes128Gcm(Aes128Gcm),
    /// The record asks for an encryption that is unusable for this reason. The client gets no push that others can read.
    Unusable(Reason),
}

/// The parameters for the encryption of a device's pushes.
#[derive(PartialEq, Eq)]
pub struct Aes128Gcm {
    pub key: [u8; 16],
    /// Bytes that the encrypted text may take (`max-size`).
    pub max_size: Option<usize>,
    /// The client's OMEMO device, if it wants the ciphertext too (`tigase:push:encrypt:omemo:0`).
    pub omemo: Option<Box<str>>,
}

/// Keys are never shown.
impl std::fmt::Debug for Encryption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Encryption::Aes128Gcm(_) => AES_128_GCM,
            Encryption::Unusable(_) => "unusable",
        })
    }
}

/// Takes the key as the client sent it: base64 of 16 bytes.
pub fn key(base64: &str) -> Option<[u8; 16]> {
    decode(base64)?.try_into().ok()
}

/// The encrypted content that takes the place of the summary.
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
///
/// Siskin and Snikket iOS ring for a call only if it has `media`, even none. A call without `media` is over: they stop ringing.
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
    #[serde(skip_serializing_if = "Option::is_none")]
    media: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    omemo: Option<Omemo<'a>>,
}

/// An OMEMO message for one device (`tigase:push:encrypt:omemo:0`), all in base64 but the id.
#[derive(Debug, PartialEq, Serialize)]
pub struct Omemo<'a> {
    pub keys: Vec<&'a str>,
    /// The sender's device.
    pub sid: &'a str,
    pub iv: &'a str,
    /// The ciphertext.
    pub data: &'a str,
}

impl<'a> Omemo<'a> {
    /// Returns the part of an OMEMO message (XEP-0384 before 0.4) for the device `rid`; `None` if there is none.
    pub fn of(message: &Message<'a>, rid: &str) -> Option<Omemo<'a>> {
        let for_rid = |key: &'a str| key.strip_prefix(rid)?.strip_prefix(' ');
        let keys: Vec<_> = message.each(OMEMO_KEY).filter_map(for_rid).collect();
        let first = |kind| message.each(kind).next();
        let (sid, iv, data) = (first(OMEMO_SENDER)?, first(OMEMO_IV)?, first(OMEMO_PAYLOAD)?);
        if keys.is_empty() { None } else { Some(Omemo { keys, sid, iv, data }) }
    }
}

impl<'a> Payload<'a> {
    /// `secret` replaces the text of an end-to-end encrypted message. If the message is not important, there is nothing to show,
    /// and no text. A ping has no message.
    fn new(message: Option<&Message<'a>>, importance: Importance, secret: &'a str, rid: Option<&str>) -> Self {
        let nothing = Payload {
            unread: 1,
            sender: None,
            kind: None,
            message: None,
            nickname: None,
            sid: None,
            media: None,
            omemo: rid.zip(message).and_then(|(rid, message)| Omemo::of(message, rid)),
        };
        let Some(message) = message else { return nothing };
        let has = |bit| message.word & bit != 0;
        let text = if has(E2E) { Some(secret) } else { message.body };
        let text = text.filter(|_| importance.is_important());
        let payload =
            Payload { sender: message.from.map(bare), message: text.map(|text| cut(text, LONGEST_TEXT)), ..nothing };
        let sid = message.call.map(|call| call.id);
        if importance == Importance::Urgent {
            let media = MEDIA.into_iter().filter(|known| message.media().any(|media| media == *known)).collect();
            Payload { kind: Some("call"), sender: message.from, sid, media: Some(media), ..payload }
        } else if importance == Importance::CallEnds {
            // Siskin knows a call by the other end, also if another client of the user took it.
            let peer = message.call.and_then(|call| call.peer);
            Payload { kind: Some("call"), sender: peer, sid, ..payload }
        } else if has(SUBSCRIBE) {
            Payload { kind: Some("subscribe"), ..payload }
        } else if has(GROUPCHAT) {
            let nickname = message.from.and_then(|from| from.split_once('/')).map(|(_, nickname)| nickname);
            Payload { kind: Some("groupchat"), nickname, ..payload }
        } else if has(ERROR) {
            payload
        } else {
            Payload { kind: Some("chat"), ..payload }
        }
    }

    /// Returns JSON of at most `size` bytes. The parts that are needed least are left out first: the OMEMO ciphertext, the end of
    /// the text, the nickname or the kinds of media, the resource of the sender, and at last everything. `media` itself stays as
    /// long as `sid` does.
    fn fitting(mut self, size: usize) -> Vec<u8> {
        loop {
            let json = self.json();
            let Some(surplus @ 1..) = json.len().checked_sub(size) else { return json };
            if self.omemo.take().is_some() {
                continue;
            }
            if let Some(text) = self.message {
                // A byte of text may take six bytes in JSON, so this may take several rounds.
                let shorter = cut(text, text.len().saturating_sub(surplus.div_ceil(6)));
                self.message = Some(shorter).filter(|shorter| !shorter.is_empty());
            } else if self.nickname.take().is_some() {
                continue;
            } else if let Some(media) = self.media.as_mut().filter(|media| !media.is_empty()) {
                media.clear();
            } else if let Some(sender) = self.sender.filter(|sender| bare(sender).len() < sender.len()) {
                self.sender = Some(bare(sender));
            } else if self.sender.take().is_none()
                && self.kind.take().is_none()
                && self.sid.take().is_none()
                && self.media.take().is_none()
            {
                return json;
            }
        }
    }

    fn json(&self) -> Vec<u8> {
        // Fails only for types that JSON does not have, and there are none here.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl Aes128Gcm {
    /// Encrypts the content for `message`, of this importance; a ping has none. `secret` replaces an end-to-end encrypted text.
    /// `random` fills a slice with random bytes.
    pub fn apply(
        &self,
        message: Option<&Message>,
        importance: Importance,
        secret: &str,
        random: fn(&mut [u8]),
    ) -> Encrypted {
        let size = plain_size(self.max_size.unwrap_or(LARGEST).min(LARGEST));
        let json = Payload::new(message, importance, secret, self.omemo.as_deref()).fitting(size);
        let mut iv = [0; crypto::GCM_IV];
        random(&mut iv);
        // Not for the end of a call: iOS wants each push to PushKit to ring.
        let is_call = message.is_some() && importance == Importance::Urgent;
        Encrypted { iv: BASE64.encode(iv), text: BASE64.encode(crypto::aes_128_gcm(&self.key, iv, json)), is_call }
    }
}

/// Returns the bytes that may be encrypted so that the result in base64 takes at most `max_size`.
fn plain_size(max_size: usize) -> usize {
    (max_size / 4 * 3).saturating_sub(GCM_TAG)
}
