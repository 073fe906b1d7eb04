//! The library as it is on Portolan.

mod borrow;
mod cond;
mod error;
mod file;
mod print;

pub mod env;
pub mod fs;
pub mod mail;
pub mod note;
pub mod portal;
pub mod process;
mod scope;
pub mod segment;
pub mod served;
pub mod sync;
pub mod thread;
pub mod time;

use crate::eprintln;
pub use abi;
pub use error::{Error, Result};
pub use file::{File, STDERR, STDIN, STDOUT};
pub use print::{Buffered, Out, print_to};
pub use rt::crash::symbol;
pub use rt::{Mutex, MutexGuard, args, exit, sys};

/// Makes a function the program: `program!(main);` with `fn main() -> Result<()>`.
///
/// An error ends the program with its words as status, after a line on the standard error that begins with the
/// program's name; success ends it with the empty status.
#[macro_export]
macro_rules! program {
    ($main:path) => {
        #[unsafe(no_mangle)]
        static PORTOLAN_PROGRAM: &str = env!("CARGO_PKG_NAME");

        #[unsafe(no_mangle)]
        extern "Rust" fn portolan_main() {
            if let Err(e) = $main() {
                $crate::fail(&e);
            }
            $crate::portal::after_main();
        }
    };
}

/// Ends the program as a failed main does.
pub fn fail(e: &Error) -> ! {
    eprintln!("{}: {e}", name());
    exit(e.words())
}

/// The name by which the program was called, without folders.
pub fn name() -> &'static str {
    let path = args().next().unwrap_or(b"?");
    let last = path.rsplit(|&b| b == b'/').next().unwrap_or(path);
    core::str::from_utf8(last).unwrap_or("?")
}
