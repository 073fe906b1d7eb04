//! init: serves the boot archive, builds the namespace, starts the services and then a shell or a script.
#![cfg_attr(portolan, no_std, no_main)]
#![cfg_attr(portolan, allow(unsafe_code, reason = "the program's symbol is found by the linker"))]

#[cfg(portolan)]
mod on;

#[cfg(portolan)]
portolan::program!(on::main);

#[cfg(not(portolan))]
fn main() {
    eprintln!("init: is started by Portolan's kernel: cargo xtask run");
    std::process::exit(1);
}
