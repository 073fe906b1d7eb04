//! Giving: whole private pages leave a space and become another's, by their entries in the page tables.
//!
//! [`Space::give`] takes pages out, after which their range is marked gone: a touch is a fault, until other pages are
//! received there or the range is detached. [`Pages`] holds them on the way, and frees what nobody took.
//! [`Space::receive`] puts them in the place of what was there. Where a range covers all that a table of pages maps, and
//! nothing in it can be shared, the table itself goes: 2 MiB or 1 GiB for the price of a page.
//!
//! Long ranges are gone through in pieces, between which others run; so another thread of the same space can see half a
//! range given.

use super::frames::{self, For};
use super::space::{Attachment, PAGE64, Space, State, Use};
use crate::base::List;
use crate::machine::{self, Frame, Rights};
use crate::msg::Result;
use crate::sched;
use abi::error::Error;
use core::sync::atomic::Ordering;

/// Pages that are gone through before others may run.
const PIECE: u64 = 512;
/// Pages that are replaced before the CPUs are made to forget them.
const BATCH: usize = 16;
/// Entries of a table.
const ENTRIES: u64 = 512;
/// The highest table that is given: its pages are 1 GiB.
const HIGHEST: u8 = 2;

/// How many pages lie below an entry of a level.
const fn size(level: u8) -> u64 {
    1u64.wrapping_shl((level as u32).wrapping_mul(9))
}

/// A frame, or the frame of a table of so many levels with all that is below it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Piece {
    /// The page that it begins with, counted from the first.
    at: u64,
    frame: Frame,
    level: u8,
}

/// Pages in a row that are in no space.
#[derive(Debug, Default)]
pub struct Pages {
    /// The next to be taken is the last.
    list: List<Piece>,
    count: u64,
}

/// Frees a frame, or a table with what is below it.
fn discard(frame: Frame, level: u8) {
    if level > 0 {
        for i in 0..ENTRIES {
            if let Some(below) = machine::table_entry(frame, i) {
                discard(below, level.saturating_sub(1));
            }
        }
    }
    frames::free(frame);
}

impl Pages {
    /// How many there were before any was taken.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Makes the frame of the one page that it is another's, by way of somebody who takes the one and brings the other.
    pub fn exchange(&mut self, by: impl FnOnce(Frame) -> Frame) {
        if let Some(piece) = self.list.pop() {
            let frame = by(piece.frame);
            // There is room: that of the one taken out.
            let _ = self.list.push(Piece { frame, ..piece });
        }
    }

    /// Adds one behind the others, which the giver turns round when all are there. There is room: see `give_some`.
    fn push(&mut self, frame: Frame, level: u8) {
        let _ = self.list.push(Piece { at: self.count, frame, level });
        self.count = self.count.saturating_add(size(level));
    }

    /// The frame of a page; none where the giver never touched it, or it has been taken.
    pub fn frame(&self, page: u64) -> Option<Frame> {
        let piece = self.list.get(self.list.partition_point(|p| p.at > page))?;
        let mut frame = piece.frame;
        let offset = page.saturating_sub(piece.at);
        for level in (0..piece.level).rev() {
            frame =
                machine::table_entry(frame, offset.wrapping_shr(u32::from(level).wrapping_mul(9)) % ENTRIES)?;
        }
        Some(frame)
    }

    /// Drops the pages before one.
    pub fn skip(&mut self, page: u64) -> Result<()> {
        while let Some(&piece) = self.list.last().filter(|p| p.at < page) {
            if piece.at.saturating_add(size(piece.level)) <= page {
                self.list.pop();
                discard(piece.frame, piece.level);
            } else {
                self.divide()?;
            }
        }
        Ok(())
    }

    /// The next, divided until it is no larger than `room` and fits the place of a page of number `to`.
    fn next(&mut self, to: u64, room: u64) -> Result<Option<Piece>> {
        while let Some(&piece) = self.list.last() {
            let size = size(piece.level);
            if piece.level == 0 || size <= room && to.is_multiple_of(size) {
                return Ok((room > 0).then_some(piece));
            }
            self.divide()?;
        }
        Ok(None)
    }

    /// Replaces the next piece, a table, by what is below it. What the giver never touched becomes zero pages.
    fn divide(&mut self) -> Result<()> {
        self.list.reserve(ENTRIES as usize)?;
        let Some(&piece) = self.list.last() else { return Ok(()) };
        let level = piece.level.saturating_sub(1);
        for i in 0..ENTRIES {
            if machine::table_entry(piece.frame, i).is_none() {
                // An empty table is a frame of zeroes too.
                machine::set_table_entry(piece.frame, i, frames::zeroed(For::Kernel)?, level);
            }
        }
        self.list.pop();
        for i in (0..ENTRIES).rev() {
            let at = piece.at.saturating_add(i.saturating_mul(size(level)));
            if let Some(frame) = machine::table_entry(piece.frame, i) {
                self.list.push(Piece { at, frame, level })?;
            }
        }
        frames::free(piece.frame);
        Ok(())
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.list.iter().for_each(|p| discard(p.frame, p.level));
    }
}

/// May its pages be given? Memory that programs write and that is theirs alone.
fn own(a: &Attachment) -> bool {
    let kind = matches!(a.kind, Use::Data | Use::Heap | Use::Stack | Use::Segment);
    a.rights == Rights::Write && a.file.is_none() && kind
}

impl Space {
    /// A hold on the frame of a page of its own memory, for somebody who will only read it.
    pub fn share(&self, addr: u64) -> Result<Frame> {
        let state = self.state.lock();
        let found = machine::lookup(self.root(), addr).filter(|_| addr.is_multiple_of(PAGE64));
        let (frame, _) = found.filter(|_| state.at(addr).is_some_and(own)).ok_or(Error::BadAddress)?;
        frames::share(frame).map(|()| frame)
    }

    /// Is all of a range of whole pages attached, the space's own, and not lent or wired?
    fn check(&self, state: &State, addr: u64, count: u64, receives: bool) -> Result<()> {
        let end = count.checked_mul(PAGE64).and_then(|len| addr.checked_add(len)).ok_or(Error::BadAddress)?;
        if !addr.is_multiple_of(PAGE64) {
            return Err(Error::BadArg.into());
        }
        let mut at = addr;
        while at < end {
            let a = state.at(at).ok_or(Error::NoSegment)?;
            if !own(a) {
                return Err(Error::NotOwn.into());
            }
            at = a.end;
        }
        if !receives && (state.wired || self.lent.load(Ordering::SeqCst) != 0) {
            return Err(Error::NotOwn.into());
        }
        Ok(())
    }

    /// Has a range nothing but segments, of which a part may give way to another?
    pub fn is_segments(&self, addr: u64, count: u64) -> bool {
        let Some(end) = count.checked_mul(PAGE64).and_then(|len| addr.checked_add(len)) else { return false };
        let state = self.state.lock();
        let mut at = addr;
        while at < end {
            match state.at(at) {
                Some(a) if a.kind == Use::Segment => at = a.end,
                _ => return false,
            }
        }
        !state.wired
    }

    /// Could a range be given, or be received, right now?
    pub fn may_move(&self, addr: u64, count: u64, receives: bool) -> Result<()> {
        self.check(&self.state.lock(), addr, count, receives)
    }

    /// Takes whole pages out, whose range is gone from then on. All of them or none.
    pub fn give(&self, addr: u64, count: u64) -> Result<Pages> {
        let mut pages = Pages::default();
        let mut at = 0u64;
        while at < count {
            let from = addr.wrapping_add(at.wrapping_mul(PAGE64));
            let some = match self.give_some(from, count.saturating_sub(at), &mut pages) {
                // A page is in swap.
                Ok(0) => self.bring_slots(from, (from | (PIECE * PAGE64 - 1)).saturating_add(1)).map(|()| 0),
                some => some,
            };
            match some {
                Ok(n) => at = at.saturating_add(n),
                Err(e) => {
                    pages.list.reverse();
                    // Where another thread of the space has detached the range meanwhile, they go.
                    let _ = self.receive(addr, &mut pages, at);
                    return Err(e);
                }
            }
            sched::preempt();
        }
        pages.list.reverse();
        Ok(pages)
    }

    /// What is not mapped there is gone from now on. Under the lock.
    fn set_gone(&self, page: u64) {
        self.gave.store(true, Ordering::Relaxed);
        machine::set_gone(self.root(), page, 0, true);
    }

    /// Whole pages are gone from now on, whatever was there.
    pub fn discard(&self, addr: u64, count: u64) -> Result<()> {
        for at in (0..count).step_by(PIECE as usize) {
            let from = addr.wrapping_add(at.wrapping_mul(PAGE64));
            let most = PIECE.min(count.saturating_sub(at));
            let end = from.wrapping_add(most.wrapping_mul(PAGE64));
            let mut state = self.state.lock();
            self.check(&state, from, most, true)?;
            self.free_pages(None, from, end);
            (from..end).step_by(PAGE64 as usize).for_each(|page| self.set_gone(page));
            state.not_plain(from, end);
            drop(state);
            sched::preempt();
        }
        Ok(())
    }

    /// Moves a page, which one call has borrowed and nobody else, to another space in the place of one of its own.
    pub fn hand_over(&self, page: u64, to: &Space, at: u64) -> Result<()> {
        let frame = self.give_borrowed(page)?;
        let state = to.state.lock();
        let old = machine::lookup(to.root(), at).filter(|_| state.at(at).is_some_and(own));
        // Where a page is there is a table.
        let gone = match old {
            Some((old, _)) if machine::map(to.root(), at, frame, Rights::Write) => old,
            _ => frame,
        };
        // A handler's call: its space is loaded. Forgetting all would cost more than the page.
        machine::flush_page(at);
        to.forget_elsewhere();
        frames::free(gone);
        if gone == frame { Err(Error::NotOwn.into()) } else { Ok(()) }
    }

    fn give_borrowed(&self, page: u64) -> Result<Frame> {
        let mut state = self.state.lock();
        let alone = !state.wired && self.lent.load(Ordering::SeqCst) == 1;
        let found = machine::lookup(self.root(), page).filter(|_| state.at(page).is_some_and(own));
        // Its own hold and the call's.
        let may = |f, r| alone && r == Rights::Write && frames::holders(f) == 2;
        let (frame, _) = found.filter(|&(f, r)| may(f, r)).ok_or(Error::NotOwn)?;
        machine::unmap(self.root(), page);
        self.set_gone(page);
        state.not_plain(page, page.wrapping_add(PAGE64));
        self.forget();
        Ok(frame)
    }

    /// Takes out a table, or pages up to where one may begin: how many pages.
    fn give_some(&self, addr: u64, count: u64, to: &mut Pages) -> Result<u64> {
        let mut state = self.state.lock();
        let most = count.min(PIECE.saturating_sub(addr / PAGE64 % ENTRIES));
        to.list.reserve(most as usize)?;
        self.check(&state, addr, most, false)?;
        self.gave.store(true, Ordering::Relaxed);
        for level in (1..=HIGHEST).rev() {
            if size(level) <= count
                && (addr / PAGE64).is_multiple_of(size(level))
                && state
                    .at(addr)
                    .is_some_and(|a| a.plain && a.end.saturating_sub(addr) / PAGE64 >= size(level))
                && self.next_slot(addr, addr.saturating_add(size(level).saturating_mul(PAGE64))).is_none()
                && let Some(table) = machine::take_table(self.root(), addr, level)
            {
                self.forget();
                to.push(table, level);
                return Ok(size(level));
            }
        }
        if self.next_slot(addr, addr.wrapping_add(most.wrapping_mul(PAGE64))).is_some() {
            return Ok(0);
        }
        let range = || (0..most).map(|i| addr.wrapping_add(i.wrapping_mul(PAGE64)));
        // First all that can fail.
        for page in range() {
            let frame = self.own_page(page)?;
            if frames::shared(frame) {
                // Some call has a hold on it.
                return Err(Error::NotOwn.into());
            }
        }
        for page in range() {
            if let Some((frame, _)) = machine::unmap(self.root(), page) {
                to.push(frame, 0);
            }
            self.set_gone(page);
        }
        self.forget();
        state.not_plain(addr, addr.wrapping_add(most.wrapping_mul(PAGE64)));
        Ok(most)
    }

    /// Puts the first pages that have not been taken in the place of what is at an address, so many at most.
    pub fn receive(&self, addr: u64, pages: &mut Pages, most: u64) -> Result<()> {
        let mut at = 0u64;
        while at < most {
            let n = self.receive_some(
                addr.wrapping_add(at.wrapping_mul(PAGE64)),
                pages,
                most.saturating_sub(at),
            )?;
            if n == 0 {
                break;
            }
            at = at.saturating_add(n);
            sched::preempt();
        }
        Ok(())
    }

    fn receive_some(&self, addr: u64, pages: &mut Pages, most: u64) -> Result<u64> {
        let mut old = [(Frame(0), 0u8); BATCH];
        let mut replaced = 0usize;
        let mut done = 0u64;
        let result = {
            let state = self.state.lock();
            loop {
                let Some(slot) = old.get_mut(replaced) else { break Ok(()) };
                let to = addr.wrapping_add(done.wrapping_mul(PAGE64));
                match self.receive_one(&state, to, pages, most.saturating_sub(done), slot) {
                    Ok(0) => break Ok(()),
                    Ok(n) => done = done.saturating_add(n),
                    Err(e) => break Err(e),
                }
                if slot.0 != Frame(0) {
                    replaced = replaced.saturating_add(1);
                }
            }
        };
        self.forget();
        old.iter().take(replaced).for_each(|&(frame, level)| discard(frame, level));
        result.map(|()| done)
    }

    /// One piece, and what it replaces; 0 when there is none.
    fn receive_one(
        &self,
        state: &State,
        to: u64,
        pages: &mut Pages,
        room: u64,
        old: &mut (Frame, u8),
    ) -> Result<u64> {
        let Some(mut piece) = pages.next(to / PAGE64, room)? else { return Ok(0) };
        self.check(state, to, 1, true)?;
        while piece.level > 0 {
            let whole = state.at(to).is_some_and(|a| a.end.saturating_sub(to) / PAGE64 >= size(piece.level));
            let before = if whole { machine::take_table(self.root(), to, piece.level) } else { None };
            if let Some(table) = before {
                *old = (table, piece.level);
            }
            if whole && machine::put_table(self.root(), to, piece.level, piece.frame) {
                pages.list.pop();
                return Ok(size(piece.level));
            }
            pages.divide()?;
            let Some(next) = pages.next(to / PAGE64, room)? else { return Ok(0) };
            piece = next;
        }
        let before = machine::lookup(self.root(), to);
        if !machine::map(self.root(), to, piece.frame, Rights::Write) {
            return Err(Error::NoMemory.into());
        }
        if let Some((frame, _)) = before {
            *old = (frame, 0);
        }
        pages.list.pop();
        Ok(1)
    }
}
