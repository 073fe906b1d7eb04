//! [`Fail`]: why a request got no answer: an error of the list, other words, or not yet.

use abi::error::Error;
use sync::NoMemory;

/// What a handler returns in the place of its answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fail {
    /// An error that the whole system knows.
    Error(Error),
    /// An error that only this server has.
    Words(&'static str),
    /// Nothing was changed: send the request again after a wake of this queue (see [`crate::Queue`]).
    Wait {
        /// The server's number for the queue.
        queue: u64,
        /// How many wakes of the queue the handler knew of when it looked.
        seq: u64,
    },
}

/// The result of a handler.
pub type Result<T> = core::result::Result<T, Fail>;

impl Fail {
    /// The words of an Rerror.
    pub fn text(self) -> &'static str {
        match self {
            Fail::Error(e) => e.text(),
            Fail::Words(words) => words,
            Fail::Wait { .. } => Error::Interrupted.text(),
        }
    }
}

impl From<Error> for Fail {
    fn from(e: Error) -> Fail {
        Fail::Error(e)
    }
}

impl From<NoMemory> for Fail {
    fn from(_: NoMemory) -> Fail {
        Fail::Error(Error::NoMemory)
    }
}

impl From<alloc::collections::TryReserveError> for Fail {
    fn from(_: alloc::collections::TryReserveError) -> Fail {
        Fail::Error(Error::NoMemory)
    }
}
