//! The host's files: what 9P2000.L says of them in the terms of 9P2000. The program adds the device and the server.
//!
//! [`attributes`] turns a file's attributes into a qid and a stat record, [`entries`] takes a directory apart, [`errors`]
//! turns Linux's error numbers into words.
#![no_std]
#![forbid(unsafe_code)]

pub mod attributes;
pub mod entries;
pub mod errors;
