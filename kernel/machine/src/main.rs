//! The kernel binary: what runs the portable kernel on a bare machine.
//!
//! Everything that knows the processor is in [`arch`]; `kernel_core` holds the kernel itself. The other binary of this
//! package, `selftest`, is the same with tests of the machine.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![deny(clippy::unwrap_used, clippy::panic)]

#[cfg(target_os = "none")]
mod arch;
#[cfg(target_os = "none")]
mod bare;
#[cfg(target_os = "none")]
mod log;

/// Does the command line's word `selftest` test the machine?
#[cfg(target_os = "none")]
const TESTS: bool = false;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("kernel: runs on a bare machine: cargo xtask run");
    std::process::exit(1);
}
