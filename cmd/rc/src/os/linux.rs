//! rc's system calls on a Linux host, through the standard library where it has them and libc where not.
//!
//! This module contains unsafe code: fork, waitpid, signal and fcntl have no safe form in the standard library. The
//! shell has one thread, so a forked child may run any code.
#![allow(unsafe_code)]

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::ffi::{CString, OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Read, Write};
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::{Failure, Note, Program};
use crate::ast::Mode;

/// The first descriptor that rc keeps for itself.
pub const RESERVED: u32 = 200;
/// A descriptor that is never open.
pub const NOWHERE: i32 = i32::MAX;
/// Bytes that a pipe takes before anybody reads.
pub const PIPE_ROOM: usize = 32 << 10;
/// Bytes of stack that an evaluation may use.
pub const STACK: usize = 6 << 20;
/// Does the environment live in a file tree that is written to, instead of strings handed over?
pub const ENV_TREE: bool = false;

/// The highest descriptor that rc has ever held.
static HIGHEST: AtomicI32 = AtomicI32::new(RESERVED as i32);
/// Notes that have come and were not taken yet: a bit each, in the order of [`Note::ALL`].
static NOTES: AtomicU32 = AtomicU32::new(0);

fn words(e: &io::Error) -> Failure {
    if e.kind() == io::ErrorKind::Interrupted {
        return Failure::Interrupted;
    }
    let text = format!("{e}");
    let text = text.split(" (os error").next().unwrap_or_default();
    Failure::Words(text.as_bytes().to_vec())
}

fn path(name: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(name))
}

/// An open file of rc's own.
#[derive(Debug)]
pub struct Fd(OwnedFd);

impl Fd {
    /// Its number.
    pub fn number(&self) -> i32 {
        self.0.as_raw_fd()
    }

    /// The file of this number, which nothing else in this process owns.
    pub fn adopt(number: i32) -> Fd {
        // SAFETY: the caller hands over its copy; after a fork the numbers of the parent's files are the child's.
        Fd(unsafe { OwnedFd::from_raw_fd(number) })
    }

    fn high(fd: OwnedFd) -> Result<Fd, Failure> {
        duplicate(fd.as_raw_fd())
    }
}

/// A copy of a descriptor.
pub fn duplicate(number: i32) -> Result<Fd, Failure> {
    // SAFETY: fcntl with these arguments touches no memory.
    let new = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, RESERVED as i32) };
    if new < 0 {
        return Err(words(&io::Error::last_os_error()));
    }
    HIGHEST.fetch_max(new, Ordering::Relaxed);
    Ok(Fd::adopt(new))
}

/// Is this descriptor open?
pub fn is_open(number: i32) -> bool {
    // SAFETY: fcntl with these arguments touches no memory.
    unsafe { libc::fcntl(number, libc::F_GETFD) >= 0 }
}

/// Opens a file for a redirection.
pub fn open(name: &[u8], mode: Mode) -> Result<Fd, Failure> {
    let mut how = OpenOptions::new();
    match mode {
        Mode::Read => how.read(true),
        Mode::Write => how.write(true).create(true).truncate(true),
        Mode::Append => how.append(true).create(true),
        Mode::Both => how.read(true).write(true).create(true).truncate(false),
    };
    let file = how.mode(0o666).open(path(name)).map_err(|e| words(&e))?;
    Fd::high(file.into())
}

/// A pipe: the end to read from and the end to write to.
pub fn pipe() -> Result<(Fd, Fd), Failure> {
    let (r, w) = io::pipe().map_err(|e| words(&e))?;
    Ok((Fd::high(r.into())?, Fd::high(w.into())?))
}

/// A file by number, not closed at the end.
fn borrowed(number: i32) -> ManuallyDrop<File> {
    // SAFETY: the file is never dropped, so it owns nothing; a number that is not open makes each call fail.
    ManuallyDrop::new(unsafe { File::from_raw_fd(number.max(0)) })
}

/// Reads; 0 is the end.
pub fn read(number: i32, buf: &mut [u8]) -> Result<usize, Failure> {
    borrowed(number).read(buf).map_err(|e| words(&e))
}

/// Writes everything.
pub fn write(number: i32, text: &[u8]) -> Result<(), Failure> {
    borrowed(number).write_all(text).map_err(|e| words(&e))
}

/// Is it a terminal?
pub fn is_terminal(number: i32) -> bool {
    borrowed(number).is_terminal()
}

/// The terminal's modes while lines are read, none while keys are.
static MODES: std::sync::Mutex<Option<libc::termios>> = std::sync::Mutex::new(None);

/// Takes keys one by one from the terminal, without echo, or lines again.
pub fn raw(number: i32, on: bool) -> Result<(), Failure> {
    let mut modes = MODES.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut new = match modes.take() {
        Some(saved) => saved,
        None => {
            // SAFETY: a termios of zeros is a valid place for tcgetattr to fill.
            let (got, now) = unsafe {
                let mut now: libc::termios = core::mem::zeroed();
                (libc::tcgetattr(number, &raw mut now), now)
            };
            if got != 0 {
                return Err(words(&io::Error::last_os_error()));
            }
            now
        }
    };
    if on {
        *modes = Some(new);
        new.c_lflag &= !(libc::ICANON | libc::ECHO | libc::ISIG | libc::IEXTEN);
        new.c_iflag &= !(libc::ICRNL | libc::IXON);
    }
    // SAFETY: changes the modes of an open terminal to modes that it has told.
    match unsafe { libc::tcsetattr(number, libc::TCSADRAIN, &raw const new) } {
        0 => Ok(()),
        _ => Err(words(&io::Error::last_os_error())),
    }
}

/// Is it a directory?
pub fn is_dir(name: &[u8]) -> bool {
    path(name).is_dir()
}

/// The name by which an open descriptor can be opened.
pub fn port_file(port: u32) -> Vec<u8> {
    format!("/dev/fd/{port}").into_bytes()
}

fn command(program: &Program<'_>) -> Command {
    let mut command = Command::new(OsStr::from_bytes(program.path));
    command.env_clear();
    command.envs(program.env.iter().map(|(n, v)| (OsStr::from_bytes(n), OsStr::from_bytes(v))));
    if let Some((name, args)) = program.args.split_first() {
        command.arg0(OsStr::from_bytes(name));
        command.args(args.iter().map(|a| OsStr::from_bytes(a)));
    }
    if program.apart {
        command.process_group(0);
    }
    let ports = program.ports.to_vec();
    // SAFETY: between fork and exec the closure makes only the system calls dup2 and close.
    unsafe {
        command.pre_exec(move || {
            place(&ports);
            Ok(())
        });
    }
    command
}

/// Puts the changed descriptors in their places. Their sources lie above all places, so no order matters.
fn place(ports: &[(u32, Option<i32>)]) {
    for &(port, to) in ports {
        let port = port as i32;
        // SAFETY: dup2 and close touch no memory; the numbers below RESERVED belong to no object of this program.
        unsafe {
            match to {
                Some(fd) => libc::dup2(fd, port),
                None => libc::close(port),
            };
        }
    }
}

/// Starts a program.
pub fn spawn(program: &Program<'_>) -> Result<u32, Failure> {
    command(program).spawn().map(|child| child.id()).map_err(|e| words(&e))
}

/// Becomes a program; comes back only if that fails.
pub fn exec(program: &Program<'_>) -> Failure {
    words(&command(program).exec())
}

/// Runs `work` in a new process, which ends with the status that it returns. `apart` is as in [`Program`].
pub fn fork(apart: bool, work: Box<dyn FnOnce() -> Vec<u8> + Send>) -> Result<u32, Failure> {
    // SAFETY: the program has one thread, so the child's copy of every lock is free and it may run any code.
    match unsafe { libc::fork() } {
        -1 => Err(words(&io::Error::last_os_error())),
        0 => {
            if apart {
                // SAFETY: touches no memory.
                unsafe { libc::setpgid(0, 0) };
            }
            let status = work();
            exits(&status)
        }
        pid => Ok(pid as u32),
    }
}

/// Closes every descriptor of rc's own but these: a child must not hold the ends of its parent's pipes.
pub fn keep_only(keep: &[i32]) {
    for fd in RESERVED as i32..=HIGHEST.load(Ordering::Relaxed) {
        if !keep.contains(&fd) {
            // SAFETY: called first in a child, where no object owns any of these descriptors yet.
            unsafe { libc::close(fd) };
        }
    }
}

/// Waits for any child to end: its number and status. None if there is no child.
pub fn wait() -> Result<Option<(u32, Vec<u8>)>, Failure> {
    let mut how = 0;
    // SAFETY: `how` is valid for the call.
    let pid = unsafe { libc::waitpid(-1, &mut how, 0) };
    if pid < 0 {
        let e = io::Error::last_os_error();
        return if e.raw_os_error() == Some(libc::ECHILD) { Ok(None) } else { Err(words(&e)) };
    }
    let status = if libc::WIFSIGNALED(how) {
        signal_words(libc::WTERMSIG(how))
    } else {
        match libc::WEXITSTATUS(how) {
            0 => Vec::new(),
            n => format!("{n}").into_bytes(),
        }
    };
    Ok(Some((pid as u32, status)))
}

/// A signal in the words of a note.
fn signal_words(signal: i32) -> Vec<u8> {
    match signal {
        libc::SIGINT => b"interrupt".to_vec(),
        libc::SIGHUP => b"hangup".to_vec(),
        libc::SIGALRM => b"alarm".to_vec(),
        libc::SIGKILL | libc::SIGTERM => b"killed".to_vec(),
        libc::SIGPIPE => b"sys: write on closed pipe".to_vec(),
        libc::SIGSEGV | libc::SIGBUS | libc::SIGFPE | libc::SIGILL => b"sys: trap".to_vec(),
        n => format!("sys: signal {n}").into_bytes(),
    }
}

/// Ends the process. Linux keeps the number that the status begins with; other words than the null string become 1.
pub fn exits(status: &[u8]) -> ! {
    let code = if status.iter().all(|&c| c == b'0' || c == b'|') {
        0
    } else {
        let digits = status.iter().take_while(|c| c.is_ascii_digit()).count();
        let number =
            status.get(..digits).and_then(|s| core::str::from_utf8(s).ok()).and_then(|s| s.parse().ok());
        number.filter(|n| n % 256 != 0).unwrap_or(1)
    };
    std::process::exit(code)
}

/// This process's number.
pub fn pid() -> u32 {
    std::process::id()
}

/// Changes the working directory.
pub fn chdir(name: &[u8]) -> Result<(), Failure> {
    std::env::set_current_dir(path(name)).map_err(|e| words(&e))
}

/// Does a file of this name exist?
pub fn exists(name: &[u8]) -> bool {
    std::fs::symlink_metadata(path(name)).is_ok()
}

/// Is this a file that can be executed?
pub fn executable(name: &[u8]) -> Result<(), Failure> {
    let meta = std::fs::metadata(path(name)).map_err(|e| words(&e))?;
    if meta.is_dir() {
        return Err(words(&io::Error::from_raw_os_error(libc::EISDIR)));
    }
    let c = CString::new(name).map_err(|_| words(&io::Error::from_raw_os_error(libc::EINVAL)))?;
    // SAFETY: the string is valid and ends in a zero byte.
    let may = unsafe { libc::access(c.as_ptr(), libc::X_OK) == 0 } && meta.permissions().mode() & 0o111 != 0;
    if may { Ok(()) } else { Err(words(&io::Error::from_raw_os_error(libc::EACCES))) }
}

/// What the system says of a file that is not there.
pub fn not_found() -> Failure {
    words(&io::Error::from_raw_os_error(libc::ENOENT))
}

/// The names in a directory, without `.` and `..`; nothing if it can't be read.
pub fn list(name: &[u8]) -> Vec<Vec<u8>> {
    let Ok(entries) = std::fs::read_dir(path(name)) else { return Vec::new() };
    entries.filter_map(Result::ok).map(|e| e.file_name().into_vec()).collect()
}

/// The environment's strings.
pub fn environment() -> Vec<(Vec<u8>, Vec<u8>)> {
    std::env::vars_os().map(|(n, v): (OsString, OsString)| (n.into_vec(), v.into_vec())).collect()
}

/// Writes one entry of the environment's tree; nothing to do where it is strings.
pub fn publish(_name: &[u8], _value: Option<&[u8]>) {}

/// Leaves process groups. A Linux process can only leave its note group.
pub fn rfork(letters: &[u8]) -> Result<(), Failure> {
    if letters.iter().any(|&c| !matches!(c, b's' | b'e' | b'f')) {
        return Err(words(&io::Error::from_raw_os_error(libc::ENOSYS)));
    }
    if letters.contains(&b's') {
        // SAFETY: touches no memory.
        unsafe { libc::setpgid(0, 0) };
    }
    Ok(())
}

/// The process that catches. A child that is not yet another program has the handler too, but nobody who asks for notes.
static CATCHER: AtomicI32 = AtomicI32::new(0);

extern "C" fn on_signal(signal: libc::c_int) {
    // SAFETY: all three may be called in a handler. The signal is held back until the handler returns, and then ends
    // the child as it would have ended the program.
    unsafe {
        if libc::getpid() != CATCHER.load(Ordering::Relaxed) {
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
            return;
        }
    }
    for (n, note) in Note::ALL.iter().enumerate() {
        if number(*note) == signal {
            NOTES.fetch_or(1 << n, Ordering::Relaxed);
        }
    }
}

fn number(note: Note) -> libc::c_int {
    match note {
        Note::Interrupt => libc::SIGINT,
        Note::Hangup => libc::SIGHUP,
        Note::Alarm => libc::SIGALRM,
        Note::Terminate => libc::SIGTERM,
    }
}

/// Keeps a note for [`take_note`], or leaves it to the system.
pub fn catch(note: Note, catch: bool) {
    // SAFETY: asks for the process's number.
    CATCHER.store(unsafe { libc::getpid() }, Ordering::Relaxed);
    // SAFETY: a zeroed sigaction is valid; the handler only sets an atomic. Without SA_RESTART calls are interrupted.
    unsafe {
        let mut action: libc::sigaction = core::mem::zeroed();
        action.sa_sigaction = if catch { on_signal as *const () as usize } else { libc::SIG_DFL };
        libc::sigaction(number(note), &action, core::ptr::null_mut());
    }
}

/// The next note that has come.
pub fn take_note() -> Option<Note> {
    let (n, &note) =
        Note::ALL.iter().enumerate().find(|(n, _)| NOTES.load(Ordering::Relaxed) & (1 << n) != 0)?;
    NOTES.fetch_and(!(1 << n), Ordering::Relaxed);
    Some(note)
}

/// Called first: a write to a pipe that nobody reads ends the process, which the standard library had turned off.
pub fn begin() {
    // SAFETY: sets a signal's default action.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}
