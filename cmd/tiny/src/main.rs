//! The programs of the small machine in one, so that they share their library's code and the pages that it is in:
//! `cargo xtask run --profile tiny`. The name by which it is called chooses.
//!
//! The modules are the programs' own. `init` is apart: the kernel copies the first program whole, for there is no server yet
//! that its pages could come from.
#![cfg_attr(portolan, no_std, no_main)]
#![cfg_attr(portolan, allow(unsafe_code, reason = "the program's symbol is found by the linker"))]

#[cfg(portolan)]
#[path = "../../../srv/cons/src/on/mod.rs"]
mod terminal;

#[cfg(portolan)]
#[path = "../../../srv/ramfs/src/machine.rs"]
mod memory;

#[cfg(portolan)]
#[path = "../../tools/src/on/mod.rs"]
mod commands;

#[cfg(portolan)]
portolan::program!(main);

#[cfg(portolan)]
fn main() -> portolan::Result<()> {
    match portolan::name() {
        "cons" => terminal::main(),
        "ramfs" => memory::main(),
        "rc" => rc::os::exits(&rc::start::main(
            &portolan::args().map(<[u8]>::to_vec).collect::<portolan::alloc::vec::Vec<_>>(),
        )),
        _ => commands::main(),
    }
}

#[cfg(not(portolan))]
fn main() {
    eprintln!("tiny: these programs run inside Portolan: cargo xtask run --profile tiny");
    std::process::exit(1);
}
