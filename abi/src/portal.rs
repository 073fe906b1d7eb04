//! The portal message: decoded 9P2000 in a fixed layout, six words on the way in and four on the way back.
//!
//! The kernel enters a portal with the words of a [`Request`] in `rdi rsi rdx rcx r8 r9`, that is, as the arguments
//! of an `extern "C"` function that never returns. The server ends the call with the system call `reply`, whose
//! arguments are the words of an [`Answer`]. Whatever has no fixed size stands in the activation's message page,
//! strings as in section 5 (`len[2]` and the bytes, in the order of the message's fields):
//!
//! | message | head `a` | head `count` | w1 low, high | w2 | page |
//! | --- | --- | --- | --- | --- | --- |
//! | Tversion | | msize | | | version |
//! | Tauth | | n_uname or 0 | afid | | uname aname |
//! | Tattach | | n_uname or 0 | fid, afid | | uname aname |
//! | Tflush | | | | oldtag | |
//! | Twalk | nwname | | fid, newfid | | nwname × wname |
//! | Topen | mode | | fid | | |
//! | Tcreate | mode | perm | fid | | name |
//! | Tread | [`Term`]: Share if the reader can share a page | count | fid | offset | |
//! | Twrite | [`Term`]: Give if the writer gives its pages | count | fid | offset | |
//! | Tclunk, Tremove, Tstat | | | fid | | |
//! | Twstat | | length of stat | fid | | stat, `size[2]` included |
//!
//! | answer | head `a` | head `count` | w1 | w2 low, high | page |
//! | --- | --- | --- | --- | --- | --- |
//! | Rversion | | msize | | | version |
//! | Rauth, Rattach | qid.kind | | qid.path | qid.vers | |
//! | Ropen, Rcreate | qid.kind | | qid.path | qid.vers, iounit | |
//! | Rwalk | nwqid | | | | nwqid × [`Qid`](crate::file::Qid), 16 bytes each |
//! | Rread | [`Term`] | count | address of the data, 0 if at the request's payload | | |
//! | Rstat | | length | address of the record, 0 if in the page | | stat |
//! | Rwrite | | count | | | |
//! | Rerror | 0, or 1 + the code of an [`Error`](crate::error::Error) | length of words | address of the words, 0 if in the page | | words, without a length |
//! | [`RWAIT`] | | | queue | | |
//!
//! In every request the head also holds the tag, w3 the session, w4 the address of the payload and w5 that of the
//! message page. A fid belongs to its session: to a server the pair names the file.

use crate::limit;

/// Message types of section 5; an answer is its request's number and one.
pub mod op {
    #![allow(missing_docs)]
    pub const TVERSION: u8 = 100;
    pub const TAUTH: u8 = 102;
    pub const TATTACH: u8 = 104;
    pub const RERROR: u8 = 107;
    pub const TFLUSH: u8 = 108;
    pub const TWALK: u8 = 110;
    pub const TOPEN: u8 = 112;
    pub const TCREATE: u8 = 114;
    pub const TREAD: u8 = 116;
    pub const TWRITE: u8 = 118;
    pub const TCLUNK: u8 = 120;
    pub const TREMOVE: u8 = 122;
    pub const TSTAT: u8 = 124;
    pub const TWSTAT: u8 = 126;

    /// What a request's type is called, without its T.
    #[must_use]
    pub fn name(op: u8) -> &'static str {
        match op {
            TAUTH => "auth",
            TATTACH => "attach",
            TFLUSH => "flush",
            TWALK => "walk",
            TOPEN => "open",
            TCREATE => "create",
            TREAD => "read",
            TWRITE => "write",
            TCLUNK => "clunk",
            TREMOVE => "remove",
            TSTAT => "stat",
            TWSTAT => "wstat",
            _ => "version",
        }
    }
}

/// The answer that is none: park the caller on a queue, having changed nothing, and send the same request again
/// after a `wake`; at once if the portal had a `wake` since this request was sent.
pub const RWAIT: u8 = 255;
/// No fid: the afid of an attach without authentication.
pub const NOFID: u32 = u32::MAX;

/// What a portal call brings: the words in the order of the registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Request {
    /// Bits 0–7 the type, 8–15 `a`, 16–31 the tag, 32–63 `count`.
    pub head: u64,
    /// Bits 0–31 the fid, 32–63 newfid or afid.
    pub fids: u64,
    /// The offset, in bytes.
    pub offset: u64,
    /// The session: one attach by one user; numbered by the kernel, never used twice. 0 until attached.
    pub session: u64,
    /// Address of the data of a Twrite, or of the room for that of a Tread.
    pub payload: u64,
    /// Address of the message page.
    pub page: u64,
}

impl Request {
    /// The head's word.
    pub const fn make_head(op: u8, a: u8, tag: u16, count: u32) -> u64 {
        op as u64 | (a as u64) << 8 | (tag as u64) << 16 | (count as u64) << 32
    }
    /// The message type.
    pub const fn op(&self) -> u8 {
        self.head as u8
    }
    /// Open mode, number of names or term.
    pub const fn a(&self) -> u8 {
        (self.head >> 8) as u8
    }
    /// The tag: what a Tflush names.
    pub const fn tag(&self) -> u16 {
        (self.head >> 16) as u16
    }
    /// Count, permissions or length.
    pub const fn count(&self) -> u32 {
        (self.head >> 32) as u32
    }
    /// The fid.
    pub const fn fid(&self) -> u32 {
        self.fids as u32
    }
    /// The second fid: newfid or afid.
    pub const fn fid2(&self) -> u32 {
        (self.fids >> 32) as u32
    }
}

/// What a server answers: the words in the order of reply's arguments.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Answer {
    /// Bits 0–7 the type, 8–15 `a`, 32–63 `count`.
    pub head: u64,
    /// Address, qid.path or queue.
    pub w1: u64,
    /// Bits 0–31 qid.vers, 32–63 iounit.
    pub w2: u64,
    /// Not used yet; 0.
    pub w3: u64,
}

impl Answer {
    /// The head's word.
    pub const fn make_head(op: u8, a: u8, count: u32) -> u64 {
        Request::make_head(op, a, 0, count)
    }
    /// The message type.
    pub const fn op(&self) -> u8 {
        self.head as u8
    }
    /// qid.kind, the number of qids, the term, or an error's code.
    pub const fn a(&self) -> u8 {
        (self.head >> 8) as u8
    }
    /// Count or length.
    pub const fn count(&self) -> u32 {
        (self.head >> 32) as u32
    }
}

/// On which terms the data of an Rread comes (head `a`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Term {
    /// The kernel copies it before the caller goes on.
    Copy = 0,
    /// The page at the address stays the server's and becomes the reader's too, only to be read: neither writes to it
    /// again. Only for a request that asks for it.
    Share = 1,
    /// The pages leave the server.
    Give = 2,
}

/// The bit of a message type in a mask of rights.
pub const fn right(op: u8) -> u16 {
    if op < op::TVERSION || op > op::TWSTAT { 0 } else { 1 << ((op - op::TVERSION) / 2) }
}
/// Every right.
pub const ALL_RIGHTS: u16 = (1 << 14) - 1;
/// The rights that change a file.
pub const WRITE_RIGHTS: u16 = right(op::TWRITE) | right(op::TCREATE) | right(op::TREMOVE) | right(op::TWSTAT);

/// The second argument of the system call `portal`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct Limits {
    /// Most activations, 1 to [`limit::ACTIVATIONS`]. They are made as they are needed.
    pub activations: u32,
    /// [`WANT_FLUSH`], or 0.
    pub flags: u32,
    /// Bytes of user stack of one activation, at most [`STACK_MAX`]; 0 for [`STACK_DEFAULT`].
    pub stack: u32,
    /// Not used yet; 0.
    pub reserved: u32,
}

/// The server wants to see Tflush; without it the kernel interrupts the handler's own blocking call.
pub const WANT_FLUSH: u32 = 1;
/// Stack of an activation, unless the limits ask for another.
pub const STACK_DEFAULT: u32 = 64 << 10;
/// Largest stack of an activation.
pub const STACK_MAX: u32 = (1 << 20) - 2 * limit::PAGE as u32;

/// Where the activations of a process lie in its memory; number `i` at `ACTIVATIONS + i * ACTIVATION_STRIDE`.
pub const ACTIVATIONS: u64 = 0x60_0000_0000;
/// From one activation to the next.
pub const ACTIVATION_STRIDE: u64 = 4 << 20;
/// Where their places end, of which there are 1,024.
pub const ACTIVATIONS_END: u64 = ACTIVATIONS + 1024 * ACTIVATION_STRIDE;
/// The stack ends here, relative to the activation's start; below it is its room, then nothing.
pub const STACK_END: u64 = 1 << 20;
/// The message page.
pub const PAGE_AT: u64 = 1 << 20;
/// The window: room for [`limit::IO`] bytes at any alignment, the first [`limit::COPY`] of them always there.
pub const WINDOW_AT: u64 = 2 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_come_apart_as_they_were_put_together() {
        let r = Request {
            head: Request::make_head(op::TREAD, 7, 0xabcd, 0xdead_beef),
            fids: 1 | 2 << 32,
            ..Request::default()
        };
        assert_eq!((r.op(), r.a(), r.tag(), r.count()), (op::TREAD, 7, 0xabcd, 0xdead_beef));
        assert_eq!((r.fid(), r.fid2()), (1, 2));
    }

    #[test]
    fn rights_are_one_bit_each() {
        let mut seen = 0;
        for op in (op::TVERSION..=op::TWSTAT).step_by(2) {
            assert_eq!(right(op).count_ones(), 1);
            seen |= right(op);
        }
        assert_eq!(seen, ALL_RIGHTS);
        assert_eq!(right(0) | right(RWAIT), 0);
    }

    #[test]
    fn an_activation_fits_its_stride() {
        let window = limit::IO as u64 + 2 * limit::PAGE as u64;
        assert!(WINDOW_AT + window <= ACTIVATION_STRIDE);
        assert!(u64::from(STACK_MAX) < STACK_END);
    }
}
