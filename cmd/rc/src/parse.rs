//! The parser: text to syntax tree, one line of commands at a time.
//!
//! [`Text`] is read from a [`Source`], which yields lines and, for a terminal, prompts. There is no separate lexer:
//! what a byte means depends on where it stands (after `$`, in the place of an argument, directly behind a word),
//! and a descent over the bytes says that in one place. Free carets are inserted here, here-documents are cut out
//! of the lines that follow, and habits of other shells are answered with the rc form ([`crate::habits`]).
//!
//! Precedence, from the tightest: `|`; `!`, `@`, assignments and redirections before a command; `&&` and `||`;
//! `if`, `for` and `while`, whose command reaches as far to the right as it can.

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

    // Redirections.

    fn redirs(&mut self) -> Parse<Vec<Redir>> {
        let mut redirs = Vec::new();
        loop {
            self.blanks()?;
            match self.peek()? {
                Some(b'<' | b'>') if !self.pipe_file() => redirs.push(self.redir()?),
                _ => return Ok(redirs),
            }
        }
    }

    /// Does `<{` or `>{` stand here, which is a word?
    fn pipe_file(&self) -> bool {
        matches!((self.at(0), self.at(1)), (b'<' | b'>', b'{'))
    }

    fn redir(&mut self) -> Parse<Redir> {
        let (mode, len) = match (self.at(0), self.at(1), self.at(2)) {
            (b'<', b'<', b'<') => return self.wrong(habits::HERE_STRING),
            (b'<', b'<', _) => {
                self.t.pos += 2;
                return self.here();
            }
            (b'<', b'>', _) => (Mode::Both, 2),
            (b'>', b'>', _) => (Mode::Append, 2),
            (b'<', _, _) => (Mode::Read, 1),
            _ => (Mode::Write, 1),
        };
        self.t.pos += len;
        let mut fd = u32::from(matches!(mode, Mode::Write | Mode::Append));
        if self.eat(b'[')? {
            fd = self.number()?;
            if self.eat(b'=')? {
                if self.eat(b']')? {
                    return Ok(Redir::Close { mode, fd });
                }
                let old = self.number()?;
                self.close_bracket()?;
                return Ok(Redir::Dup { mode, new: fd, old });
            }
            self.close_bracket()?;
        }
        self.blanks()?;
        if self.peek()? == Some(b'&') {
            return self.wrong(habits::DUP);
        }
        if !self.word_begins(true)? {
            return self.wrong("a file name is missing");
        }
        Ok(Redir::File { mode, fd, name: self.word(true)? })
    }

    fn number(&mut self) -> Parse<u32> {
        let mut n: Option<u32> = None;
        while let Some(c @ b'0'..=b'9') = self.peek()? {
            n = n.unwrap_or(0).checked_mul(10).and_then(|n| n.checked_add(u32::from(c - b'0')));
            if n.is_none() {
                return self.wrong("descriptor too large");
            }
            self.t.pos += 1;
        }
        match n {
            Some(n) => Ok(n),
            None => self.wrong("a descriptor is missing"),
        }
    }

    fn close_bracket(&mut self) -> Parse<()> {
        if self.eat(b']')? { Ok(()) } else { self.wrong("] is missing") }
    }

    fn join(&mut self) -> Parse<Join> {
        let mut join = Join { out: 1, into: 0 };
        if self.eat(b'[')? {
            join.out = self.number()?;
            if self.eat(b'=')? {
                join = Join { out: self.number()?, into: join.out };
            }
            self.close_bracket()?;
        }
        Ok(join)
    }

    /// A here-document: its lines are cut out of the text behind the current line.
    fn here(&mut self) -> Parse<Redir> {
        let mut fd = 0;
        if self.eat(b'[')? {
            fd = self.number()?;
            self.close_bracket()?;
        }
        self.blanks()?;
        let line = self.t.line();
        let (tag, quoted) = match self.peek()? {
            Some(c) if c == b'\'' || word_byte(c) => match self.part(false)? {
                Word::Text { text, quoted } => (text, quoted),
                _ => return self.wrong("syntax error"),
            },
            _ => return self.wrong("the tag of the here document is missing"),
        };
        let mut body = Vec::new();
        loop {
            let rest = self.t.text.get(self.t.pos..).unwrap_or_default();
            let Some(start) = rest.iter().position(|&c| c == b'\n').map(|n| self.t.pos + n + 1) else {
                if self.refill()? {
                    continue;
                }
                return Err(Fail::Syntax {
                    line,
                    near: tag,
                    why: "the end of the here document is missing".into(),
                });
            };
            let behind = self.t.text.get(start..).unwrap_or_default();
            let (end, all) = (behind.iter().position(|&c| c == b'\n'), behind.len());
            let len = match end {
                Some(n) => n + 1,
                None if !self.t.ended && self.refill()? => continue,
                None if all == 0 => {
                    return Err(Fail::Syntax {
                        line,
                        near: tag,
                        why: "the end of the here document is missing".into(),
                    });
                }
                None => all,
            };
            let text: Vec<u8> = self.t.text.drain(start..start + len).collect();
            self.t.cut += 1;
            if text.strip_suffix(b"\n").unwrap_or(&text) == tag.as_slice() {
                return Ok(Redir::Here { fd, tag, quoted, body: Arc::new(body) });
            }
            body.extend_from_slice(&text);
        }
    }

    // Words.

    /// Skips blanks; does a word begin here? `eq` says that `=` is an ordinary character in this place.
    fn word_begins(&mut self, eq: bool) -> Parse<bool> {
        self.blanks()?;
        Ok(match self.peek()? {
            Some(b'=') => eq,
            Some(b'\'' | b'`' | b'$' | b'(') => true,
            Some(b'<' | b'>') => self.pipe_file(),
            Some(c) => word_byte(c),
            None => false,
        })
    }

    /// Words up to the closing parenthesis, which is consumed; newlines count as blanks.
    fn words(&mut self) -> Parse<Vec<Word>> {
        self.deeper(|p| {
            let mut words = Vec::new();
            loop {
                p.gap()?;
                if p.eat(b')')? {
                    return Ok(words);
                }
                if !p.word_begins(true)? {
                    return p.wrong(") is missing");
                }
                words.push(p.word(true)?);
            }
        })
    }

    /// A word with all that carets, written or free, join to it.
    fn word(&mut self, eq: bool) -> Parse<Word> {
        let mut parts = Vec::new();
        let mut part = self.deeper(|p| p.part(eq))?;
        loop {
            let joins = matches!(part, Word::Text { .. } | Word::Var(_) | Word::Count(_) | Word::Flat(_));
            parts.push(part);
            let free = joins
                && match self.peek()? {
                    Some(b'\'' | b'`' | b'$') => true,
                    Some(b'=') => eq,
                    Some(b'\\') if self.at(1) == b'\n' => false,
                    Some(c) => word_byte(c),
                    None => false,
                };
            if !free {
                self.blanks()?;
                if !self.eat(b'^')? {
                    break;
                }
                if !self.word_begins(true)? {
                    return self.wrong("a word is missing after ^");
                }
            }
            part = self.deeper(|p| p.part(eq))?;
        }
        Ok(match parts.pop() {
            Some(only) if parts.is_empty() => only,
            Some(last) => {
                parts.push(last);
                Word::Concat(parts)
            }
            None => return self.wrong("a word is missing"),
        })
    }

    /// One part of a word.
    fn part(&mut self, eq: bool) -> Parse<Word> {
        match self.peek()? {
            Some(b'$') => self.dollar(),
            Some(b'\'') => self.quoted(),
            Some(b'`') => {
                self.t.pos += 1;
                let separators = match self.peek()? {
                    Some(b'{') => None,
                    Some(c) if c == b'\'' || c == b'$' || c == b'(' || word_byte(c) => {
                        Some(Box::new(self.deeper(|p| p.part(false))?))
                    }
                    _ => return self.wrong(habits::BACKQUOTE),
                };
                if self.peek()? != Some(b'{') {
                    return self.wrong(habits::BACKQUOTE);
                }
                Ok(Word::Backquote(separators, Arc::new(Cmd::Seq(self.brace()?))))
            }
            Some(b'(') => {
                self.t.pos += 1;
                Ok(Word::List(self.words()?))
            }
            Some(c @ (b'<' | b'>')) if self.pipe_file() => {
                self.t.pos += 1;
                let direction = if c == b'<' { Direction::Read } else { Direction::Write };
                Ok(Word::PipeFile(direction, Arc::new(Cmd::Seq(self.brace()?))))
            }
            _ => {
                let mut text = Vec::new();
                loop {
                    text.extend_from_slice(self.bare()?);
                    self.t.pos += self.bare()?.len();
                    if !(eq && self.eat(b'=')?) {
                        break;
                    }
                    text.push(b'=');
                }
                if text.is_empty() {
                    self.wrong("syntax error")
                } else {
                    Ok(Word::Text { text, quoted: false })
                }
            }
        }
    }

    fn quoted(&mut self) -> Parse<Word> {
        let line = self.t.line();
        let mut text = Vec::new();
        self.t.pos += 1;
        loop {
            match self.peek()? {
                None => {
                    let near = text.split(|&c| c == b'\n').next().unwrap_or_default().to_vec();
                    return Err(Fail::Syntax { line, near, why: "the closing quote is missing".into() });
                }
                Some(b'\'') if self.at(1) == b'\'' => self.t.pos += 1,
                Some(b'\'') => break,
                Some(b'\n') if self.t.cut > 0 => {
                    return self.wrong("a string that goes over lines can't follow << on its line");
                }
                Some(b'\n') => {
                    text.push(b'\n');
                    self.newline();
                    continue;
                }
                Some(_) => {}
            }
            text.push(self.at(0));
            self.t.pos += 1;
        }
        self.t.pos += 1;
        Ok(Word::Text { text, quoted: true })
    }

    fn dollar(&mut self) -> Parse<Word> {
        self.t.pos += 1;
        match self.peek()? {
            Some(b'#') => {
                self.t.pos += 1;
                Ok(Word::Count(Box::new(self.name()?)))
            }
            Some(b'"') => {
                self.t.pos += 1;
                Ok(Word::Flat(Box::new(self.name()?)))
            }
            _ => {
                let name = Box::new(self.name()?);
                if self.eat(b'(')? { Ok(Word::Subscript(name, self.words()?)) } else { Ok(Word::Var(name)) }
            }
        }
    }

    /// The name behind a dollar sign.
    fn name(&mut self) -> Parse<Word> {
        match self.peek()? {
            Some(b'$' | b'\'' | b'(' | b'`') => self.deeper(|p| p.part(false)),
            Some(c) if name_byte(c) => {
                let rest = self.t.text.get(self.t.pos..).unwrap_or_default();
                let len = rest.iter().position(|&c| !name_byte(c)).unwrap_or(rest.len());
                let text = rest.get(..len).unwrap_or_default().to_vec();
                self.t.pos += len;
                Ok(Word::Text { text, quoted: false })
            }
            Some(c) => self.wrong(habits::after_dollar(c).unwrap_or("a variable's name is missing after $")),
            None => self.wrong("a variable's name is missing after $"),
        }
    }
}
