//! mkdir, rm, touch and chmod.

use super::given::Given;
use super::{Outcome, Text, base, join, text, trimmed};
use portolan::abi::error::Error as Known;
use portolan::abi::file::{DMDIR, OREAD, OWRITE};
use portolan::abi::limit;
use portolan::alloc::vec::Vec;
use portolan::fs::Stat;
use portolan::{Error, File, Result, fs, println, time};
use tools::date;

pub(super) fn mkdir(g: &mut Given) -> Result<()> {
    if g.rest.is_empty() {
        return Err(g.wrong());
    }
    let mode = match g.value(b'm') {
        Some(m) => apply(m, 0o777, true)?,
        None => 0o777,
    };
    let mut outcome = Outcome::default();
    for path in &g.rest {
        let path = trimmed(path);
        let r = if g.has(b'p') { make_all(path, mode) } else { fs::create_dir(path, mode) };
        if outcome.note(path, r).is_some() && g.has(b'v') {
            println!("mkdir: created directory '{}'", Text(path));
        }
    }
    outcome.end()
}

fn make_all(path: &[u8], mode: u32) -> Result<()> {
    let ends = path.iter().enumerate().filter(|&(i, &b)| b == b'/' && i > 0).map(|(i, _)| i);
    for end in ends {
        if !fs::exists(&path[..end]) {
            fs::create_dir(&path[..end], 0o777)?;
        }
    }
    if !fs::exists(path) {
        fs::create_dir(path, mode)?;
    }
    if fs::stat(path)?.stat().mode & DMDIR == 0 { Err(Known::NotDir.into()) } else { Ok(()) }
}

pub(super) fn rm(g: &mut Given) -> Result<()> {
    if g.rest.is_empty() && !g.has(b'f') {
        return Err(g.wrong());
    }
    let deep = g.last(b"rR").is_some();
    let mut outcome = Outcome::default();
    for path in &g.rest {
        let r = match base(path) {
            b"/" | b"." | b".." => Err(Error::new("this directory is never removed")),
            _ => remove(path, deep, g.has(b'd')),
        };
        match r {
            Err(e) if g.has(b'f') && e.is(Known::NotExist) => {}
            r => {
                if outcome.note(path, r).is_some() && g.has(b'v') {
                    println!("removed '{}'", Text(path));
                }
            }
        }
    }
    outcome.end()
}

fn remove(path: &[u8], deep: bool, empty: bool) -> Result<()> {
    if deep {
        return remove_all(path, 0);
    }
    if !empty && fs::stat(path)?.stat().mode & DMDIR != 0 {
        return Err(Error::new("is a directory (-r removes it with all it holds, -d if it is empty)"));
    }
    fs::remove(path)
}

/// Removes a file, or a directory with all it holds.
pub(super) fn remove_all(path: &[u8], depth: usize) -> Result<()> {
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
            match remove_all(&n, depth + 1) {
                // The innermost failure's path is the one to tell.
                Err(Error::Known(k)) => return Err(Error::of(Text(&n), k)),
                r => r?,
            }
        }
    }
    fs::remove(path)
}

pub(super) fn touch(g: &mut Given) -> Result<()> {
    if g.rest.is_empty() {
        return Err(g.wrong());
    }
    let when = match (g.value(b'd'), g.value(b'r')) {
        (Some(d), _) => {
            let seconds = date::parse(&text(d)).and_then(|s| u32::try_from(s).ok());
            Some(seconds.ok_or_else(|| Error::of(Text(d), "not a time (YYYY-MM-DD HH:MM:SS or @SECONDS)"))?)
        }
        (None, Some(r)) => Some(fs::stat(r).map_err(|e| Error::of(Text(r), e))?.stat().mtime),
        (None, None) => None,
    };
    let mut outcome = Outcome::default();
    for path in &g.rest {
        outcome.note(path, touch_one(path, when, g.has(b'c')));
    }
    outcome.end()
}

fn touch_one(path: &[u8], when: Option<u32>, only_there: bool) -> Result<()> {
    if !fs::exists(path) {
        if only_there {
            return Ok(());
        }
        File::create(path, u32::from(OWRITE), 0o666)?;
        if when.is_none() {
            return Ok(());
        }
    }
    let now = u32::try_from(time::since_1970().as_secs()).unwrap_or(u32::MAX - 1);
    fs::wstat(path, &Stat { mtime: when.unwrap_or(now), ..Stat::NOCHANGE })
}

pub(super) fn chmod(g: &mut Given) -> Result<()> {
    let mut words = g.rest.clone();
    let (mut deep, mut tell) = (false, false);
    while let Some(flag) = words.first().filter(|w| matches!(**w, b"-R" | b"-v" | b"-Rv" | b"-vR" | b"--")) {
        deep |= flag.contains(&b'R');
        tell |= flag.contains(&b'v');
        words.remove(0);
    }
    let Some((mode, files)) = words.split_first().filter(|(_, f)| !f.is_empty()) else {
        return Err(g.wrong());
    };
    apply(mode, 0, false)?;
    let mut outcome = Outcome::default();
    for path in files {
        outcome.note(path, chmod_one(path, mode, deep, tell, 0));
    }
    outcome.end()
}

fn chmod_one(path: &[u8], mode: &[u8], deep: bool, tell: bool, depth: usize) -> Result<()> {
    if depth > limit::DEPTH {
        return Err(Known::NameTooLong.into());
    }
    let a = fs::stat(path)?;
    let old = a.stat().mode;
    let new = apply(mode, old & 0o777, old & DMDIR != 0)?;
    fs::wstat(path, &Stat { mode: old & !0o777 | new, ..Stat::NOCHANGE })?;
    if tell {
        println!("mode of '{}' is {new:04o}", Text(path));
    }
    if deep && old & DMDIR != 0 {
        let mut names = Vec::new();
        fs::each_entry(&File::open(path, OREAD)?, |s| {
            names.push(join(path, s.name.as_bytes()));
            Ok(())
        })?;
        for n in names {
            chmod_one(&n, mode, deep, tell, depth + 1).map_err(|e| Error::of(Text(base(&n)), e))?;
        }
    }
    Ok(())
}

/// A mode after a change as chmod(1) writes it: octal, or `u+x,go-w`.
fn apply(change: &[u8], mut mode: u32, dir: bool) -> Result<u32> {
    let bad = || Error::of(Text(change), "not a mode (octal, or like u+x,go-w)");
    if change.first().is_some_and(u8::is_ascii_digit) {
        let octal = core::str::from_utf8(change).ok().and_then(|t| u32::from_str_radix(t, 8).ok());
        return octal.filter(|m| *m <= 0o777).ok_or_else(bad);
    }
    for clause in change.split(|&b| b == b',') {
        let at = clause.iter().position(|b| b"+-=".contains(b)).ok_or_else(bad)?;
        let mut who = 0;
        for w in &clause[..at] {
            who |= match w {
                b'u' => 0o700,
                b'g' => 0o070,
                b'o' => 0o007,
                b'a' => 0o777,
                _ => return Err(bad()),
            };
        }
        let who = if who == 0 { 0o777 } else { who };
        let mut bits = 0;
        for p in &clause[at + 1..] {
            bits |= match p {
                b'r' => 0o444,
                b'w' => 0o222,
                b'x' => 0o111,
                b'X' if dir || mode & 0o111 != 0 => 0o111,
                b'X' => 0,
                b'u' => (mode >> 6 & 7) * 0o111,
                b'g' => (mode >> 3 & 7) * 0o111,
                b'o' => (mode & 7) * 0o111,
                _ => return Err(bad()),
            };
        }
        match clause[at] {
            b'+' => mode |= who & bits,
            b'-' => mode &= !(who & bits),
            _ => mode = mode & !who | who & bits,
        }
    }
    Ok(mode)
}
