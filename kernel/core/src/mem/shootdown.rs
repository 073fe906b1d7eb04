//! Shootdown: making every CPU forget translations before their frames are used again.
//!
//! There is one number for the machine, how often somebody asked, and one for each CPU, up to where it has
//! obeyed. Whoever asks raises the first, interrupts the others and waits until all have caught up. A CPU obeys when
//! interrupted, and in every loop in which it spins ([`crate::machine::relax`]), the asker's own included; so any
//! number may ask at once and whoever holds a lock meanwhile holds up nobody.
//!
//! A CPU that has nothing to run has loaded no space and looked nothing up: it rests, which is further than any number, and
//! is neither interrupted nor waited for.
//!
//! Interrupts are off in the kernel: a CPU that neither spins nor switches nor leaves the kernel has not obeyed,
//! so a frame it has looked up is still what it was. That is all the pinning that a short copy needs.

use crate::machine::{self, Ipi};
use abi::limit::CPUS;
use core::sync::atomic::{AtomicU64, Ordering, fence};

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

    /// On `cpu`, which will touch no user memory and know no translation until [`Mailboxes::rouse`].
    pub fn rest(&self, cpu: usize) {
        if let Some(done) = self.done.get(cpu) {
            done.store(RESTS, Ordering::Release);
        }
    }

    /// Ends that. What was changed by those who did not wait for `cpu` it sees.
    pub fn rouse(&self, cpu: usize) {
        if let Some(done) = self.done.get(cpu) {
            done.store(self.asked.load(Ordering::Acquire), Ordering::Release);
            // With the one in `ask`: either the asker sees that this CPU is awake, or this one sees the asker's changes.
            fence(Ordering::SeqCst);
        }
    }

    /// On `cpu`: obeys what has been asked. Returns whether there was something; then the caller must forget.
    pub fn serve(&self, cpu: usize, forget: impl FnOnce()) -> bool {
        let Some(done) = self.done.get(cpu) else { return false };
        let asked = self.asked.load(Ordering::Acquire);
        if matches!(done.load(Ordering::Relaxed), n if n == asked || n == RESTS) {
            return false;
        }
        forget();
        done.store(asked, Ordering::Release);
        true
    }

    /// Asks: the number that all must reach.
    pub fn ask(&self) -> u64 {
        let number = self.asked.fetch_add(1, Ordering::AcqRel).wrapping_add(1);
        fence(Ordering::SeqCst);
        number
    }

    /// Have the CPUs of a mask reached a number?
    pub fn reached(&self, number: u64, cpus: u32) -> bool {
        let behind = |(i, d): (usize, &AtomicU64)| cpus & (1 << i) != 0 && d.load(Ordering::Acquire) < number;
        !self.done.iter().enumerate().any(behind)
    }
}

/// How far a CPU has come that rests.
const RESTS: u64 = u64::MAX;

static MAILBOXES: Mailboxes = Mailboxes::new();

/// Obeys what others asked of this CPU. The machine calls it in `relax` and for [`Ipi::Shootdown`].
#[inline]
pub fn serve() {
    MAILBOXES.serve(machine::cpu(), machine::flush_all);
}

/// Halts until an interrupt came, on a CPU that has nothing to run.
pub fn rest() {
    // Before it rests, so that it walks no tables that somebody frees meanwhile.
    machine::load(machine::kernel_root());
    MAILBOXES.rest(machine::cpu());
    machine::idle();
    MAILBOXES.rouse(machine::cpu());
}

/// Makes the CPUs of the mask, but for this one, forget every user address, and waits until they have.
pub fn others(cpus: u32) {
    let others = cpus & !(1u32 << machine::cpu());
    if others == 0 {
        return;
    }
    let number = MAILBOXES.ask();
    for cpu in (0..machine::cpus()).filter(|&c| others & (1 << c) != 0) {
        if !MAILBOXES.reached(number, 1 << cpu) {
            machine::ipi(cpu, Ipi::Shootdown);
        }
    }
    while !MAILBOXES.reached(number, others) {
        machine::relax();
    }
}

/// Makes every CPU forget, whatever it has loaded. What another CPU had looked up without a reference it has let go of
/// by then.
pub fn everywhere() {
    machine::flush_all();
    others(u32::MAX.checked_shr(32u32.saturating_sub(machine::cpus() as u32)).unwrap_or(0));
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
