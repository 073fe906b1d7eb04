//! [`Error`]: why a call failed, as the words that the kernel or a server gave.

use crate::alloc::string::String;
use crate::sys;
use abi::error::Error as Known;
use abi::limit;
use core::fmt;

/// Why a call failed.
#[derive(Clone, PartialEq, Eq)]
pub enum Error {
    /// One of the kernel's list.
    Known(Known),
    /// A server's or a program's words.
    Words(String),
}

/// What calls return.
pub type Result<T> = core::result::Result<T, Error>;

impl Error {
    /// An error with these words.
    pub fn new(words: &str) -> Error {
        if let Some(k) = Known::from_text(words) {
            return Error::Known(k);
        }
        let mut s = String::new();
        if s.try_reserve(words.len()).is_err() {
            return Error::Known(Known::NoMemory);
        }
        s.push_str(words);
        Error::Words(s)
    }

    /// A thing and what went wrong with it: `FILE: file does not exist`.
    pub fn of(what: impl fmt::Display, why: impl fmt::Display) -> Error {
        Error::Words(crate::alloc::format!("{what}: {why}"))
    }

    /// What the last failed system call of this thread left.
    pub fn last() -> Error {
        let mut buf = [0u8; limit::ERROR + 2];
        let n = sys::errstr(&mut buf).unwrap_or(0).min(limit::ERROR);
        Error::new(core::str::from_utf8(&buf[2..2 + n]).unwrap_or("error without words"))
    }

    /// The words.
    pub fn words(&self) -> &str {
        match self {
            Error::Known(k) => k.text(),
            Error::Words(w) => w,
        }
    }

    /// Is it this one of the list?
    pub fn is(&self, e: Known) -> bool {
        *self == Error::Known(e)
    }
}

impl From<Known> for Error {
    fn from(e: Known) -> Error {
        Error::Known(e)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.words().fmt(f)
    }
}

impl core::error::Error for Error {}

/// Turns a stub's answer into a result.
pub(crate) fn check<T>(r: Option<T>) -> Result<T> {
    r.ok_or_else(Error::last)
}
