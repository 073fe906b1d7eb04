//! Notes: what a process is told while it does something else.
#![allow(unsafe_code, reason = "the handler is entered by the kernel")]

use super::error::{Result, check};
use crate::sys;
use abi::note::{Frame, NCONT};
use core::sync::atomic::{AtomicUsize, Ordering};

/// What to do after a note.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Then {
    /// Go on.
    Continue,
    /// End the process, as if nobody had taken the note.
    Default,
}

static TAKER: AtomicUsize = AtomicUsize::new(0);

/// Names the function that takes this process's notes. It runs between any two instructions: it may set atomics and
/// make system calls, but neither allocate nor lock.
pub fn handle(taker: fn(&str) -> Then) -> Result<()> {
    TAKER.store(taker as usize, Ordering::Release);
    // SAFETY: `enter` only calls the taker, whose contract is above, and `noted`.
    check(unsafe { sys::notify(Some(enter)) })
}

/// Back to the default: an unknown note ends the process.
pub fn default() -> Result<()> {
    // SAFETY: the runtime's handler keeps the rules above and does not come back.
    check(unsafe { sys::notify(Some(rt::crash::default)) })
}

unsafe extern "C" fn enter(frame: *mut Frame, text: *const u8, len: usize) {
    // SAFETY: the kernel put the note's text there, below the interrupted stack.
    let text = unsafe { core::slice::from_raw_parts(text, len) };
    let taker = TAKER.load(Ordering::Acquire);
    // SAFETY: `handle` stored a `fn(&str) -> Then` before it named this function to the kernel.
    let taker: fn(&str) -> Then = unsafe { core::mem::transmute(taker) };
    match taker(core::str::from_utf8(text).unwrap_or("?")) {
        Then::Continue => drop(sys::noted(NCONT)),
        // SAFETY: the kernel put the registers there.
        Then::Default => rt::crash::end(unsafe { &*frame }, text),
    }
    // Only a program without a note in hand comes here.
    sys::exits(b"noted failed")
}

/// Sends a note to a process.
pub fn send(pid: u32, text: &str) -> Result<()> {
    let path = crate::alloc::format!("/proc/{pid}/note");
    super::File::open(path, abi::file::OWRITE)?.write_all(text.as_bytes())
}
