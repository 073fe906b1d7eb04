//! The heap: the crate `talc` over a range that grows by `segbrk`.
//!
//! Allocation fails when the kernel has no more memory; nothing here panics.
#![allow(unsafe_code, reason = "hands raw memory to the allocator")]

use crate::lock::RawLock;
use crate::sys;
use core::alloc::Layout;
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

#[global_allocator]
static HEAP: Talck<RawLock, Grow> = Talc::new(Grow { heap: Span::empty() }).lock();
