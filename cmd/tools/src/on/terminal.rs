//! The terminal for programs that fill its screen: keys one by one, its size, and its modes given back in the end.

use core::sync::atomic::{AtomicBool, Ordering};
use portolan::abi::error::Error as Known;
use portolan::abi::file::{OCEXEC, ORDWR, OWRITE};
use portolan::alloc::collections::VecDeque;
use portolan::alloc::format;
use portolan::alloc::string::String;
use portolan::alloc::vec::Vec;
use portolan::{Error, File, Result, note, sys};
use term::{Done, Editor, Key, Keys, width_of};

/// How long a terminal may take to tell its size.
const PATIENCE: u64 = 500_000_000;

/// The terminal, in raw mode for as long as this lives.
pub(super) struct Terminal {
    cons: File,
    ctl: File,
    keys: Keys,
    ahead: VecDeque<u8>,
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// What is to be sent before the next key is waited for.
    pub(super) out: Vec<u8>,
}

static LATE: AtomicBool = AtomicBool::new(false);
/// The program has the screen for itself: what was on it is to come back.
static WHOLE: AtomicBool = AtomicBool::new(false);
/// The terminal's other screen, and back (xterm's sequences, which all of its kind know).
const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[m\x1b[?1049l";

fn alarmed(text: &str) -> note::Then {
    if text == "alarm" {
        LATE.store(true, Ordering::Relaxed);
        return note::Then::Continue;
    }
    // The program ends. Nothing is allocated here: the heap may be locked.
    if WHOLE.load(Ordering::Relaxed)
        && let Some(fd) = sys::open(b"/dev/cons", OWRITE)
    {
        let _ = sys::pwrite(fd, LEAVE.as_bytes(), -1);
    }
    note::Then::Default
}

impl Terminal {
    /// Takes the terminal and asks for its size; one that does not answer has 24 rows of 80.
    pub(super) fn open() -> Result<Terminal> {
        let open = |path, mode| File::open(path, mode | OCEXEC).map_err(|e| Error::of(path, e));
        let (cons, ctl) = (open("/dev/cons", ORDWR)?, open("/dev/consctl", OWRITE)?);
        ctl.write_all(b"rawon")?;
        let (keys, ahead) = (Keys::default(), VecDeque::new());
        let mut t = Terminal { cons, ctl, keys, ahead, rows: 24, columns: 80, out: Vec::new() };
        t.ask_size()?;
        Ok(t)
    }

    /// Takes the whole screen until the end, when what was there comes back.
    pub(super) fn whole(&mut self) {
        WHOLE.store(true, Ordering::Relaxed);
        self.put(ENTER);
    }

    /// Asks the terminal for its size and waits a little for the answer. Keys that come before it stay.
    pub(super) fn ask_size(&mut self) -> Result<()> {
        self.out.extend_from_slice(term::ASK_SIZE);
        self.flush()?;
        note::handle(alarmed)?;
        LATE.store(false, Ordering::Relaxed);
        let _ = sys::alarm(PATIENCE);
        let mut seen = Vec::new();
        let mut keys = Keys::default();
        while !LATE.load(Ordering::Relaxed) {
            let mut b = [0];
            match self.cons.read(&mut b) {
                Ok(0) => break,
                Ok(_) => seen.push(b[0]),
                Err(e) if e.is(Known::Interrupted) => break,
                Err(e) => return Err(e),
            }
            if let Some(Key::Size(rows, columns)) = keys.byte(b[0]) {
                (self.rows, self.columns) = (rows, columns);
                let answer = seen.iter().rposition(|b| *b == 0x1b).unwrap_or(0);
                seen.truncate(answer);
                break;
            }
        }
        let _ = sys::alarm(0);
        self.ahead.extend(seen);
        Ok(())
    }

    /// Sends what is to be sent.
    pub(super) fn flush(&mut self) -> Result<()> {
        let r = self.cons.write_all(&self.out);
        self.out.clear();
        r
    }

    /// Text for the terminal.
    pub(super) fn put(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    /// Puts the cursor at a row and column, counted from 0.
    pub(super) fn at(&mut self, row: usize, column: usize) {
        self.put(&format!("\x1b[{};{}H", row + 1, column + 1));
    }

    /// The next key.
    pub(super) fn key(&mut self) -> Result<Key> {
        self.flush()?;
        loop {
            while let Some(b) = self.ahead.pop_front() {
                if let Some(key) = self.keys.byte(b) {
                    if let Key::Size(rows, columns) = key {
                        (self.rows, self.columns) = (rows, columns);
                    }
                    return Ok(key);
                }
            }
            let mut buf = [0; 256];
            match self.cons.read(&mut buf) {
                Ok(0) => return Err(Known::Closed.into()),
                Ok(n) => self.ahead.extend(&buf[..n]),
                Err(e) if e.is(Known::Interrupted) => return Ok(Key::Control('c')),
                Err(e) => return Err(e),
            }
        }
    }

    /// Asks for a line on the last row; none if the answer is Ctrl-C.
    pub(super) fn ask(&mut self, question: &str) -> Result<Option<String>> {
        let mut editor = Editor::default();
        let mut out = Vec::new();
        editor.key(Key::Size(self.rows, self.columns), question, &mut out);
        self.at(self.rows.saturating_sub(1), 0);
        self.put("\x1b[K");
        editor.begin(question, &mut out);
        loop {
            self.out.append(&mut out);
            let key = self.key()?;
            match editor.key(key, question, &mut out) {
                Done::Line(line) => return Ok(Some(line)),
                Done::Interrupt | Done::End => return Ok(None),
                Done::More | Done::Complete => {}
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if WHOLE.swap(false, Ordering::Relaxed) {
            self.put(LEAVE);
        }
        let _ = self.flush();
        let _ = self.ctl.write_all(b"rawoff");
    }
}

/// Characters as a row shows them: tabs as blanks, control characters as `^X`. Calls `put` with each cell's character
/// and the column where it begins.
pub(super) fn cells(text: &[char], mut put: impl FnMut(char, usize)) {
    let mut column = 0;
    for &c in text {
        match c {
            '\t' => {
                let end = column / 8 * 8 + 8;
                (column..end).for_each(|n| put(' ', n));
                column = end;
            }
            c if c.is_control() => {
                put('^', column);
                put(char::from((c as u32 as u8 & 0x1f) | 0x40), column + 1);
                column += 2;
            }
            c => {
                put(c, column);
                column += width_of(c);
            }
        }
    }
}

/// The column where the text ends.
pub(super) fn end_column(text: &[char]) -> usize {
    text.iter().fold(0, |n, &c| if c == '\t' { n / 8 * 8 + 8 } else { n + width_of(c) })
}
