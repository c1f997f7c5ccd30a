//! Is somebody named in a text?

/// Whether `word` stands in the text by itself, in upper or lower case.
pub fn has_word(text: &str, word: &str) -> bool {
    let (text, word) = (text.to_lowercase(), word.to_lowercase());
    let is_part = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    !word.is_empty()
        && text.match_indices(&word).any(|(start, _)| {
            !is_part(text[..start].chars().next_back()) && !is_part(text[start + word.len()..].chars().next())
        })
}

#[cfg(test)]
mod tests {
    use super::has_word;

    #[test]
    fn a_word_stands_by_itself() {
        for text in ["romeo", "Romeo: hi", "hi,ROMEO", "(romeo)", "@romeo!", "romeoo romeo", "é romeo é"] {
            assert!(has_word(text, "romeo"), "{text}");
        }
        for text in ["", "romeos", "aromeo", "éromeo", "rome", "romeo1"] {
            assert!(!has_word(text, "romeo"), "{text}");
        }
        assert!(has_word("ask c++ now", "c++"));
        assert!(!has_word("anything", ""));
    }
}
