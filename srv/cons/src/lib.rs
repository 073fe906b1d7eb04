//! The terminal: a serial line with a line discipline. [`line`] is the discipline; the program adds the 16550.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod line;
