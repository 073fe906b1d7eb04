//! The message as the kernel's own code sees it: what a system call builds and a session's function answers.
//!
//! It is a 9P2000 message, decoded, with the payload as a reference ([`Data`]). For a user-level server the portal
//! call turns it into the words of [`abi::portal`]; a kernel tree takes it as it is.

use crate::machine::Frame;
use crate::tree::Parcel;
use abi::error::Error;
use abi::file::Qid;

/// Why a call failed: one of the list, or a server's words, which then stand in the thread's error string.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fail {
    /// One of the list.
    Known(Error),
    /// The server's words; already in the current thread's error string.
    Words,
    /// The caller was interrupted twice or killed and left the call, which may yet happen: a new or clunked fid of it
    /// is in quarantine and taken care of; the caller forgets it.
    Left,
}

impl From<Error> for Fail {
    fn from(e: Error) -> Fail {
        Fail::Known(e)
    }
}

/// What kernel functions return.
pub type Result<T> = core::result::Result<T, Fail>;

/// A range of user memory as a program alleges it. Nothing is known of it until it has been copied through
/// [`crate::machine`]; it belongs to the space of the current process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UserBuf {
    /// Where it begins.
    pub addr: u64,
    /// Its length in bytes.
    pub len: usize,
}

/// What moves beside the fixed fields. A message has at most one.
#[derive(Debug)]
pub enum Data<'a> {
    /// Nothing.
    None,
    /// Room for an Rread's or Rstat's bytes in user memory.
    ToUser(UserBuf),
    /// A Twrite's bytes in user memory.
    FromUser(UserBuf),
    /// Room for an Rread's or Rstat's bytes in the kernel.
    ToKernel(&'a mut [u8]),
    /// A Twrite's bytes in the kernel.
    FromKernel(&'a [u8]),
    /// Pages of a segment, for a Tread or a Twrite, from so many bytes into the first on.
    Frames(&'a [Frame], usize),
    /// Room for a page that the server shares, of a Tread of one; without an answer on that term nothing is moved.
    Page(&'a mut Option<Frame>),
    /// A Twrite's bytes as pages that leave the writer, for a tree that moves them: it takes the parcel or leaves it.
    Give(&'a mut Option<Parcel>),
    /// As `ToUser`, in memory whose pages a tree may replace.
    Take(UserBuf),
    /// Room for an Rwalk's qids; at least as many as names are asked.
    Qids(&'a mut [Qid]),
}

/// A request.
#[derive(Debug)]
pub struct Msg<'a> {
    /// The type: [`abi::portal::op`].
    pub op: u8,
    /// Open mode, number of names, or term: `a` of the portal's head.
    pub a: u8,
    /// The fid.
    pub fid: u32,
    /// newfid or afid; [`abi::portal::NOFID`] for none.
    pub fid2: u32,
    /// Count, permissions, or the length of a stat record.
    pub count: u32,
    /// The offset in bytes.
    pub offset: u64,
    /// The qid of the fid, by which trees of the kernel know their files; no server sees it.
    pub qid: Qid,
    /// Names, strings and stat records as they stand in a message page (see the table in [`abi::portal`]).
    pub body: &'a [u8],
    /// The payload.
    pub data: Data<'a>,
}

/// An answer that has passed every check; bytes and qids are already where the request's [`Data`] wanted them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Reply {
    /// Bytes read, written, or of a stat record; the number of qids of a walk.
    pub count: u32,
    /// The qid of an attach, auth, open or create.
    pub qid: Qid,
    /// The iounit of an open or create, 0 for the session's largest.
    pub iounit: u32,
}
