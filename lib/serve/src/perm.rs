//! Permission bits: what open(5) asks of them and how create(5) masks them.

use crate::Mode;
use abi::file::{DMDIR, DMEXEC, DMREAD, DMWRITE};

/// In what relation a user stands to a file; one bit pattern of the three applies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Class {
    /// The user owns the file.
    pub owner: bool,
    /// The user is a member of the file's group.
    pub group: bool,
}

/// Does a file's mode allow all of `want` ([`DMREAD`], [`DMWRITE`], [`DMEXEC`])? Access is allowed if one of the
/// patterns that apply allows it (intro(5): a user's permission is the union of those of its classes).
pub fn allows(mode: u32, class: Class, want: u32) -> bool {
    let mut bits = mode;
    if class.group {
        bits |= mode >> 3;
    }
    if class.owner {
        bits |= mode >> 6;
    }
    bits & want == want
}

/// What opening in this mode needs (open(5)): OEXEC needs permission to execute, truncation permission to write.
pub fn needed(mode: Mode) -> u32 {
    let mut want = 0;
    if mode.executes() {
        want |= DMEXEC;
    } else if mode.reads() {
        want |= DMREAD;
    }
    if mode.writes() || mode.truncates() {
        want |= DMWRITE;
    }
    want
}

/// The permissions of a new file: those asked for, as far as the directory has them (create(5)). A directory's
/// permissions to execute don't limit a plain file's.
pub fn created(asked: u32, directory: u32) -> u32 {
    let limited = if asked & DMDIR != 0 { 0o777 } else { 0o666 };
    asked & (!limited | (directory & limited))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_has_no_more_rights_than_its_directory_gives() {
        assert_eq!(created(0o777, 0o750), 0o751);
        assert_eq!(created(0o666, 0o700), 0o600);
        assert_eq!(created(DMDIR | 0o777, DMDIR | 0o750), DMDIR | 0o750);
    }

    #[test]
    fn each_class_has_its_bits_and_they_add_up() {
        let other = Class { owner: false, group: false };
        let member = Class { owner: false, group: true };
        let owner = Class { owner: true, group: false };
        assert!(allows(0o604, other, DMREAD) && !allows(0o640, other, DMREAD));
        assert!(allows(0o640, member, DMREAD) && !allows(0o640, member, DMWRITE));
        assert!(allows(0o604, owner, DMREAD | DMWRITE) && allows(0o007, owner, DMWRITE));
    }
}
