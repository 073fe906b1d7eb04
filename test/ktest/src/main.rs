//! Tests of the kernel, from inside the machine: run as its first program (`init=ktest` on the boot command line).
//!
//! `ktest=PREFIX` chooses tests by name. Each runs in a process of its own with an alarm, so that one that hangs or
//! crashes fails alone; after each the kernel's counters must be back where they were. Verdicts go to the log, a line
//! each, and as the machine's exit code.
#![cfg_attr(portolan, no_std, no_main)]
#![cfg_attr(portolan, allow(unsafe_code, reason = "the program's symbol is found by the linker"))]

#[cfg(portolan)]
mod on;

#[cfg(portolan)]
portolan::program!(on::main);

#[cfg(not(portolan))]
fn main() {
    eprintln!("ktest: runs inside Portolan, by cargo xtask test s10");
    std::process::exit(1);
}
