//! What threads wait for beside locks: [`Condvar`], [`Barrier`], and values that are made once, [`OnceLock`] and [`LazyLock`].
#![allow(unsafe_code, reason = "lends a value that is written once")]

use super::sync::{Mutex, MutexGuard, give, take};
use crate::alloc::collections::VecDeque;
use crate::alloc::sync::Arc;
use core::cell::UnsafeCell;
use core::fmt;
use core::ops::Deref;
use core::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use core::time::Duration;

/// A condition that some wait for and others announce, as `std::sync::Condvar`. Who waits is woken in the order of coming,
/// and never without cause, but the condition may have passed again.
#[derive(Debug, Default)]
pub struct Condvar {
    /// A semaphore for each that waits, so that nobody takes another's turn.
    queue: Mutex<VecDeque<Arc<AtomicI32>>>,
}

impl Condvar {
    /// One for which nobody waits.
    pub const fn new() -> Condvar {
        Condvar { queue: Mutex::new(VecDeque::new()) }
    }

    /// Lets go of the lock until woken.
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.wait_within(guard, None).0
    }

    /// Waits until the condition is false.
    pub fn wait_while<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'a, T> {
        while condition(&mut guard) {
            guard = self.wait(guard);
        }
        guard
    }

    /// As [`Condvar::wait`], but only so long; true if nobody has woken it in that time.
    pub fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> (MutexGuard<'a, T>, bool) {
        self.wait_within(guard, Some(timeout))
    }

    fn wait_within<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Option<Duration>,
    ) -> (MutexGuard<'a, T>, bool) {
        let mutex = MutexGuard::mutex(&guard);
        let turn = Arc::new(AtomicI32::new(0));
        // Before the lock is free: what is announced from then on is heard.
        self.queue.lock().push_back(turn.clone());
        drop(guard);
        let mut late = !take(&turn, timeout);
        if late {
            let mut queue = self.queue.lock();
            let place = queue.iter().position(|t| Arc::ptr_eq(t, &turn));
            // Without a place it was woken just now.
            late = place.and_then(|at| queue.remove(at)).is_some();
        }
        (mutex.lock(), late)
    }

    /// Wakes who has waited longest, if anybody does.
    pub fn notify_one(&self) {
        let first = self.queue.lock().pop_front();
        if let Some(turn) = first {
            give(&turn);
        }
    }

    /// Wakes all who wait.
    pub fn notify_all(&self) {
        let all = core::mem::take(&mut *self.queue.lock());
        all.iter().for_each(|turn| give(turn));
    }
}

/// Where so many threads wait for each other, as `std::sync::Barrier`; again and again.
#[derive(Debug)]
pub struct Barrier {
    count: usize,
    /// How many wait, and how often all had come.
    state: Mutex<(usize, u64)>,
    all: Condvar,
}

impl Barrier {
    /// For so many threads.
    pub const fn new(count: usize) -> Barrier {
        Barrier { count, state: Mutex::new((0, 0)), all: Condvar::new() }
    }

    /// Waits until all have come. True for one of them, the last.
    pub fn wait(&self) -> bool {
        let mut state = self.state.lock();
        state.0 += 1;
        if state.0 >= self.count {
            *state = (0, state.1 + 1);
            drop(state);
            self.all.notify_all();
            return true;
        }
        let round = state.1;
        drop(self.all.wait_while(state, |s| s.1 == round));
        false
    }
}

/// A value that is made once, by the first who asks, as `std::sync::OnceLock`.
pub struct OnceLock<T> {
    /// Held while it is made.
    making: Mutex<()>,
    made: AtomicBool,
    /// Written once, under `making`, before `made` is set; only read afterwards.
    value: UnsafeCell<Option<T>>,
}

// SAFETY: references to the value go to several threads (`T: Sync`), and one may make what another drops (`T: Send`);
// the cell is written under the lock alone, before `made` lets anybody read it.
unsafe impl<T: Send + Sync> Sync for OnceLock<T> {}

impl<T> Default for OnceLock<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OnceLock").field(&self.get()).finish()
    }
}

impl<T> OnceLock<T> {
    /// Without a value yet.
    pub const fn new() -> OnceLock<T> {
        OnceLock { making: Mutex::new(()), made: AtomicBool::new(false), value: UnsafeCell::new(None) }
    }

    /// The value, if it has been made.
    pub fn get(&self) -> Option<&T> {
        if !self.made.load(Ordering::Acquire) {
            return None;
        }
        // SAFETY: `made` was set after the last write.
        unsafe { (*self.value.get()).as_ref() }
    }

    /// The value, which `make` makes if nobody has; others who ask meanwhile wait. `make` must not ask for it itself.
    pub fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        if self.get().is_none() {
            let _making = self.making.lock();
            if self.get().is_none() {
                self.put(make());
            }
        }
        match self.get() {
            Some(value) => value,
            None => unreachable!("it was made above"),
        }
    }

    /// Sets the value; gives it back if there is one already.
    pub fn set(&self, value: T) -> Result<(), T> {
        let _making = self.making.lock();
        if self.get().is_some() {
            return Err(value);
        }
        self.put(value);
        Ok(())
    }

    /// The value, out of its place.
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }

    /// Under the lock, once.
    fn put(&self, value: T) {
        // SAFETY: the caller has the lock and has seen that nothing is made, so nobody reads and nobody else writes.
        unsafe { *self.value.get() = Some(value) };
        self.made.store(true, Ordering::Release);
    }
}

/// A value that is made when it is first used, as `std::sync::LazyLock`.
#[derive(Debug)]
pub struct LazyLock<T, F = fn() -> T> {
    value: OnceLock<T>,
    make: F,
}

impl<T, F: Fn() -> T> LazyLock<T, F> {
    /// A value that `make` will make.
    pub const fn new(make: F) -> LazyLock<T, F> {
        LazyLock { value: OnceLock::new(), make }
    }
}

impl<T, F: Fn() -> T> Deref for LazyLock<T, F> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.get_or_init(&self.make)
    }
}
