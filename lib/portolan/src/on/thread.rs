//! Threads: processes that share the memory, each on a stack of its own.
#![allow(unsafe_code, reason = "hands a stack to a new thread")]

pub use super::scope::{Scope, ScopedJoinHandle, scope};

use super::error::{Result, check};
use super::sync::Mutex;
use crate::alloc::boxed::Box;
use crate::sys;
use abi::error::Error as Known;
use abi::file::RFNOWAIT;
use core::cell::UnsafeCell;
use core::sync::atomic::AtomicI32;

/// Bytes of a thread's stack, unless [`Builder::stack`] says otherwise.
pub const STACK: usize = 64 << 10;
/// Bytes of stack that do for a thread which only makes system calls; in a server every page of it is wired.
pub const SMALL: usize = 16 << 10;

/// Nanoseconds after which who waits for a thread's end looks whether it still runs.
const LOOK: i64 = 500_000_000;

/// Has a process ended? Who does not even see itself can't know.
fn gone(pid: u32) -> bool {
    let seen = |pid: u32| super::fs::exists(crate::alloc::format!("#proc/{pid}"));
    seen(super::process::id()) && !seen(pid)
}

/// The stack of usual size that was used last, for the next thread: to attach one, make its first page and detach it again
/// was a fifth of what a thread's life cost.
static SPARE: Mutex<Option<u64>> = Mutex::new(None);

/// A stack of so many bytes that nobody uses, with what is left on it.
fn stack(len: usize) -> Result<u64> {
    let spare = if len == STACK { SPARE.lock().take() } else { None };
    spare.map_or_else(|| check(sys::segattach(0, -1, 0, 0, len)), Ok)
}

/// Gives it back.
///
/// # Safety
/// It is one of [`stack`]'s, and nothing refers to it.
unsafe fn give_back(at: u64, len: usize) -> Result<()> {
    if len == STACK {
        let mut spare = SPARE.lock();
        if spare.is_none() {
            *spare = Some(at);
            return Ok(());
        }
    }
    // SAFETY: by the caller's promise.
    check(unsafe { sys::segdetach(at, len) })
}

/// Lets go of the spare stack: a copy of this process would have a table for it.
pub(super) fn trim() {
    if let Some(at) = SPARE.lock().take() {
        // SAFETY: it is nobody's.
        let _ = unsafe { sys::segdetach(at, STACK) };
    }
}

/// What the thread and its handle share; it lives as long as both.
struct Packet<T> {
    /// Written by the thread before `done`.
    result: UnsafeCell<Option<T>>,
    /// Released at the thread's end.
    done: AtomicI32,
}

struct Start<F, T> {
    run: F,
    packet: *const Packet<T>,
}

/// A thread that was started. Dropping it without [`JoinHandle::join`] leaves the thread running
/// and its stack attached for good.
#[derive(Debug)]
pub struct JoinHandle<T> {
    pid: u32,
    stack: u64,
    len: usize,
    /// Null once joined.
    packet: *mut Packet<T>,
}

// SAFETY: the handle reads the result only after the thread has released `done`, so the value goes from one thread to
// the other, which `T: Send` allows.
unsafe impl<T: Send> Send for JoinHandle<T> {}

/// How a thread is started.
#[derive(Clone, Copy, Debug)]
pub struct Builder {
    stack: usize,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// A thread like all others.
    pub const fn new() -> Builder {
        Builder { stack: STACK }
    }

    /// With a stack of so many bytes, rounded up to whole pages.
    pub const fn stack(self, bytes: usize) -> Builder {
        Builder { stack: bytes.next_multiple_of(abi::limit::PAGE) }
    }

    /// Starts it.
    pub fn spawn<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(
        self,
        run: F,
    ) -> Result<JoinHandle<T>> {
        extern "C" fn enter<F: FnOnce() -> T, T>(arg: usize) -> *const AtomicI32 {
            rt::crash::install();
            // SAFETY: `arg` is the box that `spawn` gave away for this thread alone.
            let Start { run, packet } = *unsafe { Box::from_raw(arg as *mut Start<F, T>) };
            let result = run();
            // SAFETY: the handle keeps the packet until it has acquired `done`, and does not look at it before.
            unsafe {
                *(*packet).result.get() = Some(result);
                &raw const (*packet).done
            }
        }
        let stack = stack(self.stack)?;
        let packet = Packet { result: UnsafeCell::new(None), done: AtomicI32::new(0) };
        let packet = Box::into_raw(Box::new(packet));
        let start = Box::into_raw(Box::new(Start { run, packet: packet.cast_const() }));
        let top = (stack + self.stack as u64) as *mut u8;
        // SAFETY: the stack is fresh and page-aligned, and stays attached until `join` has seen the thread's end.
        let pid = unsafe { sys::rfork_thread(RFNOWAIT, top, enter::<F, T>, start as usize) };
        match check(pid) {
            Ok(pid) => Ok(JoinHandle { pid, stack, len: self.stack, packet }),
            Err(e) => {
                // SAFETY: nobody took the boxes or the stack.
                unsafe {
                    drop(Box::from_raw(start));
                    drop(Box::from_raw(packet));
                    let _ = give_back(stack, self.stack);
                }
                Err(e)
            }
        }
    }
}

/// Runs a function in a thread of its own.
pub fn spawn<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(run: F) -> Result<JoinHandle<T>> {
    Builder::new().spawn(run)
}

impl<T> JoinHandle<T> {
    /// The thread's process number.
    pub fn id(&self) -> u32 {
        self.pid
    }

    /// Waits until the function has returned, and takes its stack away. An error says that the thread has ended otherwise,
    /// by a panic or a note; its stack stays then, since others may have been lent what is on it.
    pub fn join(mut self) -> Result<T> {
        let packet = core::mem::replace(&mut self.packet, core::ptr::null_mut());
        // SAFETY: the thread writes to it until it releases `done`; until then only `done` is used here.
        let done = unsafe { &(*packet).done };
        // A note may interrupt the wait; the thread's end is still to come. Who is gone can't tell.
        let returned = loop {
            match sys::semacquire(done, LOOK) {
                Some(1) => break true,
                Some(_) if gone(self.pid) => break sys::semacquire(done, 0) == Some(1),
                _ => {}
            }
        };
        // SAFETY: the thread has released `done`, after which it touches neither the packet nor its stack, or is gone.
        let packet = unsafe { Box::from_raw(packet) };
        if !returned {
            return Err(Known::Died.into());
        }
        // SAFETY: as above; nothing refers to the stack.
        unsafe { give_back(self.stack, self.len) }?;
        packet.result.into_inner().ok_or(Known::Died.into())
    }
}
