//! find: walks trees and asks of each file what the expression says.

use super::given::{Given, output};
use super::{Outcome, Text, base, join, number, trimmed};
use portolan::abi::error::Error as Known;
use portolan::abi::file::{DMDIR, OREAD};
use portolan::abi::limit;
use portolan::alloc::boxed::Box;
use portolan::alloc::vec::Vec;
use portolan::fs::Attributes;
use portolan::{Buffered, Error, File, Result, fs, process};
use tools::{amount, glob};

/// A number asked for: less than, exactly, or more than.
#[derive(Clone, Copy)]
struct Bound(core::cmp::Ordering, u64);

impl Bound {
    fn read(word: &[u8], scale: impl Fn(&str) -> Option<u64>) -> Result<Bound> {
        let (how, digits) = match word.first() {
            Some(b'+') => (core::cmp::Ordering::Greater, &word[1..]),
            Some(b'-') => (core::cmp::Ordering::Less, &word[1..]),
            _ => (core::cmp::Ordering::Equal, word),
        };
        let n = core::str::from_utf8(digits).ok().and_then(scale);
        Ok(Bound(how, n.ok_or_else(|| Error::of(Text(word), "not a number with + or - before it"))?))
    }

    fn holds(self, n: u64) -> bool {
        n.cmp(&self.1) == self.0
    }
}

enum Test {
    And(Box<Test>, Box<Test>),
    Or(Box<Test>, Box<Test>),
    Not(Box<Test>),
    Yes,
    Name(&'static [u8], bool),
    Path(&'static [u8]),
    Dir(bool),
    /// In units of so many bytes, rounded up.
    Size(u64, Bound),
    Minutes(Bound, u64),
    Newer(u32),
    Empty,
    Mode(u32),
    Print(u8),
    Prune,
    Quit,
    Delete,
    Exec(Vec<&'static [u8]>),
}

/// The expression as it is read, and what it says of the walk itself.
struct Reader {
    words: Vec<&'static [u8]>,
    at: usize,
    least: usize,
    most: usize,
    acts: bool,
    late: bool,
}

impl Reader {
    fn peek(&self) -> Option<&'static [u8]> {
        self.words.get(self.at).copied()
    }

    fn value(&mut self, of: &[u8]) -> Result<&'static [u8]> {
        self.at += 1;
        self.words.get(self.at - 1).copied().ok_or_else(|| Error::of(Text(of), "wants a value behind it"))
    }

    fn or(&mut self, depth: usize) -> Result<Test> {
        if depth > 50 {
            return Err(Error::new("the expression is nested too deeply"));
        }
        let mut t = self.and(depth)?;
        while matches!(self.peek(), Some(b"-o" | b"-or")) {
            self.at += 1;
            t = Test::Or(Box::new(t), Box::new(self.and(depth)?));
        }
        Ok(t)
    }

    fn and(&mut self, depth: usize) -> Result<Test> {
        let mut t = self.one(depth)?;
        loop {
            match self.peek() {
                None | Some(b")" | b"-o" | b"-or") => return Ok(t),
                Some(b"-a" | b"-and") => self.at += 1,
                Some(_) => {}
            }
            t = Test::And(Box::new(t), Box::new(self.one(depth)?));
        }
    }

    fn one(&mut self, depth: usize) -> Result<Test> {
        let word = self.value(b"the expression")?;
        Ok(match word {
            b"!" | b"-not" => Test::Not(Box::new(if depth > 50 { Test::Yes } else { self.one(depth + 1)? })),
            b"(" => {
                let t = self.or(depth + 1)?;
                if self.value(b"(")? != b")" {
                    return Err(Error::new("( without )"));
                }
                t
            }
            b"-name" => Test::Name(self.value(word)?, false),
            b"-iname" => Test::Name(self.value(word)?, true),
            b"-path" | b"-wholename" => Test::Path(self.value(word)?),
            b"-type" => match self.value(word)? {
                b"d" => Test::Dir(true),
                b"f" => Test::Dir(false),
                t => return Err(Error::of(Text(t), "no kind of file here (f or d)")),
            },
            b"-size" => self.size(word)?,
            b"-mmin" => Test::Minutes(Bound::read(self.value(word)?, |s| s.parse().ok())?, 1),
            b"-mtime" => Test::Minutes(Bound::read(self.value(word)?, |s| s.parse().ok())?, 24 * 60),
            b"-newer" => {
                let f = self.value(word)?;
                Test::Newer(fs::stat(f).map_err(|e| Error::of(Text(f), e))?.stat().mtime)
            }
            b"-perm" => {
                let m = self.value(word)?;
                let octal = core::str::from_utf8(m).ok().and_then(|m| u32::from_str_radix(m, 8).ok());
                Test::Mode(octal.ok_or_else(|| Error::of(Text(m), "not an octal mode"))?)
            }
            b"-empty" => Test::Empty,
            b"-true" => Test::Yes,
            b"-prune" => Test::Prune,
            b"-maxdepth" => {
                self.most = number(self.value(word)?)?;
                Test::Yes
            }
            b"-mindepth" => {
                self.least = number(self.value(word)?)?;
                Test::Yes
            }
            b"-depth" => {
                self.late = true;
                Test::Yes
            }
            action => return self.action(action),
        })
    }

    fn size(&mut self, word: &[u8]) -> Result<Test> {
        let w = self.value(word)?;
        let (digits, unit) = match w.split_last() {
            Some((b'c', d)) => (d, 1),
            Some((l, d)) if l.is_ascii_alphabetic() => {
                let unit = core::str::from_utf8(&[b'1', *l]).ok().and_then(amount::parse);
                (d, unit.ok_or_else(|| Error::of(Text(w), "no size (c, b, k, M, G)"))?)
            }
            _ => (w, 512),
        };
        Ok(Test::Size(unit, Bound::read(digits, |s| s.parse().ok())?))
    }

    fn action(&mut self, word: &'static [u8]) -> Result<Test> {
        self.acts |= word != b"-quit";
        Ok(match word {
            b"-print" => Test::Print(b'\n'),
            b"-print0" => Test::Print(0),
            b"-quit" => Test::Quit,
            b"-delete" => {
                self.late = true;
                Test::Delete
            }
            b"-exec" => {
                let mut command = Vec::new();
                loop {
                    match self.value(b"-exec")? {
                        b";" => break,
                        w => command.push(w),
                    }
                }
                if command.is_empty() {
                    return Err(Error::new("-exec wants a command, then ';'"));
                }
                Test::Exec(command)
            }
            w => return Err(Error::of(Text(w), "not known to find (find -h lists what is)")),
        })
    }
}

struct Walk {
    test: Test,
    least: usize,
    most: usize,
    late: bool,
    now: u64,
    pruned: bool,
    quit: bool,
    out: Buffered,
    outcome: Outcome,
}

pub(super) fn find(g: &mut Given) -> Result<()> {
    let begins = |w: &&&[u8]| w.len() > 1 && w.starts_with(b"-") || matches!(**w, b"!" | b"(");
    let n = g.rest.iter().position(|w| begins(&w)).unwrap_or(g.rest.len());
    let words = g.rest.split_off(n);
    if g.rest.is_empty() {
        g.rest.push(b".");
    }
    let mut r = Reader { words, at: 0, least: 0, most: usize::MAX, acts: false, late: false };
    let mut test = if r.words.is_empty() { Test::Yes } else { r.or(0)? };
    if let Some(w) = r.peek() {
        return Err(Error::of(Text(w), "has no place in the expression"));
    }
    if !r.acts {
        test = Test::And(Box::new(test), Box::new(Test::Print(b'\n')));
    }
    let now = portolan::time::since_1970().as_secs();
    let mut w = Walk {
        test,
        least: r.least,
        most: r.most,
        late: r.late,
        now,
        pruned: false,
        quit: false,
        out: output(),
        outcome: Outcome::default(),
    };
    for path in &g.rest {
        w.visit(path, 0)?;
    }
    w.out.flush()?;
    w.outcome.end()
}

impl Walk {
    fn visit(&mut self, path: &[u8], depth: usize) -> Result<()> {
        if self.quit {
            return Ok(());
        }
        let Some(a) = self.outcome.note(path, fs::stat(path)) else { return Ok(()) };
        let test = core::mem::replace(&mut self.test, Test::Yes);
        let mut asked = Ok(true);
        self.pruned = false;
        if !self.late && depth >= self.least {
            asked = self.holds(&test, path, &a);
        }
        let down = a.stat().mode & DMDIR != 0 && depth < self.most && !self.pruned;
        self.test = test;
        asked?;
        if down {
            if depth > limit::DEPTH {
                self.outcome.note(path, Err::<(), _>(Known::NameTooLong.into()));
                return Ok(());
            }
            let mut names = Vec::new();
            let listed = File::open(path, OREAD).and_then(|d| {
                fs::each_entry(&d, |s| {
                    names.push(join(path, s.name.as_bytes()));
                    Ok(())
                })
            });
            self.outcome.note(path, listed);
            for n in names {
                self.visit(&n, depth + 1)?;
            }
        }
        if self.late && depth >= self.least && !self.quit {
            let test = core::mem::replace(&mut self.test, Test::Yes);
            let asked = self.holds(&test, path, &a);
            self.test = test;
            asked?;
        }
        Ok(())
    }

    fn holds(&mut self, t: &Test, path: &[u8], a: &Attributes) -> Result<bool> {
        let s = a.stat();
        let dir = s.mode & DMDIR != 0;
        Ok(match t {
            Test::And(x, y) => self.holds(x, path, a)? && self.holds(y, path, a)?,
            Test::Or(x, y) => self.holds(x, path, a)? || self.holds(y, path, a)?,
            Test::Not(x) => !self.holds(x, path, a)?,
            Test::Yes => true,
            Test::Name(p, false) => glob::matches(p, base(path)),
            Test::Name(p, true) => glob::matches(&p.to_ascii_lowercase(), &base(path).to_ascii_lowercase()),
            Test::Path(p) => glob::matches(p, path),
            Test::Dir(want) => dir == *want,
            Test::Size(unit, b) => b.holds(s.length.div_ceil(*unit)),
            Test::Minutes(b, unit) => b.holds(self.now.saturating_sub(u64::from(s.mtime)) / 60 / unit),
            Test::Newer(than) => s.mtime > *than,
            Test::Mode(m) => s.mode & 0o777 == *m,
            Test::Empty if dir => {
                let mut any = false;
                let listed = File::open(path, OREAD).and_then(|d| {
                    fs::each_entry(&d, |_| {
                        any = true;
                        Ok(())
                    })
                });
                self.outcome.note(path, listed).is_some() && !any
            }
            Test::Empty => s.length == 0,
            Test::Print(end) => {
                self.out.put(path)?;
                self.out.put(&[*end])?;
                true
            }
            Test::Prune => {
                self.pruned = true;
                true
            }
            Test::Quit => {
                self.quit = true;
                true
            }
            Test::Delete if matches!(trimmed(path), b"." | b"/") => true,
            Test::Delete => self.outcome.note(path, fs::remove(path)).is_some(),
            Test::Exec(command) => {
                // What was found before is shown before the command speaks.
                self.out.flush()?;
                self.exec(command, path)?
            }
        })
    }

    fn exec(&mut self, command: &[&'static [u8]], path: &[u8]) -> Result<bool> {
        let mut args: Vec<Vec<u8>> = Vec::new();
        for word in command {
            let mut arg = Vec::new();
            let mut rest = *word;
            while let Some(at) = rest.windows(2).position(|w| w == b"{}") {
                arg.extend_from_slice(&rest[..at]);
                arg.extend_from_slice(path);
                rest = &rest[at + 2..];
            }
            arg.extend_from_slice(rest);
            args.push(arg);
        }
        let name = args[0].clone();
        let program = super::system::program(&name)?;
        let pid = process::spawn(program, &args, [0, 1, 2]).map_err(|e| Error::of(Text(&name), e))?;
        Ok(process::wait_for(pid)?.status.is_empty())
    }
}
