//! `#log`: the machine's log. A write goes to the debug console, line by line as it comes.

use super::{Entry, Tree, take, wrote};
use crate::machine;
use crate::msg::{Msg, Reply, Result};
use abi::error::Error;
use abi::file::{OWRITE, QTDIR, QTFILE, Qid};

/// The tree.
pub(crate) struct Log;

const FILE: Qid = Qid { kind: QTFILE, vers: 0, path: 1 };
const ROOT: Qid = Qid { kind: QTDIR, vers: 0, path: 0 };

impl Tree for Log {
    fn walk(&self, _: Qid, name: &[u8]) -> Result<Qid> {
        match name {
            b".." => Ok(ROOT),
            b"log" => Ok(FILE),
            _ => Err(Error::NotExist.into()),
        }
    }

    fn stat(&self, file: Qid, give: &mut dyn FnMut(&Entry<'_>) -> Result<()>) -> Result<()> {
        let (name, mode): (&[u8], u32) = if file.path == 0 { (b"#log", super::DIR) } else { (b"log", 0o222) };
        give(&Entry { qid: file, mode, length: 0, name, user: b"sys" })
    }

    fn list(&self, _: Qid, at: u64) -> Result<Option<(Qid, u64)>> {
        Ok((at == 0).then_some((FILE, 1)))
    }

    fn open(&self, file: Qid, mode: u8) -> Result<Qid> {
        if file.path != 0 && mode & 3 != OWRITE {
            return Err(Error::Perm.into());
        }
        Ok(file)
    }

    fn write(&self, _: Qid, m: &mut Msg<'_>) -> Result<Reply> {
        let mut done = 0usize;
        loop {
            let mut buf = [0; 128];
            let n = take(&m.data, done, &mut buf)?;
            if n == 0 {
                return wrote(m);
            }
            for &b in buf.get(..n).unwrap_or(&[]) {
                machine::debug(b);
            }
            done = done.saturating_add(n);
        }
    }
}
