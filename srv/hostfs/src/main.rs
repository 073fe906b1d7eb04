//! hostfs: serves a directory of the host, which QEMU shows as a virtio 9P device.
#![cfg_attr(portolan, no_std, no_main)]
#![cfg_attr(portolan, allow(unsafe_code, reason = "the program's symbol is found by the linker"))]

#[cfg(portolan)]
mod on;

#[cfg(portolan)]
portolan::program!(on::main);

#[cfg(not(portolan))]
fn main() {
    eprintln!("hostfs: serves a directory of the host inside Portolan: cargo xtask run --share DIR");
    std::process::exit(1);
}
