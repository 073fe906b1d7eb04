//! [`Editor`]: a line that is typed, with history and completion.
//!
//! The line is shown on one row, and scrolls sideways when it does not fit; so nothing depends on how a terminal wraps.

use crate::key::Key;
use crate::text::{fitting, width, width_of};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Lines that are remembered.
const HISTORY: usize = 500;
/// Most characters of a line; what is typed beyond is refused with a bell.
const LONGEST: usize = 4000;
const BELL: u8 = 7;

/// What a key led to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Done {
    /// The line goes on.
    More,
    /// It was ended; without a newline.
    Line(String),
    /// Ctrl-C: forget it.
    Interrupt,
    /// Ctrl-D on an empty line.
    End,
    /// Tab: the caller knows what could follow, and says it by [`Editor::complete`].
    Complete,
}

/// A line being edited, and those before it.
#[derive(Debug)]
pub struct Editor {
    text: Vec<char>,
    at: usize,
    history: Vec<String>,
    /// Which line of the history is shown; its length for the new one, which waits in `draft`.
    place: usize,
    draft: Vec<char>,
    /// What was last taken away.
    cut: Vec<char>,
    columns: usize,
    /// The first character that is shown.
    from: usize,
}

impl Default for Editor {
    fn default() -> Self {
        Editor {
            text: Vec::new(),
            at: 0,
            history: Vec::new(),
            place: 0,
            draft: Vec::new(),
            cut: Vec::new(),
            columns: 80,
            from: 0,
        }
    }
}

/// The columns of a prompt, in which a tab goes to the next multiple of eight.
fn prompt_width(prompt: &str) -> usize {
    prompt.chars().fold(0, |n, c| if c == '\t' { n / 8 * 8 + 8 } else { n + width_of(c) })
}

fn separates(c: char) -> bool {
    !c.is_alphanumeric() && c != '_'
}

impl Editor {
    /// Begins a line: shows the prompt.
    pub fn begin(&mut self, prompt: &str, out: &mut Vec<u8>) {
        self.text.clear();
        (self.at, self.from, self.place) = (0, 0, self.history.len());
        self.draft.clear();
        out.extend_from_slice(prompt.as_bytes());
    }

    /// The width of the terminal, as far as it is known.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// What stands before the cursor.
    #[must_use]
    pub fn before(&self) -> String {
        self.text[..self.at].iter().collect()
    }

    /// Takes a key; appends what the terminal is to be sent.
    pub fn key(&mut self, key: Key, prompt: &str, out: &mut Vec<u8>) -> Done {
        match key {
            Key::Char(c) => return self.insert(c, prompt, out),
            Key::Enter => {
                if core::mem::replace(&mut self.at, self.text.len()) != self.text.len() {
                    self.show(prompt, out);
                }
                out.push(b'\n');
                return Done::Line(self.finish());
            }
            Key::Control('c') => {
                out.extend_from_slice(b"^C");
                return Done::Interrupt;
            }
            Key::Control('d') if self.text.is_empty() => return Done::End,
            Key::Tab => return Done::Complete,
            Key::Size(_, columns) => {
                self.columns = columns;
                return Done::More;
            }
            Key::Backspace if self.at > 0 && self.at == self.text.len() && self.from == 0 => {
                // At the end a blank over the last character is enough.
                let columns = self.text.pop().map_or(0, width_of);
                self.at -= 1;
                out.extend(core::iter::repeat_n(8, columns));
                out.extend(core::iter::repeat_n(b' ', columns));
                out.extend(core::iter::repeat_n(8, columns));
                return Done::More;
            }
            Key::Control('l') => out.extend_from_slice(b"\x1b[H\x1b[2J"),
            key if self.moved(key) || self.changed(key) || self.recalled(key) => {}
            _ => {
                out.push(BELL);
                return Done::More;
            }
        }
        self.show(prompt, out);
        Done::More
    }

    fn insert(&mut self, c: char, prompt: &str, out: &mut Vec<u8>) -> Done {
        if self.text.len() >= LONGEST {
            out.push(BELL);
            return Done::More;
        }
        self.text.insert(self.at, c);
        self.at += 1;
        let used = prompt_width(prompt) + self.text[self.from..].iter().map(|c| width_of(*c)).sum::<usize>();
        if self.at == self.text.len() && used < self.columns && !c.is_control() {
            // At the end the character itself is all there is to show.
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        } else {
            self.show(prompt, out);
        }
        Done::More
    }

    fn word_left(&self) -> usize {
        let before = &self.text[..self.at];
        let word = before.iter().rposition(|c| !separates(*c)).unwrap_or(0);
        before[..word].iter().rposition(|c| separates(*c)).map_or(0, |n| n + 1)
    }

    fn word_right(&self) -> usize {
        let after = &self.text[self.at..];
        let word = after.iter().position(|c| !separates(*c)).unwrap_or(after.len());
        self.at + word + after[word..].iter().position(|c| separates(*c)).unwrap_or(after.len() - word)
    }

    fn moved(&mut self, key: Key) -> bool {
        self.at = match key {
            Key::Left | Key::Control('b') => self.at.saturating_sub(1),
            Key::Right | Key::Control('f') => (self.at + 1).min(self.text.len()),
            Key::Home | Key::Control('a') => 0,
            Key::End | Key::Control('e') => self.text.len(),
            Key::WordLeft | Key::Alt('b') => self.word_left(),
            Key::WordRight | Key::Alt('f') => self.word_right(),
            _ => return false,
        };
        true
    }

    fn changed(&mut self, key: Key) -> bool {
        let (from, to) = match key {
            Key::Backspace => (self.at.saturating_sub(1), self.at),
            Key::Delete | Key::Control('d') => (self.at, (self.at + 1).min(self.text.len())),
            Key::Control('k') => (self.at, self.text.len()),
            Key::Control('u') => (0, self.at),
            Key::Control('w') => {
                let before = &self.text[..self.at];
                let word = before.iter().rposition(|c| *c != ' ').unwrap_or(0);
                (before[..word].iter().rposition(|c| *c == ' ').map_or(0, |n| n + 1), self.at)
            }
            Key::Alt('\u{7f}') => (self.word_left(), self.at),
            Key::Alt('d') => (self.at, self.word_right()),
            Key::Control('y') => {
                let cut = self.cut.clone();
                if self.text.len() + cut.len() > LONGEST {
                    return false;
                }
                self.at += cut.len();
                let at = self.at - cut.len();
                self.text.splice(at..at, cut);
                return true;
            }
            Key::Control('t') if self.at > 0 && self.text.len() > 1 => {
                let at = self.at.min(self.text.len() - 1);
                self.text.swap(at - 1, at);
                self.at = at + 1;
                return true;
            }
            _ => return false,
        };
        let cut: Vec<char> = self.text.drain(from..to).collect();
        if !matches!(key, Key::Backspace | Key::Delete | Key::Control('d')) {
            self.cut = cut;
        }
        self.at = from;
        true
    }

    /// Another line of the history: one that begins as the new line did.
    fn recalled(&mut self, key: Key) -> bool {
        let like: String =
            if self.place == self.history.len() { self.text.iter() } else { self.draft.iter() }.collect();
        let found = match key {
            Key::Up | Key::Control('p') => {
                self.history[..self.place].iter().rposition(|l| l.starts_with(&like))
            }
            Key::Down | Key::Control('n') if self.place < self.history.len() => {
                let after = self.history[self.place + 1..].iter().position(|l| l.starts_with(&like));
                Some(after.map_or(self.history.len(), |n| self.place + 1 + n))
            }
            _ => return false,
        };
        let Some(place) = found else { return false };
        if self.place == self.history.len() {
            self.draft = core::mem::take(&mut self.text);
        }
        self.place = place;
        self.text = match self.history.get(place) {
            Some(line) => line.chars().collect(),
            None => core::mem::take(&mut self.draft),
        };
        self.at = self.text.len();
        true
    }

    /// The line is done: it goes into the history, unless it is blank or the same as the last.
    fn finish(&mut self) -> String {
        let line: String = self.text.iter().collect();
        if !line.trim().is_empty() && self.history.last() != Some(&line) {
            if self.history.len() == HISTORY {
                self.history.remove(0);
            }
            self.history.push(line.clone());
        }
        line
    }

    /// Shows the row anew, scrolled so that the cursor is on it.
    fn show(&mut self, prompt: &str, out: &mut Vec<u8>) {
        let used = prompt_width(prompt);
        // The last column stays free: a terminal that writes there may go to the next row.
        let room = self.columns.saturating_sub(used + 1).max(1);
        let wide = |part: &[char]| part.iter().map(|c| width_of(*c)).sum::<usize>();
        self.from = self.from.min(self.at);
        while wide(&self.text[self.from..self.at]) > room {
            self.from += 1;
        }
        // What was scrolled away comes back when there is room again.
        while self.from > 0 && wide(&self.text[self.from - 1..]) <= room {
            self.from -= 1;
        }
        let shown = &self.text[self.from..];
        let shown = &shown[..fitting(shown, room)];
        out.push(b'\r');
        out.extend_from_slice(prompt.as_bytes());
        for c in shown {
            if c.is_control() {
                out.extend_from_slice(&[b'^', (*c as u32 as u8 & 0x1f) | 0x40]);
            } else {
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        out.extend_from_slice(b"\x1b[K");
        let column = used + wide(&self.text[self.from..self.at]);
        if column < used + wide(shown) {
            out.extend_from_slice(format!("\r\x1b[{column}C").as_bytes());
            if column == 0 {
                // A move by nothing is a move by one.
                out.truncate(out.len() - 4);
            }
        }
    }

    /// Puts in what the words that may stand at the cursor have in common; each replaces the text from character
    /// `start` on. If they have no more in common than stands there, they are listed.
    pub fn complete(&mut self, start: usize, words: &[String], prompt: &str, out: &mut Vec<u8>) {
        let Some(first) = words.first() else {
            out.push(BELL);
            return;
        };
        let mut common: Vec<char> = first.chars().collect();
        for w in words {
            let same = common.iter().zip(w.chars()).take_while(|(a, b)| **a == *b).count();
            common.truncate(same);
        }
        let start = start.min(self.at);
        let longer = common.len() > self.at - start || words.len() == 1;
        if longer && self.text.len() + common.len() <= LONGEST {
            self.text.splice(start..self.at, common.iter().copied());
            self.at = start + common.len();
        } else {
            self.list(words, out);
        }
        self.show(prompt, out);
    }

    /// Lists words in columns below the line.
    fn list(&self, words: &[String], out: &mut Vec<u8>) {
        const MOST: usize = 200;
        // Of paths the last element is enough.
        let short = |w: &String| {
            let end = w.trim_end_matches(['/', ' ', '\'']);
            String::from(&w[end.rfind('/').map_or(0, |n| n + 1)..])
        };
        let names: Vec<String> = words.iter().take(MOST).map(short).collect();
        let cell = names.iter().map(|n| width(n)).max().unwrap_or(0) + 2;
        let per_row = (self.columns / cell).max(1);
        for (i, name) in names.iter().enumerate() {
            if i % per_row == 0 {
                out.push(b'\n');
            }
            out.extend_from_slice(name.as_bytes());
            if i % per_row + 1 < per_row {
                out.extend(core::iter::repeat_n(b' ', cell - width(name)));
            }
        }
        if words.len() > MOST {
            out.extend_from_slice(format!("\n… and {} more", words.len() - MOST).as_bytes());
        }
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests;
