//! [`Text`]: text that the kernel makes for a reader, without the machinery of formatting.

use crate::base::List;
use crate::msg::Result;

/// Text being made.
#[derive(Debug, Default)]
pub struct Text(List<u8>);

impl Text {
    /// Nothing yet.
    pub const fn new() -> Text {
        Text(List::new())
    }

    /// Adds bytes.
    pub fn put(&mut self, bytes: &[u8]) -> Result<&mut Text> {
        self.0.reserve(bytes.len())?;
        for &b in bytes {
            self.0.push(b)?;
        }
        Ok(self)
    }

    /// Adds a number.
    pub fn number(&mut self, n: u64) -> Result<&mut Text> {
        let mut digits = [0; 20];
        self.put(decimal(n, &mut digits))
    }

    /// Adds a number in base 16, without a prefix.
    pub fn hex(&mut self, n: u64) -> Result<&mut Text> {
        let digits = 16u32.saturating_sub(n.leading_zeros() / 4).max(1);
        for i in (0..digits).rev() {
            let d = u8::try_from(n >> i.saturating_mul(4) & 15).unwrap_or(0);
            let c = if d < 10 { b'0'.wrapping_add(d) } else { b'a'.wrapping_add(d).wrapping_sub(10) };
            self.put(&[c])?;
        }
        Ok(self)
    }

    /// Adds bytes as rc reads them back: quoted if they hold anything but letters, digits and `-_./:@%+,`.
    pub fn quoted(&mut self, bytes: &[u8]) -> Result<&mut Text> {
        let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-_./:@%+,#".contains(b) || *b >= 0x80;
        if !bytes.is_empty() && bytes.first() != Some(&b'#') && bytes.iter().all(plain) {
            return self.put(bytes);
        }
        self.put(b"'")?;
        for &b in bytes {
            self.put(if b == b'\'' { b"''" } else { core::slice::from_ref(&b) })?;
        }
        self.put(b"'")
    }

    /// The text so far.
    pub fn get(&self) -> &[u8] {
        &self.0
    }
}

/// A number's digits.
pub(crate) fn decimal(mut n: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut at = digits.len();
    for d in digits.iter_mut().rev() {
        *d = b'0'.wrapping_add(u8::try_from(n % 10).unwrap_or(0));
        n /= 10;
        at = at.saturating_sub(1);
        if n == 0 {
            break;
        }
    }
    digits.get(at..).unwrap_or(&[])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(make: impl FnOnce(&mut Text)) -> String {
        let mut t = Text::new();
        make(&mut t);
        String::from_utf8(t.get().to_vec()).unwrap()
    }

    #[test]
    fn numbers_and_quotes_are_as_rc_and_people_read_them() {
        let all = text(|t| {
            for n in [0, 7, 10, u64::MAX] {
                t.number(n).unwrap().put(b" ").unwrap().hex(n).unwrap().put(b" ").unwrap();
            }
        });
        assert_eq!(all, "0 0 7 7 10 a 18446744073709551615 ffffffffffffffff ");
        for (plain, quoted) in
            [("/srv/x", "/srv/x"), ("a b", "'a b'"), ("it's", "'it''s'"), ("", "''"), ("#s", "'#s'")]
        {
            assert_eq!(text(|t| _ = t.quoted(plain.as_bytes()).unwrap()), quoted);
        }
    }
}
