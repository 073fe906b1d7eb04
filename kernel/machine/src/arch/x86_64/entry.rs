//! The ways in and out of the kernel that are on the hot path: system call, portal call, switch.
//!
//! All saved state of a kernel stack has one form: the registers that a function must keep, and an address to return
//! to; [`Context`] points at it. So whoever switched away, called a portal or never ran is resumed alike.
//!
//! Vector registers belong to the program. The kernel has none of its own, so a system call leaves them alone until it
//! switches; what a program finds after a switch or a portal call is empty registers. A program that a trap
//! interrupted gets its own back: the trap leaves room on the kernel stack (see [`super::trap`]) which is used when that
//! thread is switched away.
#![allow(unsafe_code, reason = "enters and leaves programs")]

use super::cpu::{self, KERNEL_STACK, USER_CODE, USER_DATA, USER_SP};
use abi::limit::USER_END;
use abi::note::Frame;
use abi::portal::Request;
use core::arch::{asm, global_asm};
use core::cell::UnsafeCell;
use core::mem::offset_of;
use kernel_core::entry::Outcome;
use kernel_core::machine::{Context, Entry, Root, Vector};

/// Flags that a program starts with: interrupts on.
const FLAGS: u64 = 0x202;
/// Flags that a program may change: the arithmetic ones, direction, and alignment checks.
const USER_FLAGS: u64 = 0x4_0cd5;

/// Empty registers, in the layout of `fxsave`: zero but for the control words. Made by [`init`], so that the image need
/// not hold them.
#[repr(transparent)]
struct Clean(UnsafeCell<Vector>);

// SAFETY: written before there is a program, and only read from then on.
unsafe impl Sync for Clean {}

#[unsafe(no_mangle)]
static CLEAN_VECTORS: Clean = Clean(UnsafeCell::new(Vector([0; _])));

/// Gives the control words of empty registers their usual values. The first CPU calls it before the others run.
pub(super) fn init() {
    let words = CLEAN_VECTORS.0.get().cast::<u32>();
    // SAFETY: both words are in the image, which nobody reads yet.
    unsafe {
        words.write(0x37f);
        words.add(6).write(0x1f80);
    }
}

unsafe extern "C" {
    safe fn system_call();
    fn switch_stacks(from: *mut u64, to: u64);
    fn call_portal(back: *mut Context, entry: *const Entry, request: *const Request);
    fn return_frame(frame: *const Frame) -> !;
}

const _: () = assert!(size_of::<Frame>() == 22 * 8 && offset_of!(Context, sp) == 0);
const _: () = assert!(offset_of!(Entry, root) == 0 && offset_of!(Entry, kernel_stack) == 8);
const _: () = assert!(offset_of!(Entry, user_stack) == 16 && offset_of!(Entry, pc) == 24);

global_asm!(
    ".pushsection .text.entry, \"ax\"",
    // A system call: rcx is the program's pc, r11 its flags; interrupts are off.
    ".global system_call",
    ".balign 16",
    "system_call:",
    "swapgs",
    "mov gs:[{user_sp}], rsp",
    "mov rsp, gs:[{kernel_stack}]",
    "push qword ptr gs:[{user_sp}]",
    "push r11",
    "push rcx",
    "push rax",
    "mov rcx, r10",
    "call system_call_body",
    "test rdx, rdx",
    "jnz 2f",
    // Nothing of the kernel's stays in a register; rdx is 0.
    "xor edi, edi",
    "xor esi, esi",
    "xor r8d, r8d",
    "xor r9d, r9d",
    "xor r10d, r10d",
    "add rsp, 8",
    "pop rcx",
    "pop r11",
    "pop rsp",
    "swapgs",
    "sysretq",
    // Something is to be done with all registers in hand: build the frame of a trap.
    "2:",
    "add rsp, 8",
    "pop rcx",
    "pop r11",
    "pop r10",
    "push {user_data}",
    "push r10",
    "push r11",
    "push {user_code}",
    "push rcx",
    "push 0",
    "push 0",
    "push r15",
    "push r14",
    "push r13",
    "push r12",
    "xor ecx, ecx",
    // r11 to r8, rbp, rdi, rsi, rdx, rcx, rbx, rax.
    "push rcx",
    "push rcx",
    "push rcx",
    "push rcx",
    "push rbp",
    "push rcx",
    "push rcx",
    "push rcx",
    "push rcx",
    "push rbx",
    "push rax",
    "mov rdi, rsp",
    "call leave_system_call",
    "jmp trap_return",
    // switch_stacks(from, to)
    ".global switch_stacks",
    ".balign 16",
    "switch_stacks:",
    "push rbx",
    "push rbp",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "mov [rdi], rsp",
    "mov rsp, rsi",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbp",
    "pop rbx",
    "ret",
    // call_portal(back, entry, request)
    ".global call_portal",
    ".balign 16",
    "call_portal:",
    "push rbx",
    "push rbp",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "mov [rdi], rsp",
    "mov rax, [rsi]",
    "shl rax, 12",
    "mov cr3, rax",
    "mov rax, [rsi + 8]",
    "mov gs:[{kernel_stack}], rax",
    "mov r10, rdx",
    "push {user_data}",
    // As if called: the word for a return address is skipped.
    "mov rax, [rsi + 16]",
    "sub rax, 8",
    "push rax",
    "push {flags}",
    "push {user_code}",
    "push [rsi + 24]",
    "mov rdi, [r10]",
    "mov rsi, [r10 + 8]",
    "mov rdx, [r10 + 16]",
    "mov rcx, [r10 + 24]",
    "mov r8, [r10 + 32]",
    "mov r9, [r10 + 40]",
    "fxrstor64 [rip + CLEAN_VECTORS]",
    "xor eax, eax",
    "xor ebx, ebx",
    "xor ebp, ebp",
    "xor r10d, r10d",
    "xor r11d, r11d",
    "xor r12d, r12d",
    "xor r13d, r13d",
    "xor r14d, r14d",
    "xor r15d, r15d",
    "swapgs",
    "iretq",
    // A new context starts here: rbx is the function, rbp its argument.
    ".global new_thread",
    "new_thread:",
    "mov rdi, rbp",
    "xor ebp, ebp",
    "call rbx",
    "ud2",
    // return_frame(frame): to a program with exactly these registers.
    ".global return_frame",
    "return_frame:",
    "mov rsp, rdi",
    "jmp trap_return",
    ".popsection",
    user_sp = const USER_SP,
    kernel_stack = const KERNEL_STACK,
    user_data = const USER_DATA,
    user_code = const USER_CODE,
    flags = const FLAGS,
);

/// Where system calls enter.
pub(super) fn system_call_address() -> u64 {
    system_call as *const () as u64
}

#[unsafe(no_mangle)]
extern "C" fn system_call_body(a: u64, b: u64, c: u64, d: u64, e: u64, f: u64, number: u64) -> Outcome {
    kernel_core::entry::syscall(number, [a, b, c, d, e, f])
}

/// Lets the kernel see and change a program's registers on its way out.
pub(super) fn deliver(trap: &mut Frame) {
    kernel_core::entry::deliver(trap);
    sane(trap);
}

#[unsafe(no_mangle)]
extern "C" fn leave_system_call(trap: &mut Frame) {
    deliver(trap);
    // What a note's end put there is the program's again.
    cpu::set_vector(0);
}

/// Registers with which a program may run. A pc beyond its memory becomes 0, which faults in the program and not in
/// the kernel on the way out.
fn sane(frame: &mut Frame) {
    (frame.code, frame.stack) = (USER_CODE.into(), USER_DATA.into());
    if frame.pc >= USER_END {
        frame.pc = 0;
    }
    frame.flags = frame.flags & USER_FLAGS | FLAGS;
}

/// Keeps the vector registers if they are those of an interrupted program: where, or 0.
#[inline(always)]
fn keep_vectors() -> u64 {
    let at = cpu::vector();
    if at != 0 {
        // SAFETY: a trap left aligned room for them there, on the kernel stack that is current.
        unsafe { asm!("fxsave64 [{}]", in(reg) at, options(nostack, preserves_flags)) };
        cpu::set_vector(0);
    }
    at
}

/// The other half: back to what they were, or empty.
#[inline(always)]
fn find_vectors(at: u64) {
    if at == 0 {
        clear_vectors();
    } else {
        // SAFETY: filled by `keep_vectors`, on the stack that is current again.
        unsafe { asm!("fxrstor64 [{}]", in(reg) at, options(nostack, readonly, preserves_flags)) };
        cpu::set_vector(at);
    }
}

#[inline(always)]
fn clear_vectors() {
    // SAFETY: a valid image.
    unsafe {
        asm!("fxrstor64 [{}]", in(reg) &raw const CLEAN_VECTORS, options(nostack, readonly, preserves_flags))
    };
}

#[unsafe(no_mangle)]
fn switch(from: &mut Context, to: &Context) {
    from.vector = keep_vectors();
    // SAFETY: `to` was saved by `switch_stacks` or `call_portal` or made by `new_context`, and nobody runs there: the
    // scheduler's promise.
    unsafe { switch_stacks(&mut from.sp, to.sp) };
    find_vectors(from.vector);
}

#[unsafe(no_mangle)]
fn enter_portal(back: &mut Context, entry: &Entry, request: &Request) {
    back.vector = keep_vectors();
    // SAFETY: the entry's space and stacks are an activation's that nobody else uses; the saved place is returned to by
    // `leave_portal` or `switch`.
    unsafe { call_portal(back, entry, request) };
    find_vectors(back.vector);
}

#[unsafe(no_mangle)]
fn enter_portal_clean(back: &mut Context, entry: &Entry, request: &Request) {
    debug_assert_eq!(cpu::vector(), 0);
    // SAFETY: as in `enter_portal`; in a system call there are no registers to keep.
    unsafe { call_portal(back, entry, request) };
    clear_vectors();
}

#[unsafe(no_mangle)]
fn leave_portal(back: &Context, root: Root, kernel_stack: u64) -> ! {
    // SAFETY: `back` was saved by `call_portal` or `switch_stacks` and nobody else goes on there. All kernel stacks are
    // in every space. Everything is in registers before this stack is left.
    unsafe {
        asm!(
            "mov cr3, {root}", "mov gs:[{at}], {stack}", "mov rsp, {sp}",
            "pop r15", "pop r14", "pop r13", "pop r12", "pop rbp", "pop rbx", "ret",
            root = in(reg) root.0.0 << 12, stack = in(reg) kernel_stack, sp = in(reg) back.sp,
            at = const KERNEL_STACK, options(noreturn)
        )
    }
}

#[unsafe(no_mangle)]
fn new_context(stack_top: u64, run: extern "C" fn(usize) -> !, arg: usize) -> Context {
    unsafe extern "C" {
        safe fn new_thread();
    }
    // What `switch_stacks` pops: r15 r14 r13 r12 rbp rbx and the address. Two words above keep the stack aligned for
    // the call.
    let saved = [0, 0, 0, 0, arg as u64, run as usize as u64, new_thread as *const () as usize as u64, 0, 0];
    let sp = (stack_top & !15) - size_of_val(&saved) as u64 - 8;
    // SAFETY: the stack is a kernel stack that nobody runs on, larger than this.
    unsafe { (sp as *mut [u64; 9]).write(saved) };
    Context { sp, vector: 0 }
}

#[unsafe(no_mangle)]
fn resume_user(frame: &mut Frame) -> ! {
    sane(frame);
    clear_vectors();
    // SAFETY: the registers are a program's, by `sane`; the loaded space is that program's.
    unsafe { return_frame(frame) }
}

#[unsafe(no_mangle)]
fn enter_user(pc: u64, sp: u64, arg1: u64, arg2: u64) -> ! {
    let mut frame = Frame { pc, sp, ..Frame::default() };
    (frame.general[4], frame.general[5]) = (arg2, arg1);
    resume_user(&mut frame)
}

#[unsafe(no_mangle)]
fn set_result(frame: &mut Frame, value: u64) {
    frame.general[0] = value;
}

#[unsafe(no_mangle)]
fn call_handler(frame: &mut Frame, handler: u64, sp: u64, args: [u64; 3]) {
    frame.general = [0; 15];
    let [rdi, rsi, rdx] = args;
    (frame.general[5], frame.general[4], frame.general[3]) = (rdi, rsi, rdx);
    // As if called, without an address to return to.
    (frame.pc, frame.sp, frame.flags) = (handler, (sp & !15).wrapping_sub(8), FLAGS);
}

#[unsafe(no_mangle)]
fn has_vector() -> bool {
    cpu::vector() != 0
}

#[unsafe(no_mangle)]
fn save_vector(to: &mut Vector) {
    // SAFETY: aligned room of the right size. The registers are still the program's.
    unsafe { asm!("fxsave64 [{}]", in(reg) to, options(nostack, preserves_flags)) };
}

#[unsafe(no_mangle)]
fn restore_vector(from: Option<&mut Vector>) {
    // Of the current process, which outlives this kernel entry; it is what a switch on the way out uses.
    find_vectors(from.map_or(0, |v| (&raw mut *v) as u64));
}
