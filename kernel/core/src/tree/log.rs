//! `#log`: the machine's log. A write goes to the debug console, line by line as it comes.

use super::{Fixed, Tree, take, wrote};
use crate::machine;
use crate::msg::{Msg, Reply, Result};
use abi::file::Qid;

/// The tree.
pub(crate) struct Log;

/// Its file.
pub(super) const FILES: &[Fixed] = &[("log", 0o222)];

impl Tree for Log {
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
