//! edit: a text editor on the whole screen.
//!
//! The text is `tools::edit`; this shows it, row by row and only what changed, and gives it keys.

use super::given::Given;
use super::terminal::{Terminal, cells, end_column};
use super::{Text as Shown, base, join, parent, text};
use portolan::abi::error::Error as Known;
use portolan::abi::file::{DMDIR, OREAD, OTRUNC, OWRITE};
use portolan::alloc::format;
use portolan::alloc::string::String;
use portolan::alloc::vec::Vec;
use portolan::fs::Stat;
use portolan::{Error, File, Result, fs};
use term::Key;
use tools::edit::Text;

/// Largest file, in bytes.
const LARGEST: u64 = 4 << 20;
const KEYS: &str = "^S save  ^Q leave  ^F find  ^G again  ^K cut  ^U paste  ^Z undo  ^T line";

struct Edit {
    path: &'static [u8],
    text: Text,
    terminal: Terminal,
    /// First row and column shown.
    top: usize,
    left: usize,
    /// What each row of the screen shows.
    rows: Vec<String>,
    message: String,
    wanted: String,
    /// What the last key did: a cut adds to one just before it, leaving twice loses changes.
    cutting: bool,
    leaving: bool,
}

pub(super) fn edit(g: &mut Given) -> Result<()> {
    let [path] = g.exactly()?;
    let (bytes, message) = read(path).map_err(|e| Error::of(Shown(path), e))?;
    let not_text = "is not UTF-8 text (xd shows its bytes)";
    let text = Text::new(&bytes).ok_or_else(|| Error::of(Shown(path), not_text))?;
    let mut e = Edit {
        path,
        text,
        terminal: Terminal::open()?,
        top: 0,
        left: 0,
        rows: Vec::new(),
        message,
        wanted: String::new(),
        cutting: false,
        leaving: false,
    };
    e.terminal.whole();
    let end = e.run();
    // Where a terminal has no other screen the last row is free at least.
    let last = e.terminal.rows;
    e.terminal.put("\x1b[m");
    e.terminal.at(last.saturating_sub(1), 0);
    e.terminal.put("\x1b[K");
    end
}

/// The file's bytes, and what there is to say of it.
fn read(path: &[u8]) -> Result<(Vec<u8>, String)> {
    let a = match fs::stat(path) {
        Err(e) if e.is(Known::NotExist) => return Ok((Vec::new(), String::from("a new file"))),
        a => a?,
    };
    if a.stat().mode & DMDIR != 0 {
        return Err(Known::IsDir.into());
    }
    if a.stat().length > LARGEST {
        return Err(Error::new("is too large to edit (4 MiB at most)"));
    }
    Ok((File::open(path, OREAD)?.read_all()?, String::from(KEYS)))
}

/// Puts the bytes in the file's place once they are all there: a full disk or a machine that stops leaves what was.
fn store(path: &[u8], bytes: &[u8]) -> Result<()> {
    let name = core::str::from_utf8(base(path)).map_err(|_| Known::BadName)?;
    let new = join(parent(path), format!("{name}.new").as_bytes());
    let Ok(old) = fs::stat(path) else { return fs::write(path, bytes) };
    let mode = old.stat().mode;
    let Ok(f) = File::create(&new, u32::from(OWRITE | OTRUNC), mode & 0o777) else {
        // A device, or a file that is given without its directory.
        return fs::write(path, bytes);
    };
    // The change of mode tells too whether the server has all.
    let done = f.write_all(bytes).and_then(|()| fs::wstat(&new, &Stat { mode, ..Stat::NOCHANGE }));
    drop(f);
    if let Err(e) = done {
        let _ = fs::remove(&new);
        return Err(e);
    }
    fs::rename(&new, name).map_err(|e| Error::of(format!("it is in {}", Shown(&new)), e))
}

impl Edit {
    fn run(&mut self) -> Result<()> {
        loop {
            self.show();
            let key = self.terminal.key()?;
            let (cutting, leaving) = (core::mem::take(&mut self.cutting), core::mem::take(&mut self.leaving));
            if !matches!(key, Key::Size(..)) {
                self.message.clear();
            }
            match key {
                Key::Control('q' | 'x') if !self.text.changed || leaving => return Ok(()),
                Key::Control('q' | 'x') => {
                    self.leaving = true;
                    self.message = "not saved: ^S saves, ^Q again leaves without".into();
                }
                Key::Control('k') => {
                    self.text.cut(cutting);
                    self.cutting = true;
                }
                key => self.key(key)?,
            }
        }
    }

    /// Rows for text: all but the status and the message.
    fn height(&self) -> usize {
        self.terminal.rows.saturating_sub(2).max(1)
    }

    fn key(&mut self, key: Key) -> Result<()> {
        let (row, page) = (self.text.row, self.height());
        match key {
            Key::Char(c) => self.text.insert(c),
            Key::Tab => self.text.insert('\t'),
            Key::Enter => self.text.newline(),
            Key::Backspace => self.text.backspace(),
            Key::Delete | Key::Control('d') => self.text.delete(),
            Key::Left | Key::Control('b') => self.text.left(),
            Key::Right => self.text.right(),
            Key::Up | Key::Control('p') => self.text.go(row.saturating_sub(1)),
            Key::Down | Key::Control('n') => self.text.go(row + 1),
            Key::PageUp => self.text.go(row.saturating_sub(page)),
            Key::PageDown => self.text.go(row + page),
            Key::Home | Key::Control('a') => self.text.go_column(0),
            Key::End | Key::Control('e') => self.text.go_column(usize::MAX),
            Key::Control('u' | 'y') => self.text.paste(),
            Key::Control('z') => {
                if !self.text.undo() {
                    self.message = "nothing to undo".into();
                }
            }
            Key::Control('s') => self.save(),
            Key::Control('f' | 'w') => {
                if let Some(what) = self.terminal.ask("find: ")? {
                    self.wanted = what;
                    self.find();
                }
                self.rows.clear();
            }
            Key::Control('g') => self.find(),
            Key::Control('t') => {
                if let Some(line) = self.terminal.ask("line: ")? {
                    match line.trim().parse::<usize>() {
                        Ok(n) => self.text.go(n.saturating_sub(1)),
                        Err(_) => self.message = format!("{line}: not a number"),
                    }
                }
                self.rows.clear();
            }
            Key::Control('l') => {
                self.rows.clear();
                self.terminal.ask_size()?;
            }
            Key::Size(..) => self.rows.clear(),
            _ => self.message = KEYS.into(),
        }
        Ok(())
    }

    fn find(&mut self) {
        let wanted = self.wanted.clone();
        if !self.text.find(&wanted) {
            self.message = format!("not found: {wanted}");
        }
    }

    fn save(&mut self) {
        let bytes = self.text.bytes();
        match store(self.path, &bytes) {
            Ok(()) => {
                self.text.changed = false;
                self.message = format!("saved: {} bytes", bytes.len());
            }
            // The text is still here, and changed.
            Err(e) => self.message = format!("NOT saved: {e}"),
        }
    }

    /// Scrolls so that the cursor is seen, and draws the rows that changed.
    fn show(&mut self) {
        let (height, width) = (self.height(), self.terminal.columns.max(1));
        let line = self.text.line(self.text.row);
        let column = end_column(&line[..self.text.column.min(line.len())]);
        if !(self.top..self.top + height).contains(&self.text.row) {
            self.top = self.text.row.saturating_sub(height / 2);
        }
        if column < self.left || column >= self.left + width {
            self.left = column.saturating_sub(width / 2);
        }
        let mut rows: Vec<String> = (self.top..self.top + height).map(|n| self.row(n, width)).collect();
        rows.push(self.status(width));
        rows.push(self.message.chars().take(width.saturating_sub(1)).collect());
        rows.truncate(self.terminal.rows.max(1));
        if self.rows.len() != rows.len() {
            self.rows.clear();
            self.terminal.put("\x1b[m\x1b[2J");
        }
        for (n, row) in rows.iter().enumerate() {
            if self.rows.get(n) != Some(row) {
                self.terminal.at(n, 0);
                let status = n == height;
                self.terminal.put(if status { "\x1b[7m" } else { "" });
                self.terminal.put(row);
                self.terminal.put(if status { "\x1b[m\x1b[K" } else { "\x1b[K" });
            }
        }
        self.rows = rows;
        self.terminal.at(self.text.row - self.top, column - self.left);
    }

    /// A row of the text as the screen shows it.
    fn row(&self, n: usize, width: usize) -> String {
        if n >= self.text.len() {
            return String::from("~");
        }
        let mut out = String::new();
        cells(self.text.line(n), |c, column| {
            // The last column stays free: a terminal that writes there may go to the next row.
            if column >= self.left && column + term::width_of(c) < self.left + width {
                out.push(c);
            }
        });
        out
    }

    fn status(&self, width: usize) -> String {
        let changed = if self.text.changed { " *" } else { "" };
        let (row, column) = (self.text.row + 1, self.text.column + 1);
        let line = format!(" {}{changed}  {row}:{column} of {}", text(self.path), self.text.len());
        let line: String = line.chars().take(width.saturating_sub(1)).collect();
        format!("{line:w$}", w = width.saturating_sub(1))
    }
}
