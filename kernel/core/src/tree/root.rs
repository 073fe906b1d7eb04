//! `#root`: the directories that a namespace is built on, and the boot archive.

use super::{Entry, Tree, give, only_read};
use crate::machine;
use crate::msg::{Msg, Reply, Result};
use abi::error::Error;
use abi::file::{QTDIR, QTFILE, Qid};

/// The tree.
pub(crate) struct Root;

/// The files, by qid.path from 1; the last is in `n`, the others in the root.
const NAMES: &[&str] = &[
    "archive", "bin", "boot", "cmdline", "dev", "env", "fd", "lib", "mnt", "n", "proc", "srv", "tmp", "host",
];
const ARCHIVE: u64 = 1;
const CMDLINE: u64 = 4;
const N: u64 = 10;
const HOST: u64 = 14;

fn parent(path: u64) -> u64 {
    if path == HOST { N } else { 0 }
}

fn name(path: u64) -> Option<&'static str> {
    NAMES.get(usize::try_from(path.checked_sub(1)?).ok()?).copied()
}

fn qid(path: u64) -> Qid {
    let kind = if matches!(path, ARCHIVE | CMDLINE) { QTFILE } else { QTDIR };
    Qid { kind, vers: 0, path }
}

impl Tree for Root {
    fn walk(&self, dir: Qid, wanted: &[u8]) -> Result<Qid> {
        if wanted == b".." {
            return Ok(qid(parent(dir.path)));
        }
        let i = NAMES.iter().position(|n| n.as_bytes() == wanted).ok_or(Error::NotExist)?;
        let path = u64::try_from(i).unwrap_or(0).saturating_add(1);
        if parent(path) == dir.path { Ok(qid(path)) } else { Err(Error::NotExist.into()) }
    }

    fn stat(&self, file: Qid, give: &mut dyn FnMut(&Entry<'_>) -> Result<()>) -> Result<()> {
        let name = if file.path == 0 { "/" } else { name(file.path).ok_or(Error::NotExist)? };
        let (mode, length) = match file.path {
            ARCHIVE => (0o444, machine::archive().len()),
            CMDLINE => (0o444, machine::command_line().len()),
            _ => (super::DIR, 0),
        };
        let length = u64::try_from(length).unwrap_or(0);
        give(&Entry { qid: file, mode, length, name: name.as_bytes(), user: b"sys" })
    }

    fn list(&self, dir: Qid, at: u64) -> Result<Option<(Qid, u64)>> {
        let mut rest = at.saturating_add(1)..=HOST;
        Ok(rest.find(|&path| parent(path) == dir.path).map(|path| (qid(path), path)))
    }

    fn open(&self, file: Qid, mode: u8) -> Result<Qid> {
        only_read(mode)?;
        Ok(file)
    }

    fn read(&self, file: Qid, m: &mut Msg<'_>) -> Result<Reply> {
        give(m, if file.path == ARCHIVE { machine::archive() } else { machine::command_line() })
    }
}
