//! `#root`: the directories that a namespace is built on, and the boot archive.

use super::{Entry, Fixed, Tree, give};
use crate::machine;
use crate::msg::{Msg, Reply, Result};
use abi::file::{DMDIR, Qid};

/// The tree.
pub(crate) struct Root;

const PLACE: u32 = DMDIR | 0o555;
/// Its files.
pub(super) const FILES: &[Fixed] = &[
    ("archive", 0o444),
    ("bin", PLACE),
    ("boot", PLACE),
    ("cmdline", 0o444),
    ("dev", PLACE),
    ("env", PLACE),
    ("fd", PLACE),
    ("lib", PLACE),
    ("mnt", PLACE),
    ("n", PLACE),
    ("proc", PLACE),
    ("srv", PLACE),
    ("tmp", PLACE),
];
const ARCHIVE: u64 = 1;
const CMDLINE: u64 = 4;

impl Tree for Root {
    fn stat(&self, file: Qid, e: &mut Entry) -> Result<()> {
        match file.path {
            0 => e.name.set(b"/"),
            ARCHIVE => e.length = machine::archive().len() as u64,
            CMDLINE => e.length = machine::command_line().len() as u64,
            _ => {}
        }
        Ok(())
    }

    fn read(&self, file: Qid, m: &mut Msg<'_>) -> Result<Reply> {
        give(m, if file.path == ARCHIVE { machine::archive() } else { machine::command_line() })
    }
}
