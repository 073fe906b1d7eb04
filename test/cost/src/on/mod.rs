//! The rows on Portolan, in the order of the table. Each checks what it moved; a row whose feature is missing is not here.
#![allow(unsafe_code, reason = "attaches and touches memory")]

mod give;
mod meter;
mod pair;
mod scale;
mod server;
mod share;

use core::slice;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use meter::Meter;
use portolan::abi::file::{ORDWR, OREAD, OWRITE, RFFDG};
use portolan::alloc::format;
use portolan::alloc::sync::Arc;
use portolan::mail::{self, Mailbox, Senders};
use portolan::{Error, File, Result, fs, note, process, sys, thread};

/// Fails unless what was moved is what was to be moved.
fn right(holds: bool, what: &str) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::new(what)) }
}

fn some<T>(r: Option<T>) -> Result<T> {
    r.ok_or_else(Error::last)
}

pub(crate) fn main() -> Result<()> {
    match portolan::args().nth(1) {
        // Started by the row `spawn_wait`, which measures this end.
        Some(b"exit") => return Ok(()),
        // Since the machine's start.
        Some(b"ticks") => {
            portolan::println!("ticks {}", meter::ticks());
            return Ok(());
        }
        Some(b"scale") => return scale::main(),
        Some(b"cpus") => return pair::main(),
        _ => {}
    }
    let meter = Meter::from_args()?;
    calls(&meter)?;
    files(&meter)?;
    cached(&meter)?;
    pipe(&meter)?;
    mailbox(&meter)?;
    give::rows(&meter)?;
    semaphores(&meter)?;
    notes(&meter)?;
    processes(&meter)?;
    share::rows(&meter)?;
    memory(&meter)
}

fn calls(meter: &Meter) -> Result<()> {
    let me = u64::from(process::id());
    meter.row("null_syscall", 2000, || right(sys::clock(3) as u64 == me, "another process's number"))?;
    let pid = server::bare("cost-bare", "/mnt")?;
    let null = File::open("/mnt/null", OREAD)?;
    meter.row("portal_null", 1000, || {
        right(some(sys::pread(null.fd(), &mut [], 0))? == 0, "bytes from nothing")
    })?;
    server::stop("cost-bare", pid);
    let pid = server::sdk("cost-sdk", "/n")?;
    let data = File::open("/n/data", OREAD)?;
    let mut at = 0;
    meter.row("read1_server", 1000, || {
        at = (at + 1) & 4095;
        let mut byte = [0];
        let n = some(sys::pread(data.fd(), &mut byte, at))?;
        right(n == 1 && byte[0] == server::byte(at as usize), "a wrong byte")
    })?;
    let mut page = server::Page::zeroed();
    meter.row("read4k_server", 500, || {
        let n = some(sys::pread(data.fd(), &mut page.0, 0))?;
        right(n == 4096 && page.0[4095] == server::byte(4095), "a wrong page")
    })?;
    right(!meter.wants("read4k_server") || page.is_right(), "a wrong page")?;
    server::stop("cost-sdk", pid);
    Ok(())
}

fn files(meter: &Meter) -> Result<()> {
    fs::write("/tmp/x", "contents")?;
    let mut record = [0; 512];
    meter.row("stat", 500, || {
        let n = some(sys::stat(b"/tmp/x", &mut record))?;
        // The length in the record, and its own.
        right(record[33] == 8 && usize::from(record[0]) + 2 == n, "a wrong stat record")
    })?;
    meter.row("open_close", 500, || {
        let fd = some(sys::open(b"/tmp/x", OREAD))?;
        some(sys::close(fd))
    })?;
    meter.row("create_remove", 200, || {
        let fd = some(sys::create(b"/tmp/y", u32::from(OWRITE), 0o600))?;
        some(sys::close(fd))?;
        some(sys::remove(b"/tmp/y"))
    })?;
    right(File::open("/tmp/y", OREAD).is_err(), "a removed file is there")?;
    fs::remove("/tmp/x")
}

/// Pages of the file that is read where it is cached; each is the same.
const LARGE: usize = 256;

/// Reads of a file of ramfs that somebody has attached, so that the kernel has its pages. The room is attached too: what
/// the heap once had, every later fork would copy.
fn cached(meter: &Meter) -> Result<()> {
    if !meter.wants("read1_cached") && !meter.wants("read1m_cached") {
        return Ok(());
    }
    let len = LARGE * server::DATA.0.len();
    let file = File::create("/tmp/large", u32::from(ORDWR), 0o600)?;
    (0..LARGE).try_for_each(|_| file.write_all(&server::DATA.0))?;
    let at = some(sys::segattach(0, file.fd(), 0, 0, len))?;
    let room = some(sys::segattach(0, -1, 0, 0, len))?;
    // SAFETY: both are attached until the end of this function; nobody changes the file, and nobody else has the room.
    let (pages, to) = unsafe {
        (slice::from_raw_parts(at as *const u8, len), slice::from_raw_parts_mut(room as *mut u8, len))
    };
    let is_right = |all: &[u8]| all.chunks(server::DATA.0.len()).all(|page| page == server::DATA.0);
    right(is_right(pages), "another file is attached")?;
    let mut place = 0;
    meter.row("read1_cached", 1000, || {
        place = (place + 1) & 4095;
        let mut byte = [0];
        let n = some(sys::pread(file.fd(), &mut byte, place))?;
        right(n == 1 && byte[0] == server::byte(place as usize), "a wrong byte")
    })?;
    meter.row("read1m_cached", 4, || {
        let n = some(sys::pread(file.fd(), to, 0))?;
        right(n == len && to[len - 1] == server::byte(4095), "a wrong megabyte")
    })?;
    right(!meter.wants("read1m_cached") || is_right(to), "a wrong megabyte")?;
    // SAFETY: neither slice is used any more.
    unsafe {
        some(sys::segdetach(room, len))?;
        some(sys::segdetach(at, len))?;
    }
    fs::remove("/tmp/large")
}

fn pipe(meter: &Meter) -> Result<()> {
    if !meter.wants("pipe_rt") {
        return Ok(());
    }
    let [near, far] = some(sys::pipe())?;
    let pid = process::fork(RFFDG)?;
    if pid == 0 {
        let _ = sys::close(near);
        let mut byte = [0];
        while sys::pread(far, &mut byte, -1) == Some(1) && sys::pwrite(far, &byte, -1) == Some(1) {}
        sys::exits(b"");
    }
    some(sys::close(far))?;
    let mut sent = 0u8;
    meter.row("pipe_rt", 500, || {
        sent = sent.wrapping_add(1);
        let mut byte = [0];
        some(sys::pwrite(near, &[sent], -1))?;
        some(sys::pread(near, &mut byte, -1))?;
        right(byte[0] == sent, "another byte came back")
    })?;
    some(sys::close(near))?;
    process::wait_for(pid).map(drop)
}

fn mailbox(meter: &Meter) -> Result<()> {
    if !meter.wants("mbox_rt") {
        return Ok(());
    }
    let pid = process::fork(RFFDG)?;
    if pid == 0 {
        let own = Mailbox::own(Senders::Everybody)?;
        let mut letter = [0; 128];
        while let Some(n @ 1..) = sys::pread(own.file().fd(), &mut letter, 0)
            && sys::pwrite(own.file().fd(), &letter[n - 1..n], 0) == Some(1)
        {}
        sys::exits(b"");
    }
    let mailbox = loop {
        match mail::to(pid) {
            Ok(f) => break f,
            Err(_) => some(sys::sleep(1_000_000))?,
        }
    };
    let mut sent = 0u8;
    meter.row("mbox_rt", 500, || {
        sent = sent.wrapping_add(1);
        let mut byte = [0];
        some(sys::pwrite(mailbox.fd(), &[sent], 0))?;
        some(sys::pread(mailbox.fd(), &mut byte, 0))?;
        right(byte[0] == sent, "another byte came back")
    })?;
    mail::admit(pid, Senders::Nobody)?;
    process::wait_for(pid).map(drop)
}

fn semaphores(meter: &Meter) -> Result<()> {
    if !meter.wants("sem_rt") {
        return Ok(());
    }
    let shared = Arc::new((AtomicI32::new(0), AtomicI32::new(0), AtomicU64::new(0), AtomicBool::new(false)));
    let other = shared.clone();
    let thread = thread::spawn(move || {
        loop {
            if sys::semacquire(&other.0, -1) == Some(1) {
                if other.3.load(Ordering::Relaxed) {
                    return;
                }
                other.2.fetch_add(1, Ordering::Relaxed);
                let _ = sys::semrelease(&other.1, 1);
            }
        }
    })?;
    let mut turns = 0;
    meter.row("sem_rt", 500, || {
        turns += 1;
        some(sys::semrelease(&shared.0, 1))?;
        some(sys::semacquire(&shared.1, -1))?;
        right(shared.2.load(Ordering::Relaxed) == turns, "the other did not take its turn")
    })?;
    shared.3.store(true, Ordering::Relaxed);
    some(sys::semrelease(&shared.0, 1))?;
    thread.join()
}

static NOTES: AtomicU64 = AtomicU64::new(0);

fn taken(_: &str) -> note::Then {
    NOTES.fetch_add(1, Ordering::Relaxed);
    note::Then::Continue
}

fn notes(meter: &Meter) -> Result<()> {
    note::handle(taken)?;
    let to = File::open(format!("/proc/{}/note", process::id()), OWRITE)?;
    let mut sent = NOTES.load(Ordering::Relaxed);
    meter.row("note_self", 500, || {
        sent += 1;
        some(sys::pwrite(to.fd(), b"cost", 0))?;
        right(NOTES.load(Ordering::Relaxed) == sent, "the note was not taken")
    })?;
    note::default()
}

fn processes(meter: &Meter) -> Result<()> {
    meter.row("fork_wait", 10, || {
        let pid = process::fork(RFFDG)?;
        if pid == 0 {
            sys::exits(b"");
        }
        right(process::wait_for(pid)?.status.is_empty(), "the child failed")
    })?;
    meter.row("spawn_wait", 5, || {
        let pid = process::spawn("/bin/cost", &["cost", "exit"], [0, 1, 2])?;
        right(process::wait_for(pid)?.status.is_empty(), "the program failed")
    })?;
    static RAN: AtomicU64 = AtomicU64::new(0);
    let mut runs = 0;
    meter.row("thread_join", 50, || {
        runs += 1;
        thread::spawn(|| {
            RAN.fetch_add(1, Ordering::Relaxed);
        })?
        .join()?;
        right(RAN.load(Ordering::Relaxed) == runs, "the thread did not run")
    })
}

/// Pages that are touched for one figure.
const PAGES: usize = 512;

fn memory(meter: &Meter) -> Result<()> {
    meter.span("fault_anon", || {
        let len = PAGES * 4096;
        let at = some(sys::segattach(0, -1, 0, 0, len))? as *mut u64;
        let spent = meter.time(|| {
            for i in 0..PAGES {
                // SAFETY: inside the segment just attached, which nobody else knows.
                unsafe { at.add(i * 512).write_volatile(i as u64) };
            }
            Ok(())
        })?;
        for i in 0..PAGES {
            // SAFETY: as above.
            let (first, rest) =
                unsafe { (at.add(i * 512).read_volatile(), at.add(i * 512 + 511).read_volatile()) };
            right(first == i as u64 && rest == 0, "a page without its word, or not zero")?;
        }
        // SAFETY: nothing refers to it any more.
        some(unsafe { sys::segdetach(at as u64, len) })?;
        Ok((spent, PAGES as u64))
    })
}
