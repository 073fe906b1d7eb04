//! The kernel with tests of the machine, which the command line's word `selftest` runs in place of all that comes after
//! the start. They are as large as a driver, so the kernel that runs programs goes without.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![deny(clippy::unwrap_used, clippy::panic)]

#[cfg(target_os = "none")]
mod arch;
#[cfg(target_os = "none")]
mod bare;
#[cfg(target_os = "none")]
mod log;

/// As in the kernel, but yes.
#[cfg(target_os = "none")]
const TESTS: bool = true;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("kernel: runs on a bare machine: cargo xtask run");
    std::process::exit(1);
}
