//! x86-64 under PVH: QEMU's microvm and q35, and whatever else starts a kernel so.
//!
//! [`boot`] is the first instruction and the way to 64 bits; [`start`] reads what the loader left and brings up the
//! CPUs one by one ([`smp`]). [`cpu`] has each CPU's own block, reached through GS; [`entry`] the ways in and out of
//! the kernel by system call, portal call and switch, [`trap`] those by fault and interrupt. [`page`] is the page
//! tables, [`copy`] every access to memory that is not Rust's, [`apic`] interrupts, [`time`] clocks, [`io`] ports.

mod apic;
mod boot;
mod copy;
mod cpu;
mod entry;
mod io;
mod page;
mod selftest;
mod smp;
mod start;
mod time;
mod trap;

pub(crate) use io::stop;
