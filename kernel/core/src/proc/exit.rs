//! The end of processes, and who learns of it.

use super::{Proc, table};
use crate::base::Ref;
use crate::call;
use crate::entry;
use crate::machine;
use crate::msg::Result;
use crate::sched;
use crate::thread::{self, Doing, KILL, Thread, current_ref};
use abi::error::Error;
use core::sync::atomic::Ordering;

/// Marks a process as ended with a status, unless it is so already: its portals close, its thread and its handlers
/// unwind.
pub fn kill(proc: &Ref<Proc>, status: &[u8]) {
    if proc.ended.swap(true, Ordering::SeqCst) {
        return;
    }
    proc.status.lock().set(status);
    if let Some(t) = proc.thread() {
        t.pending.fetch_or(KILL, Ordering::SeqCst);
        call::interrupt(&t);
    }
    proc.close_portals();
    proc.end_mailbox();
}

/// The system call `exits`: the current process ends. In a handler that is the server.
pub fn exit(me: &Thread, status: &[u8]) {
    kill(&me.proc, status);
}

/// The first process, without which there is no machine.
const FIRST: u32 = 1;

/// A process's own thread on its way out of the kernel with [`KILL`]: gives everything back and ends.
#[inline(never)]
pub fn die() -> ! {
    let me = current_ref();
    let proc = me.proc.clone();
    if proc.pid == FIRST {
        entry::no_first(proc.status.lock().get());
    }
    proc.close_portals();
    super::alarm::set(&proc, u64::MAX);
    let groups = proc.groups.lock().take();
    // Files that nobody else has open are left to the reaper: this thread can make no calls.
    drop(groups);
    sched::charge_now();
    // Nothing of the process's memory is used any more. This CPU leaves it first, since another may be the one to
    // drop it: the parent that is still in its rfork, or a reader of /proc.
    machine::leave(me.root());
    let space = proc.space.lock().take();
    if let Some(space) = space {
        machine::leave(space.root());
        me.set_root(machine::kernel_root());
        drop(space);
    }
    tell_parent(&proc);
    proc.thread.lock().take();
    drop(proc);
    drop(me);
    sched::die()
}

fn tell_parent(proc: &Ref<Proc>) {
    orphan_children(proc);
    let parent = proc.family.lock().parent.take();
    table::remove(proc.pid);
    if let Some(parent) = parent {
        let mut family = parent.family.lock();
        family.children = family.children.saturating_sub(1);
        if !parent.ended.load(Ordering::Relaxed) {
            family.dead.push(proc.clone());
        }
        let waiter = family.waiters.pop();
        drop(family);
        if let Some(t) = waiter {
            Thread::unpark(&t);
        }
    }
}

/// Nobody awaits the children of a process that ends.
fn orphan_children(proc: &Ref<Proc>) {
    let mut at = 0;
    loop {
        // Only who has children looks for them: it is the whole table.
        let childless = proc.family.lock().children == 0;
        if childless {
            break;
        }
        let Some(p) = table::each(at) else { break };
        at = p.pid;
        let mut family = p.family.lock();
        if family.parent.as_ref().is_some_and(|q| Ref::same(q, proc)) {
            let parent = family.parent.take();
            drop(family);
            drop(parent);
            let mut mine = proc.family.lock();
            mine.children = mine.children.saturating_sub(1);
        }
    }
    loop {
        let dead = proc.family.lock().dead.pop();
        if dead.is_none() {
            break;
        }
    }
}

/// Waits for the end of a child: which one.
pub fn await_child() -> Result<Ref<Proc>> {
    let me = current_ref();
    loop {
        {
            let mut family = me.proc.family.lock();
            if let Some(p) = family.dead.pop() {
                return Ok(p);
            }
            if family.children == 0 {
                return Err(Error::NoChild.into());
            }
            family.waiters.push(me.clone());
        }
        let waited = thread::wait(Doing::Await, u64::MAX);
        me.proc.family.lock().waiters.remove(&me);
        waited?;
    }
}
