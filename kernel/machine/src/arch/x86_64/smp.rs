//! The other CPUs: all are started at once and take numbers as they arrive.
#![allow(unsafe_code, reason = "copies the code that they start with")]

use super::boot::{AP_STACKS, TRAMPOLINE, ap_code, ap_code_end};
use super::io::{port_in, port_out};
use super::{apic, cpu, page};
use abi::limit::CPUS;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use kernel_core::machine;

/// The others' stacks for faults that must not happen, by number.
static EMERGENCY: [AtomicU64; CPUS] = [const { AtomicU64::new(0) }; CPUS];
/// How many others have arrived.
static ARRIVED: AtomicUsize = AtomicUsize::new(0);
/// The first CPU has set everything up.
static GO: AtomicBool = AtomicBool::new(false);
/// How long to wait for others.
const PATIENCE: u64 = 3_000_000_000;

/// How many CPUs there are, by QEMU's configuration device; 0 if there is none.
fn expected() -> usize {
    let read = |key: u32, count: usize| {
        port_out(0x510, 2, key);
        (0..count).fold(0u64, |n, i| n | u64::from(port_in(0x511, 1)) << (8 * i))
    };
    if read(0, 4) != u64::from(u32::from_le_bytes(*b"QEMU")) {
        return 0;
    }
    read(5, 2) as usize
}

fn wait(ns: u64, until: impl Fn() -> bool) {
    let end = machine::now() + ns;
    while !until() && machine::now() < end {
        core::hint::spin_loop();
    }
}

/// Starts the others and waits until all, at most `limit` in all, have arrived: how many CPUs there are then.
pub(super) fn start_all(limit: usize) -> Option<usize> {
    let known = expected();
    let most = if known == 0 { CPUS } else { known }.min(limit).min(CPUS);
    if most <= 1 {
        return Some(1);
    }
    for (stack, emergency) in AP_STACKS.iter().zip(&EMERGENCY).take(most).skip(1) {
        emergency.store(page::emergency_stack()?, Ordering::Release);
        stack.store(machine::new_stack()?, Ordering::Release);
    }
    // SAFETY: the page is below 1 MiB and was kept from the allocator; the code is shorter than a page.
    unsafe {
        let len = (&raw const ap_code_end).offset_from_unsigned(&raw const ap_code);
        page::direct(TRAMPOLINE).copy_from(&raw const ap_code, len);
    }
    apic::init_others();
    // Real processors want 10 ms here; those of an emulator, which says how many there are, want nothing.
    wait(if known == 0 { 10_000_000 } else { 10_000 }, || false);
    apic::start_others(TRAMPOLINE);
    let all = || ARRIVED.load(Ordering::Acquire) >= most - 1;
    wait(if known == 0 { 200_000 } else { PATIENCE }, all);
    if !all() {
        apic::start_others(TRAMPOLINE);
        wait(if known == 0 { 50_000_000 } else { PATIENCE }, all);
    }
    let count = ARRIVED.load(Ordering::Acquire) + 1;
    cpu::set_count(count);
    Some(count)
}

/// Lets the others into the kernel.
pub(super) fn go() {
    GO.store(true, Ordering::Release);
}

/// The first Rust of another CPU, on its own stack.
#[unsafe(no_mangle)]
extern "C" fn other_cpu(number: u32) -> ! {
    // Nothing may be asked of the kernel before the CPU knows its own block: a lock that is held makes it look there.
    let emergency = EMERGENCY.get(number as usize).map_or(0, |e| e.load(Ordering::Acquire));
    cpu::init(number as usize, emergency);
    ARRIVED.fetch_add(1, Ordering::Release);
    while !GO.load(Ordering::Acquire) {
        machine::relax();
    }
    kernel_core::entry::boot()
}
