//! cost: what the short paths cost, a line `cost NAME MEDIAN LEAST MOST` for each operation.
//!
//! `cargo xtask bench` starts it: inside Portolan ([`on`]) as an ordinary program of the ordinary machine, and on Linux
//! ([`linux`]) as the first program, with the same operations by the same names. Figures are per operation, user,
//! kernel and server together; the emulator makes the clock count instructions, or they are nanoseconds.
#![cfg_attr(portolan, no_std, no_main)]
#![cfg_attr(portolan, allow(unsafe_code, reason = "the program's symbol is found by the linker"))]

#[cfg(all(not(portolan), target_os = "linux"))]
mod linux;
#[cfg(portolan)]
mod on;

#[cfg(portolan)]
portolan::program!(on::main);

#[cfg(all(not(portolan), target_os = "linux"))]
fn main() {
    linux::main();
}

#[cfg(all(not(portolan), not(target_os = "linux")))]
fn main() {
    eprintln!("cost: runs inside Portolan or Linux, by cargo xtask bench");
    std::process::exit(1);
}
