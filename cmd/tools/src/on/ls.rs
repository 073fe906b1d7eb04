//! ls: directories and what is in them.

use super::given::{Given, columns, output};
use super::{Outcome, join, text};
use core::fmt::Write;
use portolan::abi::file::{DMAPPEND, DMDIR, DMEXCL, OREAD};
use portolan::alloc::string::{String, ToString};
use portolan::alloc::vec::Vec;
use portolan::alloc::{format, vec};
use portolan::fs::Stat;
use portolan::{Buffered, File, Result, fs};
use tools::{amount, date};

struct Entry {
    name: String,
    mode: u32,
    length: u64,
    mtime: u32,
    user: String,
    group: String,
}

impl Entry {
    fn new(name: &[u8], s: &Stat<'_>) -> Entry {
        let name = text(name);
        let (user, group) = (s.uid.to_string(), s.gid.to_string());
        Entry { name, mode: s.mode, length: s.length, mtime: s.mtime, user, group }
    }
}

pub(super) fn ls(g: &mut Given) -> Result<()> {
    let mut outcome = Outcome::default();
    let mut out = output();
    let paths = if g.rest.is_empty() { vec![&b"."[..]] } else { g.rest.clone() };
    let (mut files, mut dirs) = (Vec::new(), Vec::new());
    for path in paths {
        if let Some(a) = outcome.note(path, fs::stat(path)) {
            let e = Entry::new(path, &a.stat());
            if e.mode & DMDIR != 0 && !g.has(b'd') { dirs.push(e) } else { files.push(e) }
        }
    }
    let titled = g.rest.len() > 1 || g.has(b'R');
    let mut first = files.is_empty();
    show(g, files, &mut out)?;
    sort(g, &mut dirs);
    dirs.reverse();
    // A stack, so that -R goes down before it goes on.
    while let Some(dir) = dirs.pop() {
        let path = dir.name.as_bytes().to_vec();
        let mut entries = Vec::new();
        if let Some(f) = outcome.note(&path, File::open(&path, OREAD)) {
            let r = fs::each_entry(&f, |s| {
                if g.has(b'a') || !s.name.starts_with('.') {
                    entries.push(Entry::new(s.name.as_bytes(), &s));
                }
                Ok(())
            });
            outcome.note(&path, r);
        }
        if titled {
            out.put(format!("{}{}:\n", if first { "" } else { "\n" }, dir.name).as_bytes())?;
        }
        first = false;
        let mut below: Vec<Entry> = Vec::new();
        if g.has(b'R') {
            let inside = entries.iter().filter(|e| e.mode & DMDIR != 0);
            below.extend(inside.map(|e| Entry {
                name: text(&join(&path, e.name.as_bytes())),
                user: String::new(),
                group: String::new(),
                ..*e
            }));
            sort(g, &mut below);
        }
        show(g, entries, &mut out)?;
        dirs.extend(below.into_iter().rev());
    }
    out.flush()?;
    outcome.end()
}

fn sort(g: &Given, entries: &mut [Entry]) {
    entries.sort_unstable_by(|a, b| {
        let by = match g.last(b"tS") {
            Some(b't') => b.mtime.cmp(&a.mtime),
            Some(_) => b.length.cmp(&a.length),
            None => core::cmp::Ordering::Equal,
        };
        let by = by.then_with(|| a.name.cmp(&b.name));
        if g.has(b'r') { by.reverse() } else { by }
    });
}

fn show(g: &Given, mut entries: Vec<Entry>, out: &mut Buffered) -> Result<()> {
    sort(g, &mut entries);
    if g.last(b"l1C").is_some_and(|f| f == b'l') {
        return long(g, &entries, out);
    }
    let names: Vec<String> = entries.iter().map(|e| shown(g, e)).collect();
    if g.last(b"l1C") == Some(b'C') || g.last(b"l1C").is_none() && columns().is_some() {
        return in_columns(&names, out);
    }
    names.iter().try_for_each(|n| out.put(format!("{n}\n").as_bytes()))
}

/// The name with the mark that -F or -p asks for. A control character is shown as a question mark, for it may be meant
/// for the terminal.
fn shown(g: &Given, e: &Entry) -> String {
    let mut name: String = e.name.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    if e.mode & DMDIR != 0 && (g.has(b'F') || g.has(b'p')) {
        name.push('/');
    } else if g.has(b'F') && e.mode & 0o111 != 0 {
        name.push('*');
    }
    name
}

fn long(g: &Given, entries: &[Entry], out: &mut Buffered) -> Result<()> {
    let size = |e: &Entry| if g.has(b'h') { amount::human(e.length) } else { e.length.to_string() };
    let widest = |f: &dyn Fn(&Entry) -> usize| entries.iter().map(f).max().unwrap_or(0);
    let user = widest(&|e| e.user.chars().count());
    let group = widest(&|e| e.group.chars().count());
    let width = widest(&|e| size(e).len());
    for e in entries {
        let line = format!(
            "{} {:user$} {:group$} {:>width$} {} {}\n",
            Mode(e.mode),
            e.user,
            e.group,
            size(e),
            date::short(e.mtime),
            shown(g, e)
        );
        out.put(line.as_bytes())?;
    }
    Ok(())
}

/// Prints names below each other in as many columns as the terminal has room for.
fn in_columns(names: &[String], out: &mut Buffered) -> Result<()> {
    let width = columns().unwrap_or(80);
    let widths: Vec<usize> = names.iter().map(|n| n.chars().count()).collect();
    let fits = |rows: usize| {
        let total: usize = widths.chunks(rows).map(|c| c.iter().max().unwrap_or(&0) + 2).sum();
        total <= width + 2
    };
    let rows = (1..=names.len()).find(|&r| fits(r)).unwrap_or(1);
    for row in 0..rows.min(names.len()) {
        let mut line = String::new();
        for column in (row..names.len()).step_by(rows) {
            line.push_str(&names[column]);
            if column + rows < names.len() {
                let cells = &widths[column - row..(column - row + rows).min(widths.len())];
                let pad = cells.iter().max().unwrap_or(&0) + 2 - widths[column];
                line.extend(core::iter::repeat_n(' ', pad));
            }
        }
        line.push('\n');
        out.put(line.as_bytes())?;
    }
    Ok(())
}

/// A mode in letters.
pub(super) struct Mode(pub(super) u32);

impl core::fmt::Display for Mode {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let kind = match self.0 {
            m if m & DMDIR != 0 => 'd',
            m if m & DMAPPEND != 0 => 'a',
            m if m & DMEXCL != 0 => 'l',
            _ => '-',
        };
        f.write_char(kind)?;
        for shift in [6, 3, 0] {
            for (bit, c) in [(4, 'r'), (2, 'w'), (1, 'x')] {
                f.write_char(if self.0 >> shift & bit != 0 { c } else { '-' })?;
            }
        }
        Ok(())
    }
}
