//! Linux's error numbers as errors of the list, or as words where the list has none.

use serve::{Error, Fail};

/// What a number of an Rlerror means.
pub fn fail(number: u32) -> Fail {
    let known = match number {
        1 | 13 => Error::Perm,
        2 | 116 => Error::NotExist,
        4 => Error::Interrupted,
        12 => Error::NoMemory,
        16 | 26 => Error::Exclusive,
        17 => Error::Exists,
        20 => Error::NotDir,
        21 => Error::IsDir,
        28 | 122 => Error::NoSpace,
        30 => Error::ReadOnly,
        36 => Error::NameTooLong,
        39 => Error::NotEmpty,
        95 => Error::NotSupported,
        22 => return Fail::Words("the host finds an argument invalid"),
        23 | 24 => return Fail::Words("the host has too many open files"),
        27 => return Fail::Words("file too large for the host"),
        40 => return Fail::Words("symbolic links are not followed"),
        _ => Error::Io,
    };
    Fail::Error(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_words() {
        for (number, words) in [
            (2, "file does not exist"),
            (13, "permission denied"),
            (30, "read only file system"),
            (28, "file system is full"),
            (24, "the host has too many open files"),
            (5, "i/o error"),
            (u32::MAX, "i/o error"),
        ] {
            assert_eq!(fail(number).text(), words);
        }
    }
}
