//! The editor, on a screen of one row that the tests keep.

use super::*;
use crate::key::Keys;

/// What is left on the row, and the cursor's column.
fn row(out: &[u8], columns: usize) -> (String, usize) {
    let text = core::str::from_utf8(out).unwrap();
    let (mut cells, mut at): (Vec<char>, usize) = (Vec::new(), 0);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\r' => at = 0,
            '\n' => (cells, at) = (Vec::new(), 0),
            '\u{7}' => {}
            '\u{8}' => at -= 1,
            '\u{1b}' => {
                assert_eq!(chars.next(), Some('['));
                let mut n = String::new();
                let last = loop {
                    match chars.next().unwrap() {
                        d @ '0'..='9' => n.push(d),
                        c => break c,
                    }
                };
                match last {
                    'K' => cells.truncate(at),
                    'C' => at += n.parse::<usize>().unwrap_or(1).max(1),
                    other => panic!("{other}"),
                }
            }
            c => {
                // A wide character covers two cells.
                cells.resize(cells.len().max(at + width_of(c)), ' ');
                cells[at..at + width_of(c)].fill('\0');
                cells[at] = c;
                at += width_of(c);
            }
        }
        assert!(at < columns.max(4), "the row is full: {text:?}");
    }
    (cells.into_iter().collect(), at)
}

fn type_in(e: &mut Editor, keys: &str) -> (Vec<u8>, Vec<Done>) {
    let (mut out, mut done, mut k) = (Vec::new(), Vec::new(), Keys::default());
    e.begin("% ", &mut out);
    for b in keys.bytes() {
        if let Some(key) = k.byte(b) {
            match e.key(key, "% ", &mut out) {
                Done::More => {}
                Done::Complete => e.complete(0, &["apple".into(), "apply".into()], "% ", &mut out),
                d => done.push(d),
            }
        }
    }
    (out, done)
}

fn line(keys: &str) -> String {
    let mut e = Editor::default();
    match type_in(&mut e, &alloc::format!("{keys}\r")).1.pop() {
        Some(Done::Line(l)) => l,
        other => panic!("{other:?}"),
    }
}

#[test]
fn plain_typing_is_echoed_as_it_is() {
    let (out, done) = type_in(&mut Editor::default(), "echo é");
    assert_eq!((core::str::from_utf8(&out).unwrap(), done.len()), ("% echo é", 0));
}

#[test]
fn keys_edit_the_line() {
    for (keys, want) in [
        ("ac\x1b[Db", "abc"),
        ("bc\x01a\x05d", "abcd"),
        ("abX\x7fc", "abc"),
        ("abXc\x1b[D\x1b[D\x1b[3~", "abc"),
        ("one two\x17three", "one three"),
        ("one two\x15three", "three"),
        ("one two\x01\x0b\x19", "one two"),
        ("one two three\x1bb\x1bb\x1bd2", "one 2 three"),
        ("ba\x14", "ab"),
        ("日本\x7f", "日"),
        ("a/b/c\x1b\x7f", "a/b/"),
        ("ap\t", "appl"),
    ] {
        assert_eq!(line(keys), want, "{keys:?}");
    }
}

#[test]
fn history_finds_what_begins_as_the_line_does() {
    let mut e = Editor::default();
    for l in ["echo a\r", "ls\r", "ls\r", " \r", "echo b\r"] {
        type_in(&mut e, l);
    }
    let mut last = |keys: &str| match type_in(&mut e, keys).1.pop() {
        Some(Done::Line(l)) => l,
        other => panic!("{other:?}"),
    };
    assert_eq!(last("\x1b[A\x1b[A\r"), "ls");
    assert_eq!(last("ec\x1b[A\x1b[A\r"), "echo a");
    assert_eq!(last("new\x1b[A\x1b[B\r"), "new");
    assert_eq!(last("e\x1b[A\x1b[A\x1b[B\x1b[B\x1b[B\r"), "e");
}

#[test]
fn ends_and_interrupts() {
    assert_eq!(type_in(&mut Editor::default(), "\x04").1, [Done::End]);
    assert_eq!(type_in(&mut Editor::default(), "a\x04\x03").1, [Done::Interrupt]);
}

#[test]
fn a_line_that_does_not_fit_scrolls() {
    for columns in 1..12 {
        let mut e = Editor::default();
        let mut out = Vec::new();
        e.begin("% ", &mut out);
        e.key(Key::Size(5, columns), "% ", &mut out);
        for c in "0123456789日本xyz".chars() {
            e.key(Key::Char(c), "% ", &mut out);
        }
        for key in [Key::Left, Key::Home, Key::End, Key::Backspace, Key::WordLeft, Key::Up] {
            e.key(key, "% ", &mut out);
            let (shown, at) = row(&out, columns);
            assert!(
                shown.starts_with("% ") && at <= shown.chars().count(),
                "{columns} {key:?} {shown:?} {at}"
            );
        }
    }
    let mut e = Editor::default();
    let mut out = Vec::new();
    e.begin("% ", &mut out);
    e.key(Key::Size(5, 8), "% ", &mut out);
    for c in "abcdefgh".chars() {
        e.key(Key::Char(c), "% ", &mut out);
    }
    assert_eq!(row(&out, 8), ("% defgh".into(), 7));
    e.key(Key::Home, "% ", &mut out);
    assert_eq!(row(&out, 8), ("% abcde".into(), 2));
}

#[test]
fn several_completions_are_listed() {
    let mut e = Editor::default();
    let (out, _) = type_in(&mut e, "appl\t");
    assert_eq!(core::str::from_utf8(&out).unwrap(), "% appl\napple  apply  \n\r% appl\x1b[K");
}
