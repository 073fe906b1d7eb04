//! echo, cat, tee, wc and uniq.

use super::given::{Given, Lines, chomp, each_input, open_input, output};
use super::{Outcome, Text};
use portolan::abi::error::Error as Known;
use portolan::abi::file::{OTRUNC, OWRITE};
use portolan::abi::limit;
use portolan::alloc::format;
use portolan::alloc::string::String;
use portolan::alloc::vec::Vec;
use portolan::{Buffered, Error, File, Result, STDIN, STDOUT, fs};

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

/// A buffer of so many bytes, or the error that there is no memory for it.
pub(super) fn buffer(bytes: usize) -> Result<Vec<u8>> {
    let mut buf = Vec::new();
    buf.try_reserve_exact(bytes).map_err(|_| Known::NoMemory)?;
    buf.resize(bytes, 0);
    Ok(buf)
}

pub(super) fn cat(g: &mut Given) -> Result<()> {
    let dress = g.last(b"nbEsTvA").is_some();
    let mut buf = buffer(limit::IO / 16)?;
    let out = core::mem::ManuallyDrop::new(File::from_fd(STDOUT));
    let mut page = Page::default();
    each_input(&g.inputs(), |_, f| {
        if dress {
            return page.dressed(g, f);
        }
        loop {
            // What has come is shown: the source may be a terminal or a pipe.
            match f.read(&mut buf)? {
                0 => return Ok(()),
                n => out.write_all(&buf[..n])?,
            }
        }
    })
    .end()
}

/// Where cat's numbering is.
#[derive(Default)]
struct Page {
    line: u64,
    blank: bool,
}

impl Page {
    fn dressed(&mut self, g: &Given, f: File) -> Result<()> {
        let (mut lines, mut out) = (Lines::new(f), output());
        while let Some(line) = lines.next(&mut out)? {
            let body = chomp(line);
            let was = core::mem::replace(&mut self.blank, body.is_empty());
            if g.has(b's') && was && self.blank {
                continue;
            }
            if g.has(b'b') && !body.is_empty() || g.has(b'n') && !g.has(b'b') {
                self.line += 1;
                out.put(format!("{:6}\t", self.line).as_bytes())?;
            }
            let (tabs, controls) = (g.last(b"TA").is_some(), g.last(b"vA").is_some());
            for &b in body {
                match b {
                    b'\t' if tabs => out.put(b"^I")?,
                    b'\t' => out.put(b"\t")?,
                    _ if controls => visible(b, &mut out)?,
                    _ => out.put(&[b])?,
                }
            }
            if body.len() < line.len() {
                out.put(if g.last(b"EA").is_some() { b"$\n" } else { b"\n" })?;
            }
        }
        out.flush()
    }
}

/// A byte as `cat -v` shows it.
fn visible(b: u8, out: &mut Buffered) -> Result<()> {
    if b >= 0x80 {
        out.put(b"M-")?;
    }
    match b & 0x7f {
        0x7f => out.put(b"^?"),
        c @ 0..=31 => out.put(&[b'^', c + 64]),
        c => out.put(&[c]),
    }
}

pub(super) fn tee(g: &mut Given) -> Result<()> {
    let mut outcome = Outcome::default();
    let mut files = Vec::new();
    for path in &g.rest {
        let opened = if g.has(b'a') && fs::exists(path) {
            File::open(path, OWRITE).and_then(|f| {
                let end = fs::fstat(&f)?.stat().length;
                f.seek(end)?;
                Ok(f)
            })
        } else {
            File::create(path, u32::from(OWRITE | OTRUNC), 0o666)
        };
        if let Some(f) = outcome.note(path, opened) {
            files.push((*path, f));
        }
    }
    files.push((b"standard output", File::from_fd(STDOUT)));
    let input = File::from_fd(STDIN);
    let mut buf = buffer(limit::IO / 16)?;
    loop {
        match input.read(&mut buf)? {
            0 => return outcome.end(),
            // Who can't be written to any more is left out, the others go on.
            n => files.retain(|(path, f)| outcome.note(path, f.write_all(&buf[..n])).is_some()),
        }
    }
}

/// What wc counts.
#[derive(Default, Clone, Copy)]
struct Counts {
    lines: u64,
    words: u64,
    chars: u64,
    bytes: u64,
    longest: u64,
}

fn count(f: &File, buf: &mut [u8]) -> Result<Counts> {
    let (mut c, mut word, mut column) = (Counts::default(), false, 0);
    // A character may go over two reads.
    let (mut held, mut len) = ([0; 4], 0);
    loop {
        let n = f.read(buf)?;
        if n == 0 {
            c.longest = c.longest.max(column);
            return Ok(c);
        }
        c.bytes += n as u64;
        for &b in &buf[..n] {
            let space = matches!(b, b' ' | 9..=13);
            c.words += u64::from(!space && !word);
            word = !space;
            let starts = b & 0xc0 != 0x80;
            c.chars += u64::from(starts);
            match b {
                b'\n' | b'\r' | 12 => {
                    c.longest = c.longest.max(column);
                    column = 0;
                    c.lines += u64::from(b == b'\n');
                }
                b'\t' => column += 8 - column % 8,
                b' '..=b'~' => column += 1,
                _ => {
                    len = if starts { 0 } else { len };
                    if let Some(slot) = held.get_mut(len) {
                        *slot = b;
                        len += 1;
                    }
                    let c = core::str::from_utf8(&held[..len]).ok().and_then(|s| s.chars().next());
                    column += c.filter(|c| !c.is_control()).map_or(0, term::width_of) as u64;
                }
            }
        }
    }
}

pub(super) fn wc(g: &mut Given) -> Result<()> {
    let usual = g.last(b"lwmcL").is_none();
    let pick = |c: &Counts| -> Vec<u64> {
        let all = [(b'l', c.lines), (b'w', c.words), (b'm', c.chars), (b'c', c.bytes), (b'L', c.longest)];
        all.iter().filter(|(f, _)| g.has(*f) || usual && b"lwc".contains(f)).map(|(_, n)| *n).collect()
    };
    let paths = g.inputs();
    let mut buf = buffer(64 << 10)?;
    let (mut total, mut rows) = (Counts::default(), Vec::new());
    let mut outcome = each_input(&paths, |path, f| {
        let c = count(&f, &mut buf)?;
        total.lines += c.lines;
        total.words += c.words;
        total.chars += c.chars;
        total.bytes += c.bytes;
        total.longest = total.longest.max(c.longest);
        rows.push((path, c));
        Ok(())
    });
    // As wide as the sizes of all files need; a stream has no size, so that seven places are left for it.
    let sizes: u64 = paths.iter().filter_map(|p| fs::stat(p).ok()).map(|a| a.stat().length).sum();
    let columns = pick(&total).len();
    let stream = paths.contains(&&b"-"[..]);
    let width = match (columns, paths.len()) {
        (1, 1) => 1,
        _ => format!("{sizes}").len().max(if stream { 7 } else { 1 }),
    };
    if paths.len() > 1 {
        rows.push((b"total", total));
    }
    let mut out = output();
    for (path, c) in rows {
        let row: Vec<String> = pick(&c).iter().map(|n| format!("{n:>width$}")).collect();
        let name = if g.rest.is_empty() { String::new() } else { format!(" {}", Text(path)) };
        out.put(format!("{}{name}\n", row.join(" ")).as_bytes())?;
    }
    let flushed = out.flush();
    if outcome.0.is_none() {
        outcome.0 = flushed.err();
    }
    outcome.end()
}

/// Which part of a line uniq compares.
struct Part {
    fields: usize,
    chars: usize,
    width: usize,
    fold: bool,
}

impl Part {
    fn of(&self, line: &[u8]) -> Vec<u8> {
        let mut at = 0;
        for _ in 0..self.fields {
            at += line[at..].iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
            at += line[at..].iter().take_while(|b| !matches!(b, b' ' | b'\t')).count();
        }
        let part = &line[(at + self.chars).min(line.len())..];
        let part = &part[..self.width.min(part.len())];
        if self.fold { part.to_ascii_lowercase() } else { part.to_vec() }
    }
}

pub(super) fn uniq(g: &mut Given) -> Result<()> {
    let part = Part {
        fields: g.number(b'f')?.unwrap_or(0),
        chars: g.number(b's')?.unwrap_or(0),
        width: g.number(b'w')?.unwrap_or(usize::MAX),
        fold: g.has(b'i'),
    };
    let (input, to) = match g.rest[..] {
        [] => (&b"-"[..], None),
        [i] => (i, None),
        [i, o] => (i, Some(o)),
        _ => return Err(g.wrong()),
    };
    let mut lines = Lines::new(open_input(input).map_err(|e| Error::of(Text(input), e))?);
    let file =
        to.map(|o| File::create(o, u32::from(OWRITE | OTRUNC), 0o666).map_err(|e| Error::of(Text(o), e)));
    let file = file.transpose()?;
    let mut out = Buffered::new(file.as_ref().map_or(STDOUT, File::fd));
    let (mut held, mut key, mut n) = (Vec::new(), Vec::new(), 0u64);
    let show = |held: &[u8], n: u64, out: &mut Buffered| {
        if n == 0 || g.has(b'd') && n == 1 || g.has(b'u') && n > 1 {
            return Ok(());
        }
        if g.has(b'c') {
            out.put(format!("{n:7} ").as_bytes())?;
        }
        out.put(held)?;
        out.put(b"\n")
    };
    while let Some(line) = lines.next(&mut out)? {
        let line = chomp(line);
        let this = part.of(line);
        if n > 0 && this == key {
            n += 1;
            continue;
        }
        let next = line.to_vec();
        show(&held, n, &mut out)?;
        (held, key, n) = (next, this, 1);
    }
    show(&held, n, &mut out)?;
    out.flush()
}
