//! Words: how a line of a transcript comes apart, and what numbers and byte strings look like in it.
//!
//! Quoting is rc's: `'it''s'` is one word. A quoted word is always itself; an unquoted one may hold variables (`$n`),
//! be a number expression (`OREAD|OTRUNC`, `$n+7`, `d0755`), or stand for bytes (`hex:ff00`, `fill:300:x`).
//! [`crate::script`] splits lines with it, [`crate::wire`] and [`crate::pattern`] ask it for values.

use std::collections::BTreeMap;

/// The variables of a running case, as text.
pub type Vars = BTreeMap<String, String>;

/// One word of a line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Word {
    /// The text, without its quotes.
    pub text: String,
    /// Was any of it quoted?
    pub quoted: bool,
}

impl Word {
    /// Is it this unquoted word?
    pub fn is(&self, text: &str) -> bool {
        !self.quoted && self.text == text
    }
}

/// Splits a line; `#` at the start of a word begins a comment.
pub fn split(line: &str) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut chars = line.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        match chars.peek() {
            None | Some('#') => return Ok(words),
            Some(_) => {}
        }
        let mut word = Word { text: String::new(), quoted: false };
        while let Some(c) = chars.next_if(|c| !c.is_whitespace()) {
            if c != '\'' {
                word.text.push(c);
                continue;
            }
            word.quoted = true;
            loop {
                match chars.next() {
                    None => return Err("a quote is not closed".into()),
                    Some('\'') if chars.next_if_eq(&'\'').is_none() => break,
                    Some(c) => word.text.push(c),
                }
            }
        }
        words.push(word);
    }
}

/// Puts the variables in; an unknown one is an error.
pub fn expand(word: &Word, vars: &Vars) -> Result<String, String> {
    if word.quoted || !word.text.contains('$') {
        return Ok(word.text.clone());
    }
    let mut out = String::new();
    let mut rest = word.text.as_str();
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let name = &rest[..end];
        out.push_str(vars.get(name).ok_or_else(|| format!("no variable ${name}"))?);
        rest = &rest[end..];
    }
    out.push_str(rest);
    Ok(out)
}

const NAMES: &[(&str, u64)] = &[
    ("OREAD", 0),
    ("OWRITE", 1),
    ("ORDWR", 2),
    ("OEXEC", 3),
    ("OTRUNC", 0x10),
    ("OCEXEC", 0x20),
    ("ORCLOSE", 0x40),
    ("DMDIR", 0x8000_0000),
    ("DMAPPEND", 0x4000_0000),
    ("DMEXCL", 0x2000_0000),
    ("DMAUTH", 0x0800_0000),
    ("DMTMP", 0x0400_0000),
    ("NOFID", 0xffff_ffff),
    ("NOTAG", 0xffff),
    ("MAX64", u64::MAX),
    ("MAX32", 0xffff_ffff),
];

/// The value of a number expression: terms joined by `+`, `-` or `|`, from left to right.
pub fn number(text: &str) -> Result<u64, String> {
    let bad = || format!("{text:?} is not a number");
    let mut value: Option<u64> = None;
    let mut op = '+';
    let mut rest = text;
    loop {
        let end = rest.find(['+', '-', '|']).unwrap_or(rest.len());
        let term = term(&rest[..end]).ok_or_else(bad)?;
        value = match (value, op) {
            (None, _) => Some(term),
            (Some(v), '+') => v.checked_add(term),
            (Some(v), '-') => v.checked_sub(term),
            (Some(v), _) => Some(v | term),
        };
        value.ok_or_else(bad)?;
        match rest[end..].chars().next() {
            None => return value.ok_or_else(bad),
            Some(c) => op = c,
        }
        rest = &rest[end + 1..];
    }
}

/// A name, decimal, `0x` hexadecimal, or octal after a 0 and mode letters (`d` directory, `a` append-only, `l`
/// exclusive use, `t` temporary).
fn term(text: &str) -> Option<u64> {
    if let Some(&(_, value)) = NAMES.iter().find(|(name, _)| *name == text) {
        return Some(value);
    }
    if let Some(hex) = text.strip_prefix("0x") {
        return u64::from_str_radix(hex, 16).ok();
    }
    let digits = text.trim_start_matches(['d', 'a', 'l', 't']);
    let letters = &text[..text.len() - digits.len()];
    let mut bits = 0;
    for letter in letters.chars() {
        bits |= match letter {
            'd' => 0x8000_0000,
            'a' => 0x4000_0000,
            'l' => 0x2000_0000,
            _ => 0x0400_0000,
        };
    }
    let octal = !letters.is_empty() || (digits.len() > 1 && digits.starts_with('0'));
    u64::from_str_radix(digits, if octal { 8 } else { 10 }).ok().map(|n| n | bits)
}

/// The bytes that a word stands for.
pub fn bytes(word: &Word, vars: &Vars) -> Result<Vec<u8>, String> {
    let text = expand(word, vars)?;
    if word.quoted {
        return Ok(text.into_bytes());
    }
    if let Some(digits) = text.strip_prefix("hex:") {
        return hex(digits);
    }
    if let Some(rest) = text.strip_prefix("fill:") {
        let (count, what) = rest.split_once(':').ok_or("fill:COUNT:TEXT")?;
        let count =
            usize::try_from(number(count)?).ok().filter(|&n| n <= 1 << 24).ok_or("fill is too long")?;
        return Ok(what.bytes().cycle().take(if what.is_empty() { 0 } else { count }).collect());
    }
    Ok(text.into_bytes())
}

/// Pairs of hexadecimal digits.
pub fn hex(digits: &str) -> Result<Vec<u8>, String> {
    let bad = || format!("{digits:?} is not pairs of hexadecimal digits");
    if !digits.is_ascii() || !digits.len().is_multiple_of(2) {
        return Err(bad());
    }
    let pair = |at| u8::from_str_radix(&digits[at..at + 2], 16).map_err(|_| bad());
    (0..digits.len()).step_by(2).map(pair).collect()
}

/// Text as one word that [`split`] reads back.
pub fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.into()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_comes_apart_as_rc_would_take_it() {
        let words = split("Twalk 0 'a b' 'it''s' '' # rest").unwrap();
        let texts: Vec<&str> = words.iter().map(|w| w.text.as_str()).collect();
        assert_eq!(texts, ["Twalk", "0", "a b", "it's", ""]);
        assert!(words[4].quoted && !words[1].quoted);
        assert!(split("'open").is_err());
    }

    #[test]
    fn quoting_is_undone_by_splitting() {
        for text in ["", "a", "two words", "it's", "#no", "$v", "ä"] {
            assert_eq!(split(&quote(text)).unwrap()[0].text, text);
        }
    }

    #[test]
    fn numbers_are_read_in_the_manuals_manner() {
        let table = [
            ("12", 12),
            ("0644", 0o644),
            ("d0755", 0x8000_0000 | 0o755),
            ("al0600", 0x6000_0000 | 0o600),
            ("OWRITE|OTRUNC", 0x11),
            ("7+3-1", 9),
            ("0", 0),
            ("0xff", 255),
        ];
        for (text, value) in table {
            assert_eq!(number(text), Ok(value), "{text}");
        }
        for text in ["", "x", "1-2", "0x", "d", "18446744073709551616"] {
            assert!(number(text).is_err(), "{text}");
        }
    }

    #[test]
    fn variables_and_bytes() {
        let vars = Vars::from([("n".into(), "7".into())]);
        let word = |text: &str| split(text).unwrap().remove(0);
        assert_eq!(expand(&word("f$n.x"), &vars).unwrap(), "f7.x");
        assert!(expand(&word("$m"), &vars).is_err());
        assert_eq!(bytes(&word("hex:00fF"), &vars).unwrap(), [0, 255]);
        assert_eq!(bytes(&word("fill:$n:ab"), &vars).unwrap(), b"abababa");
        assert_eq!(bytes(&word("'hex:00'"), &vars).unwrap(), b"hex:00");
        assert!(hex("0").is_err() && hex("zz").is_err());
    }
}
