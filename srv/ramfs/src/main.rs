//! ramfs: serves files in memory. On a host by 9P2000 (`ramfs --listen 'tcp!127.0.0.1!5640'`), in the machine behind a
//! portal (`ramfs -s NAME DIR`).
//!
//! The tree is the library of this package; `net9` does the listening, `portolan` the serving behind a portal.
#![cfg_attr(portolan, no_std, no_main)]
#![cfg_attr(not(portolan), forbid(unsafe_code))]
#![cfg_attr(portolan, allow(unsafe_code, reason = "the program's symbol is found by the linker"))]

#[cfg(not(portolan))]
mod host;
#[cfg(portolan)]
mod machine;

#[cfg(portolan)]
portolan::program!(machine::main);

#[cfg(not(portolan))]
fn main() -> std::process::ExitCode {
    host::main()
}
