//! cp and mv.

use super::given::Given;
use super::{Outcome, Text, base, join, parent};
use portolan::abi::error::Error as Known;
use portolan::abi::file::{DMDIR, OREAD, OTRUNC, OWRITE};
use portolan::abi::limit;
use portolan::alloc::string::String;
use portolan::alloc::vec::Vec;
use portolan::fs::Stat;
use portolan::segment::Segment;
use portolan::{Error, File, Result, fs, println};

/// What a copy is to be like.
#[derive(Clone, Copy)]
struct How {
    deep: bool,
    force: bool,
    keep: bool,
    tell: bool,
}

fn is_dir(path: &[u8]) -> bool {
    fs::stat(path).is_ok_and(|a| a.stat().mode & DMDIR != 0)
}

/// The operands as pairs of source and target.
fn pairs(g: &Given) -> Result<Vec<(&'static [u8], Vec<u8>)>> {
    let into = g.value(b't');
    let (to, from) = match (into, g.rest.split_last()) {
        (Some(dir), Some(_)) => (dir, &g.rest[..]),
        (None, Some((to, from))) if !from.is_empty() => (*to, from),
        _ => return Err(g.wrong()),
    };
    if is_dir(to) {
        return Ok(from.iter().map(|f| (*f, join(to, base(f)))).collect());
    }
    match from {
        [only] if into.is_none() => Ok(Vec::from([(*only, to.to_vec())])),
        _ => Err(Error::of(Text(to), "is not a directory, and several files can go to a directory only")),
    }
}

pub(super) fn cp(g: &mut Given) -> Result<()> {
    let how = How {
        deep: g.last(b"rRa").is_some(),
        force: g.has(b'f'),
        keep: g.last(b"pa").is_some(),
        tell: g.has(b'v'),
    };
    let mut outcome = Outcome::default();
    for (from, to) in pairs(g)? {
        if !(g.has(b'n') && fs::exists(&to)) {
            outcome.note(from, copy(from, &to, how, 0));
        }
    }
    outcome.end()
}

/// Is one path a file at or below the other?
fn inside(path: &[u8], dir: &[u8]) -> bool {
    let whole = |p: &[u8]| File::open(p, OREAD).and_then(|f| f.path()).unwrap_or_default();
    let (dir, up) = (whole(dir), whole(parent(path)));
    !dir.is_empty() && (up == dir || up.strip_prefix(&dir[..]).is_some_and(|r| r.starts_with(b"/")))
}

fn copy(from: &[u8], to: &[u8], how: How, depth: usize) -> Result<()> {
    if depth > limit::DEPTH {
        return Err(Known::NameTooLong.into());
    }
    let source = File::open(from, OREAD)?;
    let a = fs::fstat(&source)?;
    let s = a.stat();
    if s.mode & DMDIR != 0 {
        if !how.deep {
            return Err(Error::new("is a directory (-r copies it with all it holds)"));
        }
        if depth == 0 && inside(to, from) {
            return Err(Error::new("a directory can't be copied into itself"));
        }
        if !fs::exists(to) {
            // Writable until it is filled.
            fs::create_dir(to, s.mode & 0o777 | 0o300).map_err(|e| Error::of(Text(to), e))?;
        } else if !is_dir(to) {
            return Err(Error::of(Text(to), "is there and is not a directory"));
        }
        if how.tell {
            println!("'{}' -> '{}'", Text(from), Text(to));
        }
        let mut names: Vec<String> = Vec::new();
        fs::each_entry(&source, |s| {
            names.push(String::from(s.name));
            Ok(())
        })?;
        for n in names {
            let (f, t) = (join(from, n.as_bytes()), join(to, n.as_bytes()));
            copy(&f, &t, how, depth + 1)
                .map_err(|e| if depth > 8 { e } else { Error::of(Text(n.as_bytes()), e) })?;
        }
        return attributes(to, &s, how.keep);
    }
    if let Ok(b) = fs::stat(to) {
        let b = b.stat();
        if (b.qid, b.dev) == (s.qid, s.dev) && b.name == s.name && b.length == s.length {
            return Err(Error::new("source and target are the same file"));
        }
        if b.mode & DMDIR != 0 {
            return Err(Error::of(Text(to), "is a directory and would be lost"));
        }
    }
    copy_data(&source, s.length, to, s.mode & 0o777, how)?;
    if how.tell {
        println!("'{}' -> '{}'", Text(from), Text(to));
    }
    attributes(to, &s, how.keep)
}

fn copy_data(source: &File, length: u64, to: &[u8], mode: u32, how: How) -> Result<()> {
    let create = || File::create(to, u32::from(OWRITE | OTRUNC), mode);
    let target = match create() {
        Err(e) if how.force && e.is(Known::Perm) => fs::remove(to).and_then(|()| create()),
        other => other,
    };
    let target = target.map_err(|e| Error::of(Text(to), e))?;
    // Of a long file each byte is copied once, by the server that it is read from, if the other takes pages.
    let room = usize::try_from(length).unwrap_or(usize::MAX).min(limit::IO / 4);
    loop {
        let mut buf = Segment::new(if room == 0 { limit::IO / 4 } else { room })?;
        match buf.fill(source)? {
            0 => return Ok(()),
            n => buf.give(&target, n).map_err(|e| Error::of(Text(to), e))?,
        }
    }
}

/// Gives a copy the mode and the times of what it was made from, if that is wanted.
fn attributes(to: &[u8], s: &Stat<'_>, keep: bool) -> Result<()> {
    if !keep {
        return Ok(());
    }
    let change = Stat { mode: s.mode & (DMDIR | 0o777), mtime: s.mtime, ..Stat::NOCHANGE };
    fs::wstat(to, &change).map_err(|e| Error::of(Text(to), e))
}

pub(super) fn mv(g: &mut Given) -> Result<()> {
    let mut outcome = Outcome::default();
    for (from, to) in pairs(g)? {
        if g.has(b'n') && fs::exists(&to) {
            continue;
        }
        if outcome.note(from, rename(from, &to)).is_some() && g.has(b'v') {
            println!("renamed '{}' -> '{}'", Text(from), Text(&to));
        }
    }
    outcome.end()
}

/// 9P renames inside a directory only: what goes to another is copied, then removed.
fn rename(from: &[u8], to: &[u8]) -> Result<()> {
    let a = fs::stat(from)?;
    let is_dir_from = a.stat().mode & DMDIR != 0;
    if is_dir_from && inside(to, from) {
        return Err(Error::new("a directory can't be moved into itself"));
    }
    if let Ok(b) = fs::stat(to) {
        let b = b.stat();
        if (b.qid.path, b.dev) == (a.stat().qid.path, a.stat().dev)
            && b.name == a.stat().name
            && parent(from) == parent(to)
        {
            return Err(Error::new("source and target are the same file"));
        }
        if (b.mode & DMDIR != 0) != is_dir_from {
            let kind = if is_dir_from { "is there and is not a directory" } else { "is a directory" };
            return Err(Error::of(Text(to), kind));
        }
    }
    if parent(from) == parent(to) {
        let name = core::str::from_utf8(base(to)).map_err(|_| Known::BadName)?;
        return fs::rename(from, name);
    }
    let how = How { deep: true, force: true, keep: true, tell: false };
    copy(from, to, how, 0)?;
    super::files::remove_all(from, 0)
}
