//! Reading and writing little-endian fields in a slice, without a way to leave it.

use crate::Error;

/// What is left to read.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads these bytes.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Reader(bytes)
    }

    /// The next `n` bytes.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], Error> {
        let (head, rest) = self.0.split_at_checked(n).ok_or(Error::Short)?;
        self.0 = rest;
        Ok(head)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(Error::Short)?;
        self.0 = rest;
        Ok(*head)
    }

    /// The next string, `len[2]` and its bytes.
    pub fn string(&mut self) -> Result<&'a str, Error> {
        let len = u16::from_le_bytes(self.array()?);
        let bytes = self.take(usize::from(len))?;
        let s = core::str::from_utf8(bytes).map_err(|_| Error::String)?;
        if bytes.contains(&0) { Err(Error::String) } else { Ok(s) }
    }

    /// What has not been read.
    pub const fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// Fails unless all has been read.
    pub const fn end(&self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Trailing) }
    }
}

/// Room that is left to write in.
#[derive(Debug)]
pub struct Writer<'b> {
    rest: &'b mut [u8],
    /// Bytes written so far.
    len: usize,
}

impl<'b> Writer<'b> {
    /// Writes into this room.
    pub const fn new(room: &'b mut [u8]) -> Self {
        Writer { rest: room, len: 0 }
    }

    /// Bytes written so far.
    pub const fn written(&self) -> usize {
        self.len
    }

    /// The next `n` bytes of the room, now written to.
    pub fn reserve(&mut self, n: usize) -> Result<&'b mut [u8], Error> {
        let room = core::mem::take(&mut self.rest);
        if n > room.len() {
            self.rest = room;
            return Err(Error::Room);
        }
        let (head, rest) = room.split_at_mut(n);
        self.rest = rest;
        self.len = self.len.saturating_add(n);
        Ok(head)
    }

    /// Writes these bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.reserve(bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }

    /// Writes `N` bytes.
    pub fn array<const N: usize>(&mut self, bytes: [u8; N]) -> Result<(), Error> {
        self.bytes(&bytes)
    }

    /// Writes a string, `len[2]` and its bytes. One pass over them: most are short, and each message has some.
    pub fn string(&mut self, s: &str) -> Result<(), Error> {
        let len = u16::try_from(s.len()).map_err(|_| Error::Count)?;
        let room = self.reserve(s.len().saturating_add(2))?;
        let Some((head, to)) = room.split_first_chunk_mut() else { return Err(Error::Room) };
        *head = len.to_le_bytes();
        for (to, b) in to.iter_mut().zip(s.bytes()) {
            if b == 0 {
                return Err(Error::String);
            }
            *to = b;
        }
        Ok(())
    }
}
