//! The heap: the crate `talc` over a range that grows by `segbrk`, and before it a few small blocks of each size that were
//! freed last.
//!
//! A server makes and frees a few small objects in most calls. By `talc` the two cost 200 instructions, by a list 40.
//!
//! Allocation fails when the kernel has no more memory; nothing here panics.
#![allow(unsafe_code, reason = "hands raw memory to the allocator")]

use crate::lock::RawLock;
use crate::sys;
use core::alloc::{GlobalAlloc, Layout};
use talc::{OomHandler, Span, Talc, Talck};

/// The heap begins with so many bytes, all of them wired in a server, and grows by as much as it has up to [`STEP`], so
/// that a program that allocates little by little seldom asks.
const FIRST: usize = 16 << 10;
/// From here on it grows by at least so many.
const STEP: usize = 64 << 10;

struct Grow {
    heap: Span,
}

impl OomHandler for Grow {
    fn handle_oom(talc: &mut Talc<Self>, layout: Layout) -> Result<(), ()> {
        let old = talc.oom_handler.heap;
        let end = match old.get_base_acme() {
            Some((_, acme)) => acme as u64,
            None => sys::segbrk(0).ok_or(())?,
        };
        // What the allocator keeps beside the block is far less than a page.
        let want = layout.size().checked_add(layout.align()).and_then(|n| n.checked_add(4096)).ok_or(())?;
        // Growing by a part keeps the number of steps small for programs that need much.
        let want = want.max(old.size().clamp(FIRST, STEP)).max(old.size() / 4);
        let new_end = end.checked_add(want as u64).ok_or(())?.next_multiple_of(4096);
        let new_end = sys::segbrk(new_end).ok_or(())?;
        let new = Span::new(old.get_base_acme().map_or(end as *mut u8, |(base, _)| base), new_end as *mut u8);
        // SAFETY: the kernel has just made [end, new_end) ours, zero-filled, and it follows the old heap; nobody else
        // calls segbrk (the lock of the allocator is held).
        talc.oom_handler.heap =
            unsafe { if old.is_empty() { talc.claim(new)? } else { talc.extend(old, new) } };
        Ok(())
    }
}

/// Blocks of up to so many bytes are kept, by size in steps of [`STEPS`], to which all are aligned.
const SMALL: usize = 256;
const STEPS: usize = 16;
/// Most blocks of a size that are kept: what a program that had many gives back is whole again.
const KEPT: u32 = 32;

/// Blocks of one size that were freed. Each begins with the address of the next.
#[derive(Clone, Copy)]
struct Kept {
    first: *mut u8,
    count: u32,
}

struct Heap {
    kept: lock_api::Mutex<RawLock, [Kept; SMALL / STEPS]>,
    rest: Talck<RawLock, Grow>,
}

// SAFETY: the blocks are nobody's, and reached only under the lock.
unsafe impl Sync for Heap {}

/// Which blocks serve a layout: the size's number, and the layout that all of them were made with.
#[inline]
fn size(layout: Layout) -> Option<(usize, Layout)> {
    let number = layout.size().wrapping_sub(1) / STEPS;
    if number >= SMALL / STEPS || layout.align() > STEPS {
        return None;
    }
    // SAFETY: the alignment is a power of two, and the size small.
    Some((number, unsafe { Layout::from_size_align_unchecked((number + 1) * STEPS, STEPS) }))
}

// SAFETY: a block is kept, or in use, or `talc`'s; it goes back to `talc` with the layout that it was made with. The sizes
// and alignments given are at least those asked for.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some((number, whole)) = size(layout) else {
            // SAFETY: the caller's promise.
            return unsafe { self.rest.alloc(layout) };
        };
        let mut all = self.kept.lock();
        if let Some(kept) = all.get_mut(number)
            && !kept.first.is_null()
        {
            let block = kept.first;
            // SAFETY: a kept block begins with the address of the next.
            kept.first = unsafe { block.cast::<*mut u8>().read() };
            kept.count -= 1;
            return block;
        }
        drop(all);
        // SAFETY: the layout has a size.
        unsafe { self.rest.alloc(whole) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some((number, whole)) = size(layout) else {
            // SAFETY: the caller's promise; it was made so.
            return unsafe { self.rest.dealloc(block, layout) };
        };
        let mut all = self.kept.lock();
        if let Some(kept) = all.get_mut(number)
            && kept.count < KEPT
        {
            // SAFETY: the block is nobody's now, has room for an address and is aligned for one.
            unsafe { block.cast::<*mut u8>().write(kept.first) };
            *kept = Kept { first: block, count: kept.count + 1 };
            return;
        }
        drop(all);
        // SAFETY: it was made with this layout.
        unsafe { self.rest.dealloc(block, whole) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new: usize) -> *mut u8 {
        // SAFETY: by the caller's promise the new size and the alignment make a layout.
        let after = unsafe { Layout::from_size_align_unchecked(new, layout.align()) };
        match (size(layout), size(after)) {
            // SAFETY: the caller's promise; it was made so.
            (None, None) => unsafe { self.rest.realloc(block, layout, new) },
            (Some((a, _)), Some((b, _))) if a == b => block,
            // SAFETY: both have room for what is copied, and the old block is nobody's afterwards.
            _ => unsafe {
                let to = self.alloc(after);
                if !to.is_null() {
                    to.copy_from_nonoverlapping(block, layout.size().min(new));
                    self.dealloc(block, layout);
                }
                to
            },
        }
    }
}

#[global_allocator]
static HEAP: Heap = Heap {
    kept: lock_api::Mutex::new([Kept { first: core::ptr::null_mut(), count: 0 }; SMALL / STEPS]),
    rest: Talc::new(Grow { heap: Span::empty() }).lock(),
};
