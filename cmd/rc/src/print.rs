//! Prints syntax trees as rc input: for `whatis`, for functions in the environment, for `-x`.
//!
//! What is printed parses to the same tree. A command stands on one line, as long as it has no here-document; the
//! lines of one follow at the next place where a newline may stand.

use alloc::vec::Vec;

use crate::ast::*;

/// The function `name` as a command that defines it.
pub fn function(name: &[u8], body: &Cmd) -> Vec<u8> {
    let mut p = Printer::default();
    p.put(b"fn ");
    quote(name, &mut p.out);
    p.put(b" {");
    p.cmd(body);
    p.flush();
    p.put(b"}");
    p.out
}

/// A function's body in braces.
pub fn braces(body: &Cmd) -> Vec<u8> {
    let mut p = Printer::default();
    p.put(b"{");
    p.cmd(body);
    p.flush();
    p.put(b"}");
    p.out
}

/// A command.
pub fn command(cmd: &Cmd) -> Vec<u8> {
    let mut p = Printer::default();
    p.cmd(cmd);
    p.flush();
    p.out
}

/// Appends a string in quotes, if it needs them to be read back as itself.
pub fn quote(text: &[u8], out: &mut Vec<u8>) {
    let plain = |&c: &u8| word_byte(c) && !matches!(c, b'*' | b'?' | b'[' | b'\\');
    if !text.is_empty() && text.iter().all(plain) && !keyword(text) {
        out.extend_from_slice(text);
        return;
    }
    out.push(b'\'');
    for &c in text {
        if c == b'\'' {
            out.push(c);
        }
        out.push(c);
    }
    out.push(b'\'');
}

/// The assignment that gives a variable these values.
pub fn assignment(name: &[u8], values: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    quote(name, &mut out);
    out.push(b'=');
    if let [only] = values {
        quote(only, &mut out);
        return out;
    }
    out.push(b'(');
    for (n, value) in values.iter().enumerate() {
        if n > 0 {
            out.push(b' ');
        }
        quote(value, &mut out);
    }
    out.push(b')');
    out
}

/// The text so far, and the here-documents whose lines must follow the next newline.
#[derive(Default)]
struct Printer<'a> {
    out: Vec<u8>,
    here: Vec<(&'a [u8], &'a [u8])>,
}

impl<'a> Printer<'a> {
    fn put(&mut self, text: &[u8]) {
        self.out.extend_from_slice(text);
    }

    fn number(&mut self, n: u32) {
        self.put(alloc::format!("{n}").as_bytes());
    }

    /// Writes the pending here-documents; were there any?
    fn flush(&mut self) -> bool {
        let here = core::mem::take(&mut self.here);
        if here.is_empty() {
            return false;
        }
        self.put(b"\n");
        for (tag, body) in here {
            self.put(body);
            self.put(tag);
            self.put(b"\n");
        }
        true
    }

    fn list(&mut self, list: &'a [Cmd]) {
        for (n, cmd) in list.iter().enumerate() {
            if n > 0 && !self.flush() {
                self.put(b";");
            }
            self.cmd(cmd);
        }
    }

    fn cmd(&mut self, cmd: &'a Cmd) {
        match cmd {
            Cmd::Empty => {}
            Cmd::Seq(list) => self.list(list),
            Cmd::Simple { args, redirs } => {
                self.words(args);
                self.redirs(redirs);
            }
            Cmd::Match { subject, patterns, redirs } => {
                self.put(b"~ ");
                self.word(subject);
                for pattern in patterns {
                    self.put(b" ");
                    self.word(pattern);
                }
                self.redirs(redirs);
            }
            Cmd::Brace { body, redirs } => {
                self.braced(body);
                self.redirs(redirs);
            }
            Cmd::Prefix { before, body } => self.prefix(before, body),
            Cmd::Pipe { first, rest } => {
                self.cmd(first);
                for (join, cmd) in rest {
                    self.join(*join);
                    self.flush();
                    let at = self.out.len();
                    self.cmd(cmd);
                    // The program `[` directly behind the bar would be the descriptors that it joins.
                    if self.out.get(at) == Some(&b'[') {
                        self.out.insert(at, b' ');
                    }
                }
            }
            Cmd::Chain { first, rest } => {
                self.cmd(first);
                for (and, cmd) in rest {
                    self.put(if *and { b" && " } else { b" || " });
                    self.flush();
                    self.cmd(cmd);
                }
            }
            Cmd::Not(cmd) => {
                self.put(b"! ");
                self.cmd(cmd);
            }
            Cmd::Subshell(cmd) => {
                self.put(b"@ ");
                self.cmd(cmd);
            }
            Cmd::Async(cmd) => {
                self.cmd(cmd);
                self.put(b"&");
            }
            _ => self.compound(cmd),
        }
    }

    fn compound(&mut self, cmd: &'a Cmd) {
        match cmd {
            Cmd::If { cond, body } => {
                self.put(b"if(");
                self.closed(cond, b")");
                self.cmd(body);
            }
            Cmd::IfNot(body) => {
                self.put(b"if not ");
                self.cmd(body);
            }
            Cmd::For { name, words, body } => {
                self.put(b"for(");
                self.word(name);
                if let Some(words) = words {
                    self.put(b" in ");
                    self.words(words);
                }
                self.put(b")");
                self.flush();
                self.cmd(body);
            }
            Cmd::While { cond, body } => {
                self.put(b"while(");
                self.closed(cond, b")");
                self.cmd(body);
            }
            Cmd::Switch { subject, body } => {
                self.put(b"switch ");
                self.word(subject);
                self.put(b" {");
                self.list(body);
                self.flush();
                self.put(b"}");
            }
            Cmd::Fn { names, body } => {
                self.put(b"fn ");
                self.words(names);
                if let Some(body) = body {
                    self.put(b" ");
                    self.braced(body);
                }
            }
            _ => {}
        }
    }

    fn closed(&mut self, cmd: &'a Cmd, end: &[u8]) {
        self.cmd(cmd);
        self.flush();
        self.put(end);
    }

    fn braced(&mut self, cmd: &'a Cmd) {
        self.put(b"{");
        self.closed(cmd, b"}");
    }

    fn prefix(&mut self, before: &'a [Prefix], body: &'a Cmd) {
        for (n, item) in before.iter().enumerate() {
            if n > 0 {
                self.put(b" ");
            }
            match item {
                Prefix::Assign(name, value) => {
                    self.word(name);
                    self.put(b"=");
                    self.word(value);
                }
                Prefix::Redir(redir) => self.redir(redir),
            }
        }
        if *body != Cmd::Empty {
            self.put(b" ");
            self.cmd(body);
        }
    }

    fn join(&mut self, join: Join) {
        self.put(b"|");
        if join.out != 1 || join.into != 0 {
            self.put(b"[");
            if join.into != 0 {
                self.number(join.into);
                self.put(b"=");
            }
            self.number(join.out);
            self.put(b"]");
        }
    }

    fn redirs(&mut self, redirs: &'a [Redir]) {
        for redir in redirs {
            self.put(b" ");
            self.redir(redir);
        }
    }

    fn redir(&mut self, redir: &'a Redir) {
        let (mode, fd) = match redir {
            Redir::File { mode, fd, .. } | Redir::Close { mode, fd } => (*mode, *fd),
            Redir::Dup { mode, new, .. } => (*mode, *new),
            Redir::Here { fd, tag, quoted, body } => {
                self.put(b"<<");
                if *fd != 0 {
                    self.put(b"[");
                    self.number(*fd);
                    self.put(b"]");
                }
                if *quoted {
                    force_quote(tag, &mut self.out)
                } else {
                    self.put(tag)
                }
                self.here.push((tag, body));
                return;
            }
        };
        let (sign, usual): (&[u8], u32) = match mode {
            Mode::Read => (b"<", 0),
            Mode::Write => (b">", 1),
            Mode::Append => (b">>", 1),
            Mode::Both => (b"<>", 0),
        };
        self.put(sign);
        let is_file = matches!(redir, Redir::File { .. });
        if !is_file || fd != usual {
            self.put(b"[");
            self.number(fd);
            if let Redir::Dup { old, .. } = redir {
                self.put(b"=");
                self.number(*old);
            } else if !is_file {
                self.put(b"=");
            }
            self.put(b"]");
        }
        if let Redir::File { name, .. } = redir {
            let at = self.out.len();
            self.word(name);
            if matches!(self.out.get(at), Some(b'[' | b'<' | b'>')) {
                self.out.insert(at, b' ');
            }
        }
    }

    fn words(&mut self, words: &'a [Word]) {
        for (n, word) in words.iter().enumerate() {
            if n > 0 {
                self.put(b" ");
            }
            self.word(word);
        }
    }

    fn word(&mut self, word: &'a Word) {
        match word {
            Word::Text { text, quoted: true } => force_quote(text, &mut self.out),
            Word::Text { text, quoted: false } => self.put(text),
            Word::List(words) => {
                self.put(b"(");
                self.words(words);
                self.put(b")");
            }
            Word::Concat(parts) => {
                for (n, part) in parts.iter().enumerate() {
                    if n > 0 {
                        self.put(b"^");
                    }
                    self.word(part);
                }
            }
            Word::Var(name) => {
                self.put(b"$");
                self.word(name);
            }
            Word::Subscript(name, words) => {
                self.put(b"$");
                self.word(name);
                self.put(b"(");
                self.words(words);
                self.put(b")");
            }
            Word::Count(name) => {
                self.put(b"$#");
                self.word(name);
            }
            Word::Flat(name) => {
                self.put(b"$\"");
                self.word(name);
            }
            Word::Backquote(separators, body) => {
                self.put(b"`");
                if let Some(word) = separators {
                    self.word(word);
                }
                self.braced(body);
            }
            Word::PipeFile(direction, body) => {
                self.put(match direction {
                    Direction::Read => b"<",
                    Direction::Write => b">",
                });
                self.braced(body);
            }
        }
    }
}

/// Appends a string in quotes.
fn force_quote(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'\'');
    for &c in text {
        if c == b'\'' {
            out.push(c);
        }
        out.push(c);
    }
    out.push(b'\'');
}
