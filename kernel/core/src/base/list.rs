//! [`List`]: a vector that says so when there is no memory.
//!
//! It is written here rather than taken from the library for its size in code: what grows, moves and frees is one
//! function for all types of element, and nothing of it can panic.
#![allow(unsafe_code, reason = "owns raw memory")]

extern crate alloc;

use crate::msg::Result;
use abi::error::Error;
use alloc::alloc::{Layout, dealloc, realloc};
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr::{self, NonNull};

/// A growing sequence whose growth can fail.
pub struct List<T> {
    raw: Raw,
    owns: PhantomData<T>,
}

// SAFETY: a list owns its elements, as a vector does.
unsafe impl<T: Send> Send for List<T> {}
// SAFETY: a shared list gives out shared elements alone.
unsafe impl<T: Sync> Sync for List<T> {}

/// A list of whatever type: `len` elements in memory for `room`.
struct Raw {
    at: NonNull<u8>,
    len: usize,
    room: usize,
}

impl Raw {
    /// Makes room for so many more elements of this size and alignment, which are always the same for one list.
    #[inline(never)]
    fn reserve(&mut self, more: usize, size: usize, align: usize) -> Result<()> {
        let need = self.len.checked_add(more).ok_or(Error::NoMemory)?;
        if need <= self.room {
            return Ok(());
        }
        let room = need.max(self.room.saturating_mul(2)).max(4);
        let bytes = room.checked_mul(size).filter(|&b| isize::try_from(b).is_ok()).ok_or(Error::NoMemory)?;
        let old =
            Layout::from_size_align(self.room.wrapping_mul(size), align).map_err(|_| Error::NoMemory)?;
        let new = Layout::from_size_align(bytes, align).map_err(|_| Error::NoMemory)?;
        // SAFETY: `at` came from here with the layout `old`, unless there was no room yet; `new` is not of size zero,
        // since there is no list of elements without size.
        let at = unsafe {
            if self.room == 0 { alloc::alloc::alloc(new) } else { realloc(self.at.as_ptr(), old, new.size()) }
        };
        self.at = NonNull::new(at).ok_or(Error::NoMemory)?;
        self.room = room;
        Ok(())
    }

    /// Opens a gap for one element before the one at `at`, at the end if there are not so many: where it is.
    #[inline(never)]
    fn open(&mut self, at: usize, size: usize, align: usize) -> Result<*mut u8> {
        self.reserve(1, size, align)?;
        let at = at.min(self.len);
        let after = self.len.wrapping_sub(at).wrapping_mul(size);
        self.len = self.len.wrapping_add(1);
        // SAFETY: there is room for one more than there were, and `at` is no more than that.
        unsafe {
            let gap = self.at.as_ptr().add(at.wrapping_mul(size));
            ptr::copy(gap, gap.add(size), after);
            Ok(gap)
        }
    }

    /// Closes the gap that the element at `at` has left, which was taken out.
    #[inline(never)]
    fn close(&mut self, at: usize, size: usize) {
        self.len = self.len.wrapping_sub(1);
        let after = self.len.wrapping_sub(at).wrapping_mul(size);
        // SAFETY: `at` was below the length, so `after` bytes of other elements are behind it.
        unsafe {
            let gap = self.at.as_ptr().add(at.wrapping_mul(size));
            ptr::copy(gap.add(size), gap, after);
        }
    }

    /// Gives the memory back; the elements are gone already.
    #[inline(never)]
    fn free(&mut self, size: usize, align: usize) {
        if self.room != 0
            && let Ok(layout) = Layout::from_size_align(self.room.wrapping_mul(size), align)
        {
            // SAFETY: `at` came from `reserve` with this layout, and the list is going.
            unsafe { dealloc(self.at.as_ptr(), layout) };
        }
    }
}

impl<T> List<T> {
    /// An empty list; takes no memory.
    pub const fn new() -> List<T> {
        const { assert!(size_of::<T>() != 0, "elements have a size") };
        List { raw: Raw { at: NonNull::<T>::dangling().cast(), len: 0, room: 0 }, owns: PhantomData }
    }

    fn at(&self) -> *mut T {
        self.raw.at.as_ptr().cast()
    }

    /// Makes sure that so many more can be pushed without failing.
    pub fn reserve(&mut self, more: usize) -> Result<()> {
        self.raw.reserve(more, size_of::<T>(), align_of::<T>())
    }

    /// Adds at the end.
    pub fn push(&mut self, value: T) -> Result<()> {
        if self.raw.len == self.raw.room {
            self.reserve(1)?;
        }
        // SAFETY: there is room behind the last.
        unsafe { self.at().add(self.raw.len).write(value) };
        self.raw.len = self.raw.len.wrapping_add(1);
        Ok(())
    }

    /// Adds before the element at `at`; at the end if there are not so many.
    pub fn insert(&mut self, at: usize, value: T) -> Result<()> {
        let gap = self.raw.open(at, size_of::<T>(), align_of::<T>())?;
        // SAFETY: the gap is large and aligned enough for an element, and holds none.
        unsafe { gap.cast::<T>().write(value) };
        Ok(())
    }

    /// Takes the last.
    pub fn pop(&mut self) -> Option<T> {
        self.raw.len = self.raw.len.checked_sub(1)?;
        // SAFETY: it is there, and is counted no more.
        Some(unsafe { self.at().add(self.raw.len).read() })
    }

    /// Takes one out, keeping the order of the others.
    pub fn remove(&mut self, at: usize) -> Option<T> {
        let it: *const T = self.get(at)?;
        // SAFETY: it is there, and is counted no more from now on.
        let value = unsafe { it.read() };
        self.raw.close(at, size_of::<T>());
        Some(value)
    }

    /// Takes one out and puts the last in its place.
    pub fn swap_remove(&mut self, at: usize) -> Option<T> {
        let last = self.raw.len.checked_sub(1).filter(|&last| at <= last)?;
        self.swap(at, last);
        self.pop()
    }

    /// Keeps only those that the test accepts.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        let mut at = 0usize;
        while let Some(value) = self.get(at) {
            if keep(value) {
                at = at.wrapping_add(1);
            } else {
                drop(self.remove(at));
            }
        }
    }

    /// Takes everything out.
    pub fn take(&mut self) -> List<T> {
        core::mem::take(self)
    }
}

impl<T: Clone> List<T> {
    /// A copy.
    pub fn copy(&self) -> Result<List<T>> {
        let mut l = List::new();
        l.reserve(self.len())?;
        for value in self.iter() {
            l.push(value.clone())?;
        }
        Ok(l)
    }
}

impl List<u8> {
    /// Adds bytes at the end.
    #[inline(never)]
    pub fn append(&mut self, more: &[u8]) -> Result<()> {
        self.reserve(more.len())?;
        // SAFETY: there is room for them after the first `len`, and they can't lie there, being borrowed.
        unsafe { ptr::copy_nonoverlapping(more.as_ptr(), self.at().add(self.raw.len), more.len()) };
        self.raw.len = self.raw.len.wrapping_add(more.len());
        Ok(())
    }

    /// So many zero bytes.
    #[inline(never)]
    pub fn zeroed(len: usize) -> Result<List<u8>> {
        let mut l = List::new();
        l.reserve(len)?;
        // SAFETY: there is room for so many.
        unsafe { ptr::write_bytes(l.at(), 0, len) };
        l.raw.len = len;
        Ok(l)
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        List::new()
    }
}

impl<T> Deref for List<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: the first `len` elements are there; an empty list's address is aligned and not null.
        unsafe { core::slice::from_raw_parts(self.at(), self.raw.len) }
    }
}

impl<T> DerefMut for List<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and the list is borrowed mutably.
        unsafe { core::slice::from_raw_parts_mut(self.at(), self.raw.len) }
    }
}

impl<T> Drop for List<T> {
    fn drop(&mut self) {
        let elements: *mut [T] = &mut **self;
        // SAFETY: they are the list's own, which is going.
        unsafe { elements.drop_in_place() };
        self.raw.free(size_of::<T>(), align_of::<T>());
    }
}

impl<T: core::fmt::Debug> core::fmt::Debug for List<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Ref;

    #[test]
    fn behaves_as_a_vector_and_drops_each_element_once() {
        let all: Vec<Ref<u32>> = (0..8).map(|n| Ref::new(n).unwrap()).collect();
        let mut list = List::new();
        let mut model: Vec<u32> = Vec::new();
        let mut seed = 1u64;
        for _ in 0..20_000 {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let r = (seed >> 33) as usize;
            let (n, at) = (r & 7, (r >> 3) % 20);
            match (r >> 8) % 9 {
                0 | 1 => {
                    list.push(all[n].clone()).unwrap();
                    model.push(n as u32);
                }
                2 => {
                    list.insert(at, all[n].clone()).unwrap();
                    model.insert(at.min(model.len()), n as u32);
                }
                3 => assert_eq!(list.pop().map(|v| *v), model.pop()),
                4 | 5 => {
                    let want = (at < model.len()).then(|| model.remove(at));
                    assert_eq!(list.remove(at).map(|v| *v), want);
                }
                6 => {
                    let want = (at < model.len()).then(|| model.swap_remove(at));
                    assert_eq!(list.swap_remove(at).map(|v| *v), want);
                }
                7 if model.len() > 40 => {
                    list.retain(|v| **v != n as u32);
                    model.retain(|v| *v != n as u32);
                }
                _ if model.len() > 50 => {
                    assert_eq!(list.copy().unwrap().len(), model.len());
                    drop(list.take());
                    model.clear();
                }
                _ => {}
            }
            assert!(list.iter().map(|v| **v).eq(model.iter().copied()));
            for (n, one) in all.iter().enumerate() {
                let held = model.iter().filter(|&&m| m == n as u32).count();
                assert_eq!(Ref::holders(one), 1 + held, "{n}");
            }
        }
        drop(list);
        assert!(all.iter().all(|one| Ref::holders(one) == 1));
    }

    #[test]
    fn more_than_there_can_be_is_an_error() {
        let mut list: List<u64> = List::new();
        list.push(7).unwrap();
        assert_eq!(list.reserve(usize::MAX), Err(Error::NoMemory.into()));
        assert_eq!(list.reserve(usize::MAX / 8), Err(Error::NoMemory.into()));
        assert_eq!(*list, [7]);
    }
}
