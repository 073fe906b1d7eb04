//! The first instructions of a program, its arguments, its end, and what a panic says.
#![allow(unsafe_code, reason = "is entered from the kernel and reads what it left")]

use crate::sys;
use abi::sys::Str;
use core::fmt::Write;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

static ARGC: AtomicUsize = AtomicUsize::new(0);
static ARGV: AtomicPtr<Str> = AtomicPtr::new(core::ptr::null_mut());

unsafe extern "Rust" {
    /// The program; the macro `portolan::program!` defines it.
    safe fn portolan_main();
}

/// The kernel enters here with the count of arguments and their array.
#[unsafe(no_mangle)]
extern "C" fn _start(argc: usize, argv: *mut Str) -> ! {
    ARGV.store(argv, Ordering::Relaxed);
    ARGC.store(argc, Ordering::Relaxed);
    crate::crash::install();
    portolan_main();
    sys::exits(b"")
}

/// The arguments, the program's name first.
pub fn args() -> impl Iterator<Item = &'static [u8]> + Clone {
    let argv = ARGV.load(Ordering::Relaxed);
    (0..ARGC.load(Ordering::Relaxed)).map(move |i| {
        // SAFETY: exec stored so many pairs there, each of readable bytes, and nobody writes to them.
        unsafe {
            let s = *argv.add(i);
            core::slice::from_raw_parts(s.addr as *const u8, s.len as usize)
        }
    })
}

/// The name by which the program was called.
pub(crate) fn name() -> &'static [u8] {
    args().next().unwrap_or(b"?")
}

/// Ends the process with a status; empty means success.
pub fn exit(status: &str) -> ! {
    sys::exits(status.as_bytes())
}

struct Stderr;

impl Write for Stderr {
    fn write_str(&mut self, s: &str) -> core::fmt::Result {
        let mut rest = s.as_bytes();
        while !rest.is_empty() {
            match sys::pwrite(2, rest, -1) {
                Some(n) if n > 0 => rest = &rest[n.min(rest.len())..],
                _ => return Err(core::fmt::Error),
            }
        }
        Ok(())
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    // The program's name tells whose panic it is; where nobody listens on descriptor 2 the words are lost.
    let name = core::str::from_utf8(name()).unwrap_or("?");
    let _ = writeln!(Stderr, "{name}: {info}");
    crate::crash::here();
    sys::exits(b"panic")
}

// The prebuilt `core` refers to these even where nothing unwinds.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    sys::exits(b"unwound")
}
