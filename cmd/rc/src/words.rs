//! The values of words: variables, concatenation, backquotes, pipes as files, and the text of here-documents.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::ast::{Cmd, Direction, Redir, Word, name_byte};
use crate::glob;
use crate::os;
use crate::pattern::{Item, List, rune};
use crate::shell::{Run, Shell, join};

impl Shell {
    /// The arguments that words come to, file names put in place of patterns.
    pub(crate) fn arguments(&mut self, words: &[Word]) -> Run<Vec<Vec<u8>>> {
        let list = self.words(words)?;
        match glob::expand(list) {
            Some(args) => Ok(args),
            None => self.fail(&[b"out of memory"]),
        }
    }

    /// The values of several words in sequence.
    pub(crate) fn words(&mut self, words: &[Word]) -> Run<List> {
        let mut list = List::new();
        for word in words {
            let mut value = self.word(word)?;
            if list.try_reserve(value.len()).is_err() {
                return self.fail(&[b"out of memory"]);
            }
            list.append(&mut value);
        }
        Ok(list)
    }

    /// The value of a word.
    pub(crate) fn word(&mut self, word: &Word) -> Run<List> {
        match word {
            Word::Text { text, quoted: true } => Ok(Vec::from([Item::plain(text.clone())])),
            Word::Text { text, quoted: false } => Ok(Vec::from([Item::bare(text)])),
            Word::List(words) => self.words(words),
            Word::Concat(parts) => {
                let mut parts = parts.iter();
                let mut value = match parts.next() {
                    Some(first) => self.word(first)?,
                    None => List::new(),
                };
                for part in parts {
                    let right = self.word(part)?;
                    value = self.concat(&value, &right)?;
                }
                Ok(value)
            }
            Word::Var(name) => {
                let name = self.single(name)?;
                Ok(self.variable(&name))
            }
            Word::Subscript(name, subscripts) => {
                let name = self.single(name)?;
                let value = self.variable(&name);
                let subscripts = self.words(subscripts)?;
                Ok(select(&value, &subscripts))
            }
            Word::Count(name) => {
                let name = self.single(name)?;
                let count = self.variable(&name).len();
                Ok(Vec::from([Item::plain(alloc::format!("{count}").into_bytes())]))
            }
            Word::Flat(name) => {
                let name = self.single(name)?;
                Ok(Vec::from([Item::plain(flat(&self.variable(&name)))]))
            }
            Word::Backquote(separators, body) => {
                let separators = match separators {
                    Some(word) => flat(&self.word(word)?),
                    None if self.vars.contains_key(b"ifs".as_slice()) => join(&self.var(b"ifs"), b""),
                    None => b" \t\n".to_vec(),
                };
                self.backquote(&separators, body)
            }
            Word::PipeFile(direction, body) => self.pipe_file(*direction, body),
        }
    }

    /// The one string that a word must be, where a name is wanted.
    pub(crate) fn single(&mut self, word: &Word) -> Run<Vec<u8>> {
        if let Word::Text { text, .. } = word {
            return Ok(text.clone());
        }
        let mut value = self.word(word)?;
        match (value.pop(), value.is_empty()) {
            (Some(only), true) => Ok(only.text),
            _ => {
                self.fail(&[b"a variable's name must be one word; a command's output is written `{command}"])
            }
        }
    }

    fn variable(&self, name: &[u8]) -> List {
        if let Some(n) = number(name).filter(|&n| n > 0) {
            return self.var(b"*").get(n - 1).map(|s| Item::plain(s.clone())).into_iter().collect();
        }
        self.var(name).iter().map(|s| Item::plain(s.clone())).collect()
    }

    /// `left^right`: in pairs, or one with each.
    fn concat(&mut self, left: &[Item], right: &[Item]) -> Run<List> {
        let mut out = List::new();
        if left.is_empty() || right.is_empty() {
            return self.fail(&[b"null list in concatenation"]);
        }
        if left.len() != right.len() && left.len() != 1 && right.len() != 1 {
            return self.fail(&[b"mismatched list lengths in concatenation"]);
        }
        let len = left.len().max(right.len());
        if out.try_reserve(len).is_err() {
            return self.fail(&[b"out of memory"]);
        }
        out.extend(left.iter().cycle().zip(right.iter().cycle()).take(len).map(|(l, r)| l.join(r)));
        Ok(out)
    }

    fn backquote(&mut self, separators: &[u8], body: &Arc<Cmd>) -> Run<List> {
        let pipe = os::pipe();
        let (r, w) = self.check(&[b"pipe"], pipe)?;
        let mut ports = self.ports.clone();
        ports.set(1, Some(Arc::new(w)));
        let job = self.start(body, ports, false)?;
        let text = self.read_all(&r);
        drop(r);
        let status = self.finish_job(&job)?;
        let text = text?;
        self.set_status(&status);
        match split(&text, separators) {
            Some(list) => Ok(list),
            None => self.fail(&[b"out of memory"]),
        }
    }

    fn read_all(&mut self, from: &os::Fd) -> Run<Vec<u8>> {
        let mut text = Vec::new();
        let mut buf = [0; 4096];
        loop {
            match os::read(from.number(), &mut buf) {
                Ok(0) => return Ok(text),
                Ok(n) => {
                    if text.try_reserve(n).is_err() {
                        return self.fail(&[b"out of memory"]);
                    }
                    text.extend_from_slice(buf.get(..n).unwrap_or_default());
                }
                Err(os::Failure::Interrupted) => self.notes()?,
                Err(e) => return self.fail(&[b"`{}: ", e.words()]),
            }
        }
    }

    fn pipe_file(&mut self, direction: Direction, body: &Arc<Cmd>) -> Run<List> {
        let pipe = os::pipe();
        let (r, w) = self.check(&[b"pipe"], pipe)?;
        let (theirs, theirs_at, ours) = match direction {
            Direction::Read => (w, 1, r),
            Direction::Write => (r, 0, w),
        };
        let Some(port) = self.ports.free() else { return self.fail(&[b"no free file descriptors"]) };
        let mut ports = self.ports.clone();
        ports.set(theirs_at, Some(Arc::new(theirs)));
        self.start(body, ports, false)?;
        self.ports.set(port, Some(Arc::new(ours)));
        Ok(Vec::from([Item::plain(os::port_file(port))]))
    }

    // Redirections.

    /// Makes redirections hold from now on.
    pub(crate) fn redirect(&mut self, redirs: &[Redir]) -> Run {
        redirs.iter().try_for_each(|redir| self.redirect_one(redir))
    }

    /// Makes one redirection hold.
    pub(crate) fn redirect_one(&mut self, redir: &Redir) -> Run {
        let (Redir::File { fd: port, .. }
        | Redir::Here { fd: port, .. }
        | Redir::Close { fd: port, .. }
        | Redir::Dup { new: port, .. }) = redir;
        if *port >= os::RESERVED {
            let n = alloc::format!("{port}");
            return self.fail(&[b"descriptor ", n.as_bytes(), b" is too large"]);
        }
        match redir {
            Redir::File { mode, fd, name } => {
                let mut names = self.arguments(core::slice::from_ref(name))?;
                let (Some(name), true) = (names.pop(), names.is_empty()) else {
                    return self.fail(&[b"a redirection needs one file name"]);
                };
                let file = os::open(&name, *mode);
                let file = self.check(&[b"can't open ", &name], file)?;
                self.ports.set(*fd, Some(Arc::new(file)));
            }
            Redir::Here { fd, quoted, body, .. } => {
                let text = if *quoted { body.clone() } else { Arc::new(self.substitute(body)) };
                let r = self.feed(text)?;
                self.ports.set(*fd, Some(Arc::new(r)));
            }
            Redir::Dup { new, old, .. } => {
                let result = self.ports.copy(*new, *old);
                let what = alloc::format!("[{new}={old}]");
                self.check(&[what.as_bytes()], result)?;
            }
            Redir::Close { fd, .. } => self.ports.set(*fd, None),
        }
        Ok(())
    }

    /// A pipe out of which a text comes.
    fn feed(&mut self, text: Arc<Vec<u8>>) -> Run<os::Fd> {
        let pipe = os::pipe();
        let (r, w) = self.check(&[b"pipe"], pipe)?;
        if text.len() <= os::PIPE_ROOM {
            let result = os::write(w.number(), &text);
            self.check(&[b"here document"], result)?;
            return Ok(r);
        }
        let number = w.number();
        let writer = os::fork(
            false,
            Box::new(move || {
                os::keep_only(&[number]);
                match os::write(number, &text) {
                    Ok(()) => Vec::new(),
                    Err(e) => e.words().to_vec(),
                }
            }),
        );
        self.check(&[b"here document"], writer)?;
        Ok(r)
    }

    /// The lines of a here-document with the variables in them replaced.
    fn substitute(&self, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut rest = body;
        while let Some(at) = rest.iter().position(|&c| c == b'$') {
            out.extend_from_slice(rest.get(..at).unwrap_or_default());
            rest = rest.get(at + 1..).unwrap_or_default();
            let len = rest.iter().position(|&c| !name_byte(c)).unwrap_or(rest.len());
            let name = rest.get(..len).unwrap_or_default();
            rest = rest.get(len..).unwrap_or_default();
            if !name.is_empty() {
                out.extend_from_slice(&flat(&self.variable(name)));
                rest = rest.strip_prefix(b"^").unwrap_or(rest);
                continue;
            }
            out.push(b'$');
            rest = rest.strip_prefix(b"$").unwrap_or(rest);
        }
        out.extend_from_slice(rest);
        out
    }
}

/// The strings of a list with blanks between them.
pub(crate) fn flat(list: &[Item]) -> Vec<u8> {
    let mut out = Vec::new();
    for (n, item) in list.iter().enumerate() {
        if n > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(&item.text);
    }
    out
}

/// A decimal number and nothing else.
fn number(text: &[u8]) -> Option<usize> {
    if !text.first()?.is_ascii_digit() {
        return None;
    }
    core::str::from_utf8(text).ok()?.parse().ok()
}

/// The elements that subscripts name: `n`, `m-n` or `m-`. Others name nothing.
fn select(value: &[Item], subscripts: &[Item]) -> List {
    let mut out = List::new();
    for subscript in subscripts {
        let mut parts = subscript.text.splitn(2, |&c| c == b'-');
        let Some(from) = parts.next().and_then(number) else { continue };
        let to = match parts.next() {
            None => from,
            Some(b"") => value.len(),
            Some(to) => number(to).unwrap_or(0).min(value.len()),
        };
        if from > 0 {
            out.extend(value.iter().take(to).skip(from - 1).cloned());
        }
    }
    out
}

/// Splits at runs of separators; none if memory is out.
fn split(text: &[u8], separators: &[u8]) -> Option<List> {
    let mut set = Vec::new();
    let mut rest = separators;
    while let Some((c, len)) = rune(rest) {
        set.push(c);
        rest = rest.get(len..).unwrap_or_default();
    }
    let mut list = List::new();
    let mut word = Vec::new();
    let mut rest = text;
    while let Some((c, len)) = rune(rest) {
        if !set.contains(&c) {
            word.try_reserve(len).ok()?;
            word.extend_from_slice(rest.get(..len).unwrap_or_default());
        } else if !word.is_empty() {
            list.try_reserve(1).ok()?;
            list.push(Item::plain(core::mem::take(&mut word)));
        }
        rest = rest.get(len..).unwrap_or_default();
    }
    if !word.is_empty() {
        list.try_reserve(1).ok()?;
        list.push(Item::plain(word));
    }
    Some(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(list: List) -> Vec<Vec<u8>> {
        list.into_iter().map(|i| i.text).collect()
    }

    #[test]
    fn subscripts_select() {
        let value: List = [b"a", b"b", b"c"].iter().map(|s| Item::plain(s.to_vec())).collect();
        let sel = |s: &str| texts(select(&value, &[Item::plain(s.as_bytes().to_vec())])).concat();
        assert_eq!(sel("2"), b"b");
        assert_eq!(sel("2-"), b"bc");
        assert_eq!(sel("1-2"), b"ab");
        assert_eq!(sel("2-99999999999999999999"), b"");
        for nothing in ["0", "4", "x", "-2", "", "3-2", "99999999999999999999"] {
            assert_eq!(sel(nothing), b"", "{nothing}");
        }
    }

    #[test]
    fn output_splits_at_runs_of_separators() {
        assert_eq!(texts(split(b"  a b\n\nc\n", b" \t\n").unwrap_or_default()).join(&b'|'), b"a|b|c");
        assert_eq!(texts(split(b"a b\n", b"").unwrap_or_default()), [b"a b\n"]);
        assert!(split(b"", b"").unwrap_or_default().is_empty());
        assert_eq!(texts(split("aéb".as_bytes(), "é".as_bytes()).unwrap_or_default()).join(&b'|'), b"a|b");
    }
}
