//! The first program's parts that know nothing of a machine: the boot archive and the table of services.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod archive;
pub mod services;
