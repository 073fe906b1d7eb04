//! The parser of redirections: files, copies of descriptors, pipes' ends, and here-documents.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Fail, Parse, Parser};
use crate::ast::*;
use crate::habits;

impl Parser<'_> {
    pub(super) fn redirs(&mut self) -> Parse<Vec<Redir>> {
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
    pub(super) fn pipe_file(&self) -> bool {
        matches!((self.at(0), self.at(1)), (b'<' | b'>', b'{'))
    }

    pub(super) fn redir(&mut self) -> Parse<Redir> {
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

    pub(super) fn number(&mut self) -> Parse<u32> {
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

    pub(super) fn close_bracket(&mut self) -> Parse<()> {
        if self.eat(b']')? { Ok(()) } else { self.wrong("] is missing") }
    }

    pub(super) fn join(&mut self) -> Parse<Join> {
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
    pub(super) fn here(&mut self) -> Parse<Redir> {
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
}
