//! [`Bytes`]: an owned run of bytes of fixed length, such as a name.

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
