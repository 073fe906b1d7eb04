//! Files as memory, from ramfs, which shares its pages: faults, attachments, pages taken; and copies after a fork.
//!
//! A file of [`PAGES`] pages is attached and a word of each page read. What is here already is kept so by another
//! attachment; without one the kernel lets go of pages that are its server's, so each round brings them anew.
#![allow(unsafe_code, reason = "attaches and touches memory")]

use super::meter::Meter;
use super::{PAGES, right, some};
use portolan::abi::file::{ORDWR, OREAD, RFFDG};
use portolan::{File, Result, fs, process, sys};

const PAGE: usize = 4096;
const LEN: usize = PAGES * PAGE;
/// Where it is attached: where a table of pages begins, and a page behind that.
const CONGRUENT: u64 = 0x20_0000_0000;
const INCONGRUENT: u64 = CONGRUENT + PAGE as u64;
/// Pages that are read in, and mapped, together.
const AROUND: usize = 16;
const NAME: &str = "/tmp/cost-file";

pub(super) fn rows(meter: &Meter) -> Result<()> {
    let rows = ["take1m", "fault_server", "fault_shared_page", "map_shared", "map_shared_incongruent", "cow"];
    if !rows.iter().any(|r| meter.wants(r)) {
        return Ok(());
    }
    let file = File::create(NAME, ORDWR.into(), 0o600)?;
    let mut page = [0; PAGE];
    for i in 0..PAGES {
        page[..8].copy_from_slice(&word(i).to_le_bytes());
        file.write_all(&page)?;
    }
    drop(file);
    let file = File::open(NAME, OREAD)?;
    meter.span("fault_server", || attached(&file, INCONGRUENT, |at| touch(meter, at, 1)))?;
    let held = attach(&file, CONGRUENT + (1 << 30))?;
    right(sum(held, 1) == sums(1), "another file")?;
    meter.span("fault_shared_page", || attached(&file, INCONGRUENT, |at| touch(meter, at, AROUND)))?;
    for (name, at) in [("map_shared", CONGRUENT), ("map_shared_incongruent", INCONGRUENT)] {
        meter.span(name, || {
            let mut all = 0;
            // What attaching and detaching cost is in it.
            let spent = meter.time(|| {
                attached(&file, at, |at| {
                    all = sum(at, 1);
                    Ok(())
                })
            })?;
            right(all == sums(1), "another file")?;
            Ok((spent, PAGES as u64))
        })?;
    }
    take(meter, &file)?;
    detach(held)?;
    drop(file);
    fs::remove(NAME)?;
    cow(meter)
}

/// The word with which a page of the file begins.
fn word(page: usize) -> u64 {
    page as u64 ^ 0x55aa
}

fn sums(step: usize) -> u64 {
    (0..PAGES).step_by(step).map(word).sum()
}

fn sum(at: u64, step: usize) -> u64 {
    // SAFETY: so many pages are attached there for as long as this runs.
    (0..PAGES)
        .step_by(step)
        .map(|i| unsafe { ((at as usize + i * PAGE) as *const u64).read_volatile() })
        .sum()
}

fn attach(file: &File, at: u64) -> Result<u64> {
    some(sys::segattach(0, file.fd(), 0, at, LEN))
}

fn detach(at: u64) -> Result<()> {
    // SAFETY: nothing refers to it.
    some(unsafe { sys::segdetach(at, LEN) })
}

fn attached<T>(file: &File, at: u64, work: impl FnOnce(u64) -> Result<T>) -> Result<T> {
    let at = attach(file, at)?;
    let done = work(at)?;
    detach(at)?;
    Ok(done)
}

/// Reads a word of every so many pages: what that took, and how many they were.
fn touch(meter: &Meter, at: u64, step: usize) -> Result<(u64, u64)> {
    let mut all = 0;
    let spent = meter.time(|| {
        all = sum(at, step);
        Ok(())
    })?;
    right(all == sums(step), "another file")?;
    Ok((spent, (PAGES / step) as u64))
}

/// A MiB is taken, not touched.
fn take(meter: &Meter, file: &File) -> Result<()> {
    const MIB: usize = 1 << 20;
    meter.span("take1m", || {
        let at = some(sys::segattach(0, -1, 0, CONGRUENT, MIB))?;
        let spent = meter.time(|| {
            // SAFETY: nothing refers to the segment.
            let n = some(unsafe { sys::take(file.fd(), at, MIB, 0) })?;
            right(n == MIB, "less than a MiB")
        })?;
        // SAFETY: it is attached.
        let last = unsafe { ((at as usize + MIB - PAGE) as *const u64).read_volatile() };
        right(last == word(MIB / PAGE - 1), "another page")?;
        // SAFETY: nothing refers to it.
        some(unsafe { sys::segdetach(at, MIB) })?;
        Ok((spent, 1))
    })
}

/// The first write to a page that a child shares.
fn cow(meter: &Meter) -> Result<()> {
    meter.span("cow", || {
        let at = some(sys::segattach(0, -1, 0, CONGRUENT, LEN))?;
        // SAFETY: so many pages are attached, and nobody else knows them.
        let put =
            |i: usize, value: u64| unsafe { ((at as usize + i * PAGE) as *mut u64).write_volatile(value) };
        (0..PAGES).for_each(|i| put(i, word(i)));
        let [near, far] = some(sys::pipe())?;
        let pid = process::fork(RFFDG)?;
        if pid == 0 {
            let _ = sys::close(near);
            let _ = sys::pread(far, &mut [0], -1);
            sys::exits(if sum(at, 1) == sums(1) { b"" } else { b"it sees what its parent writes" });
        }
        let spent = meter.time(|| {
            (0..PAGES).for_each(|i| put(i, 0));
            Ok(())
        })?;
        some(sys::close(near))?;
        some(sys::close(far))?;
        let ended = process::wait_for(pid)?.status;
        right(ended.is_empty(), &ended)?;
        detach(at)?;
        Ok((spent, PAGES as u64))
    })
}
