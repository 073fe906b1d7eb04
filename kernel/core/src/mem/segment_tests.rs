//! A model of segments in spaces: whatever is attached, touched, written back and evicted in whatever order, a space reaches
//! what its attachments say and nothing else.

use super::*;
use crate::fake;
use crate::mem::frames::For;
use crate::mem::space::{END, Space, Use};

/// Where files are attached: two tables of pages.
const BASE: u64 = 0x4000_0000;
const PLACES: u64 = 2 * LEAF;
/// Pages of the file at first: one table, and some of the next.
const PAGES: u64 = LEAF + 20;

fn segment() -> Ref<Segment> {
    let inner = Inner {
        users: 1,
        vers: 1,
        length: PAGES * PAGE64,
        pages: Pages::new(),
        maps: List::new(),
        reader: None,
        writer: None,
        waiters: Waiters::new(),
        hand: 0,
        pooled: 0,
        shares: false,
    };
    let name = || Bytes::new(b"file").unwrap();
    Ref::new(Segment { server: 0, who: name(), session: 1, path: 1, name: name(), inner: Spin::new(inner) })
        .unwrap()
}

fn address(place: u64) -> u64 {
    BASE + place * PAGE64
}

/// Attaches as `attach_file` does, but for the open file.
fn attach(space: &Space, user: &User, place: u64, first: u64, count: u64, rights: Rights) -> bool {
    let mut state = space.state.lock();
    let at = (address(place), count * PAGE64);
    let Ok((start, end)) = space.insert(&mut state, at, rights, Use::Segment, Some((user.again(), first)))
    else {
        return false;
    };
    user.segment().attach_again(Map { root: space.root(), start, end, first, rights, wired: false }).is_ok()
}

/// What the server would do for a page that is touched and absent.
fn fetch(segment: &Segment, page: u64) {
    let mut inner = segment.inner.lock();
    if inner.pages.get(page).0 == State::Absent {
        inner.pages.reserve(page).unwrap();
        inner.pages.event(page, Event::Fetch, Frame(0));
        inner.pages.event(page, Event::Fetched, frames::zeroed(For::Program).unwrap());
    }
}

/// Touches a place: may it be?
fn touch(space: &Space, segment: &Segment, place: u64, access: Access) -> bool {
    let page = space
        .state
        .lock()
        .at(address(place))
        .and_then(|a| Some(a.map(space.root(), false)?.1.page(address(place))));
    let length = segment.length().div_ceil(PAGE64);
    page.filter(|&p| p < length).into_iter().for_each(|p| fetch(segment, p));
    space.fault_here(address(place), access).is_ok()
}

/// Everything that a space reaches is what one of its attachments says.
fn check(space: &Space, segment: &Segment) {
    let state = space.state.lock();
    let inner = segment.inner.lock();
    let pages = (0..PLACES + LEAF).map(|p| inner.pages.get(p));
    let own: std::collections::HashSet<u64> = pages.filter(|p| p.0.here()).map(|p| p.1.0).collect();
    let mut at = 0;
    while let Some((addr, ..)) = machine::next_mapped(space.root(), at, END) {
        at = addr + PAGE64;
        let Some((frame, rights)) = machine::lookup(space.root(), addr) else {
            panic!("{addr:#x} has no page")
        };
        let a = state.at(addr).unwrap_or_else(|| panic!("{addr:#x} can be reached"));
        let Some((_, map)) = a.map(space.root(), false) else {
            assert!(!own.contains(&frame.0), "memory of its own is the file's at {addr:#x}");
            continue;
        };
        let (is, has) = inner.pages.get(map.page(addr));
        assert!(is.here() && has == frame, "{is:?} at {addr:#x}");
        assert!(rights == a.rights || (rights, a.rights) == (Rights::Read, Rights::Write), "{rights:?}");
        assert!(rights != Rights::Write || is.writable(), "{is:?} can be written at {addr:#x}");
    }
}

#[test]
fn spaces_reach_what_they_have_attached() {
    let m = fake::memory();
    let before = m.free();
    let mut seed = 0x2545_f491_4f6c_dd1du64;
    let mut random = |n: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % n
    };
    let (mut linked, mut own) = (0, 0);
    for _ in 0..12 {
        let user = User(segment());
        let segment = user.segment();
        let mut spaces = [Space::new().unwrap(), Space::new().unwrap(), Space::new().unwrap()];
        for _ in 0..300 {
            let which = random(3) as usize;
            let s = &spaces[which];
            // Places about where tables and the file end.
            let place = [0, LEAF - 5, LEAF, LEAF + 15, LEAF + 30][random(5) as usize] + random(8);
            let page = random(PAGES + 20);
            match random(16) {
                0..3 => {
                    let rights = [Rights::Read, Rights::Write, Rights::Exec][random(3) as usize];
                    let (place, first) =
                        [(0, 0), (1, 1), (0, 1), (LEAF, LEAF), (0, LEAF), (LEAF, 0)][random(6) as usize];
                    let end =
                        segment.length().div_ceil(PAGE64) - if random(4) == 0 { 1 + random(3) } else { 0 };
                    attach(s, &user, place, first, (end - first).min(PLACES - place), rights);
                }
                3 => _ = s.attach(address(place), PAGE64, Rights::Write, Use::Data),
                4 => _ = s.detach(address(place), (1 + random(9)) * PAGE64),
                5 if random(4) == 0 => _ = s.detach(address(0), PLACES * PAGE64),
                5 if random(4) == 0 => spaces[which] = s.copy().unwrap(),
                6 => _ = segment.inner.lock().evict(8, [Choice::Untouched, Choice::All][random(2) as usize]),
                7 => segment.inner.lock().changed(page, page + 30),
                8 => {
                    let old = segment.length().div_ceil(PAGE64);
                    let length = if random(2) == 0 { old - 1 } else { old + 4 };
                    segment.inner.lock().set_length(length * PAGE64);
                    // Another program touches what is new.
                    (old..length).for_each(|p| fetch(segment, p));
                    (old..length).for_each(|p| _ = segment.inner.lock().pages.show(p, p + 1));
                }
                9 => {
                    // As a flush does.
                    let mut inner = segment.inner.lock();
                    if let Some((p, _, frame)) = inner.pages.next(page, |s| s == State::Dirty) {
                        inner.event(p, Event::Launder, frame);
                        inner.unmap(p);
                    }
                }
                10 => {
                    let mut inner = segment.inner.lock();
                    let writing = |s| matches!(s, State::Writing | State::WritingDirty);
                    if let Some((p, _, frame)) = inner.pages.next(0, writing) {
                        inner.event(p, [Event::Laundered, Event::NotLaundered][random(2) as usize], frame);
                    }
                }
                n => {
                    let access = [Access::Read, Access::Read, Access::Write, Access::Exec][n as usize % 4];
                    let attachment = s
                        .state
                        .lock()
                        .at(address(place))
                        .map(|a| (a.rights, a.map(s.root(), false).map(|m| m.1)));
                    let may = attachment.is_some_and(|(rights, _)| match access {
                        Access::Read => true,
                        Access::Write => rights == Rights::Write,
                        Access::Exec => rights == Rights::Exec,
                    });
                    let page = attachment.and_then(|a| a.1).map(|map| map.page(address(place)));
                    let there = page.is_none_or(|p| p < segment.length().div_ceil(PAGE64));
                    let got = touch(s, segment, place, access);
                    assert_eq!(got, may && there, "{access:?} of place {place}");
                    if got {
                        match machine::unmap(s.root(), address(place)) {
                            None => linked += 1,
                            Some((frame, rights)) => {
                                machine::map(s.root(), address(place), frame, rights);
                                own += 1;
                            }
                        }
                    }
                }
            }
            spaces.iter().for_each(|s| check(s, segment));
        }
        spaces.into_iter().for_each(drop);
        assert_eq!(segment.inner.lock().maps.len(), 0);
        // What is dirty is nobody's any more.
        drop(user);
    }
    assert!(linked > 30 && own > 30, "{linked} touches of linked tables and {own} of others");
    assert_eq!(m.free(), before);
}
