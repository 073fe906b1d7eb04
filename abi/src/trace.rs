//! What `#trace/data` gives: a [`Record`] for each message and its answer, all of one size.
//!
//! The kernel keeps them as the bytes that a program reads, little-endian; a program turns them into a line by
//! [`core::fmt::Display`]:
//!
//! | at | bytes | what |
//! | --- | --- | --- |
//! | 0, 8 | 8, 8 | when it was sent, in nanoseconds since tracing began; how long the answer took |
//! | 16 | 8 | offset |
//! | 24, 28, 32, 36 | 4 each | process, fid, newfid or afid, count or permissions |
//! | 40, 48, 52 | 8, 4, 4 | the answer's qid.path and qid.vers, its count |
//! | 56, 57, 58, 59 | 1 each | type of the request ([`LOST`]: the count says how many were lost), mode, the answer's qid.kind, 1 for an Rerror |
//! | 60, 61, 62 | 1 each | bytes of the next three |
//! | 64, 104, 144 | 40, 40, 64 | the server's name, the words of the error, the names and strings of the message |

use crate::portal::{NOFID, op};
use core::fmt;

/// Bytes of a record.
pub const SIZE: usize = 208;
/// Most bytes of a server's name and of an error.
pub const WORDS: usize = 40;
/// Most bytes of a message's strings.
pub const BODY: usize = 64;
/// The type of no message: records were lost here.
pub const LOST: u8 = 0;

/// Where each field stands.
pub mod at {
    #![allow(missing_docs)]
    pub const TIME: usize = 0;
    pub const TOOK: usize = 8;
    pub const OFFSET: usize = 16;
    pub const PID: usize = 24;
    pub const FID: usize = 28;
    pub const FID2: usize = 32;
    pub const COUNT: usize = 36;
    pub const QID_PATH: usize = 40;
    pub const QID_VERS: usize = 48;
    pub const ANSWER_COUNT: usize = 52;
    pub const OP: usize = 56;
    pub const MODE: usize = 57;
    pub const QID_KIND: usize = 58;
    pub const FAILED: usize = 59;
    pub const SERVER_LEN: usize = 60;
    pub const ERROR_LEN: usize = 61;
    pub const BODY_LEN: usize = 62;
    pub const SERVER: usize = 64;
    pub const ERROR: usize = 104;
    pub const BODY: usize = 144;
}

/// A record, as its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record<'a>(pub &'a [u8; SIZE]);

impl<'a> Record<'a> {
    fn field<const N: usize>(self, at: usize) -> [u8; N] {
        self.0.get(at..).and_then(|b| b.first_chunk()).copied().unwrap_or([0; N])
    }

    fn word(self, at: usize) -> u64 {
        u64::from_le_bytes(self.field(at))
    }

    fn half(self, at: usize) -> u32 {
        u32::from_le_bytes(self.field(at))
    }

    fn byte(self, at: usize) -> u8 {
        let [b] = self.field(at);
        b
    }

    fn bytes(self, at: usize, len: usize) -> &'a [u8] {
        let len = usize::from(self.byte(len));
        self.0.get(at..).and_then(|b| b.get(..len)).unwrap_or(&[])
    }

    /// The type of the request, or [`LOST`].
    #[must_use]
    pub fn op(self) -> u8 {
        self.byte(at::OP)
    }

    /// The server's name.
    #[must_use]
    pub fn server(self) -> &'a [u8] {
        self.bytes(at::SERVER, at::SERVER_LEN)
    }

    /// Was the answer an Rerror?
    #[must_use]
    pub fn failed(self) -> bool {
        self.byte(at::FAILED) != 0
    }

    /// How long the answer took, in nanoseconds.
    #[must_use]
    pub fn took(self) -> u64 {
        self.word(at::TOOK)
    }

    fn request(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (fid2, count) = (self.half(at::FID2), self.half(at::COUNT));
        write!(f, " fid {}", self.half(at::FID))?;
        match self.op() {
            op::TATTACH if fid2 == NOFID => write!(f, " afid none")?,
            op::TATTACH | op::TAUTH => write!(f, " afid {fid2}")?,
            op::TWALK => write!(f, " newfid {fid2}")?,
            op::TOPEN => write!(f, " mode {}", self.byte(at::MODE))?,
            op::TCREATE => write!(f, " mode {} perm {count:x}", self.byte(at::MODE))?,
            op::TREAD | op::TWRITE => write!(f, " offset {} count {count}", self.word(at::OFFSET))?,
            op::TWSTAT => return write!(f, " count {count}"),
            _ => {}
        }
        let mut body = self.bytes(at::BODY, at::BODY_LEN);
        while let Some((len, rest)) = body.split_first_chunk::<2>() {
            let Some((s, rest)) = rest.split_at_checked(usize::from(u16::from_le_bytes(*len))) else { break };
            body = rest;
            write!(f, " {}", Quoted(s))?;
        }
        Ok(())
    }

    fn answer(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.failed() {
            return write!(f, " -> Rerror {}", Quoted(self.bytes(at::ERROR, at::ERROR_LEN)));
        }
        write!(f, " -> R{}", op::name(self.op()))?;
        let count = self.half(at::ANSWER_COUNT);
        match self.op() {
            op::TREAD | op::TWRITE | op::TSTAT => write!(f, " count {count}"),
            op::TWALK => write!(f, " nwqid {count}"),
            op::TOPEN | op::TCREATE | op::TATTACH | op::TAUTH => {
                let (path, vers) = (self.word(at::QID_PATH), self.half(at::QID_VERS));
                write!(f, " qid ({path:x} {vers} {:x})", self.byte(at::QID_KIND))
            }
            _ => Ok(()),
        }
    }
}

/// A line without its end: `TIME PID SERVER Tmessage fields -> Rmessage fields LATENCYus`.
impl fmt::Display for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.op() == LOST {
            return write!(f, "{} messages lost", self.half(at::COUNT));
        }
        let us = self.word(at::TIME) / 1000;
        let (seconds, us) = (us / 1_000_000, us % 1_000_000);
        write!(f, "{seconds}.{us:06} {} {} ", self.half(at::PID), Plain(self.server()))?;
        write!(f, "T{}", op::name(self.op()))?;
        self.request(f)?;
        self.answer(f)?;
        write!(f, " {}us", self.took() / 1000)
    }
}

/// Bytes as text; what is none of it is left out.
struct Plain<'a>(&'a [u8]);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.utf8_chunks().try_for_each(|c| f.write_str(c.valid()))
    }
}

/// Bytes as rc reads them back: quoted if they hold anything but letters, digits and `-_./:@%+,#`.
struct Quoted<'a>(&'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-_./:@%+,#".contains(b) || *b >= 0x80;
        if !self.0.is_empty() && self.0.first() != Some(&b'#') && self.0.iter().all(plain) {
            return write!(f, "{}", Plain(self.0));
        }
        f.write_str("'")?;
        for (i, part) in self.0.split(|&b| b == b'\'').enumerate() {
            f.write_str(if i == 0 { "" } else { "''" })?;
            write!(f, "{}", Plain(part))?;
        }
        f.write_str("'")
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test may fail")]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    fn record(op: u8, body: &[u8]) -> [u8; SIZE] {
        let mut r = [0; SIZE];
        let mut put = |at: usize, bytes: &[u8]| r[at..at + bytes.len()].copy_from_slice(bytes);
        put(at::TIME, &1_500_000_000u64.to_le_bytes());
        put(at::TOOK, &12_345u64.to_le_bytes());
        put(at::OFFSET, &9u64.to_le_bytes());
        put(at::QID_PATH, &0xabu64.to_le_bytes());
        for (at, n) in [
            (at::PID, 7u32),
            (at::FID, 3),
            (at::FID2, 4),
            (at::COUNT, 512),
            (at::QID_VERS, 2),
            (at::ANSWER_COUNT, 5),
        ] {
            put(at, &n.to_le_bytes());
        }
        for (at, n) in [(at::OP, op), (at::MODE, 1), (at::QID_KIND, 0x80), (at::SERVER_LEN, 5)] {
            put(at, &[n]);
        }
        put(at::SERVER, b"ramfs");
        put(at::BODY_LEN, &[body.len() as u8]);
        put(at::BODY, body);
        r
    }

    #[test]
    fn messages_become_lines() {
        let line = |r: &[u8; SIZE]| Record(r).to_string();
        let walk = record(op::TWALK, b"\x03\0tmp\x03\0a b");
        assert_eq!(line(&walk), "1.500000 7 ramfs Twalk fid 3 newfid 4 tmp 'a b' -> Rwalk nwqid 5 12us");
        let read = record(op::TREAD, b"");
        assert_eq!(line(&read), "1.500000 7 ramfs Tread fid 3 offset 9 count 512 -> Rread count 5 12us");
        let mut open = record(op::TOPEN, b"");
        assert_eq!(line(&open), "1.500000 7 ramfs Topen fid 3 mode 1 -> Ropen qid (ab 2 80) 12us");
        open[at::FAILED] = 1;
        open[at::ERROR_LEN] = 13;
        open[at::ERROR..at::ERROR + 13].copy_from_slice(b"it's not open");
        open[..8].copy_from_slice(&1_000u64.to_le_bytes());
        assert_eq!(line(&open), "0.000001 7 ramfs Topen fid 3 mode 1 -> Rerror 'it''s not open' 12us");
        assert_eq!(line(&record(LOST, b"")), "512 messages lost");
    }

    #[test]
    fn the_fields_fill_the_record() {
        assert_eq!(at::SERVER + WORDS, at::ERROR);
        assert_eq!(at::ERROR + WORDS, at::BODY);
        assert_eq!(at::BODY + BODY, SIZE);
    }
}
