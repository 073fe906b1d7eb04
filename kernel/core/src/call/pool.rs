//! [`Pool`]: the free activations of a portal, a pile for each CPU, and who waits for one.
//!
//! Nothing is lost between the two: a giver puts its activation on a pile and then looks whether somebody waits; a waiter
//! says that it waits and then looks at every pile. The pile's lock orders the two, so one of them sees the other.
//!
//! Each lock is taken alone.

use crate::base::{Pile, Queue, Ref, Spin};
use crate::machine;
use crate::msg::Result;
use crate::thread::{self, Doing, Thread, WAIT, Waiters};
use abi::limit::CPUS;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// The free activations of a portal.
pub(crate) struct Pool {
    free: [Free; CPUS],
    /// How many are on `waiters`, and [`CLOSED`], so that giving back is quick when it is 0.
    care: AtomicU32,
    /// The most urgent first.
    waiters: Spin<Waiters>,
}

/// The portal is closed: what is given back is to be discarded.
const CLOSED: u32 = 1 << 31;

/// A free activations' pile of one CPU.
pub(crate) type Free = Spin<Pile<Thread, WAIT>>;

/// How a wait for an activation ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Waited {
    /// There may be one now.
    Look,
    /// There was none before the time came.
    Late,
}

impl Pool {
    pub(crate) const fn new() -> Pool {
        Pool {
            free: [const { Spin::new(Pile::new()) }; CPUS],
            care: AtomicU32::new(0),
            waiters: Spin::new(Queue::new()),
        }
    }

    #[inline(always)]
    pub(crate) fn here(&self) -> &Free {
        // The mask stands for a check of bounds: no machine starts more CPUs.
        #[expect(clippy::indexing_slicing, reason = "masked to the table's length")]
        &self.free[machine::cpu() & (CPUS - 1)]
    }

    /// Does what was put on a pile need care: does somebody wait for it, or is the portal closed?
    #[inline(always)]
    pub(crate) fn needs_care(&self) -> bool {
        self.care.load(Ordering::Acquire) != 0
    }

    /// The portal is closed.
    pub(crate) fn close(&self) {
        self.care.fetch_or(CLOSED, Ordering::SeqCst);
    }

    /// One from any CPU's pile.
    pub(crate) fn find(&self) -> Option<Ref<Thread>> {
        self.free.iter().find_map(|list| list.lock().pop())
    }

    /// Lets the most urgent waiter look: was there one?
    #[cold]
    pub(crate) fn wake(&self) -> bool {
        let next = self.waiters.lock().pop();
        next.is_some_and(|t| {
            Thread::unpark(&t);
            true
        })
    }

    /// Waits until one may be free, the portal closes, or a time has come.
    pub(crate) fn wait(&self, me: &Ref<Thread>, closed: &AtomicBool, until: u64) -> Result<Waited> {
        let mine = me.priority();
        self.care.fetch_add(1, Ordering::SeqCst);
        self.waiters.lock().insert_before(me.clone(), |t| t.priority() < mine);
        // One that was given back just before we could be seen.
        let any = closed.load(Ordering::Acquire) || self.free.iter().any(|list| !list.lock().is_empty());
        let waited = if any { Ok(()) } else { thread::wait(Doing::Pool, until) };
        let still = self.waiters.lock().remove(me).is_some();
        self.care.fetch_sub(1, Ordering::SeqCst);
        if waited.is_err() && !still {
            // We were told of one and do not take it.
            self.wake();
        }
        waited?;
        Ok(if still && !any && machine::now() >= until { Waited::Late } else { Waited::Look })
    }
}
