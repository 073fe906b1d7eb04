//! Alarms: a note at a time.
//!
//! There are few, so the next one is found by looking at every process; a machine-wide minimum says when.

use super::{Proc, note, table};
use crate::base::Ref;
use core::sync::atomic::{AtomicU64, Ordering};

static NEXT: AtomicU64 = AtomicU64::new(u64::MAX);

/// When the next alarm rings, in nanoseconds since boot.
#[inline]
pub(crate) fn next() -> u64 {
    NEXT.load(Ordering::Relaxed)
}

/// Sets a process's alarm, `u64::MAX` for none: when the last one would have rung.
pub fn set(proc: &Proc, at: u64) -> u64 {
    let old = proc.alarm.swap(at, Ordering::Relaxed);
    NEXT.fetch_min(at, Ordering::Relaxed);
    old
}

/// Posts the notes of the alarms that are due.
pub(crate) fn ring(now: u64) {
    if next() > now {
        return;
    }
    NEXT.store(u64::MAX, Ordering::Relaxed);
    let mut at = 0;
    while let Some(p) = table::each(at) {
        at = p.pid;
        let due = p.alarm.load(Ordering::Relaxed);
        if due <= now && p.alarm.compare_exchange(due, u64::MAX, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            ring_one(&p);
        } else {
            NEXT.fetch_min(due, Ordering::Relaxed);
        }
    }
}

fn ring_one(p: &Ref<Proc>) {
    // Without memory for the note the alarm is tried again a little later.
    if note::post(p, abi::note::ALARM.as_bytes()).is_err() {
        let _ = set(p, crate::machine::now().saturating_add(1_000_000));
    }
}
