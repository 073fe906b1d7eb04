//! Terminals: keys from the bytes that one sends, the width of text on it, and the editing of a line.
//!
//! Nothing here reads or writes: bytes come in, bytes to send come out, so that all of it is tested on the host. The
//! terminal is one of the ANSI family, which all of today's are.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod key;
pub mod line;
mod text;

pub use key::{Key, Keys};
pub use line::{Done, Editor};
pub use text::{fitting, width, width_of};

/// Asks the terminal for its size: the cursor goes as far as it can, and the answer is a [`Key::Size`].
pub const ASK_SIZE: &[u8] = b"\x1b7\x1b[999;999H\x1b[6n\x1b8";
