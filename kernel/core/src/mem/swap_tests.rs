//! Tests of swap: pages that come and go while they are written, forked, given, detached and wired, against a model.

use super::fault::Access;
use super::space::{PAGE64, Space, Use};
use super::swap::*;
use crate::fake;
use crate::machine::{self, Frame, Rights};
use crate::msg::{Fail, Result};
use abi::error::Error;
use std::cell::RefCell;
use std::collections::HashMap;

const BASE: u64 = 0x40_0000;
const PAGES: u64 = 40;

fn random(seed: &mut u64, n: u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed % n
}

/// The swap file: what each slot has.
type Disk = RefCell<HashMap<u64, u8>>;

fn slot_at(s: &Space, addr: u64) -> Option<Frame> {
    machine::lookup(s.root(), addr).map(|(f, _)| f).filter(|&f| is_slot(f))
}

/// As a touch does, from a disk of the test's.
fn bring_page(s: &Space, addr: u64, disk: &Disk) -> Result<()> {
    while let Some(slot) = slot_at(s, addr) {
        bring_by(s, addr, Hold::new(slot)?, |first, frames| {
            for (i, &frame) in frames.iter().enumerate() {
                machine::write_frame(frame, 0, &[disk.borrow()[&((first & 0xffff) + i as u64)]]);
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn get(s: &Space, addr: u64, disk: &Disk) -> u8 {
    bring_page(s, addr, disk).unwrap();
    let mut b = [0];
    s.read(addr, &mut b).unwrap();
    b[0]
}

fn set(s: &Space, addr: u64, byte: u8, disk: &Disk) {
    bring_page(s, addr, disk).unwrap();
    s.write(addr, &[byte]).unwrap();
}

/// One turn of the clock; the pages that `touch` writes meanwhile stay.
fn turn(
    s: &Space,
    cluster: &mut Cluster,
    disk: &Disk,
    works: bool,
    mut touch: impl FnMut(),
) -> Result<usize> {
    let (mut from, mut done) = (0, 0);
    loop {
        let next = s.sweep(from, cluster);
        done += cluster.write(s, |first, frames| {
            for (i, &frame) in frames.iter().enumerate() {
                let mut b = [0];
                machine::read_frame(frame, 0, &mut b);
                disk.borrow_mut().insert(first + i as u64, b[0]);
            }
            touch();
            if works { Ok(()) } else { Err(Error::Io.into()) }
        })?;
        match next {
            Some(at) => from = at,
            None => return Ok(done),
        }
    }
}

fn space() -> Space {
    let s = Space::new().unwrap();
    s.attach(BASE, PAGES * PAGE64, Rights::Write, Use::Data).unwrap();
    s
}

/// Memory, a swap file of so many slots, and room for what goes there.
fn begun(slots: usize) -> (fake::Memory, Disk, Cluster) {
    let m = fake::memory();
    set_slots(slots);
    let mut cluster = Cluster::new();
    cluster.make_room().unwrap();
    (m, Disk::default(), cluster)
}

#[test]
fn a_page_goes_when_it_has_rested_and_comes_back() {
    let (m, disk, mut cluster) = begun(64);
    let s = space();
    let empty = m.free();
    (0..PAGES).for_each(|p| set(&s, BASE + p * PAGE64, p as u8, &disk));
    assert_eq!(turn(&s, &mut cluster, &disk, true, || ()), Ok(0), "nothing goes at first sight");
    // Who is touched stays one turn longer.
    set(&s, BASE, 77, &disk);
    assert_eq!(turn(&s, &mut cluster, &disk, true, || ()), Ok(PAGES as usize - 1));
    assert!(m.free() >= empty - 1, "frames were kept");
    assert_eq!(s.resident(), PAGE64);
    assert_eq!(get(&s, BASE, &disk), 77);
    (1..PAGES).for_each(|p| assert_eq!(get(&s, BASE + p * PAGE64, &disk), p as u8));
    assert_eq!(crate::counters::SWAP.get(), 0, "slots were kept");
}

#[test]
fn a_write_that_fails_changes_nothing_and_a_full_file_is_told() {
    let (_m, disk, mut cluster) = begun(20);
    let s = space();
    (0..PAGES).for_each(|p| set(&s, BASE + p * PAGE64, p as u8, &disk));
    turn(&s, &mut cluster, &disk, true, || ()).unwrap();
    assert_eq!(turn(&s, &mut cluster, &disk, false, || ()), Err(Fail::Known(Error::Io)));
    assert_eq!((s.resident(), crate::counters::SWAP.get()), (PAGES * PAGE64, 0));
    assert_eq!(turn(&s, &mut cluster, &disk, true, || ()), Err(Fail::Known(Error::NoSpace)));
    assert_eq!(crate::counters::SWAP.get(), 20);
    (0..PAGES).for_each(|p| assert_eq!(get(&s, BASE + p * PAGE64, &disk), p as u8));
    drop(s);
    assert_eq!(crate::counters::SWAP.get(), 0);
}

/// What a call writes to its caller's page is the caller's, however often the hand comes by.
#[test]
fn a_lent_page_stays() {
    let (_m, disk, mut cluster) = begun(64);
    let s = space();
    set(&s, BASE, 1, &disk);
    let frame = s.hold(BASE, Access::Write).unwrap();
    (0..3).for_each(|_| assert_eq!(turn(&s, &mut cluster, &disk, true, || ()), Ok(0)));
    machine::write_frame(frame, 0, &[2]);
    super::frames::release(frame);
    (0..2).for_each(|_| _ = turn(&s, &mut cluster, &disk, true, || ()));
    assert_eq!(s.resident(), 0);
    assert_eq!(get(&s, BASE, &disk), 2);
}

/// A page that cannot be read stays where it is.
#[test]
fn a_read_that_fails_fails_the_touch_alone() {
    let (m, disk, mut cluster) = begun(64);
    let s = space();
    set(&s, BASE, 9, &disk);
    (0..2).for_each(|_| _ = turn(&s, &mut cluster, &disk, true, || ()));
    let free = m.free();
    // There is no file, and so nobody to read it.
    assert_eq!(s.fault(BASE, Access::Read), Err(Fail::Known(Error::Io)));
    assert_eq!(m.free(), free);
    assert_eq!(get(&s, BASE, &disk), 9);
}

/// Several generations of a space, in which everything happens at any time, also while pages are written.
#[test]
fn whatever_happens_meanwhile_no_byte_is_lost() {
    let (m, disk, mut cluster) = begun(120);
    let before = (m.free(), crate::counters::SWAP.get());
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let mut all = vec![(space(), vec![Some(0u8); PAGES as usize])];
    let mut out = 0;
    for step in 0..6000u32 {
        let at = random(&mut seed, all.len() as u64) as usize;
        let page = random(&mut seed, PAGES);
        let addr = BASE + page * PAGE64;
        let many = all.len();
        if step % 50 == 0 && many > 3 {
            drop(all.swap_remove(at));
            continue;
        }
        let (s, model) = &mut all[at];
        match random(&mut seed, 12) {
            0 if many < 6 => {
                let copy = (s.copy().unwrap(), model.clone());
                all.push(copy);
            }
            2 if model[page as usize].is_some() && step % 4 == 0 => {
                s.detach(addr, PAGE64).unwrap();
                model[page as usize] = None;
            }
            3 if model[page as usize].is_none() => {
                s.attach(addr, PAGE64, Rights::Write, Use::Segment).unwrap();
                model[page as usize] = Some(0);
            }
            // Given to another place, and back.
            4 if model[page as usize].is_some() => {
                bring_page(s, addr, &disk).unwrap();
                if let Ok(mut pages) = s.give(addr, 1) {
                    s.receive(addr, &mut pages, 1).unwrap();
                }
            }
            5 | 6 => {
                let works = random(&mut seed, 4) != 0;
                let write = (0..PAGES as usize).filter(|&p| model[p].is_some() && p % 7 == at % 7);
                let write: Vec<usize> = write.collect();
                let touch =
                    || write.iter().for_each(|&p| set(s, BASE + p as u64 * PAGE64, step as u8, &disk));
                let mut touched = false;
                let done = turn(s, &mut cluster, &disk, works, || {
                    touched = true;
                    touch();
                });
                out += done.unwrap_or(0);
                if touched {
                    write.iter().for_each(|&p| model[p] = Some(step as u8));
                }
            }
            _ if model[page as usize].is_some() => {
                set(s, addr, step as u8, &disk);
                model[page as usize] = Some(step as u8);
            }
            _ => {}
        }
        for (s, model) in &all {
            let page = random(&mut seed, PAGES);
            if let Some(byte) = model[page as usize] {
                assert_eq!(get(s, BASE + page * PAGE64, &disk), byte, "page {page} after step {step}");
            }
        }
    }
    assert!(out > 1000, "only {out} pages went");
    // A server's memory comes back whole, and stays.
    let (s, model) = &all[0];
    (0..PAGES).for_each(|p| _ = model[p as usize].map(|_| bring_page(s, BASE + p * PAGE64, &disk).unwrap()));
    s.wire().unwrap();
    for _ in 0..3 {
        assert_eq!(turn(s, &mut cluster, &disk, true, || ()), Ok(0));
    }
    drop(all);
    assert_eq!((m.free(), crate::counters::SWAP.get()), before);
}
