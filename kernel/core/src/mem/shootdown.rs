//! Shootdown: making every CPU forget translations before their frames are used again.
//!
//! There is one number for the machine, how often somebody asked, and one for each CPU, up to where it has
//! obeyed. Whoever asks raises the first, interrupts the others and waits until all have caught up. A CPU obeys when
//! interrupted, and in every loop in which it spins ([`crate::machine::relax`]), the asker's own included; so any
//! number may ask at once and whoever holds a lock meanwhile holds up nobody.
//!
//! Interrupts are off in the kernel: a CPU that neither spins nor switches nor leaves the kernel has not obeyed,
//! so a frame it has looked up is still what it was. That is all the pinning that a short copy needs.

use crate::machine::{self, Ipi};
use abi::limit::CPUS;
use core::sync::atomic::{AtomicU64, Ordering};

/// What is asked for, and how far each CPU has come. All order comes from these: the asker's changes to page tables
/// stand before its increment.
#[derive(Debug)]
pub struct Mailboxes {
    asked: AtomicU64,
    done: [AtomicU64; CPUS],
}

impl Default for Mailboxes {
    fn default() -> Self {
        Mailboxes::new()
    }
}

impl Mailboxes {
    /// Nothing asked.
    pub const fn new() -> Mailboxes {
        Mailboxes { asked: AtomicU64::new(0), done: [const { AtomicU64::new(0) }; CPUS] }
    }

    /// On `cpu`: obeys what has been asked. Returns whether there was something; then the caller must forget.
    pub fn serve(&self, cpu: usize, forget: impl FnOnce()) -> bool {
        let Some(done) = self.done.get(cpu) else { return false };
        let asked = self.asked.load(Ordering::Acquire);
        if done.load(Ordering::Relaxed) == asked {
            return false;
        }
        forget();
        done.store(asked, Ordering::Release);
        true
    }

    /// Asks: the number that all must reach.
    pub fn ask(&self) -> u64 {
        self.asked.fetch_add(1, Ordering::AcqRel).wrapping_add(1)
    }

    /// Have the CPUs of a mask reached a number?
    pub fn reached(&self, number: u64, cpus: u32) -> bool {
        let behind = |(i, d): (usize, &AtomicU64)| cpus & (1 << i) != 0 && d.load(Ordering::Acquire) < number;
        !self.done.iter().enumerate().any(behind)
    }
}

static MAILBOXES: Mailboxes = Mailboxes::new();

/// Obeys what others asked of this CPU. The machine calls it in `relax` and for [`Ipi::Shootdown`].
#[inline]
pub fn serve() {
    MAILBOXES.serve(machine::cpu(), machine::flush_all);
}

/// Makes this CPU, and the others of the mask, forget every user address, and waits until they have.
pub fn all(cpus: u32) {
    machine::flush_all();
    let me = machine::cpu();
    let others = cpus & !(1u32 << me);
    if others == 0 {
        return;
    }
    let number = MAILBOXES.ask();
    for cpu in (0..machine::cpus()).filter(|&c| others & (1 << c) != 0) {
        machine::ipi(cpu, Ipi::Shootdown);
    }
    while !MAILBOXES.reached(number, others) {
        machine::relax();
    }
}

/// Makes every CPU forget, whatever it has loaded. What another CPU had looked up without a reference it has let go of
/// by then.
pub fn everywhere() {
    all(u32::MAX.checked_shr(32u32.saturating_sub(machine::cpus() as u32)).unwrap_or(0));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    /// CPUs that all ask at once and serve only while they wait: nobody hangs, and nobody passes before all forgot.
    #[test]
    fn everybody_may_ask_at_once() {
        const N: usize = 4;
        let boxes = Mailboxes::new();
        let forgot: [AtomicUsize; N] = Default::default();
        let still = AtomicUsize::new(N);
        std::thread::scope(|s| {
            for me in 0..N {
                let (boxes, forgot, still) = (&boxes, &forgot, &still);
                s.spawn(move || {
                    let serve = || {
                        boxes.serve(me, || {
                            forgot[me].store(forgot[me].load(Ordering::Relaxed) + 1, Ordering::Relaxed)
                        })
                    };
                    for _ in 0..200 {
                        let before: Vec<_> = forgot.iter().map(|f| f.load(Ordering::Relaxed)).collect();
                        let number = boxes.ask();
                        while !boxes.reached(number, (1 << N) - 1) {
                            serve();
                            std::thread::yield_now();
                        }
                        for (f, b) in forgot.iter().zip(before) {
                            assert!(f.load(Ordering::Relaxed) > b, "passed before all had forgotten");
                        }
                    }
                    still.fetch_sub(1, Ordering::Relaxed);
                    while still.load(Ordering::Relaxed) > 0 {
                        serve();
                        std::thread::yield_now();
                    }
                });
            }
        });
    }
}
