//! The first instructions: from PVH's 32-bit entry, and from a started CPU's 16-bit one, to 64 bits at the kernel's
//! own addresses.
//!
//! The tables used here map the first GiB three times: where it is, at the kernel's base, and where the direct map will
//! be. [`super::page`] builds the real ones; these stay for the other CPUs' start.
#![allow(unsafe_code, reason = "defines symbols that assembly uses")]

use core::arch::global_asm;
use core::sync::atomic::{AtomicU32, AtomicU64};

/// Where other CPUs start: a page below 1 MiB.
pub(super) const TRAMPOLINE: u64 = 0x8000;
/// Stack of the first CPU, in bytes.
const STACK: usize = kernel_core::machine::KERNEL_STACK;

/// The number of the next CPU to arrive; the first has 0.
#[unsafe(no_mangle)]
static AP_NEXT: AtomicU32 = AtomicU32::new(1);
/// The stacks that arriving CPUs take, by number.
#[unsafe(no_mangle)]
pub(super) static AP_STACKS: [AtomicU64; abi::limit::CPUS] = [const { AtomicU64::new(0) }; abi::limit::CPUS];

unsafe extern "C" {
    /// The code that is copied to [`TRAMPOLINE`], and its end.
    pub(super) static ap_code: u8;
    pub(super) static ap_code_end: u8;
}

global_asm!(
    ".set BASE, 0xffffffff80000000",
    // The PVH note: the physical address of a 32-bit entry point.
    ".pushsection .note.pvh, \"a\", @note",
    ".balign 4",
    ".long 4, 4, 18",
    ".asciz \"Xen\"",
    ".long boot_start - BASE",
    ".popsection",
    ".pushsection .boot, \"ax\"",
    ".code32",
    ".global boot_start",
    // EBX: the physical address of the start information.
    "boot_start:",
    "cli",
    "cld",
    "movl $(boot_pdpt - BASE + 3), %eax",
    "movl %eax, boot_pml4 - BASE",
    "movl %eax, boot_pml4 - BASE + 256 * 8",
    "movl $(boot_pdpt_high - BASE + 3), boot_pml4 - BASE + 511 * 8",
    "movl $(boot_pd - BASE + 3), %eax",
    "movl %eax, boot_pdpt - BASE",
    "movl %eax, boot_pdpt_high - BASE + 510 * 8",
    // 512 large pages, present and writable.
    "movl $0x83, %eax",
    "movl $(boot_pd - BASE), %edi",
    "movl $512, %ecx",
    "2:",
    "movl %eax, (%edi)",
    "addl $0x200000, %eax",
    "addl $8, %edi",
    "loop 2b",
    "xorl %ebp, %ebp",
    // Here both kinds of CPU meet: EBP is 0 on the first.
    "boot_long:",
    // PAE, OSFXSR, OSXMMEXCPT.
    "movl $0x620, %eax",
    "movl %eax, %cr4",
    "movl $(boot_pml4 - BASE), %eax",
    "movl %eax, %cr3",
    // EFER: system calls, long mode, no-execute.
    "movl $0xc0000080, %ecx",
    "movl $0x901, %eax",
    "xorl %edx, %edx",
    "wrmsr",
    // Paging, write protection, native FPU errors, protected mode.
    "movl $0x80010033, %eax",
    "movl %eax, %cr0",
    "lgdt boot_gdt_at - BASE",
    "ljmpl $8, $(boot_64 - BASE)",
    ".code64",
    "boot_64:",
    "movabsq $boot_high, %rax",
    "jmpq *%rax",
    "boot_high:",
    "xorl %eax, %eax",
    "movl %eax, %ds",
    "movl %eax, %es",
    "movl %eax, %ss",
    "movl %eax, %fs",
    "movl %eax, %gs",
    "testl %ebp, %ebp",
    "jnz 3f",
    "leaq boot_stack_end(%rip), %rsp",
    "movl %ebx, %edi",
    "call first_cpu",
    "ud2",
    "3:",
    "movl $1, %edi",
    "lock xaddl %edi, AP_NEXT(%rip)",
    "cmpl ${cpus}, %edi",
    "jae 4f",
    // The stacks are in the real tables only.
    "movq KERNEL_ROOT(%rip), %rax",
    "movq %rax, %cr3",
    "leaq AP_STACKS(%rip), %rax",
    "movq (%rax, %rdi, 8), %rsp",
    // More came than were expected: no stack, no work.
    "testq %rsp, %rsp",
    "jz 4f",
    "call other_cpu",
    "4: cli",
    "hlt",
    "jmp 4b",
    // What is copied to the trampoline's page.
    ".code16",
    ".global ap_code, ap_code_end",
    "ap_code:",
    "cli",
    "cld",
    "movw %cs, %ax",
    "movw %ax, %ds",
    "lgdtl ap_gdt_at - ap_code",
    "movl $1, %eax",
    "movl %eax, %cr0",
    "ljmpl $0x18, $(ap_32 - ap_code + {trampoline})",
    ".code32",
    "ap_32:",
    "movw $0x10, %ax",
    "movw %ax, %ds",
    "movw %ax, %ss",
    "movl $1, %ebp",
    "movl $(boot_long - BASE), %eax",
    "jmpl *%eax",
    "ap_gdt_at:",
    ".word 31",
    ".long boot_gdt - BASE",
    "ap_code_end:",
    ".code64",
    ".popsection",
    ".pushsection .rodata, \"a\"",
    ".balign 8",
    // Null, 64-bit code, data, 32-bit code.
    "boot_gdt:",
    ".quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cf9b000000ffff",
    "boot_gdt_at:",
    ".word 31",
    ".quad boot_gdt - BASE",
    ".popsection",
    ".pushsection .bss.boot, \"aw\", @nobits",
    ".balign 4096",
    "boot_pml4: .skip 4096",
    "boot_pdpt: .skip 4096",
    "boot_pdpt_high: .skip 4096",
    "boot_pd: .skip 4096",
    ".skip {stack}",
    "boot_stack_end:",
    ".popsection",
    cpus = const abi::limit::CPUS,
    trampoline = const TRAMPOLINE,
    stack = const STACK,
    options(att_syntax)
);
