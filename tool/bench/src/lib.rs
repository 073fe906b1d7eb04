//! Measures the machine: the table of `cargo xtask bench` ([`rows`]), the machines that fill it ([`machine`], [`linux`]),
//! and where the instructions of an operation go ([`profile`]).
//!
//! The operations themselves are the program `cost` (test/cost), which runs inside. A scenario holds the figures to the
//! baseline in bench/.

pub mod linux;
pub mod machine;
pub mod profile;
pub mod rows;
mod symbols;
