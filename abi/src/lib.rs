//! The contract between kernel and user space: one list of everything that both sides must agree on.
//!
//! [`sys`] numbers the system calls, [`portal`] lays out the message of a portal call, [`file`] has the bits of
//! qids, modes and permissions, [`error`] the error strings, [`limit`] every limit by name,
//! [`trace`] the records of `#trace`. The codec, the kernel and the user libraries all depend on this crate; it depends
//! on nothing.
#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic)]

pub mod error;
pub mod file;
pub mod limit;
pub mod note;
pub mod portal;
pub mod sys;
pub mod trace;
