//! Processes: divide, run a program, wait, end.

use super::error::{Error, Result, check};
use crate::alloc::string::String;
use crate::alloc::vec::Vec;
use crate::sys;
use abi::error::Error as Known;
use abi::file::{OCEXEC, OWRITE, RFCFDG, RFENVG, RFFDG, RFPROC};
use abi::limit;
use abi::sys::Str;

/// This process's number.
pub fn id() -> u32 {
    sys::clock(3) as u32
}

/// Divides the process: the child's number, or 0 in the child. Memory is copied.
pub fn fork(flags: u32) -> Result<u32> {
    super::thread::trim();
    let pid = check(sys::rfork(flags | RFPROC))?;
    if pid == 0 {
        // A child has no handler of its parent's.
        rt::crash::install();
    }
    Ok(pid)
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
    argv.extend(args.iter().map(|a| str_of(a.as_ref())));
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
    // Room for the numbers and a status in which every quote is doubled.
    let mut buf = [0u8; 512];
    let n = check(sys::await_child(&mut buf))?;
    let text = core::str::from_utf8(&buf[..n]).unwrap_or("");
    let pid = text.split(' ').next().and_then(|p| p.parse().ok()).unwrap_or(0);
    let quoted = text.split_once('\'').and_then(|(_, s)| s.strip_suffix('\'')).unwrap_or("");
    Ok(Ended { pid, status: quoted.replace("''", "'") })
}

/// A program to be started, in the manner of std's: a path, arguments, descriptors, what is shared.
///
/// The child shares this process's memory until it has become the program, and this thread waits for that. Where it can't
/// tell when, with `RFCFDG`, the child has a copy. So all memory is taken before: in a program with threads another may
/// hold the heap's lock, and a copy of that would never be let go.
#[derive(Clone, Debug)]
pub struct Command {
    path: Vec<u8>,
    args: Vec<Vec<u8>>,
    fds: [i32; 3],
    flags: u32,
    before: Option<fn()>,
}

impl Command {
    /// The program at a path, with its path as the first argument and this process's three descriptors.
    pub fn new(path: impl AsRef<[u8]>) -> Command {
        let path = path.as_ref().to_vec();
        let args = crate::alloc::vec![path.clone()];
        Command { path, args, fds: [0, 1, 2], flags: RFFDG | RFENVG, before: None }
    }

    /// Another argument.
    pub fn arg(&mut self, arg: impl AsRef<[u8]>) -> &mut Command {
        self.args.push(arg.as_ref().to_vec());
        self
    }

    /// More arguments.
    pub fn args<S: AsRef<[u8]>>(&mut self, args: impl IntoIterator<Item = S>) -> &mut Command {
        self.args.extend(args.into_iter().map(|a| a.as_ref().to_vec()));
        self
    }

    /// The descriptor that becomes its standard input.
    pub fn stdin(&mut self, fd: i32) -> &mut Command {
        self.fds[0] = fd;
        self
    }

    /// The descriptor that becomes its standard output.
    pub fn stdout(&mut self, fd: i32) -> &mut Command {
        self.fds[1] = fd;
        self
    }

    /// The descriptor that becomes its standard error.
    pub fn stderr(&mut self, fd: i32) -> &mut Command {
        self.fds[2] = fd;
        self
    }

    /// What it has apart from this process: the flags of [rfork](fork), instead of descriptors and environment.
    /// With `RFCFDG` it gets no descriptors, and what keeps it from starting is its exit status; otherwise it has a table of
    /// its own in any case, since what becomes its first three would become this process's.
    pub fn flags(&mut self, flags: u32) -> &mut Command {
        self.flags = if flags & RFCFDG == 0 { flags | RFFDG } else { flags };
        self
    }

    /// A function to run in the child before the program: it may make system calls, but not allocate.
    pub fn before(&mut self, f: fn()) -> &mut Command {
        self.before = Some(f);
        self
    }

    /// Starts it. What keeps it from starting is returned: the child tells it through a pipe.
    pub fn spawn(&self) -> Result<Child> {
        let argv: Vec<Str> = self.args.iter().map(|a| str_of(a)).collect();
        if self.flags & RFCFDG != 0 {
            let pid = fork(self.flags)?;
            if pid == 0 {
                self.exec(&argv);
                exit_with_error()
            }
            return Ok(Child { pid });
        }
        let [read, write] = check(sys::pipe())?;
        let (read, write) = (super::File::from_fd(read), super::File::from_fd(write));
        // Opened again through #dup with OCEXEC it closes when the program has started.
        let again = crate::alloc::format!("#dup/{}", write.fd());
        let ends = [read.fd(), write.fd()];
        let mut words = Vec::new();
        let pid = super::borrow::until(self.flags, &|| self.begin(&argv, again.as_bytes(), ends), || {
            drop(write);
            words = heard(&read);
        })?;
        if words.is_empty() {
            return Ok(Child { pid });
        }
        let _ = wait_for(pid);
        Err(Error::new(core::str::from_utf8(&words).unwrap_or("exec failed")))
    }

    /// In the child: becomes the program, or says why it could not, and ends.
    fn begin(&self, argv: &[Str], again: &[u8], ends: [i32; 2]) -> ! {
        if let Some(report) = sys::open(again, OWRITE | OCEXEC) {
            for end in ends {
                let _ = sys::close(end);
            }
            if self.fds == [0, 1, 2] || place(self.fds) {
                self.exec(argv);
            }
            let mut buf = [0; limit::ERROR + 2];
            let _ = sys::pwrite(report, last_error(&mut buf), -1);
        }
        exit_with_error()
    }

    /// Starts it and waits for its end.
    pub fn status(&self) -> Result<Ended> {
        self.spawn()?.wait()
    }

    /// In the child; returns on failure.
    fn exec(&self, argv: &[Str]) {
        if let Some(f) = self.before {
            f();
        }
        let _ = sys::exec(&self.path, argv);
    }
}

/// A child that runs a [`Command`]. Dropping it leaves it running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Child {
    /// Its number.
    pub pid: u32,
}

impl Child {
    /// Waits for its end, forgetting other children that end before it.
    pub fn wait(self) -> Result<Ended> {
        wait_for(self.pid)
    }

    /// Ends it, whatever it does.
    pub fn kill(self) -> Result<()> {
        kill(self.pid)
    }
}

/// Ends a process, whatever it does.
pub fn kill(pid: u32) -> Result<()> {
    super::File::open(crate::alloc::format!("#proc/{pid}/ctl"), OWRITE)?.write_all(b"kill")
}

/// What a child says until it has become its program or ended. It has this process's memory until then, so that only the
/// end of the pipe is an end: an error is an interrupt.
fn heard(from: &super::File) -> Vec<u8> {
    let mut words = Vec::new();
    let mut buf = [0; limit::ERROR];
    loop {
        match from.read(&mut buf) {
            Ok(0) => return words,
            Ok(n) => words.extend_from_slice(&buf[..n]),
            Err(_) => {}
        }
    }
}

fn str_of(a: &[u8]) -> Str {
    Str { addr: a.as_ptr() as u64, len: a.len() as u64 }
}

/// The words of the last failure, without allocating.
fn last_error(buf: &mut [u8; limit::ERROR + 2]) -> &[u8] {
    let n = sys::errstr(buf).unwrap_or(0).min(limit::ERROR);
    &buf[2..2 + n]
}

fn exit_with_error() -> ! {
    let mut buf = [0; limit::ERROR + 2];
    sys::exits(last_error(&mut buf))
}

/// Makes these descriptors 0, 1 and 2.
fn place(fds: [i32; 3]) -> bool {
    let held = fds.map(|fd| sys::dup(fd, -1));
    for (i, h) in held.into_iter().enumerate() {
        let Some(h) = h else { return false };
        if sys::dup(h, i as i32).is_none() {
            return false;
        }
        if h > 2 {
            let _ = sys::close(h);
        }
    }
    true
}

/// Starts a program with these descriptors as its standard input, output and error: the child's number.
pub fn spawn<S: AsRef<[u8]>>(path: impl AsRef<[u8]>, args: &[S], fds: [i32; 3]) -> Result<u32> {
    let mut command = Command::new(path);
    command.args.clear();
    command.args(args);
    command.fds = fds;
    command.spawn().map(|child| child.pid)
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
