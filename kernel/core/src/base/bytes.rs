//! [`Bytes`]: an owned run of bytes of fixed length, such as a name.

extern crate alloc;

use crate::msg::Result;
use abi::error::Error;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::{Deref, DerefMut};

/// Owned bytes. Empty ones take no memory.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Bytes(Box<[u8]>);

impl Bytes {
    /// A copy of `b`.
    pub fn new(b: &[u8]) -> Result<Bytes> {
        Bytes::joined(&[b])
    }

    /// The parts one after the other.
    #[inline(never)]
    pub fn joined(parts: &[&[u8]]) -> Result<Bytes> {
        let len = parts.iter().fold(0usize, |n, p| n.saturating_add(p.len()));
        let mut v = Vec::new();
        v.try_reserve_exact(len).map_err(|_| Error::NoMemory)?;
        for p in parts {
            v.extend_from_slice(p);
        }
        // The capacity may exceed the length where the allocator rounds; shrinking would allocate again, so only
        // an exact vector becomes a box without it. `try_reserve_exact` gives exactly what was asked.
        Ok(Bytes(v.into_boxed_slice()))
    }

    /// So many zero bytes.
    pub fn zeroed(len: usize) -> Result<Bytes> {
        let mut v = Vec::new();
        v.try_reserve_exact(len).map_err(|_| Error::NoMemory)?;
        v.resize(len, 0);
        Ok(Bytes(v.into_boxed_slice()))
    }
}

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
