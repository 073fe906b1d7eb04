//! [`Text`]: text that the kernel makes for a reader, without the machinery of formatting; and the numbers and words
//! that it reads.

use super::List;
use crate::msg::Result;
use abi::error::Error;

/// Text being made. That memory was short is found when it is asked for, so that its makers need not look.
#[derive(Debug, Default)]
pub struct Text {
    bytes: List<u8>,
    short: bool,
}

impl Text {
    /// Nothing yet.
    pub const fn new() -> Text {
        Text { bytes: List::new(), short: false }
    }

    /// Adds bytes.
    #[inline(never)]
    pub fn put(&mut self, bytes: &[u8]) -> &mut Text {
        self.short |= self.bytes.append(bytes).is_err();
        self
    }

    /// Adds a number.
    #[inline(never)]
    pub fn number(&mut self, n: u64) -> &mut Text {
        self.put(decimal(n, &mut [0; 20]))
    }

    /// Adds a number in base 16, without a prefix.
    #[inline(never)]
    pub fn hex(&mut self, n: u64) -> &mut Text {
        self.put(hexadecimal(n, &mut [0; 16]))
    }

    /// Adds bytes as rc reads them back: quoted if they hold anything but letters, digits and `-_./:@%+,`.
    #[inline(never)]
    pub fn quoted(&mut self, bytes: &[u8]) -> &mut Text {
        let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-_./:@%+,#".contains(b) || *b >= 0x80;
        if !bytes.is_empty() && bytes.first() != Some(&b'#') && bytes.iter().all(plain) {
            return self.put(bytes);
        }
        self.put(b"'");
        for &b in bytes {
            self.put(if b == b'\'' { b"''" } else { core::slice::from_ref(&b) });
        }
        self.put(b"'")
    }

    /// The text so far.
    pub fn get(&self) -> Result<&[u8]> {
        if self.short { Err(Error::NoMemory.into()) } else { Ok(&self.bytes) }
    }
}

/// A number's digits.
pub fn decimal(n: u64, digits: &mut [u8; 20]) -> &[u8] {
    in_base(n, 10, digits)
}

/// A number's digits in base 16.
pub fn hexadecimal(n: u64, digits: &mut [u8; 16]) -> &[u8] {
    in_base(n, 16, digits)
}

#[inline(never)]
fn in_base(mut n: u64, base: u64, digits: &mut [u8]) -> &[u8] {
    let mut at = digits.len();
    for d in digits.iter_mut().rev() {
        let digit = n.checked_rem(base).unwrap_or(0) as u8;
        *d = if digit < 10 { b'0'.wrapping_add(digit) } else { b'a'.wrapping_sub(10).wrapping_add(digit) };
        n = n.checked_div(base).unwrap_or(0);
        at = at.saturating_sub(1);
        if n == 0 {
            break;
        }
    }
    digits.get(at..).unwrap_or(&[])
}

/// The number that decimal digits stand for.
#[inline(never)]
pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    let add = |n: u64, b: &u8| {
        let digit = b.wrapping_sub(b'0');
        if digit > 9 { None } else { n.checked_mul(10)?.checked_add(u64::from(digit)) }
    };
    if digits.is_empty() { None } else { digits.iter().try_fold(0, add) }
}

/// As [`number`], narrowed; what is none is no control message.
pub(crate) fn parse<T: TryFrom<u64>>(digits: &[u8]) -> Result<T> {
    number(digits).and_then(|n| T::try_from(n).ok()).ok_or(Error::BadCtl.into())
}

/// The first word of a line and the rest of it.
#[inline(never)]
pub(crate) fn split(line: &[u8]) -> (&[u8], &[u8]) {
    let end = line.iter().position(|&b| b == b' ').unwrap_or(line.len());
    let (word, rest) = line.split_at_checked(end).unwrap_or((line, &[]));
    (word, rest.trim_ascii_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(make: impl FnOnce(&mut Text)) -> String {
        let mut t = Text::new();
        make(&mut t);
        String::from_utf8(t.get().unwrap().to_vec()).unwrap()
    }

    #[test]
    fn numbers_and_quotes_are_as_rc_and_people_read_them() {
        let all = text(|t| {
            for n in [0, 7, 10, u64::MAX] {
                t.number(n).put(b" ").hex(n).put(b" ");
            }
        });
        assert_eq!(all, "0 0 7 7 10 a 18446744073709551615 ffffffffffffffff ");
        for (plain, quoted) in
            [("", "''"), ("/n/x-1", "/n/x-1"), ("a b", "'a b'"), ("it's", "'it''s'"), ("#srv", "'#srv'")]
        {
            let all = text(|t| {
                t.quoted(plain.as_bytes());
            });
            assert_eq!(all, quoted);
        }
    }

    #[test]
    fn what_is_read_is_what_was_written() {
        for n in [0, 7, 10, 65_536, u64::MAX] {
            assert_eq!(number(decimal(n, &mut [0; 20])), Some(n));
        }
        for bad in ["", "-1", "+1", " 1", "1x", "18446744073709551616", "99999999999999999999"] {
            assert_eq!(number(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(parse::<u8>(b"255"), Ok(255));
        assert_eq!(parse::<u8>(b"256"), Err(Error::BadCtl.into()));
        assert_eq!(split(b"pri 3"), (&b"pri"[..], &b"3"[..]));
        assert_eq!(split(b"a  b c"), (&b"a"[..], &b"b c"[..]));
        assert_eq!(split(b"kill"), (&b"kill"[..], &b""[..]));
    }
}
