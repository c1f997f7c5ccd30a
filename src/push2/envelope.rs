//! The content that only the client can read: the stanza (XEP-0297) in an envelope (XEP-0420), trimmed if it is too large.
//!
//! A Web Push has room for 4,096 bytes. A stanza that is too large is trimmed in steps, which remove the least needed parts
//! first. No step removes the archive id, by which the client finds the whole stanza.

use minidom::{Element, Node};

use crate::element::{add_text, set_attr};
use crate::ns;
use crate::text::cut_by;
use crate::xml;

/// Bytes of an envelope. Encrypted and in base64 it takes 3,936, which leaves room for its carrier in the 4,096.
pub const LARGEST: usize = 2847;
/// Characters of random padding (XEP-0420 §5): it hides the length of a short message.
const LONGEST_PADDING: usize = 200;
/// Marks the place where a text was cut.
const ELLIPSIS: &str = "…";
/// Bytes of a text that are worth reading. If there is room for fewer, more of the other elements are removed.
const SHORTEST_BODY: usize = 50;
/// Bytes of an attribute in the smallest form of a stanza; longer ones are removed.
const LONGEST_ATTRIBUTE: usize = 128;

/// Returns the envelope around a stanza for `account`, of [`LARGEST`] bytes at most. `id` is the stanza's id in the account's
/// archive, `random` fills a slice with random bytes.
pub fn envelope(stanza: &Element, account: &str, id: Option<&str>, random: fn(&mut [u8])) -> String {
    let stanza = stamped(stanza, account, id);
    let steps: [fn(&Element) -> Option<Element>; 4] = [needed, shortened, essential, least];
    let fits = |stanza: &Element| size(stanza) <= LARGEST;
    let smaller = || steps.iter().filter_map(|step| step(&stanza)).find(fits);
    let fitting = if fits(&stanza) { Some(stanza.clone()) } else { smaller() };
    // Only a stanza with an archive id or a name of several thousand characters gets here.
    let fitting = fitting.unwrap_or_else(|| Element::bare("message", ns::CLIENT));
    write(&fitting, &padding(LARGEST - size(&fitting), random))
}

/// Returns the message in a carbon (XEP-0280). [`rules::walk`](crate::rules::walk) decides whether the carbon is trusted.
pub fn in_carbon(carbon: &Element) -> Option<&Element> {
    let forwarded = carbon.get_child("received", ns::CARBONS)?.get_child("forwarded", ns::FORWARD)?;
    forwarded.get_child("message", ns::CLIENT)
}

/// Returns the stanza with the true archive id, and without one that a sender has forged.
fn stamped(stanza: &Element, account: &str, id: Option<&str>) -> Element {
    let is_ours = |child: &Element| is_archive_id(child) && child.attr("by") == Some(account);
    let mut stamped = keep(stanza, |child| !is_ours(child));
    if let Some(id) = id {
        let mut stanza_id = Element::bare("stanza-id", ns::STANZA_ID);
        let is_set = set_attr(&mut stanza_id, "by", account).and(set_attr(&mut stanza_id, "id", id));
        debug_assert!(is_set.is_some(), "these are names");
        stamped.append_child(stanza_id);
    }
    stamped
}

/// Removes elements that a notification does not need.
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
    Some(keep(stanza, |child| NEEDED.contains(&&*child.ns())))
}

/// Keeps as much of the text as there is room for.
fn shortened(stanza: &Element) -> Option<Element> {
    cut(&needed(stanza)?, SHORTEST_BODY)
}

/// Keeps only the text, the archive id, a call, an invitation to a room, and the references to a corrected or answered message.
fn essential(stanza: &Element) -> Option<Element> {
    const ESSENTIAL: [&str; 6] =
        [ns::JINGLE_MESSAGE, ns::CALL_INVITES, ns::CONFERENCE, ns::MUC_USER, ns::MESSAGE_CORRECT, ns::REPLY];
    let is_essential = |child: &Element| is_body(child) || is_archive_id(child) || ESSENTIAL.contains(&&*child.ns());
    let essential = keep(stanza, is_essential);
    cut(&essential, 0).or(Some(essential))
}

/// Keeps only the text, the archive id, and the attributes for addresses, type and id that are not too long. These fit even
/// with the longest account.
fn least(stanza: &Element) -> Option<Element> {
    let mut least = Element::bare(stanza.name(), ns::CLIENT);
    for name in ["from", "to", "type", "id"] {
        if let Some(value) = stanza.attr(name).filter(|value| attribute_width(value) <= LONGEST_ATTRIBUTE) {
            set_attr(&mut least, name, value)?;
        }
    }
    let texts = stanza.children().filter(|child| is_body(child));
    // The account's id is the last one.
    let archive_id = stanza.children().filter(|child| is_archive_id(child)).last();
    for child in texts.chain(archive_id) {
        least.append_child(child.clone());
    }
    cut(&least, 0).or_else(|| Some(keep(&least, |child| !is_body(child))))
}

/// Keeps one body, without quoted lines (XEP-0393 §4.3), cut to the room that is left. Returns `None` without a body, or if
/// fewer than `shortest` bytes of a longer text fit.
fn cut(stanza: &Element, shortest: usize) -> Option<Element> {
    let text = stanza.get_child("body", ns::CLIENT)?.texts().collect::<String>();
    let own = text.split('\n').filter(|line| !line.starts_with('>')).collect::<Vec<_>>().join("\n");
    let text = if own.trim().is_empty() { text } else { own.trim_start().to_owned() };
    let with = |text: &str| {
        let mut shorter = keep(stanza, |_| false);
        let mut body = Element::bare("body", ns::CLIENT);
        add_text(&mut body, text);
        shorter.append_child(body);
        for child in stanza.children().filter(|child| !is_body(child)) {
            shorter.append_child(child.clone());
        }
        shorter
    };
    let room = LARGEST.checked_sub(size(&with(ELLIPSIS)))?;
    let beginning = cut_by(&text, room, xml::width);
    if beginning.len() == text.len() {
        return Some(with(&text));
    }
    (beginning.len() >= shortest).then(|| with(&format!("{beginning}{ELLIPSIS}")))
}

/// Returns the stanza with only those children for which `keeps` is true.
fn keep(stanza: &Element, keeps: impl Fn(&Element) -> bool) -> Element {
    let mut kept = Element::bare(stanza.name(), ns::CLIENT);
    *kept.attrs_mut() = stanza.attrs().clone();
    for child in stanza.children().filter(|child| keeps(child)) {
        kept.append_child(child.clone());
    }
    kept
}

fn is_body(child: &Element) -> bool {
    child.is("body", ns::CLIENT)
}

fn is_archive_id(child: &Element) -> bool {
    child.is("stanza-id", ns::STANZA_ID)
}

/// Returns the most bytes that the value of an attribute takes.
fn attribute_width(value: &str) -> usize {
    // &#xa; &#x9;
    value.chars().map(|c| if matches!(c, '\n' | '\t') { 5 } else { xml::width(c) }).sum()
}

/// Returns the bytes of the envelope without padding.
fn size(stanza: &Element) -> usize {
    write(stanza, "").len()
}

fn write(stanza: &Element, padding: &str) -> String {
    let forwarded = Element::builder("forwarded", ns::FORWARD).append(stanza.clone());
    let content = Element::builder("content", ns::SCE).append(forwarded);
    let padding = (!padding.is_empty()).then(|| Element::builder("rpad", ns::SCE).append(padding));
    let padding = padding.map(|padding| Node::Element(padding.build()));
    String::from(&Element::builder("envelope", ns::SCE).append(content).append_all(padding).build())
}

/// Returns a random number of random characters that fit into `room` together with their markup.
fn padding(room: usize, random: fn(&mut [u8])) -> String {
    let longest = room.saturating_sub("<rpad></rpad>".len()).min(LONGEST_PADDING);
    let mut bytes = [0; LONGEST_PADDING + 1];
    random(&mut bytes);
    let length = usize::from(bytes[LONGEST_PADDING]) * (longest + 1) / 256;
    bytes[..length].iter().map(|byte| char::from(b'a' + byte % 26)).collect()
}
