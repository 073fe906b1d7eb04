//! Touches of a space's pages: what a fault makes, brings or refuses, and what is wired.
//!
//! A page of the space's own appears when it is touched, or at once in a wired space (that of a process with a portal, so
//! that a server never faults on a server); one of a file is brought by its segment, one in swap by the swap file. Whatever
//! calls a server is done with no lock held, and then the touch is tried again ([`Miss`]).

use super::frames::{self, For};
use super::laundry;
use super::pager;
use super::segment::Segment;
use super::space::{END, PAGE64, Space, Use, page_of};
use super::swap;
use crate::base::Ref;
use crate::machine::{self, Frame, Rights};
use crate::msg::{Fail, Result};
use abi::error::Error;
use abi::limit::PAGE;

/// So much of a first stack is wired; more has been used by few servers when they begin to serve.
const WIRED_STACK: u64 = 16 << 10;

/// How a page was touched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Read.
    Read,
    /// Written.
    Write,
    /// Executed.
    Exec,
}

/// Why a touch of a page gave no frame.
#[derive(Debug)]
pub enum Miss {
    /// It may not be touched so, or there is no memory.
    Fail(Fail),
    /// A page of a segment is to be brought.
    Page(Ref<Segment>, u64),
    /// The segment's server has too many dirty pages.
    Dirty(Ref<Segment>),
    /// A page of the space's own is in swap.
    Out(swap::Hold),
}

impl From<Fail> for Miss {
    fn from(e: Fail) -> Miss {
        Miss::Fail(e)
    }
}

impl From<Error> for Miss {
    fn from(e: Error) -> Miss {
        Miss::Fail(e.into())
    }
}

impl Miss {
    /// Brings the page, by calling its server; then the touch of that address of a space is to be tried again.
    fn mend(self, space: &Space, addr: u64) -> Result<()> {
        let done = match self {
            Miss::Out(slot) => swap::bring(space, page_of(addr), slot),
            Miss::Fail(e) => Err(e),
            Miss::Page(segment, page) => pager::page_in(&segment, page, None),
            Miss::Dirty(segment) => laundry::relieve(&segment),
        };
        match done {
            Err(Fail::Known(Error::NoMemory)) => laundry::make_room(For::Program),
            done => done,
        }
    }
}

impl Space {
    /// Serves a fault: makes the page if one belongs there and may be used so, and brings it from its server if need be.
    pub fn fault(&self, addr: u64, access: Access) -> Result<()> {
        loop {
            match self.touch(addr, access, false) {
                Ok(_) => return Ok(()),
                Err(miss) => miss.mend(self, addr)?,
            }
        }
    }

    /// As [`Space::fault`], but calls nobody: what is not here is an error.
    pub fn fault_here(&self, addr: u64, access: Access) -> Result<()> {
        self.resolve(addr, access).map(drop)
    }

    /// The frame of a page, made if it was absent and is the space's own. It stays what it is until this CPU spins,
    /// switches, takes memory or leaves the kernel.
    pub fn resolve(&self, addr: u64, access: Access) -> Result<Frame> {
        let found = machine::lookup(self.root, addr);
        match found {
            Some((frame, rights)) if allowed(rights, access) => Ok(frame),
            _ => match self.touch(addr, access, false) {
                Ok(frame) => Ok(frame),
                Err(Miss::Fail(e)) => Err(e),
                Err(_) => Err(Error::BadAddress.into()),
            },
        }
    }

    /// The frame of a page, brought if need be, with a hold on it: it stays what it is until [`frames::release`].
    pub fn hold(&self, addr: u64, access: Access) -> Result<Frame> {
        loop {
            match self.touch(addr, access, true) {
                Ok(frame) => return Ok(frame),
                Err(miss) => miss.mend(self, addr)?,
            }
        }
    }

    #[inline(never)]
    fn touch(&self, addr: u64, access: Access, hold: bool) -> core::result::Result<Frame, Miss> {
        let state = self.state.lock();
        let page = page_of(addr);
        let found = state.find(addr);
        if let Some((i, a)) = found
            && let Some((segment, map)) = a.map(self.root, state.wired)
            && allowed(a.rights, access)
        {
            return Segment::touch(segment, &map, page, access, hold, state.block(i, addr));
        }
        let mapped = machine::lookup(self.root, addr);
        let frame = match (mapped, found.map(|f| f.1)) {
            (_, Some(a)) if !allowed(a.rights, access) => return Err(Error::BadAddress.into()),
            // What a call lends to an activation is in no attachment.
            (Some((frame, have)), None) if hold && allowed(have, access) => frame,
            (Some((frame, have)), Some(_)) if allowed(have, access) => {
                // Another CPU was first, or this one remembers what was.
                if !hold {
                    machine::flush_page(page);
                }
                frame
            }
            (_, Some(a)) if a.kind == Use::Device => return Err(Error::BadAddress.into()),
            (Some((slot, _)), Some(_)) if swap::is_slot(slot) => {
                return Err(Miss::Out(swap::Hold::new(slot)?));
            }
            (Some((frame, _)), Some(a)) => self.awake(page, frame, a.rights)?,
            (None, Some(a)) => self.make(page, a.rights, For::Program)?,
            _ => return Err(Error::BadAddress.into()),
        };
        if hold {
            frames::share(frame)?;
        }
        Ok(frame)
    }

    /// Maps a page that rests, or that was shared at a fork and is written now. Under the lock.
    pub(super) fn awake(&self, page: u64, frame: Frame, rights: Rights) -> Result<Frame> {
        if rights == Rights::Write {
            return self.unshare(page, frame);
        }
        machine::map(self.root, page, frame, rights);
        Ok(frame)
    }

    /// Makes a page that was shared at a fork this space's own, to be written. Under the lock.
    fn unshare(&self, page: u64, frame: Frame) -> Result<Frame> {
        if !frames::shared(frame) {
            machine::map(self.root, page, frame, Rights::Write);
            machine::flush_page(page);
            return Ok(frame);
        }
        let copy = frames::alloc(For::Program)?;
        machine::copy_frames(copy, 0, frame, 0, PAGE);
        machine::map(self.root, page, copy, Rights::Write);
        self.forget();
        frames::free(frame);
        Ok(copy)
    }

    /// Makes every page now, and those of later attachments when they are attached; files are brought. For processes
    /// with portals.
    pub fn wire(&self) -> Result<()> {
        // First, so that no page goes to swap any more.
        let before = core::mem::replace(&mut self.state.lock().wired, true);
        let done = self.bring_slots(0, END).and_then(|()| self.bring_own());
        if done.is_err() {
            self.state.lock().wired = before;
        }
        done?;
        self.bring()
    }

    /// Makes every page of its own.
    fn bring_own(&self) -> Result<()> {
        let state = self.state.lock();
        for a in state.list.iter().filter(|a| a.kind != Use::Device && a.file.is_none()) {
            // A stack is mostly room that is never used: its pages below the first are made as it grows.
            let depth = if a.kind == Use::Stack { WIRED_STACK } else { u64::MAX };
            self.populate(a.start, a.end, depth, a.rights)?;
        }
        for (segment, map) in state.list.iter().filter_map(|a| a.map(self.root, true)) {
            segment.wire(self.root);
            // Its pages are to have a table of the space's own where the next attachment may end the link.
            machine::unlink(self.root, map.end.saturating_sub(PAGE64));
        }
        self.forget();
        Ok(())
    }

    /// Is it wired?
    pub fn is_wired(&self) -> bool {
        self.state.lock().wired
    }

    /// Brings every page of every file.
    pub fn bring(&self) -> Result<()> {
        let mut at = 0;
        loop {
            let next = self
                .state
                .lock()
                .list
                .iter()
                .find(|a| a.end > at && a.file.is_some())
                .map(|a| (a.start, a.end));
            let Some((start, end)) = next else { return Ok(()) };
            at = at.max(start);
            while at < end {
                self.fault(at, Access::Read)?;
                at = at.saturating_add(PAGE64);
            }
        }
    }

    /// A page that its space may write, and nobody else sees. Under the lock.
    pub(super) fn own_page(&self, page: u64) -> Result<Frame> {
        match machine::lookup(self.root, page) {
            None => self.make(page, Rights::Write, For::Program),
            Some((frame, Rights::Write)) => Ok(frame),
            Some((frame, _)) => self.unshare(page, frame),
        }
    }

    pub(super) fn make(&self, addr: u64, rights: Rights, what: For) -> Result<Frame> {
        if self.gone(addr) {
            return Err(Error::BadAddress.into());
        }
        let frame = frames::zeroed(what)?;
        if machine::map(self.root, addr, frame, rights) {
            return Ok(frame);
        }
        frames::free(frame);
        Err(Error::NoMemory.into())
    }
}

fn allowed(rights: Rights, access: Access) -> bool {
    match access {
        Access::Read => !matches!(rights, Rights::Device | Rights::Out),
        Access::Write => rights == Rights::Write,
        Access::Exec => rights == Rights::Exec,
    }
}
