//! Pages that change hands: by exchange at a tag, and given by mailbox and pipe.
#![allow(unsafe_code, reason = "attaches memory and gives it away")]

use super::call::{counter, sharing_child as child};
use super::{Test, check, fails, filer, imp};
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use portolan::abi;
use portolan::abi::error::Error as Known;
use portolan::abi::file::{OREAD, OWRITE, RFREND};
use portolan::alloc::format;
use portolan::alloc::string::String;
use portolan::alloc::vec::Vec;
use portolan::mail::{self, Mailbox, Senders};
use portolan::segment::{Access, Segment};
use portolan::{Error, File, Result, fs, note, process, sys, thread, time};

pub(super) const TESTS: &[Test] = &[
    ("t39_exchange_swaps_pages", exchange),
    ("t39_exchange_many_at_one_tag", crowd),
    ("t39_exchange_waits_end_by_interrupt_and_kill", exchange_ends),
    ("t39_exchange_of_bad_memory", bad_exchange),
    ("t39_exchange_is_forgotten_by_every_cpu", forgotten),
    ("t39_give_by_mailbox_at_any_alignment", by_mailbox),
    ("t39_give_by_pipe_in_order_with_bytes", by_pipe),
    ("t39_give_a_reply", reply),
    ("t39_give_that_fails_gives_nothing", refused),
    ("t39_give_to_a_server_is_a_write", to_server),
    ("t39_give_of_bad_memory", bad_give),
    ("t39_give_of_what_is_lent_or_a_file", not_own),
    ("t39_give_what_nobody_reads", unread),
    ("t39_give_whole_tables", tables),
    ("t39_take_of_a_file_shares_it", take_file),
];

const SIZE: usize = 4096;

/// New memory: where.
fn segment(pages: usize) -> Result<u64> {
    sys::segattach(0, -1, 0, 0, pages * SIZE).ok_or_else(Error::last)
}

fn word(at: u64) -> &'static AtomicU64 {
    // SAFETY: in a segment of the test's own that it does not detach while it uses the word.
    unsafe { &*(at as *const AtomicU64) }
}

fn put(at: u64, value: u64) {
    word(at).store(value, Ordering::SeqCst);
}

fn get(at: u64) -> u64 {
    word(at).load(Ordering::SeqCst)
}

fn ended_well(pid: u32) -> Result<()> {
    let e = process::wait_for(pid)?;
    check!(e.status.is_empty(), "{}", e.status);
    Ok(())
}

fn swap(tag: u64, page: u64) -> Result<()> {
    // SAFETY: the tests refer to a page by its address alone, and by volatile or atomic accesses.
    unsafe { sys::exchange(tag, page) }.ok_or_else(Error::last)
}

fn exchange() -> Result<()> {
    let at = segment(3)?;
    put(at + 4096, 1);
    put(at + 8192 + 8, 3);
    let pid = child(|| {
        put(at + 4096, 2);
        put(at + 8192 - 8, 22);
        swap(5, at + 4096)?;
        check!(get(at + 4096) == 1 && get(at + 8192 - 8) == 0, "the child got {}", get(at + 4096));
        // Pages that a fork shares, and one that was never touched.
        swap(6, at + 8192)?;
        check!(get(at + 8192) == 0 && get(at + 8192 + 8) == 0, "not an untouched page");
        Ok(())
    })?;
    swap(5, at + 4096)?;
    check!(get(at + 4096) == 2 && get(at + 8192 - 8) == 22, "the parent got {}", get(at + 4096));
    swap(6, at)?;
    check!(get(at + 8) == 3, "the parent got {} for an untouched page", get(at + 8));
    ended_well(pid)
}

fn crowd() -> Result<()> {
    const MANY: u64 = 12;
    let at = segment(1)?;
    let report = segment(1)?;
    let mut pids = Vec::new();
    for i in 1..=MANY {
        pids.push(thread::spawn(move || {
            let mine = segment(1).unwrap_or(0);
            put(mine, i);
            let r = swap(9, mine);
            let ok = r.is_ok() && get(mine) != i && get(mine) != 0;
            if ok {
                put(report + 8 * get(mine), i);
            }
        })?);
    }
    for t in pids {
        t.join()?;
    }
    for i in 1..=MANY {
        let from = get(report + 8 * i);
        check!(from != 0 && get(report + 8 * from) == i, "{i} went to {from}, and {from} elsewhere");
    }
    // Another group does not meet this one.
    put(at, 1);
    process::rfork(RFREND)?;
    note::handle(|_| note::Then::Continue)?;
    let _ = sys::alarm(30_000_000);
    fails(swap(9, at), Known::Interrupted)
}

fn exchange_ends() -> Result<()> {
    note::handle(|_| note::Then::Continue)?;
    let at = segment(1)?;
    put(at, 77);
    let _ = sys::alarm(30_000_000);
    fails(swap(1, at), Known::Interrupted)?;
    check!(get(at) == 77, "the page did not come back: {}", get(at));
    let pid = child(|| {
        put(at, 78);
        swap(2, at)
    })?;
    for _ in 0..200 {
        let status = fs::read(format!("/proc/{pid}/status"))?;
        if String::from_utf8_lossy(&status).contains(" Rendez:") {
            break;
        }
        time::sleep(Duration::from_millis(5))?;
    }
    File::open(format!("/proc/{pid}/ctl"), OWRITE)?.write_all(b"kill")?;
    process::wait_for(pid)?;
    // Nobody waits there any more.
    let _ = sys::alarm(30_000_000);
    fails(swap(2, at), Known::Interrupted)?;
    check!(get(at) == 77, "the page is {}", get(at));
    Ok(())
}

fn bad_exchange() -> Result<()> {
    let at = segment(2)?;
    fails(swap(1, at + 8), Known::BadArg)?;
    fails(swap(1, at + 2 * 4096), Known::NoSegment)?;
    fails(swap(1, u64::MAX - 4095), Known::BadAddress)?;
    fails(swap(1, 0xffff_8000_0000_0000), Known::NoSegment)?;
    // The program's own text.
    fails(swap(1, 0x20_0000), Known::NotOwn)?;
    fails(swap(1, bad_exchange as fn() -> Result<()> as usize as u64 & !4095), Known::NotOwn)
}

static FAULTS: AtomicU64 = AtomicU64::new(0);

fn faulted(_: &str) -> note::Then {
    FAULTS.fetch_add(1, Ordering::SeqCst);
    sys::exits(b"")
}

/// While it waits the page is nowhere, and another CPU that reads it all the time does not know it any more.
fn forgotten() -> Result<()> {
    let at = segment(2)?;
    put(at, 5);
    let reader = thread::spawn(move || {
        let _ = note::handle(faulted);
        while get(at) == 5 {}
    })?;
    // It does not come back to be joined.
    let _: thread::JoinHandle<()> = reader;
    time::sleep(Duration::from_millis(50))?;
    check!(FAULTS.load(Ordering::SeqCst) == 0, "the reader faulted too early");
    let other = thread::spawn(move || {
        if swap(3, at).is_ok() {
            FAULTS.fetch_add(10, Ordering::SeqCst);
        }
    })?;
    for _ in 0..500 {
        if FAULTS.load(Ordering::SeqCst) == 1 {
            break;
        }
        time::sleep(Duration::from_millis(2))?;
    }
    check!(FAULTS.load(Ordering::SeqCst) == 1, "a page that waits to be exchanged was read");
    // A fork knows too that it is gone.
    let pid = child(|| {
        note::default()?;
        get(at);
        Ok(())
    })?;
    let status = process::wait_for(pid)?.status;
    check!(status.contains("fault read"), "a gone page was read after a fork: {status:?}");
    put(at + 4096, 6);
    swap(3, at + 4096)?;
    other.join()?;
    check!(FAULTS.load(Ordering::SeqCst) == 11, "the other failed");
    check!(get(at) == 6 && get(at + 4096) == 5, "{} and {}", get(at), get(at + 4096));
    Ok(())
}

/// Gives a range away.
fn give(f: &File, at: u64, len: usize) -> Result<usize> {
    // SAFETY: the tests refer to given memory by its address alone.
    unsafe { sys::give(f.fd(), at, len, -1) }.ok_or_else(Error::last)
}

/// Reads with leave to replace pages.
fn take(f: &File, at: u64, len: usize) -> Result<usize> {
    // SAFETY: as in `give`.
    unsafe { sys::take(f.fd(), at, len, -1) }.ok_or_else(Error::last)
}

fn take_all(f: &File, at: u64, len: usize) -> Result<()> {
    let mut have = 0;
    while have < len {
        match take(f, at + have as u64, len - have)? {
            0 => return Err(Error::new(&format!("the end after {have} of {len} bytes"))),
            n => have += n,
        }
    }
    Ok(())
}

fn bytes(at: u64, len: usize) -> &'static mut [u8] {
    // SAFETY: in a segment of the test's own; the slice is used before the next call that changes it.
    unsafe { core::slice::from_raw_parts_mut(at as *mut u8, len) }
}

fn fill(at: u64, len: usize, seed: usize) {
    for (i, b) in bytes(at, len).iter_mut().enumerate() {
        *b = ((i + seed) % 251) as u8;
    }
}

fn is_filled(at: u64, len: usize, seed: usize) -> Result<()> {
    let wrong = bytes(at, len).iter().enumerate().find(|(i, b)| **b != ((i + seed) % 251) as u8);
    check!(wrong.is_none(), "byte {wrong:?} of {len} at {at:#x} is wrong");
    Ok(())
}

/// Is a touch of an address a fault?
fn is_gone(at: u64) -> Result<()> {
    let pid = child(|| {
        note::default()?;
        get(at & !7);
        Ok(())
    })?;
    let status = process::wait_for(pid)?.status;
    check!(status.contains("fault read"), "{at:#x} is there after it was given: {status:?}");
    Ok(())
}

/// Start in the page, length: what is given; start in the page of the reader.
const SHAPES: &[(u64, usize, u64)] = &[
    (0, SIZE, 0),
    (0, 5 * SIZE, 0),
    (100, 3 * SIZE, 100),
    (4095, 2 * SIZE + 7, 4095),
    (100, 3 * SIZE, 101),
    (0, 2 * SIZE + 9, 3),
    (8, 40, 0),
    (1, SIZE - 1, 1),
];

fn by_mailbox() -> Result<()> {
    let me = process::id();
    let own = Mailbox::own(Senders::Everybody)?;
    for (i, &(skew, len, to)) in SHAPES.iter().enumerate() {
        let pid = child(|| {
            let at = segment(8)? + skew;
            fill(at, len, i);
            let n = give(&mail::to(me)?, at, len)?;
            check!(n == len, "gave {n} of {len}");
            let whole = (at.next_multiple_of(4096), (at + len as u64) & !4095);
            if whole.0 < whole.1 {
                is_gone(whole.0)?;
                is_gone(whole.1 - 8)?;
            }
            if skew > 0 {
                is_filled(at, len.min(4096 - skew as usize), i)?;
            }
            Ok(())
        })?;
        let mut line = [0; 128];
        let n = own.file().read(&mut line[..1])? + own.file().read(&mut line[1..])?;
        let head = line.split(|&b| b == b'\n').next().unwrap_or(&[]);
        let head = String::from_utf8_lossy(head).into_owned();
        check!(head.starts_with(&format!("{pid} ")) && head.ends_with(&format!(" {len}")), "{head:?}");
        let early = n - head.len() - 1;
        let at = segment(8)? + to;
        fill(at - to, 7 * SIZE, 99);
        bytes(at, early).copy_from_slice(&line[head.len() + 1..n]);
        take_all(own.file(), at + early as u64, len - early)?;
        is_filled(at, len, i)?;
        is_filled(at + len as u64, 100, to as usize + len + 99)?;
        ended_well(pid)?;
        // Plainly read it is the same.
        let pid = child(|| {
            let at = segment(8)? + skew;
            fill(at, len, i);
            give(&mail::to(me)?, at, len).map(drop)
        })?;
        let m = own.receive()?.ok_or_else(|| Error::new("no message"))?;
        check!(m.pid == pid && m.bytes.len() == len, "{} bytes from {}", m.bytes.len(), m.pid);
        let wrong = m.bytes.iter().enumerate().find(|(j, b)| **b != ((j + i) % 251) as u8);
        check!(wrong.is_none(), "shape {i}: {wrong:?}");
        ended_well(pid)?;
    }
    Ok(())
}

fn by_pipe() -> Result<()> {
    let [a, b] = sys::pipe().ok_or_else(Error::last)?;
    let (a, b) = (File::from_fd(a), File::from_fd(b));
    let pid = child(|| {
        for (i, &(skew, len, _)) in SHAPES.iter().enumerate() {
            let at = segment(8)? + skew;
            fill(at, len, i);
            give(&a, at, len)?;
            a.write_all(&[i as u8; 33])?;
            a.write_all(&[i as u8; 9000])?;
        }
        Ok(())
    })?;
    for (i, &(_, len, to)) in SHAPES.iter().enumerate() {
        let at = segment(8)? + to;
        take_all(&b, at, len)?;
        is_filled(at, len, i)?;
        let mut rest = [0; 9033];
        let n = b.read_full(&mut rest)?;
        check!(n == 9033 && rest.iter().all(|&x| x == i as u8), "the bytes after {i} are wrong");
    }
    ended_well(pid)?;
    // Pages of which one end is read by pieces, and the rest taken.
    let pid = child(|| {
        let at = segment(8)?;
        fill(at, 6 * SIZE, 3);
        give(&a, at, 6 * SIZE).map(drop)
    })?;
    let mut some = [0; 5000];
    let n = b.read_full(&mut some)?;
    let at = segment(8)?;
    bytes(at, n).copy_from_slice(&some);
    take_all(&b, at + n as u64, 6 * SIZE - n)?;
    is_filled(at, 6 * SIZE, 3)?;
    ended_well(pid)
}

fn reply() -> Result<()> {
    let pid = child(|| {
        let own = Mailbox::own(Senders::Everybody)?;
        own.receive()?;
        let at = segment(4)?;
        fill(at, 4 * SIZE, 7);
        give(own.file(), at, 4 * SIZE)?;
        is_gone(at)
    })?;
    let f = loop {
        match mail::to(pid) {
            Ok(f) => break f,
            Err(_) => time::sleep(Duration::from_millis(5))?,
        }
    };
    f.write_all(b"pages, please")?;
    let at = segment(4)?;
    take_all(&f, at, 4 * SIZE)?;
    is_filled(at, 4 * SIZE, 7)?;
    ended_well(pid)
}

fn refused() -> Result<()> {
    note::handle(|_| note::Then::Continue)?;
    let me = process::id();
    let own = Mailbox::own(Senders::Everybody)?;
    let at = segment(4)?;
    fill(at, 4 * SIZE, 5);
    let pid = child(|| {
        let f = mail::to(me)?;
        mail::admit(me, Senders::Nobody)?;
        fails(give(&f, at, 4 * SIZE), Known::NoMail)?;
        is_filled(at, 4 * SIZE, 5)?;
        mail::admit(me, Senders::Everybody)?;
        for _ in 0..abi::limit::MAIL {
            f.write_all(b"full")?;
        }
        note::handle(|_| note::Then::Continue)?;
        let _ = sys::alarm(40_000_000);
        fails(give(&f, at + 8, 3 * SIZE), Known::Interrupted)?;
        is_filled(at, 4 * SIZE, 5)
    })?;
    ended_well(pid)?;
    fails(give(own.file(), at, SIZE), Known::NoMessage)?;
    is_filled(at, 4 * SIZE, 5)?;
    let [a, b] = sys::pipe().ok_or_else(Error::last)?;
    let (a, b) = (File::from_fd(a), File::from_fd(b));
    drop(b);
    fails(give(&a, at, 2 * SIZE), Known::Hungup)?;
    is_filled(at, 4 * SIZE, 5)
}

fn to_server() -> Result<()> {
    let pid = imp::mounted("imp", "/mnt", 4)?;
    let f = File::open("/mnt/data", abi::file::ORDWR)?;
    let at = segment(4)?;
    fill(at, 4 * SIZE, 5);
    let n = give(&f, at + 8, 3 * SIZE)?;
    check!(n == 3 * SIZE, "{n} bytes");
    is_filled(at, SIZE, 5)?;
    is_gone(at + 4096)?;
    is_filled(at + 3 * 4096, SIZE, 5 + 3 * SIZE)?;
    let n = take(&f, at, 100)?;
    check!(n == 100, "{n} bytes read");
    imp::stop("imp", pid);
    Ok(())
}

fn bad_give() -> Result<()> {
    let [a, _b] = sys::pipe().ok_or_else(Error::last)?;
    let a = File::from_fd(a);
    let at = segment(2)?;
    fails(give(&a, at, 3 * SIZE), Known::NoSegment)?;
    fails(give(&a, 0x20_0000, SIZE), Known::NotOwn)?;
    fails(give(&a, u64::MAX - 4095, 4096), Known::BadAddress)?;
    fails(give(&a, at, usize::MAX), Known::TooLong)?;
    fails(give(&a, at, u32::MAX as usize & !4095), Known::NoSegment)?;
    give(&a, at, SIZE)?;
    fails(give(&a, at, 2 * SIZE), Known::BadAddress)?;
    fails(give(&a, at + 8, 16), Known::BadAddress)?;
    let server = portolan::portal::Portal::new(
        never,
        &abi::portal::Limits { activations: 1, flags: 0, stack: 0, reserved: 0 },
    )?;
    fails(give(&a, at + 4096, SIZE), Known::NotOwn)?;
    drop(server);
    fails(terms(a.fd(), 2), Known::BadArg)
}

/// What a call has borrowed of the space is not given meanwhile, and a file's pages never are.
fn not_own() -> Result<()> {
    let pid = imp::mounted("imp", "/mnt", 4)?;
    let [a, b] = sys::pipe().ok_or_else(Error::last)?;
    let (a, _b) = (File::from_fd(a), File::from_fd(b));
    let at = segment(4)?;
    fill(at, 4 * SIZE, 5);
    let nap = File::open("/mnt/nap", OREAD)?;
    let borrowed = thread::spawn(move || {
        // SAFETY: the tests refer to this memory by its address alone.
        let buf = unsafe { core::slice::from_raw_parts_mut(at as *mut u8, 3 * SIZE) };
        let _ = nap.read_at(buf, 0);
    })?;
    time::sleep(Duration::from_millis(150))?;
    fails(give(&a, at, SIZE), Known::NotOwn)?;
    fails(give(&a, at + 3 * 4096, SIZE), Known::NotOwn)?;
    fails(swap(1, at), Known::NotOwn)?;
    borrowed.join()?;
    let n = give(&a, at + 3 * 4096, SIZE)?;
    check!(n == SIZE, "{n} bytes once it is back");
    imp::stop("imp", pid);
    let pid = filer::mounted("filer", "/n")?;
    let s = Segment::of_file(&File::open("/n/big", OREAD)?, Access::Read, 0, 4 * SIZE)?;
    fails(give(&a, s.address(), SIZE), Known::NotOwn)?;
    fails(swap(1, s.address()), Known::NotOwn)?;
    s.read(0, &mut [0])?;
    fails(give(&a, s.address(), SIZE), Known::NotOwn)?;
    drop(s);
    imp::stop("filer", pid);
    Ok(())
}

extern "C" fn never(_: u64, _: u64, _: u64, _: u64, _: u64, _: u64) -> ! {
    sys::exits(b"called")
}

/// A write on terms that there are not.
fn terms(fd: i32, terms: u64) -> Result<()> {
    // SAFETY: the kernel refuses the call before it looks at the buffer.
    let r = unsafe { sys::call(abi::sys::Sys::Pwrite, [fd as u64, 0, 0, 0, terms, 0]) };
    if r == u64::MAX { Err(Error::last()) } else { Ok(()) }
}

/// Pages on their way come back to the machine when nobody reads them.
fn unread() -> Result<()> {
    let before = counter("frames")?;
    const MANY: usize = 300;
    let pid = child(|| {
        let own = Mailbox::own(Senders::Everybody)?;
        let me = process::id();
        let sender = child(|| {
            let at = segment(MANY)?;
            fill(at, MANY * SIZE, 1);
            give(&mail::to(me)?, at, MANY * SIZE).map(drop)
        })?;
        ended_well(sender)?;
        own.file().read(&mut [0; 64]).map(drop)
    })?;
    ended_well(pid)?;
    let [a, b] = sys::pipe().ok_or_else(Error::last)?;
    let pid = child(|| {
        let at = segment(MANY)?;
        fill(at, MANY * SIZE, 1);
        give(&File::from_fd(a), at, MANY * SIZE).map(drop)
    })?;
    ended_well(pid)?;
    drop((File::from_fd(a), File::from_fd(b)));
    let mut after = 0;
    for _ in 0..100 {
        after = counter("frames")?;
        if after < before + 100 {
            return Ok(());
        }
        time::sleep(Duration::from_millis(20))?;
    }
    Err(Error::new(&format!("{before} frames in use before, {after} after")))
}

const LARGE: usize = 2 << 20;

/// 2 MiB that lie so that the table goes, and 2 MiB that do not.
fn tables() -> Result<()> {
    let [a, b] = sys::pipe().ok_or_else(Error::last)?;
    let (a, b) = (File::from_fd(a), File::from_fd(b));
    let base = sys::segattach(0, -1, 0, 0x20_0000_0000, 8 * LARGE).ok_or_else(Error::last)?;
    let large = LARGE as u64;
    for (from, to, len) in
        [(0, 0, LARGE), (0, 4096, LARGE), (4096, 4096, LARGE), (large, 0, 3 * LARGE), (8, 8, 2 * LARGE)]
    {
        fill(base + from, len, 9);
        give(&a, base + from, len)?;
        is_gone((base + from).next_multiple_of(4096))?;
        take_all(&b, base + 4 * large + to, len)?;
        is_filled(base + 4 * large + to, len, 9)?;
        // Everything at home again.
        // SAFETY: nothing refers to the segment.
        unsafe { sys::segdetach(base, 8 * LARGE) }.ok_or_else(Error::last)?;
        check!(sys::segattach(0, -1, 0, base, 8 * LARGE) == Some(base), "not attached again");
        check!(get(base + large) == 0 && get(base + 4 * large) == 0, "new memory is not empty");
    }
    // What a fork shares goes page by page, and the child keeps its own.
    fill(base, LARGE, 4);
    let pid = child(|| {
        time::sleep(Duration::from_millis(50))?;
        is_filled(base, LARGE, 4)
    })?;
    give(&a, base, LARGE)?;
    is_gone(base + 8)?;
    take_all(&b, base, LARGE)?;
    is_filled(base, LARGE, 4)?;
    ended_well(pid)
}

/// Pages of a file come in the place of a segment's, to be read; the rest of it, and whatever does not fit, is copied.
fn take_file() -> Result<()> {
    let server = filer::mounted("filer", "/mnt")?;
    let f = File::open("/mnt/big", OREAD)?;
    let len = filer::BIG;
    let at = segment(len.div_ceil(SIZE))?;
    fill(at, len, 1);
    let before = filer::seen("/mnt", "reads")?;
    let n = take(&f, at, len)?;
    check!(n == len / SIZE * SIZE, "took {n} of {len}");
    check!(filer::seen("/mnt", "reads")? == before, "taking reads");
    let rest = take(&f, at + n as u64, len - n)?;
    check!(n + rest == len && take(&f, at + len as u64, 100)? == 0, "the rest is {rest}");
    let is_right = |at: u64, len: usize, from: usize| {
        bytes(at, len).iter().enumerate().all(|(i, b)| *b == filer::pattern(from + i))
    };
    check!(is_right(at, len, 0), "the bytes are wrong");
    let reads = filer::seen("/mnt", "reads")?;
    // Once more into the same place, and from the middle: nothing is read again.
    // SAFETY: nothing refers to the segment.
    let n = unsafe { sys::take(f.fd(), at, 3 * SIZE, 5 * SIZE as i64) }.ok_or_else(Error::last)?;
    check!(n == 3 * SIZE && is_right(at, n, 5 * SIZE), "took {n} from the middle");
    check!(filer::seen("/mnt", "reads")? == reads, "pages that were here were read again");
    let pid = child(|| {
        note::default()?;
        put(at, 1);
        Ok(())
    })?;
    let status = process::wait_for(pid)?.status;
    check!(status.contains("fault write"), "pages of the file were written: {status:?}");
    // What does not fit is copied: another border, memory that is no segment, a file that is not cached.
    let fresh = segment(2)?;
    // SAFETY: as above.
    let n = unsafe { sys::take(f.fd(), fresh, 2 * SIZE, 7) }.ok_or_else(Error::last)?;
    check!(n > 0 && is_right(fresh, n, 7), "copied {n} wrong bytes");
    put(fresh, 1);
    let mut heap = portolan::alloc::vec![0u8; 4 * SIZE];
    let to = (heap.as_mut_ptr() as u64).next_multiple_of(4096);
    // SAFETY: inside the vector, which is not used otherwise.
    let n = unsafe { sys::take(f.fd(), to, SIZE, 0) }.ok_or_else(Error::last)?;
    check!(is_right(to, n, 0), "{n} bytes in the heap are wrong");
    put(to, 1);
    let c = File::open("/mnt/ctl", OREAD)?;
    let fresh = segment(1)?;
    check!(take(&c, fresh, SIZE)? > 0, "a control file gave nothing");
    put(fresh, 1);
    drop((f, c));
    imp::stop("filer", server);
    Ok(())
}
