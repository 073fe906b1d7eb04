//! What programs and servers on Portolan are written with: files, processes, notes, threads and portals.
//!
//! A program says [`program!`] with its main function and uses these modules much as it would use std's:
//! [`fs`] and [`File`] for files, [`process`] to divide and run programs, [`env`](mod@env) for the environment,
//! [`note`] for notes, [`thread`] for threads in the same memory and [`sync`] for what they share, [`time`], and [`portal`] to
//! be a server.
//! Built for a host (without `--cfg portolan`) the crate is empty, so that the workspace builds as a whole.
#![no_std]

#[cfg(portolan)]
#[doc(hidden)]
pub extern crate alloc;

#[cfg(portolan)]
mod on;
#[cfg(portolan)]
pub use on::*;
