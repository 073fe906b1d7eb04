//! A machine made of a host's threads and memory, so that the kernel runs under `cargo test`.
#![allow(unsafe_code, reason = "defines the machine's symbols")]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "only tests run on it"
)]

mod device;
mod memory;

pub use memory::{Exhausted, Memory, memory, reserve};

#[unsafe(no_mangle)]
fn relax() {
    std::thread::yield_now();
}

#[unsafe(no_mangle)]
fn cpu() -> usize {
    0
}

#[unsafe(no_mangle)]
fn cpus() -> usize {
    1
}

#[unsafe(no_mangle)]
fn ipi(_cpu: usize, _why: crate::machine::Ipi) {}
