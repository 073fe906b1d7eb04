//! rc's system calls on Portolan, through the library `portolan`.
//!
//! A new process has a copy of the memory, as after fork on other systems. Descriptors of rc's own lie at or above
//! [`RESERVED`]; a bit for each says which are taken. They have no close-on-exec mark: a child closes them itself.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use abi::error::Error as Known;
use abi::file::*;
use portolan::{Error, File, env, fs, note, process, sys};

use super::{Failure, Note, Program};
use crate::ast::Mode;

/// The first descriptor that rc keeps for itself.
pub const RESERVED: u32 = 64;
/// A descriptor that is never open.
pub const NOWHERE: i32 = abi::limit::PORTS as i32 - 1;
/// Bytes that a pipe takes before anybody reads.
pub const PIPE_ROOM: usize = 1024;
/// Bytes of stack that an evaluation may use.
pub const STACK: usize = abi::limit::STACK as usize * 3 / 4;
/// Does the environment live in a file tree that is written to, instead of strings handed over?
pub const ENV_TREE: bool = true;

/// Which descriptors from [`RESERVED`] on are taken.
static TAKEN: AtomicU64 = AtomicU64::new(0);
/// Notes that have come and were not taken yet: a bit each, in the order of [`Note::ALL`].
static NOTES: AtomicU32 = AtomicU32::new(0);
/// Notes that are kept for the shell.
static CAUGHT: AtomicU32 = AtomicU32::new(0);

fn words(e: &Error) -> Failure {
    if e.is(Known::Interrupted) {
        Failure::Interrupted
    } else {
        Failure::Words(e.words().as_bytes().to_vec())
    }
}

fn check<T>(result: Option<T>) -> Result<T, Failure> {
    result.ok_or_else(|| words(&Error::last()))
}

/// An open file of rc's own.
#[derive(Debug)]
pub struct Fd(i32);

impl Fd {
    /// Its number.
    pub fn number(&self) -> i32 {
        self.0
    }

    /// The file of this number, which nothing else in this process owns.
    pub fn adopt(number: i32) -> Fd {
        TAKEN.fetch_or(bit(number), Ordering::Relaxed);
        Fd(number)
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        // A close that fails has given the port back all the same.
        let _ = sys::close(self.0);
        TAKEN.fetch_and(!bit(self.0), Ordering::Relaxed);
    }
}

fn bit(number: i32) -> u64 {
    number.checked_sub(RESERVED as i32).and_then(|n| 1u64.checked_shl(n as u32)).unwrap_or(0)
}

/// A copy of a descriptor.
pub fn duplicate(number: i32) -> Result<Fd, Failure> {
    let free = TAKEN.load(Ordering::Relaxed).trailing_ones();
    if free >= u64::BITS {
        return Err(words(&Known::NoPort.into()));
    }
    check(sys::dup(number, (RESERVED + free) as i32)).map(Fd::adopt)
}

fn high(file: File) -> Result<Fd, Failure> {
    duplicate(file.fd())
}

/// Is this descriptor open?
pub fn is_open(number: i32) -> bool {
    let mut path = [0; abi::limit::PATH];
    sys::fd2path(number, &mut path).is_some()
}

/// Opens a file for a redirection.
pub fn open(name: &[u8], mode: Mode) -> Result<Fd, Failure> {
    let create = |mode| File::create(name, mode, 0o666);
    let or_create = |opened: portolan::Result<File>, mode| match opened {
        Err(e) if e.is(Known::NotExist) => create(mode),
        other => other,
    };
    let file = match mode {
        Mode::Read => File::open(name, OREAD),
        Mode::Write => create(u32::from(OWRITE | OTRUNC)),
        Mode::Append => or_create(File::open(name, OWRITE), u32::from(OWRITE)),
        Mode::Both => or_create(File::open(name, ORDWR), u32::from(ORDWR)),
    };
    let file = file.map_err(|e| words(&e))?;
    if mode == Mode::Append {
        // What can't seek, such as a terminal, appends by itself.
        let _ = sys::seek(file.fd(), 0, 2);
    }
    high(file)
}

/// A pipe: the end to read from and the end to write to.
pub fn pipe() -> Result<(Fd, Fd), Failure> {
    let [r, w] = check(sys::pipe())?.map(File::from_fd);
    Ok((high(r)?, high(w)?))
}

/// Reads; 0 is the end.
pub fn read(number: i32, buf: &mut [u8]) -> Result<usize, Failure> {
    check(sys::pread(number, buf, -1))
}

/// Writes everything.
pub fn write(number: i32, mut text: &[u8]) -> Result<(), Failure> {
    while !text.is_empty() {
        match check(sys::pwrite(number, text, -1))? {
            0 => return Err(words(&Known::Io.into())),
            n => text = text.get(n..).unwrap_or_default(),
        }
    }
    Ok(())
}

/// Is it a terminal?
pub fn is_terminal(number: i32) -> bool {
    let mut path = [0; abi::limit::PATH];
    sys::fd2path(number, &mut path).and_then(|n| path.get(..n)).is_some_and(|p| p.ends_with(b"/cons"))
}

/// Takes keys one by one from the terminal, without echo, or lines again.
pub fn raw(_number: i32, on: bool) -> Result<(), Failure> {
    let ctl = File::open("/dev/consctl", OWRITE).map_err(|e| words(&e))?;
    write(ctl.fd(), if on { b"rawon" } else { b"rawoff" })
}

/// Is it a directory?
pub fn is_dir(name: &[u8]) -> bool {
    fs::stat(name).is_ok_and(|a| a.stat().mode & DMDIR != 0)
}

/// The name by which an open descriptor can be opened.
pub fn port_file(port: u32) -> Vec<u8> {
    alloc::format!("/fd/{port}").into_bytes()
}

/// Puts the changed descriptors in their places and lets go of all that is rc's own, in a child.
fn place(ports: &[(u32, Option<i32>)]) {
    for &(port, to) in ports {
        // A place that can't be filled is empty; the program will say so when it uses it.
        let _ = match to {
            Some(fd) => sys::dup(fd, port as i32).map(drop),
            None => sys::close(port as i32),
        };
    }
    keep_only(&[]);
}

/// Starts a program.
pub fn spawn(program: &Program<'_>) -> Result<u32, Failure> {
    match divide(program.apart)? {
        0 => {
            place(program.ports);
            let e = process::exec(program.path, program.args);
            let name = program.args.first().map_or(program.path, Vec::as_slice);
            let _ = write(2, &[name, b": ", e.words().as_bytes(), b"\n"].concat());
            sys::exits(e.words().as_bytes())
        }
        pid => Ok(pid),
    }
}

/// Becomes a program; comes back only if that fails.
pub fn exec(program: &Program<'_>) -> Failure {
    // The shell's own descriptors are needed again if it fails, so the files are put in place by a look first.
    if let Err(e) = executable(program.path) {
        return e;
    }
    place(program.ports);
    let e = process::exec(program.path, program.args);
    let name = program.args.first().map_or(program.path, Vec::as_slice);
    let _ = write(2, &[name, b": ", e.words().as_bytes(), b"\n"].concat());
    sys::exits(e.words().as_bytes())
}

fn divide(apart: bool) -> Result<u32, Failure> {
    let group = if apart { RFNOTEG } else { 0 };
    process::fork(RFFDG | RFENVG | group).map_err(|e| words(&e))
}

/// Runs `work` in a new process, which ends with the status that it returns. `apart` is as in [`Program`].
pub fn fork(apart: bool, work: Box<dyn FnOnce() -> Vec<u8> + Send>) -> Result<u32, Failure> {
    match divide(apart)? {
        0 => {
            let status = work();
            exits(&status)
        }
        pid => Ok(pid),
    }
}

/// Closes every descriptor of rc's own but these: a child must not hold the ends of its parent's pipes.
pub fn keep_only(keep: &[i32]) {
    let taken = TAKEN.load(Ordering::Relaxed);
    for n in 0..u64::BITS {
        let number = (RESERVED + n) as i32;
        if taken & (1 << n) != 0 && !keep.contains(&number) {
            let _ = sys::close(number);
            TAKEN.fetch_and(!bit(number), Ordering::Relaxed);
        }
    }
}

/// Waits for any child to end: its number and status. None if there is no child.
pub fn wait() -> Result<Option<(u32, Vec<u8>)>, Failure> {
    match process::wait() {
        Ok(ended) => Ok(Some((ended.pid, ended.status.into_bytes()))),
        Err(e) if e.is(Known::NoChild) => Ok(None),
        Err(e) => Err(words(&e)),
    }
}

/// Ends the process. A status of success is the null string outside, however the shell spells it.
pub fn exits(status: &[u8]) -> ! {
    if status.iter().all(|&c| c == b'0' || c == b'|') {
        sys::exits(b"");
    }
    let mut len = status.len().min(abi::limit::STATUS);
    while len > 0 && status.get(len).is_some_and(|c| c & 0xc0 == 0x80) {
        len -= 1; // Not in the middle of a character.
    }
    sys::exits(status.get(..len).unwrap_or_default())
}

/// This process's number.
pub fn pid() -> u32 {
    process::id()
}

/// Changes the working directory.
pub fn chdir(name: &[u8]) -> Result<(), Failure> {
    fs::change_dir(name).map_err(|e| words(&e))
}

/// Does a file of this name exist?
pub fn exists(name: &[u8]) -> bool {
    fs::exists(name)
}

/// Is this a file that can be executed?
pub fn executable(name: &[u8]) -> Result<(), Failure> {
    let attributes = fs::stat(name).map_err(|e| words(&e))?;
    let mode = attributes.stat().mode;
    if mode & DMDIR != 0 {
        return Err(words(&Known::IsDir.into()));
    }
    if mode & 0o111 == 0 { Err(words(&Known::Perm.into())) } else { Ok(()) }
}

/// What the system says of a file that is not there.
pub fn not_found() -> Failure {
    words(&Known::NotExist.into())
}

/// The names in a directory; nothing if it can't be read.
pub fn list(name: &[u8]) -> Vec<Vec<u8>> {
    let mut names = Vec::new();
    if let Ok(dir) = File::open(name, OREAD) {
        // What was read before a failure is still there.
        let _ = fs::each_entry(&dir, |stat| {
            names.try_reserve(1).map_err(|_| Known::NoMemory)?;
            names.push(AsRef::<[u8]>::as_ref(stat.name).to_vec());
            Ok(())
        });
    }
    names
}

/// The environment's entries.
pub fn environment() -> Vec<(Vec<u8>, Vec<u8>)> {
    list(b"/env").into_iter().filter_map(|name| env::get(&name).ok().map(|value| (name, value))).collect()
}

/// Writes one entry of the environment's tree.
pub fn publish(name: &[u8], value: Option<&[u8]>) {
    if name.contains(&b'/') || name.len() > abi::limit::NAME {
        return;
    }
    // A variable that can't be exported is still the shell's.
    let _ = match value {
        Some(value) => env::set(name, value),
        None => env::unset(name),
    };
}

/// Leaves process groups.
pub fn rfork(letters: &[u8]) -> Result<(), Failure> {
    let flags = letters.iter().fold(0, |flags, c| {
        flags
            | match c {
                b'n' => RFNAMEG,
                b'N' => RFCNAMEG,
                b'e' => RFENVG,
                b'E' => RFCENVG,
                b's' => RFNOTEG,
                b'f' => RFFDG,
                b'F' => RFCFDG,
                _ => RFNOMNT,
            }
    });
    process::rfork(flags).map_err(|e| words(&e))
}

fn text(note: Note) -> &'static str {
    match note {
        Note::Interrupt => abi::note::INTERRUPT,
        Note::Hangup => abi::note::HANGUP,
        Note::Alarm => abi::note::ALARM,
        Note::Terminate => "term",
    }
}

fn take(came: &str) -> note::Then {
    for (n, &note) in Note::ALL.iter().enumerate() {
        if text(note) == came && CAUGHT.load(Ordering::Relaxed) & (1 << n) != 0 {
            NOTES.fetch_or(1 << n, Ordering::Relaxed);
            return note::Then::Continue;
        }
    }
    note::Then::Default
}

/// Keeps a note for [`take_note`], or leaves it to the system.
pub fn catch(note: Note, catch: bool) {
    for (n, &other) in Note::ALL.iter().enumerate() {
        if other == note {
            let mask = 1 << n;
            let _ = if catch {
                CAUGHT.fetch_or(mask, Ordering::Relaxed)
            } else {
                CAUGHT.fetch_and(!mask, Ordering::Relaxed)
            };
        }
    }
    // Without a handler every note ends the shell, which is what is wanted then.
    let _ = if CAUGHT.load(Ordering::Relaxed) != 0 { note::handle(take) } else { note::default() };
}

/// The next note that has come.
pub fn take_note() -> Option<Note> {
    let (n, &note) =
        Note::ALL.iter().enumerate().find(|(n, _)| NOTES.load(Ordering::Relaxed) & (1 << n) != 0)?;
    NOTES.fetch_and(!(1 << n), Ordering::Relaxed);
    Some(note)
}
