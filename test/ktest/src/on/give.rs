//! Pages that change hands: by exchange at a tag, and given by mailbox and pipe.
#![allow(unsafe_code, reason = "attaches memory and gives it away")]

use super::{Test, check, fails};
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use portolan::abi::error::Error as Known;
use portolan::abi::file::{OWRITE, RFREND};
use portolan::alloc::format;
use portolan::alloc::string::String;
use portolan::alloc::vec::Vec;
use portolan::{Error, File, Result, fs, note, process, sys, thread, time};

pub(super) const TESTS: &[Test] = &[
    ("t39_exchange_swaps_pages", exchange),
    ("t39_exchange_many_at_one_tag", crowd),
    ("t39_exchange_waits_end_by_interrupt_and_kill", exchange_ends),
    ("t39_exchange_of_bad_memory", bad_exchange),
    ("t39_exchange_is_forgotten_by_every_cpu", forgotten),
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

fn child(run: impl FnOnce() -> Result<()>) -> Result<u32> {
    let pid = process::fork(0)?;
    if pid == 0 {
        match run() {
            Ok(()) => sys::exits(b""),
            Err(e) => sys::exits(e.words().as_bytes()),
        }
    }
    Ok(pid)
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
    core::mem::forget(reader);
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
