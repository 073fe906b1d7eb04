//! The parser of words: quotes, variables, lists, backquotes, and the carets that need not be written.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Fail, Parse, Parser};
use crate::ast::*;
use crate::habits;

impl Parser<'_> {
    /// Skips blanks; does a word begin here? `eq` says that `=` is an ordinary character in this place.
    pub(super) fn word_begins(&mut self, eq: bool) -> Parse<bool> {
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
    pub(super) fn words(&mut self) -> Parse<Vec<Word>> {
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
    pub(super) fn word(&mut self, eq: bool) -> Parse<Word> {
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
    pub(super) fn part(&mut self, eq: bool) -> Parse<Word> {
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

    pub(super) fn quoted(&mut self) -> Parse<Word> {
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

    pub(super) fn dollar(&mut self) -> Parse<Word> {
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
    pub(super) fn name(&mut self) -> Parse<Word> {
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
