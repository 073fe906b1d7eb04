//! Copies to and from user memory, and between frames.
//!
//! The user copy is one routine in assembly. A page fault in it is served if the page belongs there ([`super::trap`]
//! asks the kernel) and ends it otherwise, with bytes left over. Where the other side is a frame none is served: nobody need
//! hold the frame, which could be another after the fault. It is the only place where user memory is touched;
//! where the processor has SMAP it says so around itself.
#![allow(unsafe_code, reason = "raw memory")]

use super::cpu::SMAP;
use super::page::direct;
use abi::limit::{PAGE, USER_END};
use core::arch::{asm, global_asm};
use core::sync::atomic::{AtomicI32, Ordering};
use kernel_core::machine::Frame;
use kernel_core::msg::UserBuf;

unsafe extern "C" {
    /// Copies; returns not 0 if it had to stop. Page faults are served if `serve` is not 0.
    fn copy_user(to: *mut u8, from: *const u8, len: usize, serve: usize) -> usize;
    safe static copy_user_start: u8;
    safe static copy_user_end: u8;
}

global_asm!(
    ".pushsection .text.entry, \"ax\"",
    ".global copy_user, copy_user_start, copy_user_end",
    ".balign 16",
    "copy_user:",
    "cmp byte ptr gs:[{smap}], 0",
    "je 2f",
    "stac",
    "2:",
    // Kept for the trap: see `serves`.
    "mov r8, rcx",
    "mov rcx, rdx",
    "shr rcx, 3",
    "and edx, 7",
    "copy_user_start:",
    "rep movsq",
    "mov ecx, edx",
    "rep movsb",
    "copy_user_end:",
    "cmp byte ptr gs:[{smap}], 0",
    "je 3f",
    "clac",
    "3:",
    "mov rax, rcx",
    "ret",
    ".popsection",
    smap = const SMAP,
);

// Comparing memory: what is compared is short, mostly names, and what the library has instead is twenty times as long.
global_asm!(
    ".pushsection .text.entry, \"ax\"",
    ".global memcmp, bcmp",
    "memcmp:",
    "bcmp:",
    "mov rcx, rdx",
    // Nothing is equal to nothing.
    "xor eax, eax",
    "repe cmpsb",
    "je 2f",
    "movzx eax, byte ptr [rdi - 1]",
    "movzx ecx, byte ptr [rsi - 1]",
    "sub eax, ecx",
    "2:",
    "ret",
    ".popsection",
);

/// May a page fault at this place be the program's fault?
pub(super) fn is_copy(pc: u64) -> bool {
    (&raw const copy_user_start as u64..&raw const copy_user_end as u64).contains(&pc)
}

/// Is a page fault of the copy to be served?
pub(super) fn serves(trap: &abi::note::Frame) -> bool {
    trap.general[7] != 0
}

/// Where a copy goes on that must stop. The count in rcx is above 0 there.
pub(super) fn give_up() -> u64 {
    &raw const copy_user_end as u64
}

fn user(buf: UserBuf) -> bool {
    buf.addr.checked_add(buf.len as u64).is_some_and(|end| end <= USER_END)
}

#[unsafe(no_mangle)]
fn user_in(to: &mut [u8], from: UserBuf) -> bool {
    if from.len != to.len() || !user(from) {
        return from.len == 0 && to.is_empty();
    }
    // SAFETY: `to` is ours and as long; the other side is in the user half, where a fault ends the copy.
    unsafe { copy_user(to.as_mut_ptr(), from.addr as *const u8, to.len(), 1) == 0 }
}

#[unsafe(no_mangle)]
fn user_out(to: UserBuf, from: &[u8]) -> bool {
    if to.len != from.len() || !user(to) {
        return to.len == 0 && from.is_empty();
    }
    // SAFETY: as in `user_in`, the other way.
    unsafe { copy_user(to.addr as *mut u8, from.as_ptr(), from.len(), 1) == 0 }
}

/// A range of a frame; cut at the frame's end, which no caller reaches.
fn range(frame: Frame, offset: usize, len: usize) -> (*mut u8, usize) {
    debug_assert!(offset <= PAGE && len <= PAGE - offset);
    let offset = offset.min(PAGE);
    (direct((frame.0 << 12) + offset as u64), len.min(PAGE - offset))
}

#[unsafe(no_mangle)]
fn frame_from_user(frame: Frame, offset: usize, from: UserBuf) -> bool {
    let (to, len) = range(frame, offset, from.len);
    // SAFETY: as in `user_in`; the frame is in the direct map.
    len == from.len && user(from) && unsafe { copy_user(to, from.addr as *const u8, len, 0) == 0 }
}

#[unsafe(no_mangle)]
fn frame_to_user(frame: Frame, offset: usize, to: UserBuf) -> bool {
    let from = direct((frame.0 << 12) + offset as u64);
    // SAFETY: as in `user_out`; the frames are in the direct map.
    user(to) && unsafe { copy_user(to.addr as *mut u8, from, to.len, 0) == 0 }
}

#[unsafe(no_mangle)]
fn add_in_frame(frame: Frame, offset: usize, n: i32) -> Option<i32> {
    let at = direct((frame.0 << 12) + (offset as u64 & (PAGE as u64 - 4)));
    // SAFETY: an aligned word in the direct map; programs that change it meanwhile do so by their own instructions.
    let word = unsafe { AtomicI32::from_ptr(at.cast()) };
    let mut old = word.load(Ordering::Relaxed);
    loop {
        let sum = old.checked_add(n).filter(|&s| s >= 0)?;
        match word.compare_exchange_weak(old, sum, Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => return Some(sum),
            Err(now) => old = now,
        }
    }
}

#[unsafe(no_mangle)]
fn copy_frames(to: Frame, to_offset: usize, from: Frame, from_offset: usize, len: usize) {
    let (to, len) = range(to, to_offset, len);
    let (from, len) = range(from, from_offset, len);
    // SAFETY: both lie in frames, which the direct map has; programs may change them meanwhile, and get what they get.
    unsafe { to.copy_from(from, len) };
}

#[unsafe(no_mangle)]
fn read_frame(frame: Frame, offset: usize, to: &mut [u8]) {
    let (from, len) = range(frame, offset, to.len());
    // SAFETY: as in `copy_frames`.
    unsafe { to.as_mut_ptr().copy_from(from, len) };
}

#[unsafe(no_mangle)]
fn write_frame(frame: Frame, offset: usize, from: &[u8]) {
    let (to, len) = range(frame, offset, from.len());
    // SAFETY: as in `copy_frames`.
    unsafe { to.copy_from(from.as_ptr(), len) };
}

#[unsafe(no_mangle)]
fn zero_frame(frame: Frame) {
    // SAFETY: the frame is in the direct map. Eight bytes at a time, which the compiler does not when it is to be short.
    unsafe {
        asm!("rep stosq", inout("rcx") PAGE / 8 => _, inout("rdi") direct(frame.0 << 12) => _, in("rax") 0,
            options(nostack, preserves_flags))
    };
}
