//! imp: a server that behaves or misbehaves as the name of the file says that is read.
//!
//! It is written on the bare portal, for it has to answer what no honest server can. A file's name is its conduct;
//! everything can be walked to and opened.
#![allow(unsafe_code, reason = "is entered by the kernel and touches what it should not")]

use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU64, Ordering};
use portolan::abi::error::Error as Known;
use portolan::abi::file::{ORDWR, OREAD, OWRITE, QTAUTH, QTDIR, QTFILE, RFNAMEG};
use portolan::abi::limit;
use portolan::abi::portal::{Answer, Limits, NOFID, RWAIT, Request, WANT_FLUSH, op};
use portolan::alloc::format;
use portolan::portal::{self, Portal};
use portolan::{File, Result, fs, process, sys};

/// What reading a file does; the place in the list is the qid's path.
pub(super) const CONDUCT: &[&str] = &[
    "root",
    "null",      // answers nothing
    "data",      // answers the offset's low byte, as often as asked
    "exit",      // ends the server
    "fault",     // touches nothing's address
    "block",     // waits in a read of a pipe, until interrupted
    "spin",      // never answers and never waits
    "wait",      // asks to be asked again after a wake
    "nest",      // reads `data` of the server posted as /srv/other
    "self",      // reads `data` of this very server
    "count",     // claims to have read more than asked
    "type",      // answers with another message's type
    "kernel",    // points at the kernel's memory
    "unmapped",  // points at nothing
    "wrap",      // points at the very end of memory
    "zero",      // answers with a message of type 0
    "longerror", // an error of absurd length
    "error",     // an honest error in words of its own
    "sleep",     // answers after a while
    "gate",      // waits until `open`, whatever interrupts it
    "scribble",  // the same, and then writes 0xaa all over the payload
    "lendon",    // lends its payload, from byte 100 on, to the other server, and then scribbles
    "lateexit",  // ends the server after a while
    "latefault",
    "note",     // sends a note to the process that the offset names, and answers
    "notes",    // sends two
    "kill",     // kills it, and answers
    "clunks",   // answers how many Tclunks have come, in 8 bytes
    "flushes",  // the same of Tflush
    "auth",     // an authentication file: gives a challenge, takes `response`
    "walked",   // can be walked to once `open` is said
    "nap",      // answers after half a second
    "latenest", // as `nest`, after a while
    "mapped",   // answers from a file that it was told to map
];

const FIDS: usize = 4096;
static CONDUCT_OF: [AtomicU8; FIDS] = [const { AtomicU8::new(0) }; FIDS];
static PIPE: AtomicI32 = AtomicI32::new(-1);
static PORTAL: AtomicI32 = AtomicI32::new(-1);
static OTHER: AtomicI32 = AtomicI32::new(-1);
static OPEN: AtomicBool = AtomicBool::new(false);
static MAPPED: AtomicU64 = AtomicU64::new(0);
static WAKES: AtomicU64 = AtomicU64::new(0);
/// Somebody has written the right response.
static RESPONDED: AtomicBool = AtomicBool::new(false);
/// Tflush waits at the gate.
static DEAF: AtomicBool = AtomicBool::new(false);
/// The next message of type `RAW[0]` is answered with the four words behind it.
static RAW: [AtomicU64; 5] = [const { AtomicU64::new(0) }; 5];
static CLUNKS: AtomicU64 = AtomicU64::new(0);
static FLUSHES: AtomicU64 = AtomicU64::new(0);

/// The conduct of a fid: numbers of fids are each session's own.
fn conduct(r: &Request, fid: u32) -> &'static AtomicU8 {
    &CONDUCT_OF[(r.session as usize % 16 * 256 + fid as usize % 256) % FIDS]
}

fn error(e: Known) -> Answer {
    Answer { head: Answer::make_head(op::RERROR, e as u8 + 1, 0), ..Answer::default() }
}

fn plain(request: u8) -> Answer {
    Answer { head: Answer::make_head(request + 1, 0, 0), ..Answer::default() }
}

fn qid(request: u8, path: u8) -> Answer {
    let kind = if path == 0 { QTDIR } else { QTFILE };
    Answer { head: Answer::make_head(request + 1, kind, 0), w1: u64::from(path), ..Answer::default() }
}

/// The tree that an attach or auth asks for.
fn tree(r: &Request) -> &[u8] {
    // SAFETY: the message page is this activation's own for the call.
    let page = unsafe { core::slice::from_raw_parts(r.page as *const u8, limit::PAGE) };
    let text = |at: usize| &page[at + 2..at + 2 + usize::from(u16::from_le_bytes([page[at], page[at + 1]]))];
    text(2 + text(0).len())
}

fn path_of(name: &str) -> u8 {
    CONDUCT.iter().position(|c| *c == name).unwrap_or(0) as u8
}

/// The tree `auth` is given to those alone who have written the response to their authentication file.
fn attach(r: &Request) -> Answer {
    let authentic = r.fid2() != NOFID
        && conduct(r, r.fid2()).load(Ordering::Relaxed) == path_of("auth")
        && RESPONDED.load(Ordering::SeqCst);
    if tree(r) == b"auth" && !authentic {
        return error(Known::Perm);
    }
    conduct(r, r.fid()).store(0, Ordering::Relaxed);
    qid(op::TATTACH, 0)
}

fn auth(r: &Request) -> Answer {
    if tree(r) == b"gate" {
        gate();
    }
    conduct(r, r.fid()).store(path_of("auth"), Ordering::Relaxed);
    let path = u64::from(path_of("auth"));
    Answer { head: Answer::make_head(op::TAUTH + 1, QTAUTH, 0), w1: path, ..Answer::default() }
}

/// The names of a walk, and what they lead to.
fn walk(r: &Request) -> Answer {
    // SAFETY: the message page is this activation's own for the call.
    let page = unsafe { core::slice::from_raw_parts_mut(r.page as *mut u8, limit::PAGE) };
    if r.a() == 0 {
        conduct(r, r.fid2()).store(conduct(r, r.fid()).load(Ordering::Relaxed), Ordering::Relaxed);
        return plain(op::TWALK);
    }
    let len = usize::from(u16::from_le_bytes([page[0], page[1]]));
    let found = CONDUCT.iter().position(|c| c.as_bytes() == &page[2..2 + len]);
    let Some(path) = found.filter(|_| r.a() == 1) else { return error(Known::NotExist) };
    if CONDUCT[path] == "walked" {
        gate();
    }
    conduct(r, r.fid2()).store(path as u8, Ordering::Relaxed);
    page[..16].fill(0);
    page[0] = if path == 0 { QTDIR } else { QTFILE };
    page[8] = path as u8;
    Answer { head: Answer::make_head(op::TWALK + 1, 1, 0), ..Answer::default() }
}

fn rread(count: u32, address: u64) -> Answer {
    Answer { head: Answer::make_head(op::TREAD + 1, 0, count), w1: address, ..Answer::default() }
}

/// Waits until `open` is said.
fn gate() {
    while !OPEN.load(Ordering::SeqCst) {
        let _ = sys::sleep(1_000_000);
    }
}

fn scribble(r: &Request) -> Answer {
    // SAFETY: the kernel made room for `count` bytes at the payload's address, and keeps it until the reply.
    unsafe { core::ptr::write_bytes(r.payload as *mut u8, 0xaa, r.count() as usize) };
    rread(r.count(), 0)
}

fn lend_on(r: &Request) -> Answer {
    // SAFETY: as in `scribble`.
    let room = unsafe { core::slice::from_raw_parts_mut(r.payload as *mut u8, r.count() as usize) };
    match sys::pread(OTHER.load(Ordering::Relaxed), &mut room[100..], 0) {
        // Whether or not the other was interrupted.
        None if !portolan::Error::last().is(Known::Interrupted) => forward(r),
        _ => scribble(r),
    }
}

/// Writes to a file of the process that the offset names.
fn tell(r: &Request, file: &str, text: &str) -> Answer {
    match fs::write(format!("/proc/{}/{file}", r.offset), text) {
        Ok(()) => rread(0, 0),
        Err(e) => words(r, e.words().as_bytes()),
    }
}

/// A number as the payload.
fn number(r: &Request, n: u64) -> Answer {
    let bytes = n.to_le_bytes();
    let count = bytes.len().min(r.count() as usize);
    // SAFETY: the kernel made room for `count` bytes at the payload's address.
    unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), r.payload as *mut u8, count) };
    rread(count as u32, 0)
}

fn read(r: &Request) -> Answer {
    let which = CONDUCT[usize::from(conduct(r, r.fid()).load(Ordering::Relaxed)) % CONDUCT.len()];
    match which {
        "null" => rread(0, 0),
        "data" => {
            // SAFETY: the kernel made room for `count` bytes at the payload's address.
            unsafe { core::ptr::write_bytes(r.payload as *mut u8, r.offset as u8, r.count() as usize) };
            rread(r.count(), 0)
        }
        "exit" => sys::exits(b"as told"),
        "fault" => {
            // SAFETY: none: that is the point. The kernel ends this process for it.
            unsafe { (8 as *mut u8).write_volatile(1) };
            rread(0, 0)
        }
        "block" => match sys::pread(PIPE.load(Ordering::Relaxed), &mut [0; 1], -1) {
            Some(_) => rread(0, 0),
            None => error(Known::Interrupted),
        },
        "spin" => loop {
            core::hint::spin_loop();
        },
        "sleep" => {
            let _ = sys::sleep(20_000_000);
            rread(0, 0)
        }
        "gate" => {
            gate();
            rread(0, 0)
        }
        "scribble" => {
            gate();
            scribble(r)
        }
        "lendon" => lend_on(r),
        "lateexit" | "latefault" => {
            let _ = sys::sleep(600_000_000);
            if which == "lateexit" {
                sys::exits(b"as told")
            }
            // SAFETY: none, as above.
            unsafe { (8 as *mut u8).write_volatile(1) };
            rread(0, 0)
        }
        "note" => tell(r, "note", "told"),
        "auth" => {
            let text = b"challenge";
            let n = text.len().min(r.count() as usize);
            // SAFETY: the kernel made room for `count` bytes at the payload's address.
            unsafe { core::ptr::copy_nonoverlapping(text.as_ptr(), r.payload as *mut u8, n) };
            rread(n as u32, 0)
        }
        "notes" => {
            tell(r, "note", "told");
            tell(r, "note", "told")
        }
        "kill" => tell(r, "ctl", "kill"),
        "clunks" => number(r, CLUNKS.load(Ordering::SeqCst)),
        "flushes" => number(r, FLUSHES.load(Ordering::SeqCst)),
        "wait" => {
            let seq = WAKES.load(Ordering::SeqCst);
            if OPEN.load(Ordering::SeqCst) {
                return rread(0, 0);
            }
            Answer { head: Answer::make_head(RWAIT, 0, 0), w1: 7, w2: seq, w3: 0 }
        }
        "nap" => {
            let _ = sys::sleep(500_000_000);
            rread(0, 0)
        }
        "latenest" => {
            let _ = sys::sleep(200_000_000);
            match sys::pread(OTHER.load(Ordering::Relaxed), &mut [0; 1], 0) {
                Some(n) => rread(n as u32, 0),
                None => forward(r),
            }
        }
        "nest" | "self" => match sys::pread(OTHER.load(Ordering::Relaxed), &mut [0; 1], 0) {
            Some(n) => rread(n as u32, 0),
            None => forward(r),
        },
        "mapped" => rread(r.count(), MAPPED.load(Ordering::Relaxed) + r.offset),
        "count" => rread(r.count() + 1, 0),
        "type" => plain(op::TWRITE),
        "kernel" => rread(r.count(), 0xffff_8000_0000_1000),
        "unmapped" => rread(r.count(), 0x1000),
        "wrap" => rread(r.count(), u64::MAX - 1),
        "zero" => Answer::default(),
        "longerror" => Answer { head: Answer::make_head(op::RERROR, 0, u32::MAX), ..Answer::default() },
        _ => words(r, b"imp says no"),
    }
}

fn words(r: &Request, text: &[u8]) -> Answer {
    // SAFETY: the message page is this activation's own, and longer than any error.
    unsafe { core::ptr::copy_nonoverlapping(text.as_ptr(), r.page as *mut u8, text.len()) };
    Answer { head: Answer::make_head(op::RERROR, 0, text.len() as u32), ..Answer::default() }
}

/// The failure of this server's own call becomes its answer.
fn forward(r: &Request) -> Answer {
    let mut buf = [0; limit::ERROR + 2];
    let n = sys::errstr(&mut buf).unwrap_or(0).min(limit::ERROR);
    words(r, &buf[2..2 + n])
}

/// A write is a command: `open` and `shut` for whoever waits at the gate or reads `wait`; `FILE NAME` for the file of
/// another server that `nest` reads; `raw` and five words for [`RAW`].
fn write(r: &Request) -> Answer {
    // SAFETY: the kernel put `count` bytes at the payload's address.
    let text = unsafe { core::slice::from_raw_parts(r.payload as *const u8, r.count().min(64) as usize) };
    if conduct(r, r.fid()).load(Ordering::Relaxed) == path_of("auth") {
        RESPONDED.store(text == b"response", Ordering::SeqCst);
        return if text == b"response" { rwrite(r) } else { error(Known::Perm) };
    }
    match text {
        b"open" => {
            OPEN.store(true, Ordering::SeqCst);
            WAKES.fetch_add(1, Ordering::SeqCst);
            let _ = sys::wake(PORTAL.load(Ordering::Relaxed), 7, u32::MAX);
        }
        [b'r', b'a', b'w', words @ ..] if words.len() == 40 => {
            for (to, from) in RAW.iter().zip(words.chunks_exact(8)).rev() {
                to.store(u64::from_le_bytes(from.try_into().unwrap_or_default()), Ordering::SeqCst);
            }
        }
        b"shut" => OPEN.store(false, Ordering::SeqCst),
        _ if r.count() <= 64 => match other(text) {
            Ok(()) => {}
            Err(e) => return words(r, e.words().as_bytes()),
        },
        _ => {}
    }
    rwrite(r)
}

fn rwrite(r: &Request) -> Answer {
    Answer { head: Answer::make_head(op::TWRITE + 1, 0, r.count()), ..Answer::default() }
}

fn other(name: &[u8]) -> Result<()> {
    let name = core::str::from_utf8(name).unwrap_or("");
    if let Some(path) = name.strip_prefix("map ") {
        let file = File::open(path, OREAD)?;
        let len = fs::fstat(&file)?.stat().length as usize;
        let at = sys::segattach(0, file.fd(), 0, 0, len).ok_or_else(portolan::Error::last)?;
        MAPPED.store(at, Ordering::Relaxed);
        return Ok(());
    }
    let (file, name) = name.split_once(' ').unwrap_or(("data", ""));
    let server = File::open(format!("/srv/{name}"), ORDWR)?;
    fs::mount(&server, "/n", 0, "")?;
    OTHER.store(File::open(format!("/n/{file}"), OREAD)?.into_fd(), Ordering::Relaxed);
    Ok(())
}

extern "C" fn enter(head: u64, fids: u64, offset: u64, session: u64, payload: u64, page: u64) -> ! {
    let r = Request { head, fids, offset, session, payload, page };
    if RAW[0].compare_exchange(u64::from(r.op()), 0, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
        let [head, w1, w2, w3] = [1, 2, 3, 4].map(|i: usize| RAW[i].load(Ordering::SeqCst));
        let _ = sys::reply(&Answer { head, w1, w2, w3 });
    }
    let answer = match r.op() {
        op::TATTACH => attach(&r),
        op::TAUTH => auth(&r),
        op::TWALK => walk(&r),
        op::TOPEN => qid(op::TOPEN, conduct(&r, r.fid()).load(Ordering::Relaxed)),
        op::TREAD => read(&r),
        op::TWRITE => write(&r),
        op::TFLUSH => {
            FLUSHES.fetch_add(1, Ordering::SeqCst);
            if DEAF.load(Ordering::Relaxed) {
                gate();
            }
            plain(op::TFLUSH)
        }
        op::TCLUNK => {
            // One of no fid does not count.
            CLUNKS.fetch_add(u64::from(r.fid() != NOFID), Ordering::SeqCst);
            plain(op::TCLUNK)
        }
        op::TREMOVE => plain(op::TREMOVE),
        _ => error(Known::NotSupported),
    };
    loop {
        let _ = sys::reply(&answer);
        // A bad answer comes back; the caller is told, and this activation goes on with an honest one.
        let _ = sys::reply(&error(Known::Io));
    }
}

/// What is said to it at its start.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Flush {
    /// The kernel interrupts its handlers.
    Unseen,
    /// It gets Tflush and answers.
    Seen,
    /// It gets Tflush and does not answer before `open`.
    Deaf,
}

/// Starts an imp posted under a name: its process.
pub(super) fn start(name: &str, activations: u32) -> Result<u32> {
    start_with(name, activations, Flush::Unseen)
}

/// Starts an imp that is flushed in a certain way.
pub(super) fn start_with(name: &str, activations: u32, flush: Flush) -> Result<u32> {
    portal::in_background(|| {
        process::rfork(RFNAMEG)?;
        let [read, write] = sys::pipe().ok_or_else(portolan::Error::last)?;
        let _ = write;
        PIPE.store(read, Ordering::Relaxed);
        DEAF.store(flush == Flush::Deaf, Ordering::Relaxed);
        let flags = if flush == Flush::Unseen { 0 } else { WANT_FLUSH };
        let portal = Portal::new(enter, &Limits { activations, flags, stack: 0, reserved: 0 })?;
        PORTAL.store(portal.file().fd(), Ordering::Relaxed);
        portal.post(name)?;
        Ok(portal)
    })
}

/// Starts an imp and mounts it.
pub(super) fn mounted(name: &str, at: &str, activations: u32) -> Result<u32> {
    let pid = start(name, activations)?;
    mount(name, at)?;
    Ok(pid)
}

/// Mounts an imp.
pub(super) fn mount(name: &str, at: &str) -> Result<()> {
    let server = File::open(format!("/srv/{name}"), ORDWR)?;
    fs::mount(&server, at, 0, "")
}

/// Takes an imp's name off the board and ends it.
pub(super) fn stop(name: &str, pid: u32) {
    // A test may have ended it already.
    let _ = fs::remove(format!("/srv/{name}"));
    if let Ok(f) = File::open(format!("/proc/{pid}/ctl"), OWRITE) {
        let _ = f.write_all(b"kill");
    }
}
