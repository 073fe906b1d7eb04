//! [`Pages`]: the pages of a segment by number, each a state and a frame.
//!
//! Leaves of 512 entries, each a frame of memory, in order of the page that they begin with: a file may be as large and as
//! sparse as it likes, and costs what is here of it.
//!
//! A leaf is a table of pages as the machine's: spaces link it. An entry has its state as its note. A page that is here is
//! *shown* when a program touches it, with the right to write if its state has it: then who links the leaf has it too, and
//! who does not can be given a copy of the entry.

use super::frames::{self, For};
use super::shootdown;
use super::state::{Event, State};
use crate::base::List;
use crate::machine::{self, Frame, Rights, SHOWN};
use crate::msg::Result;
use abi::limit::PAGE;

/// Pages of a leaf.
pub(super) const LEAF: u64 = PAGE as u64 / 8;

#[derive(Debug)]
struct Leaf {
    /// Number of its first page, divided by [`LEAF`].
    number: u64,
    table: Frame,
    /// Entries that are not those of an absent page.
    used: u64,
}

/// The pages of a segment.
#[derive(Debug, Default)]
pub struct Pages {
    leaves: List<Leaf>,
    /// How many are in each state.
    counts: [usize; State::ALL.len()],
}

/// What an entry says: state, frame, and whether it is shown.
type Entry = (State, Frame, bool);

impl Leaf {
    // Inlined: every read of a file that is here, and every fault, comes along; two calls cost 30 instructions a page.
    #[inline(always)]
    fn get(&self, page: u64) -> Entry {
        let (frame, note) = machine::page_entry(self.table, page % LEAF);
        (State::of(u64::from(note % SHOWN)), frame, note & SHOWN != 0)
    }

    fn set(&self, page: u64, (state, frame, shown): Entry) {
        let rights = match shown {
            true if state.writable() => Rights::Write,
            true => Rights::Exec,
            false => Rights::Out,
        };
        machine::set_page_entry(self.table, page % LEAF, frame, state as u8, rights);
    }
}

impl Pages {
    /// None.
    pub const fn new() -> Pages {
        Pages { leaves: List::new(), counts: [0; State::ALL.len()] }
    }

    fn find(&self, page: u64) -> core::result::Result<usize, usize> {
        let number = page / LEAF;
        let at = self.leaves.partition_point(|l| l.number < number);
        if self.leaves.get(at).is_some_and(|l| l.number == number) { Ok(at) } else { Err(at) }
    }

    #[inline(always)]
    fn leaf(&self, page: u64) -> Option<&Leaf> {
        self.leaves.get(self.find(page).ok()?)
    }

    /// A page's state, and the frame if there is one.
    #[inline]
    pub fn get(&self, page: u64) -> (State, Frame) {
        let (state, frame, _) = self.leaf(page).map_or((State::Absent, Frame(0), false), |l| l.get(page));
        (state, frame)
    }

    /// Finds rows of frames, each the first and how many, that have pages from one on, up to so many. After what is not here
    /// there is none; the next is of length 0.
    pub fn rows(&self, page: u64, most: u64, rows: &mut [(Frame, u64)]) {
        let (mut at, mut left) = (page, most);
        for row in rows {
            let Some(leaf) = self.leaf(at) else { return };
            let index = at % LEAF;
            *row = machine::page_row(leaf.table, index, left.min(LEAF.wrapping_sub(index)), State::HERE);
            at = at.wrapping_add(row.1);
            left = left.wrapping_sub(row.1);
            if row.1 == 0 || left == 0 {
                return;
            }
        }
    }

    /// Shows those that are here of the pages from one up to another, of one leaf: its table, and where in it they begin.
    pub fn show(&mut self, from: u64, to: u64) -> Option<(Frame, u64)> {
        let leaf = self.leaf(from)?;
        for page in from..to {
            let (state, frame, shown) = leaf.get(page);
            if !shown && state.here() {
                leaf.set(page, (state, frame, true));
            }
        }
        Some((leaf.table, from % LEAF))
    }

    /// Hides a page until it is shown again: was it shown?
    pub fn hide(&mut self, page: u64) -> bool {
        let found = self.leaf(page).map(|l| (l, l.get(page)));
        let Some((leaf, (state, frame, true))) = found else { return false };
        leaf.set(page, (state, frame, false));
        true
    }

    /// Makes room for a page and the others of its leaf, so that no event on it is lost.
    pub fn reserve(&mut self, page: u64) -> Result<()> {
        let Err(at) = self.find(page) else { return Ok(()) };
        let table = frames::zeroed(For::Kernel)?;
        let leaf = Leaf { number: page / LEAF, table, used: 0 };
        self.leaves.insert(at, leaf).inspect_err(|_| frames::free(table))
    }

    /// Lets an event happen to a page; its state and frame afterwards. With [`Event::Fetched`] and [`Event::Write`] `frame`
    /// is where the bytes are. A frame that the page has no more is the caller's.
    pub fn event(&mut self, page: u64, event: Event, frame: Frame) -> Option<(State, Frame)> {
        let at = self.find(page).ok();
        let Some(leaf) = at.and_then(|at| self.leaves.get_mut(at)) else {
            return State::Absent.after(event).map(|after| (after, Frame(0)));
        };
        let (before, old, shown) = leaf.get(page);
        let after = before.after(event)?;
        let frame = if matches!(event, Event::Fetched | Event::Write) { frame } else { old };
        leaf.set(page, (after, if after == State::Absent { Frame(0) } else { frame }, shown && after.here()));
        for (state, more) in [(before, usize::MAX), (after, 1)] {
            if state != State::Absent {
                leaf.used = leaf.used.wrapping_add(more as u64);
            }
            if let Some(count) = self.counts.get_mut(state as usize) {
                *count = count.wrapping_add(more);
            }
        }
        Some((after, frame))
    }

    /// How many are in a state.
    pub fn count(&self, state: State) -> usize {
        self.counts.get(state as usize).copied().unwrap_or(0)
    }

    /// How many are here.
    pub fn here(&self) -> usize {
        State::ALL.iter().filter(|s| s.here()).fold(0, |n, &s| n.saturating_add(self.count(s)))
    }

    /// Frames that it has, those of its leaves among them.
    pub fn frames(&self) -> usize {
        self.here().saturating_add(self.leaves.len())
    }

    /// Gives back leaves without pages, which nobody links.
    pub fn tidy(&mut self) {
        self.leaves.retain(|l| {
            if l.used == 0 {
                frames::free(l.table);
            }
            l.used != 0
        });
    }

    /// The first page from one on in a state that the test accepts, and its frame.
    pub fn next(&self, from: u64, test: impl Fn(State) -> bool) -> Option<(u64, State, Frame)> {
        let mut at = from;
        loop {
            let leaf = match self.find(at) {
                Ok(i) => self.leaves.get(i)?,
                Err(i) => {
                    let leaf = self.leaves.get(i)?;
                    at = leaf.number.wrapping_mul(LEAF);
                    leaf
                }
            };
            let end = leaf.number.wrapping_add(1).wrapping_mul(LEAF);
            while at < end {
                let (state, frame, _) = leaf.get(at);
                if state != State::Absent && test(state) {
                    return Some((at, state, frame));
                }
                at = at.wrapping_add(1);
            }
        }
    }
}

impl Drop for Pages {
    /// Nobody has it attached, but some CPU may still read what it has looked up.
    fn drop(&mut self) {
        if self.here() != 0 {
            shootdown::everywhere();
        }
        let mut at = 0;
        while let Some((page, state, frame)) = self.next(at, |_| true) {
            if state.here() {
                frames::free(frame);
            }
            at = page.saturating_add(1);
        }
        for l in self.leaves.iter() {
            frames::free(l.table);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake;
    use std::collections::BTreeMap;

    #[test]
    fn pages_are_what_a_map_says() {
        let m = fake::memory();
        let before = m.free();
        let mut pages = Pages::new();
        let mut model: BTreeMap<u64, (State, Frame)> = BTreeMap::new();
        let mut seed = 0x2545_f491_4f6c_dd1du64;
        let mut random = |n: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed % n
        };
        for _ in 0..20_000 {
            let page = [random(20), 500 + random(30), (1 << 40) + random(4), (1 << 51) + random(3)]
                [random(4) as usize];
            let event = [
                Event::Fetch,
                Event::Fetched,
                Event::NotFetched,
                Event::Write,
                Event::Launder,
                Event::Laundered,
                Event::NotLaundered,
                Event::Evict,
                Event::Change,
            ][random(9) as usize];
            pages.reserve(page).unwrap();
            let (state, old) = model.get(&page).copied().unwrap_or((State::Absent, Frame(0)));
            let new = if event == Event::Fetched { frames::alloc(For::Kernel).unwrap() } else { Frame(0) };
            let given = if event == Event::Write { old } else { new };
            let got = pages.event(page, event, given);
            assert_eq!(got.map(|g| g.0), state.after(event));
            let Some((after, _)) = got else {
                if event == Event::Fetched {
                    frames::free(new);
                }
                continue;
            };
            let frame = if event == Event::Fetched { new } else { old };
            if event == Event::Fetched && !after.here() {
                frames::free(new);
            }
            if state.here() && !after.here() {
                frames::free(old);
            }
            if after == State::Absent {
                model.remove(&page);
            } else {
                model.insert(page, (after, frame));
            }
            let from = random(600);
            let want = model.range(from..).find(|(_, v)| v.0 == State::Clean).map(|(&p, &(s, f))| (p, s, f));
            assert_eq!(pages.next(from, |s| s == State::Clean), want);
            let mut rows = [(Frame(0), 0); 3];
            let most = random(9);
            pages.rows(page, most, &mut rows);
            let found: Vec<Frame> = rows.iter().flat_map(|r| (0..r.1).map(|i| Frame(r.0.0 + i))).collect();
            let here = (page..).take(most as usize).map(|p| pages.get(p)).take_while(|e| e.0.here());
            let here: Vec<Frame> = here.map(|e| e.1).collect();
            assert_eq!(found, here[..found.len()]);
            assert!(found.len() == here.len() || rows[2].1 != 0, "a row is missing");
            assert_eq!(pages.here(), model.values().filter(|v| v.0.here()).count());
        }
        drop(pages);
        assert_eq!(m.free(), before);
    }
}
