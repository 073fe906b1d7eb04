//! Strings during evaluation, and the patterns in them.
//!
//! An [`Item`] is a string of which some characters, those written without quotes, are the `*`, `?` and `[` of a
//! pattern. [`matches`] compares a string with one.

use alloc::vec::Vec;

/// A string and the places of its pattern characters, in rising order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Item {
    /// The bytes.
    pub text: Vec<u8>,
    /// Which of them mean something in a pattern.
    pub active: Vec<usize>,
}

/// Values of a word.
pub type List = Vec<Item>;

impl Item {
    /// A string without patterns.
    pub fn plain(text: Vec<u8>) -> Item {
        Item { text, active: Vec::new() }
    }

    /// An unquoted word.
    pub fn bare(text: &[u8]) -> Item {
        let active = text
            .iter()
            .enumerate()
            .filter(|(_, c)| matches!(c, b'*' | b'?' | b'['))
            .map(|(n, _)| n)
            .collect();
        Item { text: text.to_vec(), active }
    }

    /// This string followed by another.
    pub fn join(&self, other: &Item) -> Item {
        let mut out = self.clone();
        let shift = out.text.len();
        out.text.extend_from_slice(&other.text);
        out.active.extend(other.active.iter().map(|n| n + shift));
        out
    }

    /// A part of it.
    pub(crate) fn slice(&self, from: usize, to: usize) -> Item {
        let text = self.text.get(from..to).unwrap_or_default().to_vec();
        let active = self.active.iter().filter(|&&n| n >= from && n < to).map(|n| n - from).collect();
        Item { text, active }
    }
}

/// One step of a pattern.
enum Step {
    One(u32),
    Any,
    Star,
    Class { not: bool, ranges: Vec<(u32, u32)> },
}

/// Does `text` match?
pub fn matches(text: &[u8], pattern: &Item) -> bool {
    if pattern.active.is_empty() {
        return text == pattern.text;
    }
    let Some(steps) = compile(pattern) else { return false };
    // On a mismatch only the last star needs to be tried with more.
    let (mut at, mut step) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        let here = rune(text.get(at..).unwrap_or_default());
        match (steps.get(step), here) {
            (Some(Step::Star), _) => {
                star = Some((at, step));
                step += 1;
                continue;
            }
            (None, None) => return true,
            (Some(s), Some((c, len))) if fits(s, c) => {
                at += len;
                step += 1;
                continue;
            }
            _ => {}
        }
        let Some((from, at_step)) = star else { return false };
        let Some((_, len)) = rune(text.get(from..).unwrap_or_default()) else { return false };
        star = Some((from + len, at_step));
        at = from + len;
        step = at_step + 1;
    }
}

fn fits(step: &Step, c: u32) -> bool {
    match step {
        Step::One(d) => *d == c,
        Step::Any => true,
        Step::Star => false,
        Step::Class { not, ranges } => ranges.iter().any(|&(lo, hi)| lo <= c && c <= hi) != *not,
    }
}

/// The steps; none if a class has no end, which matches nothing.
fn compile(pattern: &Item) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut at = 0;
    while let Some((c, len)) = rune(pattern.text.get(at..)?) {
        let active = pattern.active.binary_search(&at).is_ok();
        at += len;
        steps.push(match (active, u8::try_from(c).unwrap_or(0)) {
            (true, b'*') => Step::Star,
            (true, b'?') => Step::Any,
            (true, b'[') => class(&pattern.text, &mut at)?,
            _ => Step::One(c),
        });
    }
    Some(steps)
}

/// A class, from behind its bracket up to the next one, except one that ends a range.
fn class(text: &[u8], at: &mut usize) -> Option<Step> {
    let mut next = || {
        let (c, len) = rune(text.get(*at..)?)?;
        *at += len;
        Some((c, text.get(*at) == Some(&b'-')))
    };
    let (mut c, mut range) = next()?;
    let not = c == u32::from(b'~');
    if not {
        (c, range) = next()?;
    }
    let mut ranges = Vec::new();
    while c != u32::from(b']') {
        let lo = c;
        if range {
            next()?;
            (c, _) = next()?;
        }
        ranges.push((lo.min(c), lo.max(c)));
        (c, range) = next()?;
    }
    Some(Step::Class { not, ranges })
}

/// The first character and its length; a byte that is not UTF-8 is a character of its own.
pub(crate) fn rune(text: &[u8]) -> Option<(u32, usize)> {
    let &first = text.first()?;
    if first < 0x80 {
        return Some((u32::from(first), 1));
    }
    for len in 2..=4 {
        if let Some(c) =
            text.get(..len).and_then(|t| core::str::from_utf8(t).ok()).and_then(|t| t.chars().next())
        {
            return Some((u32::from(c), len));
        }
    }
    Some((0x11_0000 + u32::from(first), 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(text: &str, pattern: &str) -> bool {
        matches(text.as_bytes(), &Item::bare(pattern.as_bytes()))
    }

    #[test]
    fn patterns_match_whole_strings() {
        assert!(is("", "*") && is("abc", "*") && is("abc", "a*c") && is("abc", "a?c") && is("", ""));
        assert!(!is("abc", "a?") && !is("abc", "b*") && !is("", "?") && !is("abcd", "a*c"));
        assert!(is("a/b", "a*") && is(".x", "*"));
        assert!(is("aXbXc", "*X*X*") && !is("aXb", "*X*X*"));
    }

    #[test]
    fn classes_have_ranges_and_complements() {
        assert!(is("b", "[a-c]") && is("b", "[c-a]") && !is("d", "[a-c]") && is("d", "[~a-c]"));
        assert!(is("-", "[-a]") && is("-", "[a+--]"));
        assert!(!is("[", "[") && !is("[a", "[a") && !is("", "[a]") && !is("a", "[]") && !is("a", "[a-]"));
    }

    #[test]
    fn a_character_is_not_a_byte() {
        assert!(is("é", "?") && is("é", "[à-ï]") && !is("é", "??"));
        assert!(matches(b"\xff", &Item::bare(b"?")));
    }

    #[test]
    fn quoted_pattern_characters_are_themselves() {
        let star = Item::plain(b"*".to_vec());
        assert!(matches(b"*", &star) && !matches(b"x", &star));
        let both = Item::bare(b"a*").join(&star);
        assert!(matches(b"abc*", &both) && !matches(b"abc", &both));
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        let text = "a".repeat(2000);
        assert!(!is(&text, &("*a".repeat(20) + "b")));
    }
}
