//! Serves files in memory by 9P2000 on a host: `ramfs --listen 'tcp!127.0.0.1!5640'`.
//!
//! The tree is the library of this package; `net9` does the listening.
#![forbid(unsafe_code)]

#[cfg(not(portolan))]
mod host;

#[cfg(not(portolan))]
fn main() -> std::process::ExitCode {
    host::main()
}
