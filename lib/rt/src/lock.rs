//! The lock of programs and servers: one atomic when free, a kernel semaphore when not.
#![allow(unsafe_code, reason = "implements a raw lock")]

use crate::sys;
use core::sync::atomic::{AtomicI32, AtomicU32, Ordering};

/// A lock that sleeps in the kernel while another process, thread or activation has it. Not recursive.
#[derive(Debug)]
pub struct RawLock {
    /// How many hold or want it.
    users: AtomicU32,
    /// Passed from the holder to one that waits.
    turn: AtomicI32,
}

impl RawLock {
    /// A free lock.
    pub const fn new() -> RawLock {
        RawLock { users: AtomicU32::new(0), turn: AtomicI32::new(0) }
    }
}

impl Default for RawLock {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: `users` goes from 0 to 1 for exactly one locker, which enters; each other counts itself and waits for a
// `turn`, of which an unlock makes exactly one if it finds others counted. So one at a time is inside.
unsafe impl lock_api::RawMutex for RawLock {
    const INIT: RawLock = RawLock::new();
    type GuardMarker = lock_api::GuardSend;

    #[inline]
    fn lock(&self) {
        if self.users.fetch_add(1, Ordering::Acquire) == 0 {
            return;
        }
        // A note may interrupt the wait; the turn is still to come.
        while sys::semacquire(&self.turn, -1) != Some(1) {}
    }

    #[inline]
    fn try_lock(&self) -> bool {
        self.users.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    #[inline]
    unsafe fn unlock(&self) {
        if self.users.fetch_sub(1, Ordering::Release) != 1 {
            // Only a bad address could fail here.
            let _ = sys::semrelease(&self.turn, 1);
        }
    }
}

/// A lock and what it guards.
pub type Mutex<T> = lock_api::Mutex<RawLock, T>;
/// Proof that a [`Mutex`] is held.
pub type MutexGuard<'a, T> = lock_api::MutexGuard<'a, RawLock, T>;
