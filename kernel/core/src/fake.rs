//! A machine made of a host's threads and memory, so that the kernel runs under `cargo test`.
#![allow(unsafe_code, reason = "defines the machine's symbols")]
#![allow(clippy::panic, reason = "only tests run on it")]

#[unsafe(no_mangle)]
fn relax() {
    std::thread::yield_now();
}
