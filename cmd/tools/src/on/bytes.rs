//! cmp, sum and xd: files as bytes.

use super::given::{Given, each_input, open_input, output};
use super::text::buffer;
use super::{Text, number};
use portolan::alloc::format;
use portolan::alloc::string::String;
use portolan::alloc::vec::Vec;
use portolan::segment::{Access, Segment};
use portolan::{Error, File, Result, eprintln, exit, fs, println};
use tools::amount;

pub(super) fn cmp(g: &mut Given) -> Result<()> {
    let (a, b) = match g.rest[..] {
        [a] => (a, &b"-"[..]),
        [a, b] => (a, b),
        _ => return Err(g.wrong()),
    };
    let open = |p: &[u8]| open_input(p).map_err(|e| Error::of(Text(p), e));
    let (fa, fb) = (open(a)?, open(b)?);
    let mut left = g.value(b'n').map(number::<u64>).transpose()?.unwrap_or(u64::MAX);
    let (mut ba, mut bb) = (buffer(64 << 10)?, buffer(64 << 10)?);
    let (mut at, mut line, mut differ) = (0u64, 1u64, false);
    let mut out = output();
    let sizes = [&fa, &fb].map(|f| fs::fstat(f).map_or(0, |a| a.stat().length));
    let width = format!("{}", sizes[0].min(sizes[1])).len();
    loop {
        let room = ba.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let (na, nb) = (fa.read_full(&mut ba[..room])?, fb.read_full(&mut bb[..room])?);
        let n = na.min(nb);
        for (i, (x, y)) in ba[..n].iter().zip(&bb[..n]).enumerate() {
            if x != y {
                if g.has(b's') {
                    exit("differ");
                }
                let byte = at + i as u64 + 1;
                if !g.has(b'l') {
                    println!("{} {} differ: byte {byte}, line {line}", Text(a), Text(b));
                    exit("differ");
                }
                differ = true;
                out.put(format!("{byte:width$} {x:3o} {y:3o}\n").as_bytes())?;
            }
            line += u64::from(*x == b'\n');
        }
        at += n as u64;
        left -= n as u64;
        if na != nb {
            out.flush()?;
            if !g.has(b's') {
                eprintln!("cmp: EOF on {} after byte {at}", Text(if na < nb { a } else { b }));
            }
            exit("differ");
        }
        if n == 0 {
            out.flush()?;
            return if differ { exit("differ") } else { Ok(()) };
        }
    }
}

pub(super) fn sum(g: &mut Given) -> Result<()> {
    let system5 = g.has(b's');
    let many = g.rest.len();
    let mut buf = buffer(64 << 10)?;
    each_input(&g.inputs(), |path, f| {
        let (mut s, mut n) = (0u32, 0u64);
        let mut mapped = if g.has(b'm') { Some(Mapped::new(&f)?) } else { None };
        loop {
            let got = match &mut mapped {
                Some(m) => m.read(&f, &mut buf)?,
                None => f.read(&mut buf)?,
            };
            if got == 0 {
                break;
            }
            n += got as u64;
            for &b in &buf[..got] {
                s = if system5 {
                    s.wrapping_add(u32::from(b))
                } else {
                    ((s >> 1) + ((s & 1) << 15) + u32::from(b)) & 0xffff
                };
            }
        }
        let name = if many == 0 { String::new() } else { format!(" {}", Text(path)) };
        if system5 {
            let r = (s & 0xffff) + (s >> 16);
            println!("{} {}{name}", (r & 0xffff) + (r >> 16), n.div_ceil(512));
        } else {
            println!("{s:05} {:5}{name}", n.div_ceil(1024));
        }
        Ok(())
    })
    .end()
}

/// A file that is read through memory to which it is attached, a piece after the other.
struct Mapped {
    at: usize,
    len: usize,
    now: Option<Segment>,
}

/// Bytes that are attached at a time.
const PIECE: usize = 16 << 20;

impl Mapped {
    fn new(f: &File) -> Result<Mapped> {
        let len = usize::try_from(fs::fstat(f)?.stat().length).unwrap_or(usize::MAX);
        Ok(Mapped { at: 0, len, now: None })
    }

    fn read(&mut self, f: &File, buf: &mut [u8]) -> Result<usize> {
        let from = self.at % PIECE;
        if self.at >= self.len {
            return Ok(0);
        }
        if from == 0 {
            self.now = None;
            let len = PIECE.min(self.len - self.at);
            self.now = Some(Segment::of_file(f, Access::Read, self.at as u64, len)?);
        }
        let Some(s) = &self.now else { return Ok(0) };
        let n = buf.len().min(s.len() - from);
        s.read(from, &mut buf[..n])?;
        self.at += n;
        Ok(n)
    }
}

/// Reads operand after operand as one stream.
struct Joined<'a> {
    paths: &'a [&'static [u8]],
    now: Option<File>,
}

impl Joined<'_> {
    fn fill(&mut self, buf: &mut [u8]) -> Result<usize> {
        let mut done = 0;
        while done < buf.len() {
            if self.now.is_none() {
                let Some((first, rest)) = self.paths.split_first() else { break };
                self.paths = rest;
                self.now = Some(open_input(first).map_err(|e| Error::of(Text(first), e))?);
            }
            match self.now.as_ref().map_or(Ok(0), |f| f.read(&mut buf[done..]))? {
                0 => self.now = None,
                n => done += n,
            }
        }
        Ok(done)
    }
}

pub(super) fn xd(g: &mut Given) -> Result<()> {
    let amount = |f: u8| match g.value(f) {
        None => Ok(None),
        Some(w) => core::str::from_utf8(w)
            .ok()
            .and_then(amount::parse)
            .map(Some)
            .ok_or_else(|| Error::of(Text(w), "not a number of bytes")),
    };
    let (skip, mut left) = (amount(b's')?.unwrap_or(0), amount(b'n')?.unwrap_or(u64::MAX));
    let paths = g.inputs();
    let mut from = Joined { paths: &paths, now: None };
    let mut at = 0;
    let mut row = [0; 16];
    while at < skip {
        let room = row.len().min(usize::try_from(skip - at).unwrap_or(usize::MAX));
        match from.fill(&mut row[..room])? {
            0 => return Err(Error::new("the input ends before the bytes that -s skips")),
            n => at += n as u64,
        }
    }
    let mut out = output();
    let (mut last, mut starred): (Vec<u8>, bool) = (Vec::new(), false);
    loop {
        let room = row.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let n = from.fill(&mut row[..room])?;
        if n == 0 {
            break;
        }
        let bytes = &row[..n];
        if !g.has(b'v') && n == 16 && last == bytes {
            if !core::mem::replace(&mut starred, true) {
                out.put(b"*\n")?;
            }
        } else {
            starred = false;
            out.put(format!("{at:06x}{}\n", shown(bytes, g.has(b'c'))).as_bytes())?;
        }
        last.clear();
        last.extend_from_slice(bytes);
        at += n as u64;
        left -= n as u64;
    }
    out.put(format!("{at:06x}\n").as_bytes())?;
    out.flush()
}

fn shown(bytes: &[u8], characters: bool) -> String {
    let mut line = String::new();
    for &b in bytes {
        line += &match (characters, b) {
            (false, b) => format!(" {b:02x}"),
            (_, b'\n') => "  \\n".into(),
            (_, b'\t') => "  \\t".into(),
            (_, b'\r') => "  \\r".into(),
            (_, 0) => "  \\0".into(),
            (_, 7) => "  \\a".into(),
            (_, 8) => "  \\b".into(),
            (_, 11) => "  \\v".into(),
            (_, 12) => "  \\f".into(),
            (_, b' '..=b'~') => format!("   {}", char::from(b)),
            (_, b) => format!(" {b:03o}"),
        };
    }
    if !characters {
        line.extend(core::iter::repeat_n(' ', (16 - bytes.len()) * 3));
        line += "  >";
        line.extend(bytes.iter().map(|b| if (b' '..=b'~').contains(b) { char::from(*b) } else { '.' }));
        line.push('<');
    }
    line
}
