//! Callers that a server made wait: parked on a queue of the portal until a wake, then the request is sent again.
//!
//! Queues are the server's numbers, in 64 buckets by their last bits. The kernel counts the wakes of a portal and notes
//! the count when it enters a call: if a wake came while the server made up its mind to answer `Wait`, the caller asks
//! again at once. So a server need not count, and no wake is lost.

use super::portal::Portal;
use crate::base::{Queue, Ref, Spin};
use crate::msg::Result;
use crate::thread::{self, Doing, Thread, Waiters, current_ref};
use abi::error::Error;
use core::sync::atomic::{AtomicU64, Ordering};

/// Queue `q` is in bucket `q % BUCKETS`.
const BUCKETS: usize = 64;

/// The buckets of a portal. Each lock is taken alone.
pub(crate) struct Buckets {
    /// Wakes so far, of all queues.
    wakes: AtomicU64,
    buckets: [Spin<Waiters>; BUCKETS],
}

impl Buckets {
    pub(crate) const fn new() -> Buckets {
        Buckets { wakes: AtomicU64::new(0), buckets: [const { Spin::new(Queue::new()) }; BUCKETS] }
    }

    #[expect(clippy::indexing_slicing, reason = "masked to the table's length")]
    fn of(&self, queue: u64) -> &Spin<Waiters> {
        &self.buckets[queue as usize & (BUCKETS - 1)]
    }

    /// The count of wakes, to be noted before a call enters the server.
    #[inline]
    pub(super) fn wakes(&self) -> u64 {
        self.wakes.load(Ordering::SeqCst)
    }

    /// The server is gone: everybody asks again and is told.
    pub(crate) fn wake_all(&self) {
        self.wakes.fetch_add(1, Ordering::SeqCst);
        for bucket in &self.buckets {
            loop {
                let next = bucket.lock().pop();
                let Some(t) = next else { break };
                Thread::unpark(&t);
            }
        }
    }

    fn wake(&self, queue: u64, n: u64) -> u64 {
        let mut woken = 0u64;
        while woken < n {
            let next = self.of(queue).lock().take(|t| t.queue.load(Ordering::Relaxed) == queue);
            let Some(t) = next else { break };
            Thread::unpark(&t);
            woken = woken.saturating_add(1);
        }
        woken
    }
}

/// Parks the current thread on a queue if the count of wakes is still `wakes`.
#[inline(never)]
pub(super) fn wait(portal: &Ref<Portal>, queue: u64, wakes: u64) -> Result<()> {
    let me = current_ref();
    me.queue.store(queue, Ordering::Relaxed);
    let bucket = portal.queues.of(queue);
    {
        let mut waiters = bucket.lock();
        if portal.queues.wakes() != wakes {
            // A caller that is interrupted asks no more, however often the server wakes.
            return thread::interrupted(&me);
        }
        waiters.push(me.clone());
    }
    if portal.closed() {
        bucket.lock().remove(&me);
        return Err(Error::Died.into());
    }
    *me.waits_for.lock() = Some(portal.clone());
    let waited = thread::wait(Doing::Queue, u64::MAX);
    let done = me.waits_for.lock().take();
    drop(done);
    let still = bucket.lock().remove(&me).is_some();
    if waited.is_err() && !still {
        // The wake that came is not used here: the next gets it.
        portal.queues.wake(queue, 1);
    }
    waited
}

/// Lets up to `n` callers parked on a queue ask again: how many there were.
pub fn wake(portal: &Portal, queue: u64, n: u64) -> u64 {
    portal.queues.wakes.fetch_add(1, Ordering::SeqCst);
    portal.queues.wake(queue, n)
}
