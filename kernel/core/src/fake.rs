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
mod run;

pub use memory::{Exhausted, Memory, memory, reserve};
pub use run::{CPUS, STACK, forget_programs, kernel, on_cpu, poll, program, start, user};

#[unsafe(no_mangle)]
fn relax() {
    std::thread::yield_now();
}
