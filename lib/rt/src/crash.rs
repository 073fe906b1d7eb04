//! What a program says when it crashes: its name, the cause, and the functions that it was in.
//!
//! A program is told of its own faults by a note (notify(2)). Without another handler it has [`default`], which writes the
//! report to descriptor 2 and ends the program with the note as its status. Programs are built with frame pointers, so
//! the way back is a chain on the stack; the names are in `/lib/sym/PROGRAM`, if the boot archive has it: a line
//! `ADDRESS NAME` for each function, by address. Nothing here allocates or formats, for the heap's lock may be held.
#![allow(unsafe_code, reason = "is entered by the kernel and follows the stack's frames")]

use crate::sys;
use abi::limit::{STACK, STACK_TOP};
use abi::note::{Frame, TRAP};
use core::arch::asm;

/// Most functions of a report.
const FRAMES: usize = 16;
/// The cause of a fault on memory that the machine does not have.
const NO_MEMORY: &str = abi::error::Error::NoMemory.text();
/// Longest name that is shown; the archive's are cut to it.
const NAME: usize = 80;

unsafe extern "Rust" {
    /// The program's package, which names its file of symbols; the macro `portolan::program!` defines it.
    safe static PORTOLAN_PROGRAM: &'static str;
}

/// Makes [`default`] the handler of this process's notes. A child and a thread begin without one.
pub fn install() {
    // SAFETY: the handler allocates nothing, locks nothing and does not come back.
    let _ = unsafe { sys::notify(Some(default)) };
}

/// The handler of programs that have no other: a note ends the program, a crash with a report.
///
/// # Safety
/// The kernel calls it with a note.
pub unsafe extern "C" fn default(frame: *mut Frame, text: *const u8, len: usize) {
    // SAFETY: the kernel put the registers and the note's text there.
    let (frame, text) = unsafe { (&*frame, core::slice::from_raw_parts(text, len)) };
    end(frame, text)
}

/// Ends the program with a note as its status, after a report if the note tells of a crash.
pub fn end(frame: &Frame, text: &[u8]) -> ! {
    if let Some(why) = text.strip_prefix(TRAP.as_bytes()) {
        let mut line = Line::new();
        if why.starts_with(NO_MEMORY.as_bytes()) {
            // No fault of the program's, and where it was tells nothing.
            line.put(crate::start::name()).put(b": ").put(NO_MEMORY.as_bytes()).send();
            sys::exits(NO_MEMORY.as_bytes());
        }
        line.put(crate::start::name()).put(b": ").put(text).send();
        backtrace(frame.pc, frame.general[6], frame.sp);
    }
    sys::exits(text)
}

/// Writes the functions above the caller's: what a panic has to say besides its words.
pub(crate) fn here() {
    let (frame, sp): (u64, u64);
    // SAFETY: only reads two registers.
    unsafe { asm!("mov {}, rbp", "mov {}, rsp", out(reg) frame, out(reg) sp, options(nomem, nostack)) };
    backtrace(0, frame, sp);
}

/// Writes a line for the function at `pc`, if that is not 0, and for those that called it.
fn backtrace(pc: u64, frame: u64, sp: u64) {
    let mut at = [0; FRAMES];
    let mut n = 0;
    if pc != 0 {
        at[0] = pc;
        n = 1;
    }
    let (mut frame, mut low) = (frame, sp);
    // A frame lies above the last and inside the stack, or the chain has come to an end or is broken.
    while n < FRAMES && frame >= low && frame - sp < STACK && frame % 8 == 0 && frame < STACK_TOP - 16 {
        // SAFETY: two words of this process's stack, above its stack pointer; a stack that ends before them ends the
        // program here instead of a little later.
        let [next, back] = unsafe { (frame as *const [u64; 2]).read_volatile() };
        if back == 0 {
            break;
        }
        // The call is before the address that it returns to.
        at[n] = back - 1;
        n += 1;
        (low, frame) = (frame + 16, next);
    }
    let frames = &at[..n];
    let mut names = Names::find(PORTOLAN_PROGRAM.as_bytes(), frames);
    for (i, &pc) in frames.iter().enumerate() {
        let mut line = Line::new();
        line.put(b"  0x").hex(pc).put(b" ");
        names.name(i, &mut line);
        line.send();
    }
}

/// The name of the function at an address of a program, written to `out`: how long it is; 0 if it is not known.
pub fn symbol(program: &[u8], pc: u64, out: &mut [u8; NAME]) -> usize {
    let mut line = Line::new();
    Names::find(program, &[pc]).name(0, &mut line);
    let n = line.len.min(NAME);
    out[..n].copy_from_slice(&line.bytes[..n]);
    n
}

/// Where in the file of symbols the names of some addresses are.
struct Names {
    fd: Option<i32>,
    at: [(u64, usize); FRAMES],
}

impl Drop for Names {
    fn drop(&mut self) {
        if let Some(fd) = self.fd {
            let _ = sys::close(fd);
        }
    }
}

impl Names {
    /// Reads the file once; its lines are in the order of their addresses, so the last that is not above counts.
    fn find(program: &[u8], frames: &[u64]) -> Names {
        let mut path = Line::new();
        path.put(b"/lib/sym/").put(program);
        let mut names = Names { fd: sys::open(path.get(), abi::file::OREAD), at: [(0, 0); FRAMES] };
        let Some(fd) = names.fd else { return names };
        let mut buf = [0; 1024];
        let mut offset = 0;
        while let Some(n) = sys::pread(fd, &mut buf, offset as i64).filter(|n| *n > 0) {
            let mut used = 0;
            for line in buf[..n.min(1024)].split_inclusive(|b| *b == b'\n').filter(|l| l.ends_with(b"\n")) {
                let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
                let address = line[..digits].iter().fold(0, |sum, b| sum << 4 | hex_digit(*b));
                let place = (offset + (used + digits + 1) as u64, line.len().saturating_sub(digits + 2));
                for (slot, _) in names.at.iter_mut().zip(frames).filter(|f| address <= *f.1) {
                    *slot = place;
                }
                used += line.len();
            }
            if used == 0 {
                break;
            }
            offset += used as u64;
        }
        names
    }

    fn name(&mut self, i: usize, to: &mut Line) {
        let mut buf = [0; NAME];
        let (Some(fd), Some(&(at, len))) = (self.fd, self.at.get(i).filter(|p| p.1 != 0)) else { return };
        let n = sys::pread(fd, &mut buf[..len.min(NAME)], at as i64).unwrap_or(0);
        to.put(&buf[..n.min(NAME)]);
    }
}

fn hex_digit(b: u8) -> u64 {
    char::from(b).to_digit(16).unwrap_or(0).into()
}

/// A line that is put together and written at once; what does not fit is left out.
struct Line {
    bytes: [u8; 256],
    len: usize,
}

impl Line {
    fn new() -> Line {
        Line { bytes: [0; 256], len: 0 }
    }

    fn put(&mut self, text: &[u8]) -> &mut Line {
        let room = self.bytes.get_mut(self.len..255).unwrap_or(&mut []);
        let n = room.len().min(text.len());
        room[..n].copy_from_slice(&text[..n]);
        self.len += n;
        self
    }

    fn hex(&mut self, value: u64) -> &mut Line {
        for shift in (0..16).rev().filter(|s| *s == 0 || value >> (4 * s) != 0) {
            self.put(&[b"0123456789abcdef"[(value >> (4 * shift) & 15) as usize]]);
        }
        self
    }

    fn get(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn send(&mut self) {
        // There is room for one more; where nobody listens the words are lost.
        self.bytes[self.len] = b'\n';
        let _ = sys::pwrite(2, &self.bytes[..=self.len], -1);
    }
}
