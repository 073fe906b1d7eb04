//! Clocks: the time-stamp counter for what time it is, the local APIC's timer for when to be woken.
//!
//! Both are measured once against the old interval timer, whose rate is known. The rates are kept as fractions of
//! 2^32, so that using them is one multiplication.
#![allow(unsafe_code, reason = "defines the machine's symbols; reads the counter")]

use super::apic;
use super::io::{port_in, port_out};
use core::arch::x86_64::{__cpuid, _rdrand64_step, _rdtsc};
use core::sync::atomic::{AtomicU64, Ordering};

const PIT_HZ: u64 = 1_193_182;
/// How long is measured at least: 1/250 s of the interval timer.
const MEASURE: u64 = PIT_HZ / 250;

/// The counter at boot.
static START: AtomicU64 = AtomicU64::new(0);
/// Nanoseconds of one tick, times 2^32.
static NS_PER_TICK: AtomicU64 = AtomicU64::new(1 << 32);
/// Timer ticks of one nanosecond, times 2^32.
static TIMER_PER_NS: AtomicU64 = AtomicU64::new(1 << 32);
static EPOCH: AtomicU64 = AtomicU64::new(0);

fn counter() -> u64 {
    // SAFETY: every x86-64 has it, and the kernel does not forbid it to itself.
    unsafe { _rdtsc() }
}

/// Measures, and asks the calendar clock.
pub(super) fn init() {
    if let Some(m) = (0..5).find_map(|_| measure()) {
        let ns = m.interval * 1_000_000_000 / PIT_HZ;
        NS_PER_TICK.store(((u128::from(ns) << 32) / u128::from(m.counter)) as u64, Ordering::Relaxed);
        TIMER_PER_NS.store((m.timer << 32) / ns, Ordering::Relaxed);
    }
    START.store(counter(), Ordering::Relaxed);
    EPOCH.store(calendar().saturating_mul(1_000_000_000), Ordering::Relaxed);
}

/// What three clocks say at about the same time, or how far they have run.
#[derive(Clone, Copy)]
struct Reading {
    counter: u64,
    interval: u64,
    timer: u64,
}

/// Reads all three. Of several attempts the quickest counts: a CPU may be an emulated one that is made to wait at any
/// moment.
fn reading() -> Reading {
    let mut best = (u64::MAX, Reading { counter: 0, interval: 0, timer: 0 });
    for _ in 0..8 {
        let start = counter();
        // Latch channel 0, then its two bytes.
        port_out(0x43, 1, 0x00);
        let timer = u64::from(apic::count());
        let took = counter() - start;
        let interval = u64::from(port_in(0x40, 1) | port_in(0x40, 1) << 8);
        if took < best.0 {
            best = (took, Reading { counter: start + took / 2, interval, timer });
        }
    }
    best.1
}

/// How far the clocks run while the interval timer counts; none if it does not, or came to its end.
fn measure() -> Option<Reading> {
    // Channel 0, both bytes, one shot, from the top. Its interrupt is masked; a microvm has no gate for the others.
    port_out(0x43, 1, 0x30);
    port_out(0x40, 1, 0xff);
    port_out(0x40, 1, 0xff);
    apic::count_from(u32::MAX);
    let from = reading();
    let mut to = from;
    let mut patience = 100_000;
    while from.interval.saturating_sub(to.interval) < MEASURE && patience > 0 {
        to = reading();
        patience -= 1;
    }
    apic::count_from(0);
    let run = Reading {
        counter: to.counter.saturating_sub(from.counter),
        interval: from.interval.saturating_sub(to.interval),
        timer: from.timer.saturating_sub(to.timer),
    };
    // Read back channel 0's status: its output rises at the end of the count.
    port_out(0x43, 1, 0xe2);
    let ended = port_in(0x40, 1) & 0x80 != 0;
    (!ended && patience > 0 && run.counter > 0 && run.timer > 0).then_some(run)
}

#[unsafe(no_mangle)]
fn now() -> u64 {
    let ticks = counter().saturating_sub(START.load(Ordering::Relaxed));
    ((u128::from(ticks) * u128::from(NS_PER_TICK.load(Ordering::Relaxed))) >> 32) as u64
}

#[unsafe(no_mangle)]
fn epoch() -> u64 {
    EPOCH.load(Ordering::Relaxed)
}

/// The count for the timer to end at a time: at least 1.
pub(super) fn timer_ticks(at: u64) -> u32 {
    let ns = at.saturating_sub(now()).min(1 << 31);
    ((ns * TIMER_PER_NS.load(Ordering::Relaxed)) >> 32).clamp(1, u64::from(u32::MAX)) as u32
}

/// A register of the calendar clock.
fn calendar_byte(register: u32) -> u64 {
    port_out(0x70, 1, register);
    u64::from(port_in(0x71, 1))
}

/// Seconds since 1970 by the calendar clock; 0 if there is none.
fn calendar() -> u64 {
    let read = || [0x00, 0x02, 0x04, 0x07, 0x08, 0x09, 0x0b].map(calendar_byte);
    let mut now = read();
    // Until two readings agree, none was taken while it changed.
    for _ in 0..10 {
        let again = read();
        if again == now {
            break;
        }
        now = again;
    }
    let [.., mode] = now;
    let number = |b: u64| if mode & 4 == 0 { (b >> 4) * 10 + (b & 15) } else { b };
    let [second, minute, hour, day, month, year, _] = now.map(number);
    if month == 0 || month > 12 || day == 0 || day > 31 {
        return 0;
    }
    let year = 2000 + year;
    // Days by a year that starts in March, so that the odd day is its last.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1 - 719_468;
    ((days * 24 + hour) * 60 + minute) * 60 + second
}

/// A step of a 64-bit mixing function (splitmix).
fn mix(state: &mut u64, more: u64) -> u64 {
    *state = (*state ^ more).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// What has been mixed so far; the command line, which may bring a seed, is the start.
static POOL: AtomicU64 = AtomicU64::new(0);

/// Mixes bytes in.
#[unsafe(no_mangle)]
pub(super) fn stir(bytes: &[u8]) {
    let mut state = POOL.load(Ordering::Relaxed);
    for &b in bytes {
        let word = mix(&mut state, u64::from(b));
        state ^= word;
    }
    POOL.store(state, Ordering::Relaxed);
}

#[unsafe(no_mangle)]
fn entropy() -> [u8; 32] {
    let rdrand = __cpuid(1).ecx & 1 << 30 != 0;
    let mut state = POOL.load(Ordering::Relaxed);
    let mut out = [[0; 8]; 4];
    for word in &mut out {
        // The counter's low bits at port accesses are all that a machine without the instruction has.
        for _ in 0..8 {
            port_in(0x80, 1);
            let w = mix(&mut state, counter());
            state ^= w;
        }
        let mut random = 0;
        if rdrand {
            random = random_word();
        }
        *word = mix(&mut state, random).to_le_bytes();
    }
    POOL.store(state, Ordering::Relaxed);
    let mut flat = [0; 32];
    flat.copy_from_slice(out.as_flattened());
    flat
}

#[target_feature(enable = "rdrand")]
fn rdrand() -> u64 {
    let mut random = 0;
    for _ in 0..10 {
        if _rdrand64_step(&mut random) == 1 {
            break;
        }
    }
    random
}

fn random_word() -> u64 {
    // SAFETY: only called where CPUID has the instruction.
    unsafe { rdrand() }
}
