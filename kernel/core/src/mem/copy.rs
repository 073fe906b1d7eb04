//! A space for a fork: the same attachments and contents, of which as little as can be is copied.

use super::frames::{self, For};
use super::space::{Attachment, END, PAGE64, Space, Use};
use super::swap;
use crate::machine::{self, Frame, Rights};
use crate::msg::Result;
use abi::error::Error;
use abi::limit::PAGE;
use core::sync::atomic::Ordering;

impl Space {
    /// A space with the same attachments and contents; registers of devices are left out. Pages are shared until one
    /// of the two writes them, but those of a wired space are copied at once, and so is what is lent at the moment,
    /// since its borrower may write.
    #[inline(never)]
    pub fn copy(&self) -> Result<Space> {
        let new = Space::new()?;
        let mut state = self.state.lock();
        new.gave.store(self.gave.load(Ordering::Relaxed), Ordering::Relaxed);
        state.not_plain(0, END);
        let state = state;
        let kinds = || state.list.iter().filter(|a| !matches!(a.kind, Use::Device | Use::Activation));
        {
            let mut to = new.state.lock();
            to.heap = state.heap;
            to.list.reserve(state.list.len())?;
            for a in kinds() {
                to.list.push(Attachment { plain: false, ..a.part(a.start, a.end) })?;
            }
            // Each is in the list before its segment knows it, so that the space's end makes the segment forget it.
            for a in to.list.iter() {
                if let Some((segment, map)) = a.map(new.root, false) {
                    segment.attach_again(map)?;
                }
            }
        }
        let mut done = Ok(());
        for a in kinds().filter(|a| a.file.is_none()) {
            let mut gone = a.start;
            while let Some((addr, level)) = self.next_gone(gone, a.end) {
                if !machine::set_gone(new.root, addr, level, true) {
                    return Err(Error::NoMemory.into());
                }
                gone = addr.saturating_add(PAGE64.wrapping_shl(u32::from(level).wrapping_mul(9)));
            }
            let mut at = a.start;
            while let (Ok(()), Some((addr, frame, rights))) =
                (done, machine::next_mapped(self.root, at, a.end))
            {
                done = self.copy_page(&new, addr, frame, rights, state.wired);
                at = addr.saturating_add(PAGE64);
            }
        }
        if !state.wired {
            // Before the lock goes: what this space could write it can't any more.
            self.forget();
        }
        drop(state);
        done.map(|()| new)
    }

    fn copy_page(&self, new: &Space, addr: u64, frame: Frame, rights: Rights, wired: bool) -> Result<()> {
        let writes = rights == Rights::Write;
        let (frame, rights) = if swap::is_slot(frame) {
            (swap::Hold::new(frame)?.keep(), rights)
        } else if wired || writes && frames::shared(frame) || frames::share(frame).is_err() {
            let copy = frames::alloc(For::Program)?;
            machine::copy_frames(copy, 0, frame, 0, PAGE);
            (copy, rights)
        } else if writes {
            machine::map(self.root, addr, frame, Rights::Read);
            (frame, Rights::Read)
        } else {
            (frame, rights)
        };
        if !machine::map(new.root, addr, frame, rights) {
            frames::free(frame);
            return Err(Error::NoMemory.into());
        }
        Ok(())
    }
}
