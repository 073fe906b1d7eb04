//! Stat records (stat(5)) of the kernel's own files.

use crate::base::{Short, copy};
use crate::msg::Result;
use abi::error::Error;
use abi::file::Qid;
use abi::limit;

/// A file's attributes.
#[derive(Debug)]
pub struct Entry {
    /// Its qid.
    pub qid: Qid,
    /// Permissions, and DMDIR.
    pub mode: u32,
    /// Bytes; 0 where that is not known.
    pub length: u64,
    /// Its name.
    pub name: Short<{ limit::NAME }>,
    /// Owner and group.
    pub user: Short<{ limit::USER }>,
}

/// Room for any record.
pub(crate) const LARGEST: usize = 49 + limit::NAME + 3 * limit::USER;

impl Entry {
    /// The record in section 5's layout.
    pub fn encode<'b>(&self, buf: &'b mut [u8; LARGEST]) -> Result<&'b [u8]> {
        // size, type and dev; the machine's kernel is type 'k', and its trees one device.
        let mut at = 2usize;
        let mut put = |bytes: &[u8]| {
            let end = at.saturating_add(bytes.len());
            if let Some(to) = buf.get_mut(at..end) {
                copy(bytes, to);
                at = end;
            }
        };
        put(&u16::from(b'k').to_le_bytes());
        put(&0u32.to_le_bytes());
        put(&[self.qid.kind]);
        put(&self.qid.vers.to_le_bytes());
        put(&self.qid.path.to_le_bytes());
        put(&self.mode.to_le_bytes());
        let time = now();
        put(&time.to_le_bytes());
        put(&time.to_le_bytes());
        put(&self.length.to_le_bytes());
        for s in [self.name.get(), self.user.get(), self.user.get(), self.user.get()] {
            put(&u16::try_from(s.len()).map_err(|_| Error::NameTooLong)?.to_le_bytes());
            put(s);
        }
        let size = u16::try_from(at.saturating_sub(2)).map_err(|_| Error::NameTooLong)?;
        if let Some(to) = buf.get_mut(..2) {
            copy(&size.to_le_bytes(), to);
        }
        Ok(buf.get(..at).unwrap_or(&[]))
    }
}

/// Seconds since 1970.
fn now() -> u32 {
    let ns = crate::machine::epoch().saturating_add(crate::machine::now());
    u32::try_from(ns / 1_000_000_000).unwrap_or(u32::MAX)
}
