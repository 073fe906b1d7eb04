//! Giving and receiving against a model: who has which page with which contents, and what is gone.

use super::Pages;
use super::fault::Access;
use super::space::{Space, Use};
use crate::fake;
use crate::machine::Rights;
use crate::msg::Fail;
use abi::error::Error;
use abi::limit::PAGE;
use std::collections::BTreeMap;

const SIZE: u64 = PAGE as u64;
/// Both spaces have memory here, of three blocks of 2 MiB.
const BASE: u64 = 0x40_0000;
const COUNT: u64 = 3 * 512;

fn spaces() -> [Space; 2] {
    [0, 1].map(|_| {
        let s = Space::new().unwrap();
        s.attach(BASE, COUNT * SIZE, Rights::Write, Use::Segment).unwrap();
        s
    })
}

fn at(page: u64) -> u64 {
    BASE + page * SIZE
}

/// What a page is in the model: gone, or memory whose first word is this.
type Model = BTreeMap<u64, Option<u8>>;

fn same(space: &Space, model: &Model, page: u64, step: u32) {
    let mut b = [0];
    let got = space.read(at(page), &mut b).ok().map(|()| b[0]);
    let want = model.get(&page).copied().unwrap_or(Some(0));
    assert_eq!(got, want, "step {step}, page {page}");
}

/// Random gives and receipts of all lengths between two spaces, with writes, forks and detaching in between.
#[test]
fn pages_are_where_the_model_says_and_only_there() {
    let m = fake::memory();
    let before = m.free();
    let spaces = spaces();
    let mut model = [Model::new(), Model::new()];
    let mut way: Vec<(Pages, Vec<u8>)> = Vec::new();
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = |n: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % n
    };
    for step in 0..3000u32 {
        let who = random(2) as usize;
        let count = [1, 1 + random(20), 512, 600, 1024][random(5) as usize];
        let page = if random(2) == 0 { random(3) * 512 } else { random(COUNT) }.min(COUNT - count);
        match random(10) {
            0..4 => {
                spaces[who].write(at(page), &[step as u8]).is_ok().then(|| {
                    assert_ne!(model[who].get(&page), Some(&None), "a gone page was written");
                    model[who].insert(page, Some(step as u8))
                });
            }
            4..6 if way.len() < 3 => {
                let range = page..page + count;
                let contents: Vec<Option<u8>> =
                    range.clone().map(|p| model[who].get(&p).copied().unwrap_or(Some(0))).collect();
                let gave = spaces[who].give(at(page), count);
                match contents.into_iter().collect::<Option<Vec<u8>>>() {
                    None => assert_eq!(gave.err(), Some(Fail::Known(Error::BadAddress)), "gave what is gone"),
                    Some(bytes) => {
                        let pages = gave.unwrap();
                        assert_eq!(pages.count(), count);
                        model[who].extend(range.map(|p| (p, None)));
                        way.push((pages, bytes));
                    }
                }
            }
            6..8 => {
                let Some((mut pages, bytes)) = way.pop() else { continue };
                let to = page.min(COUNT - bytes.len() as u64);
                for (i, want) in bytes.iter().enumerate().step_by(97) {
                    let mut b = [0];
                    if let Some(f) = pages.frame(i as u64) {
                        crate::machine::read_frame(f, 0, &mut b);
                    }
                    assert_eq!(b[0], *want);
                }
                spaces[who].receive(at(to), &mut pages, bytes.len() as u64).unwrap();
                for (p, b) in (to..).zip(bytes) {
                    model[who].insert(p, Some(b));
                }
            }
            8 if step % 8 == 0 => {
                // What the child does to its copy changes nothing here.
                let child = spaces[who].copy().unwrap();
                same(&child, &model[who], page, step);
                let _ = child.write(at(page), b"x");
                drop(child.give(at(page), 1));
            }
            9 if step % 4 == 0 => {
                spaces[who].detach(at(page), count * SIZE).unwrap();
                assert!(spaces[who].read(at(page), &mut [0]).is_err());
                spaces[who].attach(at(page), count * SIZE, Rights::Write, Use::Segment).unwrap();
                model[who].extend((page..page + count).map(|p| (p, Some(0))));
            }
            _ => same(&spaces[who], &model[who], page, step),
        }
    }
    for (space, model) in spaces.iter().zip(&model) {
        (0..COUNT).for_each(|p| same(space, model, p, u32::MAX));
    }
    drop((spaces, way));
    assert_eq!(m.free(), before);
}

#[test]
fn what_is_not_the_givers_own_is_refused_and_stays() {
    let m = fake::memory();
    let before = m.free();
    let [s, other] = spaces();
    s.attach(0x10_0000, SIZE, Rights::Read, Use::Data).unwrap();
    s.attach(0x20_0000, SIZE, Rights::Exec, Use::Text).unwrap();
    s.attach(0x30_0000, SIZE, Rights::Write, Use::Activation).unwrap();
    let refused = |addr, count, with: Error| {
        assert_eq!(s.give(addr, count).err(), Some(Fail::Known(with)), "{addr:#x}, {count}");
    };
    for addr in [0x10_0000, 0x20_0000, 0x30_0000] {
        refused(addr, 1, Error::NotOwn);
    }
    refused(BASE + 1, 1, Error::BadArg);
    refused(BASE - SIZE, 2, Error::NoSegment);
    refused(at(COUNT - 1), 2, Error::NoSegment);
    refused(u64::MAX - SIZE + 1, 2, Error::BadAddress);
    s.write(at(COUNT - 600), b"here").unwrap();
    // A long one that fails at its end has given nothing.
    let held = s.hold(at(COUNT - 1), Access::Write).unwrap();
    refused(at(COUNT - 600), 600, Error::NotOwn);
    crate::mem::frames::release(held);
    let mut b = [0; 4];
    s.read(at(COUNT - 600), &mut b).unwrap();
    assert_eq!(&b, b"here");
    s.lending(true);
    refused(BASE, 1, Error::NotOwn);
    s.lending(false);
    let mut pages = s.give(BASE, 2).unwrap();
    assert!(other.receive(0x10_0000, &mut pages, 2).is_err(), "received where nothing is attached");
    other.wire().unwrap();
    other.receive(at(5), &mut pages, 1).unwrap();
    assert_eq!(other.give(at(5), 1).err(), Some(Fail::Known(Error::NotOwn)), "wired memory was given");
    s.wire().unwrap();
    assert!(s.read(BASE, &mut [0]).is_err(), "wiring made a page that is gone");
    drop((s, other, pages));
    assert_eq!(m.free(), before);
}

#[test]
fn without_memory_nothing_is_lost() {
    let m = fake::memory();
    let before = m.free();
    for have in 0..8 {
        let [s, _] = spaces();
        s.write(at(3), b"kept").unwrap();
        let rest = m.exhaust(have);
        let gave = s.give(BASE, 20);
        drop(rest);
        if gave.is_err() {
            let mut b = [0; 4];
            s.read(at(3), &mut b).unwrap();
            assert_eq!(&b, b"kept", "with {have} frames");
        }
    }
    assert_eq!(m.free(), before);
}
