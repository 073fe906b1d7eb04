//! Limits, each by name. A test somewhere stands at each of them.

/// Bytes in a page, the unit of memory that the kernel lends, shares and gives.
pub const PAGE: usize = 4096;
/// Bytes mapped by one entry of the second-lowest page table level.
pub const LARGE_PAGE: usize = 2 << 20;
/// Longest name of one path element, in bytes.
pub const NAME: usize = 255;
/// Most names in one Twalk (walk(5): "the maximum number of elements … is 16").
pub const WALK: usize = 16;
/// Longest path given to a system call, in bytes.
pub const PATH: usize = 4096;
/// Longest error string, in bytes; longer ones are cut at a character's start.
pub const ERROR: usize = 128;
/// Longest note, in bytes.
pub const NOTE: usize = 128;
/// Longest exit status, in bytes.
pub const STATUS: usize = 128;
/// Longest user name, in bytes.
pub const USER: usize = 64;
/// Largest stat record, in bytes: it fits a message page.
pub const STAT: usize = PAGE;
/// Largest payload of one Tread or Twrite inside the machine, in bytes. A longer read is short, a longer write
/// is split.
pub const IO: usize = 1 << 20;
/// Payloads up to this many bytes are copied; longer ones have their whole pages lent.
pub const COPY: usize = 8192;
/// Deepest chain of portal calls.
pub const CALLS: usize = 16;
/// Most descriptors of one process.
pub const PORTS: usize = 16384;
/// Most processes and threads of one machine.
pub const THREADS: usize = 16384;
/// Most CPUs of one machine.
pub const CPUS: usize = 8;
/// Most pieces of memory that devices may know, each of at most 4 MiB.
pub const DMA_RUNS: usize = 32;
/// Most pages of a device's registers that one attachment has.
pub const REGISTERS: u64 = 4096;
/// Most activations of one portal.
pub const ACTIVATIONS: usize = 64;
/// Most messages that wait in one mailbox, and most replies in one open file of it.
pub const MAIL: usize = 16;
/// Most bytes that wait in one mailbox, unless it is one message.
pub const MAIL_BYTES: usize = 64 << 10;
/// Longest message to a mailbox, in bytes.
pub const MESSAGE: usize = 8192;
/// Most bytes of arguments of one exec, strings and pointers together.
pub const ARGS: usize = 512 << 10;
/// Most elements that a path resolves through.
pub const DEPTH: usize = 512;
/// Nested `#!` interpreters that exec follows.
pub const INTERPRETERS: usize = 4;

/// User programs are linked to begin here.
pub const TEXT: u64 = 0x20_0000;
/// First address above a program's first stack. Everything that the kernel places lies below 512 GiB, where one table of
/// the third level is enough.
pub const STACK_TOP: u64 = 0x7f_ffff_f000;
/// Room for a program's first stack, in bytes.
pub const STACK: u64 = 1 << 20;
/// First address that no user program can have.
pub const USER_END: u64 = 0x8000_0000_0000;
