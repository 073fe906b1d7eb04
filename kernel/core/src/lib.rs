//! The portable kernel: ports, portals, names, processes, memory and scheduling, as safe code over one machine.
//!
//! [`machine`] lists what the hardware must do for it; the binary in `kernel/machine` does it for real, [`fake`]
//! does it on a host, where all of this runs under plain `cargo test`.
#![cfg_attr(target_os = "none", no_std)]
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::panic)]
// The fake and the tests may panic: that is how they complain.
#![cfg_attr(
    test,
    allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::panic)
)]

pub mod base;
pub mod call;
pub mod counters;
pub mod entry;
#[cfg(not(target_os = "none"))]
pub mod fake;
pub mod machine;
pub mod mem;
pub mod msg;
pub mod name;
pub mod proc;
mod run;
pub mod sched;
pub mod session;
pub mod syscall;
pub mod thread;
pub mod tree;
