//! misfit: goes wrong on purpose. `misfit` posts a server as /srv/misfit whose files crash, hang or end it when they are
//! read; `misfit HOW` does the same to itself.
#![cfg_attr(portolan, no_std, no_main)]
#![cfg_attr(
    portolan,
    allow(unsafe_code, reason = "the program's symbol is found by the linker; one fault is a bad read")
)]

#[cfg(portolan)]
mod on;

#[cfg(portolan)]
portolan::program!(on::main);

#[cfg(not(portolan))]
fn main() {
    eprintln!("misfit: runs inside Portolan, by cargo xtask test s70");
    std::process::exit(1);
}
