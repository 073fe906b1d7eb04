//! Swap: pages of programs' own memory in a file, while memory is short.
//!
//! Any file of any server will do, set by `#sys/swap`; the kernel shares the descriptor's fid, as segments do, and asks by
//! Tread and Twrite. The file is an array of slots, each a page. A leaf entry that keeps a slot has its number in the place
//! of a frame's ([`is_slot`]), so what shares, moves or frees frames does so with slots.
//!
//! One thread of the kernel goes round all spaces that are not wired, as the hand of a clock does. A page that it meets
//! mapped is put to rest: unmapped, its frame still in its entry, and whoever touches it maps it again. One that still
//! rests when the thread comes by again is copied and written, and if it rests even then its frame is freed. So nobody
//! ever waits for a page on its way out, and a write that fails has changed nothing.
//!
//! Locks: that of the slots is taken under a space's; neither is held during a call.

use super::fault::Access;
use super::frames::{self, For};
use super::laundry;
use super::pager;
use super::space::{PAGE64, Space, Use};
use crate::base::{Bytes, List, Ref, Spin, Text};
use crate::counters;
use crate::machine::{self, Frame, Rights};
use crate::msg::Result;
use crate::name::{Chan, File};
use crate::proc;
use crate::sched;
use crate::thread::{self, Thread};
use abi::error::Error;
use abi::file::QTFILE;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What makes a frame's number a slot's: no machine has so much memory.
const SLOT: u64 = 1 << 39;
/// Pages that are written together.
pub(super) const CLUSTER: usize = 16;
/// The largest swap: more of a file is left alone. 8 GiB.
const MOST: u64 = 2 << 20;
/// How often one round goes through all spaces at most: it puts pages to rest, writes those that stayed, and once more.
const TURNS: usize = 3;
/// Pages that are gone through under one lock.
const PIECE: usize = 256;

struct Slots {
    file: Option<Ref<File>>,
    /// Its name, for those who look.
    name: Option<Bytes>,
    /// How many leaf entries have each.
    uses: List<u16>,
    /// Where the next search for free ones begins.
    hand: usize,
    /// What is there is being brought back, and nothing goes there.
    ending: bool,
}

static SLOTS: Spin<Slots> =
    Spin::new(Slots { file: None, name: None, uses: List::new(), hand: 0, ending: false });
/// The thread that writes, from the first use of swap on.
static THREAD: Spin<Option<Ref<Thread>>> = Spin::new(None);
/// How often somebody has asked for memory, and up to where that has been heard.
static SCARCE: AtomicBool = AtomicBool::new(false);
static ASKED: AtomicU64 = AtomicU64::new(0);
static DONE: AtomicU64 = AtomicU64::new(0);

impl Slots {
    fn uses(&mut self, slot: Frame) -> Option<&mut u16> {
        self.uses.get_mut(usize::try_from(slot.0 & (SLOT - 1)).ok()?)
    }

    fn free(&mut self, slot: Frame) {
        if let Some(n) = self.uses(slot) {
            *n = n.saturating_sub(1);
            counters::SWAP.sink(u64::from(*n == 0));
        }
    }

    /// Takes free slots in a row, up to so many: the first's number, and how many.
    fn take(&mut self, want: usize) -> Option<(u64, usize)> {
        if self.ending || counters::SWAP.get() >= self.uses.len() as u64 {
            return None;
        }
        let is_free = |at: &usize| self.uses.get(*at) == Some(&0);
        let first = (self.hand..self.uses.len()).chain(0..self.hand).find(is_free)?;
        let count = (first..first.saturating_add(want)).take_while(is_free).count();
        self.uses.iter_mut().skip(first).take(count).for_each(|n| *n = 1);
        counters::SWAP.rise(count as u64);
        self.hand = first.saturating_add(count);
        Some((first as u64, count))
    }
}

/// Is it a slot in a frame's place?
pub(super) fn is_slot(frame: Frame) -> bool {
    frame.0 & SLOT != 0
}

/// One leaf entry less has a slot.
#[cold]
pub(super) fn free(slot: Frame) {
    SLOTS.lock().free(slot);
}

/// A slot that stays what it is as long as this does.
#[derive(Debug)]
pub struct Hold(Frame);

impl Hold {
    /// One more that has a slot.
    pub(super) fn new(slot: Frame) -> Result<Hold> {
        let mut slots = SLOTS.lock();
        let n = slots.uses(slot).ok_or(Error::BadAddress)?;
        *n = n.checked_add(1).ok_or(Error::Full)?;
        Ok(Hold(slot))
    }

    /// A leaf entry has it from now on.
    pub(super) fn keep(self) -> Frame {
        let slot = self.0;
        core::mem::forget(self);
        slot
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        free(self.0);
    }
}

/// Sets the file to swap to, which must be open to be read and written, or none. What is in that before is brought back
/// first, for which there must be memory.
pub fn set(chan: Option<&Chan>) -> Result<()> {
    let mut new = Slots { file: None, name: None, uses: List::new(), hand: 0, ending: false };
    if let Some(chan) = chan {
        if !chan.may_read() || !chan.may_write() {
            return Err(Error::BadMode.into());
        }
        if chan.file.qid.kind != QTFILE || chan.file.session.portal().is_none() {
            return Err(Error::NotSupported.into());
        }
        let count = (pager::stat(&chan.file)?.1 / PAGE64).min(MOST);
        if count == 0 {
            return Err(Error::NoSpace.into());
        }
        new.uses.reserve(count as usize)?;
        (0..count).try_for_each(|_| new.uses.push(0))?;
        new.file = Some(chan.file.clone());
        new.name = Some(Bytes::new(chan.path.text())?);
        start()?;
    }
    SLOTS.lock().ending = true;
    let done = bring_all();
    let mut slots = SLOTS.lock();
    slots.ending = false;
    done?;
    if counters::SWAP.get() != 0 {
        // Of a process that begins or ends right now.
        return Err(Error::Exclusive.into());
    }
    let old = core::mem::replace(&mut *slots, new);
    drop(slots);
    drop(old);
    Ok(())
}

/// Brings every page that is in swap.
fn bring_all() -> Result<()> {
    let mut pid = 0;
    while counters::SWAP.get() != 0
        && let Some(proc) = proc::next(pid)
    {
        pid = proc.pid.saturating_add(1);
        if let Some(space) = proc.space() {
            space.bring_slots(0, abi::limit::USER_END)?;
        }
    }
    Ok(())
}

/// Slots without a file, for tests that have their own.
#[cfg(test)]
pub(super) fn set_slots(count: usize) {
    let mut slots = SLOTS.lock();
    slots.uses = List::new();
    (0..count).for_each(|_| slots.uses.push(0).unwrap());
    slots.hand = 0;
}

/// Makes the thread, if there is none.
fn start() -> Result<()> {
    if THREAD.lock().is_some() {
        return Ok(());
    }
    let new = sched::kernel_thread()?;
    let mut thread = THREAD.lock();
    if thread.is_none() {
        *thread = Some(new.clone());
        drop(thread);
        Thread::start(&new, run, 0);
    }
    Ok(())
}

/// What is set, its size and what of it is used, in bytes; nothing if none is.
pub fn show(t: &mut Text) {
    let slots = SLOTS.lock();
    if let Some(name) = &slots.name {
        t.quoted(name);
        for n in [slots.uses.len() as u64, counters::SWAP.get()] {
            t.put(b" ").number(n.saturating_mul(PAGE64));
        }
        t.put(b"\n");
    }
}

/// The clean pages that are left are those that programs use: their text. Before they have to bring it in again and again
/// other pages are to go. Called under any lock.
pub(super) fn scarce() {
    SCARCE.store(true, Ordering::Relaxed);
}

/// Asks for memory if clean pages are scarce. Nobody waits for it.
pub(super) fn ask_if_scarce() {
    if SCARCE.swap(false, Ordering::Relaxed) {
        ask();
    }
}

/// Asks for memory, if a file is set: what to give [`heard`]. Who waits is woken by the laundry's queue.
pub(super) fn ask() -> Option<u64> {
    SLOTS.lock().file.as_ref()?;
    let thread = THREAD.lock().clone()?;
    let number = ASKED.fetch_add(1, Ordering::SeqCst).wrapping_add(1);
    Thread::unpark(&thread);
    Some(number)
}

/// Has a whole round been made since somebody asked?
pub(super) fn heard(number: u64) -> bool {
    DONE.load(Ordering::SeqCst) >= number
}

/// Pages of one space that are about to be written.
pub(super) struct Cluster {
    /// Where their copies are.
    copies: [Frame; CLUSTER],
    pub(super) pages: [(u64, Frame); CLUSTER],
    pub(super) count: usize,
}

impl Cluster {
    /// None, and no room for copies yet.
    pub(super) const fn new() -> Cluster {
        Cluster { copies: [Frame(0); CLUSTER], pages: [(0, Frame(0)); CLUSTER], count: 0 }
    }

    /// Sees to it that there is room for copies, which is never given back.
    pub(super) fn make_room(&mut self) -> Result<()> {
        for slot in self.copies.iter_mut().filter(|f| f.0 == 0) {
            *slot = frames::alloc(For::Kernel)?;
        }
        Ok(())
    }

    /// Takes a page that rests; false if there is no room.
    pub(super) fn add(&mut self, addr: u64, frame: Frame) -> bool {
        let (Some(page), Some(&copy)) = (self.pages.get_mut(self.count), self.copies.get(self.count)) else {
            return false;
        };
        *page = (addr, frame);
        machine::copy_frames(copy, 0, frame, 0, abi::limit::PAGE);
        self.count = self.count.saturating_add(1);
        true
    }

    /// Has what was gathered stored from a slot on, and frees the frames of those pages that rest until then: how many.
    pub(super) fn write(
        &mut self,
        space: &Space,
        store: impl FnOnce(u64, &[Frame]) -> Result<()>,
    ) -> Result<usize> {
        let want = core::mem::take(&mut self.count);
        if want == 0 {
            return Ok(0);
        }
        let (first, count) = SLOTS.lock().take(want).ok_or(Error::NoSpace)?;
        let done = store(first, self.copies.get(..count).unwrap_or(&[]));
        let mut gone = 0usize;
        for (&(addr, frame), slot) in self.pages.iter().take(count).zip((SLOT | first..).map(Frame)) {
            let free = done.is_ok() && space.replace(addr, frame, slot);
            frames::free(if free { frame } else { slot });
            gone = gone.saturating_add(usize::from(free));
        }
        counters::SWAPPED.rise(gone as u64);
        done.map(|()| gone)
    }
}

/// The place in the file of a slot.
fn place(slot: u64) -> u64 {
    (slot & (SLOT - 1)).saturating_mul(PAGE64)
}

/// Writes frames to slots in a row.
fn store(first: u64, frames: &[Frame]) -> Result<()> {
    let file = SLOTS.lock().file.clone().ok_or(Error::NoSpace)?;
    pager::store(&file, place(first), place(first.saturating_add(frames.len() as u64)), frames)
}

/// Reads them.
fn fetch(first: u64, frames: &[Frame]) -> Result<()> {
    let file = SLOTS.lock().file.clone().ok_or(Error::Io)?;
    let end = place(first.saturating_add(frames.len() as u64));
    if pager::fetch(&file, place(first), end, frames)? == end { Ok(()) } else { Err(Error::Io.into()) }
}

/// The life of the thread that writes.
extern "C" fn run(_: usize) -> ! {
    sched::arrive();
    let mut cluster = Cluster::new();
    let torture = proc::boot_word(b"torture").is_some();
    let mut hand = (0, 0);
    loop {
        let asked = ASKED.load(Ordering::SeqCst);
        if heard(asked) {
            thread::park(u64::MAX);
            continue;
        }
        if cluster.make_room().is_ok() {
            let (turns, want) =
                if torture { (1, usize::MAX) } else { (TURNS, frames::stats().total as usize / 16) };
            round(&mut cluster, &mut hand, turns, want);
        }
        DONE.store(asked, Ordering::SeqCst);
        laundry::tell();
    }
}

/// Goes round the processes from where the last round ended, so often at most, until so many frames are free or a page
/// can't be written.
fn round(cluster: &mut Cluster, hand: &mut (u32, u64), turns: usize, want: usize) {
    let (mut done, mut turn) = (0usize, 0usize);
    while turn < turns && done < want {
        let Some(proc) = proc::next(hand.0) else {
            *hand = (0, 0);
            turn = turn.saturating_add(1);
            continue;
        };
        // Another process than the last time begins at its beginning.
        let mut from = if proc.pid == hand.0 { hand.1 } else { 0 };
        // The first process keeps its memory: all others hang on it.
        let space = proc.space().filter(|_| proc.pid != 1);
        while let Some(space) = &space
            && done < want
        {
            let next = space.sweep(from, cluster);
            if next.is_none() || cluster.count == CLUSTER {
                match cluster.write(space, store) {
                    Ok(n) => done = done.saturating_add(n),
                    Err(_) => return,
                }
            }
            let Some(next) = next else { break };
            from = next;
            sched::preempt();
        }
        *hand = if done < want { (proc.pid.saturating_add(1), 0) } else { (proc.pid, from) };
    }
}

/// Brings a page of a space from its slot; then the touch is to be tried again.
#[cold]
pub(super) fn bring(space: &Space, page: u64, slot: Hold) -> Result<()> {
    bring_by(space, page, slot, fetch)
}

/// The same by whatever reads slots. Who goes through memory in order has the following pages brought with it.
pub(super) fn bring_by(
    space: &Space,
    page: u64,
    slot: Hold,
    fetch: impl FnOnce(u64, &[Frame]) -> Result<()>,
) -> Result<()> {
    let mut all = [const { None }; CLUSTER];
    let first = slot.0;
    let want = space.following(page, first, &mut all);
    let mut frames = [Frame(0); CLUSTER];
    let mut count = 0usize;
    for to in frames.iter_mut().take(want) {
        match frames::alloc(For::Program) {
            Ok(f) => *to = f,
            Err(e) if count == 0 => return Err(e),
            Err(_) => break,
        }
        count = count.saturating_add(1);
    }
    let frames = frames.get(..count).unwrap_or(&[]);
    let read = fetch(first.0, frames);
    for ((&frame, slot), page) in frames.iter().zip(first.0..).zip((page..).step_by(abi::limit::PAGE)) {
        // One more reader, or another thread of the same memory, may have been here first.
        let placed = read.is_ok() && space.replace(page, Frame(slot), frame);
        frames::free(if placed { Frame(slot) } else { frame });
    }
    read
}

impl Space {
    /// Goes through some pages of its own from an address on: puts those that are mapped to rest, and gathers those that
    /// rest. Where to go on; none at the end.
    pub(super) fn sweep(&self, from: u64, cluster: &mut Cluster) -> Option<u64> {
        let state = self.state.lock();
        if from == 0 {
            // What was put to rest the last time is noticed from here on if it is touched, by whichever CPU.
            self.forget();
        }
        let (mut at, mut left) = (from, PIECE);
        let mut next = None;
        'all: for a in state.list.iter().filter(|a| a.end > from && !state.wired) {
            if a.file.is_some() || matches!(a.kind, Use::Device | Use::Activation) {
                continue;
            }
            at = at.max(a.start);
            while let Some((addr, frame, rights)) = machine::next_mapped(self.root(), at, a.end) {
                if left == 0 || cluster.count == CLUSTER {
                    next = Some(addr);
                    break 'all;
                }
                left = left.saturating_sub(1);
                at = addr.saturating_add(PAGE64);
                // What others share, or a call has, stays.
                if is_slot(frame) || frames::shared(frame) {
                    continue;
                }
                if rights == Rights::Out {
                    cluster.add(addr, frame);
                } else {
                    machine::map(self.root(), addr, frame, Rights::Out);
                }
            }
        }
        next
    }

    /// How many pages from one on, which is in a slot, are to be brought: those in the slots behind it, if the page before
    /// was the last that was brought. Theirs are held in `all`.
    fn following(&self, page: u64, first: Frame, all: &mut [Option<Hold>; CLUSTER]) -> usize {
        let mut state = self.state.lock();
        let in_order = state.brought == page;
        let mut at = page;
        for (slot, hold) in (first.0..).map(Frame).zip(all) {
            if machine::lookup(self.root(), at) != Some((slot, Rights::Out)) || !in_order && at != page {
                break;
            }
            *hold = Hold::new(slot).ok();
            at = at.saturating_add(PAGE64);
        }
        state.brought = at;
        (at.saturating_sub(page) / PAGE64).max(1) as usize
    }

    /// Puts a slot in the place of the frame of a page that rests, or a frame in the place of its slot. False if the page
    /// is another by now.
    fn replace(&self, page: u64, old: Frame, new: Frame) -> bool {
        let state = self.state.lock();
        let is = machine::lookup(self.root(), page) == Some((old, Rights::Out));
        let rights = match state.at(page) {
            Some(_) if is_slot(new) => Rights::Out,
            Some(a) => a.rights,
            None => return false,
        };
        let stays = is_slot(new) && (state.wired || frames::shared(old));
        is && !stays && machine::map(self.root(), page, new, rights)
    }

    /// The first page in a range that is in swap.
    pub(super) fn next_slot(&self, from: u64, to: u64) -> Option<u64> {
        if counters::SWAP.get() == 0 {
            return None;
        }
        let mut at = from;
        while let Some((addr, frame, _)) = machine::next_mapped(self.root(), at, to) {
            if is_slot(frame) {
                return Some(addr);
            }
            at = addr.saturating_add(PAGE64);
        }
        None
    }

    /// Brings the pages of a range that are in swap.
    pub(super) fn bring_slots(&self, from: u64, to: u64) -> Result<()> {
        let mut at = from;
        while let Some(page) = self.next_slot(at, to) {
            self.fault(page, Access::Read)?;
            at = page;
        }
        Ok(())
    }
}
