//! tap9: stands between a 9P client and its server, shows what passes, and makes trouble.
//!
//! [`trouble`] decides what happens to a message (pure, repeatable by its seed); [`wrap`] puts that around any
//! `Read + Write`; [`proxy`] puts it between two sockets; [`trace`] writes lines and capture files.

#![forbid(unsafe_code)]

pub mod proxy;
pub mod trace;
pub mod trouble;
pub mod wrap;
