//! The kernel's own words, on the debug console: text and numbers, without the library's formatting.

use kernel_core::base::{decimal, hexadecimal};
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

fn bytes(all: &[u8]) {
    all.iter().for_each(|&b| machine::debug(b));
}

/// Writes a line.
#[inline(never)]
pub(crate) fn line(parts: &[Part<'_>]) {
    for p in parts {
        match *p {
            Part::Text(s) => bytes(s.as_bytes()),
            Part::Number(n) => bytes(decimal(n, &mut [0; 20])),
            Part::Hex(n) => {
                bytes(b"0x");
                bytes(hexadecimal(n, &mut [0; 16]));
            }
        }
    }
    machine::debug(b'\n');
}
