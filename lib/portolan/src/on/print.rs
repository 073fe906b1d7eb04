//! Printing: `print!` and its kin, and a buffered writer for programs with much to say.

use super::file::write_all;
use crate::alloc::vec::Vec;
use core::fmt;

/// A descriptor to which text can be formatted.
#[derive(Clone, Copy, Debug)]
pub struct Out(pub i32);

impl fmt::Write for Out {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        write_all(self.0, s.as_bytes()).map_err(|_| fmt::Error)
    }
}

/// Collects bytes and writes them in large pieces; what is left goes out when it is dropped.
#[derive(Debug)]
pub struct Buffered {
    fd: i32,
    held: Vec<u8>,
}

/// So many bytes go out at once.
const PIECE: usize = 8192;

impl Buffered {
    /// A writer to a descriptor.
    pub const fn new(fd: i32) -> Buffered {
        Buffered { fd, held: Vec::new() }
    }

    /// Adds bytes.
    pub fn put(&mut self, bytes: &[u8]) -> super::Result<()> {
        if self.held.len() + bytes.len() > PIECE {
            self.flush()?;
        }
        if bytes.len() >= PIECE || self.held.try_reserve(bytes.len()).is_err() {
            return write_all(self.fd, bytes);
        }
        self.held.extend_from_slice(bytes);
        Ok(())
    }

    /// Writes what is held.
    pub fn flush(&mut self) -> super::Result<()> {
        let r = write_all(self.fd, &self.held);
        self.held.clear();
        r
    }
}

impl fmt::Write for Buffered {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.put(s.as_bytes()).map_err(|_| fmt::Error)
    }
}

impl Drop for Buffered {
    fn drop(&mut self) {
        // Whoever cares for the outcome has called flush.
        let _ = self.flush();
    }
}

#[doc(hidden)]
pub fn print_to(fd: i32, args: fmt::Arguments<'_>) {
    use fmt::Write;
    let mut b = Buffered::new(fd);
    // A program that writes to a closed pipe gets a note; a full one ends here silently, as elsewhere.
    let _ = b.write_fmt(args);
}

/// Prints to the standard output.
#[macro_export]
macro_rules! print { ($($a:tt)*) => { $crate::print_to($crate::STDOUT, format_args!($($a)*)) }; }
/// Prints a line to the standard output.
#[macro_export]
macro_rules! println {
    () => { $crate::print!("\n") };
    ($($a:tt)+) => { $crate::print_to($crate::STDOUT, format_args!("{}\n", format_args!($($a)+))) };
}
/// Prints to the standard error.
#[macro_export]
macro_rules! eprint { ($($a:tt)*) => { $crate::print_to($crate::STDERR, format_args!($($a)*)) }; }
/// Prints a line to the standard error.
#[macro_export]
macro_rules! eprintln {
    () => { $crate::eprint!("\n") };
    ($($a:tt)+) => { $crate::print_to($crate::STDERR, format_args!("{}\n", format_args!($($a)+))) };
}
