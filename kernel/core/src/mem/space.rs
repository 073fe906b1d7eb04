//! [`Space`]: what a process can address, as an ordered list of attachments over the machine's page tables.
//!
//! The page tables are the only record of which page is where; an attachment says what an absent page of its range
//! means: what a touch makes of it is in `fault`, what a fork does in `copy`, what is given away in `give`, what goes to swap
//! in `swap`. Processes that share all memory share the space.
//!
//! After a fork two spaces share the pages that were private, each mapped without the right to write in an attachment
//! that has it; a frame knows how many hold it. Who writes first copies, who is left alone writes in place.
//!
//! A space may be loaded on several CPUs. What is taken out of it is given back only after [`shootdown`], and a frame
//! that [`Space::resolve`] found stays what it is until this CPU next spins, switches or leaves the kernel.

use super::dma;
use super::fault::Access;
use super::frames::{self, For, Fresh};
use super::pager;
use super::pages::LEAF;
use super::segment::{Map, Segment, User};
use super::shootdown;
use super::swap;
use crate::base::{List, Ref, Spin};
use crate::machine::{self, Frame, Rights, Root};
use crate::msg::Result;
use crate::name::File;
use abi::error::Error;
use abi::limit::{PAGE, TEXT, USER_END};
use abi::portal::{ACTIVATIONS, ACTIVATIONS_END};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

pub(super) const PAGE64: u64 = PAGE as u64;
/// No attachment reaches the last page, so that no user address but one is followed by a non-user one.
pub(super) const END: u64 = USER_END - PAGE64;
/// What one table of pages maps.
pub(super) const BLOCK: u64 = LEAF * PAGE64;
/// Where attachments go that name no address.
const ANYWHERE: u64 = 0x10_0000_0000;
/// How many frames are taken out before the CPUs are made to forget them.
const BATCH: usize = 64;

/// What a range is for, as /proc shows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Use {
    /// The program's code and constants.
    Text,
    /// The program's variables.
    Data,
    /// What brk grows.
    Heap,
    /// The first thread's stack.
    Stack,
    /// Attached by system call.
    Segment,
    /// Of a portal's activation.
    Activation,
    /// Registers of a device or memory that a device knows: the frames are `#hw`'s.
    Device,
}

/// A range of a space.
#[derive(Debug)]
pub struct Attachment {
    /// First address.
    pub start: u64,
    /// First address beyond it; both are multiples of the page size.
    pub end: u64,
    /// What may be done there.
    pub rights: Rights,
    /// What it is for.
    pub kind: Use,
    /// None of its pages was ever shared by a fork or given away one by one: its tables may travel whole.
    pub(super) plain: bool,
    /// The file that is attached, and the page of it at `start`; none for memory of the space's own.
    pub file: Option<(User, u64)>,
}

impl Attachment {
    /// The same range and contents for another space, or a part of it.
    pub(super) fn part(&self, start: u64, end: u64) -> Attachment {
        let skip = start.saturating_sub(self.start) / PAGE64;
        let file = self.file.as_ref().map(|(user, first)| (user.again(), first.saturating_add(skip)));
        Attachment { start, end, file, ..*self }
    }

    /// As its segment knows it.
    pub(super) fn map(&self, root: Root, wired: bool) -> Option<(&Ref<Segment>, Map)> {
        let (user, first) = self.file.as_ref()?;
        let map = Map { root, start: self.start, end: self.end, first: *first, rights: self.rights, wired };
        Some((user.segment(), map))
    }
}

#[derive(Debug)]
pub(super) struct State {
    /// In order of address; none overlap.
    pub(super) list: List<Attachment>,
    /// New memory is made at once instead of when it is touched.
    pub(super) wired: bool,
    /// Where the heap starts; its attachment, when there is one, starts here.
    pub(super) heap: u64,
    /// From [`ANYWHERE`] up to here there is no hole.
    packed: u64,
    /// Behind the page that came from swap last.
    pub(super) brought: u64,
}

/// An address space. Shared by the processes that share memory, by `Ref`.
#[derive(Debug)]
pub struct Space {
    pub(super) root: Root,
    /// CPUs that have loaded it at any time.
    cpus: AtomicU32,
    /// Calls that have pages of it lent. Nothing is detached meanwhile.
    pub(super) lent: AtomicU32,
    /// Pages have been given away from here: until then nothing is marked gone. Changed under the lock.
    pub(super) gave: AtomicBool,
    pub(super) state: Spin<State>,
}

pub(super) fn page_of(addr: u64) -> u64 {
    addr & !(PAGE64 - 1)
}

/// Does a range meet the activations' places, which are the kernel's to use?
pub(crate) fn is_activations(start: u64, end: u64) -> bool {
    start < ACTIVATIONS_END && end > ACTIVATIONS
}

/// The whole pages of a range, if programs may have them all.
fn pages(addr: u64, len: u64) -> Result<(u64, u64)> {
    let end = addr.checked_add(len).and_then(|e| e.checked_next_multiple_of(PAGE64)).ok_or(Error::BadArg)?;
    if len == 0 || page_of(addr) != addr || addr < PAGE64 || end > END {
        return Err(Error::BadArg.into());
    }
    Ok((addr, end))
}

impl State {
    pub(super) fn at(&self, addr: u64) -> Option<&Attachment> {
        self.find(addr).map(|(_, a)| a)
    }

    /// The attachment at an address, and its number.
    pub(super) fn find(&self, addr: u64) -> Option<(usize, &Attachment)> {
        let i = self.list.partition_point(|a| a.end <= addr);
        self.list.get(i).filter(|a| a.start <= addr).map(|a| (i, a))
    }

    /// The 2 MiB around an address, if they begin in its attachment, which is the one of number `i`, and no other is in them.
    pub(super) fn block(&self, i: usize, addr: u64) -> Option<u64> {
        let block = addr & !(BLOCK - 1);
        let begins = self.list.get(i).is_some_and(|a| a.start <= block);
        let next = self.list.get(i.saturating_add(1)).map_or(END, |a| a.start);
        // Where activations are pages may be lent.
        (begins && block.saturating_add(BLOCK) <= next.min(ACTIVATIONS)).then_some(block)
    }

    /// Pages of a range leave it one by one.
    pub(super) fn not_plain(&mut self, start: u64, end: u64) {
        let first = self.list.partition_point(|a| a.end <= start);
        self.list.iter_mut().skip(first).take_while(|a| a.start < end).for_each(|a| a.plain = false);
    }

    /// Makes one attachment of the one that begins at an address and its neighbours that are the same kind of memory: what
    /// is taken out and put back page by page stays one.
    fn join(&mut self, start: u64) {
        let i = self.list.partition_point(|a| a.end <= start);
        let joins = |a: &Attachment| a.kind == Use::Segment && a.file.is_none();
        for at in [i.saturating_add(1), i] {
            let Some(new) = self.list.get(at).filter(|a| joins(a)) else { continue };
            let (start, end, rights, plain) = (new.start, new.end, new.rights, new.plain);
            let before = at.checked_sub(1).and_then(|at| self.list.get_mut(at));
            if let Some(before) = before.filter(|b| joins(b) && (b.end, b.rights) == (start, rights)) {
                before.end = end;
                before.plain &= plain;
                self.list.remove(at);
            }
        }
    }

    /// The lowest hole of a length, above [`ANYWHERE`]; for pages of a file from one on so that its tables can be linked.
    fn hole(&mut self, len: u64, first: Option<u64>) -> Result<u64> {
        let fits = first.filter(|_| !self.wired || len >= BLOCK);
        let (skew, mask) = fits.map_or((0, 0), |page| (page.wrapping_mul(PAGE64), BLOCK - 1));
        let fit = |at: u64| at.wrapping_add(skew.wrapping_sub(at) & mask);
        let mut at = self.packed;
        let mut packed = true;
        let first = self.list.partition_point(|a| a.end < at);
        for a in self.list.iter().skip(first) {
            if a.start.checked_sub(fit(at)).is_some_and(|room| room >= len) {
                break;
            }
            packed &= a.start <= at;
            // A page stays free between neighbours: it catches who runs over the end. Behind a file all of its table does.
            let end = if a.file.is_some() { a.end | (BLOCK - 1) } else { a.end };
            at = at.max(end.saturating_add(PAGE64) & !(PAGE64 - 1));
            if packed {
                self.packed = at;
            }
        }
        let at = fit(at);
        if at.saturating_add(len) > ACTIVATIONS {
            return Err(Error::NoMemory.into());
        }
        Ok(at)
    }
}

impl Space {
    /// An empty space.
    pub fn new() -> Result<Space> {
        let root = machine::new_root().ok_or(Error::NoMemory)?;
        let state = State { list: List::new(), wired: false, heap: TEXT, packed: ANYWHERE, brought: 0 };
        let (cpus, lent) = (AtomicU32::new(0), AtomicU32::new(0));
        Ok(Space { root, cpus, lent, gave: AtomicBool::new(false), state: Spin::new(state) })
    }

    /// A call begins or ends to have pages of it lent.
    pub fn lending(&self, begins: bool) {
        if begins {
            // Under the lock, so that no detaching that did not see it is under way afterwards.
            let _state = self.state.lock();
            self.lent.fetch_add(1, Ordering::SeqCst);
        } else {
            self.lent.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Its page tables.
    pub fn root(&self) -> Root {
        self.root
    }

    /// Notes that this CPU is about to have it loaded. Whoever loads the root otherwise than by [`Space::load`] calls
    /// this first.
    #[inline]
    pub fn mark(&self) {
        let me = 1u32 << machine::cpu();
        if self.cpus.load(Ordering::Relaxed) & me == 0 {
            // Before the load, as seen by whoever changes the tables and then reads the mask.
            self.cpus.fetch_or(me, Ordering::SeqCst);
        }
    }

    /// Loads it on this CPU.
    #[inline]
    pub fn load(&self) {
        self.mark();
        machine::load(self.root);
    }

    /// Attaches new memory, at an address or, with 0, anywhere: where. The length is rounded up to pages.
    pub fn attach(&self, addr: u64, len: u64, rights: Rights, kind: Use) -> Result<u64> {
        let mut state = self.state.lock();
        let (start, end) = self.insert(&mut state, (addr, len), rights, kind, None)?;
        if state.wired || kind == Use::Activation {
            let made = self.populate(start, end, u64::MAX, rights);
            if made.is_err() {
                self.take_out(&mut state, start, end);
            }
            made?;
        }
        state.join(start);
        Ok(start)
    }

    /// Attaches pages of a segment, from one on, at an address or, with 0, anywhere: where. In a wired space they are
    /// still to be brought, see [`Space::bring`].
    pub fn attach_file(
        &self,
        at: (u64, u64),
        rights: Rights,
        kind: Use,
        (user, first): (User, u64),
        file: &Ref<File>,
    ) -> Result<u64> {
        let mut state = self.state.lock();
        let segment = user.segment().clone();
        let (start, end) = self.insert(&mut state, at, rights, kind, Some((user, first)))?;
        let map = Map { root: self.root, start, end, first, rights, wired: state.wired };
        if let Err(e) = segment.attach(map, file) {
            state.list.retain(|a| a.start != start);
            state.packed = ANYWHERE;
            return Err(e);
        }
        Ok(start)
    }

    /// Attaches the registers of a device, or memory that a device knows: where.
    pub fn attach_device(&self, first: Frame, count: u64, rights: Rights) -> Result<u64> {
        let mut state = self.state.lock();
        let len = count.checked_mul(PAGE64).ok_or(Error::BadArg)?;
        let (start, end) = self.insert(&mut state, (0, len), rights, Use::Device, None)?;
        let frames = (0..count).map(|i| Frame(first.0.saturating_add(i)));
        for (addr, frame) in (start..end).step_by(PAGE).zip(frames) {
            if !machine::map(self.root, addr, frame, rights) {
                self.take_out(&mut state, start, end);
                return Err(Error::NoMemory.into());
            }
        }
        Ok(start)
    }

    /// Adds an attachment at an address or, with 0, anywhere: its first address, and the first behind it.
    pub(super) fn insert(
        &self,
        state: &mut State,
        (addr, len): (u64, u64),
        rights: Rights,
        kind: Use,
        file: Option<(User, u64)>,
    ) -> Result<(u64, u64)> {
        let addr = if addr == 0 { state.hole(len, file.as_ref().map(|f| f.1))? } else { addr };
        let (start, end) = pages(addr, len)?;
        // There calls lend pages, which no attachment covers.
        if kind != Use::Activation && is_activations(start, end) {
            return Err(Error::Overlap.into());
        }
        let i = state.list.partition_point(|a| a.end <= start);
        if state.list.get(i).is_some_and(|a| a.start < end) {
            return Err(Error::Overlap.into());
        }
        let before = i.checked_sub(1).and_then(|i| state.list.get(i));
        let meets = before.is_some_and(|a| a.file.is_some() && a.end > start & !(BLOCK - 1));
        state.list.insert(i, Attachment { start, end, rights, kind, plain: file.is_none(), file })?;
        // A file that ends in the same 2 MiB can't have its table linked there any more.
        if meets && machine::unlink(self.root, start) {
            self.forget();
        }
        Ok((start, end))
    }

    /// Puts filled frames where nothing is mapped yet, in an attachment that starts at or below `addr`; those that are
    /// beyond `end` are given back.
    pub(super) fn place(&self, addr: u64, end: u64, rights: Rights, fresh: Fresh) -> Result<()> {
        let mut addr = addr;
        let mut done = Ok(());
        for frame in fresh.take() {
            if addr >= end || done.is_err() {
                frames::free(frame);
            } else if !machine::map(self.root, addr, frame, rights) {
                frames::free(frame);
                done = Err(Error::NoMemory.into());
            }
            addr = addr.saturating_add(PAGE64);
        }
        done
    }

    /// Makes the absent pages of a range, which lies in an attachment, up to so many bytes below its end, and those its own
    /// that are shared since a fork.
    pub(super) fn populate(&self, start: u64, end: u64, depth: u64, rights: Rights) -> Result<()> {
        for addr in (start..end).step_by(PAGE) {
            match machine::lookup(self.root, addr) {
                None if end.saturating_sub(addr) > depth || self.gone(addr) => {}
                None => self.make(addr, rights, For::Kernel).map(drop)?,
                Some((frame, have)) if have != rights => self.awake(addr, frame, rights).map(drop)?,
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Was the page given away?
    pub(super) fn gone(&self, addr: u64) -> bool {
        self.next_gone(addr, addr.saturating_add(PAGE64)).is_some()
    }

    /// The first place of a range that is marked gone, and the level of the mark.
    pub(super) fn next_gone(&self, from: u64, to: u64) -> Option<(u64, u8)> {
        match self.gave.load(Ordering::Relaxed) {
            true => machine::next_gone(self.root, from, to),
            false => None,
        }
    }

    /// Detaches whole attachments, or parts of them.
    pub fn detach(&self, addr: u64, len: u64) -> Result<()> {
        let (start, end) = pages(addr, len)?;
        let mut state = self.state.lock();
        if state.at(start).is_none() || state.at(end.saturating_sub(1)).is_none() {
            return Err(Error::NoSegment.into());
        }
        self.cut(&mut state, start, end)
    }

    /// Takes a range out of the list, which may split an attachment, and then out of the tables.
    fn cut(&self, state: &mut State, start: u64, end: u64) -> Result<()> {
        if self.lent.load(Ordering::SeqCst) != 0 {
            return Err(Error::Exclusive.into());
        }
        // At most one attachment is split, into one more; the others go one by one.
        state.list.reserve(1)?;
        state.packed = state.packed.min(start).max(ANYWHERE);
        let mut i = state.list.partition_point(|a| a.end <= start);
        while let Some(a) = state.list.get(i).filter(|a| a.start < end) {
            let before = (a.start, a.end.min(start));
            let after = (a.start.max(end), a.end);
            // Unmapped first: what a segment does not know to be mapped it may free.
            self.free_pages(Some(a), a.start.max(start), a.end.min(end));
            if let Some((segment, map)) = a.map(self.root, state.wired) {
                segment.cut(self.root, map.start, &[before, after])?;
            }
            // A segment that nobody uses any more closes its file, which the reaper does later.
            let Some(gone) = state.list.remove(i) else { break };
            for (start, end) in [before, after].into_iter().filter(|r| r.0 < r.1) {
                state.list.insert(i, gone.part(start, end))?;
                i = i.saturating_add(1);
            }
        }
        Ok(())
    }

    /// Undoes an attachment that was just made.
    fn take_out(&self, state: &mut State, start: u64, end: u64) {
        self.free_pages(state.at(start), start, end);
        state.packed = ANYWHERE;
        if let Some(at) = state.list.iter().position(|a| a.start == start) {
            state.list.remove(at);
        }
    }

    /// Unmaps a range, of one attachment or of several of the space's own memory, and gives the frames back, all but those
    /// of devices and of segments.
    pub(super) fn free_pages(&self, whose: Option<&Attachment>, start: u64, end: u64) {
        let device = whose.is_some_and(|a| a.kind == Use::Device);
        if whose.is_some_and(|a| a.file.is_some()) {
            // Its pages are the segment's.
            if machine::clear(self.root, start, end) {
                self.forget();
            }
            return;
        }
        let mut batch = [Frame(0); BATCH];
        let mut at = start;
        while at < end {
            let mut slots = batch.iter_mut();
            let mut count = 0usize;
            let mut unmapped = false;
            while slots.len() > 0 {
                let Some((addr, frame, _)) = machine::take_mapped(self.root, at, end) else {
                    at = end;
                    break;
                };
                at = addr.saturating_add(PAGE64);
                unmapped = true;
                if device {
                    dma::unmapped(frame);
                } else if let Some(slot) = slots.next() {
                    *slot = frame;
                    count = count.saturating_add(1);
                }
            }
            if unmapped {
                self.forget();
            }
            batch.iter().take(count).for_each(|&f| frames::free(f));
        }
        self.forget_gone(start, end);
    }

    /// What is attached in a range from now on is not gone.
    fn forget_gone(&self, start: u64, end: u64) {
        let mut at = start;
        while let Some((addr, level)) = self.next_gone(at, end) {
            let size = PAGE64.wrapping_shl(u32::from(level).wrapping_mul(9));
            let whole = addr.is_multiple_of(size) && end.saturating_sub(addr) >= size;
            // A larger mark of which a part goes is divided; without memory for that it stays.
            let level = if whole { level } else { 0 };
            machine::set_gone(self.root, addr, level, false);
            at = addr.saturating_add(if whole { size } else { PAGE64 });
        }
    }

    /// Makes every CPU that may know translations of this space forget them.
    pub fn forget(&self) {
        machine::flush(self.root);
        self.forget_elsewhere();
    }

    /// The same for all but this CPU.
    pub(super) fn forget_elsewhere(&self) {
        shootdown::others(self.cpus.load(Ordering::SeqCst));
    }

    /// Says where the heap is to start; exec does.
    pub(super) fn set_heap(&self, addr: u64) {
        self.state.lock().heap = addr;
    }

    /// Moves the heap's end, rounded up to pages; 0 asks. Returns the end.
    pub fn brk(&self, to: u64) -> Result<u64> {
        let mut state = self.state.lock();
        let heap = state.heap;
        let old = state.at(heap).filter(|a| a.kind == Use::Heap).map_or(heap, |a| a.end);
        if to == 0 || to == old {
            return Ok(old);
        }
        let end =
            to.checked_next_multiple_of(PAGE64).filter(|&e| to >= heap && e <= END).ok_or(Error::BadArg)?;
        if end < old {
            self.cut(&mut state, end, old)?;
            return Ok(end);
        }
        if end > old {
            let i = state.list.partition_point(|a| a.end <= old);
            if state.list.get(i).is_some_and(|a| a.start < end) {
                return Err(Error::Overlap.into());
            }
            if old == heap {
                self.insert(&mut state, (heap, end.saturating_sub(heap)), Rights::Write, Use::Heap, None)?;
            } else if let Some(a) = state.list.get_mut(i.saturating_sub(1)) {
                a.end = end;
            }
            if state.wired
                && let Err(e) = self.populate(old, end, u64::MAX, Rights::Write)
            {
                self.cut(&mut state, old, end)?;
                return Err(e);
            }
        }
        Ok(end)
    }

    /// Writes what has been written to files in a range back to their servers.
    pub fn flush(&self, addr: u64, len: u64) -> Result<()> {
        let (start, end) = pages(addr, len)?;
        let mut at = start;
        loop {
            let next = {
                let state = self.state.lock();
                let first = state.list.partition_point(|a| a.end <= at);
                let mut rest = state.list.iter().skip(first).take_while(|a| a.start < end);
                let found = rest.find(|a| a.rights == Rights::Write && a.file.is_some());
                found.and_then(|a| Some((a.end, a.file.as_ref()?.0.again())))
            };
            let Some((next, user)) = next else { return Ok(()) };
            pager::flush(user.segment())?;
            at = next;
        }
    }

    /// Writes to a space that need not be the loaded one, making pages as needed.
    pub fn write(&self, addr: u64, mut from: &[u8]) -> Result<()> {
        let mut at = addr;
        while !from.is_empty() {
            let offset = (at & (PAGE64 - 1)) as usize;
            let n = from.len().min(PAGE.saturating_sub(offset));
            let (now, rest) = from.split_at_checked(n).unwrap_or((from, &[]));
            let frame = self.resolve(at, Access::Write)?;
            machine::write_frame(frame, offset, now);
            at = at.checked_add(n as u64).ok_or(Error::BadAddress)?;
            from = rest;
        }
        Ok(())
    }

    /// Reads from a space that need not be the loaded one.
    pub fn read(&self, addr: u64, mut to: &mut [u8]) -> Result<()> {
        let mut at = addr;
        while !to.is_empty() {
            let offset = (at & (PAGE64 - 1)) as usize;
            let n = to.len().min(PAGE.saturating_sub(offset));
            let Some((now, rest)) = to.split_at_mut_checked(n) else { break };
            let frame = self.resolve(at, Access::Read)?;
            machine::read_frame(frame, offset, now);
            at = at.checked_add(n as u64).ok_or(Error::BadAddress)?;
            to = rest;
        }
        Ok(())
    }

    /// Puts a frame of somebody else at an address of an activation's window, which no attachment covers. False
    /// without memory for tables.
    pub fn lend(&self, addr: u64, frame: Frame, rights: Rights) -> bool {
        machine::map(self.root, addr, frame, rights)
    }

    /// Takes a lent frame out again. The caller calls [`Space::forget`], once for all, before the frame's owner may
    /// free it.
    pub fn unlend(&self, addr: u64) -> Option<Frame> {
        machine::unmap(self.root, addr).map(|(f, _)| f)
    }

    /// The attachments, in order.
    pub fn each(&self, mut f: impl FnMut(&Attachment)) {
        self.state.lock().list.iter().for_each(&mut f);
    }

    /// Bytes that are there.
    pub fn resident(&self) -> u64 {
        let state = self.state.lock();
        let mut bytes = 0u64;
        for a in state.list.iter() {
            let mut at = a.start;
            while let Some((addr, frame, _)) = machine::next_mapped(self.root, at, a.end) {
                bytes = bytes.saturating_add(if swap::is_slot(frame) { 0 } else { PAGE64 });
                at = addr.saturating_add(PAGE64);
            }
        }
        bytes
    }
}

impl Drop for Space {
    /// No CPU runs in it any more. One that still has it loaded, idle, is made to leave it.
    fn drop(&mut self) {
        machine::leave(self.root);
        let list = self.state.get_mut().list.take();
        for a in list.iter() {
            // A segment's pages are its own; once it has forgotten the attachment nobody looks at them here.
            if let Some((segment, map)) = a.map(self.root, false) {
                // With nothing left of it that needs no memory.
                let _ = segment.cut(self.root, map.start, &[]);
                continue;
            }
            let mut at = a.start;
            while let Some((addr, frame, _)) = machine::take_mapped(self.root, at, a.end) {
                match a.kind {
                    Use::Device => dma::unmapped(frame),
                    _ => frames::free(frame),
                }
                at = addr.saturating_add(PAGE64);
            }
        }
        machine::free_root(self.root);
    }
}
