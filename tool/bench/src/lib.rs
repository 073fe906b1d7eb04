//! Measures the machine: the table of `cargo xtask bench` ([`rows`]), the machines that fill it ([`machine`], [`linux`]),
//! where the instructions of an operation go ([`profile`]), and how rows stand while something else grows ([`scale`]).
//!
//! The operations themselves are the program `cost` (test/cost), which runs inside. A scenario holds the figures to the
//! baseline in bench/.

pub mod linux;
pub mod machine;
pub mod profile;
pub mod rows;
pub mod scale;
mod symbols;
