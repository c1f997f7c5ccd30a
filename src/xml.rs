//! Characters that XML allows, and the bytes that they take.

use std::borrow::Cow;

/// Whether XML can hold a character (XML 1.0 §2.2).
pub fn is_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// Returns the text without the characters that XML cannot hold.
pub fn clean(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_char) { text.into() } else { text.chars().filter(|c| is_char(*c)).collect() }
}

/// Returns the most bytes that a character takes: in text by any writer, and in an attribute that Prosody writes.
pub fn width(c: char) -> usize {
    match c {
        // &apos; &quot;
        '\'' | '"' => 6,
        // &amp; &#13;
        '&' | '\r' => 5,
        // &lt; &gt;
        '<' | '>' => 4,
        c if is_char(c) => c.len_utf8(),
        _ => 0,
    }
}

/// Returns the most bytes that a text takes, see [`width`].
pub fn text_width(text: &str) -> usize {
    text.chars().map(width).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_takes_more_than_its_width() {
        for c in ['a', 'é', '€', '𝄞', '&', '<', '>', '\'', '"', '\r', '\n', '\u{0}', '\u{ffff}'] {
            let mut element = minidom::Element::bare("a", "");
            element.append_text(clean(&c.to_string()));
            let text = String::from(&element).len() - "<a></a>".len();
            assert!(text <= width(c), "{c:?}");
        }
    }
}
