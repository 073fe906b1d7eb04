//! The table of processes, in order of their numbers.

use super::Proc;
use crate::base::{List, Ref, Spin};
use crate::msg::Result;
use abi::error::Error;
use abi::limit::THREADS;
use core::sync::atomic::{AtomicU32, Ordering};

/// Taken alone.
static TABLE: Spin<List<Ref<Proc>>> = Spin::new(List::new());
static NEXT: AtomicU32 = AtomicU32::new(1);

/// A number for a new process.
pub(super) fn number() -> u32 {
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Enters a process.
pub(super) fn add(proc: &Ref<Proc>) -> Result<()> {
    let mut table = TABLE.lock();
    if table.len() >= THREADS {
        return Err(Error::NoProcs.into());
    }
    let at = table.partition_point(|p| p.pid < proc.pid);
    table.insert(at, proc.clone())
}

/// Takes it out.
pub(super) fn remove(pid: u32) {
    let mut table = TABLE.lock();
    let gone = table.binary_search_by_key(&pid, |p| p.pid).ok().and_then(|at| table.remove(at));
    drop(table);
    drop(gone);
}

/// The process of a number.
pub fn find(pid: u32) -> Option<Ref<Proc>> {
    let table = TABLE.lock();
    let at = table.binary_search_by_key(&pid, |p| p.pid).ok()?;
    table.get(at).cloned()
}

/// The first process of a number from this one on.
pub fn next(from: u32) -> Option<Ref<Proc>> {
    let table = TABLE.lock();
    let at = table.partition_point(|p| p.pid < from);
    table.get(at).cloned()
}

/// The first process of a number above this one: for visiting all, none locked.
pub fn each(after: u32) -> Option<Ref<Proc>> {
    let table = TABLE.lock();
    let at = table.partition_point(|p| p.pid <= after);
    table.get(at).cloned()
}
