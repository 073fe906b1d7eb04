//! Tests of spaces: a model, exhaustion, addresses that are none.

use super::fault::Access;
use super::space::*;
use crate::fake;
use crate::machine::Rights;
use crate::mem::frames;
use crate::msg::{Fail, Result};
use abi::error::Error;
use abi::limit::USER_END;
use std::collections::BTreeMap;

const BASE: u64 = 0x40_0000;

#[test]
fn memory_is_zero_when_first_touched_and_comes_back() {
    let m = fake::memory();
    let before = m.free();
    let s = Space::new().unwrap();
    let at = s.attach(BASE, 10 * PAGE64, Rights::Write, Use::Data).unwrap();
    assert_eq!(s.resident(), 0);
    let mut b = [1; 3];
    s.read(at + PAGE64 - 1, &mut b).unwrap();
    assert_eq!((b, s.resident()), ([0; 3], 2 * PAGE64));
    s.write(at + PAGE64 - 1, b"abc").unwrap();
    s.read(at + PAGE64 - 1, &mut b).unwrap();
    assert_eq!(&b, b"abc");
    assert_eq!(s.read(at + 10 * PAGE64 - 1, &mut b), Err(Fail::Known(Error::BadAddress)));
    drop(s);
    assert_eq!(m.free(), before);
}

/// Random attaching, detaching, writing and copying against a map of bytes.
#[test]
fn a_space_is_what_a_simple_model_says() {
    let m = fake::memory();
    let before = m.free();
    let mut s = Space::new().unwrap();
    // Page → (rights, first byte).
    let mut model: BTreeMap<u64, (Rights, u8)> = BTreeMap::new();
    let mut seed = 0x2545_f491_4f6c_dd1du64;
    let mut random = |n: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % n
    };
    for step in 0..6000u32 {
        let (page, n) = (random(64), 1 + random(8));
        let at = |p: u64| BASE + p * PAGE64;
        match random(8) {
            0 | 1 => {
                let rights = if random(3) == 0 { Rights::Read } else { Rights::Write };
                let free = (page..page + n).all(|p| !model.contains_key(&p));
                let r = s.attach(at(page), n * PAGE64 - random(PAGE64), rights, Use::Segment);
                assert_eq!(r.is_ok(), free);
                if free {
                    (page..page + n).for_each(|p| assert!(model.insert(p, (rights, 0)).is_none()));
                }
            }
            2 => {
                let r = s.detach(at(page), n * PAGE64);
                let ends = model.contains_key(&page) && model.contains_key(&(page + n - 1));
                assert_eq!(r.is_ok(), ends);
                if ends {
                    model.retain(|p, _| !(page..page + n).contains(p));
                }
            }
            3 if step % 16 == 0 => s = s.copy().unwrap(),
            4 if step % 512 == 0 => s.wire().unwrap(),
            5 | 6 => {
                let byte = step as u8;
                let ok = matches!(model.get(&page), Some((Rights::Write, _)));
                assert_eq!(s.write(at(page), &[byte]).is_ok(), ok);
                if ok {
                    model.insert(page, (Rights::Write, byte));
                }
            }
            _ => {
                let mut b = [0];
                let r = s.read(at(page), &mut b);
                assert_eq!(r.ok().map(|()| b[0]), model.get(&page).map(|&(_, b)| b));
            }
        }
    }
    drop(s);
    assert_eq!(m.free(), before);
}

#[test]
fn the_heap_grows_shrinks_and_stops_at_its_neighbour() {
    let m = fake::memory();
    let before = m.free();
    let s = Space::new().unwrap();
    s.set_heap(BASE);
    assert_eq!(s.brk(0), Ok(BASE));
    assert_eq!(s.brk(BASE + 1), Ok(BASE + PAGE64));
    s.write(BASE, b"x").unwrap();
    s.attach(BASE + 4 * PAGE64, 1, Rights::Write, Use::Segment).unwrap();
    assert_eq!(s.brk(BASE + 4 * PAGE64), Ok(BASE + 4 * PAGE64));
    assert_eq!(s.brk(BASE + 4 * PAGE64 + 1), Err(Fail::Known(Error::Overlap)));
    assert_eq!(s.brk(BASE - 1), Err(Fail::Known(Error::BadArg)));
    assert_eq!(s.brk(u64::MAX), Err(Fail::Known(Error::BadArg)));
    assert_eq!(s.brk(BASE), Ok(BASE));
    assert!(s.read(BASE, &mut [0]).is_err());
    s.brk(BASE + PAGE64).unwrap();
    let mut b = [1];
    s.read(BASE, &mut b).unwrap();
    assert_eq!(b, [0], "the heap came back with its old bytes");
    drop(s);
    assert_eq!(m.free(), before);
}

#[test]
fn a_wired_space_has_its_pages_at_once() {
    let _m = fake::memory();
    let s = Space::new().unwrap();
    s.attach(BASE, 3 * PAGE64, Rights::Write, Use::Data).unwrap();
    s.wire().unwrap();
    assert_eq!(s.resident(), 3 * PAGE64);
    s.attach(0, 2 * PAGE64, Rights::Write, Use::Segment).unwrap();
    s.set_heap(BASE + 0x10_0000);
    s.brk(BASE + 0x10_0000 + PAGE64).unwrap();
    assert_eq!(s.resident(), 6 * PAGE64);
}

#[test]
fn without_memory_everything_fails_and_nothing_leaks() {
    let m = fake::memory();
    let before = m.free();
    for have in 0..12 {
        let rest = m.exhaust(have);
        let try_all = || -> Result<()> {
            let s = Space::new()?;
            s.attach(BASE, 4 * PAGE64, Rights::Write, Use::Data)?;
            s.wire()?;
            s.attach(0, 2 * PAGE64, Rights::Write, Use::Segment)?;
            s.copy().map(drop)
        };
        assert_eq!(try_all(), Err(Fail::Known(Error::NoMemory)), "with {have} frames");
        assert_eq!(m.free(), have);
        drop(rest);
    }
    assert_eq!(m.free(), before);
}

#[test]
fn addresses_that_are_none_are_refused() {
    let _m = fake::memory();
    let s = Space::new().unwrap();
    for (addr, len) in [
        (1, 1),
        (BASE, 0),
        (BASE, u64::MAX),
        (BASE, u64::MAX - BASE),
        (USER_END - PAGE64, 1),
        (USER_END, 1),
        (!0 << 12, 1),
        (0, USER_END),
    ] {
        assert!(s.attach(addr, len, Rights::Write, Use::Segment).is_err(), "{addr:#x} {len:#x}");
        assert!(s.detach(addr, len).is_err(), "{addr:#x} {len:#x}");
    }
    for addr in [0, USER_END, u64::MAX, 1 << 63] {
        assert!(s.fault(addr, Access::Read).is_err());
        assert!(s.write(addr, b"x").is_err());
    }
}

/// Three generations of forks, each written at random: none sees what another writes, and pages that nobody wrote
/// exist once.
#[test]
fn after_a_fork_each_has_its_own_memory() {
    const PAGES: u64 = 16;
    let m = fake::memory();
    let before = m.free();
    let first = Space::new().unwrap();
    first.attach(BASE, PAGES * PAGE64, Rights::Write, Use::Data).unwrap();
    (0..PAGES).for_each(|p| first.write(BASE + p * PAGE64, &[p as u8]).unwrap());
    let used = m.free();
    let copy = first.copy().unwrap();
    assert_eq!(used - m.free(), 1, "a fork copied pages");
    drop(copy);
    let mut all = vec![(first, (0..PAGES as u8).collect::<Vec<u8>>())];
    let mut seed = 0x2545_f491_4f6c_dd1du64;
    let mut random = |n: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed as usize % n
    };
    for step in 0..4000 {
        let at = random(all.len());
        match random(8) {
            0 if all.len() < 6 => {
                let copy = (all[at].0.copy().unwrap(), all[at].1.clone());
                all.push(copy);
            }
            1 if all.len() > 1 => drop(all.swap_remove(at)),
            2 if step % 64 == 0 => all[at].0.wire().unwrap(),
            _ => {
                let page = random(PAGES as usize);
                all[at].0.write(BASE + page as u64 * PAGE64, &[step as u8]).unwrap();
                all[at].1[page] = step as u8;
            }
        }
        for (space, model) in &all {
            let page = random(PAGES as usize);
            let mut b = [0];
            space.read(BASE + page as u64 * PAGE64, &mut b).unwrap();
            assert_eq!(b[0], model[page], "step {step}");
        }
    }
    drop(all);
    assert_eq!(m.free(), before);
}

/// What a call has borrowed to write to stays the lender's at a fork: what is written later is the lender's too.
#[test]
fn a_lent_page_stays_with_its_lender_at_a_fork() {
    let m = fake::memory();
    let before = m.free();
    let parent = Space::new().unwrap();
    parent.attach(BASE, 2 * PAGE64, Rights::Write, Use::Data).unwrap();
    parent.write(BASE, b"old").unwrap();
    let frame = parent.hold(BASE, Access::Write).unwrap();
    let child = parent.copy().unwrap();
    crate::machine::write_frame(frame, 0, b"new");
    let mut b = [0; 3];
    child.read(BASE, &mut b).unwrap();
    assert_eq!(&b, b"old", "the child sees what its parent's call reads");
    parent.write(BASE + PAGE64 - 1, b"xy").unwrap();
    parent.read(BASE, &mut b).unwrap();
    assert_eq!(&b, b"new", "the parent lost what its call has read");
    drop(parent);
    drop(child);
    assert_eq!(m.free(), before - 1, "a frame was freed while it was lent");
    frames::release(frame);
    assert_eq!(m.free(), before);
}

/// Who names no address gets the lowest place, whatever was attached and detached before.
#[test]
fn the_lowest_hole_is_found_and_has_a_page_on_either_side() {
    let _m = fake::memory();
    let s = Space::new().unwrap();
    let first = s.attach(0, PAGE64, Rights::Read, Use::Segment).unwrap();
    assert!(s.detach(first, PAGE64).is_ok());
    let mut taken: BTreeMap<u64, u64> = BTreeMap::new();
    let mut seed = 0x2545_f491_4f6c_dd1du64;
    let mut random = |n: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % n
    };
    for step in 0..2000 {
        let len = (1 + random(5)) * PAGE64;
        match random(5) {
            0..3 => {
                let mut want = first;
                for (&start, &end) in &taken {
                    if start >= want && start - want >= len {
                        break;
                    }
                    want = want.max(end + PAGE64);
                }
                assert_eq!(s.attach(0, len, Rights::Read, Use::Segment), Ok(want), "step {step}");
                taken.insert(want, want + len);
            }
            3 => {
                // Anywhere, so that a place may be without its free page, and one be cut in two.
                let start = first + random(600) * PAGE64;
                let free = taken.iter().all(|(&a, &b)| b <= start || start + len <= a);
                assert_eq!(s.attach(start, len, Rights::Read, Use::Segment).is_ok(), free, "step {step}");
                if free {
                    taken.insert(start, start + len);
                }
            }
            _ => {
                let some = taken.iter().nth(random(1 + taken.len() as u64) as usize);
                let Some((&start, &end)) = some else { continue };
                let (from, to) = (start + random(2) * PAGE64, end - random(2) * PAGE64);
                if from < to {
                    s.detach(from, to - from).unwrap();
                    taken.remove(&start);
                    taken.extend([(start, from), (to, end)].into_iter().filter(|(a, b)| a < b));
                }
            }
        }
    }
}
