//! [`Spin`]: the kernel's lock. Interrupts are off in the kernel, so a holder is never interrupted on its CPU.
//!
//! While it spins a CPU serves its shootdown mailbox ([`crate::machine::relax`]), so a holder that waits for a
//! shootdown to be acknowledged can't be waited for in turn. No lock is held across a copy to or from user memory, a
//! portal call or a switch; doc/locks.md has the order.
#![allow(unsafe_code, reason = "gives out a mutable reference to shared data under exclusion")]

use crate::counters::CONTENDED;
use crate::machine;
use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicBool, Ordering};

/// A spin lock and what it guards.
#[derive(Debug, Default)]
pub struct Spin<T: ?Sized> {
    held: AtomicBool,
    #[cfg(test)]
    last: watch::Last,
    value: UnsafeCell<T>,
}

// SAFETY: the value moves between threads only under exclusion, which needs `T: Send` and no more.
unsafe impl<T: ?Sized + Send> Sync for Spin<T> {}

/// The lock is held for as long as this lives.
#[derive(Debug)]
pub struct Held<'a, T: ?Sized> {
    lock: &'a Spin<T>,
}

impl<T> Spin<T> {
    /// A free lock.
    pub const fn new(value: T) -> Spin<T> {
        Spin {
            held: AtomicBool::new(false),
            #[cfg(test)]
            last: watch::Last::new(),
            value: UnsafeCell::new(value),
        }
    }

    /// What it guarded.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Spin<T> {
    /// Waits for the lock and takes it.
    #[inline]
    pub fn lock(&self) -> Held<'_, T> {
        take(&self.held);
        self.holds()
    }

    /// As [`Spin::lock`], without a call: for the measured paths, since it takes twice the room.
    #[inline(always)]
    pub fn lock_inline(&self) -> Held<'_, T> {
        if self.held.swap(true, Ordering::Acquire) {
            spin(&self.held);
        }
        self.holds()
    }

    /// As [`Spin::lock`], but serves no shootdown while it spins: a frame that was looked up before stays what it is. For
    /// locks whose holders wait for no other CPU.
    #[inline(always)]
    pub fn lock_still(&self) -> Held<'_, T> {
        while self.held.swap(true, Ordering::Acquire) {
            core::hint::spin_loop();
        }
        self.holds()
    }

    /// Who has just taken it.
    #[inline(always)]
    fn holds(&self) -> Held<'_, T> {
        #[cfg(test)]
        self.last.note();
        Held { lock: self }
    }

    /// Takes the lock if it is free.
    #[inline]
    pub fn try_lock(&self) -> Option<Held<'_, T>> {
        // Not `then_some`: a guard that is made and dropped would free the lock of whoever has it.
        (!self.held.swap(true, Ordering::Acquire)).then(|| self.holds())
    }

    /// The value, by the only reference there is.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

/// Takes a lock.
#[inline(never)]
fn take(held: &AtomicBool) {
    if held.swap(true, Ordering::Acquire) {
        spin(held);
    }
}

/// Takes a lock that was held. Apart from the rest, so that all locks share it.
#[cold]
#[inline(never)]
fn spin(held: &AtomicBool) {
    CONTENDED.up();
    loop {
        while held.load(Ordering::Relaxed) {
            machine::relax();
        }
        if !held.swap(true, Ordering::Acquire) {
            return;
        }
    }
}

impl<T: ?Sized> Deref for Held<'_, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: `held` was false when this guard took it and stays true until the guard is dropped, so no other
        // reference to the value exists.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> DerefMut for Held<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`; and this guard is borrowed mutably.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T: ?Sized> Drop for Held<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.lock.held.store(false, Ordering::Release);
    }
}

/// In tests each lock knows who had it last, so that they see which are passed between CPUs.
#[cfg(test)]
pub(crate) mod watch {
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// How often a CPU took a lock that another had had before.
    pub(crate) static FOREIGN: AtomicUsize = AtomicUsize::new(0);

    /// Number of the CPU that had it last plus one.
    #[derive(Debug, Default)]
    pub(super) struct Last(AtomicUsize);

    impl Last {
        pub(super) const fn new() -> Last {
            Last(AtomicUsize::new(0))
        }

        pub(super) fn note(&self) {
            let me = crate::machine::cpu() + 1;
            let last = self.0.swap(me, Ordering::Relaxed);
            if last != 0 && last != me {
                FOREIGN.fetch_add(1, Ordering::SeqCst);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Ref;

    #[test]
    fn trying_a_held_lock_does_not_free_it() {
        let lock = Spin::new(1);
        let held = lock.lock();
        assert!(lock.try_lock().is_none());
        assert!(lock.try_lock().is_none(), "the first try freed it");
        drop(held);
        assert!(lock.try_lock().is_some());
    }

    #[test]
    fn two_holders_never_count_at_once() {
        const ROUNDS: u64 = if cfg!(miri) { 20 } else { 20_000 };
        let count = Ref::new(Spin::new(0u64)).unwrap();
        let one = |count: Ref<Spin<u64>>| {
            move || {
                for _ in 0..ROUNDS {
                    let mut held = count.lock();
                    let seen = *held;
                    std::hint::black_box(&seen);
                    *held = seen + 1;
                }
            }
        };
        let threads: Vec<_> = (0..3).map(|_| std::thread::spawn(one(count.clone()))).collect();
        threads.into_iter().for_each(|t| t.join().unwrap());
        assert_eq!(*count.lock(), 3 * ROUNDS);
    }
}
