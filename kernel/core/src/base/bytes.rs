//! [`Bytes`]: an owned run of bytes of fixed length, such as a name; [`Short`]: one that lies where it is kept.

#![allow(unsafe_code, reason = "copies bytes without a panic")]

use super::List;
use crate::msg::Result;
use core::ops::{Deref, DerefMut};

/// Owned bytes. Empty ones take no memory.
#[derive(Debug, Default)]
pub struct Bytes(List<u8>);

impl Bytes {
    /// A copy of `b`.
    pub fn new(b: &[u8]) -> Result<Bytes> {
        Bytes::joined(&[b])
    }

    /// The parts one after the other.
    #[inline(never)]
    pub fn joined(parts: &[&[u8]]) -> Result<Bytes> {
        let mut all = List::new();
        all.reserve(parts.iter().fold(0usize, |n, p| n.saturating_add(p.len())))?;
        for p in parts {
            all.append(p)?;
        }
        Ok(Bytes(all))
    }

    /// So many zero bytes.
    pub fn zeroed(len: usize) -> Result<Bytes> {
        List::zeroed(len).map(Bytes)
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Bytes) -> bool {
        **self == **other
    }
}

impl Eq for Bytes {}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Bytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

/// A few bytes in place; what does not fit is left out.
#[derive(Clone, Copy, Debug)]
pub struct Short<const N: usize> {
    len: usize,
    bytes: [u8; N],
}

impl<const N: usize> Short<N> {
    /// None yet.
    pub const fn new() -> Short<N> {
        Short { len: 0, bytes: [0; N] }
    }

    /// A copy of these.
    pub fn of(from: &[u8]) -> Short<N> {
        let mut s = Short::new();
        s.set(from);
        s
    }

    /// Becomes a copy of these.
    pub fn set(&mut self, from: &[u8]) {
        self.len = copy(from, &mut self.bytes);
    }

    /// Adds these.
    pub fn add(&mut self, more: &[u8]) {
        let room = self.bytes.get_mut(self.len..).unwrap_or(&mut []);
        self.len = self.len.wrapping_add(copy(more, room));
    }

    /// The bytes.
    pub fn get(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }
}

impl<const N: usize> Default for Short<N> {
    fn default() -> Self {
        Short::new()
    }
}

/// Copies as many bytes as fit: how many. The library's copy of a slice brings the words of its panic.
#[inline(never)]
pub(crate) fn copy(from: &[u8], to: &mut [u8]) -> usize {
    let n = from.len().min(to.len());
    // SAFETY: both have so many bytes, and can't overlap, since one is borrowed to be written.
    unsafe { core::ptr::copy_nonoverlapping(from.as_ptr(), to.as_mut_ptr(), n) };
    n
}

/// Types of whole words without gaps, of which every pattern of bits is a value.
///
/// # Safety
/// The type is that.
pub(crate) unsafe trait Plain {}

// SAFETY: 18 words.
unsafe impl Plain for abi::note::Frame {}

/// A value as it lies in memory.
pub(crate) fn bytes_of<T: Plain>(value: &T) -> &[u8] {
    // SAFETY: the value is so long, and has no gaps.
    unsafe { core::slice::from_raw_parts(core::ptr::from_ref(value).cast(), size_of::<T>()) }
}

/// The same, to be changed.
pub(crate) fn bytes_of_mut<T: Plain>(value: &mut T) -> &mut [u8] {
    // SAFETY: as above, and whatever is written is a value.
    unsafe { core::slice::from_raw_parts_mut(core::ptr::from_mut(value).cast(), size_of::<T>()) }
}
