//! A client's request for Tigase's extensions in `<enable xmlns='urn:xmpp:push:0'/>`.

use thiserror::Error;
use xso::FromXml;

use super::Extensions;
use super::encrypt::{AES_128_GCM, key};
use crate::address::bare;
use crate::base64::encode;
use crate::limits::MAX_REGISTRATION;
use crate::ns;

/// Why a request is refused. Displays as the text of the client's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    #[error("Pushes can be encrypted with aes-128-gcm only")]
    UnknownAlgorithm,
    #[error("The encryption key must be 16 bytes in base64")]
    InvalidKey,
    #[error("max-size must be a number of bytes")]
    InvalidMaxSize,
    #[error("The registration is too large: 16 kB at most")]
    TooLarge,
}

/// `tigase:push:encrypt:0`
#[derive(FromXml)]
#[xml(namespace = ns::TIGASE_ENCRYPT, name = "encrypt", on_unknown_attribute = Discard, on_unknown_child = Discard)]
pub struct Encrypt {
    #[xml(attribute(default))]
    alg: Option<String>,
    #[xml(attribute(default, name = "max-size"))]
    max_size: Option<String>,
    /// The key, in base64.
    #[xml(text)]
    key: String,
}

/// `tigase:push:encrypt:omemo:0`
#[derive(FromXml)]
#[xml(namespace = ns::TIGASE_OMEMO, name = "omemo", on_unknown_attribute = Discard, on_unknown_child = Discard)]
pub struct Omemo {
    #[xml(attribute(default, name = "deviceId"))]
    device: Option<String>,
}

/// `tigase:push:filter:ignore-unknown:0`
#[derive(FromXml)]
#[xml(namespace = ns::TIGASE_UNKNOWN, name = "ignore-unknown", on_unknown_attribute = Discard, on_unknown_child = Discard)]
pub struct IgnoreUnknown;

/// `tigase:push:filter:muted:0`
#[derive(FromXml)]
#[xml(namespace = ns::TIGASE_MUTED, name = "muted", on_unknown_attribute = Discard, on_unknown_child = Discard)]
pub struct Muted {
    #[xml(child(n = ..))]
    items: Vec<Item>,
}

#[derive(FromXml)]
#[xml(namespace = ns::TIGASE_MUTED, name = "item", on_unknown_attribute = Discard, on_unknown_child = Discard)]
struct Item {
    #[xml(attribute(default))]
    jid: Option<String>,
}

/// `tigase:push:filter:groupchat:0`
#[derive(FromXml)]
#[xml(namespace = ns::TIGASE_GROUPCHAT, name = "groupchat", on_unknown_attribute = Discard, on_unknown_child = Discard)]
pub struct Groupchat {
    #[xml(child(n = ..))]
    rooms: Vec<RoomElement>,
}

#[derive(FromXml)]
#[xml(namespace = ns::TIGASE_GROUPCHAT, name = "room", on_unknown_attribute = Discard, on_unknown_child = Discard)]
struct RoomElement {
    #[xml(attribute(default))]
    jid: Option<String>,
    #[xml(attribute(default))]
    allow: Option<String>,
    #[xml(attribute(default))]
    nick: Option<String>,
}

/// The children of an `<enable/>` that belong to the extensions; the last one of each kind counts.
#[derive(Default)]
pub struct Children {
    pub encrypt: Vec<Encrypt>,
    pub omemo: Vec<Omemo>,
    pub ignore_unknown: Vec<IgnoreUnknown>,
    pub muted: Vec<Muted>,
    pub groupchat: Vec<Groupchat>,
}

/// A client's request, checked and ready to be stored. A part that the client did not send, or whose extension is off, is `None`.
#[derive(Debug, Default, PartialEq)]
pub struct Request {
    pub encryption: Option<EncryptionRequest>,
    pub omemo_device: Option<String>,
    pub ignore_unknown: bool,
    /// Bare JIDs.
    pub muted: Option<Vec<String>>,
    pub rooms: Option<Vec<RoomRequest>>,
}

/// The key for [`AES_128_GCM`].
#[derive(Debug, PartialEq)]
pub struct EncryptionRequest {
    /// As Prosody's community module reads it.
    pub key_base64: String,
    /// Bytes.
    pub max_size: Option<u32>,
}

/// The rule for a room, as the client sent it.
#[derive(Debug, PartialEq)]
pub struct RoomRequest {
    /// Bare JID.
    pub jid: String,
    pub allow: Option<String>,
    pub nick: Option<String>,
}

impl Request {
    /// Checks the requests for those `extensions` that are on. `normal` returns the normal form of a JID as Prosody has it; an
    /// item or a room without a JID is left out.
    pub fn check(
        children: Children,
        extensions: Extensions,
        normal: impl Fn(&str) -> Option<String>,
    ) -> Result<Request, Refusal> {
        let mut request = Request::default();
        let bare_of = |jid: Option<String>| Some(bare(&normal(&jid?)?).to_owned());
        if extensions.encrypted {
            for Encrypt { alg, max_size, key: base64 } in children.encrypt {
                if alg.as_deref() != Some(AES_128_GCM) {
                    return Err(Refusal::UnknownAlgorithm);
                }
                let key = key(&base64).ok_or(Refusal::InvalidKey)?;
                let max_size = max_size.map(|size| size.parse()).transpose().map_err(|_| Refusal::InvalidMaxSize)?;
                request.encryption = Some(EncryptionRequest { key_base64: encode(key), max_size });
            }
            request.omemo_device = children.omemo.into_iter().next_back().and_then(|omemo| omemo.device);
        }
        if extensions.filters {
            request.ignore_unknown = !children.ignore_unknown.is_empty();
            for Muted { items } in children.muted {
                request.muted = Some(items.into_iter().filter_map(|item| bare_of(item.jid)).collect());
            }
            for Groupchat { rooms } in children.groupchat {
                let room = |RoomElement { jid, allow, nick }| Some(RoomRequest { jid: bare_of(jid)?, allow, nick });
                request.rooms = Some(rooms.into_iter().filter_map(room).collect());
            }
        }
        if request.size() > MAX_REGISTRATION { Err(Refusal::TooLarge) } else { Ok(request) }
    }

    /// Returns the bytes of the filters, which stay in memory and see every message.
    fn size(&self) -> usize {
        let of = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let rooms = self.rooms.iter().flatten().map(|room| room.jid.len() + of(&room.allow) + of(&room.nick));
        rooms.sum::<usize>() + self.muted.iter().flatten().map(String::len).sum::<usize>()
    }
}
