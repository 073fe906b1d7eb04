//! [`Shared`]: a counted pointer between threads, made by an allocation that can fail.
//!
//! `alloc`'s `Arc` aborts the program when memory is out, and its fallible constructor is not stable. A server has to
//! answer "out of memory" instead. There are no weak pointers: owners that would form a circle have to break it.
#![allow(unsafe_code, reason = "a counted allocation is managed by hand")]

use alloc::alloc::{alloc, dealloc};
use core::alloc::Layout;
use core::fmt;
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering, fence};

/// No memory was left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoMemory;

/// A counted pointer; see the module.
pub struct Shared<T> {
    inner: NonNull<Inner<T>>,
    _owns: PhantomData<Inner<T>>,
}

struct Inner<T> {
    owners: AtomicUsize,
    value: T,
}

// SAFETY: like `Arc`: owners on several threads read the value at once (so `Sync`), and the last one, on any thread,
// drops it (so `Send`).
unsafe impl<T: Send + Sync> Send for Shared<T> {}
// SAFETY: as above: a reference to a pointer can be turned into another owner.
unsafe impl<T: Send + Sync> Sync for Shared<T> {}

impl<T> Shared<T> {
    const LAYOUT: Layout = Layout::new::<Inner<T>>();

    /// Moves a value into shared memory.
    pub fn try_new(value: T) -> Result<Self, NoMemory> {
        // SAFETY: the layout has a size, at least that of the counter.
        let inner = NonNull::new(unsafe { alloc(Self::LAYOUT) }).ok_or(NoMemory)?.cast::<Inner<T>>();
        // SAFETY: fresh memory of this layout, reached from nowhere else.
        unsafe { inner.write(Inner { owners: AtomicUsize::new(1), value }) };
        Ok(Shared { inner, _owns: PhantomData })
    }

    /// Copies a value, straight from where it is, into shared memory.
    pub fn try_copy(value: &T) -> Result<Self, NoMemory>
    where
        T: Copy,
    {
        // SAFETY: the layout has a size, at least that of the counter.
        let inner = NonNull::new(unsafe { alloc(Self::LAYOUT) }).ok_or(NoMemory)?.cast::<Inner<T>>();
        // SAFETY: fresh memory of this layout, reached from nowhere else; the fields are written, never read, before
        // both hold a value, and `T: Copy` may be copied byte by byte.
        unsafe {
            (&raw mut (*inner.as_ptr()).owners).write(AtomicUsize::new(1));
            (&raw mut (*inner.as_ptr()).value).copy_from_nonoverlapping(value, 1);
        }
        Ok(Shared { inner, _owns: PhantomData })
    }

    fn inner(&self) -> &Inner<T> {
        // SAFETY: this owner keeps the count above zero, so the memory is alive; it is only read through here.
        unsafe { self.inner.as_ref() }
    }

    /// Do both lead to the same value?
    #[inline]
    pub fn same(a: &Self, b: &Self) -> bool {
        a.inner == b.inner
    }

    /// The value for changing, if there is no other owner.
    #[inline]
    pub fn get_mut(&mut self) -> Option<&mut T> {
        // Acquire: what earlier owners did with the value comes before what this one does.
        if self.inner().owners.load(Ordering::Acquire) != 1 {
            return None;
        }
        // SAFETY: the only owner is borrowed exclusively, so nobody else can reach the value or become an owner.
        Some(unsafe { &mut (*self.inner.as_ptr()).value })
    }

    /// Is there no other owner at this moment?
    pub fn is_alone(&self) -> bool {
        self.inner().owners.load(Ordering::Acquire) == 1
    }
}

impl<T> Clone for Shared<T> {
    #[inline]
    fn clone(&self) -> Self {
        let owners = self.inner().owners.fetch_add(1, Ordering::Relaxed);
        // Memory can't hold so many pointers; only a program that forgets them in a loop gets here, and it must not
        // come round to zero.
        assert!(owners < usize::MAX / 2, "too many owners");
        Shared { inner: self.inner, _owns: PhantomData }
    }
}

impl<T> Drop for Shared<T> {
    #[inline]
    fn drop(&mut self) {
        if self.inner().owners.fetch_sub(1, Ordering::Release) == 1 {
            // Every other owner's use of the value comes before its end.
            fence(Ordering::Acquire);
            // SAFETY: the count was one and is now zero: nobody else has a pointer, so the value is dropped and the
            // memory, of this layout, is freed exactly once.
            unsafe {
                self.inner.drop_in_place();
                dealloc(self.inner.as_ptr().cast(), Self::LAYOUT);
            }
        }
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        &self.inner().value
    }
}

impl<T: fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;
    use std::sync::atomic::Ordering::SeqCst;

    struct Counted<'a>(&'a AtomicU32);
    impl Drop for Counted<'_> {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    #[test]
    fn the_value_ends_with_its_last_owner_and_once() {
        let ends = AtomicU32::new(0);
        let a = Shared::try_new(Counted(&ends)).unwrap();
        std::thread::scope(|s| {
            for _ in 0..4 {
                let b = a.clone();
                s.spawn(move || {
                    for _ in 0..1000 {
                        drop(b.clone());
                    }
                });
            }
        });
        assert_eq!(ends.load(SeqCst), 0);
        drop(a);
        assert_eq!(ends.load(SeqCst), 1);
    }

    #[test]
    fn only_a_sole_owner_may_change_the_value() {
        let mut a = Shared::try_copy(&[1_u8; 4096]).unwrap();
        let b = a.clone();
        assert!(a.get_mut().is_none() && !b.is_alone() && Shared::same(&a, &b));
        drop(b);
        a.get_mut().unwrap()[4095] = 7;
        assert_eq!((a[0], a[4095]), (1, 7));
    }
}
