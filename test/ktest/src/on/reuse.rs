//! Memory that one CPU detaches while another writes to it: what it was may be others' at once.
#![allow(unsafe_code, reason = "detaches memory by address")]

use super::check;
use super::fault::{stay_on, two_cpus};
use core::hint::black_box;
use core::sync::atomic::{AtomicU32, Ordering::SeqCst};
use portolan::abi::limit::PAGE;
use portolan::alloc::format;
use portolan::alloc::sync::Arc;
use portolan::{Error, Result, process, sys, thread};

pub(super) const TESTS: &[super::Test] = &[("t62_detached_memory_is_used_by_others_at_once", by_others)];

const ROUNDS: usize = 6;

/// New memory, at an address if it is not 0.
fn attach(at: u64) -> Result<u64> {
    sys::segattach(0, -1, 0, at, PAGE).ok_or_else(Error::last)
}

fn detach(at: u64) -> Result<()> {
    // SAFETY: nobody has a reference to it; who writes there by address ends.
    unsafe { sys::segdetach(at, PAGE) }.map(drop).ok_or_else(Error::last)
}

/// A thread writes to a page until that page is detached, which ends it. The page's frame goes to the next who wants one,
/// where nothing of it may arrive.
fn by_others() -> Result<()> {
    let two = two_cpus()?;
    if two {
        stay_on(process::id(), 0)?;
    }
    for round in 0..ROUNDS {
        let (target, place) = (attach(0)?, attach(0)?);
        let written = Arc::new(AtomicU32::new(0));
        let told = written.clone();
        let writer = thread::spawn(move || {
            loop {
                for at in (0..PAGE).step_by(64) {
                    // SAFETY: it is the test's memory, and when that is gone the thread ends.
                    unsafe { (target as *mut u8).add(at).write_volatile(0xaa) };
                }
                told.fetch_add(1, SeqCst);
            }
        })?;
        if two {
            stay_on(writer.id(), 1)?;
        }
        let before = written.load(SeqCst);
        while written.load(SeqCst).wrapping_sub(before) < 100 {
            let _ = sys::sleep(1);
        }
        detach(target)?;
        // SAFETY: it is attached, and this thread's alone.
        let byte = |at: usize| unsafe { (place as *mut u8).add(at).read_volatile() };
        let sum = || (0..PAGE).step_by(64).map(|at| u64::from(byte(at))).sum::<u64>();
        let strange = (0..400).any(|_| black_box(sum()) != 0);
        // It has ended, but for the fault that this is about.
        let _ = portolan::fs::write(format!("#proc/{}/note", writer.id()), "kill");
        check!(writer.join().is_err(), "round {round}: it writes where nothing is");
        check!(!strange, "round {round}: another's memory has what was written to detached memory");
        detach(place)?;
    }
    Ok(())
}
