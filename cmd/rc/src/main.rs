//! The program rc. On a Linux host it is an ordinary binary.

use std::os::unix::ffi::OsStringExt;

fn main() {
    rc::os::begin();
    let args: Vec<Vec<u8>> = std::env::args_os().map(OsStringExt::into_vec).collect();
    rc::os::exits(&rc::start::main(&args))
}
