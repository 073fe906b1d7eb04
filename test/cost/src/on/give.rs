//! Pages handed over: written by one process, given by pipe, taken by another, which says so and then sums them.
//!
//! What counts is from the give to the other's word that it has them; a word of each page is written before and summed
//! after.
#![allow(unsafe_code, reason = "attaches and gives memory")]

use super::meter::Meter;
use super::{right, some};
use portolan::abi::file::RFFDG;
use portolan::alloc::string::String;
use portolan::{File, Result, fs, process, sys};

/// Where the segments lie: at a border of the largest table.
const AT: u64 = 0x20_0000_0000;
const PAGE: u64 = 4096;

pub(super) fn rows(meter: &Meter) -> Result<()> {
    row(meter, "give_4k", 4096, 0)?;
    row(meter, "give_2m", 2 << 20, 0)?;
    row(meter, "give_2m_incongruent", 2 << 20, PAGE)?;
    // On a machine that has so much.
    let free = String::from_utf8_lossy(&fs::read("#sys/memory")?).into_owned();
    let free: u64 = free.lines().find_map(|l| l.strip_suffix(" free")?.parse().ok()).unwrap_or(0);
    if free > 1_200 << 20 {
        row(meter, "give_1g", 1 << 30, 0)?;
    }
    Ok(())
}

fn word(at: u64) -> *mut u64 {
    at as *mut u64
}

fn sum(at: u64, len: u64) -> u64 {
    // SAFETY: the pages have just been taken into the caller's segment.
    (0..len / PAGE).map(|i| unsafe { word(at + i * PAGE).read_volatile() }).sum()
}

fn take(from: &File, at: u64, len: u64) -> Result<()> {
    let mut have = 0;
    while have < len {
        // SAFETY: nothing refers to the segment.
        let n = some(unsafe { sys::take(from.fd(), at + have, (len - have) as usize, -1) })?;
        right(n > 0, "the end of the pipe")?;
        have += n as u64;
    }
    Ok(())
}

fn row(meter: &Meter, name: &str, len: u64, skew: u64) -> Result<()> {
    if !meter.wants(name) {
        return Ok(());
    }
    let [near, far] = some(sys::pipe())?;
    let (near, far) = (File::from_fd(near), File::from_fd(far));
    let pid = process::fork(RFFDG)?;
    if pid == 0 {
        drop(near);
        match other(&far, len, skew) {
            Ok(()) => sys::exits(b""),
            Err(e) => sys::exits(e.words().as_bytes()),
        }
    }
    drop(far);
    right(sys::segattach(0, -1, 0, AT, len as usize) == Some(AT), "no segment")?;
    let mut round = 0;
    meter.span(name, || {
        round += 1;
        let mut spent = 0;
        for _ in 0..COUNT {
            let mut want = 0;
            for i in 0..len / PAGE {
                // SAFETY: the segment is attached, and its pages are there or may be made.
                unsafe { word(AT + i * PAGE).write_volatile(i + round) };
                want += i + round;
            }
            let mut byte = [0];
            spent += meter.time(|| {
                // SAFETY: nothing refers to the segment.
                some(unsafe { sys::give(near.fd(), AT, len as usize, -1) })?;
                right(near.read(&mut byte)? == 1, "no word from the other")
            })?;
            // Only now does the other sum: on one CPU it would be charged to the hand-over.
            near.write_all(b"g")?;
            let mut got = [0; 8];
            near.read_full(&mut got)?;
            right(u64::from_le_bytes(got) == want, "another sum")?;
            take(&near, AT, len)?;
        }
        Ok((spent, COUNT))
    })?;
    drop(near);
    // SAFETY: nothing refers to it any more.
    some(unsafe { sys::segdetach(AT, len as usize) })?;
    let ended = process::wait_for(pid)?;
    right(ended.status == "i/o on hungup channel" || ended.status == "the end of the pipe", &ended.status)
}

/// Hands over in one batch.
const COUNT: u64 = 4;

/// Takes, says so, sums, and gives back.
fn other(from: &File, len: u64, skew: u64) -> Result<()> {
    let at = AT + skew;
    right(sys::segattach(0, -1, 0, at, len as usize) == Some(at), "no segment")?;
    loop {
        take(from, at, len)?;
        from.write_all(b"x")?;
        from.read(&mut [0])?;
        from.write_all(&sum(at, len).to_le_bytes())?;
        // SAFETY: nothing refers to the segment.
        some(unsafe { sys::give(from.fd(), at, len as usize, -1) })?;
    }
}
