//! [`Pages`]: the pages of a segment by number, each a state and a frame.
//!
//! Leaves of 512 words, each a frame of memory, in order of the page that they begin with: a file may be as large and as
//! sparse as it likes, and costs what is here of it.

use super::frames::{self, For};
use super::state::{Event, State};
use crate::base::List;
use crate::machine::{self, Frame};
use crate::msg::Result;
use abi::limit::PAGE;

/// Pages of a leaf.
pub(super) const LEAF: u64 = PAGE as u64 / 8;
/// The state is in the low bits of a word, the frame's number above.
const SHIFT: u32 = 8;

#[derive(Debug)]
struct Leaf {
    /// Number of its first page, divided by [`LEAF`].
    number: u64,
    table: Frame,
    /// Words that are not those of an absent page.
    used: u64,
}

/// The pages of a segment.
#[derive(Debug, Default)]
pub struct Pages {
    leaves: List<Leaf>,
    /// How many are in each state.
    counts: [usize; State::ALL.len()],
}

fn place(page: u64) -> usize {
    ((page % LEAF) as usize).wrapping_mul(8)
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

    fn word(&self, page: u64) -> u64 {
        let Some(leaf) = self.find(page).ok().and_then(|at| self.leaves.get(at)) else { return 0 };
        let mut b = [0; 8];
        machine::read_frame(leaf.table, place(page), &mut b);
        u64::from_ne_bytes(b)
    }

    /// A page's state, and the frame if there is one.
    #[inline]
    pub fn get(&self, page: u64) -> (State, Frame) {
        let w = self.word(page);
        (State::of(w & ((1 << SHIFT) - 1)), Frame(w >> SHIFT))
    }

    /// Makes room for a page and the others of its leaf, so that [`Pages::set`] can't fail.
    pub fn reserve(&mut self, page: u64) -> Result<()> {
        let Err(at) = self.find(page) else { return Ok(()) };
        let table = frames::zeroed(For::Kernel)?;
        let leaf = Leaf { number: page / LEAF, table, used: 0 };
        self.leaves.insert(at, leaf).inspect_err(|_| frames::free(table))
    }

    /// Sets a page for which there is room.
    fn set(&mut self, page: u64, from: State, to: State, frame: Frame) {
        let Ok(at) = self.find(page) else { return };
        let Some(leaf) = self.leaves.get_mut(at) else { return };
        let word = if to == State::Absent { 0 } else { frame.0 << SHIFT | to as u64 };
        machine::write_frame(leaf.table, place(page), &word.to_ne_bytes());
        leaf.used = match (from, to) {
            (State::Absent, State::Absent) => leaf.used,
            (State::Absent, _) => leaf.used.saturating_add(1),
            (_, State::Absent) => leaf.used.saturating_sub(1),
            _ => leaf.used,
        };
        for (state, count) in State::ALL.iter().zip(&mut self.counts) {
            *count = count.wrapping_add(usize::from(*state == to)).wrapping_sub(usize::from(*state == from));
        }
    }

    /// Lets an event happen to a page; its state and frame afterwards. With [`Event::Fetched`] and [`Event::Write`] `frame`
    /// is where the bytes are. A frame that the page has no more is the caller's.
    pub fn event(&mut self, page: u64, event: Event, frame: Frame) -> Option<(State, Frame)> {
        let (state, old) = self.get(page);
        let after = state.after(event)?;
        let frame = if matches!(event, Event::Fetched | Event::Write) { frame } else { old };
        self.set(page, state, after, frame);
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

    /// Gives back leaves without pages.
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
                let mut b = [0; 8];
                machine::read_frame(leaf.table, place(at), &mut b);
                let w = u64::from_ne_bytes(b);
                let state = State::of(w & ((1 << SHIFT) - 1));
                if w != 0 && test(state) {
                    return Some((at, state, Frame(w >> SHIFT)));
                }
                at = at.wrapping_add(1);
            }
        }
    }
}

impl Drop for Pages {
    /// Nobody has it attached.
    fn drop(&mut self) {
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
            assert_eq!(pages.here(), model.values().filter(|v| v.0.here()).count());
        }
        drop(pages);
        assert_eq!(m.free(), before);
    }
}
