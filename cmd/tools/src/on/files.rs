//! ls, mkdir, rm and cp: files.

use super::{Given, Outcome, Text, base, join};
use core::fmt::Write;
use portolan::abi::error::Error as Known;
use portolan::abi::file::{DMAPPEND, DMDIR, DMEXCL, OREAD, OTRUNC, OWRITE};
use portolan::abi::limit;
use portolan::alloc::string::String;
use portolan::alloc::vec;
use portolan::alloc::vec::Vec;
use portolan::fs::Stat;
use portolan::{Buffered, Error, File, Result, STDOUT, fs};

struct Entry {
    name: String,
    line: String,
}

pub(super) fn ls(g: &mut Given) -> Result<()> {
    let mut outcome = Outcome::default();
    let mut out = Buffered::new(STDOUT);
    let paths = if g.rest.is_empty() { vec![&b"."[..]] } else { g.rest.clone() };
    for path in &paths {
        let mut entries = Vec::new();
        if let Some(a) = outcome.note(path, fs::stat(path)) {
            let s = a.stat();
            if s.mode & DMDIR == 0 || g.has(b'd') {
                entries.push(entry(g, &super::text(path), &s));
            } else if let Some(dir) = outcome.note(path, File::open(path, OREAD)) {
                // The working directory's names stand alone; others follow their directory, as in Plan 9.
                let prefix = if *path == b"." || g.has(b'p') { &b""[..] } else { path };
                let r = fs::each_entry(&dir, |s| {
                    entries.push(entry(g, &super::text(&join(prefix, s.name.as_bytes())), &s));
                    Ok(())
                });
                outcome.note(path, r);
            }
        }
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        for e in entries {
            out.put(e.line.as_bytes())?;
        }
    }
    out.flush()?;
    outcome.end()
}

fn entry(g: &Given, name: &str, s: &Stat<'_>) -> Entry {
    let mut line = String::new();
    if g.has(b'l') {
        // A String takes all that is written to it.
        let _ =
            write!(line, "{} {} {} {} {:>8} {} ", Mode(s.mode), s.dev, s.uid, s.gid, s.length, Date(s.mtime));
    }
    line.push_str(name);
    line.push('\n');
    Entry { name: String::from(name), line }
}

struct Mode(u32);

impl core::fmt::Display for Mode {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let kind = if self.0 & DMDIR != 0 {
            'd'
        } else if self.0 & DMAPPEND != 0 {
            'a'
        } else {
            '-'
        };
        f.write_char(kind)?;
        f.write_char(if self.0 & DMEXCL != 0 { 'l' } else { '-' })?;
        for shift in [6, 3, 0] {
            for (bit, c) in [(4, 'r'), (2, 'w'), (1, 'x')] {
                f.write_char(if self.0 >> shift & bit != 0 { c } else { '-' })?;
            }
        }
        Ok(())
    }
}

/// Seconds since 1970 as `2026-11-28 07:55`, UTC.
struct Date(u32);

impl core::fmt::Display for Date {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (days, secs) = (u64::from(self.0) / 86400, self.0 % 86400);
        // Counted from the first of March of year 0, a year's irregular day is its last.
        let z = days + 719_468;
        let (era, doe) = (z / 146_097, z % 146_097);
        let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let (d, m) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
        let y = yoe + era * 400 + u64::from(m <= 2);
        write!(f, "{y:04}-{m:02}-{d:02} {:02}:{:02}", secs / 3600, secs / 60 % 60)
    }
}

pub(super) fn mkdir(g: &mut Given) -> Result<()> {
    if g.rest.is_empty() {
        return Err(g.wrong());
    }
    let mut outcome = Outcome::default();
    for path in &g.rest {
        let r = if g.has(b'p') { make_all(path) } else { fs::create_dir(path, 0o777) };
        outcome.note(path, r);
    }
    outcome.end()
}

fn make_all(path: &[u8]) -> Result<()> {
    let ends = path.iter().enumerate().filter(|&(i, &b)| b == b'/' && i > 0).map(|(i, _)| i);
    for end in ends.chain([path.len()]) {
        if !fs::exists(&path[..end]) {
            fs::create_dir(&path[..end], 0o777)?;
        }
    }
    if fs::stat(path)?.stat().mode & DMDIR == 0 { Err(Known::NotDir.into()) } else { Ok(()) }
}

pub(super) fn rm(g: &mut Given) -> Result<()> {
    if g.rest.is_empty() && !g.has(b'f') {
        return Err(g.wrong());
    }
    let mut outcome = Outcome::default();
    for path in &g.rest {
        match if g.has(b'r') { remove_all(path, 0) } else { fs::remove(path) } {
            Err(e) if g.has(b'f') && e.is(Known::NotExist) => {}
            r => {
                outcome.note(path, r);
            }
        }
    }
    outcome.end()
}

fn remove_all(path: &[u8], depth: usize) -> Result<()> {
    if depth > limit::DEPTH {
        return Err(Known::NameTooLong.into());
    }
    if fs::stat(path)?.stat().mode & DMDIR != 0 {
        let mut names = Vec::new();
        fs::each_entry(&File::open(path, OREAD)?, |s| {
            names.push(join(path, s.name.as_bytes()));
            Ok(())
        })?;
        for n in names {
            remove_all(&n, depth + 1).map_err(|e| Error::of(Text(&n), e))?;
        }
    }
    fs::remove(path)
}

pub(super) fn cp(g: &mut Given) -> Result<()> {
    let Some((to, from)) = g.rest.split_last().filter(|(_, from)| !from.is_empty()) else {
        return Err(g.wrong());
    };
    let into = fs::stat(to).is_ok_and(|a| a.stat().mode & DMDIR != 0);
    if !into && from.len() > 1 {
        return Err(Error::of(Text(to), Known::NotDir));
    }
    let mut outcome = Outcome::default();
    for f in from {
        let target = if into { join(to, base(f)) } else { to.to_vec() };
        outcome.note(f, copy(f, &target, g.has(b'r'), 0));
    }
    outcome.end()
}

fn copy(from: &[u8], to: &[u8], deep: bool, depth: usize) -> Result<()> {
    if depth > limit::DEPTH {
        return Err(Known::NameTooLong.into());
    }
    let source = File::open(from, OREAD)?;
    let a = fs::fstat(&source)?;
    let (mode, qid, dev) = (a.stat().mode, a.stat().qid, a.stat().dev);
    if mode & DMDIR != 0 {
        if !deep {
            return Err(Error::new("is a directory (cp -r copies it)"));
        }
        if !fs::exists(to) {
            fs::create_dir(to, mode & 0o777)?;
        }
        let mut names = Vec::new();
        fs::each_entry(&source, |s| {
            names.push(String::from(s.name));
            Ok(())
        })?;
        for n in names {
            let (f, t) = (join(from, n.as_bytes()), join(to, n.as_bytes()));
            copy(&f, &t, deep, depth + 1).map_err(|e| Error::of(Text(&f), e))?;
        }
        return Ok(());
    }
    if let Ok(b) = fs::stat(to)
        && (b.stat().qid.path, b.stat().dev) == (qid.path, dev)
        && b.stat().qid == qid
    {
        return Err(Error::new("source and destination are the same file"));
    }
    let target = File::create(to, u32::from(OWRITE | OTRUNC), mode & 0o777)?;
    let mut buf = vec![0; limit::IO / 4];
    loop {
        match source.read(&mut buf)? {
            0 => return Ok(()),
            n => target.write_all(&buf[..n])?,
        }
    }
}
