//! Notes that the kernel itself sends (notify(2)).

/// Control-C at the terminal.
pub const INTERRUPT: &str = "interrupt";
/// The terminal's line is gone.
pub const HANGUP: &str = "hangup";
/// An alarm(2) has passed.
pub const ALARM: &str = "alarm";
/// Kill, which no handler sees.
pub const KILL: &str = "kill";
/// A write on a pipe that nobody reads.
pub const PIPE: &str = "sys: write on closed pipe";
/// Prefix of the notes of processor faults; ` pc=0x… addr=0x…` follows the kind.
pub const TRAP: &str = "sys: trap: ";

/// noted(2): go on where the note found the program.
pub const NCONT: u32 = 0;
/// noted(2): the default action, which ends the process.
pub const NDFLT: u32 = 1;

/// The registers of a program that takes a note, as its handler finds and may change them: in the order in which the
/// kernel finds them too.
///
/// The handler is entered as `extern "C" fn(*mut Frame, *const u8, usize)` with the note's text, on the
/// interrupted stack below its red zone, and ends with the system call `noted`, which takes the registers from
/// here. Vector registers are kept by the kernel meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Frame {
    /// General registers: rax rbx rcx rdx rsi rdi rbp r8 to r15.
    pub general: [u64; 15],
    /// Number and error of the trap that interrupted it; of a system call, 0.
    pub trap: [u64; 2],
    /// Where the program goes on.
    pub pc: u64,
    /// The code's segment, which is the kernel's to choose.
    pub code: u64,
    /// The flags, of which a program may change the arithmetic ones.
    pub flags: u64,
    /// The stack pointer.
    pub sp: u64,
    /// The stack's segment, which is the kernel's to choose.
    pub stack: u64,
}
