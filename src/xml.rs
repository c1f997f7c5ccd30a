//! XML text: for what is encrypted. Everything else crosses the boundary as tables.

use std::convert::Infallible;

use crate::element::Sink;

/// XML 1.0 §2.2.
pub fn is_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// Between namespace and name of an attribute that has one, as Prosody's parser leaves it.
const QUALIFIED: char = '\u{1}';

/// Writes elements as text. A namespace is named where it is not the parent's.
#[derive(Default)]
pub struct Text {
    text: String,
    /// The elements that are open: name, and namespace.
    open: Vec<(String, String)>,
    /// Whether the last one has no end of its start tag yet.
    in_tag: bool,
}

impl Text {
    pub fn into_string(self) -> String {
        self.text
    }

    fn end_tag(&mut self) {
        if std::mem::take(&mut self.in_tag) {
            self.text.push('>');
        }
    }

    fn attribute(&mut self, name: &str, value: &str) {
        self.text.extend([" ", name, "='"]);
        escape(&mut self.text, value);
        self.text.push('\'');
    }
}

impl Sink for Text {
    type Error = Infallible;

    fn open(&mut self, name: &str, attrs: &[(&str, &str)]) -> Result<(), Infallible> {
        self.end_tag();
        self.text.extend(["<", name]);
        let inherited = self.open.last().map_or("", |(_, xmlns)| xmlns).to_owned();
        let mut xmlns = inherited.clone();
        let mut prefixes = 0;
        for (name, value) in attrs {
            match name.split_once(QUALIFIED) {
                _ if *name == "xmlns" => xmlns = (*value).to_owned(),
                None => self.attribute(name, value),
                Some((namespace, name)) => {
                    prefixes += 1;
                    self.attribute(&format!("xmlns:ns{prefixes}"), namespace);
                    self.attribute(&format!("ns{prefixes}:{name}"), value);
                }
            }
        }
        if xmlns != inherited {
            self.attribute("xmlns", &xmlns);
        }
        self.open.push((name.to_owned(), xmlns));
        self.in_tag = true;
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), Infallible> {
        self.end_tag();
        escape(&mut self.text, text);
        Ok(())
    }

    fn close(&mut self) -> Result<(), Infallible> {
        if let Some((name, _)) = self.open.pop() {
            if std::mem::take(&mut self.in_tag) {
                self.text.push_str("/>");
            } else {
                self.text.extend(["</", &name, ">"]);
            }
        }
        Ok(())
    }
}

/// What cannot stand in XML is left out.
fn escape(into: &mut String, text: &str) {
    for c in text.chars() {
        match entity(c) {
            Some(entity) => into.push_str(entity),
            None if is_char(c) => into.push(c),
            None => {}
        }
    }
}

fn entity(c: char) -> Option<&'static str> {
    Some(match c {
        '&' => "&amp;",
        '<' => "&lt;",
        '>' => "&gt;",
        '\'' => "&apos;",
        '"' => "&quot;",
        // A parser makes a line feed of it otherwise (XML 1.0 §2.11).
        '\r' => "&#13;",
        _ => return None,
    })
}

/// Bytes that a text takes.
pub fn text_width(text: &str) -> usize {
    text.chars().map(width).sum()
}

/// Bytes that a character takes.
pub fn width(c: char) -> usize {
    entity(c).map_or(if is_char(c) { c.len_utf8() } else { 0 }, str::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_named_where_they_change_and_text_is_escaped() {
        let mut text = Text::default();
        let Ok(()) = text.open("message", &[("xmlns", "jabber:client"), ("xml:lang", "en"), ("to", "a'b")]);
        let Ok(()) = text.open("body", &[]);
        let Ok(()) = text.text("1 < 2 &\r\u{0}\u{ffff}é");
        let Ok(()) = text.close();
        let Ok(()) = text.open("x", &[("xmlns", "urn:x"), ("urn:y\u{1}a", "1")]);
        let Ok(()) = text.open("y", &[("xmlns", "urn:x")]);
        for _ in 0..3 {
            let Ok(()) = text.close();
        }
        assert_eq!(
            text.into_string(),
            "<message xml:lang='en' to='a&apos;b' xmlns='jabber:client'><body>1 &lt; 2 &amp;&#13;é</body>\
             <x xmlns:ns1='urn:y' ns1:a='1' xmlns='urn:x'><y/></x></message>"
        );
    }

    #[test]
    fn the_width_of_a_character_is_what_it_takes() {
        for c in ['a', 'é', '€', '𝄞', '&', '<', '\'', '\r', '\n', '\u{0}', '\u{ffff}'] {
            let mut escaped = String::new();
            escape(&mut escaped, &c.to_string());
            assert_eq!(width(c), escaped.len(), "{c:?}");
        }
    }
}
