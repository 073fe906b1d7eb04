//! Callers that a server made wait: parked on a queue of the portal until a wake, then the request is sent again.
//!
//! Queues are the server's numbers; the kernel keeps one count of wakes for each of 64 buckets of them. A server reads
//! its own count of a bucket's wakes before it looks whether it can answer, and says it with its `Wait`: if a wake
//! came in between, the kernel's count is higher, and the caller asks again at once.

use super::portal::Portal;
use crate::base::{Queue, Ref, Spin};
use crate::msg::Result;
use crate::thread::{self, Doing, Thread, Waiters, current_ref};
use abi::error::Error;
use core::sync::atomic::Ordering;

/// Queue `q` is in bucket `q % BUCKETS`.
const BUCKETS: usize = 64;

struct Bucket {
    /// Wakes so far.
    number: u64,
    waiters: Waiters,
}

/// The buckets of a portal. Each lock is taken alone.
pub(crate) struct Buckets([Spin<Bucket>; BUCKETS]);

impl Buckets {
    pub(crate) const fn new() -> Buckets {
        Buckets([const { Spin::new(Bucket { number: 0, waiters: Queue::new() }) }; BUCKETS])
    }

    #[expect(clippy::indexing_slicing, reason = "masked to the table's length")]
    fn of(&self, queue: u64) -> &Spin<Bucket> {
        &self.0[queue as usize & (BUCKETS - 1)]
    }

    /// The server is gone: everybody asks again and is told.
    pub(crate) fn wake_all(&self) {
        for bucket in &self.0 {
            loop {
                let mut b = bucket.lock();
                b.number = b.number.wrapping_add(1);
                let next = b.waiters.pop();
                drop(b);
                let Some(t) = next else { break };
                Thread::unpark(&t);
            }
        }
    }

    fn wake(&self, queue: u64, n: u64) -> u64 {
        let mut woken = 0u64;
        while woken < n {
            let next = self.of(queue).lock().waiters.take(|t| t.queue.load(Ordering::Relaxed) == queue);
            let Some(t) = next else { break };
            Thread::unpark(&t);
            woken = woken.saturating_add(1);
        }
        woken
    }
}

/// Parks the current thread on a queue if no wake has come since `number`.
#[inline(never)]
pub(super) fn wait(portal: &Ref<Portal>, queue: u64, number: u64) -> Result<()> {
    let me = current_ref();
    me.queue.store(queue, Ordering::Relaxed);
    let bucket = portal.queues.of(queue);
    {
        let mut b = bucket.lock();
        if b.number > number {
            // An interrupted caller must not ask for ever, whatever numbers the server says.
            return thread::interrupted(&me);
        }
        b.waiters.push(me.clone());
    }
    if portal.closed() {
        bucket.lock().waiters.remove(&me);
        return Err(Error::Died.into());
    }
    let waited = thread::wait(Doing::Queue, u64::MAX);
    let still = bucket.lock().waiters.remove(&me).is_some();
    if waited.is_err() && !still {
        // The wake that came is not used here: the next gets it.
        portal.queues.wake(queue, 1);
    }
    waited
}

/// Lets up to `n` callers parked on a queue ask again: how many there were.
pub fn wake(portal: &Portal, queue: u64, n: u64) -> u64 {
    {
        let mut b = portal.queues.of(queue).lock();
        b.number = b.number.wrapping_add(1);
    }
    portal.queues.wake(queue, n)
}
