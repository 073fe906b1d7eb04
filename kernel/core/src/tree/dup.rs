//! `#dup`: the caller's own descriptors as files (dup(3)). Opening one is like dup(2).

use super::text::decimal;
use super::{Entry, Tree, here};
use crate::base::Ref;
use crate::msg::Result;
use crate::name::Chan;
use abi::error::Error;
use abi::file::{OEXEC, OREAD, OWRITE, QTDIR, QTFILE, Qid};

/// The tree.
pub(crate) struct Dup;

const ROOT: Qid = Qid { kind: QTDIR, vers: 0, path: 0 };

fn qid(fd: u64) -> Qid {
    Qid { kind: QTFILE, vers: 0, path: fd.saturating_add(1) }
}

/// The open file of a port, if its mode allows what is asked.
pub(crate) fn port(file: Qid, mode: u8) -> Result<Ref<Chan>> {
    let chan = here::ports().get(file.path.saturating_sub(1));
    let fits = match mode & 3 {
        OREAD | OEXEC => chan.may_read(),
        OWRITE => chan.may_write(),
        _ => chan.may_read() && chan.may_write(),
    };
    if chan.file.session.is_nowhere() {
        Err(Error::Nowhere.into())
    } else if fits {
        Ok(chan)
    } else {
        Err(Error::Perm.into())
    }
}

impl Tree for Dup {
    fn walk(&self, _: Qid, name: &[u8]) -> Result<Qid> {
        if name == b".." {
            return Ok(ROOT);
        }
        let fd: u64 = core::str::from_utf8(name).ok().and_then(|n| n.parse().ok()).ok_or(Error::NotExist)?;
        if here::ports().get(fd).file.session.is_nowhere() {
            return Err(Error::NotExist.into());
        }
        Ok(qid(fd))
    }

    fn stat(&self, file: Qid, give: &mut dyn FnMut(&Entry<'_>) -> Result<()>) -> Result<()> {
        if file.path == 0 {
            return give(&Entry { qid: ROOT, mode: super::DIR, length: 0, name: b"#dup", user: b"sys" });
        }
        let fd = file.path.saturating_sub(1);
        let chan = here::ports().get(fd);
        let mode = if chan.may_read() { 0o400 } else { 0 } | if chan.may_write() { 0o200 } else { 0 };
        let mut digits = [0; 20];
        give(&Entry { qid: file, mode, length: 0, name: decimal(fd, &mut digits), user: b"sys" })
    }

    fn list(&self, _: Qid, at: u64) -> Result<Option<(Qid, u64)>> {
        let next = here::ports().next(usize::try_from(at).unwrap_or(usize::MAX));
        Ok(next.and_then(|(fd, _)| {
            let fd = u64::try_from(fd).ok()?;
            Some((qid(fd), fd.saturating_add(1)))
        }))
    }
}
