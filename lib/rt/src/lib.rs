//! What every program on Portolan begins with: its start, the system-call stubs, the allocator and the lock.
//!
//! Programs normally link the safe library `portolan` above this one. Built for a host (without `--cfg portolan`)
//! the crate is empty, so that the workspace builds as a whole.
#![no_std]

#[cfg(portolan)]
pub mod crash;
#[cfg(portolan)]
mod heap;
#[cfg(portolan)]
mod lock;
#[cfg(portolan)]
mod memory;
#[cfg(portolan)]
mod start;
#[cfg(portolan)]
pub mod sys;

#[cfg(portolan)]
pub use lock::{Mutex, MutexGuard, RawLock, RwLock, RwLockReadGuard, RwLockWriteGuard};
#[cfg(portolan)]
pub use start::{args, exit};
