//! The program rc, on a Linux host and on Portolan.
#![cfg_attr(portolan, no_std, no_main)]
#![cfg_attr(portolan, allow(unsafe_code, reason = "the program's symbol is found by the linker"))]

#[cfg(portolan)]
portolan::program!(on_portolan);

#[cfg(portolan)]
fn on_portolan() -> portolan::Result<()> {
    use portolan::alloc::vec::Vec;
    let args: Vec<Vec<u8>> = portolan::args().map(<[u8]>::to_vec).collect();
    rc::os::exits(&rc::start::main(&args))
}

#[cfg(not(portolan))]
fn main() {
    use std::os::unix::ffi::OsStringExt;
    rc::os::begin();
    let args: Vec<Vec<u8>> = std::env::args_os().map(OsStringExt::into_vec).collect();
    rc::os::exits(&rc::start::main(&args))
}
