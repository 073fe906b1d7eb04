//! [`Keys`]: what was pressed, from the bytes that a terminal sends.

/// A key, or the answer to a question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Key {
    /// A character.
    Char(char),
    /// A control character by its letter, in lower case: Ctrl-A is `Control('a')`.
    Control(char),
    /// Escape, then a character.
    Alt(char),
    /// Return.
    Enter,
    /// Tab.
    Tab,
    /// The key that takes back a character.
    Backspace,
    /// The key that takes away the character at the cursor.
    Delete,
    /// Arrow.
    Left,
    /// Arrow.
    Right,
    /// Arrow.
    Up,
    /// Arrow.
    Down,
    /// Arrow with Control or Alt.
    WordLeft,
    /// Arrow with Control or Alt.
    WordRight,
    /// To the beginning of the line.
    Home,
    /// To its end.
    End,
    /// A screen back.
    PageUp,
    /// A screen on.
    PageDown,
    /// The terminal's rows and columns.
    Size(usize, usize),
    /// A sequence that means nothing here.
    Unknown,
}

/// Longest sequence that is looked at; what is longer is no key.
const LONGEST: usize = 32;

/// The state between bytes.
#[derive(Debug, Default)]
pub struct Keys {
    held: [u8; LONGEST],
    len: usize,
}

impl Keys {
    /// Takes a byte; a key, if one is complete.
    pub fn byte(&mut self, b: u8) -> Option<Key> {
        if self.len == LONGEST {
            self.len = 0;
        }
        self.held[self.len] = b;
        self.len += 1;
        let key = key(&self.held[..self.len]);
        if key.is_some() {
            self.len = 0;
            // An escape that did not begin a sequence: the second one may.
            if b == 0x1b {
                self.held[0] = b;
                self.len = 1;
            }
        }
        key
    }

    /// Is a sequence begun?
    #[must_use]
    pub fn pending(&self) -> bool {
        self.len > 0
    }
}

/// The key of these bytes; none while more may follow.
fn key(bytes: &[u8]) -> Option<Key> {
    match bytes {
        [b'\r' | b'\n'] => Some(Key::Enter),
        [b'\t'] => Some(Key::Tab),
        [8 | 0x7f] => Some(Key::Backspace),
        [0x1b] => None,
        [c @ 0..=31] => Some(Key::Control(char::from(c | 0x40).to_ascii_lowercase())),
        [0x1b, 0x1b] => Some(Key::Unknown),
        [0x1b, b'[' | b'O'] => None,
        [0x1b, b'[' | b'O', middle @ .., last] => match last {
            b'0'..=b'9' | b';' | b'?' if bytes.len() < LONGEST => None,
            _ => Some(sequence(middle, *last)),
        },
        [0x1b, 8 | 0x7f] => Some(Key::Alt('\u{7f}')),
        [0x1b, rest @ ..] => character(rest).map(|c| c.map_or(Key::Unknown, Key::Alt)),
        _ => character(bytes).map(|c| Key::Char(c.unwrap_or(char::REPLACEMENT_CHARACTER))),
    }
}

/// The character of these bytes; none while more may follow, `Some(None)` if they are none.
fn character(bytes: &[u8]) -> Option<Option<char>> {
    match core::str::from_utf8(bytes) {
        Ok(s) => Some(s.chars().next()),
        Err(e) if e.error_len().is_none() => None,
        Err(_) => Some(None),
    }
}

fn sequence(middle: &[u8], last: u8) -> Key {
    let mut numbers = middle
        .split(|b| *b == b';')
        .map(|n| core::str::from_utf8(n).ok().and_then(|n| n.parse::<usize>().ok()).unwrap_or(0));
    let (first, second) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    match (last, first) {
        (b'A', _) => Key::Up,
        (b'B', _) => Key::Down,
        // The second number says which other keys were down; Shift alone changes nothing.
        (b'C', _) if second > 2 => Key::WordRight,
        (b'D', _) if second > 2 => Key::WordLeft,
        (b'C', _) => Key::Right,
        (b'D', _) => Key::Left,
        (b'H', _) | (b'~', 1 | 7) => Key::Home,
        (b'F', _) | (b'~', 4 | 8) => Key::End,
        (b'~', 3) => Key::Delete,
        (b'~', 5) => Key::PageUp,
        (b'~', 6) => Key::PageDown,
        (b'R', rows) if rows > 0 && second > 0 => Key::Size(rows, second),
        _ => Key::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut k = Keys::default();
        bytes.iter().filter_map(|b| k.byte(*b)).collect()
    }

    #[test]
    fn sequences_are_keys() {
        assert_eq!(keys("aé日".as_bytes()), [Key::Char('a'), Key::Char('é'), Key::Char('日')]);
        assert_eq!(
            keys(b"\x01\x03\r\t\x7f"),
            [Key::Control('a'), Key::Control('c'), Key::Enter, Key::Tab, Key::Backspace]
        );
        assert_eq!(
            keys(b"\x1b[A\x1bOB\x1b[1;5C\x1b[3~\x1b[5~\x1b[H"),
            [Key::Up, Key::Down, Key::WordRight, Key::Delete, Key::PageUp, Key::Home]
        );
        assert_eq!(keys(b"\x1b[24;80Rx\x1bb"), [Key::Size(24, 80), Key::Char('x'), Key::Alt('b')]);
    }

    #[test]
    fn nonsense_is_no_key_and_ends() {
        assert_eq!(keys(b"\x1b[99zx"), [Key::Unknown, Key::Char('x')]);
        assert_eq!(keys(b"\xffx"), [Key::Char('\u{fffd}'), Key::Char('x')]);
        assert_eq!(keys(b"\x1b\x1b[A"), [Key::Unknown, Key::Up]);
        let long: Vec<u8> = [&b"\x1b["[..], &[b'1'; 100][..], b"x"].concat();
        assert_eq!(keys(&long).last(), Some(&Key::Char('x')));
        for b in 0..=255u8 {
            // Whatever comes, a return gets through in the end.
            assert!(keys(&[b, b, b'\r', b'\r', b'\r']).contains(&Key::Enter), "{b}");
        }
    }
}
