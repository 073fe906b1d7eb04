//! du: how much trees hold.

use super::given::{Given, output};
use super::{Outcome, Text, join};
use portolan::abi::error::Error as Known;
use portolan::abi::file::{DMDIR, OREAD};
use portolan::abi::limit;
use portolan::alloc::format;
use portolan::alloc::vec::Vec;
use portolan::{Buffered, File, Result, fs};
use tools::amount;

struct Du<'a> {
    g: &'a Given,
    most: usize,
    out: Buffered,
    outcome: Outcome,
}

pub(super) fn du(g: &mut Given) -> Result<()> {
    let most = if g.has(b's') { 0 } else { g.number(b'd')?.unwrap_or(usize::MAX) };
    let mut d = Du { g, most, out: output(), outcome: Outcome::default() };
    let paths = if g.rest.is_empty() { Vec::from([&b"."[..]]) } else { g.rest.clone() };
    let mut total = 0;
    for path in paths {
        total += d.path(path, 0)?;
    }
    if g.has(b'c') {
        d.show(total, b"total")?;
    }
    d.out.flush()?;
    d.outcome.end()
}

impl Du<'_> {
    /// The bytes at and below a path. A file takes whole pages, as it does in memory, unless bytes are asked for.
    fn path(&mut self, path: &[u8], depth: usize) -> Result<u64> {
        let Some(a) = self.outcome.note(path, fs::stat(path)) else { return Ok(0) };
        let s = a.stat();
        let page = limit::PAGE as u64;
        let mut n = if self.g.has(b'b') { s.length } else { s.length.next_multiple_of(page) };
        let dir = s.mode & DMDIR != 0;
        if dir {
            if depth > limit::DEPTH {
                self.outcome.note(path, Err::<(), _>(Known::NameTooLong.into()));
                return Ok(0);
            }
            let mut names = Vec::new();
            let listed = File::open(path, OREAD).and_then(|d| {
                fs::each_entry(&d, |s| {
                    names.push(join(path, s.name.as_bytes()));
                    Ok(())
                })
            });
            self.outcome.note(path, listed);
            for name in names {
                n += self.path(&name, depth + 1)?;
            }
        }
        if depth <= self.most && (dir || depth == 0 || self.g.has(b'a')) {
            self.show(n, path)?;
        }
        Ok(n)
    }

    fn show(&mut self, bytes: u64, path: &[u8]) -> Result<()> {
        let n = match self.g.last(b"hbkm") {
            Some(b'h') => amount::human(bytes),
            Some(b'b') => format!("{bytes}"),
            Some(b'm') => format!("{}", bytes.div_ceil(1 << 20)),
            _ => format!("{}", bytes.div_ceil(1024)),
        };
        self.out.put(format!("{n}\t{}\n", Text(path)).as_bytes())
    }
}
