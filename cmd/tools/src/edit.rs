//! The text of the editor: lines, a cursor, what was cut, what can be undone. It knows no screen and no keys.

use alloc::string::String;
use alloc::vec::Vec;

/// Most changes that can be undone.
const UNDO: usize = 1000;

/// A change, as what it takes to undo it: from line `at`, `new` lines are replaced by `old`.
#[derive(Debug)]
struct Change {
    at: usize,
    new: usize,
    old: Vec<Vec<char>>,
    cursor: (usize, usize),
}

/// A text being edited. There is always a line.
#[derive(Debug)]
pub struct Text {
    lines: Vec<Vec<char>>,
    /// Line and character of the cursor.
    pub row: usize,
    /// See `row`.
    pub column: usize,
    /// Lines that were cut.
    cut: Vec<Vec<char>>,
    undo: Vec<Change>,
    /// Was it changed since it was saved?
    pub changed: bool,
    /// Was the last change typing in this row, which one undo takes back?
    typing: Option<usize>,
}

impl Text {
    /// The text of a file; fails if it is not UTF-8.
    pub fn new(bytes: &[u8]) -> Option<Text> {
        let text = core::str::from_utf8(bytes).ok()?;
        let body = text.strip_suffix('\n').unwrap_or(text);
        let lines = body.split('\n').map(|l| l.chars().collect()).collect();
        let (cut, undo) = (Vec::new(), Vec::new());
        Some(Text { lines, row: 0, column: 0, cut, undo, changed: false, typing: None })
    }

    /// The text as a file holds it: every line with its newline; nothing if there is nothing.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = String::new();
        if self.lines.len() > 1 || self.lines.iter().any(|l| !l.is_empty()) {
            for l in &self.lines {
                out.extend(l);
                out.push('\n');
            }
        }
        out.into_bytes()
    }

    /// How many lines there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Is there nothing in it?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.len() == 1 && self.lines[0].is_empty()
    }

    /// A line; empty behind the last.
    #[must_use]
    pub fn line(&self, row: usize) -> &[char] {
        self.lines.get(row).map_or(&[], Vec::as_slice)
    }

    /// Replaces lines from `at` on, so that it can be undone.
    fn replace(&mut self, at: usize, count: usize, new: Vec<Vec<char>>) {
        let cursor = (self.row, self.column);
        let n = new.len();
        let old = self.lines.splice(at..at + count, new).collect();
        if self.undo.len() == UNDO {
            self.undo.remove(0);
        }
        self.undo.push(Change { at, new: n, old, cursor });
        if self.lines.is_empty() {
            self.lines.push(Vec::new());
            if let Some(c) = self.undo.last_mut() {
                c.new = 1;
            }
        }
        self.changed = true;
        self.typing = None;
    }

    /// Takes the last change back; false if there is none.
    pub fn undo(&mut self) -> bool {
        self.typing = None;
        let Some(c) = self.undo.pop() else { return false };
        self.lines.splice(c.at..c.at + c.new, c.old);
        (self.row, self.column) = c.cursor;
        self.changed = true;
        true
    }

    /// Puts in a character at the cursor.
    pub fn insert(&mut self, c: char) {
        let mut line = self.lines[self.row].clone();
        line.insert(self.column, c);
        if self.typing == Some(self.row) {
            self.lines[self.row] = line;
            self.changed = true;
        } else {
            self.replace(self.row, 1, Vec::from([line]));
            self.typing = Some(self.row);
        }
        self.column += 1;
    }

    /// Divides the line at the cursor. The new one begins with the blanks of the old.
    pub fn newline(&mut self) {
        let line = &self.lines[self.row];
        let (before, after) = line.split_at(self.column);
        let indent: Vec<char> = before.iter().copied().take_while(|c| matches!(c, ' ' | '\t')).collect();
        let (before, after) = (before.to_vec(), [&indent[..], after].concat());
        self.replace(self.row, 1, Vec::from([before, after]));
        self.row += 1;
        self.column = indent.len();
    }

    /// Takes away the character before the cursor, or the newline.
    pub fn backspace(&mut self) {
        if self.column > 0 {
            let mut line = self.lines[self.row].clone();
            line.remove(self.column - 1);
            self.replace(self.row, 1, Vec::from([line]));
            self.column -= 1;
        } else if self.row > 0 {
            let at = self.lines[self.row - 1].len();
            let joined = [&self.lines[self.row - 1][..], &self.lines[self.row][..]].concat();
            self.replace(self.row - 1, 2, Vec::from([joined]));
            (self.row, self.column) = (self.row - 1, at);
        }
    }

    /// Takes away the character at the cursor, or the newline.
    pub fn delete(&mut self) {
        if self.column < self.lines[self.row].len() {
            let mut line = self.lines[self.row].clone();
            line.remove(self.column);
            self.replace(self.row, 1, Vec::from([line]));
        } else if self.row + 1 < self.lines.len() {
            let joined = [&self.lines[self.row][..], &self.lines[self.row + 1][..]].concat();
            self.replace(self.row, 2, Vec::from([joined]));
        }
    }

    /// Cuts the line; behind another cut, to what was cut there (`more`).
    pub fn cut(&mut self, more: bool) {
        if !more {
            self.cut.clear();
        }
        self.cut.push(self.lines[self.row].clone());
        self.replace(self.row, 1, Vec::new());
        self.row = self.row.min(self.lines.len() - 1);
        self.column = 0;
    }

    /// Puts in the lines that were cut, above the cursor's.
    pub fn paste(&mut self) {
        if !self.cut.is_empty() {
            let cut = self.cut.clone();
            let n = cut.len();
            self.replace(self.row, 0, cut);
            self.row += n;
            self.column = 0;
        }
    }

    /// One character back, or to the end of the line before.
    pub fn left(&mut self) {
        self.typing = None;
        if self.column > 0 {
            self.column -= 1;
        } else if self.row > 0 {
            self.row -= 1;
            self.column = self.lines[self.row].len();
        }
    }

    /// One character on, or to the next line.
    pub fn right(&mut self) {
        self.typing = None;
        if self.column < self.lines[self.row].len() {
            self.column += 1;
        } else if self.row + 1 < self.lines.len() {
            (self.row, self.column) = (self.row + 1, 0);
        }
    }

    /// To a line, counted from 0; the column stays where it can.
    pub fn go(&mut self, row: usize) {
        self.typing = None;
        self.row = row.min(self.lines.len() - 1);
        self.column = self.column.min(self.lines[self.row].len());
    }

    /// To a column.
    pub fn go_column(&mut self, column: usize) {
        self.typing = None;
        self.column = column.min(self.lines[self.row].len());
    }

    /// To the next place behind the cursor where this stands, from the end on from the beginning; false if there is none.
    pub fn find(&mut self, what: &str) -> bool {
        let what: Vec<char> = what.chars().collect();
        if what.is_empty() {
            return false;
        }
        let within = |line: &[char], from: usize| {
            let rest = line.get(from..)?;
            rest.windows(what.len()).position(|w| w == what).map(|n| from + n)
        };
        for n in 0..=self.lines.len() {
            let row = (self.row + n) % self.lines.len();
            let from = if n == 0 { self.column + 1 } else { 0 };
            if let Some(column) = within(&self.lines[row], from) {
                (self.row, self.column) = (row, column);
                self.typing = None;
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(t: &Text) -> String {
        String::from_utf8(t.bytes()).unwrap()
    }

    #[test]
    fn a_text_is_what_the_file_was() {
        for text in ["", "a\n", "a\n\nb\n", "\n\n", "größe\n"] {
            assert_eq!(shown(&Text::new(text.as_bytes()).unwrap()), text);
        }
        assert_eq!(shown(&Text::new(b"no end").unwrap()), "no end\n");
        assert!(Text::new(b"\xff").is_none());
    }

    #[test]
    fn changes_and_their_undoing() {
        let mut t = Text::new(b"  one\ntwo\n").unwrap();
        t.go_column(5);
        t.newline();
        "half".chars().for_each(|c| t.insert(c));
        assert_eq!(shown(&t), "  one\n  half\ntwo\n");
        t.go(2);
        t.go_column(0);
        t.backspace();
        assert_eq!(shown(&t), "  one\n  halftwo\n");
        t.delete();
        t.cut(false);
        assert_eq!(shown(&t), "  one\n");
        t.paste();
        assert_eq!(shown(&t), "  halfwo\n  one\n");
        while t.undo() {}
        assert_eq!(shown(&t), "  one\ntwo\n");
        assert_eq!((t.row, t.column), (0, 5));
        t.cut(false);
        t.cut(true);
        assert!(t.is_empty());
        t.undo();
        t.undo();
        assert_eq!(shown(&t), "  one\ntwo\n");
    }

    #[test]
    fn finding_goes_round() {
        let mut t = Text::new(b"ab\ncab\nb\n").unwrap();
        assert!(t.find("ab"));
        assert_eq!((t.row, t.column), (1, 1));
        assert!(t.find("ab"));
        assert_eq!((t.row, t.column), (0, 0));
        assert!(!t.find("x") && !t.find(""));
    }

    #[test]
    fn any_keys_keep_the_cursor_in_the_text() {
        let mut t = Text::new(b"one\n\ntwo words\n").unwrap();
        let mut seed = 7u32;
        for _ in 0..20_000 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            match seed >> 24 & 15 {
                0 => t.newline(),
                1 | 2 => t.backspace(),
                3 | 4 => t.delete(),
                5 => t.cut(seed & 1 == 0),
                6 if t.len() < 200 => t.paste(),
                7 | 8 => drop(t.undo()),
                9 => t.left(),
                10 => t.right(),
                11 => t.go((seed >> 8 & 7) as usize),
                12 => t.go_column((seed >> 8 & 7) as usize),
                _ => t.insert('x'),
            }
            assert!(t.row < t.len() && t.column <= t.line(t.row).len());
        }
    }
}
