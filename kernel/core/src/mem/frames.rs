//! [`Buddy`]: who has which frame; and the one instance that has the machine's memory.
//!
//! A buddy allocator: blocks of 2^order frames, aligned to their size; two free halves of a block join. Free blocks
//! are linked through their own first bytes; a mark per frame says whether a block begins there, how large, and
//! whether it is free, so a frame that is freed twice is noticed. Memory enters the lists in pieces of the largest
//! block and only when it is first needed, so a machine of 64 GiB starts as fast as one of 4 MiB.
//!
//! Some single frames stand before the lists, since most of what is taken and freed is one: to take one out of a list and to
//! join it there again was 230 instructions of the 1,500 of a first touch. They join when a larger block is not to be had.
//!
//! A single frame may have several holders: the spaces that share it since a fork, and calls to which it is lent. The
//! same mark counts them, and each lets go of it by freeing it.

use crate::base::Spin;
use crate::machine::{self, Frame};
use crate::msg::Result;
use crate::sched;
use crate::thread;
use abi::error::Error;
use abi::limit::PAGE;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The largest block is 2^10 frames, 4 MiB.
pub const MAX_ORDER: u8 = 10;
const ORDERS: usize = MAX_ORDER as usize + 1;
const CHUNK: u64 = 1 << MAX_ORDER;
/// How many separate ranges of memory a machine may have; further ones are left alone.
pub const REGIONS: usize = 16;

/// What the table has of a frame. Two bytes, so that every process of a full machine may hold the same one.
pub type Mark = u16;

/// Marks of the table; the order is in the low bits.
const FREE: Mark = 0x20;
const USED: Mark = 0x10;
/// A single frame in use that more than one holds: the mark is this and the number of further holders, less one.
const SHARED: Mark = 0x40;
const NONE: u64 = u64::MAX;
/// Single frames that stand before the lists, at most; a block of this order replaces them.
const SINGLES: usize = 16;
const SOME: u8 = 3;

/// A range of frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Region {
    /// The first.
    pub start: u64,
    /// The first that is not in it.
    pub end: u64,
}

/// The allocator. Its owner must have it behind a lock.
#[derive(Debug)]
pub struct Buddy {
    table: &'static mut [Mark],
    heads: [u64; ORDERS],
    /// The last goes first; their marks are 0.
    singles: [u64; SINGLES],
    kept: usize,
    /// Memory that has not entered the lists yet.
    fresh: [Region; REGIONS],
    total: u64,
    free: u64,
    misuse: u64,
}

impl Buddy {
    /// One without memory.
    pub const fn empty() -> Buddy {
        Buddy {
            table: &mut [],
            heads: [NONE; ORDERS],
            singles: [0; SINGLES],
            kept: 0,
            fresh: [Region { start: 0, end: 0 }; REGIONS],
            total: 0,
            free: 0,
            misuse: 0,
        }
    }

    /// One with memory; `table` has a mark for each frame from 0 on, and frames beyond it are left alone.
    pub fn new(map: &[Region], table: &'static mut [Mark]) -> Buddy {
        let mut b = Buddy::empty();
        let end = table.len() as u64;
        for (slot, r) in b.fresh.iter_mut().zip(map) {
            let r = Region { start: r.start.min(end), end: r.end.min(end) };
            *slot = r;
            b.total = b.total.saturating_add(r.end.saturating_sub(r.start));
        }
        b.free = b.total;
        b.table = table;
        b
    }

    fn mark(&mut self, frame: u64, mark: Mark) {
        if let Some(m) = usize::try_from(frame).ok().and_then(|f| self.table.get_mut(f)) {
            *m = mark;
        }
    }

    fn marked(&self, frame: u64) -> Mark {
        usize::try_from(frame).ok().and_then(|f| self.table.get(f)).copied().unwrap_or(0)
    }

    fn head(&mut self, order: u8) -> &mut u64 {
        // The last is as good as any for an order that does not exist: nobody asks for one.
        let at = usize::from(order.min(MAX_ORDER));
        #[expect(clippy::indexing_slicing, reason = "at is below ORDERS by the line above")]
        &mut self.heads[at]
    }

    fn push(&mut self, frame: u64, order: u8) {
        let head = *self.head(order);
        write_links(frame, [head, NONE]);
        if head != NONE {
            let [next, _] = read_links(head);
            write_links(head, [next, frame]);
        }
        *self.head(order) = frame;
        self.mark(frame, FREE | Mark::from(order));
    }

    fn unlink(&mut self, frame: u64, order: u8) {
        let [next, previous] = read_links(frame);
        if next != NONE {
            let [n, _] = read_links(next);
            write_links(next, [n, previous]);
        }
        if previous == NONE {
            *self.head(order) = next;
        } else {
            let [_, p] = read_links(previous);
            write_links(previous, [next, p]);
        }
        self.mark(frame, 0);
    }

    /// Takes one more piece of fresh memory into the lists.
    #[cold]
    fn refill(&mut self) -> bool {
        let Some(region) = self.fresh.iter_mut().find(|r| r.start < r.end) else { return false };
        let mut at = region.start;
        let end = region.end.min((at | (CHUNK - 1)).saturating_add(1));
        region.start = end;
        for f in at..end {
            self.mark(f, 0);
        }
        while at < end {
            let mut order = MAX_ORDER.min(at.trailing_zeros() as u8);
            while at.saturating_add(1 << order) > end {
                order = order.saturating_sub(1);
            }
            self.push(at, order);
            at = at.saturating_add(1 << order);
        }
        true
    }

    /// Takes a block out of the lists, whose marks are its taker's to set.
    fn block(&mut self, order: u8) -> Option<u64> {
        let mut found = order;
        let frame = loop {
            let head = *self.head(found);
            if head != NONE {
                break head;
            }
            if found < MAX_ORDER {
                found = found.saturating_add(1);
            } else {
                if !self.refill() {
                    return None;
                }
                found = order;
            }
        };
        self.unlink(frame, found);
        while found > order {
            found = found.saturating_sub(1);
            self.push(frame.saturating_add(1 << found), found);
        }
        Some(frame)
    }

    /// Keeps a frame before the lists, if there is room.
    fn keep(&mut self, frame: u64) -> bool {
        let Some(slot) = self.singles.get_mut(self.kept) else { return false };
        *slot = frame;
        self.kept = self.kept.saturating_add(1);
        true
    }

    /// The frame that was kept last.
    fn kept(&mut self) -> Option<u64> {
        self.kept = self.kept.checked_sub(1)?;
        self.singles.get(self.kept).copied()
    }

    #[cold]
    fn keep_more(&mut self) -> Option<u64> {
        let (first, order) = (0..=SOME).rev().find_map(|order| Some((self.block(order)?, order)))?;
        for frame in (first..first.saturating_add(1 << order)).rev() {
            self.mark(frame, 0);
            self.keep(frame);
        }
        self.kept()
    }

    /// Takes a block.
    pub fn alloc(&mut self, order: u8) -> Option<Frame> {
        if order > MAX_ORDER {
            return None;
        }
        let frame = if order == 0 {
            self.kept().or_else(|| self.keep_more())
        } else {
            self.block(order).or_else(|| {
                while let Some(frame) = self.kept() {
                    self.join(frame, 0);
                }
                self.block(order)
            })
        }?;
        self.mark(frame, USED | Mark::from(order));
        self.free = self.free.saturating_sub(1 << order);
        Some(Frame(frame))
    }

    /// Makes the frames of a block that is in use ones that are freed one by one.
    pub fn split(&mut self, frame: Frame, order: u8) {
        if self.marked(frame.0) == USED | Mark::from(order) {
            for i in 0..1u64 << order {
                self.mark(frame.0.saturating_add(i), USED);
            }
        }
    }

    /// One more holder of a frame. False if there are too many; a frame that was not taken as a single one, such as a
    /// device's, is not counted.
    pub fn share(&mut self, frame: Frame) -> bool {
        match self.marked(frame.0) {
            USED => self.mark(frame.0, SHARED),
            Mark::MAX => return false,
            m if m >= SHARED => self.mark(frame.0, m.saturating_add(1)),
            _ => {}
        }
        true
    }

    /// Has a frame more than one holder?
    pub fn shared(&self, frame: Frame) -> bool {
        self.marked(frame.0) >= SHARED
    }

    /// Gives a block back. What was not taken as such a block is counted and left alone.
    pub fn free(&mut self, frame: Frame, order: u8) {
        let mark = self.marked(frame.0);
        if mark >= SHARED && order == 0 {
            return self.mark(frame.0, if mark == SHARED { USED } else { mark.saturating_sub(1) });
        }
        if order > MAX_ORDER || mark != USED | Mark::from(order) {
            self.misuse = self.misuse.saturating_add(1);
            return;
        }
        self.free = self.free.saturating_add(1 << order);
        self.mark(frame.0, 0);
        if order != 0 || !self.keep(frame.0) {
            self.join(frame.0, order);
        }
    }

    /// Puts a block whose mark is 0 into the lists, with its other half if that is there.
    fn join(&mut self, mut at: u64, mut order: u8) {
        while order < MAX_ORDER {
            let buddy = at ^ (1 << order);
            if self.marked(buddy) != FREE | Mark::from(order) {
                break;
            }
            self.unlink(buddy, order);
            at = at.min(buddy);
            order = order.saturating_add(1);
        }
        self.push(at, order);
    }
}

fn read_links(frame: u64) -> [u64; 2] {
    let mut b = [[0; 8]; 2];
    machine::read_frame(Frame(frame), 0, b.as_flattened_mut());
    b.map(u64::from_ne_bytes)
}

fn write_links(frame: u64, links: [u64; 2]) {
    machine::write_frame(Frame(frame), 0, links.map(u64::to_ne_bytes).as_flattened());
}

/// The machine's memory. Taken last of all locks; nothing is called while it is held.
static FRAMES: Spin<Buddy> = Spin::new(Buddy::empty());
/// Frames that stand ready in pools of others ([`crate::mem::space`] does not count them as used).
static POOLED: AtomicUsize = AtomicUsize::new(0);

/// Frames that are kept from most: those below the first multiple are for who brings memory back, those below the second
/// for the kernel's own objects, whose makers can't wait for memory. None until [`keep_some`].
static RESERVE: AtomicU64 = AtomicU64::new(0);

/// What a frame is wanted for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum For {
    /// Something of the kernel's, or of a server's.
    Kernel = 1,
    /// A page of a program that can wait for it.
    Program = 2,
    /// Another process, whose pages and its parent's are to be had when they are touched.
    Process = 3,
}

/// Begins to keep some frames for laundry and for the kernel. Once, when all that never goes away is there.
pub fn keep_some() {
    RESERVE.store((stats().total / 128).min(RESERVE_MOST), Ordering::Relaxed);
}

/// Is there memory for that?
pub fn enough(what: For) -> bool {
    stats().free > floor(what)
}

/// What a taker for that leaves.
fn floor(what: For) -> u64 {
    RESERVE.load(Ordering::Relaxed).saturating_mul(what as u64)
}

/// Takes over the machine's free memory. Once, before any other function here.
pub fn init(map: &[Region], table: &'static mut [Mark]) {
    *FRAMES.lock() = Buddy::new(map, table);
}

/// All memory, whoever has it, and the registers that only the kernel may touch.
static KEPT: Spin<[Region; REGIONS + 2]> = Spin::new([Region { start: 0, end: 0 }; REGIONS + 2]);

/// Says what no driver may have as registers of its device. Once, at boot.
pub fn keep(regions: impl Iterator<Item = Region>) {
    KEPT.lock().iter_mut().zip(regions).for_each(|(slot, r)| *slot = r);
}

/// Is any of these frames the kernel's to give or its own?
pub fn is_kept(frames: Region) -> bool {
    KEPT.lock().iter().any(|r| r.start < frames.end && frames.start < r.end)
}

/// How memory stands, in frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stats {
    /// All that the kernel was given.
    pub total: u64,
    /// What nobody has.
    pub free: u64,
    /// What is kept ready in pools, such as that of kernel stacks; not free.
    pub pooled: u64,
    /// How often something was freed that was not in use: a mistake in the kernel.
    pub misuse: u64,
}

/// How memory stands.
pub fn stats() -> Stats {
    let pooled = POOLED.load(Ordering::Relaxed) as u64;
    let f = FRAMES.lock();
    Stats { total: f.total, free: f.free, pooled, misuse: f.misuse }
}

/// Free frames, those ready in pools among them, and all frames.
pub fn usage() -> (u64, u64) {
    let s = stats();
    (s.free.saturating_add(s.pooled), s.total)
}

/// Frames in use, without those that stand ready in pools.
pub fn used() -> u64 {
    let (free, all) = usage();
    all.saturating_sub(free)
}

/// A pool tells by how much it grew or shrank.
pub fn pooled(more: isize) {
    POOLED.fetch_add(more as usize, Ordering::Relaxed);
}

/// Takes a frame; it holds whatever its last user left.
pub fn alloc(what: For) -> Result<Frame> {
    take(0, what)
}

/// Takes a frame filled with zeroes.
pub fn zeroed(what: For) -> Result<Frame> {
    let f = take(0, what)?;
    machine::zero_frame(f);
    Ok(f)
}

/// Takes 2^order frames in a row.
pub fn run(order: u8) -> Result<Frame> {
    take(order, For::Kernel)
}

/// Takes frames that are free, or clean pages' of files; the last only for who writes pages back, or serves one who does.
#[inline(never)]
fn take(order: u8, what: For) -> Result<Frame> {
    let floor = floor(what);
    let alloc = || {
        let mut f = FRAMES.lock();
        if f.free > floor { f.alloc(order) } else { None }
    };
    // Who can wait makes room where no lock keeps pages from it.
    let found = alloc().or_else(|| if what == For::Kernel { by_evicting(alloc) } else { None });
    found.or_else(|| reclaims().then(|| FRAMES.lock().alloc(order))?).ok_or_else(|| Error::NoMemory.into())
}

/// Does the current thread work for one of the kernel's? Its priority goes along with calls, and no program has it of its
/// own: it is the mark of those for whom the reserve is.
#[cold]
pub fn reclaims() -> bool {
    sched::started() && thread::current().priority() >= thread::KERNEL
}

/// The reserve of a large machine, 256 KiB.
const RESERVE_MOST: u64 = 64;
/// Pages that are evicted at a time.
pub(super) const EVICTED: usize = 64;

/// Evicts clean pages of files until there is memory or there are none.
#[cold]
#[inline(never)]
fn by_evicting(mut alloc: impl FnMut() -> Option<Frame>) -> Option<Frame> {
    while super::segment::evict(EVICTED) > 0 {
        let found = alloc();
        if found.is_some() {
            return found;
        }
    }
    None
}

/// Gives a frame back, or lets go of it if it has other holders.
pub fn free(frame: Frame) {
    free_run(frame, 0);
}

/// One more holder of a frame, who lets go of it by [`free`] or, if it may be none of the memory's, [`release`].
pub fn share(frame: Frame) -> Result<()> {
    if FRAMES.lock().share(frame) { Ok(()) } else { Err(Error::Full.into()) }
}

/// As [`share`], for a frame that is mapped and was just looked up, which it stays meanwhile; for [`release`].
pub fn hold(frame: Frame) -> Result<()> {
    if FRAMES.lock_still().share(frame) { Ok(()) } else { Err(Error::Full.into()) }
}

/// How many hold a frame; 0 for one that is not counted.
pub fn holders(frame: Frame) -> u64 {
    match FRAMES.lock().marked(frame.0) {
        USED => 1,
        m if m >= SHARED => u64::from(m.saturating_sub(SHARED)).saturating_add(2),
        _ => 0,
    }
}

/// Has a frame more than one holder?
pub fn shared(frame: Frame) -> bool {
    FRAMES.lock().shared(frame)
}

/// Lets go of a frame that [`share`] may not have counted, because it was not taken as a single one.
pub fn release(frame: Frame) {
    let mut f = FRAMES.lock();
    if f.shared(frame) || f.marked(frame.0) == USED {
        f.free(frame, 0);
    }
}

/// Gives back what [`run`] took.
#[inline(never)]
pub fn free_run(frame: Frame, order: u8) {
    if super::swap::is_slot(frame) {
        return super::swap::free(frame);
    }
    FRAMES.lock().free(frame, order);
}

/// Frames in a row that nobody else knows yet, as bytes: how a program's pages are filled before they are mapped.
#[derive(Debug)]
pub struct Fresh {
    first: Frame,
    count: usize,
}

impl Fresh {
    /// 2^order frames, filled with zeroes.
    pub fn new(order: u8) -> Result<Fresh> {
        let first = run(order)?;
        FRAMES.lock().split(first, order);
        let fresh = Fresh { first, count: 1 << order };
        for i in 0..fresh.count {
            machine::zero_frame(fresh.frame(i));
        }
        Ok(fresh)
    }

    fn frame(&self, i: usize) -> Frame {
        Frame(self.first.0.saturating_add(i as u64))
    }

    /// Their bytes.
    #[allow(unsafe_code, reason = "turns owned frames into a slice")]
    pub fn bytes(&mut self) -> &mut [u8] {
        let len = self.count.saturating_mul(PAGE);
        // SAFETY: the frames are allocated, in a row in the direct map, initialised by zeroing, and nobody but this
        // value knows them; the slice borrows it mutably.
        unsafe { core::slice::from_raw_parts_mut(machine::frame_address(self.first), len) }
    }

    /// Hands the frames over, one by one in order: to be freed with [`free`].
    pub fn take(mut self) -> impl Iterator<Item = Frame> {
        let (first, count) = (self.first.0, self.count as u64);
        self.count = 0;
        (first..first.saturating_add(count)).map(Frame)
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        for i in 0..self.count {
            free(self.frame(i));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Frames of the test's own, borrowed from the fake machine.
    fn some(count: u64) -> (Buddy, Region) {
        let first = crate::fake::reserve(count).0;
        let table = Vec::leak(vec![0xffff; (first + count) as usize]);
        let map = Region { start: first, end: first + count };
        (Buddy::new(&[map], table), map)
    }

    #[test]
    fn random_blocks_never_overlap_and_all_come_back() {
        let (mut b, map) = some(5000);
        let mut have: BTreeMap<u64, u8> = BTreeMap::new();
        let mut seed = 0x9e37_79b9_7f4a_7c15u64;
        let mut random = || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        for _ in 0..20_000 {
            if random() % 5 < 3 {
                let order = (random() % 6) as u8;
                let Some(f) = b.alloc(order) else { continue };
                assert_eq!(f.0 % (1 << order), 0, "not aligned");
                assert!(f.0 >= map.start && f.0 + (1 << order) <= map.end);
                let before = have.range(..f.0 + (1 << order)).next_back();
                assert!(before.is_none_or(|(&at, &o)| at + (1 << o) <= f.0), "overlaps");
                have.insert(f.0, order);
            } else if let Some((&at, &order)) = have.iter().nth(random() as usize % have.len().max(1)) {
                have.remove(&at);
                b.free(Frame(at), order);
            }
            let used: u64 = have.values().map(|&o| 1 << o).sum();
            assert_eq!(b.free, b.total - used);
        }
        for (at, order) in have {
            b.free(Frame(at), order);
        }
        assert_eq!((b.free, b.misuse), (5000, 0));
        // Everything has joined again: as many largest blocks as alignment allows.
        let largest = (map.start.next_multiple_of(CHUNK)..map.end).step_by(CHUNK as usize);
        let most = largest.filter(|at| at + CHUNK <= map.end).count();
        assert_eq!((0..).take_while(|_| b.alloc(MAX_ORDER).is_some()).count(), most);
    }

    #[test]
    fn what_is_freed_twice_is_left_alone() {
        let (mut b, _) = some(64);
        let f = b.alloc(0).unwrap();
        b.free(f, 0);
        b.free(f, 0);
        assert_eq!((b.free, b.misuse), (64, 1));
        let f = b.alloc(1).unwrap();
        b.free(f, 0);
        assert_eq!((b.free, b.misuse), (62, 2));
        b.split(f, 1);
        b.free(f, 0);
        b.free(Frame(f.0 + 1), 0);
        assert_eq!((b.free, b.misuse), (64, 2));
    }

    #[test]
    fn a_frame_goes_with_its_last_holder() {
        let (mut b, _) = some(64);
        let f = b.alloc(0).unwrap();
        let mut holders = 1;
        while b.share(f) {
            holders += 1;
            assert!(b.shared(f));
        }
        assert!(holders > abi::limit::THREADS, "{holders}");
        for _ in 1..holders {
            assert_eq!(b.free, 63);
            b.free(f, 0);
        }
        assert!(!b.shared(f));
        b.free(f, 0);
        b.free(f, 0);
        assert_eq!((b.free, b.misuse), (64, 1));
    }

    #[test]
    fn memory_ends_with_an_error_and_not_before() {
        let (mut b, _) = some(100);
        assert_eq!((0..).take_while(|_| b.alloc(0).is_some()).count(), 100);
        assert_eq!(b.alloc(0), None);
        assert_eq!(b.alloc(MAX_ORDER + 1), None);
    }
}
