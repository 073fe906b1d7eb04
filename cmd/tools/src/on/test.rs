//! test, also known as `[`: asks about files, strings and numbers, and answers with its status.

use super::given::{Given, answer};
use super::{Text, number};
use portolan::abi::file::DMDIR;
use portolan::{Error, File, Result, exit, fs};

/// Deepest nesting of parentheses and negations.
const DEPTH: usize = 50;

struct Expression<'a> {
    words: &'a [&'static [u8]],
    at: usize,
    depth: usize,
}

pub(super) fn test(g: &mut Given) -> Result<()> {
    let mut words = &g.rest[..];
    if g.usage.name == "[" {
        match words.split_last() {
            Some((&b"]", before)) => words = before,
            _ => return Err(Error::new("the closing ] is missing")),
        }
    }
    let held = evaluate(words);
    match held {
        Ok(yes) => answer(yes, "false"),
        Err(e) => {
            portolan::eprintln!("{}: {e}", g.usage.name);
            exit("usage")
        }
    }
}

/// POSIX decides by the number of words, so that any word may be compared; only longer expressions are read by grammar.
fn evaluate(words: &[&'static [u8]]) -> Result<bool> {
    match words {
        [] => Ok(false),
        [a] => Ok(!a.is_empty()),
        [b"!", a] => Ok(a.is_empty()),
        [op, a] => {
            unary(op, a).unwrap_or_else(|| Err(Error::of(Text(op), "no such test (test -h lists them)")))
        }
        [a, op, b] if binary(a, op, b).is_some() => binary(a, op, b).unwrap_or(Ok(false)),
        [b"!", rest @ ..] if rest.len() < 4 => Ok(!evaluate(rest)?),
        [b"(", a, b")"] => Ok(!a.is_empty()),
        _ => {
            let mut e = Expression { words, at: 0, depth: 0 };
            let yes = e.or()?;
            match e.words.get(e.at) {
                None => Ok(yes),
                Some(w) => Err(Error::of(Text(w), "has no place in the expression")),
            }
        }
    }
}

impl Expression<'_> {
    fn peek(&self, ahead: usize) -> Option<&'static [u8]> {
        self.words.get(self.at + ahead).copied()
    }

    fn or(&mut self) -> Result<bool> {
        let mut yes = self.and()?;
        while self.peek(0) == Some(b"-o") {
            self.at += 1;
            yes |= self.and()?;
        }
        Ok(yes)
    }

    fn and(&mut self) -> Result<bool> {
        let mut yes = self.one()?;
        while self.peek(0) == Some(b"-a") {
            self.at += 1;
            yes &= self.one()?;
        }
        Ok(yes)
    }

    fn one(&mut self) -> Result<bool> {
        let Some(word) = self.peek(0) else { return Err(Error::new("a test is missing")) };
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(Error::new("nested too deeply"));
        }
        let yes = self.primary(word);
        self.depth -= 1;
        yes
    }

    fn primary(&mut self, word: &'static [u8]) -> Result<bool> {
        if let (Some(op), Some(b)) = (self.peek(1), self.peek(2))
            && let Some(yes) = binary(word, op, b)
        {
            self.at += 3;
            return yes;
        }
        self.at += 1;
        match word {
            b"!" => Ok(!self.one()?),
            b"(" => {
                let yes = self.or()?;
                if self.peek(0) != Some(b")") {
                    return Err(Error::new("( without )"));
                }
                self.at += 1;
                Ok(yes)
            }
            op => match self.peek(0).and_then(|a| unary(op, a)) {
                Some(yes) => {
                    self.at += 1;
                    yes
                }
                None => Ok(!op.is_empty()),
            },
        }
    }
}

fn unary(op: &[u8], a: &[u8]) -> Option<Result<bool>> {
    let stat = |f: &dyn Fn(&fs::Attributes) -> bool| Ok(fs::stat(a).is_ok_and(|s| f(&s)));
    let mode = |bits: u32| stat(&|s| s.stat().mode & bits != 0);
    Some(match op {
        b"-n" => Ok(!a.is_empty()),
        b"-z" => Ok(a.is_empty()),
        b"-e" | b"-a" => stat(&|_| true),
        b"-f" => stat(&|s| s.stat().mode & DMDIR == 0),
        b"-d" => mode(DMDIR),
        b"-s" => stat(&|s| s.stat().length > 0 || s.stat().mode & DMDIR != 0),
        b"-r" => mode(0o444),
        b"-w" => mode(0o222),
        b"-x" => mode(0o111),
        b"-t" => number::<i32>(a).map(|fd| {
            let f = core::mem::ManuallyDrop::new(File::from_fd(fd));
            f.path().is_ok_and(|p| p.ends_with(b"/cons"))
        }),
        // There are no such files.
        b"-L" | b"-h" | b"-p" | b"-S" | b"-b" | b"-c" => Ok(false),
        _ => return None,
    })
}

fn binary(a: &[u8], op: &[u8], b: &[u8]) -> Option<Result<bool>> {
    let numbers = |f: &dyn Fn(i64, i64) -> bool| Ok(f(number(a)?, number(b)?));
    let times = |newer: bool| {
        let time = |p: &[u8]| fs::stat(p).ok().map(|s| s.stat().mtime);
        Ok(if newer { time(a) > time(b) } else { time(a) < time(b) })
    };
    Some(match op {
        b"=" | b"==" => Ok(a == b),
        b"!=" => Ok(a != b),
        b"-eq" => numbers(&|a, b| a == b),
        b"-ne" => numbers(&|a, b| a != b),
        b"-lt" => numbers(&|a, b| a < b),
        b"-le" => numbers(&|a, b| a <= b),
        b"-gt" => numbers(&|a, b| a > b),
        b"-ge" => numbers(&|a, b| a >= b),
        b"-nt" => times(true),
        b"-ot" => times(false),
        _ => return None,
    })
}
