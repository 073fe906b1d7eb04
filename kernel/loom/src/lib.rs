//! The kernel's files whose order of memory accesses matters, compiled against loom, which runs them in every order that
//! the memory model allows: the lock, queues and piles, parking and waking, activation lists, a portal's queues, and the
//! shootdown's mailboxes. `tests/models.rs` has the models; `cargo xtask test --all` runs them.
//!
//! The files are the kernel's own, by path. What they name is here: this crate calls itself `core` and `abi`, so that
//! `core::sync::atomic` is loom's and a machine has two CPUs. The rest of the kernel is stood in for as shortly as may be.
#![cfg(loom)]
#![allow(
    unsafe_code,
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "files of the kernel, in part, and stand-ins"
)]

extern crate self as abi;
extern crate self as core;

pub use std::{
    alloc, any, clone, cmp, default, fmt, hash, hint, marker, mem, num, option, panic, ptr, result,
};
pub mod cell {
    pub use std::cell::*;
}
pub mod ops {
    pub use std::ops::*;
}
pub mod sync {
    pub mod atomic {
        //! Loom's atomics, made when they are first used, since a constant can't make one. Each is to be touched before a
        //! second thread begins.
        pub use loom::sync::atomic::fence;
        pub use std::sync::atomic::Ordering;
        macro_rules! atomics {
            ($($name:ident $value:ty),*) => { $(
                #[derive(Debug, Default)]
                pub struct $name($value, std::sync::OnceLock<loom::sync::atomic::$name>);
                impl $name {
                    pub const fn new(value: $value) -> $name {
                        $name(value, std::sync::OnceLock::new())
                    }
                }
                impl std::ops::Deref for $name {
                    type Target = loom::sync::atomic::$name;
                    fn deref(&self) -> &Self::Target {
                        self.1.get_or_init(|| loom::sync::atomic::$name::new(self.0))
                    }
                }
            )* };
        }
        atomics!(AtomicBool bool, AtomicU8 u8, AtomicU32 u32, AtomicU64 u64);
        // What has this type is touched under a lock only, or is a constant for ever; loom knows nothing of it.
        pub use std::sync::atomic::AtomicUsize;
    }
}

/// What `abi` says.
pub mod limit {
    pub const CPUS: usize = 2;
}
pub mod error {
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub enum Error {
        Died,
        Interrupted,
    }
}

pub mod msg {
    pub type Fail = crate::error::Error;
    pub type Result<T> = std::result::Result<T, Fail>;
}

pub mod base;

pub mod counters {
    pub struct Counter;
    impl Counter {
        pub fn up(&self) {}
    }
    pub static CONTENDED: Counter = Counter;
}

pub mod machine {
    #[derive(Clone, Copy, Debug)]
    pub enum Ipi {
        Shootdown,
    }
    pub fn cpu() -> usize {
        crate::thread::current_ref().cpu
    }
    pub fn cpus() -> usize {
        crate::limit::CPUS
    }
    pub fn now() -> u64 {
        0
    }
    pub fn relax() {
        loom::thread::yield_now();
    }
    pub fn kernel_root() {}
    pub fn load(_: ()) {}
    pub fn idle() {}
    pub fn flush_all() {}
    pub fn ipi(_: usize, _: Ipi) {}
}

#[path = "../../core/src/mem/shootdown.rs"]
pub mod shootdown;

#[path = "../../core/src/run.rs"]
mod run;

pub mod thread;

pub mod call;
