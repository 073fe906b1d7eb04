//! Threads that borrow from who started them, as `std::thread::scope`.
#![allow(unsafe_code, reason = "gives a thread what it borrows for longer than it says")]

use super::error::Result;
use super::sync::Mutex;
use super::thread::{JoinHandle, spawn};
use crate::alloc::boxed::Box;
use crate::alloc::sync::Arc;
use crate::alloc::vec::Vec;
use abi::error::Error as Known;
use core::marker::PhantomData;

/// Where threads are started that have all ended before [`scope`] returns.
#[derive(Debug)]
pub struct Scope<'scope, 'env: 'scope> {
    /// Those that nobody has joined.
    running: Mutex<Vec<JoinHandle<()>>>,
    /// Neither lifetime may be taken for another.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

/// A thread of a [`Scope`].
#[derive(Debug)]
pub struct ScopedJoinHandle<'scope, T> {
    pid: u32,
    result: Arc<Mutex<Option<T>>>,
    running: &'scope Mutex<Vec<JoinHandle<()>>>,
}

/// Calls a function that starts threads, and returns when it and all of them have ended. They may use whatever lives
/// longer than this call.
pub fn scope<'env, T>(f: impl for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T) -> T {
    let scope = Scope { running: Mutex::new(Vec::new()), scope: PhantomData, env: PhantomData };
    // It does not unwind: a panic ends this thread where it is, and the scope stays on its stack.
    let result = f(&scope);
    loop {
        let Some(thread) = scope.running.lock().pop() else { return result };
        // One that has ended by a note borrows nothing any more.
        let _ = thread.join();
    }
}

impl<'scope> Scope<'scope, '_> {
    /// Runs a function in a thread of its own.
    pub fn spawn<T: Send + 'scope>(
        &'scope self,
        run: impl FnOnce() -> T + Send + 'scope,
    ) -> Result<ScopedJoinHandle<'scope, T>> {
        let result = Arc::new(Mutex::new(None));
        let slot = result.clone();
        let run: Box<dyn FnOnce() + Send + 'scope> = Box::new(move || {
            let value = run();
            *slot.lock() = Some(value);
        });
        // SAFETY: only the lifetime changes. The thread is in `running`, or is joined, before `scope` returns, and what
        // lives for `'scope` lives until then.
        let run: Box<dyn FnOnce() + Send + 'static> = unsafe { core::mem::transmute(run) };
        // Held meanwhile, so that who joins it finds it.
        let mut running = self.running.lock();
        let thread = spawn(run)?;
        let pid = thread.id();
        running.push(thread);
        Ok(ScopedJoinHandle { pid, result, running: &self.running })
    }
}

impl<T> ScopedJoinHandle<'_, T> {
    /// The thread's process number.
    pub fn id(&self) -> u32 {
        self.pid
    }

    /// Waits until the function has returned: as [`JoinHandle::join`].
    pub fn join(self) -> Result<T> {
        let thread = {
            let mut running = self.running.lock();
            let at = running.iter().position(|t| t.id() == self.pid);
            at.map(|at| running.swap_remove(at))
        };
        thread.map_or(Ok(()), JoinHandle::join)?;
        self.result.lock().take().ok_or(Known::Died.into())
    }
}
