//! cons: serves the terminal on the first serial port as /dev/cons and /dev/consctl.
#![cfg_attr(portolan, no_std, no_main)]
#![cfg_attr(portolan, allow(unsafe_code, reason = "the program's symbol is found by the linker"))]

#[cfg(portolan)]
mod on;

#[cfg(portolan)]
portolan::program!(on::main);

#[cfg(not(portolan))]
fn main() {
    eprintln!("cons: serves the terminal inside Portolan: cargo xtask run");
    std::process::exit(1);
}
