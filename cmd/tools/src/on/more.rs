//! more: text by the screen.

use super::given::{Given, Lines, chomp, columns, each_input, output};
use super::terminal::{Terminal, cells};
use super::text;
use portolan::abi::error::Error as Known;
use portolan::alloc::format;
use portolan::alloc::string::String;
use portolan::alloc::vec::Vec;
use portolan::{Result, STDOUT};
use term::Key;

/// Leads a row that is shown bold.
pub(super) const BOLD: char = '\u{1}';

pub(super) fn more(g: &mut Given) -> Result<()> {
    if columns().is_none() {
        // Nobody turns pages there.
        return text::cat(g);
    }
    let paths = g.inputs();
    let mut lines = Vec::new();
    let mut out = output();
    let outcome = each_input(&paths, |_, f| {
        let mut from = Lines::new(f);
        while let Some(line) = from.next(&mut out)? {
            lines.try_reserve(1).map_err(|_| Known::NoMemory)?;
            lines.push(text(chomp(line)));
        }
        Ok(())
    });
    page(&lines)?;
    outcome.end()
}

/// Shows lines, a screen at a time; a text that fits is just shown.
pub(super) fn page(lines: &[String]) -> Result<()> {
    let mut t = Terminal::open()?;
    let rows = rows(lines, t.columns);
    let height = t.rows.saturating_sub(1).max(1);
    if rows.len() <= height {
        for row in &rows {
            put(&mut t, row);
            t.put("\n");
        }
        return t.flush();
    }
    let (mut top, mut wanted, mut message) = (0, String::new(), String::new());
    let last = rows.len() - height;
    loop {
        draw(&mut t, &rows, top, height, &message);
        message.clear();
        match t.key()? {
            Key::Char('q') | Key::Control('c' | 'd') => break,
            Key::Char(' ' | 'f') | Key::PageDown if top == last => break,
            Key::Char(' ' | 'f') | Key::PageDown => top = (top + height).min(last),
            Key::Char('b') | Key::PageUp => top = top.saturating_sub(height),
            Key::Char('j') | Key::Down | Key::Enter => top = (top + 1).min(last),
            Key::Char('k') | Key::Up => top = top.saturating_sub(1),
            Key::Char('g') | Key::Home => top = 0,
            Key::Char('G') | Key::End => top = last,
            Key::Char(c @ ('/' | 'n')) => {
                if c == '/' {
                    match t.ask("/")? {
                        Some(w) => wanted = w,
                        None => continue,
                    }
                }
                match rows.iter().skip(top + 1).position(|r| r.contains(wanted.as_str())) {
                    Some(n) if !wanted.is_empty() => top = (top + 1 + n).min(last),
                    _ => message = format!("not found: {wanted}"),
                }
            }
            Key::Size(..) => {}
            _ => {
                message = String::from(
                    "space b: a screen on, back; return k: a line; / n: find; g G: ends; q: leave",
                )
            }
        }
    }
    t.put("\r\x1b[K");
    t.flush()
}

fn draw(t: &mut Terminal, rows: &[String], top: usize, height: usize, message: &str) {
    t.put("\x1b[H");
    for row in rows.iter().skip(top).take(height) {
        put(t, row);
        t.put("\x1b[K\n");
    }
    let end = top + height;
    let state = if message.is_empty() {
        format!("--more-- {}%", end * 100 / rows.len().max(1))
    } else {
        String::from(message)
    };
    let state: String = state.chars().take(t.columns.saturating_sub(1)).collect();
    t.put(&format!("\x1b[7m{state}\x1b[m\x1b[K"));
}

fn put(t: &mut Terminal, row: &str) {
    match row.strip_prefix(BOLD) {
        Some(title) => t.put(&format!("\x1b[1m{title}\x1b[m")),
        None => t.put(row),
    }
}

/// Lines as rows of the terminal: long ones go over several.
fn rows(lines: &[String], columns: usize) -> Vec<String> {
    let room = columns.saturating_sub(1).max(2);
    let mut rows = Vec::new();
    for line in lines {
        let (bold, line) = match line.strip_prefix(BOLD) {
            Some(l) => (true, l),
            None => (false, line.as_str()),
        };
        let chars: Vec<char> = line.chars().collect();
        let mut row = String::from(if bold { "\u{1}" } else { "" });
        let mut begun = 0;
        cells(&chars, |c, column| {
            if column + term::width_of(c) > begun + room {
                rows.push(core::mem::take(&mut row));
                begun = column;
            }
            row.push(c);
        });
        rows.push(row);
    }
    rows
}

/// Shows text by the screen on a terminal, else writes it.
pub(super) fn show(lines: &[String]) -> Result<()> {
    if columns().is_some() {
        return page(lines);
    }
    let mut out = portolan::Buffered::new(STDOUT);
    for line in lines {
        out.put(line.trim_start_matches(BOLD).as_bytes())?;
        out.put(b"\n")?;
    }
    out.flush()
}
