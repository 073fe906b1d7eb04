//! What can be wrong with a message.

use crate::{NOTAG, Tag};

/// Why bytes are no message, or a message has no such form.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Error {
    /// The bytes end before the message does.
    Short,
    /// Bytes follow the message's last field.
    Trailing,
    /// The frame's size is below that of a head or above msize.
    Size(u32),
    /// No message of this type goes in this direction.
    Type(u8),
    /// A string is not UTF-8 or contains a NUL.
    String,
    /// A file name is empty or contains a slash.
    Name,
    /// More elements than a message may have, or a count that its layout can't say.
    Count,
    /// A stat record whose size is not its size.
    Stat,
    /// The room given for a message is too small.
    Room,
    /// The answer does not fit the request.
    Answer,
}

impl Error {
    /// The words for it, in the system's own list.
    pub const fn reason(self) -> abi::error::Error {
        match self {
            Error::Name => abi::error::Error::BadName,
            Error::Stat => abi::error::Error::BadStat,
            Error::Room => abi::error::Error::ShortBuffer,
            Error::Answer => abi::error::Error::BadReply,
            _ => abi::error::Error::BadMessage,
        }
    }
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Error::Short => f.write_str("message is cut short"),
            Error::Trailing => f.write_str("bytes follow the message"),
            Error::Size(n) => write!(f, "message size {n} is out of bounds"),
            Error::Type(n) => write!(f, "message type {n} is unknown"),
            Error::String => f.write_str("string is not UTF-8 or contains a NUL"),
            Error::Name => f.write_str("bad character in file name"),
            Error::Count => f.write_str("count is out of bounds"),
            Error::Stat => f.write_str("bad stat record"),
            Error::Room => f.write_str("message does not fit the buffer"),
            Error::Answer => f.write_str("answer does not fit the request"),
        }
    }
}

impl core::error::Error for Error {}

impl From<Error> for abi::error::Error {
    fn from(e: Error) -> Self {
        e.reason()
    }
}

/// A frame that does not decode, with the tag under which its sender waits for an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bad {
    /// The frame's tag; [`NOTAG`] if it is too short to have one.
    pub tag: Tag,
    /// What is wrong.
    pub error: Error,
}

impl Bad {
    /// A frame without a tag.
    pub(crate) const fn untagged(error: Error) -> Bad {
        Bad { tag: NOTAG, error }
    }
}

impl core::fmt::Display for Bad {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "tag {}: {}", self.tag, self.error)
    }
}

impl core::error::Error for Bad {}
