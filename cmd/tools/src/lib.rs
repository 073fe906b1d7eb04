//! What the commands compute without asking the system: patterns, dates, sizes. Tested on the host.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod amount;
pub mod date;
pub mod edit;
pub mod glob;
pub mod pattern;
