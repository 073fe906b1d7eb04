//! Where the machine enters the portable kernel: system calls, faults, the timer, interrupts, notes on the way out.
//!
//! Each function is entered with interrupts off, on the kernel stack of the current thread or activation, from user
//! mode, but for [`irq`], [`timer`] and [`ipi`], which may also come while the CPU idles.

use abi::note::Frame;

/// What a system call leaves: both words come back in registers.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Outcome {
    /// The result, for the program.
    pub value: u64,
    /// Not 0: build the full frame, put `value` into it and call [`deliver`] before going back to the program.
    pub pending: u64,
}

/// What a processor fault was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Fault {
    /// A read of memory.
    Read,
    /// A write.
    Write,
    /// An instruction fetch.
    Fetch,
    /// An instruction that does not exist or may not be used.
    Instruction,
    /// A division by zero, or another error of arithmetic.
    Divide,
    /// A vector or floating-point error.
    Float,
    /// A breakpoint.
    Breakpoint,
    /// Anything else.
    Other,
}
