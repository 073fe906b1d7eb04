//! [`Ref`]: a counted reference to a kernel object, whose making can fail.
//!
//! It is `Arc` without weak references and with an error for want of memory (the standard one aborts). The object
//! is dropped by whoever lets go last, wherever that is: an object's `drop` therefore takes no lock that its holders
//! may have and makes no portal call; what must be told to a server is put on a list to be drained.
#![allow(unsafe_code, reason = "owns raw memory and counts who shares it")]

extern crate alloc;

use crate::msg::Result;
use abi::error::Error;
use alloc::alloc::{Layout, alloc, dealloc};
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering, fence};

struct Object<T> {
    count: AtomicUsize,
    value: T,
}

/// A counted reference.
pub struct Ref<T> {
    object: NonNull<Object<T>>,
    owns: PhantomData<Object<T>>,
}

// SAFETY: a Ref gives out `&T` on any thread that holds one and may drop T on the last of them, which is what
// `T: Send + Sync` allows; the count is atomic.
unsafe impl<T: Send + Sync> Send for Ref<T> {}
// SAFETY: as above; a `&Ref<T>` can be cloned into a `Ref<T>` elsewhere.
unsafe impl<T: Send + Sync> Sync for Ref<T> {}

/// Memory for an object, with `size` bytes of its value moved to `at`; null when there is none. The same for all types,
/// since many are large, and what the compiler makes of each move is long or slow.
///
/// # Safety
/// The layout has a size and room for the value, which is not used where it was if it has moved.
#[inline(never)]
unsafe fn make(layout: Layout, at: usize, value: *const u8, size: usize) -> *mut u8 {
    // SAFETY: by the caller's promise; what was allocated is fresh.
    unsafe {
        let raw = alloc(layout);
        if !raw.is_null() {
            value.copy_to_nonoverlapping(raw.add(at), size);
        }
        raw
    }
}

impl<T> Ref<T> {
    /// Makes an object; [`Error::NoMemory`] when there is none, and the value is dropped.
    pub fn new(value: T) -> Result<Ref<T>> {
        let (layout, at) = (Layout::new::<Object<T>>(), core::mem::offset_of!(Object<T>, value));
        // SAFETY: the layout and the place are Object<T>'s.
        let raw = unsafe { make(layout, at, (&raw const value).cast(), size_of::<T>()) };
        let object = NonNull::new(raw.cast::<Object<T>>()).ok_or(Error::NoMemory)?;
        // It has moved.
        core::mem::forget(value);
        // SAFETY: the object is fresh, and nobody else knows it.
        unsafe { (&raw mut (*object.as_ptr()).count).write(AtomicUsize::new(1)) };
        Ok(Ref { object, owns: PhantomData })
    }

    /// Are both the same object?
    pub fn same(a: &Ref<T>, b: &Ref<T>) -> bool {
        a.object == b.object
    }

    /// How many hold it now; only a hint if others may hold it too, but 1 means that the asker alone does.
    pub fn holders(this: &Ref<T>) -> usize {
        this.inner().count.load(Ordering::Acquire)
    }

    /// The object to be changed, if this is the only reference to it.
    pub fn only(this: &mut Ref<T>) -> Option<&mut T> {
        if Ref::holders(this) != 1 {
            return None;
        }
        // SAFETY: this is the only reference, and it is borrowed for as long as the object is: nobody else can reach it.
        Some(unsafe { &mut this.object.as_mut().value })
    }

    /// The object's address: an identity for as long as it lives.
    pub fn id(this: &Ref<T>) -> usize {
        this.object.as_ptr() as usize
    }

    /// The object, if this was the last reference to it.
    pub fn into_inner(this: Ref<T>) -> Option<T> {
        let object = this.object;
        core::mem::forget(this);
        // SAFETY: this Ref was counted, so the object lives until the count that it held is given back.
        if unsafe { object.as_ref() }.count.fetch_sub(1, Ordering::Release) != 1 {
            return None;
        }
        fence(Ordering::Acquire);
        // SAFETY: the count was one: nobody else can reach the object. Its value is moved out, so that only the memory
        // is left to give back, which came from `alloc` with this layout.
        unsafe {
            let value = (&raw const (*object.as_ptr()).value).read();
            dealloc(object.as_ptr().cast(), Layout::new::<Object<T>>());
            Some(value)
        }
    }

    /// Drops it in place: for the measured paths, where a drop is a call.
    #[inline(always)]
    pub fn let_go(this: Ref<T>) {
        let object = this.object;
        core::mem::forget(this);
        // SAFETY: this Ref was counted, so the object lives until the count that it held is given back.
        if unsafe { object.as_ref() }.count.fetch_sub(1, Ordering::Release) == 1 {
            // SAFETY: the count was one, so this was the last reference, and it is gone.
            unsafe { Ref::end(object) };
        }
    }

    /// Drops one that is not the last: somebody else holds the object, and goes on doing so meanwhile.
    #[inline(always)]
    pub fn let_go_one(this: Ref<T>) {
        let before = this.inner().count.fetch_sub(1, Ordering::Release);
        debug_assert!(before > 1);
        core::mem::forget(this);
    }

    /// The value's address, with the reference in it: to be given back by [`Ref::from_raw`].
    pub fn into_raw(this: Ref<T>) -> *const T {
        let object = this.object.as_ptr();
        core::mem::forget(this);
        // SAFETY: `object` is a live Object<T>; only the address of its field is taken.
        unsafe { &raw const (*object).value }
    }

    /// The reference that [`Ref::into_raw`] took apart.
    ///
    /// # Safety
    /// `value` came from `into_raw`, and each such address is given back once.
    pub unsafe fn from_raw(value: *const T) -> Ref<T> {
        // SAFETY: by the caller's promise `value` lies in an Object<T>, at its field's offset.
        let object = unsafe { value.byte_sub(core::mem::offset_of!(Object<T>, value)) };
        // SAFETY: an address inside an object is not null.
        let object = unsafe { NonNull::new_unchecked(object.cast_mut().cast::<Object<T>>()) };
        Ref { object, owns: PhantomData }
    }

    /// One more reference to an object of which only the address is at hand.
    ///
    /// # Safety
    /// `value` came from `into_raw` and has not been given back.
    pub unsafe fn again(value: *const T) -> Ref<T> {
        // SAFETY: by the caller's promise; the Ref made here is not dropped, only cloned.
        let it = core::mem::ManuallyDrop::new(unsafe { Ref::from_raw(value) });
        Ref::clone(&it)
    }

    /// The end of the object. Once for each type of object, not wherever a reference is dropped.
    ///
    /// # Safety
    /// The count is zero and the object has not been ended before.
    #[cold]
    #[inline(never)]
    unsafe fn end(object: NonNull<Object<T>>) {
        fence(Ordering::Acquire);
        // SAFETY: by the caller's promise nobody else reaches the object; the value was written by `new` and is read
        // no more, and the memory came from `alloc` with this layout.
        unsafe {
            object.drop_in_place();
            dealloc(object.as_ptr().cast(), Layout::new::<Object<T>>());
        }
    }

    #[inline]
    fn inner(&self) -> &Object<T> {
        // SAFETY: the object lives while its count is above zero, and this Ref is counted.
        unsafe { self.object.as_ref() }
    }
}

impl<T> Clone for Ref<T> {
    fn clone(&self) -> Ref<T> {
        // Nobody can make 2^63 references: each takes memory.
        self.inner().count.fetch_add(1, Ordering::Relaxed);
        Ref { object: self.object, owns: PhantomData }
    }
}

impl<T> Deref for Ref<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner().value
    }
}

impl<T> Drop for Ref<T> {
    #[inline]
    fn drop(&mut self) {
        if self.inner().count.fetch_sub(1, Ordering::Release) == 1 {
            // SAFETY: the count was one, so this was the last reference, and it is going.
            unsafe { Ref::end(self.object) };
        }
    }
}

impl<T: core::fmt::Debug> core::fmt::Debug for Ref<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    #[test]
    fn the_last_holder_drops_the_object_once() {
        struct Tells<'a>(&'a AtomicBool);
        impl Drop for Tells<'_> {
            fn drop(&mut self) {
                assert!(!self.0.swap(true, Ordering::Relaxed), "dropped twice");
            }
        }
        let gone = AtomicBool::new(false);
        let a = Ref::new(Tells(&gone)).unwrap();
        let b = a.clone();
        assert_eq!(Ref::holders(&a), 2);
        drop(a);
        assert!(!gone.load(Ordering::Relaxed));
        drop(b);
        assert!(gone.load(Ordering::Relaxed));
    }

    #[test]
    fn an_object_without_size_works() {
        let a = Ref::new(()).unwrap();
        assert!(Ref::same(&a, &a.clone()));
        assert!(!Ref::same(&a, &Ref::new(()).unwrap()));
    }
}
