//! What safe servers need and `core` lacks: [`Lock`], which waits in both worlds, [`Shared`], a counted pointer
//! whose allocation can fail, and [`Page`], a counted page that the kernel can share.
//!
//! They stand here so that `serve` and the servers above it need no `unsafe` and no `cfg`.
#![no_std]

extern crate alloc;
#[cfg(any(test, not(portolan)))]
extern crate std;

mod lock;
mod page;
mod shared;

pub use lock::{Guard, Lock};
pub use page::{Bytes, Page};
pub use shared::{NoMemory, Shared};
