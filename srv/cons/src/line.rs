//! The line discipline: what becomes of the bytes that are typed. Pure, so that it is tested on the host.
//!
//! In line mode bytes are echoed and held until the line ends, and may be edited until then: backspace and delete
//! take back a character, Control-W a word, Control-U the line; Control-D ends the line without a newline, and an
//! empty one is the end of the file. In raw mode bytes pass as they come, without echo. Control-C is a note in line
//! mode, and a byte like others in raw mode, where it is the program's to interpret (a shell that edits its own line
//! does). In transparent mode, for a line that a machine and not a person writes to, [`ESCAPE`] leads what is not
//! data.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Most bytes of a line, and most bytes held for readers. What is typed beyond them is refused with a bell.
pub const HELD: usize = 4096;

/// In transparent mode: followed by itself for the byte itself, by `e` for the end of the file, by `i` for the note.
pub const ESCAPE: u8 = 0x10;

const BELL: u8 = 7;
const DELETE: u8 = 0x7f;

const fn control(c: u8) -> u8 {
    c & 0x1f
}

/// How typed bytes are taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Line by line, with editing and echo.
    Line,
    /// Byte by byte, without echo.
    Raw,
    /// Byte by byte from a program, with escapes.
    Transparent,
}

/// What a typed byte asks of the terminal, beside the echo.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ask {
    /// Nothing.
    Nothing,
    /// Somebody may read now.
    Ready,
    /// Send the note `interrupt`; what was typed ahead is forgotten.
    Interrupt,
}

/// What a read gets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Got {
    /// Nothing is there yet.
    Wait,
    /// So many bytes; none for the end of the file.
    Bytes(usize),
}

/// The state of a terminal's input.
#[derive(Debug)]
pub struct Line {
    mode: Mode,
    /// The line being typed.
    typing: Vec<u8>,
    /// What readers may have. A `None` is an end of file.
    ready: VecDeque<Option<u8>>,
    escaped: bool,
}

impl Line {
    /// An idle terminal.
    pub const fn new(mode: Mode) -> Line {
        Line { mode, typing: Vec::new(), ready: VecDeque::new(), escaped: false }
    }

    /// The mode.
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// Changes the mode. A line begun in line mode becomes readable.
    pub fn set_mode(&mut self, mode: Mode) {
        self.mode = mode;
        self.finish(None);
    }

    /// Room for typed bytes; with none left they should stay where they come from.
    pub fn room(&self) -> usize {
        HELD.saturating_sub(self.ready.len())
    }

    /// Takes a typed byte; the echo is appended to `echo`.
    pub fn typed(&mut self, byte: u8, echo: &mut Vec<u8>) -> Ask {
        match self.mode {
            Mode::Line => self.typed_line(byte, echo),
            Mode::Raw => self.pass(Some(byte)),
            Mode::Transparent => self.typed_transparent(byte),
        }
    }

    fn pass(&mut self, byte: Option<u8>) -> Ask {
        // Without memory the byte is lost, as it is on a line that nobody reads.
        if self.ready.try_reserve(1).is_ok() {
            self.ready.push_back(byte);
        }
        Ask::Ready
    }

    fn typed_transparent(&mut self, byte: u8) -> Ask {
        if !core::mem::take(&mut self.escaped) {
            if byte == ESCAPE {
                self.escaped = true;
                return Ask::Nothing;
            }
            return self.pass(Some(byte));
        }
        match byte {
            b'e' => self.pass(None),
            b'i' => self.interrupt(),
            other => self.pass(Some(other)),
        }
    }

    fn interrupt(&mut self) -> Ask {
        self.typing.clear();
        self.ready.clear();
        Ask::Interrupt
    }

    fn typed_line(&mut self, byte: u8, echo: &mut Vec<u8>) -> Ask {
        const BACK: &[u8] = b"\x08 \x08";
        match byte {
            b'\r' | b'\n' => {
                echo.push(b'\n');
                return self.finish(Some(b'\n'));
            }
            DELETE | 8 => {
                if self.rub_out() {
                    echo.extend_from_slice(BACK);
                }
            }
            c if c == control(b'C') => {
                echo.extend_from_slice(b"^C\n");
                return self.interrupt();
            }
            c if c == control(b'D') => {
                if self.typing.is_empty() {
                    return self.pass(None);
                }
                return self.finish(None);
            }
            c if c == control(b'U') => {
                while self.rub_out() {
                    echo.extend_from_slice(BACK);
                }
            }
            c if c == control(b'W') => {
                while self.typing.last() == Some(&b' ') && self.rub_out() {
                    echo.extend_from_slice(BACK);
                }
                while self.typing.last().is_some_and(|&b| b != b' ') && self.rub_out() {
                    echo.extend_from_slice(BACK);
                }
            }
            c if c < b' ' && c != b'\t' => echo.push(BELL),
            c => {
                if self.typing.len() < HELD - 1 && self.typing.try_reserve(1).is_ok() {
                    self.typing.push(c);
                    echo.push(c);
                } else {
                    echo.push(BELL);
                }
            }
        }
        Ask::Nothing
    }

    /// Takes back the last character, all bytes of it.
    fn rub_out(&mut self) -> bool {
        while let Some(b) = self.typing.pop() {
            if b & 0xc0 != 0x80 {
                return true;
            }
        }
        false
    }

    fn finish(&mut self, last: Option<u8>) -> Ask {
        let line = core::mem::take(&mut self.typing);
        if self.ready.try_reserve(line.len() + 1).is_ok() {
            self.ready.extend(line.into_iter().chain(last).map(Some));
        }
        Ask::Ready
    }

    /// Gives a reader what there is: in line mode at most one line.
    pub fn read(&mut self, mut put: impl FnMut(u8), room: usize) -> Got {
        if room == 0 {
            return Got::Bytes(0);
        }
        let mut n = 0;
        loop {
            match self.ready.front() {
                None if n == 0 => return Got::Wait,
                // The end of the file is a read of its own.
                Some(None) if n == 0 => {
                    self.ready.pop_front();
                    return Got::Bytes(0);
                }
                None | Some(None) => return Got::Bytes(n),
                Some(&Some(b)) => {
                    self.ready.pop_front();
                    put(b);
                    n += 1;
                    if n == room || (self.mode == Mode::Line && b == b'\n') {
                        return Got::Bytes(n);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    fn run(line: &mut Line, typed: &[u8]) -> (String, Vec<Ask>) {
        let mut echo = Vec::new();
        let asks = typed.iter().map(|&b| line.typed(b, &mut echo)).filter(|&a| a != Ask::Nothing).collect();
        (String::from_utf8(echo).unwrap(), asks)
    }

    fn read(line: &mut Line, room: usize) -> Option<Vec<u8>> {
        let mut v = Vec::new();
        match line.read(|b| v.push(b), room) {
            Got::Wait => None,
            Got::Bytes(n) => {
                assert_eq!(n, v.len());
                Some(v)
            }
        }
    }

    #[test]
    fn a_line_is_readable_when_it_ends_and_reads_stop_at_its_end() {
        let mut l = Line::new(Mode::Line);
        assert_eq!(run(&mut l, b"one").0, "one");
        assert_eq!(read(&mut l, 10), None);
        assert_eq!(run(&mut l, b"\rtwo\n"), (String::from("\ntwo\n"), alloc::vec![Ask::Ready, Ask::Ready]));
        assert_eq!(read(&mut l, 2).unwrap(), b"on");
        assert_eq!(read(&mut l, 10).unwrap(), b"e\n");
        assert_eq!(read(&mut l, 10).unwrap(), b"two\n");
        assert_eq!(read(&mut l, 10), None);
    }

    #[test]
    fn editing_takes_back_characters_words_and_lines() {
        let mut l = Line::new(Mode::Line);
        run(&mut l, "aé\x7fb\n".as_bytes());
        assert_eq!(read(&mut l, 10).unwrap(), b"ab\n");
        run(&mut l, b"echo one  two  \x17\x17three\n");
        assert_eq!(read(&mut l, 99).unwrap(), b"echo three\n");
        run(&mut l, b"gone\x15\x7f\x7fhere\n");
        assert_eq!(read(&mut l, 99).unwrap(), b"here\n");
    }

    #[test]
    fn control_d_ends_a_line_or_the_file() {
        let mut l = Line::new(Mode::Line);
        run(&mut l, b"part\x04");
        assert_eq!(read(&mut l, 99).unwrap(), b"part");
        run(&mut l, b"\x04more\n");
        assert_eq!(read(&mut l, 99).unwrap(), b"");
        assert_eq!(read(&mut l, 99).unwrap(), b"more\n");
    }

    #[test]
    fn control_c_interrupts_and_forgets_what_was_typed_ahead() {
        let mut l = Line::new(Mode::Line);
        let (echo, asks) = run(&mut l, b"ahead\nhalf\x03");
        assert!(echo.ends_with("^C\n"));
        assert_eq!(asks.last(), Some(&Ask::Interrupt));
        assert_eq!(read(&mut l, 99), None);
        l.set_mode(Mode::Raw);
        assert_eq!(run(&mut l, b"\x03").1, [Ask::Ready]);
        assert_eq!(read(&mut l, 99).unwrap(), b"\x03");
    }

    #[test]
    fn raw_mode_passes_bytes_without_echo_and_keeps_what_was_begun() {
        let mut l = Line::new(Mode::Line);
        run(&mut l, b"begun");
        l.set_mode(Mode::Raw);
        assert_eq!(run(&mut l, b"\x1b[A\r").0, "");
        assert_eq!(read(&mut l, 99).unwrap(), b"begun\x1b[A\r");
    }

    #[test]
    fn a_line_without_end_stops_at_the_limit_with_a_bell() {
        let mut l = Line::new(Mode::Line);
        let (echo, _) = run(&mut l, &[b'x'; HELD + 10]);
        assert!(echo.ends_with('\x07'));
        run(&mut l, b"\n");
        assert_eq!(read(&mut l, HELD * 2).unwrap().len(), HELD);
    }

    #[test]
    fn transparent_mode_passes_every_byte_and_knows_the_end() {
        let mut l = Line::new(Mode::Transparent);
        let all: Vec<u8> =
            (0..=255).flat_map(|b| if b == ESCAPE { alloc::vec![b, b] } else { alloc::vec![b] }).collect();
        let (echo, _) = run(&mut l, &all);
        assert_eq!(echo, "");
        assert_eq!(read(&mut l, 300).unwrap(), (0..=255).collect::<Vec<u8>>());
        let (_, asks) = run(&mut l, &[b'x', ESCAPE, b'e', b'y', ESCAPE, b'i']);
        assert_eq!(asks.last(), Some(&Ask::Interrupt));
        run(&mut l, &[b'x', ESCAPE, b'e']);
        assert_eq!(read(&mut l, 300).unwrap(), b"x");
        assert_eq!(read(&mut l, 300).unwrap(), b"");
        assert_eq!(read(&mut l, 300), None);
    }
}
