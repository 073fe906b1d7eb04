//! memcpy and its kin, which compiled code calls by name and no C library is here to define.
#![allow(unsafe_code, reason = "defines C's memory functions")]

use core::arch::asm;

/// Copies `n` bytes between ranges that do not overlap.
///
/// # Safety
/// As C's memcpy.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    // SAFETY: the caller gives two valid ranges of n bytes; the direction flag is clear by the calling convention.
    // Eight bytes a step, then the rest.
    unsafe {
        asm!("rep movsq", "mov ecx, {rest:e}", "rep movsb",
             rest = in(reg) n & 7,
             inout("rcx") n >> 3 => _, inout("rdi") to => _, inout("rsi") from => _,
             options(nostack, preserves_flags));
    }
    to
}

/// Copies `n` bytes between ranges that may overlap.
///
/// # Safety
/// As C's memmove.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    if (to as usize).wrapping_sub(from as usize) >= n {
        // SAFETY: the destination does not begin inside the source, so copying upwards reads each byte before it is
        // overwritten.
        return unsafe { memcpy(to, from, n) };
    }
    // SAFETY: the ranges are valid; they are copied downwards from their last bytes, and the direction flag is put
    // back as the calling convention wants it.
    unsafe {
        asm!("std", "rep movsb", "cld",
             inout("rcx") n => _, inout("rdi") to.wrapping_add(n).wrapping_sub(1) => _,
             inout("rsi") from.wrapping_add(n).wrapping_sub(1) => _, options(nostack));
    }
    to
}

/// Fills `n` bytes.
///
/// # Safety
/// As C's memset.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn memset(to: *mut u8, byte: i32, n: usize) -> *mut u8 {
    let word = u64::from(byte as u8) * 0x0101_0101_0101_0101;
    // SAFETY: the caller gives a valid range of n bytes.
    unsafe {
        asm!("rep stosq", "mov ecx, {rest:e}", "rep stosb",
             rest = in(reg) n & 7, in("rax") word,
             inout("rcx") n >> 3 => _, inout("rdi") to => _, options(nostack, preserves_flags));
    }
    to
}

/// Compares `n` bytes.
///
/// # Safety
/// As C's memcmp.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
    let mut i = 0;
    while i < n {
        // SAFETY: i < n, and both ranges have n bytes. Read volatile, or the loop would be compiled into a call of
        // itself.
        let (x, y) = unsafe { (a.add(i).read_volatile(), b.add(i).read_volatile()) };
        if x != y {
            return i32::from(x) - i32::from(y);
        }
        i += 1;
    }
    0
}

/// Compares `n` bytes for equality.
///
/// # Safety
/// As memcmp.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
    let mut i = 0;
    while i + 8 <= n {
        // SAFETY: eight more bytes are inside both ranges; the reads need no alignment.
        let (x, y) =
            unsafe { (a.add(i).cast::<u64>().read_unaligned(), b.add(i).cast::<u64>().read_unaligned()) };
        if x != y {
            return 1;
        }
        i += 8;
    }
    // SAFETY: the rest of both ranges.
    unsafe { memcmp(a.add(i), b.add(i), n - i) }
}

/// The length of a C string.
///
/// # Safety
/// As C's strlen.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn strlen(s: *const u8) -> usize {
    let mut n = 0;
    // SAFETY: the string ends with a NUL, and n has not passed it.
    while unsafe { s.add(n).read_volatile() } != 0 {
        n += 1;
    }
    n
}
