//! rng: feeds the randomness of a virtio device to the kernel, whose `#sys/random` has it from then on.
#![cfg_attr(portolan, no_std, no_main)]
#![cfg_attr(portolan, allow(unsafe_code, reason = "the program's symbol is found by the linker"))]

#[cfg(portolan)]
mod on;

#[cfg(portolan)]
portolan::program!(on::main);

#[cfg(not(portolan))]
fn main() {
    eprintln!("rng: feeds a virtio device's randomness to Portolan's kernel: cargo xtask run");
    std::process::exit(1);
}
