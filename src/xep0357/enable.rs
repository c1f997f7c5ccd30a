//! `<enable xmlns='urn:xmpp:push:0'/>`, as a client sends it, and the parts that are stored (XEP-0357 §5).

use minidom::Element;
use thiserror::Error;
use xmpp_parsers::stanza_error::{DefinedCondition, ErrorType, StanzaError};
use xso::FromXml;

use crate::address::is_account;
use crate::element::{Packed, wire_size};
use crate::limits::{MAX_ECHO, MAX_REGISTRATION};
use crate::ns;
use crate::tigase::{self, Extensions};
use crate::xep0357::asked::identifier;
use crate::xml::text_width;

/// Why a request is refused. Displays as the text of the client's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    #[error("The request cannot be read: see XEP-0357")]
    Malformed,
    #[error("Missing jid")]
    MissingJid,
    #[error("The jid attribute is not a valid JID (RFC 7622)")]
    NotAJid,
    #[error("The jid attribute must be the push service's JID, not your own")]
    OwnJid,
    #[error("The registration is too large: 16 kB at most")]
    TooLarge,
    #[error("JID, node and form are too large: every push carries them, and they may take 4 kB at most")]
    TooLongEcho,
    #[error(transparent)]
    Tigase(#[from] tigase::enable::Refusal),
}

impl Refusal {
    /// Returns the client's error (RFC 6120 §8.3).
    pub fn stanza_error(self) -> StanzaError {
        let condition = match self {
            Refusal::Tigase(tigase::enable::Refusal::UnknownAlgorithm) => DefinedCondition::FeatureNotImplemented,
            _ => DefinedCondition::BadRequest,
        };
        StanzaError::new(ErrorType::Modify, condition, "en", self.to_string())
    }
}

#[derive(FromXml)]
#[xml(namespace = ns::PUSH, name = "enable", on_unknown_attribute = Discard)]
struct Enable {
    #[xml(attribute(default))]
    jid: Option<String>,
    #[xml(attribute(default))]
    node: Option<String>,
    #[xml(attribute(default))]
    include_payload: Option<String>,
    #[xml(child(n = ..))]
    encrypt: Vec<tigase::enable::Encrypt>,
    #[xml(child(n = ..))]
    omemo: Vec<tigase::enable::Omemo>,
    #[xml(child(n = ..))]
    ignore_unknown: Vec<tigase::enable::IgnoreUnknown>,
    #[xml(child(n = ..))]
    muted: Vec<tigase::enable::Muted>,
    #[xml(child(n = ..))]
    groupchat: Vec<tigase::enable::Groupchat>,
    /// The form of publish-options, among unknown elements.
    #[xml(element(n = ..))]
    others: Vec<Element>,
}

/// A client's request, checked and ready to be stored.
#[derive(Debug)]
pub struct Request {
    pub identifier: String,
    /// The app server, normalised.
    pub jid: String,
    pub node: Option<String>,
    /// An attribute of older versions of the XEP, which is kept and not used.
    pub include_payload: Option<String>,
    /// The form that goes with every push.
    pub form: Option<Element>,
    pub tigase: tigase::enable::Request,
}

impl Request {
    /// Reads an `<enable/>` of `user` on `host`, where these `extensions` are on. `others` is the size in bytes of the other
    /// fields of the record. `normal` returns the normal form of a JID as Prosody has it.
    pub fn read(
        enable: &Element,
        user: &str,
        host: &str,
        extensions: Extensions,
        others: usize,
        normal: impl Fn(&str) -> Option<String>,
    ) -> Result<Request, Refusal> {
        let enable: Enable = xso::transform(enable).map_err(|_| Refusal::Malformed)?;
        let Enable { jid, node, include_payload, encrypt, omemo, ignore_unknown, muted, groupchat, .. } = enable;
        let jid = app_server(jid.as_deref(), user, host, &normal)?;
        let children = tigase::enable::Children { encrypt, omemo, ignore_unknown, muted, groupchat };
        let tigase = tigase::enable::Request::check(children, extensions, &normal)?;
        let form = enable.others.into_iter().find(|child| child.is("x", ns::DATA_FORMS));
        let in_memory = form.as_ref().map_or(0, |form| Packed::new(form).size());
        let of = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        if others + jid.len() + of(&node) + of(&include_payload) + in_memory > MAX_REGISTRATION {
            return Err(Refusal::TooLarge);
        }
        let on_wire = form.as_ref().map_or(0, |form| wire_size(form, ns::PUBSUB));
        if text_width(&jid) + node.as_deref().map_or(0, text_width) + on_wire > MAX_ECHO {
            return Err(Refusal::TooLongEcho);
        }
        let identifier = identifier(&jid, node.as_deref());
        Ok(Request { identifier, jid, node, include_payload, form, tigase })
    }
}

/// Checks the `jid` of an `<enable/>` of `user` on `host`, and returns it in the normal form that the app server's answers have.
/// `normal` returns the normal form of a JID as Prosody has it.
pub fn app_server(
    jid: Option<&str>,
    user: &str,
    host: &str,
    normal: impl Fn(&str) -> Option<String>,
) -> Result<String, Refusal> {
    let jid = normal(jid.ok_or(Refusal::MissingJid)?).ok_or(Refusal::NotAJid)?;
    if is_account(&jid, user, host) { Err(Refusal::OwnJid) } else { Ok(jid) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tigase::enable::{EncryptionRequest, RoomRequest};

    const ON: Extensions = Extensions { encrypted: true, encrypted_elsewhere: false, filters: true, priority: true };

    fn read_with(extensions: Extensions, xml: &str) -> Result<Request, Refusal> {
        let enable = xml.parse().unwrap_or_else(|error| panic!("{error}: {xml}"));
        let normal = |jid: &str| Some(jid.to_lowercase()).filter(|jid| jid != "@");
        Request::read(&enable, "romeo", "example.org", extensions, 0, normal)
    }

    fn read(xml: &str) -> Result<Request, Refusal> {
        read_with(ON, xml)
    }

    /// XEP-0357 §5, example 9.
    #[test]
    fn the_example_of_the_xep_is_read_and_its_form_is_kept_unchanged() {
        let form = "<x xmlns='jabber:x:data' type='submit'>\
            <field var='FORM_TYPE'><value>http://jabber.org/protocol/pubsub#publish-options</value></field>\
            <field var='secret'><value>eruio234vzxc2kla-91</value></field></x>";
        let request = read(&format!(
            "<enable xmlns='urn:xmpp:push:0' jid='push-5.client.example' node='yxs32uqsflafdk3iuqo'>{form}</enable>"
        ))
        .expect("a request");
        assert_eq!(request.identifier, "push-5.client.example<yxs32uqsflafdk3iuqo");
        assert_eq!((&*request.jid, request.node.as_deref()), ("push-5.client.example", Some("yxs32uqsflafdk3iuqo")));
        assert_eq!(request.form, Some(form.parse().expect("XML")));
        assert_eq!(request.tigase, tigase::enable::Request::default());
    }

    #[test]
    fn unknown_parts_are_ignored_and_invalid_ones_refused() {
        let request = read("<enable xmlns='urn:xmpp:push:0' jid='P' a='b'> <y xmlns='urn:x'>text</y> </enable>");
        assert_eq!(request.expect("a request").identifier, "p<");
        let long = "n".repeat(4097);
        for (attrs, refusal) in [
            ("", Refusal::MissingJid),
            ("jid='@'", Refusal::NotAJid),
            ("jid='Romeo@example.org/phone'", Refusal::OwnJid),
            (&*format!("jid='p' node='{long}'"), Refusal::TooLongEcho),
        ] {
            assert_eq!(read(&format!("<enable xmlns='urn:xmpp:push:0' {attrs}/>")).err(), Some(refusal), "{attrs}");
        }
        let form = |content: &str| format!("<enable xmlns='urn:xmpp:push:0' jid='p'>{content}</enable>");
        let attrs: String = (0..50).map(|i| format!(" a:b{i}=''")).collect();
        let namespaced = format!("<x xmlns='jabber:x:data' xmlns:a='urn:{}'{attrs}/>", "x".repeat(100));
        let quotes = format!("<x xmlns='jabber:x:data'>{}</x>", "'".repeat(700));
        for xml in [
            form(&namespaced),
            form(&quotes),
            format!("<enable xmlns='urn:xmpp:push:0' jid='p/{}'/>", "&quot;".repeat(700)),
        ] {
            assert_eq!(read(&xml).err(), Some(Refusal::TooLongEcho), "{xml}");
        }
        let enable = "<enable xmlns='urn:xmpp:push:0' jid='p'/>".parse().expect("XML");
        let with = |others| Request::read(&enable, "romeo", "example.org", ON, others, |jid| Some(jid.to_owned()));
        assert!(with(MAX_REGISTRATION - 1).is_ok());
        assert_eq!(with(MAX_REGISTRATION).err(), Some(Refusal::TooLarge));
    }

    /// The examples of Tigase's specifications.
    #[test]
    fn tigase_s_extensions_are_read_if_they_are_on() {
        let xml = "<enable xmlns='urn:xmpp:push:0' jid='push.tigase.im' node='device-id-1' away='true'>
            <priority xmlns='tigase:push:priority:0'/>
            <encrypt xmlns='tigase:push:encrypt:0' alg='aes-128-gcm' max-size='3000'> AAAAAAAAAAAAAAAAAAAAAA== </encrypt>
            <omemo xmlns='tigase:push:encrypt:omemo:0' deviceId='7'/>
            <ignore-unknown xmlns='tigase:push:filter:ignore-unknown:0'/>
            <muted xmlns='tigase:push:filter:muted:0'><item jid='Tybalt@example.org/x'/><item/></muted>
            <groupchat xmlns='tigase:push:filter:groupchat:0'>
                <room jid='verona@rooms.example' allow='mentioned' nick='Romeo'/><room jid='@' allow='never'/>
            </groupchat>
        </enable>";
        let room = RoomRequest {
            jid: "verona@rooms.example".into(),
            allow: Some("mentioned".into()),
            nick: Some("Romeo".into()),
        };
        let expected = tigase::enable::Request {
            encryption: Some(EncryptionRequest { key_base64: "AAAAAAAAAAAAAAAAAAAAAA==".into(), max_size: Some(3000) }),
            omemo_device: Some("7".into()),
            ignore_unknown: true,
            muted: Some(vec!["tybalt@example.org".into()]),
            rooms: Some(vec![room]),
        };
        assert_eq!(read(xml).expect("a request").tigase, expected);
        let off = read_with(Extensions::default(), xml).expect("a request");
        assert_eq!(off.tigase, tigase::enable::Request::default());
    }

    #[test]
    fn unusable_keys_are_refused() {
        use tigase::enable::Refusal::{InvalidKey, InvalidMaxSize, UnknownAlgorithm};
        const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAA==";
        for (attrs, key, refusal) in [
            ("", KEY, UnknownAlgorithm),
            ("alg='aes-256-gcm'", KEY, UnknownAlgorithm),
            ("alg='aes-128-gcm'", "AAAA", InvalidKey),
            ("alg='aes-128-gcm'", "", InvalidKey),
            ("alg='aes-128-gcm' max-size='large'", KEY, InvalidMaxSize),
        ] {
            let xml = format!(
                "<enable xmlns='urn:xmpp:push:0' jid='p'><encrypt xmlns='tigase:push:encrypt:0' {attrs}>{key}</encrypt></enable>"
            );
            assert_eq!(read(&xml).err(), Some(Refusal::Tigase(refusal)), "{attrs}");
        }
        let items = "<item jid='tybalt@example.org'/>".repeat(2000);
        let xml = format!(
            "<enable xmlns='urn:xmpp:push:0' jid='p'><muted xmlns='tigase:push:filter:muted:0'>{items}</muted></enable>"
        );
        assert_eq!(read(&xml).err(), Some(Refusal::Tigase(tigase::enable::Refusal::TooLarge)));
    }
}
