//! The parser: text to syntax tree, one line of commands at a time.
//!
//! [`Text`] is read from a [`Source`], which yields lines and, for a terminal, prompts. There is no separate lexer:
//! what a byte means depends on where it stands (after `$`, in the place of an argument, directly behind a word),
//! and a descent over the bytes says that in one place. Free carets are inserted here, here-documents are cut out
//! of the lines that follow, and habits of other shells are answered with the rc form ([`crate::habits`]).
//!
//! Precedence, from the tightest: `|`; `!`, `@`, assignments and redirections before a command; `&&` and `||`;
//! `if`, `for` and `while`, whose command reaches as far to the right as it can.

mod redirs;
mod words;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::ast::*;
use crate::habits;

/// Where a parser's text comes from.
pub trait Source {
    /// The next line with its newline, or any larger piece of text; none at the end. `more` says that a command is
    /// incomplete.
    fn line(&mut self, more: bool) -> Result<Option<Vec<u8>>, Vec<u8>>;
}

/// The whole text at once.
impl Source for Option<Vec<u8>> {
    fn line(&mut self, _more: bool) -> Result<Option<Vec<u8>>, Vec<u8>> {
        Ok(self.take())
    }
}

/// Why there is no command.
#[derive(Debug, PartialEq, Eq)]
pub enum Fail {
    /// It is not rc's syntax.
    Syntax {
        /// The line, counted from 1.
        line: usize,
        /// What stands there.
        near: Vec<u8>,
        /// What is wrong.
        why: String,
    },
    /// The source failed, and why.
    Source(Vec<u8>),
}

type Parse<T> = Result<T, Fail>;

/// The text that has been read ahead, and where the next line of commands begins in it.
#[derive(Default)]
pub struct Text {
    text: Vec<u8>,
    pos: usize,
    /// Newlines passed.
    line: usize,
    /// Lines of here-documents cut out behind the current line.
    cut: usize,
    ended: bool,
    after_if: bool,
}

impl Text {
    /// The line that comes next, counted from 1.
    pub fn line(&self) -> usize {
        self.line + 1
    }

    /// The next line's commands; none at the end of the text. After an error the rest of the line is dropped.
    pub fn next(&mut self, source: &mut dyn Source) -> Result<Option<Cmd>, Fail> {
        self.text.drain(..self.pos.min(self.text.len()));
        self.pos = 0;
        let result = Parser { source, t: self, depth: 0, begun: false }.top();
        if result.is_err() {
            let rest = self.text.get(self.pos..).unwrap_or_default();
            self.pos += rest.iter().position(|&c| c == b'\n').map_or(rest.len(), |n| n + 1);
            self.line += 1 + core::mem::take(&mut self.cut);
            self.after_if = false;
        }
        result
    }
}

/// The parser of one line.
struct Parser<'a> {
    source: &'a mut dyn Source,
    t: &'a mut Text,
    depth: usize,
    begun: bool,
}

impl Parser<'_> {
    fn top(&mut self) -> Parse<Option<Cmd>> {
        let mut list = Vec::new();
        self.blanks()?;
        if self.peek()?.is_none() {
            return Ok(None);
        }
        self.begun = true;
        loop {
            self.blanks()?;
            match self.peek()? {
                None => break,
                Some(b'\n') => {
                    self.newline();
                    break;
                }
                Some(b';') => self.t.pos += 1,
                Some(_) => {
                    let cmd = self.listed(&list)?;
                    list.push(cmd);
                }
            }
        }
        Ok(Some(if list.len() == 1 { list.pop().unwrap_or(Cmd::Empty) } else { Cmd::Seq(list) }))
    }

    // Bytes.

    fn peek(&mut self) -> Parse<Option<u8>> {
        while self.t.pos >= self.t.text.len() {
            if self.t.ended || !self.refill()? {
                return Ok(None);
            }
        }
        Ok(self.t.text.get(self.t.pos).copied())
    }

    fn refill(&mut self) -> Parse<bool> {
        match self.source.line(self.begun).map_err(Fail::Source)? {
            Some(more) => {
                self.t.text.try_reserve(more.len()).map_err(|_| Fail::Source(b"out of memory".to_vec()))?;
                self.t.text.extend_from_slice(&more);
                Ok(true)
            }
            None => {
                self.t.ended = true;
                Ok(false)
            }
        }
    }

    fn at(&self, ahead: usize) -> u8 {
        self.t.text.get(self.t.pos + ahead).copied().unwrap_or(0)
    }

    fn eat(&mut self, c: u8) -> Parse<bool> {
        let is = self.peek()? == Some(c);
        self.t.pos += usize::from(is);
        Ok(is)
    }

    fn newline(&mut self) {
        self.t.pos += 1;
        self.t.line += 1 + core::mem::take(&mut self.t.cut);
    }

    /// Skips blanks, comments and continued lines.
    fn blanks(&mut self) -> Parse<()> {
        loop {
            match self.peek()? {
                Some(b' ' | b'\t') => self.t.pos += 1,
                Some(b'\\') if self.at(1) == b'\n' => {
                    self.t.pos += 1;
                    self.newline();
                }
                Some(b'#') => {
                    let rest = self.t.text.get(self.t.pos..).unwrap_or_default();
                    self.t.pos += rest.iter().position(|&c| c == b'\n').unwrap_or(rest.len());
                }
                _ => return Ok(()),
            }
        }
    }

    /// Skips newlines too.
    fn gap(&mut self) -> Parse<()> {
        self.blanks()?;
        while self.peek()? == Some(b'\n') {
            self.newline();
            self.blanks()?;
        }
        Ok(())
    }

    /// The unquoted word that begins here, not consumed.
    fn bare(&mut self) -> Parse<&[u8]> {
        self.peek()?;
        let rest = self.t.text.get(self.t.pos..).unwrap_or_default();
        let mut len = rest.iter().position(|&c| !word_byte(c)).unwrap_or(rest.len());
        if len > 0 && rest.get(len - 1..=len) == Some(b"\\\n") {
            len -= 1; // A continued line ends the word.
        }
        Ok(rest.get(..len).unwrap_or_default())
    }

    fn wrong<T>(&mut self, why: &str) -> Parse<T> {
        let word = self.bare()?.to_vec();
        let near = if !word.is_empty() {
            word
        } else {
            match self.peek()? {
                None => b"end of file".to_vec(),
                Some(b'\n') => b"newline".to_vec(),
                Some(0) => b"a zero byte".to_vec(),
                Some(c) => [c].to_vec(),
            }
        };
        Err(Fail::Syntax { line: self.t.line(), near, why: why.into() })
    }

    fn deeper<T>(&mut self, f: impl FnOnce(&mut Self) -> Parse<T>) -> Parse<T> {
        if self.depth >= DEPTH {
            return self.wrong("nested too deeply");
        }
        self.depth += 1;
        let out = f(self);
        self.depth -= 1;
        out
    }

    // Commands.

    /// One command of a list, with the `&` that may end it. The list is what came before.
    fn listed(&mut self, list: &[Cmd]) -> Parse<Cmd> {
        let line = self.t.line();
        let after_if = list.last().map_or(self.depth == 0 && self.t.after_if, Cmd::ends_in_if);
        let cmd = self.chain()?;
        if matches!(cmd, Cmd::IfNot(_)) && !after_if {
            return Err(Fail::Syntax {
                line,
                near: b"if not".to_vec(),
                why: "no if(...) comes before".into(),
            });
        }
        self.t.after_if = cmd.ends_in_if();
        self.blanks()?;
        match self.peek()? {
            Some(b'&') if self.at(1) != b'&' => {
                if self.at(1) == b'>' {
                    return self.wrong(habits::BOTH);
                }
                self.t.pos += 1;
                Ok(Cmd::Async(Arc::new(cmd)))
            }
            Some(b';') => {
                self.t.pos += 1;
                Ok(cmd)
            }
            None | Some(b'\n' | b'}' | b')') => Ok(cmd),
            Some(_) if self.bare()? == b"else" => self.wrong(habits::ELSE),
            Some(_) => self.wrong("syntax error"),
        }
        .and_then(|cmd| {
            if self.depth == 0 && matches!(self.peek()?, Some(b'}' | b')')) {
                self.wrong("syntax error")
            } else {
                Ok(cmd)
            }
        })
    }

    /// The commands up to `end`, which is consumed.
    fn list(&mut self, end: u8) -> Parse<Vec<Cmd>> {
        self.deeper(|p| {
            let mut list = Vec::new();
            loop {
                p.gap()?;
                match p.peek()? {
                    Some(c) if c == end => {
                        p.t.pos += 1;
                        return Ok(list);
                    }
                    Some(b';') => p.t.pos += 1,
                    None => return p.wrong(&format!("{} is missing", char::from(end))),
                    Some(_) => {
                        let cmd = p.listed(&list)?;
                        list.push(cmd);
                        if matches!(p.peek()?, Some(b'}' | b')')) && p.peek()? != Some(end) {
                            return p.wrong("syntax error");
                        }
                    }
                }
            }
        })
    }

    fn paren(&mut self, habit: &str) -> Parse<Box<Cmd>> {
        self.blanks()?;
        if !self.eat(b'(')? {
            return self.wrong(habit);
        }
        Ok(Box::new(Cmd::Seq(self.list(b')')?)))
    }

    fn brace(&mut self) -> Parse<Vec<Cmd>> {
        self.blanks()?;
        if !self.eat(b'{')? {
            return self.wrong("{ is missing");
        }
        self.list(b'}')
    }

    fn chain(&mut self) -> Parse<Cmd> {
        let first = self.deeper(Self::prefixed)?;
        let mut rest = Vec::new();
        loop {
            self.blanks()?;
            let and = match (self.peek()?, self.at(1)) {
                (Some(b'&'), b'&') => true,
                (Some(b'|'), b'|') => false,
                _ => break,
            };
            self.t.pos += 2;
            self.gap()?;
            rest.push((and, self.deeper(Self::prefixed)?));
        }
        Ok(if rest.is_empty() { first } else { Cmd::Chain { first: Box::new(first), rest } })
    }

    /// What `!`, `@`, assignments and redirections apply to: a pipeline.
    fn prefixed(&mut self) -> Parse<Cmd> {
        let first = self.unit()?;
        self.rest_of_pipe(first)
    }

    fn rest_of_pipe(&mut self, first: Cmd) -> Parse<Cmd> {
        let mut rest = Vec::new();
        loop {
            self.blanks()?;
            if self.peek()? != Some(b'|') || self.at(1) == b'|' {
                break;
            }
            self.t.pos += 1;
            let join = self.join()?;
            self.gap()?;
            rest.push((join, Arc::new(self.deeper(Self::unit)?)));
        }
        Ok(if rest.is_empty() { first } else { Cmd::Pipe { first: Arc::new(first), rest } })
    }

    fn unit(&mut self) -> Parse<Cmd> {
        self.blanks()?;
        match self.peek()? {
            Some(b'{') => {
                let body = self.brace()?;
                Ok(Cmd::Brace { body: Box::new(Cmd::Seq(body)), redirs: self.redirs()? })
            }
            Some(b'<' | b'>') if !self.pipe_file() => self.prefix(Vec::new()),
            Some(_) => match self.bare()? {
                b"if" => self.conditional(),
                b"for" => self.for_loop(),
                b"while" => {
                    self.t.pos += 5;
                    let cond = self.paren(habits::WHILE)?;
                    Ok(Cmd::While { cond, body: self.body()? })
                }
                b"switch" => {
                    self.t.pos += 6;
                    self.blanks()?;
                    let subject = self.word(true)?;
                    self.gap()?;
                    Ok(Cmd::Switch { subject, body: self.brace()? })
                }
                b"fn" => self.function(),
                b"~" => {
                    self.t.pos += 1;
                    self.blanks()?;
                    let subject = self.word(true)?;
                    let mut patterns = Vec::new();
                    while self.word_begins(true)? {
                        patterns.push(self.word(true)?);
                    }
                    Ok(Cmd::Match { subject, patterns, redirs: self.redirs()? })
                }
                b"!" => {
                    self.t.pos += 1;
                    Ok(Cmd::Not(Box::new(self.operand()?)))
                }
                b"@" => {
                    self.t.pos += 1;
                    Ok(Cmd::Subshell(Arc::new(self.operand()?)))
                }
                b"in" | b"not" => self.wrong("syntax error"),
                _ => self.simple(Vec::new()),
            },
            None => self.wrong("a command is missing"),
        }
    }

    fn operand(&mut self) -> Parse<Cmd> {
        self.deeper(Self::prefixed)
    }

    fn body(&mut self) -> Parse<Box<Cmd>> {
        self.gap()?;
        Ok(Box::new(match self.peek()? {
            Some(b';' | b')' | b'}') => {
                Cmd::Brace { body: Box::new(Cmd::Seq(Vec::new())), redirs: Vec::new() }
            }
            _ => self.deeper(Self::chain)?,
        }))
    }

    fn conditional(&mut self) -> Parse<Cmd> {
        self.t.pos += 2;
        self.blanks()?;
        if self.bare()? == b"not" {
            self.t.pos += 3;
            return Ok(Cmd::IfNot(self.body()?));
        }
        let cond = self.paren(habits::IF)?;
        Ok(Cmd::If { cond, body: self.body()? })
    }

    fn for_loop(&mut self) -> Parse<Cmd> {
        self.t.pos += 3;
        self.blanks()?;
        if !self.eat(b'(')? {
            return self.wrong(habits::FOR);
        }
        self.gap()?;
        let name = self.word(false)?;
        self.gap()?;
        let words = if self.bare()? == b"in" {
            self.t.pos += 2;
            Some(self.words()?)
        } else if self.eat(b')')? {
            None
        } else {
            return self.wrong("syntax error");
        };
        Ok(Cmd::For { name, words, body: self.body()? })
    }

    fn function(&mut self) -> Parse<Cmd> {
        self.t.pos += 2;
        let mut names = Vec::new();
        while self.word_begins(false)? {
            names.push(self.word(false)?);
        }
        if names.is_empty() {
            return self.wrong(habits::FUNCTION);
        }
        let body = match self.peek()? {
            Some(b'{') => Some(Arc::new(Cmd::Seq(self.brace()?))),
            _ => None,
        };
        Ok(Cmd::Fn { names, body })
    }

    /// Assignments and redirections, then the command that they are for.
    fn prefix(&mut self, mut before: Vec<Prefix>) -> Parse<Cmd> {
        loop {
            self.blanks()?;
            match self.peek()? {
                Some(b'<' | b'>') if !self.pipe_file() => before.push(Prefix::Redir(self.redir()?)),
                None | Some(b'\n' | b';' | b'&' | b'|' | b')' | b'}') => {
                    return Ok(Cmd::Prefix { before, body: Box::new(Cmd::Empty) });
                }
                Some(b'{') => break,
                Some(_) => {
                    if keyword(self.bare()?) {
                        break;
                    }
                    return self.simple(before);
                }
            }
        }
        Ok(Cmd::Prefix { before, body: Box::new(self.operand()?) })
    }

    /// A simple command or an assignment; `before` is what stood before it.
    fn simple(&mut self, mut before: Vec<Prefix>) -> Parse<Cmd> {
        if !self.word_begins(false)? {
            return self.wrong("syntax error");
        }
        let first = self.word(false)?;
        let adjacent =
            self.t.pos.checked_sub(1).and_then(|n| self.t.text.get(n)).is_some_and(|&c| word_byte(c));
        if adjacent && self.peek()? == Some(b'(') {
            return self.wrong(if self.at(1) == b')' {
                habits::FUNCTION
            } else {
                "a blank is missing before ("
            });
        }
        self.blanks()?;
        if self.eat(b'=')? {
            self.blanks()?;
            if !self.word_begins(true)? {
                return self.wrong(habits::EMPTY);
            }
            before.push(Prefix::Assign(first, self.word(true)?));
            return self.prefix(before);
        }
        let mut args = Vec::from([first]);
        let mut redirs = Vec::new();
        loop {
            // Directly behind the name = would make an assignment.
            if self.word_begins(args.len() > 1)? {
                args.push(self.word(true)?);
            } else if matches!(self.peek()?, Some(b'<' | b'>')) {
                redirs.push(self.redir()?);
            } else {
                break;
            }
        }
        let cmd = Cmd::Simple { args, redirs };
        if before.is_empty() {
            return Ok(cmd);
        }
        // The assignments reach over a whole pipeline.
        let body = self.rest_of_pipe(cmd)?;
        Ok(Cmd::Prefix { before, body: Box::new(body) })
    }
}
