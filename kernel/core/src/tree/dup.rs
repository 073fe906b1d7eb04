//! `#dup`: the caller's own descriptors as files (dup(3)). Opening one is like dup(2).

use super::{Entry, Tree, fits, here};
use crate::base::{Ref, decimal, number};
use crate::msg::Result;
use crate::name::Chan;
use abi::error::Error;
use abi::file::{QTFILE, Qid};

/// The tree.
pub(crate) struct Dup;

fn qid(fd: u64) -> Qid {
    Qid { kind: QTFILE, vers: 0, path: fd.saturating_add(1) }
}

/// The open file of a port, if its mode allows what is asked.
pub(crate) fn port(file: Qid, mode: u8) -> Result<Ref<Chan>> {
    let chan = here::ports().get(file.path.saturating_sub(1));
    if chan.file.session.is_nowhere() {
        Err(Error::Nowhere.into())
    } else if fits(&chan, mode) {
        Ok(chan)
    } else {
        Err(Error::Perm.into())
    }
}

impl Tree for Dup {
    fn walk(&self, _: Qid, name: &[u8]) -> Result<Qid> {
        let fd = number(name).ok_or(Error::NotExist)?;
        if here::ports().get(fd).file.session.is_nowhere() {
            return Err(Error::NotExist.into());
        }
        Ok(qid(fd))
    }

    fn stat(&self, file: Qid, e: &mut Entry) -> Result<()> {
        if file.path != 0 {
            let fd = file.path.saturating_sub(1);
            let chan = here::ports().get(fd);
            e.mode = if chan.may_read() { 0o400 } else { 0 } | if chan.may_write() { 0o200 } else { 0 };
            e.name.set(decimal(fd, &mut [0; 20]));
        }
        Ok(())
    }

    fn list(&self, _: Qid, at: u64) -> Result<Option<(Qid, u64)>> {
        let next = here::ports().next(usize::try_from(at).unwrap_or(usize::MAX));
        Ok(next.and_then(|(fd, _)| {
            let fd = u64::try_from(fd).ok()?;
            Some((qid(fd), fd.saturating_add(1)))
        }))
    }
}
