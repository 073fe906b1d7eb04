//! echo and cat.

use super::{Given, Outcome};
use portolan::abi::file::OREAD;
use portolan::abi::limit;
use portolan::alloc::vec;
use portolan::{Buffered, File, Result, STDIN, STDOUT};

pub(super) fn echo(g: &mut Given) -> Result<()> {
    let (newline, words) = match g.rest.split_first() {
        Some((&b"-n", rest)) => (false, rest),
        _ => (true, &g.rest[..]),
    };
    // One write, so that lines of several writers do not mix.
    let mut line = words.join(&b' ');
    if newline {
        line.push(b'\n');
    }
    File::from_fd(STDOUT).write_all(&line)
}

pub(super) fn cat(g: &mut Given) -> Result<()> {
    let mut outcome = Outcome::default();
    if g.rest.is_empty() {
        outcome.note(b"standard input", copy(&File::from_fd(STDIN)));
    }
    for path in &g.rest {
        if let Some(f) = outcome.note(path, File::open(path, OREAD)) {
            outcome.note(path, copy(&f));
        }
    }
    outcome.end()
}

fn copy(from: &File) -> Result<()> {
    let mut buf = vec![0; limit::IO / 16];
    let mut out = Buffered::new(STDOUT);
    loop {
        let n = from.read(&mut buf)?;
        if n == 0 {
            return out.flush();
        }
        out.put(&buf[..n])?;
        // What has come is shown: the source may be a terminal or a pipe.
        out.flush()?;
    }
}
