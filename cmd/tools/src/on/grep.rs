//! grep: lines that match a pattern.

use super::given::{Given, Lines, answer, chomp, open_input, output};
use super::{Outcome, Text, join};
use portolan::abi::error::Error as Known;
use portolan::abi::file::{DMDIR, OREAD};
use portolan::abi::limit;
use portolan::alloc::collections::VecDeque;
use portolan::alloc::format;
use portolan::alloc::string::String;
use portolan::alloc::vec::Vec;
use portolan::{Buffered, Error, File, Result, fs};
use tools::pattern::{self, Kind, Options, Pattern};

/// A search: what is looked for, how it is shown, what was found.
struct Search<'a> {
    g: &'a Given,
    pattern: Pattern,
    named: bool,
    before: usize,
    after: usize,
    most: u64,
    found: bool,
    out: Buffered,
    outcome: Outcome,
}

pub(super) fn grep(g: &mut Given) -> Result<()> {
    let pattern = compile(g)?;
    let both = g.number(b'C')?.unwrap_or(0);
    let deep = g.last(b"rR").is_some();
    if deep && g.rest.is_empty() {
        g.rest.push(b".");
    }
    let named = match g.last(b"Hh") {
        Some(f) => f == b'H',
        None => deep || g.rest.len() > 1,
    };
    let mut s = Search {
        pattern,
        named,
        before: g.number(b'B')?.unwrap_or(both),
        after: g.number(b'A')?.unwrap_or(both),
        most: g.number(b'm')?.unwrap_or(u64::MAX),
        found: false,
        out: output(),
        outcome: Outcome::default(),
        g,
    };
    for path in g.inputs() {
        s.path(path, deep, 0)?;
    }
    s.out.flush()?;
    if s.found && s.g.has(b'q') {
        return Ok(());
    }
    s.outcome.end()?;
    answer(s.found, "no match")
}

fn compile(g: &mut Given) -> Result<Pattern> {
    let mut patterns: Vec<&'static [u8]> = g.values(b'e').collect();
    let files: Vec<&'static [u8]> = g.values(b'f').collect();
    if patterns.is_empty() && files.is_empty() {
        if g.rest.is_empty() {
            return Err(g.wrong());
        }
        patterns.push(g.rest.remove(0));
    }
    let mut read = Vec::new();
    for f in files {
        let all = open_input(f).and_then(|f| f.read_all()).map_err(|e| Error::of(Text(f), e))?;
        read.push(all);
    }
    let mut texts: Vec<&[u8]> = Vec::new();
    for p in patterns {
        texts.extend(p.split(|&b| b == b'\n'));
    }
    for all in &read {
        texts.extend(all.split_inclusive(|&b| b == b'\n').map(chomp));
    }
    let utf8 = |p: &&'_ [u8]| core::str::from_utf8(p).map(String::from).ok();
    let texts: Option<Vec<String>> = texts.iter().map(utf8).collect();
    let texts = texts.ok_or_else(|| Error::new("the pattern is not UTF-8"))?;
    let kind = match g.last(b"EFG") {
        Some(b'E') => Kind::Extended,
        Some(b'F') => Kind::Plain,
        _ => Kind::Basic,
    };
    let options = Options { fold: g.has(b'i'), word: g.has(b'w'), line: g.has(b'x') };
    if texts.is_empty() {
        // No pattern at all, which is not the empty one: nothing matches.
        return Pattern::nothing().map_err(|e| Error::new(&e));
    }
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    pattern::compile(&texts, kind, options).map_err(|e| Error::of(texts.join(" "), e))
}

impl Search<'_> {
    fn path(&mut self, path: &[u8], deep: bool, depth: usize) -> Result<()> {
        let dir = path != b"-" && deep && fs::stat(path).is_ok_and(|a| a.stat().mode & DMDIR != 0);
        if !dir {
            let opened = open_input(path).and_then(|f| self.file(path, f));
            if let Err(e) = opened {
                if !self.g.has(b's') {
                    self.outcome.note(path, Err::<(), _>(e));
                } else {
                    self.outcome.0.get_or_insert(e);
                }
            }
            return Ok(());
        }
        if depth > limit::DEPTH {
            self.outcome.note(path, Err::<(), _>(Known::NameTooLong.into()));
            return Ok(());
        }
        let mut names = Vec::new();
        let listed = File::open(path, OREAD).and_then(|d| {
            fs::each_entry(&d, |s| {
                names.push(if path == b"." && self.g.rest == [b"."] {
                    s.name.as_bytes().to_vec()
                } else {
                    join(path, s.name.as_bytes())
                });
                Ok(())
            })
        });
        self.outcome.note(path, listed);
        names.iter().try_for_each(|n| self.path(n, deep, depth + 1))
    }

    fn file(&mut self, path: &[u8], f: File) -> Result<()> {
        let g = self.g;
        let quiet = g.last(b"qlLc").is_some();
        let mut lines = Lines::new(f);
        let (mut n, mut hits, mut owed, mut last) = (0u64, 0u64, 0, 0u64);
        let mut held: VecDeque<Vec<u8>> = VecDeque::new();
        let mut empty = Buffered::new(portolan::STDOUT);
        while hits < self.most || owed > 0 {
            let line = lines.next(if quiet { &mut empty } else { &mut self.out })?;
            let Some(line) = line.map(chomp) else { break };
            n += 1;
            let hit = hits < self.most && self.pattern.is_match(line) != g.has(b'v');
            if hit {
                hits += 1;
                self.found = true;
                if !quiet && line.contains(&0) {
                    let words = format!("grep: {}: binary file matches\n", Text(path));
                    self.out.put(words.as_bytes())?;
                    return Ok(());
                }
            }
            if quiet {
                if hit && g.last(b"qlL").is_some() {
                    break;
                }
                continue;
            }
            let line = line.to_vec();
            if hit {
                let first = n - held.len() as u64;
                if last > 0 && first > last + 1 && self.before + self.after > 0 {
                    self.out.put(b"--\n")?;
                }
                for (i, old) in core::mem::take(&mut held).iter().enumerate() {
                    self.show(path, first + i as u64, old, b"-")?;
                }
                self.show(path, n, &line, b":")?;
                (last, owed) = (n, self.after);
            } else if owed > 0 {
                owed -= 1;
                self.show(path, n, &line, b"-")?;
                last = n;
            } else if self.before > 0 {
                held.push_back(line);
                if held.len() > self.before {
                    held.pop_front();
                }
            }
        }
        self.summary(path, hits)
    }

    fn summary(&mut self, path: &[u8], hits: u64) -> Result<()> {
        let g = self.g;
        if g.has(b'q') {
            return Ok(());
        }
        let shown = if path == b"-" { b"(standard input)" } else { path };
        match g.last(b"lLc") {
            Some(b'l') if hits > 0 => self.out.put(format!("{}\n", Text(shown)).as_bytes()),
            Some(b'L') if hits == 0 => self.out.put(format!("{}\n", Text(shown)).as_bytes()),
            Some(b'c') if self.named => self.out.put(format!("{}:{hits}\n", Text(shown)).as_bytes()),
            Some(b'c') => self.out.put(format!("{hits}\n").as_bytes()),
            _ => Ok(()),
        }
    }

    fn show(&mut self, path: &[u8], n: u64, line: &[u8], mark: &[u8]) -> Result<()> {
        let mut head = Vec::new();
        if self.named {
            let shown = if path == b"-" { b"(standard input)" } else { path };
            head.extend_from_slice(shown);
            head.extend_from_slice(mark);
        }
        if self.g.has(b'n') {
            head.extend_from_slice(format!("{n}").as_bytes());
            head.extend_from_slice(mark);
        }
        if !self.g.has(b'o') {
            self.out.put(&head)?;
            self.out.put(line)?;
            return self.out.put(b"\n");
        }
        if self.g.has(b'v') || mark == b"-" {
            return Ok(());
        }
        for m in self.pattern.find_iter(line).filter(|m| !m.is_empty()) {
            self.out.put(&head)?;
            self.out.put(m)?;
            self.out.put(b"\n")?;
        }
        Ok(())
    }
}
