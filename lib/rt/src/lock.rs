//! The lock of programs and servers: one atomic when free, a kernel semaphore when not.
#![allow(unsafe_code, reason = "implements a raw lock")]

use crate::sys;
use core::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use lock_api::RawMutex;

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
unsafe impl RawMutex for RawLock {
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

/// A lock that many readers hold at once, or one writer. A writer that waits keeps later readers out.
#[derive(Debug)]
pub struct RawShared {
    /// Held by a writer while it waits, and by a reader while it enters.
    turn: RawLock,
    /// Held by a writer, or by the readers together.
    room: RawLock,
    readers: AtomicU32,
}

// SAFETY: whoever gets `room` is a writer, or the first of the readers, which the last of them gives back: only under
// `turn` does their count leave 0. So a writer inside is alone.
unsafe impl lock_api::RawRwLock for RawShared {
    const INIT: RawShared =
        RawShared { turn: RawLock::new(), room: RawLock::new(), readers: AtomicU32::new(0) };
    type GuardMarker = lock_api::GuardSend;

    fn lock_shared(&self) {
        self.turn.lock();
        if self.readers.fetch_add(1, Ordering::AcqRel) == 0 {
            self.room.lock();
        }
        // SAFETY: locked above.
        unsafe { self.turn.unlock() };
    }

    fn try_lock_shared(&self) -> bool {
        if !self.turn.try_lock() {
            return false;
        }
        let entered = self.readers.fetch_add(1, Ordering::AcqRel) != 0 || self.room.try_lock();
        if !entered {
            self.readers.fetch_sub(1, Ordering::AcqRel);
        }
        // SAFETY: locked above.
        unsafe { self.turn.unlock() };
        entered
    }

    unsafe fn unlock_shared(&self) {
        if self.readers.fetch_sub(1, Ordering::AcqRel) == 1 {
            // SAFETY: the readers have held it, and this was the last.
            unsafe { self.room.unlock() };
        }
    }

    fn lock_exclusive(&self) {
        self.turn.lock();
        self.room.lock();
        // SAFETY: locked above.
        unsafe { self.turn.unlock() };
    }

    fn try_lock_exclusive(&self) -> bool {
        if !self.turn.try_lock() {
            return false;
        }
        let entered = self.room.try_lock();
        // SAFETY: locked above.
        unsafe { self.turn.unlock() };
        entered
    }

    unsafe fn unlock_exclusive(&self) {
        // SAFETY: the caller has it.
        unsafe { self.room.unlock() };
    }
}

/// A lock for many readers or one writer, and what it guards.
pub type RwLock<T> = lock_api::RwLock<RawShared, T>;
/// Proof that an [`RwLock`] is held to read.
pub type RwLockReadGuard<'a, T> = lock_api::RwLockReadGuard<'a, RawShared, T>;
/// Proof that an [`RwLock`] is held to write.
pub type RwLockWriteGuard<'a, T> = lock_api::RwLockWriteGuard<'a, RawShared, T>;
