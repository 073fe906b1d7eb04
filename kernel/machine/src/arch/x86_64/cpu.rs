//! Each CPU's own block, which GS leads to in the kernel, and the registers that are set once.
//!
//! In user mode the block's address waits in KERNEL_GS_BASE; each way in exchanges the two. A CPU only touches
//! its own block, but for `apic_id`, which is written before anybody looks.
#![allow(unsafe_code, reason = "system registers and per-CPU memory")]

use super::{apic, entry, trap};
use abi::limit::CPUS;
use core::arch::asm;
use core::arch::x86_64::__cpuid;
use core::cell::UnsafeCell;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// Selectors, in the order that `syscall` and `sysret` want.
pub(super) const KERNEL_CODE: u16 = 0x08;
pub(super) const USER_DATA: u16 = 0x18 | 3;
pub(super) const USER_CODE: u16 = 0x20 | 3;
const TASK: u16 = 0x28;

/// The processor's task state: which stacks traps use.
#[repr(C, packed(4))]
struct Task {
    reserved: u32,
    /// The kernel stack of traps from user mode, and of system calls too.
    stack0: u64,
    stacks: [u64; 2],
    reserved2: u64,
    /// The stack of faults that must not happen.
    ist: [u64; 7],
    reserved3: u64,
    reserved4: u16,
    iomap: u16,
}

/// A CPU's own block.
#[repr(C, align(64))]
pub(super) struct Cpu {
    number: usize,
    /// The user stack pointer, for a moment while a system call enters.
    user_sp: u64,
    /// Where to keep the vector registers of the program that a trap found, 0 in system calls.
    vector: u64,
    /// 1 where the CPU has SMAP: copies to and from user memory must say so.
    smap: u8,
    /// The scheduler's block of this CPU.
    local: *const (),
    /// So that `stack0` is aligned.
    pad: u32,
    task: Task,
    gdt: [u64; 7],
}

/// Offsets in [`Cpu`], for assembly.
pub(super) const USER_SP: usize = offset_of!(Cpu, user_sp);
pub(super) const VECTOR: usize = offset_of!(Cpu, vector);
pub(super) const SMAP: usize = offset_of!(Cpu, smap);
pub(super) const KERNEL_STACK: usize = offset_of!(Cpu, task) + offset_of!(Task, stack0);
const NUMBER: usize = offset_of!(Cpu, number);
const LOCAL: usize = offset_of!(Cpu, local);

struct Blocks(UnsafeCell<[Cpu; CPUS]>);
// SAFETY: each block is touched by its own CPU alone (see above).
unsafe impl Sync for Blocks {}

static BLOCKS: Blocks = Blocks(UnsafeCell::new(
    [const {
        Cpu {
            number: 0,
            user_sp: 0,
            vector: 0,
            smap: 0,
            local: core::ptr::null(),
            pad: 0,
            task: Task {
                reserved: 0,
                stack0: 0,
                stacks: [0; 2],
                reserved2: 0,
                ist: [0; 7],
                reserved3: 0,
                reserved4: 0,
                iomap: 0,
            },
            gdt: [0; 7],
        }
    }; CPUS],
));

/// How many CPUs run.
static COUNT: AtomicUsize = AtomicUsize::new(1);
/// Their local APICs' numbers.
static APIC_IDS: [AtomicU32; CPUS] = [const { AtomicU32::new(0) }; CPUS];

const MSR_STAR: u32 = 0xc000_0081;
const MSR_LSTAR: u32 = 0xc000_0082;
const MSR_FMASK: u32 = 0xc000_0084;
const MSR_GS_BASE: u32 = 0xc000_0101;
const MSR_KERNEL_GS_BASE: u32 = 0xc000_0102;
/// Flags cleared on system calls: all that a program can set but for the arithmetic ones.
const FMASK: u64 = 0x0024_7700 | 0xd5;
const CR4_SMEP: u64 = 1 << 20;
const CR4_SMAP: u64 = 1 << 21;

/// Writes a model-specific register.
///
/// # Safety
/// The value must keep the kernel running.
unsafe fn wrmsr(register: u32, value: u64) {
    // SAFETY: the caller's.
    unsafe {
        asm!("wrmsr", in("ecx") register, in("eax") value as u32, in("edx") (value >> 32) as u32,
            options(nostack, preserves_flags));
    }
}

#[repr(C, packed)]
pub(super) struct TablePointer {
    pub(super) limit: u16,
    pub(super) base: u64,
}

/// Sets up the CPU that runs this, with a stack for faults that must not happen.
pub(super) fn init(number: usize, emergency_stack: u64) {
    // SAFETY: the number is below CPUS, and no other CPU touches this block.
    let cpu = unsafe { &mut (*BLOCKS.0.get())[number % CPUS] };
    cpu.number = number;
    cpu.task.ist[0] = emergency_stack;
    cpu.task.iomap = size_of::<Task>() as u16;
    cpu.gdt =
        [0, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff, 0x00cf_f300_0000_ffff, 0x00af_fb00_0000_ffff, 0, 0];
    let base = &raw const cpu.task as u64;
    let limit = size_of::<Task>() as u64 - 1;
    cpu.gdt[5] = limit | (base & 0xff_ffff) << 16 | 0x89 << 40 | (base >> 24 & 0xff) << 56;
    cpu.gdt[6] = base >> 32;
    let gdt = TablePointer { limit: size_of_val(&cpu.gdt) as u16 - 1, base: cpu.gdt.as_ptr() as u64 };
    let leaf7 = if __cpuid(0).eax >= 7 { __cpuid(7).ebx } else { 0 };
    let (smep, smap) = (leaf7 & 1 << 7 != 0, leaf7 & 1 << 20 != 0);
    cpu.smap = u8::from(smap);
    let mut cr4 = if smep { CR4_SMEP } else { 0 };
    cr4 |= if smap { CR4_SMAP } else { 0 };
    let block = &raw const *cpu as u64;
    // SAFETY: the tables live for ever and say the same as the boot ones for what runs now; the bits of CR4 exist by
    // CPUID; the system call registers lead to the entry below. A null selector is right for data in 64-bit mode.
    unsafe {
        asm!("lgdt [{}]", in(reg) &raw const gdt, options(nostack));
        asm!("push {code}", "lea {t}, [rip + 2f]", "push {t}", "retfq", "2:", "ltr {task:x}",
            code = in(reg) u64::from(KERNEL_CODE), t = out(reg) _, task = in(reg) TASK);
        asm!("mov {t}, cr4", "or {t}, {more}", "mov cr4, {t}", t = out(reg) _, more = in(reg) cr4);
        wrmsr(MSR_GS_BASE, block);
        wrmsr(MSR_KERNEL_GS_BASE, 0);
        wrmsr(MSR_STAR, u64::from(KERNEL_CODE) << 32 | u64::from(USER_DATA - 8) << 48);
        wrmsr(MSR_LSTAR, entry::system_call_address());
        wrmsr(MSR_FMASK, FMASK);
    }
    trap::load();
    apic::enable();
    APIC_IDS[number % CPUS].store(apic::id(), Ordering::Release);
}

/// Says how many CPUs run.
pub(super) fn set_count(n: usize) {
    COUNT.store(n, Ordering::Release);
}

/// The local APIC of a CPU.
pub(super) fn apic_id(cpu: usize) -> u32 {
    APIC_IDS.get(cpu).map_or(0, |a| a.load(Ordering::Acquire))
}

#[unsafe(no_mangle)]
fn cpu() -> usize {
    let n: usize;
    // SAFETY: GS leads to this CPU's block whenever the kernel runs.
    unsafe {
        asm!("mov {}, gs:[{at}]", out(reg) n, at = const NUMBER, options(nostack, readonly, pure, preserves_flags));
    }
    n
}

#[unsafe(no_mangle)]
fn cpus() -> usize {
    COUNT.load(Ordering::Relaxed)
}

#[unsafe(no_mangle)]
fn local() -> *const () {
    let at: *const ();
    // SAFETY: as in `cpu`. A switch, after which the CPU may be another, may change any memory, and so is not moved over.
    unsafe {
        asm!("mov {}, gs:[{at}]", out(reg) at, at = const LOCAL, options(nostack, readonly, pure, preserves_flags));
    }
    at
}

#[unsafe(no_mangle)]
fn set_local(at: *const ()) {
    // SAFETY: as in `cpu`.
    unsafe { asm!("mov gs:[{to}], {}", in(reg) at, to = const LOCAL, options(nostack, preserves_flags)) };
}

#[unsafe(no_mangle)]
fn set_kernel_stack(top: u64) {
    // SAFETY: as in `cpu`; the stack is used when the kernel is entered next.
    unsafe {
        asm!("mov gs:[{at}], {}", in(reg) top, at = const KERNEL_STACK, options(nostack, preserves_flags))
    };
}

/// Where the vector registers of the interrupted program would go; 0 in a system call.
#[inline]
pub(super) fn vector() -> u64 {
    let at: u64;
    // SAFETY: as in `cpu`.
    unsafe {
        asm!("mov {}, gs:[{at}]", out(reg) at, at = const VECTOR, options(nostack, readonly, preserves_flags))
    };
    at
}

/// Sets it.
#[inline]
pub(super) fn set_vector(at: u64) {
    // SAFETY: as in `cpu`.
    unsafe { asm!("mov gs:[{at}], {}", in(reg) at, at = const VECTOR, options(nostack, preserves_flags)) };
}

#[unsafe(no_mangle)]
fn idle() {
    // SAFETY: interrupts come on this stack, between the two instructions; their handlers return here.
    unsafe { asm!("sti", "hlt", "cli", options(nostack)) };
}

#[unsafe(no_mangle)]
fn relax() {
    core::hint::spin_loop();
    kernel_core::mem::shootdown::serve();
}
