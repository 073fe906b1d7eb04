//! The checks that the fuzzers run; they also run, for a bounded time, among ninep's tests.
//!
//! `cargo +nightly fuzz run message` in this folder, or `text`, `words`, `server`, `client`, goes on until it finds
//! something.

mod checks;

pub use checks::{any_text, client, message, server, words};
