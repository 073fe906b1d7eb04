//! What the short paths cost: a line `bench NAME COUNT` each in the log, in ticks of the time-stamp counter.
//!
//! Started by QEMU with `-icount shift=0,sleep=off` and one CPU the counter counts instructions, user and kernel
//! together, and the figures repeat; otherwise they are time, and say little. These tests fail only if a call does.
#![allow(unsafe_code, reason = "reads the time-stamp counter")]

use super::{Test, imp, log};
use portolan::abi::file::OREAD;
use portolan::abi::sys::Sys;
use portolan::alloc::format;
use portolan::{Error, File, Result, sys};

pub(super) const TESTS: &[Test] = &[("t90_bench_calls", calls)];

/// Calls in one batch, and how many batches; the cheapest counts.
const BATCH: u64 = 500;
const BATCHES: usize = 5;

fn ticks() -> u64 {
    // SAFETY: every x86-64 has the counter, and the kernel lets programs read it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

fn measure(name: &str, mut call: impl FnMut() -> Result<()>) -> Result<()> {
    let mut best = u64::MAX;
    for _ in 0..BATCHES {
        let start = ticks();
        for _ in 0..BATCH {
            call()?;
        }
        best = best.min((ticks() - start) / BATCH);
    }
    log(&format!("bench {name} {best}\n"));
    Ok(())
}

fn some<T>(r: Option<T>) -> Result<()> {
    r.map(drop).ok_or_else(Error::last)
}

fn calls() -> Result<()> {
    // SAFETY: the call takes a number and gives one.
    measure("null_syscall", || some(Some(unsafe { sys::call(Sys::Clock, [3, 0, 0, 0, 0, 0]) })))?;
    let pid = imp::mounted("imp", "/mnt", 4)?;
    let null = File::open("/mnt/null", OREAD)?;
    measure("portal_null", || some(sys::pread(null.fd(), &mut [], 0)))?;
    let data = File::open("/mnt/data", OREAD)?;
    measure("read1_server", || some(sys::pread(data.fd(), &mut [0], 0)))?;
    let mut page = [0; 4096];
    measure("read4k_server", || some(sys::pread(data.fd(), &mut page, 0)))?;
    measure("open_close", || {
        let fd = sys::open(b"/mnt/null", OREAD).ok_or_else(Error::last)?;
        some(sys::close(fd))
    })?;
    measure("open_close_tree", || {
        let fd = sys::open(b"/dev/time", OREAD).ok_or_else(Error::last)?;
        some(sys::close(fd))
    })?;
    drop((null, data));
    imp::stop("imp", pid);
    Ok(())
}
