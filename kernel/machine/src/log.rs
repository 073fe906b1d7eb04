//! The kernel's own words, on the debug console: text and numbers, without the library's formatting.

use kernel_core::machine;

/// Exit code of a kernel that gave up (QEMU's status is twice the code and one).
pub(crate) const PANIC: u8 = 0x2a;
/// Exit code of self-tests that all passed.
pub(crate) const PASSED: u8 = 0x10;
/// Exit code of self-tests of which one failed.
pub(crate) const FAILED: u8 = 0x11;

/// A piece of a line.
#[derive(Clone, Copy)]
pub(crate) enum Part<'a> {
    /// As it is.
    Text(&'a str),
    /// In decimal.
    Number(u64),
    /// In hexadecimal, with 0x.
    Hex(u64),
}

impl<'a> From<&'a str> for Part<'a> {
    fn from(s: &'a str) -> Part<'a> {
        Part::Text(s)
    }
}

impl From<u64> for Part<'_> {
    fn from(n: u64) -> Self {
        Part::Number(n)
    }
}

impl From<u32> for Part<'_> {
    fn from(n: u32) -> Self {
        Part::Number(u64::from(n))
    }
}

fn number(mut n: u64, base: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b"0123456789abcdef"[(n % base) as usize];
        n /= base;
        if n == 0 {
            break;
        }
    }
    digits[at..].iter().for_each(|&d| machine::debug(d));
}

/// Writes a line.
#[inline(never)]
pub(crate) fn line(parts: &[Part<'_>]) {
    for p in parts {
        match *p {
            Part::Text(s) => s.bytes().for_each(machine::debug),
            Part::Number(n) => number(n, 10),
            Part::Hex(n) => {
                machine::debug(b'0');
                machine::debug(b'x');
                number(n, 16);
            }
        }
    }
    machine::debug(b'\n');
}
