//! [`Lock`]: mutual exclusion for a server's data, on a host and in the machine.
//!
//! On a host it is `std`'s mutex, and a thread that panicked inside does not poison it, since a server goes on. In
//! the machine it is the runtime's: one atomic instruction to lock and one to unlock while nobody waits.

/// Protects a value; see the module.
#[derive(Debug, Default)]
pub struct Lock<T>(raw::Mutex<T>);

/// The right to use a locked value until it is dropped.
pub type Guard<'a, T> = raw::MutexGuard<'a, T>;

#[cfg(not(portolan))]
use std::sync as raw;

#[cfg(portolan)]
use rt as raw;

impl<T> Lock<T> {
    /// A lock around a value.
    pub const fn new(value: T) -> Self {
        Lock(raw::Mutex::new(value))
    }

    /// Waits for the value.
    #[inline]
    pub fn lock(&self) -> Guard<'_, T> {
        #[cfg(not(portolan))]
        return self.0.lock().unwrap_or_else(raw::PoisonError::into_inner);
        #[cfg(portolan)]
        return self.0.lock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_inside_does_not_close_a_host_lock_for_ever() {
        let lock = Lock::new(1);
        let r = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _held = lock.lock();
            panic!("inside");
        }));
        assert!(r.is_err());
        assert_eq!(*lock.lock(), 1);
    }
}
