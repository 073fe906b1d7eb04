//! Lines typed at a terminal: the editor, and what Tab can mean.
//!
//! The terminal gives keys while a line is typed and is as it was while a command runs. Its size is asked for before a
//! prompt, for as long as it answers.

use alloc::string::String;
use alloc::vec::Vec;

use term::{Done, Editor, Key, Keys};

use crate::builtin;
use crate::os;
use crate::print;
use crate::shell::Value;

/// What may be completed, as it is when the prompt is shown.
pub(crate) struct Known {
    /// Where programs are looked for.
    pub(crate) path: Value,
    /// The functions.
    pub(crate) functions: Vec<Vec<u8>>,
    /// The variables.
    pub(crate) variables: Vec<Vec<u8>>,
}

/// A terminal's editor.
#[derive(Default)]
pub(crate) struct Typed {
    editor: Editor,
    keys: Keys,
    asked: bool,
    answered: bool,
}

/// What the typing came to.
pub(crate) enum Line {
    /// A line with its newline.
    Text(Vec<u8>),
    /// Ctrl-D.
    End,
    /// Ctrl-C, or a note.
    Interrupt,
}

impl Typed {
    /// The terminal's width.
    pub(crate) fn columns(&self) -> usize {
        self.editor.columns()
    }

    /// Reads a line. `rest` is what was read of the terminal before and what is read ahead now.
    pub(crate) fn line(
        &mut self,
        fd: i32,
        err: i32,
        rest: &mut Vec<u8>,
        prompt: &[u8],
        known: &Known,
    ) -> Result<Line, Vec<u8>> {
        os::raw(fd, true).map_err(|e| e.words().to_vec())?;
        let line = self.edit(fd, err, rest, prompt, known);
        // A terminal that does not hear this is gone, as the next read will say.
        let _ = os::raw(fd, false);
        line
    }

    fn edit(
        &mut self,
        fd: i32,
        err: i32,
        rest: &mut Vec<u8>,
        prompt: &[u8],
        known: &Known,
    ) -> Result<Line, Vec<u8>> {
        let prompt = String::from_utf8_lossy(prompt);
        let mut out = Vec::new();
        // Who pastes lines is not asked: the answer would come behind them.
        if rest.is_empty() && (!self.asked || self.answered) {
            (self.asked, self.answered) = (true, false);
            out.extend_from_slice(term::ASK_SIZE);
        }
        self.editor.begin(&prompt, &mut out);
        let mut buf = [0; 256];
        loop {
            for (n, &b) in rest.iter().enumerate() {
                let Some(key) = self.keys.byte(b) else { continue };
                self.answered |= matches!(key, Key::Size(..));
                let done = self.editor.key(key, &prompt, &mut out);
                if done == Done::More {
                    continue;
                }
                if done == Done::Complete {
                    let (start, words) = known.candidates(&self.editor.before());
                    self.editor.complete(start, &words, &prompt, &mut out);
                    continue;
                }
                rest.drain(..=n);
                let _ = os::write(err, &out);
                return Ok(match done {
                    Done::Line(text) => Line::Text([text.as_bytes(), b"\n"].concat()),
                    Done::End => Line::End,
                    _ => Line::Interrupt,
                });
            }
            rest.clear();
            let _ = os::write(err, &out);
            out.clear();
            match os::read(fd, &mut buf) {
                Ok(0) => return Ok(Line::End),
                Ok(n) => rest.extend_from_slice(buf.get(..n).unwrap_or_default()),
                Err(os::Failure::Interrupted) => return Ok(Line::Interrupt),
                Err(e) => return Err(e.words().to_vec()),
            }
        }
    }
}

/// The word that a line ends with: where it begins, its text without quotes, and what it is.
#[derive(Debug, PartialEq, Eq)]
struct Last {
    start: usize,
    text: String,
    kind: Kind,
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Kind {
    Command,
    File,
    Variable,
}

/// Finds the word at the end of a line.
fn last(line: &str) -> Last {
    let mut w = Last { start: 0, text: String::new(), kind: Kind::Command };
    let mut quoted = false;
    for (i, c) in line.chars().enumerate() {
        if c == '\'' {
            quoted = !quoted;
            continue;
        }
        let next = match c {
            _ if quoted => None,
            ';' | '&' | '|' | '{' | '`' | '@' | '!' => Some(Kind::Command),
            '(' if w.text == "if" || w.text == "while" => Some(Kind::Command),
            ' ' | '\t' if w.text.is_empty() && w.start == i => Some(w.kind),
            ' ' | '\t' | '(' | ')' | '}' | '=' | '<' | '>' | '^' => Some(Kind::File),
            '$' => Some(Kind::Variable),
            '#' | '"' if w.kind == Kind::Variable && w.text.is_empty() => Some(Kind::Variable),
            _ => None,
        };
        match next {
            Some(kind) => w = Last { start: i + 1, text: String::new(), kind },
            None => w.text.push(c),
        }
    }
    w
}

impl Known {
    /// What the end of a line may become: from which character on, and the words.
    fn candidates(&self, before: &str) -> (usize, Vec<String>) {
        let w = last(before);
        let mut words = match w.kind {
            Kind::Variable => begin(self.variables.iter().map(Vec::as_slice), &w.text),
            Kind::Command if !w.text.contains('/') => self.commands(&w.text),
            _ => files(&w.text),
        };
        words.sort_unstable();
        words.dedup();
        if let [only] = &mut words[..]
            && !only.ends_with(['/', '\''])
            && w.kind != Kind::Variable
        {
            only.push(' ');
        }
        (w.start, words)
    }

    fn commands(&self, text: &str) -> Vec<String> {
        let own = self.functions.iter().map(Vec::as_slice).chain(builtin::NAMES.iter().copied());
        let mut words = begin(own, text);
        for dir in self.path.iter() {
            let names = os::list(dir);
            words.extend(begin(names.iter().map(Vec::as_slice), text));
        }
        words
    }
}

fn begin<'a>(names: impl Iterator<Item = &'a [u8]>, text: &str) -> Vec<String> {
    names
        .filter(|n| n.starts_with(text.as_bytes()))
        .map(|n| String::from_utf8_lossy(n).into_owned())
        .collect()
}

/// Most names for which a look says whether they are directories.
const LOOKS: usize = 100;

/// The files whose paths begin so, in quotes where the shell wants them.
fn files(text: &str) -> Vec<String> {
    let (dir, name) = text.split_at(text.rfind('/').map_or(0, |n| n + 1));
    let names = os::list(if dir.is_empty() { b"." } else { dir.as_bytes() });
    let fits =
        |n: &&Vec<u8>| n.starts_with(name.as_bytes()) && (name.starts_with('.') || !n.starts_with(b"."));
    let found: Vec<&Vec<u8>> = names.iter().filter(fits).collect();
    let looks = found.len() <= LOOKS;
    found
        .iter()
        .map(|n| {
            let path = [dir.as_bytes(), n.as_slice()].concat();
            let is_dir = looks && os::is_dir(&path);
            let mut word = Vec::new();
            print::quote(&path, &mut word);
            let mut word = String::from_utf8_lossy(&word).into_owned();
            match (is_dir, word.pop()) {
                // The slash stands inside the quotes, which stay open for what is below.
                (true, Some('\'')) => word.push('/'),
                (true, Some(c)) => word.extend([c, '/']),
                (false, Some(c)) => word.push(c),
                (_, None) => {}
            }
            word
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_is_found() {
        for (line, start, text, kind) in [
            ("", 0, "", Kind::Command),
            ("ec", 0, "ec", Kind::Command),
            ("  ec", 2, "ec", Kind::Command),
            ("cat /tm", 4, "/tm", Kind::File),
            ("cat a | gr", 8, "gr", Kind::Command),
            ("if(tes", 3, "tes", Kind::Command),
            ("for(x in a", 9, "a", Kind::File),
            ("echo `{dat", 7, "dat", Kind::Command),
            ("x=/b", 2, "/b", Kind::File),
            ("cat >/t", 5, "/t", Kind::File),
            ("echo $pa", 6, "pa", Kind::Variable),
            ("echo $#pa", 7, "pa", Kind::Variable),
            ("cat 'a b", 4, "a b", Kind::File),
            ("cat 'a b'c", 4, "a bc", Kind::File),
        ] {
            assert_eq!(last(line), Last { start, text: text.into(), kind }, "{line}");
        }
    }

    #[test]
    fn files_and_commands_are_offered() {
        let known = Known {
            path: alloc::sync::Arc::new(Vec::from([b"/nonexistent".to_vec()])),
            functions: Vec::from([b"evening".to_vec()]),
            variables: Vec::from([b"path".to_vec()]),
        };
        assert_eq!(known.candidates("ev"), (0, Vec::from(["eval".into(), "evening".into()])));
        assert_eq!(known.candidates("echo $pa"), (6, Vec::from(["path".into()])));
        assert_eq!(known.candidates("ls src/ty"), (3, Vec::from(["src/typed.rs ".into()])));
        assert_eq!(known.candidates("ls tests/scr"), (3, Vec::from(["tests/scripts/".into()])));
        assert_eq!(known.candidates("ls nosuch").1.len(), 0);
    }
}
