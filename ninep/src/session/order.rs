//! Which request has to wait for which: the accesses of all requests in flight, in the order of arrival.
//!
//! An access is a request's use or change of one fid; those of one fid are its queue. An access is admitted once nothing
//! before it in the queue conflicts: a use waits for changes, a change for everything. A request starts when all
//! its accesses (two at most) are admitted. Requests enter in the order of arrival, so none can wait in a circle.
//!
//! The queues lie in one list, which is searched: seldom is more than a handful of requests in flight, and a list can
//! be made longer beforehand, so that nothing here needs memory when it has none.

use crate::{Fid, Touches};
use abi::error::Error as Reason;
use alloc::vec::Vec;

/// A request in flight, numbered in the order of arrival.
pub(crate) type Id = u64;

#[derive(Debug)]
struct Access {
    fid: Fid,
    id: Id,
    change: bool,
    admitted: bool,
}

/// The queues.
#[derive(Debug)]
pub(crate) struct Order {
    list: Vec<Access>,
}

impl Order {
    /// No queues.
    pub(crate) const fn new() -> Self {
        Order { list: Vec::new() }
    }

    /// Makes room for another request's accesses.
    pub(crate) fn reserve(&mut self) -> Result<(), Reason> {
        self.list.try_reserve(2).map_err(|_| Reason::NoMemory)
    }

    /// Enters a request's accesses, for which there is room: how many of them have to wait.
    pub(crate) fn enter(&mut self, id: Id, touches: &Touches) -> u8 {
        let mut waits = 0u8;
        for (fid, change) in touches.iter().copied().flatten() {
            let last = self.list.iter().rfind(|a| a.fid == fid);
            // Behind a change that waits or runs, uses wait; what waits is at the end.
            let admitted = last.is_none_or(|last| !change && !last.change && last.admitted);
            waits = waits.saturating_add(u8::from(!admitted));
            self.list.push(Access { fid, id, change, admitted });
        }
        waits
    }

    /// Takes a request's accesses away, and tells the request of every access that is admitted by that.
    pub(crate) fn leave(&mut self, id: Id, touches: &Touches, mut admit: impl FnMut(Id)) {
        for (fid, _) in touches.iter().copied().flatten() {
            self.list.retain(|a| a.fid != fid || a.id != id);
            let mut first = true;
            for access in self.list.iter_mut().filter(|a| a.fid == fid) {
                if access.change && !first {
                    break;
                }
                if !access.admitted {
                    access.admitted = true;
                    admit(access.id);
                }
                if access.change {
                    break;
                }
                first = false;
            }
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.list.clear();
    }
}
