//! rc, the shell: parser, evaluator and builtins of Plan 9's command language in 9front's dialect.
//!
//! [`parse`] makes the syntax tree of [`ast`], [`print`] turns it back into text, [`shell`] holds the state of a shell
//! and runs trees. Everything that depends on the system is in [`os`]: one file for a Linux host, one for Portolan.
//! The language is that of rc(1) of 9front's manual; what it adds is listed in doc/man/rc.md.
//!
//! A shell needs no fork that copies memory. A program is started with its descriptors prepared; what only rc itself
//! can run in another process (a function in a pipeline, a subshell) gets a copy of the shell's state, which is
//! cheap because values and trees are counted. So it runs where a new process may share memory or not.
#![no_std]
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic)]

extern crate alloc;
#[cfg(not(portolan))]
extern crate std;

pub mod ast;
mod builtin;
mod eval;
mod glob;
mod habits;
pub mod os;
pub mod parse;
pub mod pattern;
mod ports;
pub mod print;
pub mod shell;
pub mod start;
mod typed;
mod words;
