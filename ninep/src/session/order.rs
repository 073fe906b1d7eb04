//! Which request has to wait for which: one queue for each fid that a request in flight names.
//!
//! An access is a request's use or change of one fid. It is admitted once nothing before it in the fid's queue
//! conflicts: a use waits for changes, a change for everything. A request starts when all its accesses (two at
//! most) are admitted. Requests enter their queues in the order of arrival, so none can wait in a circle.

use crate::{Fid, Touches};
use alloc::collections::{BTreeMap, VecDeque};

/// A request in flight, numbered in the order of arrival.
pub(crate) type Id = u64;

#[derive(Debug)]
struct Access {
    id: Id,
    change: bool,
    admitted: bool,
}

/// The queues. A fid without accesses has none.
#[derive(Debug)]
pub(crate) struct Order {
    fids: BTreeMap<Fid, VecDeque<Access>>,
}

impl Order {
    /// No queues.
    pub(crate) const fn new() -> Self {
        Order { fids: BTreeMap::new() }
    }

    /// Enters a request's accesses: how many of them have to wait.
    pub(crate) fn enter(&mut self, id: Id, touches: &Touches) -> u8 {
        let mut waits = 0u8;
        for (fid, change) in touches.iter().copied().flatten() {
            let queue = self.fids.entry(fid).or_default();
            let admitted = match change {
                true => queue.is_empty(),
                // Behind a change that waits or runs, uses wait; what waits is at the end.
                false => queue.back().is_none_or(|last| !last.change && last.admitted),
            };
            waits = waits.saturating_add(u8::from(!admitted));
            queue.push_back(Access { id, change, admitted });
        }
        waits
    }

    /// Takes a request's accesses away, and tells the request of every access that is admitted by that.
    pub(crate) fn leave(&mut self, id: Id, touches: &Touches, mut admit: impl FnMut(Id)) {
        for (fid, _) in touches.iter().copied().flatten() {
            let Some(queue) = self.fids.get_mut(&fid) else { continue };
            queue.retain(|a| a.id != id);
            if queue.is_empty() {
                self.fids.remove(&fid);
                continue;
            }
            let mut first = true;
            for access in queue {
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
        self.fids.clear();
    }
}
