//! Threads: processes that share the memory, each on a stack of its own.
#![allow(unsafe_code, reason = "hands a stack to a new thread")]

use super::error::{Result, check};
use crate::alloc::boxed::Box;
use crate::sys;
use abi::file::RFNOWAIT;
use core::sync::atomic::AtomicI32;

/// Bytes of a thread's stack.
pub const STACK: usize = 64 << 10;

struct Start<F> {
    run: F,
    done: *const AtomicI32,
}

/// A thread that was started. Dropping it without [`Thread::join`] leaves the thread running
/// and its stack attached for good.
#[derive(Debug)]
pub struct Thread {
    pid: u32,
    stack: u64,
    /// Released at the thread's end. None once joined.
    done: Option<Box<AtomicI32>>,
}

/// Runs a function in a thread of its own.
pub fn spawn<F: FnOnce() + Send + 'static>(run: F) -> Result<Thread> {
    let stack = check(sys::segattach(0, -1, 0, 0, STACK))?;
    let done = Box::new(AtomicI32::new(0));
    let start = Box::into_raw(Box::new(Start { run, done: &raw const *done }));
    extern "C" fn enter<F: FnOnce()>(arg: usize) -> *const AtomicI32 {
        // SAFETY: `arg` is the box that `spawn` gave away for this thread alone.
        let start = unsafe { Box::from_raw(arg as *mut Start<F>) };
        let Start { run, done } = *start;
        run();
        done
    }
    let top = (stack + STACK as u64) as *mut u8;
    // SAFETY: the stack is fresh and page-aligned, and stays attached until `join` has seen the thread's end.
    let pid = unsafe { sys::rfork_thread(RFNOWAIT, top, enter::<F>, start as usize) };
    match check(pid) {
        Ok(pid) => Ok(Thread { pid, stack, done: Some(done) }),
        Err(e) => {
            // SAFETY: nobody took the box or the stack.
            unsafe {
                drop(Box::from_raw(start));
                let _ = sys::segdetach(stack, STACK);
            }
            Err(e)
        }
    }
}

impl Thread {
    /// The thread's process number.
    pub fn id(&self) -> u32 {
        self.pid
    }

    /// Waits until the function has returned, and takes its stack away.
    pub fn join(mut self) -> Result<()> {
        let Some(done) = self.done.take() else { return Ok(()) };
        // A note may interrupt the wait; the thread's end is still to come.
        while sys::semacquire(&done, -1) != Some(1) {}
        // SAFETY: the thread has released `done`, after which it does not touch its stack.
        check(unsafe { sys::segdetach(self.stack, STACK) })
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        // The thread still writes to it: it lives on, with the stack.
        if let Some(done) = self.done.take() {
            Box::leak(done);
        }
    }
}
