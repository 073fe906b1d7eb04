//! Faults and interrupts: the table, the stubs, and what each means.
//!
//! From user mode they enter on the stack of the task state, with room of 512 bytes below the registers for the vector
//! registers. In kernel mode there are but two kinds that return: interrupts while the CPU idles, and page faults
//! of the copies in [`super::copy`]. Everything else is a mistake of the kernel and stops the machine.
#![allow(unsafe_code, reason = "the interrupt table and its stubs")]

use super::cpu::{SMAP, TablePointer, VECTOR};
use super::entry::deliver;
use super::{apic, copy};
use crate::log::{self, Part};
use abi::note::Frame;
use core::arch::{asm, global_asm};
use core::cell::UnsafeCell;
use kernel_core::entry::Fault;

const VECTORS: usize = 64;
/// The first of the interrupt lines.
pub(super) const LINES: u64 = 32;
/// The local timer.
pub(super) const TIMER: u64 = 60;
/// Look at the run queue.
pub(super) const RESCHEDULE: u64 = 61;
/// Serve the shootdown mailbox.
pub(super) const SHOOTDOWN: u64 = 62;
/// Interrupts that were none.
pub(super) const SPURIOUS: u64 = 63;

global_asm!(
    ".pushsection .text.entry, \"ax\"",
    ".balign 16",
    "trap_stubs:",
    ".set n, 0",
    ".rept {vectors}",
    ".balign 16",
    // The processor pushes an error for these alone.
    ".if n == 8 || (n >= 10 && n <= 14) || n == 17 || n == 21 || n == 29 || n == 30",
    ".else",
    "push 0",
    ".endif",
    "push n",
    "jmp trap_common",
    ".set n, n + 1",
    ".endr",
    "trap_common:",
    "cld",
    "push r15",
    "push r14",
    "push r13",
    "push r12",
    "push r11",
    "push r10",
    "push r9",
    "push r8",
    "push rbp",
    "push rdi",
    "push rsi",
    "push rdx",
    "push rcx",
    "push rbx",
    "push rax",
    "mov rdi, rsp",
    "xor ebp, ebp",
    "test byte ptr [rsp + 18 * 8], 3",
    "jz 3f",
    "swapgs",
    "cmp byte ptr gs:[{smap}], 0",
    "je 2f",
    "clac",
    "2:",
    "sub rsp, 512",
    "mov gs:[{vector}], rsp",
    "call user_trap",
    "mov qword ptr gs:[{vector}], 0",
    "add rsp, 512",
    ".global trap_return",
    "trap_return:",
    "pop rax",
    "pop rbx",
    "pop rcx",
    "pop rdx",
    "pop rsi",
    "pop rdi",
    "pop rbp",
    "pop r8",
    "pop r9",
    "pop r10",
    "pop r11",
    "pop r12",
    "pop r13",
    "pop r14",
    "pop r15",
    "add rsp, 16",
    "swapgs",
    "iretq",
    "3:",
    // The stack may be anything but aligned.
    "mov rbx, rsp",
    "and rsp, -16",
    "call kernel_trap",
    "mov rsp, rbx",
    "pop rax",
    "pop rbx",
    "pop rcx",
    "pop rdx",
    "pop rsi",
    "pop rdi",
    "pop rbp",
    "pop r8",
    "pop r9",
    "pop r10",
    "pop r11",
    "pop r12",
    "pop r13",
    "pop r14",
    "pop r15",
    "add rsp, 16",
    "iretq",
    ".popsection",
    vectors = const VECTORS,
    smap = const SMAP,
    vector = const VECTOR,
);

#[repr(C, align(16))]
struct Table(UnsafeCell<[[u64; 2]; VECTORS]>);
// SAFETY: written by the first CPU before the others run, then only read, by processors.
unsafe impl Sync for Table {}
static TABLE: Table = Table(UnsafeCell::new([[0; 2]; VECTORS]));

/// Fills the table. Once, before any CPU loads it.
pub(super) fn init() {
    unsafe extern "C" {
        safe static trap_stubs: u8;
    }
    let stubs = &raw const trap_stubs as u64;
    for n in 0..VECTORS {
        let to = stubs + n as u64 * 16;
        // Non-maskable interrupts, double faults and machine checks may come on any stack.
        let stack = u64::from(matches!(n, 2 | 8 | 18));
        // A program may raise breakpoints and overflow itself.
        let kind = if matches!(n, 3 | 4) { 0xee } else { 0x8e };
        let low = to & 0xffff | 0x08 << 16 | stack << 32 | kind << 40 | (to >> 16 & 0xffff) << 48;
        // SAFETY: see `Table`.
        unsafe { (*TABLE.0.get())[n] = [low, to >> 32] };
    }
}

/// Loads the table on this CPU.
pub(super) fn load() {
    let at = TablePointer { limit: (VECTORS * 16 - 1) as u16, base: TABLE.0.get() as u64 };
    // SAFETY: the table lives for ever and each entry leads to a stub.
    unsafe { asm!("lidt [{}]", in(reg) &raw const at, options(nostack)) };
}

/// The address that a page fault was about.
pub(super) fn fault_address() -> u64 {
    let at;
    // SAFETY: only reads.
    unsafe { asm!("mov {}, cr2", out(reg) at, options(nomem, nostack, preserves_flags)) };
    at
}

fn page_fault_kind(error: u64) -> Fault {
    if error & 1 << 4 != 0 {
        Fault::Fetch
    } else if error & 1 << 1 != 0 {
        Fault::Write
    } else {
        Fault::Read
    }
}

/// Interrupts; false for what is none.
fn interrupt(vector: u64) -> bool {
    match vector {
        TIMER => {
            apic::done();
            kernel_core::entry::timer();
        }
        RESCHEDULE => {
            apic::done();
            kernel_core::entry::reschedule();
        }
        SHOOTDOWN => {
            apic::done();
            kernel_core::mem::shootdown::serve();
        }
        SPURIOUS => {}
        LINES..TIMER => {
            apic::took(vector - LINES);
            kernel_core::entry::irq((vector - LINES) as usize);
        }
        _ => return false,
    }
    true
}

#[unsafe(no_mangle)]
extern "C" fn user_trap(trap: &mut Frame) {
    if matches!(trap.trap[0], 2 | 8 | 18) {
        // The emergency stack is no place to go on from.
        fatal(trap);
    }
    if !interrupt(trap.trap[0]) {
        let (at, kind) = match trap.trap[0] {
            14 => (fault_address(), page_fault_kind(trap.trap[1])),
            0 => (trap.pc, Fault::Divide),
            1 | 3 => (trap.pc, Fault::Breakpoint),
            6 => (trap.pc, Fault::Instruction),
            16 | 19 => (trap.pc, Fault::Float),
            _ => (trap.pc, Fault::Other),
        };
        kernel_core::entry::fault(at, kind, trap.pc);
    }
    if kernel_core::entry::pending() {
        deliver(trap);
    }
}

#[unsafe(no_mangle)]
extern "C" fn kernel_trap(trap: &mut Frame) {
    if interrupt(trap.trap[0]) {
        return;
    }
    if trap.trap[0] == 14 && copy::is_copy(trap.pc) {
        let at = fault_address();
        if !copy::serves(trap) || !kernel_core::entry::kernel_fault(at, page_fault_kind(trap.trap[1])) {
            trap.pc = copy::give_up();
        }
        return;
    }
    fatal(trap)
}

/// Says what happened, and where, and stops.
fn fatal(trap: &Frame) -> ! {
    const NAMES: [&str; 15] =
        ["ax", "bx", "cx", "dx", "si", "di", "bp", "8", "9", "10", "11", "12", "13", "14", "15"];
    log::line(&[
        "kernel panic: trap ".into(),
        trap.trap[0].into(),
        " error ".into(),
        Part::Hex(trap.trap[1]),
    ]);
    let place = [" pc ", " sp ", " cr2 ", " flags "];
    for (name, value) in place.iter().zip([trap.pc, trap.sp, fault_address(), trap.flags]) {
        log::line(&[(*name).into(), Part::Hex(value)]);
    }
    for (name, &value) in NAMES.iter().zip(&trap.general) {
        log::line(&[" r".into(), (*name).into(), " ".into(), Part::Hex(value)]);
    }
    super::stop(log::PANIC)
}
