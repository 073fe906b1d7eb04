//! 9P2000: one codec for the wire and for the portal, and sans-IO sessions for both ends.
//!
//! [`msg`] holds the protocol: one table in the notation of section 5 of the Plan 9 manual, from which come the
//! types [`Tmsg`] and [`Rmsg`], their encoders and decoders, and their form as text. [`frame`] finds messages in
//! a stream of bytes, [`portal`] is the decoded form in which the same messages cross address spaces,
//! [`mod@text`] reads and writes messages as lines, [`dialect`] has 9P2000.u and 9P2000.L for talking to servers
//! of other systems.
//!
//! A decoded message borrows from the bytes it came from. Nothing here allocates, does input or output, or looks
//! at a clock.
//!
//! # What a decoded message promises
//!
//! - every string is valid UTF-8 without a NUL;
//! - every [`Name`] is besides not empty and free of `/`, and so is the name in a [`Stat`], except that the
//!   latter may be empty or `/` alone (the name of a root);
//! - every count fits what follows it: [`Names`] and [`Qids`] yield exactly as many elements as they say, at most
//!   sixteen; a stat record's `size` is its size;
//! - nothing follows the last field.
//!
//! Whatever else the manual asks (known fids, sane modes, offsets in a directory) depends on a server's state and is
//! not the codec's.
//!
//! # Panics
//!
//! None: no function of this crate panics, whatever bytes, text or calls it is given, and none recurses or loops
//! beyond the length of its input. The lints below deny the usual sources (indexing, slicing, overflowing
//! arithmetic, `unwrap`), and the fuzzers look for the rest.
#![no_std]
#![forbid(unsafe_code)]
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]
#![cfg_attr(
    test,
    allow(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        reason = "a test that goes wrong should panic"
    )
)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(test)]
extern crate std;

mod cursor;
pub mod dialect;
mod effect;
mod error;
mod field;
pub mod frame;
mod list;
pub mod msg;
pub mod portal;
#[cfg(feature = "alloc")]
pub mod session;
mod stat;
mod table;
pub mod text;

pub use abi::file::Qid;
pub use abi::portal::NOFID;
pub use cursor::{Reader, Writer};
pub use effect::{Answer, Ask, Dialect, Effect, Plain, Touches};
pub use error::{Bad, Error};
pub use field::Field;
pub use list::{Name, Names, Qids};
pub use msg::{Rmsg, Tmsg};
pub use stat::{NOCHANGE, Stat, Stats};

/// Names a request until its answer has come.
pub type Tag = u16;
/// Names a file within a session.
pub type Fid = u32;

/// The tag of Tversion.
pub const NOTAG: Tag = u16::MAX;
/// The version that this crate speaks on a wire.
pub const VERSION: &str = "9P2000";
/// 9P2000 whose server keeps the order of requests on a fid: see the sessions' rules.
pub const ORDERED: &str = "9P2000.order";
/// Bytes before a message's body: `size[4] type[1] tag[2]`.
pub const HEAD: usize = 7;
/// Bytes of a Tread's or Twrite's message besides its data, with room to spare (Plan 9's IOHDRSZ).
pub const IOHDR: usize = 24;
