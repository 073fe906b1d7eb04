//! wire: a portal on one side, bytes of 9P2000 on the other: mounts what a command serves on its standard input and output.
#![cfg_attr(portolan, no_std, no_main)]
#![cfg_attr(portolan, allow(unsafe_code, reason = "the program's symbol is found by the linker"))]

#[cfg(portolan)]
mod on;

#[cfg(portolan)]
portolan::program!(on::main);

#[cfg(not(portolan))]
fn main() {
    eprintln!("wire: mounts a server of 9P2000 inside Portolan; on Linux `mount -t 9p` does");
    std::process::exit(1);
}
