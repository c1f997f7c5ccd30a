//! Cuts texts to a size, between grapheme clusters, which readers see as characters (UAX #29).

use unicode_segmentation::GraphemeCursor;

/// Returns as much of the beginning as fits into `size` bytes.
pub fn cut(text: &str, size: usize) -> &str {
    cut_by(text, size, char::len_utf8)
}

/// Returns as much of the beginning as fits into `size`, where `width` returns the size of a character.
pub fn cut_by(text: &str, size: usize, width: impl Fn(char) -> usize) -> &str {
    let mut used = 0;
    let over = text.char_indices().find(|(_, c)| {
        used += width(*c);
        used > size
    });
    let Some((end, _)) = over else { return text };
    let mut cursor = GraphemeCursor::new(end, text.len(), true);
    // The cursor has the whole text, so it never asks for another part.
    let start = match cursor.is_boundary(text, 0) {
        Ok(true) => end,
        _ => cursor.prev_boundary(text, 0).ok().flatten().unwrap_or(0),
    };
    // A letter may have any number of combining marks: a cluster that fills the whole room is cut.
    &text[..if start == 0 { end } else { start }]
}

#[cfg(test)]
mod tests {
    use super::{cut, cut_by};

    #[test]
    fn a_text_is_cut_between_grapheme_clusters() {
        assert_eq!(cut("romeo", 5), "romeo");
        assert_eq!(cut("romeo", 3), "rom");
        assert_eq!(cut("é", 1), "");
        assert_eq!(cut("ae\u{301}", 2), "a", "a letter and its accent");
        assert_eq!(cut("a👨‍👩‍👧", 10), "a", "a family");
        assert_eq!(cut("a🇩🇪🇫🇷", 13), "a🇩🇪", "flags");
        assert_eq!(cut("a\r\n", 2), "a");
        assert_eq!(cut("", 0), "");
        let heap = format!("a{}", "\u{301}".repeat(100));
        assert_eq!(cut(&heap, 11).len(), 11, "but no heap of marks keeps a whole text away");
        assert_eq!(cut_by("&&&", 10, |_| 5), "&&");
    }
}
