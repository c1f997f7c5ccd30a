//! `<enable xmlns='urn:xmpp:push2:0'/>`, as a client sends it, and the parts that are stored.

use minidom::Element;
use thiserror::Error;
use xmpp_parsers::stanza_error::{DefinedCondition, ErrorType, StanzaError};
use xso::FromXml;

use crate::address::is_account;
use crate::limits::{MAX_MATCHES, MAX_PUSH2_ECHO, MAX_REGISTRATION};
use crate::ns;
use crate::push2::asked::{Chat, Profile};
use crate::push2::jwt::claims_size;
use crate::push2::keys::{InvalidKeys, Keys, Signing};
use crate::xml::text_width;

/// Why a request is refused. Displays as the text of the client's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    #[error("Bind a resource, or say who the client is (XEP-0388, user-agent)")]
    NoClient,
    #[error("The request cannot be read: see urn:xmpp:push2:0")]
    Malformed,
    #[error("Missing service")]
    MissingService,
    #[error("The service is not a valid JID (RFC 7622)")]
    NotAJid,
    #[error("The service must be the push service's JID, not your own")]
    OwnJid,
    #[error("Missing client")]
    MissingClient,
    #[error("grace must be a number of seconds")]
    InvalidGrace,
    #[error("A filter needs a jid that is a valid JID (RFC 7622)")]
    InvalidFilter,
    #[error("No match has both a match profile and a send profile that this server knows: see the account's features")]
    UnknownProfile,
    #[error(transparent)]
    Keys(#[from] InvalidKeys),
    #[error("A registration has 8 matches at most")]
    TooManyMatches,
    #[error("The registration is too large: 16 kB at most")]
    TooLarge,
    #[error("service, client and jwt-claim are too large: every push carries them, and they may take 2 kB at most")]
    TooLongEcho,
}

impl Refusal {
    /// Returns the client's error (RFC 6120 §8.3).
    pub fn stanza_error(self) -> StanzaError {
        let (kind, condition) = match self {
            Refusal::NoClient => (ErrorType::Cancel, DefinedCondition::NotAllowed),
            Refusal::UnknownProfile | Refusal::Keys(InvalidKeys::Algorithm) => {
                (ErrorType::Modify, DefinedCondition::FeatureNotImplemented)
            }
            _ => (ErrorType::Modify, DefinedCondition::BadRequest),
        };
        StanzaError::new(kind, condition, "en", self.to_string())
    }
}

#[derive(FromXml)]
#[xml(namespace = ns::PUSH2, name = "enable", on_unknown_attribute = Discard, on_unknown_child = Discard)]
struct Enable {
    #[xml(extract(default, fields(text(type_ = String))))]
    service: Option<String>,
    #[xml(extract(default, fields(text(type_ = String))))]
    client: Option<String>,
    #[xml(child(n = ..))]
    matches: Vec<MatchElement>,
}

#[derive(FromXml)]
#[xml(namespace = ns::PUSH2, name = "match", on_unknown_attribute = Discard, on_unknown_child = Discard)]
struct MatchElement {
    #[xml(attribute(default))]
    profile: Option<String>,
    /// Seconds.
    #[xml(extract(default, fields(text(type_ = String))))]
    grace: Option<String>,
    #[xml(child(n = ..))]
    filters: Vec<Filter>,
    #[xml(child(default))]
    notify_only: Option<NotifyOnly>,
    #[xml(child(default))]
    encrypted: Option<Encrypted>,
}

#[derive(FromXml)]
#[xml(namespace = ns::PUSH2, name = "filter", on_unknown_attribute = Discard, on_unknown_child = Discard)]
struct Filter {
    #[xml(attribute(default))]
    jid: Option<String>,
    #[xml(flag)]
    mention: bool,
    #[xml(flag)]
    reply: bool,
}

#[derive(FromXml)]
#[xml(namespace = ns::PUSH2_SEND_NOTIFY_ONLY, name = "send", on_unknown_attribute = Discard, on_unknown_child = Discard)]
struct NotifyOnly;

/// The send profile that encrypts the stanza, with its keys as the client sent them.
#[derive(FromXml)]
#[xml(namespace = ns::PUSH2_SEND_ENCRYPTED, name = "send", on_unknown_attribute = Discard, on_unknown_child = Discard)]
pub struct Encrypted {
    #[xml(extract(default, name = "ua-public", fields(text(type_ = String))))]
    pub ua_public: Option<String>,
    #[xml(extract(default, name = "auth-secret", fields(text(type_ = String))))]
    pub auth_secret: Option<String>,
    #[xml(extract(default, name = "jwt-alg", fields(text(type_ = String))))]
    pub jwt_alg: Option<String>,
    #[xml(extract(default, name = "jwt-key", fields(text(type_ = String))))]
    pub jwt_key: Option<String>,
    #[xml(child(n = ..))]
    pub claims: Vec<Claim>,
}

#[derive(FromXml)]
#[xml(namespace = ns::PUSH2_SEND_ENCRYPTED, name = "jwt-claim", on_unknown_attribute = Discard, on_unknown_child = Discard)]
pub struct Claim {
    #[xml(attribute(default))]
    pub name: Option<String>,
    #[xml(text)]
    pub value: String,
}

/// A client's request, checked and ready to be stored.
pub struct Request {
    /// The push service, normalised.
    pub service: String,
    pub client: String,
    pub matches: Vec<Requested>,
}

/// One match of a [`Request`].
pub struct Requested {
    /// The URI of the profile, known or not.
    pub profile: Option<String>,
    /// Seconds.
    pub grace: Option<u32>,
    pub chats: Vec<Chat>,
    /// The settings for encryption; `None` for notify-only.
    pub encrypted: Option<Encrypted>,
}

impl Request {
    /// Reads an `<enable/>` of `user` on `host`, to be stored under `identifier`. `normal` returns the normal form of a JID as
    /// Prosody has it. Matches without a known send profile are left out.
    pub fn read(
        enable: &Element,
        user: &str,
        host: &str,
        identifier: &str,
        normal: impl Fn(&str) -> Option<String>,
    ) -> Result<Request, Refusal> {
        let Enable { service: asked, client, matches: elements } =
            xso::transform(enable).map_err(|_| Refusal::Malformed)?;
        let service = service(asked.as_deref(), user, host, &normal)?;
        let client = client.filter(|client| !client.is_empty()).ok_or(Refusal::MissingClient)?;
        let mut size = Size {
            all: identifier.len() + service.len() + client.len(),
            echo: text_width(&service) + text_width(&client),
            claims: 0,
        };
        let (mut matches, has_matches) = (Vec::new(), !elements.is_empty());
        for element in elements {
            let Some(requested) = element.read(&mut size, &normal)? else { continue };
            if matches.len() >= MAX_MATCHES {
                return Err(Refusal::TooManyMatches);
            }
            // The size is checked before the keys are parsed, because parsing takes time.
            size.check()?;
            if let Some(encrypted) = &requested.encrypted {
                encrypted.keys().parse()?;
            }
            matches.push(requested);
        }
        let is_usable = |requested: &Requested| requested.profile.as_deref().is_some_and(Profile::is_known);
        if has_matches && !matches.iter().any(is_usable) {
            return Err(Refusal::UnknownProfile);
        }
        size.check()?;
        Ok(Request { service, client, matches })
    }
}

impl MatchElement {
    /// Checks a match, and adds up the sizes of the parts that a client can make large. Returns `None` if no send profile is
    /// known.
    fn read(self, size: &mut Size, normal: impl Fn(&str) -> Option<String>) -> Result<Option<Requested>, Refusal> {
        let MatchElement { profile, grace, filters, notify_only, encrypted } = self;
        let mut chats = Vec::new();
        for Filter { jid, mention, reply } in filters {
            let jid = jid.and_then(|jid| normal(&jid)).ok_or(Refusal::InvalidFilter)?;
            size.all += jid.len();
            chats.push(Chat { jid: jid.into(), mention, reply });
        }
        let grace = grace.map(|grace| grace.trim().parse().map_err(|_| Refusal::InvalidGrace)).transpose()?;
        size.all += profile.as_ref().map_or(0, String::len);
        let encrypted = match (notify_only, encrypted) {
            (Some(NotifyOnly), _) => None,
            (None, Some(encrypted)) => {
                let claims = encrypted.named_claims().map(|(name, value)| name.len() + value.len()).sum::<usize>();
                size.all += encrypted.keys().size() + claims;
                size.claims += claims_size(encrypted.named_claims());
                Some(encrypted)
            }
            (None, None) => return Ok(None),
        };
        Ok(Some(Requested { profile, grace, chats, encrypted }))
    }
}

impl Encrypted {
    /// Returns the claims that have a name.
    pub fn named_claims(&self) -> impl Iterator<Item = (&str, &str)> {
        self.claims.iter().filter_map(|claim| Some((claim.name.as_deref()?, &*claim.value)))
    }

    fn keys(&self) -> Keys {
        let signing = self.jwt_alg.as_deref().map(|algorithm| Signing {
            algorithm: algorithm.into(),
            key: self.jwt_key.as_deref().unwrap_or_default().into(),
            claims: self.named_claims().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        });
        let of = |key: &Option<String>| key.clone().unwrap_or_default();
        Keys::new(&of(&self.ua_public), &of(&self.auth_secret), signing)
    }
}

/// The bytes of the parts that a client can make large.
struct Size {
    all: usize,
    /// The parts that every push carries, escaped.
    echo: usize,
    /// The claims of the match that is being read, encoded: a push has the token of one match.
    claims: usize,
}

impl Size {
    fn check(&mut self) -> Result<(), Refusal> {
        if self.all > MAX_REGISTRATION {
            Err(Refusal::TooLarge)
        } else if self.echo + std::mem::take(&mut self.claims) > MAX_PUSH2_ECHO {
            Err(Refusal::TooLongEcho)
        } else {
            Ok(())
        }
    }
}

/// Checks `<service/>` and returns it in normal form, as its errors will have it. It must not be the user's own account,
/// because each push would be a message that causes another push.
pub fn service(
    service: Option<&str>,
    user: &str,
    host: &str,
    normal: impl Fn(&str) -> Option<String>,
) -> Result<String, Refusal> {
    let service = service.map(str::trim).filter(|service| !service.is_empty()).ok_or(Refusal::MissingService)?;
    let jid = normal(service).ok_or(Refusal::NotAJid)?;
    if is_account(&jid, user, host) { Err(Refusal::OwnJid) } else { Ok(jid) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(xml: &str) -> Result<Request, Refusal> {
        let enable = xml.parse().unwrap_or_else(|error| panic!("{error}: {xml}"));
        Request::read(&enable, "romeo", "example.org", "phone", |jid| Some(jid.to_lowercase()).filter(|jid| jid != "@"))
    }

    /// The draft's example, with the parts that it leaves open.
    const EXAMPLE: &str = "<enable xmlns='urn:xmpp:push2:0'>
        <service>Pusher@push.example.com</service>
        <client>https://push.example.com/adlfkjadafdasf</client>
        <match profile='urn:xmpp:push2:match:important'>
            <grace>144</grace>
            <filter jid='room@conference.example.com'><mention/><reply/></filter>
            <filter jid='spam.example'/>
            <send xmlns='urn:xmpp:push2:send:notify-only:0'/>
        </match>
        <later xmlns='urn:x' a='b'><anything/></later>
    </enable>";

    #[test]
    fn the_example_of_the_draft_is_read() {
        let request = read(EXAMPLE).expect("a request");
        assert_eq!(request.service, "pusher@push.example.com");
        assert_eq!(request.client, "https://push.example.com/adlfkjadafdasf");
        let [requested] = &request.matches[..] else { panic!("one match") };
        assert_eq!(requested.profile.as_deref(), Some(ns::PUSH2_MATCH_IMPORTANT));
        assert_eq!(requested.grace, Some(144));
        assert!(requested.encrypted.is_none());
        let chats: Vec<_> = requested.chats.iter().map(|chat| (&*chat.jid, chat.mention, chat.reply)).collect();
        assert_eq!(chats, [("room@conference.example.com", true, true), ("spam.example", false, false)]);
    }

    #[test]
    fn missing_or_invalid_parts_are_refused() {
        let notify_only = "<send xmlns='urn:xmpp:push2:send:notify-only:0'/>";
        let with = |inner: &str| format!("<enable xmlns='urn:xmpp:push2:0'>{inner}</enable>");
        let matching = |inner: &str| with(&format!("<service>p</service><client>c</client>{inner}"));
        let all = "profile='urn:xmpp:push2:match:all'";
        let claims = |claims: &[(&str, &str)]| {
            let claim =
                |(i, (name, value)): (usize, &(&str, &str))| format!("<jwt-claim name='{name}{i}'>{value}</jwt-claim>");
            let claims: String = claims.iter().enumerate().map(claim).collect();
            format!("<match {all}><send xmlns='{}'>{claims}</send></match>", ns::PUSH2_SEND_ENCRYPTED)
        };
        for (xml, refusal) in [
            (with(""), Refusal::MissingService),
            (with("<service>@</service>"), Refusal::NotAJid),
            (with("<service>romeo@example.org</service>"), Refusal::OwnJid),
            (with("<service>p</service>"), Refusal::MissingClient),
            (with("<service>p</service><client/>"), Refusal::MissingClient),
            (with("<service>p</service><service>q</service><client>c</client>"), Refusal::Malformed),
            (matching(&format!("<match {all}><grace>soon</grace>{notify_only}</match>")), Refusal::InvalidGrace),
            (matching(&format!("<match {all}><filter/>{notify_only}</match>")), Refusal::InvalidFilter),
            (matching(&format!("<match {all}/>")), Refusal::UnknownProfile),
            (matching(&format!("<match profile='urn:x'>{notify_only}</match>")), Refusal::UnknownProfile),
            (
                matching(&format!("<match {all}><send xmlns='{}'/></match>", ns::PUSH2_SEND_ENCRYPTED)),
                Refusal::Keys(InvalidKeys::PublicKey),
            ),
            (matching(&format!("<match {all}>{notify_only}</match>").repeat(9)), Refusal::TooManyMatches),
            (with(&format!("<service>p</service><client>{}</client>", "c".repeat(2049))), Refusal::TooLongEcho),
            (with(&format!("<service>p</service><client>{}</client>", "c".repeat(17_000))), Refusal::TooLarge),
            (with(&format!("<service>p/{}</service><client>c</client>", "'".repeat(400))), Refusal::TooLongEcho),
            (matching(&claims(&[("aud", &"\"".repeat(800))])), Refusal::TooLongEcho),
            (matching(&claims(&[("ab", ""); 200])), Refusal::TooLongEcho),
        ] {
            assert_eq!(read(&xml).err(), Some(refusal), "{xml}");
        }
        assert!(read(&matching("")).is_ok_and(|request| request.matches.is_empty()), "nothing, for now");
    }
}
