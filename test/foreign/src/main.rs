//! foreign: the file server in memory of the crate `ninep` of crates.io, at a unix socket.
//!
//! Nothing of Portolan is in it. The scenario host_con9_foreign turns the transcripts on it, to know that they find faults.

use std::path::PathBuf;
use std::process::ExitCode;

use other::sync::server::Server;
use other::util::ram::RamFs;

fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("usage: foreign SOCKET");
        return ExitCode::from(2);
    };
    let server = Server::new(RamFs::new("glenda", "glenda"));
    match server.serve_socket_with_custom_path(PathBuf::from(path)).join() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
