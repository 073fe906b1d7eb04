//! A child that has its parent's memory only until it runs a program: nothing of the memory is copied for it.
#![allow(unsafe_code, reason = "hands a stack to a new process")]

use super::error::{Result, check};
use crate::alloc::vec::Vec;
use crate::sys;
use abi::error::Error as Known;
use core::sync::atomic::AtomicI32;

/// Bytes of the child's stack: it makes a few system calls.
const STACK: usize = 16 << 10;

/// A piece of a stack, aligned as one has to be.
type Block = u128;
const _: () = assert!(align_of::<Block>() == 16);

/// Makes a process of these rfork flags that runs `child` in this one's memory, and then `wait`, which must not return
/// before the child has replaced its memory or ended: the child's number.
pub(super) fn until<F: Fn()>(flags: u32, child: &F, wait: impl FnOnce()) -> Result<u32> {
    extern "C" fn enter<F: Fn()>(arg: usize) -> *const AtomicI32 {
        // SAFETY: `arg` is the closure that `until` borrows for as long as this runs.
        let child = unsafe { &*(arg as *const F) };
        child();
        sys::exits(b"")
    }
    let mut stack: Vec<Block> = Vec::new();
    stack.try_reserve_exact(STACK / size_of::<Block>()).map_err(|_| Known::NoMemory)?;
    let top = stack.spare_capacity_mut().as_mut_ptr_range().end.cast();
    // SAFETY: the stack is aligned and nobody else's, and it and the closure stay until `wait` has returned. `enter` never
    // returns, so there is no semaphore.
    let pid =
        check(unsafe { sys::rfork_thread(flags, top, enter::<F>, core::ptr::from_ref(child) as usize) })?;
    wait();
    Ok(pid)
}
