//! `#root`: the directories that a namespace is built on, and the boot archive.

use super::{Entry, Fixed, Tree, give};
use crate::machine;
use crate::msg::{Msg, Reply, Result};
use abi::error::Error;
use abi::file::{DMDIR, QTDIR, Qid};

/// The tree.
pub(crate) struct Root;

const PLACE: u32 = DMDIR | 0o555;
/// Its files, those first by whose names most paths begin.
pub(super) const FILES: &[Fixed] = &[
    ("bin", PLACE),
    ("tmp", PLACE),
    ("n", PLACE),
    ("proc", PLACE),
    ("dev", PLACE),
    ("env", PLACE),
    ("fd", PLACE),
    ("lib", PLACE),
    ("mnt", PLACE),
    ("srv", PLACE),
    ("boot", PLACE),
    ("cmdline", 0o444),
    ("archive", 0o444),
];
const N: u64 = 3;
const CMDLINE: u64 = 12;
/// The archive's file.
pub(super) const ARCHIVE: u64 = 13;
/// The one file that is not in the root: a place in `n` for the host's files.
const HOST: Qid = Qid { kind: QTDIR, vers: 0, path: 14 };

impl Tree for Root {
    fn walk(&self, dir: Qid, name: &[u8]) -> Result<Qid> {
        if dir.path == N && name == b"host" { Ok(HOST) } else { Err(Error::NotExist.into()) }
    }

    fn list(&self, dir: Qid, at: u64) -> Result<Option<(Qid, u64)>> {
        Ok((dir.path == N && at == 0).then_some((HOST, HOST.path)))
    }

    fn stat(&self, file: Qid, e: &mut Entry) -> Result<()> {
        match file.path {
            0 => e.name.set(b"/"),
            ARCHIVE => e.length = machine::archive().len() as u64,
            CMDLINE => e.length = machine::command_line().len() as u64,
            path if path == HOST.path => e.name.set(b"host"),
            _ => {}
        }
        Ok(())
    }

    fn read(&self, file: Qid, m: &mut Msg<'_>) -> Result<Reply> {
        give(m, if file.path == ARCHIVE { machine::archive() } else { machine::command_line() })
    }
}
