//! What only the client reads: the stanza (XEP-0297) in an envelope (XEP-0420), as small as it has to be.
//!
//! A Web Push has room for 4,096 bytes. What is too large is trimmed in steps, each of which takes away what a
//! notification needs less; the id in the archive, by which the client finds the whole, survives them all.

use crate::element::{Element, Node, Sink};
use crate::ns;
use crate::text::cut_by;
use crate::xml::{self, Text, text_width};

/// Bytes of an envelope. Encrypted and in base64 it takes 3,936, which leaves what carries it something of the 4,096.
pub const LARGEST: usize = 2847;
/// Characters of random padding (XEP-0420 §5): the size tells little of a short message.
const LONGEST_PADDING: usize = 200;
/// Stands for what was cut off.
const ELLIPSIS: &str = "…";
/// What is left of a text has to be worth reading: otherwise more of the rest goes.
const SHORTEST_BODY: usize = 50;
/// Attributes longer than that are what is too large.
const LONGEST_ATTRIBUTE: usize = 128;

/// The envelope around a stanza for `account`, of [`LARGEST`] bytes at most; of a carbon, around the message in it. `id` is
/// what the account's archive knows it by, `random` fills a slice with random bytes.
pub fn envelope(stanza: &Element, account: &str, id: Option<&str>, random: fn(&mut [u8])) -> String {
    let stanza = stamped(in_carbon(stanza, account).unwrap_or(stanza), account, id);
    let steps: [fn(&Element) -> Option<Element>; 4] = [needed, shortened, essential, least];
    let fits = |stanza: &Element| size(stanza) <= LARGEST;
    let smaller = || steps.iter().filter_map(|step| step(&stanza)).find(fits);
    let fitting = if fits(&stanza) { Some(stanza.clone()) } else { smaller() };
    // Only an archive id, or a name, of some thousand characters gets here.
    let nothing = || Element { name: "message".into(), attrs: [in_client()].into(), children: [].into() };
    let fitting = fitting.unwrap_or_else(nothing);
    write(&fitting, &padding(LARGEST - size(&fitting), random))
}

/// The message in a carbon (XEP-0280), which only the account itself may send (§11).
fn in_carbon<'e>(stanza: &'e Element, account: &str) -> Option<&'e Element> {
    let child = |element: &'e Element, name, namespace| {
        element.children.iter().find_map(move |node| match node {
            Node::Element(child) if is(child, name, namespace) => Some(child),
            _ => None,
        })
    };
    let carbon = Some(stanza).filter(|stanza| attr(stanza, "from") == Some(account))?;
    let forwarded = child(child(carbon, "received", ns::CARBONS)?, "forwarded", ns::FORWARD)?;
    child(forwarded, "message", ns::CLIENT)
}

fn in_client() -> (Box<str>, Box<str>) {
    ("xmlns".into(), ns::CLIENT.into())
}

/// The stanza with the archive id that is true, and none that a sender has made up.
fn stamped(stanza: &Element, account: &str, id: Option<&str>) -> Element {
    let is_ours = |element: &Element| is(element, "stanza-id", ns::STANZA_ID) && attr(element, "by") == Some(account);
    let mut stamped = keep(stanza, |child| !is_ours(child));
    let id = id.map(|id| {
        let attrs = [("xmlns", ns::STANZA_ID), ("by", account), ("id", id)];
        let attrs = attrs.map(|(name, value)| (name.into(), value.into()));
        Node::Element(Element { name: "stanza-id".into(), attrs: attrs.into(), children: [].into() })
    });
    stamped.children = stamped.children.into_iter().chain(id).collect();
    let other = stanza.attrs.iter().filter(|(name, _)| &**name != "xmlns").cloned();
    stamped.attrs = [in_client()].into_iter().chain(other).collect();
    stamped
}

/// Without what a notification does not need.
fn needed(stanza: &Element) -> Option<Element> {
    const NEEDED: [&str; 16] = [
        ns::CLIENT,
        ns::STANZA_ID,
        ns::OOB,
        ns::OMEMO_LEGACY,
        ns::OMEMO_0,
        ns::OMEMO_2,
        ns::PGP_LEGACY,
        ns::OPENPGP,
        ns::EME,
        ns::SCE,
        ns::JINGLE_MESSAGE,
        ns::CALL_INVITES,
        ns::CONFERENCE,
        ns::MUC_USER,
        ns::MESSAGE_CORRECT,
        ns::REPLY,
    ];
    Some(keep(stanza, |child| NEEDED.contains(&xmlns(child))))
}

/// With as much of the text as there is room for.
fn shortened(stanza: &Element) -> Option<Element> {
    cut(&needed(stanza)?, SHORTEST_BODY)
}

/// With nothing but the text, the archive id, a call, an invitation to a room, and what the message corrects or replies to.
fn essential(stanza: &Element) -> Option<Element> {
    const ESSENTIAL: [&str; 6] =
        [ns::JINGLE_MESSAGE, ns::CALL_INVITES, ns::CONFERENCE, ns::MUC_USER, ns::MESSAGE_CORRECT, ns::REPLY];
    let essential = keep(stanza, |child| {
        is(child, "body", ns::CLIENT) || is(child, "stanza-id", ns::STANZA_ID) || ESSENTIAL.contains(&xmlns(child))
    });
    cut(&essential, 0).or(Some(essential))
}

/// With the text, the archive id, and what else tells who writes, as far as none of that is too long: there is room for these
/// beside the longest account.
fn least(stanza: &Element) -> Option<Element> {
    let of_ours = |name: &str| ["xmlns", "from", "to", "type", "id"].contains(&name);
    let is_short = |name: &str, value: &str| text_width(name) + text_width(value) <= LONGEST_ATTRIBUTE;
    let attrs = stanza.attrs.iter().filter(|(name, value)| of_ours(name) && is_short(name, value)).cloned().collect();
    let text = keep(stanza, |child| is(child, "body", ns::CLIENT)).children;
    let children = text.into_iter().chain(archive_id(stanza)).collect();
    let least = Element { name: stanza.name.clone(), attrs, children };
    cut(&least, 0).or_else(|| Some(keep(&least, |child| !is(child, "body", ns::CLIENT))))
}

/// Of the account: the last one.
fn archive_id(stanza: &Element) -> Option<Node> {
    let is_id = |node: &&Node| matches!(node, Node::Element(child) if is(child, "stanza-id", ns::STANZA_ID));
    stanza.children.iter().rfind(is_id).cloned()
}

/// With one body, without the lines that it quotes (XEP-0393 §4.3), cut to what there is room for; nothing if there is no
/// body, or if there is not even room for the `shortest` that is worth it.
fn cut(stanza: &Element, shortest: usize) -> Option<Element> {
    let body = stanza.children.iter().find_map(|node| match node {
        Node::Element(child) if is(child, "body", ns::CLIENT) => Some(child),
        _ => None,
    })?;
    let text: String = body
        .children
        .iter()
        .filter_map(|node| if let Node::Text(text) = node { Some(&**text) } else { None })
        .collect();
    let own = text.split('\n').filter(|line| !line.starts_with('>')).collect::<Vec<_>>().join("\n");
    let text = if own.trim().is_empty() { text } else { own.trim_start().to_owned() };
    let with = |text: &str| {
        let body = Element { name: body.name.clone(), attrs: [].into(), children: [Node::Text(text.into())].into() };
        let others = keep(stanza, |child| !is(child, "body", ns::CLIENT));
        Element { children: [Node::Element(body)].into_iter().chain(others.children).collect(), ..others }
    };
    let room = LARGEST.checked_sub(size(&with(ELLIPSIS)))?;
    let beginning = cut_by(&text, room, xml::width);
    if beginning.len() == text.len() {
        return Some(with(&text));
    }
    (beginning.len() >= shortest).then(|| with(&format!("{beginning}{ELLIPSIS}")))
}

fn keep(stanza: &Element, keeps: impl Fn(&Element) -> bool) -> Element {
    let children = stanza.children.iter().filter(|node| matches!(node, Node::Element(child) if keeps(child)));
    Element { children: children.cloned().collect(), ..stanza.clone() }
}

fn attr<'e>(element: &'e Element, name: &str) -> Option<&'e str> {
    element.attrs.iter().find(|(known, _)| &**known == name).map(|(_, value)| &**value)
}

/// Of a child of a stanza.
fn xmlns(element: &Element) -> &str {
    attr(element, "xmlns").unwrap_or(ns::CLIENT)
}

fn is(element: &Element, name: &str, namespace: &str) -> bool {
    &*element.name == name && xmlns(element) == namespace
}

/// Bytes of the envelope without padding.
fn size(stanza: &Element) -> usize {
    write(stanza, "").len()
}

fn write(stanza: &Element, padding: &str) -> String {
    let mut text = Text::default();
    let Ok(()) = text.open("envelope", &[("xmlns", ns::SCE)]);
    let Ok(()) = text.open("content", &[("xmlns", ns::SCE)]);
    let Ok(()) = text.open("forwarded", &[("xmlns", ns::FORWARD)]);
    let Ok(()) = stanza.write(&mut text);
    let Ok(()) = text.close();
    let Ok(()) = text.close();
    if !padding.is_empty() {
        let Ok(()) = text.open("rpad", &[("xmlns", ns::SCE)]);
        let Ok(()) = text.text(padding);
        let Ok(()) = text.close();
    }
    let Ok(()) = text.close();
    text.into_string()
}

/// Random characters, as many as chance will have it, for which there is `room`, markup and all.
fn padding(room: usize, random: fn(&mut [u8])) -> String {
    let longest = room.saturating_sub("<rpad></rpad>".len()).min(LONGEST_PADDING);
    let mut bytes = [0; LONGEST_PADDING + 1];
    random(&mut bytes);
    let length = usize::from(bytes[LONGEST_PADDING]) * (longest + 1) / 256;
    bytes[..length].iter().map(|byte| char::from(b'a' + byte % 26)).collect()
}
