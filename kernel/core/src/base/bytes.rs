//! [`Bytes`]: an owned run of bytes of fixed length, such as a name; [`Short`]: one that lies where it is kept.

#![allow(unsafe_code, reason = "owns raw memory, and copies bytes without a panic")]

extern crate alloc;

use crate::msg::Result;
use abi::error::Error;
use alloc::alloc::{Layout, alloc_zeroed, dealloc};
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

/// Owned bytes: their number and they themselves in one piece of memory, so that a name is passed on in a register. Empty
/// ones take no memory. A page of bytes takes two; it is better off as a [`List`](super::List).
pub struct Bytes(NonNull<usize>);

// SAFETY: the memory is the owner's alone.
unsafe impl Send for Bytes {}
// SAFETY: a shared reference only reads it.
unsafe impl Sync for Bytes {}

/// The number of those that are empty.
static EMPTY: usize = 0;

impl Bytes {
    /// A copy of `b`.
    pub fn new(b: &[u8]) -> Result<Bytes> {
        Bytes::joined(&[b])
    }

    /// The parts one after the other.
    #[inline(never)]
    pub fn joined(parts: &[&[u8]]) -> Result<Bytes> {
        let mut all = Bytes::zeroed(parts.iter().fold(0usize, |n, p| n.saturating_add(p.len())))?;
        let mut rest = &mut *all;
        for p in parts {
            let n = copy(p, rest);
            rest = rest.get_mut(n..).unwrap_or_default();
        }
        Ok(all)
    }

    /// So many zero bytes.
    #[inline(never)]
    pub fn zeroed(len: usize) -> Result<Bytes> {
        if len == 0 {
            return Ok(Bytes::default());
        }
        let layout = layout(len).ok_or(Error::NoMemory)?;
        // SAFETY: the layout has room for a word at least.
        let at = NonNull::new(unsafe { alloc_zeroed(layout) }.cast::<usize>()).ok_or(Error::NoMemory)?;
        // SAFETY: as above.
        unsafe { at.write(len) };
        Ok(Bytes(at))
    }
}

/// The memory of so many bytes and their number.
fn layout(len: usize) -> Option<Layout> {
    Layout::from_size_align(len.checked_add(size_of::<usize>())?, align_of::<usize>()).ok()
}

impl Drop for Bytes {
    #[inline(never)]
    fn drop(&mut self) {
        if let Some(layout) = layout(self.len()).filter(|_| !self.is_empty()) {
            // SAFETY: what is not empty came from `zeroed` with this layout.
            unsafe { dealloc(self.0.as_ptr().cast(), layout) };
        }
    }
}

impl Default for Bytes {
    fn default() -> Bytes {
        Bytes(NonNull::from(&EMPTY))
    }
}

impl core::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        (**self).fmt(f)
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
        // SAFETY: the number stands there, and so many bytes follow it.
        unsafe { core::slice::from_raw_parts(self.0.add(1).as_ptr().cast(), self.0.read()) }
    }
}

impl DerefMut for Bytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above; and they are borrowed mutably.
        unsafe { core::slice::from_raw_parts_mut(self.0.add(1).as_ptr().cast(), self.0.read()) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_given_and_empty_ones_are_no_memory() {
        let b = Bytes::joined(&[b"ab", b"", b"c"]).unwrap();
        assert_eq!(&*b, b"abc");
        let mut z = Bytes::zeroed(3).unwrap();
        assert_eq!(&*z, [0; 3]);
        z.copy_from_slice(b"xyz");
        assert!(z != b && &*z == b"xyz");
        assert!(Bytes::new(b"").unwrap().is_empty() && Bytes::default() == Bytes::zeroed(0).unwrap());
        assert!(Bytes::zeroed(usize::MAX).is_err() && Bytes::zeroed(usize::MAX - 8).is_err());
    }
}
