//! [`Error`]: why a call failed, as the words that the kernel or a server gave.

use crate::sys;
use abi::limit;
use core::fmt;

/// Why a call failed. Kept by value: making one takes no memory.
#[derive(Clone, Copy)]
pub struct Error {
    len: u8,
    words: [u8; limit::ERROR],
}

/// What calls return.
pub type Result<T> = core::result::Result<T, Error>;

impl Error {
    /// An error with these words; cut at [`limit::ERROR`] bytes.
    pub fn new(words: &str) -> Error {
        let mut len = words.len().min(limit::ERROR);
        while !words.is_char_boundary(len) {
            len -= 1;
        }
        let mut e = Error { len: len as u8, words: [0; limit::ERROR] };
        e.words[..len].copy_from_slice(&words.as_bytes()[..len]);
        e
    }

    /// The words followed by others: `FILE: file does not exist`.
    pub fn of(what: impl fmt::Display, why: impl fmt::Display) -> Error {
        use fmt::Write;
        struct Into<'a>(&'a mut Error);
        impl Write for Into<'_> {
            fn write_str(&mut self, s: &str) -> fmt::Result {
                for c in s.chars() {
                    let at = usize::from(self.0.len);
                    let Some(room) = self.0.words.get_mut(at..at + c.len_utf8()) else {
                        return Err(fmt::Error);
                    };
                    c.encode_utf8(room);
                    self.0.len += c.len_utf8() as u8;
                }
                Ok(())
            }
        }
        let mut e = Error { len: 0, words: [0; limit::ERROR] };
        // Words that do not fit are cut.
        let _ = write!(Into(&mut e), "{what}: {why}");
        e
    }

    /// What the last failed system call of this thread left.
    pub fn last() -> Error {
        let mut buf = [0u8; limit::ERROR + 2];
        let n = sys::errstr(&mut buf).unwrap_or(0).min(limit::ERROR);
        Error::new(core::str::from_utf8(&buf[2..2 + n]).unwrap_or("error without words"))
    }

    /// The words.
    pub fn words(&self) -> &str {
        core::str::from_utf8(&self.words[..usize::from(self.len)]).unwrap_or("")
    }

    /// Is it this one of the list?
    pub fn is(&self, e: abi::error::Error) -> bool {
        self.words() == e.text()
    }
}

impl From<abi::error::Error> for Error {
    fn from(e: abi::error::Error) -> Error {
        Error::new(e.text())
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
