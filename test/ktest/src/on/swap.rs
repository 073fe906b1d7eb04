//! Memory that is short: swap, the laundry's reserve, and what is known to hang systems whose pagers are programs.
#![allow(unsafe_code, reason = "undoes an attachment whose failure it looks at")]

use super::call::{child, counter};
use super::{Test, check, fails, filer, imp, log};
use core::time::Duration;
use portolan::abi::error::Error as Known;
use portolan::abi::file::{ORDWR, OREAD, OWRITE};
use portolan::abi::limit::PAGE;
use portolan::alloc::format;
use portolan::alloc::string::{String, ToString};
use portolan::alloc::vec::Vec;
use portolan::segment::{Access, Segment};
use portolan::{Error, File, Result, fs, process, sys, time};

pub(super) const TESTS: &[Test] = &[
    ("t68_swap_takes_what_memory_has_no_room_for", more_than_memory),
    ("t68_swap_that_is_full_is_told_to_who_asks", full),
    ("t68_swap_whose_server_dies_is_a_note", server_dies),
    ("t68_swap_refuses_nonsense", nonsense),
    ("t68_pages_in_swap_are_forked_and_given", forked),
    ("t69_writing_back_needs_memory", needs_memory),
    ("t69_one_writers_burst_leaves_others_alone", burst),
    ("t69_who_writes_back_dirties_others_pages", journal),
];

/// Bytes of the swap file.
const SWAP: usize = 4 << 20;

/// Does the kernel evict all the time? Then there is a swap file for all tests.
pub(super) fn tortured() -> bool {
    fs::read("#root/cmdline").is_ok_and(|l| l.windows(8).any(|w| w == b"torture="))
}

/// Sets the file of a filer as swap, of so many bytes.
pub(super) fn set(at: &str, len: usize) -> Result<()> {
    let f = File::open(format!("{at}/store"), ORDWR)?;
    f.write_at(b"x", len as u64 - 1)?;
    tell(&f.fd().to_string())
}

fn tell(words: &str) -> Result<()> {
    File::open("#sys/swap", OWRITE)?.write_all(words.as_bytes())
}

/// Waits for the end of all that was in it.
pub(super) fn off() -> Result<()> {
    for _ in 0..100 {
        if tell("off").is_ok() {
            return Ok(());
        }
        let _ = time::sleep(Duration::from_millis(20));
    }
    tell("off")
}

/// Runs a test with a filer at /mnt whose store is swap.
fn with(test: impl FnOnce(u32) -> Result<()>) -> Result<()> {
    if tortured() {
        // These fill all memory, page by page, which takes too long if everything goes to swap meanwhile.
        return Err(Error::new(super::LEFT_OUT));
    }
    let pid = filer::mounted("filer", "/mnt")?;
    // Who serves stays in memory.
    let _stays = filer::stay()?;
    let r = set("/mnt", SWAP).and_then(|()| test(pid));
    let end = off();
    imp::stop("filer", pid);
    r.and(end)
}

/// Runs something in a child, whose words at the end must have these among them; none for success.
fn ends(with: &str, run: impl FnOnce() -> Result<()>) -> Result<()> {
    let w = process::wait_for(child(run)?)?.status;
    check!(if with.is_empty() { w.is_empty() } else { w.contains(with) }, "{w:?} instead of {with:?}");
    Ok(())
}

/// More than the machine has.
const MOST: usize = 128 << 20;

/// Memory, each of whose pages has its number in it: until a counter has risen by so much.
fn fill(name: &str, by: u64) -> Result<Vec<u8>> {
    let mut all: Vec<u8> = Vec::new();
    all.try_reserve_exact(MOST).map_err(|_| Error::Known(Known::NoMemory))?;
    let end = counter(name)? + by;
    for n in 0..MOST / PAGE {
        // SAFETY: there is room for so many, and whatever the bytes are, the vector may have them.
        unsafe { all.set_len((n + 1) * PAGE) };
        all[n * PAGE..][..8].copy_from_slice(&(n as u64).to_le_bytes());
        if n % 64 == 63 && counter(name)? >= end {
            break;
        }
    }
    Ok(all)
}

fn is_filled(all: &[u8]) -> Result<()> {
    for (n, page) in all.chunks_exact(PAGE).enumerate() {
        check!(page[..8] == (n as u64).to_le_bytes(), "page {n} has {:?}", &page[..8]);
    }
    Ok(())
}

fn more_than_memory() -> Result<()> {
    with(|_| {
        ends("", || {
            let all = fill("evicted-own", 600)?;
            is_filled(&all)?;
            is_filled(&all)
        })
    })
}

fn full() -> Result<()> {
    with(|_| {
        ends("out of memory", || fill("swap", u64::MAX >> 1).map(drop))?;
        // And all is as before.
        ends("", || is_filled(&fill("evicted-own", 100)?))
    })
}

fn server_dies() -> Result<()> {
    with(|pid| {
        let [a, b] = sys::pipe().ok_or_else(Error::last)?;
        let (from, to) = (File::from_fd(a), File::from_fd(b));
        let reader = child(|| {
            let all = fill("evicted-own", 600)?;
            to.write_all(b"x")?;
            while fs::exists("/mnt/store") {
                let _ = time::sleep(Duration::from_millis(20));
            }
            is_filled(&all)
        })?;
        drop(to);
        from.read_full(&mut [0])?;
        imp::stop("filer", pid);
        let w = process::wait_for(reader)?.status;
        check!(w.contains(Known::Died.text()), "{w:?}");
        ends("out of memory", || fill("swap", u64::MAX >> 1).map(drop))
    })
}

fn nonsense() -> Result<()> {
    with(|_| {
        off()?;
        for words in ["on", "-1", "99", "99999999999999999999"] {
            check!(tell(words).is_err(), "{words:?} was taken");
        }
        let set = |f: Result<File>| tell(&f?.fd().to_string());
        fails(set(File::open("/mnt/store", OREAD)), Known::BadMode)?;
        fails(set(File::open("/mnt/store", OWRITE)), Known::BadMode)?;
        fails(set(File::open("/mnt", OREAD)), Known::BadMode)?;
        fails(set(File::open("#sys/null", ORDWR)), Known::NotSupported)?;
        fails(set(File::open("/mnt/ctl", ORDWR)), Known::NoSpace)?;
        check!(fs::read("#sys/swap")?.is_empty(), "something was set");
        set(File::open("/mnt/store", ORDWR))?;
        let shown = String::from_utf8_lossy(&fs::read("#sys/swap")?).into_owned();
        check!(shown == format!("/mnt/store {SWAP} 0\n"), "{shown:?}");
        Ok(())
    })
}

fn forked() -> Result<()> {
    with(|_| {
        ends("", || {
            let mut all = fill("evicted-own", 400)?;
            check!(counter("swap")? > 0, "nothing is in swap");
            // The first pages went first.
            let pid = child(|| {
                is_filled(&all[..256 * PAGE])?;
                all[..PAGE].fill(1);
                Ok(())
            })?;
            let w = process::wait_for(pid)?.status;
            check!(w.is_empty(), "the child says {w}");
            is_filled(&all)?;
            let [a, b] = sys::pipe().ok_or_else(Error::last)?;
            let (a, b) = (File::from_fd(a), File::from_fd(b));
            let at = all.as_ptr().align_offset(PAGE);
            let want = all[at..at + 64 * PAGE].to_vec();
            let pid = child(|| {
                let mut back = portolan::alloc::vec![0; want.len()];
                check!(a.read_full(&mut back)? == back.len() && back == want, "others were given");
                Ok(())
            })?;
            // SAFETY: nothing refers to these pages any more, and the vector is never freed.
            let given = unsafe { sys::give(b.fd(), all[at..].as_ptr() as u64, want.len(), -1) };
            core::mem::forget(all);
            check!(given == Some(want.len()), "{given:?} bytes were given");
            let w = process::wait_for(pid)?.status;
            check!(w.is_empty(), "the taker says {w}");
            Ok(())
        })
    })
}

/// All memory is one program's, but for what another has dirty: it can be written and freed all the same, though its
/// server takes memory for it.
fn needs_memory() -> Result<()> {
    if tortured() {
        return Err(Error::new(super::LEFT_OUT));
    }
    let pid = filer::mounted("filer", "/mnt")?;
    let r = (|| {
        let f = File::open("/mnt/store", ORDWR)?;
        f.write_at(b"end", (1 << 20) - 3)?;
        let s = Segment::of_file(&f, Access::Write, 0, 1 << 20)?;
        (0..256).try_for_each(|n| s.write(n * PAGE, b"dirty"))?;
        // When there is no other memory it is had only by writing those pages.
        ends("", || fill("laundered", 100).map(drop))?;
        ends("out of memory", || fill("swap", u64::MAX >> 1).map(drop))?;
        let mut b = [0; 5];
        for n in 0..256 {
            s.read(n * PAGE, &mut b)?;
            check!(&b == b"dirty", "page {n} has {b:?}");
        }
        s.detach()
    })();
    imp::stop("filer", pid);
    r
}

/// One server takes no write. Its writer stands still; who writes to another server goes on.
fn burst() -> Result<()> {
    let pids = [filer::mounted("filer", "/mnt")?, filer::mounted("other", "/n")?];
    let r = (|| {
        let memory = String::from_utf8_lossy(&fs::read("#sys/memory")?).into_owned();
        let all = memory.lines().find_map(|l| l.strip_suffix(" bytes")?.parse::<usize>().ok()).unwrap_or(0);
        let len = (all / 8).next_multiple_of(PAGE) + (1 << 20);
        let f = File::open("/mnt/store", ORDWR)?;
        f.write_at(b"end", len as u64 - 3)?;
        filer::tell("/mnt", "hold")?;
        let writer = child(|| {
            let s = Segment::of_file(&File::open("/mnt/store", ORDWR)?, Access::Write, 0, len)?;
            (0..len / PAGE).try_for_each(|n| s.write(n * PAGE, &(n as u32).to_le_bytes()))?;
            s.detach()
        })?;
        for round in 0u32..10 {
            let f = File::open("/n/store", ORDWR)?;
            let s = Segment::of_file(&f, Access::Write, 0, 200_000)?;
            (0..48).try_for_each(|n| s.write(n * PAGE, &round.to_le_bytes()))?;
            f.sync()?;
            s.detach()?;
            let mut b = [0; 4];
            File::open("/n/raw", OREAD)?.read_at(&mut b, 40 * PAGE as u64)?;
            check!(b == round.to_le_bytes(), "round {round} is not at its server");
        }
        check!(fs::exists(format!("/proc/{writer}")), "who can't write has ended");
        filer::tell("/mnt", "open")?;
        let w = process::wait_for(writer)?.status;
        check!(w.is_empty(), "the writer says {w}");
        let mut b = [0; 4];
        File::open("/mnt/raw", OREAD)?.read_at(&mut b, 5000 * PAGE as u64 % (len as u64))?;
        Ok(())
    })();
    imp::stop("filer", pids[0]);
    imp::stop("other", pids[1]);
    r
}

/// A server that notes in another's file what it is asked to write, as a journal does: in memory that is attached.
fn journal() -> Result<()> {
    let other = filer::mounted("other", "/n")?;
    let pid = filer::mounted("filer", "/mnt")?;
    let r = (|| {
        filer::tell("/mnt", "journal /n/store")?;
        let f = File::open("/mnt/store", ORDWR)?;
        let s = Segment::of_file(&f, Access::Write, 0, 200_000)?;
        for round in 0u8..20 {
            (0..48).try_for_each(|n| s.write(n * PAGE, &[round, n as u8]))?;
            f.sync()?;
        }
        s.detach()?;
        filer::tell("/mnt", "journal")?;
        // The last page of the last write is the last in the journal.
        let mut b = [0; 2];
        for _ in 0..200 {
            File::open("/n/raw", OREAD)?.read_at(&mut b, 0)?;
            if b[0] == 19 {
                return Ok(());
            }
            let _ = time::sleep(Duration::from_millis(50));
        }
        Err(Error::new(&format!("the journal has {b:?}")))
    })();
    imp::stop("filer", pid);
    imp::stop("other", other);
    r
}

/// What a tortured run has evicted, for its log.
pub(super) fn log_evicted() {
    for name in ["evicted-text", "evicted-clean", "evicted-own", "laundered"] {
        if let Ok(n) = counter(name) {
            log(&format!("{name} {n}\n"));
        }
    }
}
