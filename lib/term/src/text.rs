//! How many columns text takes.

use unicode_width::UnicodeWidthChar;

/// The columns of a character; control characters, which are shown as `^X`, take two.
#[must_use]
pub fn width_of(c: char) -> usize {
    if c.is_control() { 2 } else { c.width().unwrap_or(0) }
}

/// The columns of a text.
#[must_use]
pub fn width(text: &str) -> usize {
    text.chars().map(width_of).sum()
}

/// How many of these characters fit into so many columns.
#[must_use]
pub fn fitting(text: &[char], columns: usize) -> usize {
    let mut used = 0;
    text.iter()
        .take_while(|c| {
            used += width_of(**c);
            used <= columns
        })
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_and_combining_characters_count() {
        assert_eq!(width("aé"), 2);
        assert_eq!(width("日本"), 4);
        assert_eq!(width("e\u{301}"), 1);
        assert_eq!(width("\u{1}"), 2);
        let text = ['a', '日', 'b'];
        assert_eq!((fitting(&text, 2), fitting(&text, 3), fitting(&text, 9)), (1, 2, 3));
    }
}
