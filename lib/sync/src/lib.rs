//! What safe servers need and `core` lacks: [`Lock`], which waits in both worlds, and [`Shared`], a counted pointer
//! whose allocation can fail.
//!
//! They stand here so that `serve` and the servers above it need no `unsafe` and no `cfg`.
#![no_std]

extern crate alloc;
#[cfg(any(test, not(portolan)))]
extern crate std;

mod lock;
mod shared;

pub use lock::{Guard, Lock};
pub use shared::{NoMemory, Shared};
