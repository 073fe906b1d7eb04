//! sandbox: runs a program that can name only what a profile gives it.
#![cfg_attr(portolan, no_std, no_main)]
#![cfg_attr(portolan, allow(unsafe_code, reason = "the program's symbol is found by the linker"))]

#[cfg(portolan)]
mod on;

#[cfg(portolan)]
portolan::program!(on::main);

#[cfg(not(portolan))]
fn main() {
    eprintln!("sandbox: runs inside Portolan: cargo xtask run");
    std::process::exit(1);
}
