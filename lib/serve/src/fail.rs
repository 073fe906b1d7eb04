//! [`Fail`]: why a request got no answer: an error of the list, other words, or not yet.

use abi::error::Error;
use abi::limit::ERROR;
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
    /// The words of an Rerror, cut to [`ERROR`] bytes.
    pub fn text(self) -> &'static str {
        match self {
            Fail::Error(e) => e.text(),
            Fail::Words(words) => words.get(..words.floor_char_boundary(ERROR)).unwrap_or_default(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_between_characters() {
        const LONG: &str = concat!(
            "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567",
            "890123456789012345678901234567890123456",
            "\u{e9} and more"
        );
        assert_eq!(Fail::Words(LONG).text().len(), ERROR - 1, "a letter of two bytes begins in the last");
        assert_eq!(Fail::Words("short").text(), "short");
    }
}
