//! The small commands, in one program that goes by many names.
//!
//! The boot archive holds the program once and a name for each command; the name by which it is called chooses.
//! `on` has the table of commands and their code; what needs no system lies in the library beside it.
#![cfg_attr(portolan, no_std, no_main)]
#![cfg_attr(portolan, allow(unsafe_code, reason = "the program's symbol is found by the linker"))]

#[cfg(portolan)]
mod on;

#[cfg(portolan)]
portolan::program!(on::main);

#[cfg(not(portolan))]
fn main() {
    eprintln!("tools: these commands run inside Portolan: cargo xtask run");
    std::process::exit(1);
}
