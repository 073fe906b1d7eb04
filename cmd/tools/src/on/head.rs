//! head and tail: the beginnings and the ends of files.

use super::Text;
use super::given::{Given, Lines, each_input, output};
use super::text::buffer;
use core::time::Duration;
use portolan::abi::error::Error as Known;
use portolan::alloc::collections::VecDeque;
use portolan::alloc::format;
use portolan::{Buffered, Error, File, Result, fs, time};
use tools::amount;

/// A count as head and tail take it: how many, of what, and from which end.
struct Wish {
    n: u64,
    bytes: bool,
    sign: Option<u8>,
}

fn wish(g: &mut Given) -> Result<Wish> {
    // `-5` is `-n 5`.
    let old = g.rest.first().copied().filter(|w| w.len() > 1 && w[0] == b'-' && w[1].is_ascii_digit());
    if old.is_some() {
        g.rest.remove(0);
    }
    let bytes = g.last(b"nc") == Some(b'c');
    let given = g.value(if bytes { b'c' } else { b'n' }).or(old.map(|w| &w[1..]));
    let Some(word) = given else { return Ok(Wish { n: 10, bytes, sign: None }) };
    let sign = word.first().copied().filter(|c| matches!(c, b'+' | b'-'));
    let digits = &word[usize::from(sign.is_some())..];
    let n = core::str::from_utf8(digits).ok().and_then(amount::parse);
    Ok(Wish { n: n.ok_or_else(|| Error::of(Text(word), "not a number of lines or bytes"))?, bytes, sign })
}

/// Writes the title between files.
fn title(g: &Given, path: &[u8], first: &mut bool, out: &mut Buffered) -> Result<()> {
    let many = g.rest.len() > 1 && !g.has(b'q') || g.has(b'v');
    if many {
        let shown = if path == b"-" { b"standard input" } else { path };
        let gap = if *first { "" } else { "\n" };
        out.put(format!("{gap}==> {} <==\n", Text(shown)).as_bytes())?;
    }
    *first = false;
    Ok(())
}

pub(super) fn head(g: &mut Given) -> Result<()> {
    let w = wish(g)?;
    let (mut out, mut first) = (output(), true);
    let g = &*g;
    each_input(&g.inputs(), |path, f| {
        title(g, path, &mut first, &mut out)?;
        match (w.bytes, w.sign) {
            (true, Some(b'-')) => all_but_bytes(&f, w.n, &mut out)?,
            (false, Some(b'-')) => all_but_lines(f, w.n, &mut out)?,
            (true, _) => bytes(&f, w.n, &mut out)?,
            (false, _) => {
                let mut lines = Lines::new(f);
                for _ in 0..w.n {
                    let Some(line) = lines.next(&mut out)? else { break };
                    // The borrow of the lines ends before the output is written.
                    let line = line.to_vec();
                    out.put(&line)?;
                }
            }
        }
        out.flush()
    })
    .end()
}

fn bytes(f: &File, mut n: u64, out: &mut Buffered) -> Result<()> {
    let mut buf = buffer(8192)?;
    while n > 0 {
        let room = buf.len().min(usize::try_from(n).unwrap_or(usize::MAX));
        match f.read(&mut buf[..room])? {
            0 => break,
            got => {
                out.put(&buf[..got])?;
                n -= got as u64;
            }
        }
    }
    Ok(())
}

fn all_but_bytes(f: &File, n: u64, out: &mut Buffered) -> Result<()> {
    let all = f.read_all()?;
    let keep = all.len().saturating_sub(usize::try_from(n).unwrap_or(usize::MAX));
    out.put(&all[..keep])
}

fn all_but_lines(f: File, n: u64, out: &mut Buffered) -> Result<()> {
    let (mut lines, mut held) = (Lines::new(f), VecDeque::new());
    while let Some(line) = lines.next(out)? {
        held.try_reserve(1).map_err(|_| Known::NoMemory)?;
        held.push_back(line.to_vec());
        if held.len() as u64 > n
            && let Some(oldest) = held.pop_front()
        {
            out.put(&oldest)?;
        }
    }
    Ok(())
}

pub(super) fn tail(g: &mut Given) -> Result<()> {
    let w = wish(g)?;
    let (mut out, mut first) = (output(), true);
    let mut last = None;
    let g = &*g;
    let outcome = each_input(&g.inputs(), |path, f| {
        title(g, path, &mut first, &mut out)?;
        // What is followed stays where its end was seen.
        let at = f.duplicate()?;
        match (w.bytes, w.sign) {
            (_, Some(b'+')) => from(f, &w, &mut out)?,
            _ => end(&f, &w, &mut out)?,
        }
        last = Some(at);
        out.flush()
    });
    match last.filter(|_| g.has(b'f')) {
        Some(f) => follow(&f, &mut out),
        None => outcome.end(),
    }
}

/// Everything from line or byte number n on, counted from 1.
fn from(f: File, w: &Wish, out: &mut Buffered) -> Result<()> {
    let skip = w.n.saturating_sub(1);
    if w.bytes {
        let mut left = skip;
        let mut buf = buffer(8192)?;
        loop {
            let n = f.read(&mut buf)?;
            if n == 0 {
                return Ok(());
            }
            let drop = usize::try_from(left).unwrap_or(usize::MAX).min(n);
            left -= drop as u64;
            out.put(&buf[drop..n])?;
        }
    }
    let (mut lines, mut at) = (Lines::new(f), 0);
    while let Some(line) = lines.next(out)? {
        let line = line.to_vec();
        at += 1;
        if at > skip {
            out.put(&line)?;
        }
    }
    Ok(())
}

/// The last lines or bytes. A file that has a length is read from near its end.
fn end(f: &File, w: &Wish, out: &mut Buffered) -> Result<()> {
    let length = fs::fstat(f).map_or(0, |a| a.stat().length);
    let mut guess = if w.bytes { w.n } else { w.n.saturating_mul(200).max(4096) };
    if length == 0 {
        let all = f.read_all()?;
        return out.put(last_part(&all, w));
    }
    loop {
        f.seek(length.saturating_sub(guess))?;
        let all = f.read_all()?;
        let part = last_part(&all, w);
        if w.bytes || part.len() < all.len() || guess >= length {
            return out.put(part);
        }
        guess = guess.saturating_mul(4);
    }
}

fn last_part<'a>(all: &'a [u8], w: &Wish) -> &'a [u8] {
    let n = usize::try_from(w.n).unwrap_or(usize::MAX);
    if w.bytes {
        return &all[all.len().saturating_sub(n)..];
    }
    if n == 0 {
        return &[];
    }
    let body = all.strip_suffix(b"\n").unwrap_or(all);
    let cut: Option<usize> =
        body.iter().enumerate().rev().filter(|(_, b)| **b == b'\n').map(|(i, _)| i).nth(n - 1);
    &all[cut.map_or(0, |i| i + 1)..]
}

/// Shows what is added, until an interrupt ends it. A file that became shorter is read from its beginning.
fn follow(f: &File, out: &mut Buffered) -> Result<()> {
    let mut buf = buffer(8192)?;
    let mut at = portolan::sys::seek(f.fd(), 0, 1).unwrap_or(0);
    loop {
        match f.read(&mut buf)? {
            0 => {
                time::sleep(Duration::from_millis(250))?;
                if fs::fstat(f).is_ok_and(|a| (1..at).contains(&a.stat().length)) {
                    at = f.seek(0)?;
                }
            }
            n => {
                at += n as u64;
                out.put(&buf[..n])?;
                out.flush()?;
            }
        }
    }
}
