//! Processes: divide, run a program, wait, end.

use super::error::{Error, Result, check};
use crate::alloc::string::String;
use crate::alloc::vec::Vec;
use crate::sys;
use abi::error::Error as Known;
use abi::file::{RFENVG, RFFDG, RFPROC};
use abi::sys::Str;

/// This process's number.
pub fn id() -> u32 {
    sys::clock(3) as u32
}

/// Divides the process: the child's number, or 0 in the child. Memory is copied.
pub fn fork(flags: u32) -> Result<u32> {
    check(sys::rfork(flags | RFPROC))
}

/// Changes this process's own groups.
pub fn rfork(flags: u32) -> Result<()> {
    check(sys::rfork(flags & !RFPROC)).map(drop)
}

/// Replaces the program; returns only the reason why it could not.
pub fn exec<S: AsRef<[u8]>>(path: impl AsRef<[u8]>, args: &[S]) -> Error {
    let mut argv = Vec::new();
    if argv.try_reserve_exact(args.len()).is_err() {
        return Known::NoMemory.into();
    }
    argv.extend(args.iter().map(|a| {
        let a = a.as_ref();
        Str { addr: a.as_ptr() as u64, len: a.len() as u64 }
    }));
    match check(sys::exec(path.as_ref(), &argv)) {
        Ok(()) => Known::BadExec.into(),
        Err(e) => e,
    }
}

/// How a child ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its number.
    pub pid: u32,
    /// Its status; empty for success.
    pub status: String,
}

/// Waits for a child to end.
pub fn wait() -> Result<Ended> {
    let mut buf = [0u8; 256];
    let n = check(sys::await_child(&mut buf))?;
    let text = core::str::from_utf8(&buf[..n]).unwrap_or("");
    let pid = text.split(' ').next().and_then(|p| p.parse().ok()).unwrap_or(0);
    let status = text.split_once('\'').map_or("", |(_, s)| s.trim_end_matches('\''));
    Ok(Ended { pid, status: String::from(status) })
}

/// Starts a program with these descriptors as its standard input, output and error: the child's number.
///
/// What keeps the child from starting comes back as an error here: the child reports it through a pipe.
pub fn spawn<S: AsRef<[u8]>>(path: impl AsRef<[u8]>, args: &[S], fds: [i32; 3]) -> Result<u32> {
    let [read, write] = check(sys::pipe())?;
    let (read, write) = (super::File::from_fd(read), super::File::from_fd(write));
    let pid = fork(RFFDG | RFENVG)?;
    if pid == 0 {
        let e = child(path.as_ref(), args, fds, &write);
        let _ = write.write_all(e.words().as_bytes());
        sys::exits(b"exec failed");
    }
    drop(write);
    // The pipe closes when exec succeeds, for it is opened close-on-exec by its number's absence in the new
    // program: see `child`.
    let words = read.read_all()?;
    if words.is_empty() {
        return Ok(pid);
    }
    let _ = wait_for(pid);
    Err(Error::new(core::str::from_utf8(&words).unwrap_or("exec failed")))
}

fn child<S: AsRef<[u8]>>(path: &[u8], args: &[S], fds: [i32; 3], report: &super::File) -> Error {
    let mut held = [0i32; 3];
    for (h, fd) in held.iter_mut().zip(fds) {
        match check(sys::dup(fd, -1)) {
            Ok(n) => *h = n,
            Err(e) => return e,
        }
    }
    for (i, h) in held.into_iter().enumerate() {
        if let Err(e) = check(sys::dup(h, i as i32)) {
            return e;
        }
        let _ = sys::close(h);
    }
    // A descriptor opened again through #d with OCEXEC closes at exec.
    let again = crate::alloc::format!("#dup/{}", report.fd());
    if let Ok(f) = super::File::open(again, abi::file::OWRITE | abi::file::OCEXEC) {
        let _ = sys::close(report.fd());
        let e = exec(path, args);
        let _ = f.write_all(e.words().as_bytes());
        sys::exits(b"exec failed");
    }
    exec(path, args)
}

/// Waits for one child, forgetting others that end before it.
pub fn wait_for(pid: u32) -> Result<Ended> {
    loop {
        let e = wait()?;
        if e.pid == pid {
            return Ok(e);
        }
    }
}
