//! [`Page`]: a counted page of memory that begins where a page of the machine's does, so that the kernel can share its
//! frame with whoever maps the file that it belongs to.
//!
//! The kernel does not copy a page that is written later: who has shared one writes to a copy, and uses the memory for
//! something else only once it is another frame ([`source::renew`]). So no server's write faults, and a server that is out
//! of memory gets an error. On a host nothing is ever shared.
#![allow(unsafe_code, reason = "hands out raw memory by pages")]

use crate::{Lock, NoMemory, Shared};
use abi::limit::PAGE;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, Ordering};

/// What a page holds.
pub type Bytes = [u8; PAGE];

/// Pages that are taken from the machine together.
const CHUNK: usize = 16;

/// A counted page; see the module.
#[derive(Clone)]
pub struct Page(Shared<Place>);

/// A page's memory, which goes back to [`FREE`].
struct Place {
    at: NonNull<Bytes>,
    /// Somebody else may have its frame.
    shared: AtomicBool,
}

// SAFETY: the memory is the place's alone until it is dropped; only the sole owner of a page writes to it.
unsafe impl Send for Place {}
// SAFETY: as above: others read.
unsafe impl Sync for Place {}

/// Addresses of pages that nobody has. Both lists have room for all pages there are, so that no drop needs memory.
struct Free {
    pages: Vec<usize>,
    /// Those whose frames somebody else may have.
    shared: Vec<usize>,
    all: usize,
}

static FREE: Lock<Free> = Lock::new(Free { pages: Vec::new(), shared: Vec::new(), all: 0 });

impl Free {
    fn take(&mut self) -> Option<usize> {
        if let Some(at) = self.pages.pop() {
            return Some(at);
        }
        if let Some(at) = self.shared.pop() {
            if source::renew(at) {
                return Some(at);
            }
            self.shared.push(at);
        }
        let all = self.all + CHUNK;
        self.pages.try_reserve(all - self.pages.len()).ok()?;
        self.shared.try_reserve(all - self.shared.len()).ok()?;
        let chunk = source::more(CHUNK)?;
        self.all = all;
        self.pages.extend((0..CHUNK).rev().map(|i| chunk + i * PAGE));
        self.pages.pop()
    }
}

impl Page {
    /// A page that nobody has, with whatever this program had there.
    pub fn uncleared() -> Result<Page, NoMemory> {
        let at = FREE.lock().take().and_then(|at| NonNull::new(at as *mut Bytes)).ok_or(NoMemory)?;
        Shared::try_new(Place { at, shared: AtomicBool::new(false) }).map(Page)
    }

    /// A page of zeroes.
    pub fn zeroed() -> Result<Page, NoMemory> {
        let page = Page::uncleared()?;
        // SAFETY: the place is this page's alone, and has room for the bytes.
        unsafe { page.0.at.as_ptr().write_bytes(0, 1) };
        Ok(page)
    }

    /// Another page with the same bytes.
    pub fn copy(&self) -> Result<Page, NoMemory> {
        let page = Page::uncleared()?;
        // SAFETY: the new place is this page's alone; the bytes are read while `self` keeps them.
        unsafe { page.0.at.as_ptr().copy_from_nonoverlapping(self.0.at.as_ptr(), 1) };
        Ok(page)
    }

    /// The bytes for changing, if there is no other owner and the kernel has never had it.
    #[inline]
    pub fn get_mut(&mut self) -> Option<&mut Bytes> {
        let place = self.0.get_mut()?;
        if *place.shared.get_mut() {
            return None;
        }
        // SAFETY: the only owner is borrowed exclusively, and nobody else knows the frame.
        Some(unsafe { place.at.as_mut() })
    }

    /// Could [`Page::get_mut`] be had?
    pub fn is_alone(&self) -> bool {
        self.0.is_alone() && !self.0.shared.load(Ordering::Relaxed)
    }

    /// The kernel may share the frame from now on: it is not written any more.
    pub fn share(&self) {
        self.0.shared.store(true, Ordering::Relaxed);
    }

    /// Do both lead to the same page?
    pub fn same(a: &Page, b: &Page) -> bool {
        Shared::same(&a.0, &b.0)
    }
}

impl Deref for Page {
    type Target = Bytes;
    #[inline]
    fn deref(&self) -> &Bytes {
        // SAFETY: the place is alive with this owner, and written by nobody while there is a reference.
        unsafe { self.0.at.as_ref() }
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Page")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut free = FREE.lock();
        let list = if *self.shared.get_mut() { &mut free.shared } else { &mut free.pages };
        list.push(self.at.as_ptr() as usize);
    }
}

/// Where pages come from: in the machine, memory that is attached.
#[cfg(portolan)]
mod source {
    use abi::limit::PAGE;
    use rt::sys;

    pub(super) fn more(pages: usize) -> Option<usize> {
        sys::segattach(0, -1, 0, 0, pages * PAGE).map(|at| at as usize)
    }

    /// Puts another frame in the place of one. Where the first half has failed, so does the second: it is tried again when
    /// the next page is wanted.
    pub(super) fn renew(at: usize) -> bool {
        // SAFETY: the page is nobody's.
        let _ = unsafe { sys::segdetach(at as u64, PAGE) };
        sys::segattach(0, -1, 0, at as u64, PAGE).is_some()
    }
}

/// Where pages come from: on a host, the heap.
#[cfg(not(portolan))]
mod source {
    use abi::limit::PAGE;
    use core::alloc::Layout;

    pub(super) fn more(pages: usize) -> Option<usize> {
        let layout = Layout::from_size_align(pages * PAGE, PAGE).ok()?;
        // SAFETY: not of size zero. It is never freed: pages are used again.
        let at = unsafe { alloc::alloc::alloc_zeroed(layout) };
        (!at.is_null()).then_some(at.expose_provenance())
    }

    pub(super) fn renew(_: usize) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_apart_zero_and_used_again() {
        let mut pages: Vec<Page> = (0..3 * CHUNK).map(|_| Page::zeroed().unwrap()).collect();
        for (i, page) in pages.iter_mut().enumerate() {
            assert!(page.as_ptr().addr().is_multiple_of(PAGE) && page.iter().all(|&b| b == 0));
            page.get_mut().unwrap().fill(i as u8);
        }
        assert!(pages.iter().enumerate().all(|(i, p)| p.iter().all(|&b| b == i as u8)));
        let all = FREE.lock().all;
        drop(pages);
        let again: Vec<Page> = (0..3 * CHUNK).map(|_| Page::zeroed().unwrap()).collect();
        assert!(again.iter().all(|p| p.iter().all(|&b| b == 0)));
        assert_eq!(FREE.lock().all, all, "memory was taken anew");
    }

    #[test]
    fn what_others_have_is_not_written() {
        let mut a = Page::zeroed().unwrap();
        let b = a.clone();
        assert!(a.get_mut().is_none() && !b.is_alone() && Page::same(&a, &b));
        drop(b);
        a.get_mut().unwrap()[7] = 1;
        a.share();
        assert!(a.get_mut().is_none() && !a.is_alone());
        let mut c = a.copy().unwrap();
        assert_eq!(c.get_mut().unwrap()[7], 1);
    }
}
