//! What rc asks of the system. Each file of this folder offers the same names.
//!
//! Descriptors that rc opens for itself are [`Fd`]s: at or above [`RESERVED`], closed on exec, closed when dropped.
//! A [`Failure`] carries the system's own words, which rc passes on.

use alloc::vec::Vec;

#[cfg(not(portolan))]
mod linux;
#[cfg(not(portolan))]
pub use linux::*;
#[cfg(portolan)]
mod portolan;
#[cfg(portolan)]
pub use self::portolan::*;

/// Why a call failed, in the system's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A note came first.
    Interrupted,
    /// Anything else.
    Words(Vec<u8>),
}

impl Failure {
    /// The words.
    pub fn words(&self) -> &[u8] {
        match self {
            Failure::Interrupted => b"interrupted",
            Failure::Words(words) => words,
        }
    }
}

/// A program to start.
pub struct Program<'a> {
    /// Its file.
    pub path: &'a [u8],
    /// Its arguments, its own name first.
    pub args: &'a [Vec<u8>],
    /// Its environment, where that is handed over by strings.
    pub env: &'a [(Vec<u8>, Vec<u8>)],
    /// Descriptors that differ from the shell's own: where each leads; none: closed.
    pub ports: &'a [(u32, Option<i32>)],
    /// Is it to be out of reach of the notes that the shell's terminal sends?
    pub apart: bool,
}

/// A note that a function may handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// The interrupt key.
    Interrupt,
    /// The terminal is gone.
    Hangup,
    /// An alarm has passed.
    Alarm,
    /// A request to end.
    Terminate,
}

impl Note {
    /// All of them.
    pub const ALL: [Note; 4] = [Note::Interrupt, Note::Hangup, Note::Alarm, Note::Terminate];

    /// The name of the function that handles it.
    pub fn function(self) -> &'static [u8] {
        match self {
            Note::Interrupt => b"sigint",
            Note::Hangup => b"sighup",
            Note::Alarm => b"sigalrm",
            Note::Terminate => b"sigterm",
        }
    }
}
