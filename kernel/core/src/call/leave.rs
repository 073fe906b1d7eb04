//! Ending a call otherwise than by its answer: the caller is interrupted or killed, or the server dies.
//!
//! All of it happens under the caller's `call` lock, so that the activation is still this call's; and the end itself
//! belongs to whoever takes the caller out of the activation's slot. A chain that is cut goes on as two: the caller's
//! kernel half is made ready with its answer, and the handler, which has no caller any more, ends in [`orphan_answered`]
//! or [`end_handler`].

use super::act::{Act, Orphan};
use super::enter::{Ending, ending};
use super::lend;
use super::portal::Portal;
use crate::base::Ref;
use crate::counters;
use crate::machine;
use crate::sched::{self, PINNED};
use crate::thread::{INTERRUPT, KILL, SERVER, Thread, current};
use abi::limit::CALLS;
use abi::portal::{Answer, RWAIT, Request, WANT_FLUSH, op};
use core::sync::atomic::Ordering;

/// How long a call that was interrupted may take to end before its caller leaves it, in nanoseconds.
const GRACE: u64 = 1_000_000_000;

/// The thread at the front of a chain: whose time it is.
pub(crate) fn front(thread: Ref<Thread>) -> Ref<Thread> {
    let mut at = thread;
    for _ in 0..=CALLS {
        let next = at.act.as_ref().and_then(|a| a.caller.lock().clone());
        let Some(next) = next else { break };
        at = next;
    }
    at
}

/// Ends what a thread waits for, after bits of its `pending` have been set: its own wait, or by a flush the call that
/// it is in. The second time, and for a thread that is to die, it leaves the call.
pub(crate) fn interrupt(t: &Ref<Thread>) {
    let call = t.call.lock();
    let Some(x) = &*call else {
        drop(call);
        return Thread::poke(t, 0);
    };
    let before = t.interrupts.fetch_add(1, Ordering::Relaxed);
    if before != 0 || t.has_pending(KILL) {
        return leave(x, Ending::Left);
    }
    sched::set_alarm(t.clone(), machine::now().saturating_add(GRACE));
    flush(x);
}

/// A thread's time has come: it has slept enough, or its call's grace is over.
pub(crate) fn time_came(t: &Ref<Thread>) {
    let call = t.call.lock();
    match &*call {
        Some(x) => leave(x, Ending::Left),
        None => {
            drop(call);
            Thread::unpark(t);
        }
    }
}

/// Asks a handler to hurry. The caller's `call` is locked.
fn flush(x: &Ref<Thread>) {
    let Some(act) = &x.act else { return };
    if act.portal.limits.flags & WANT_FLUSH != 0 {
        if !act.flushed.swap(true, Ordering::Relaxed) {
            send_flush(act);
        }
        return;
    }
    x.pending.fetch_or(INTERRUPT, Ordering::SeqCst);
    let inner = x.call.lock();
    match &*inner {
        Some(y) => flush(y),
        None => {
            drop(inner);
            Thread::poke(x, 0);
        }
    }
}

/// Sends a Tflush for the call on an activation, on another one, on nobody's behalf. Without one the grace decides.
fn send_flush(act: &Act) {
    let Some(y) = Portal::for_flush(&act.portal) else { return };
    let Some(other) = &y.act else { return };
    other.flushes.store(u32::from(act.tag).wrapping_add(1), Ordering::Relaxed);
    y.pending.store(0, Ordering::Relaxed);
    y.depth.store(0, Ordering::Relaxed);
    y.priority.store(SERVER, Ordering::Relaxed);
    y.held.store(PINNED, Ordering::Relaxed);
    y.move_here();
    Thread::start(&y, enter_flush, 0);
}

extern "C" fn enter_flush(_: usize) -> ! {
    sched::arrive();
    let me = current();
    if let Some(act) = &me.act
        && !act.portal.closed()
    {
        let old = act.flushes.load(Ordering::Relaxed).wrapping_sub(1);
        let request = Request {
            head: Request::make_head(op::TFLUSH, 0, act.tag, 0),
            offset: u64::from(old),
            payload: act.window_address(),
            page: act.page_address(),
            ..Request::default()
        };
        machine::enter_portal(me.context.get(), &act.entry, &request);
    }
    sched::die()
}

/// Ends the call on an activation for its caller, whose `call` is locked.
fn leave(x: &Ref<Thread>, why: Ending) {
    let Some(act) = &x.act else { return };
    let mut slot = act.caller.lock();
    let Some(caller) = slot.take() else { return };
    if why == Ending::Left {
        // Before the handler can see that it is nobody's any more, which ends it.
        act.zombie.store(true, Ordering::Relaxed);
        counters::ZOMBIES.up();
    }
    drop(slot);
    lend::replace(x);
    caller.answer.set(&ending(why));
    // What it had of its caller's urgency goes with the caller.
    sched::set_priority(x, SERVER);
    Thread::resume(&caller);
}

/// The server of an activation is gone: its caller gets its answer, and the handler unwinds.
pub(super) fn server_died(x: &Ref<Thread>) {
    release_caller(x);
    Thread::poke(x, KILL);
    let inner = x.call.lock();
    if let Some(y) = &*inner {
        flush(y);
    }
}

fn release_caller(x: &Ref<Thread>) {
    let Some(act) = &x.act else { return };
    let caller = act.caller.lock().clone();
    if let Some(c) = caller {
        let call = c.call.lock();
        // Not yet there: that caller has still to look whether the portal is closed.
        if call.as_ref().is_some_and(|y| Ref::same(x, y)) {
            leave(x, Ending::Died);
        }
    }
}

/// A handler of a server that was killed, on its way out of the kernel: it goes no further.
pub(crate) fn end_handler(me: Ref<Thread>) -> ! {
    release_caller(&me);
    if let Some(act) = &me.act {
        act.flushes.store(0, Ordering::Relaxed);
        orphan_ended(act, false);
    }
    // Nothing on this stack is dropped after this.
    drop(me);
    sched::die()
}

/// A handler replies, but its caller has left.
pub(super) fn orphan_answered(_me: &Thread, act: &Act, answer: &Answer) -> ! {
    match act.flushes.swap(0, Ordering::Relaxed) {
        0 => orphan_ended(act, answer.op() != op::RERROR && answer.op() != RWAIT),
        tag => flush_answered(act, tag.wrapping_sub(1)),
    }
    sched::die()
}

pub(super) fn orphan_ended(act: &Act, success: bool) {
    if act.zombie.swap(false, Ordering::Relaxed) {
        counters::ZOMBIES.down();
    }
    let mut orphan = act.orphan.lock();
    match core::mem::replace(&mut *orphan, Orphan::None) {
        Orphan::Left(q) => {
            drop(orphan);
            if let Some(q) = q {
                q.end(success);
            }
        }
        // The caller has still to say what is in quarantine, unless the server died, which ends all quarantine.
        _ if !act.portal.closed() => *orphan = Orphan::Answered(success),
        _ => {}
    }
}

/// Rflush: the call that it names is over for its caller, unless it was answered before.
fn flush_answered(act: &Act, tag: u32) {
    let Some(x) = act.portal.activation(tag) else { return };
    let Some(flushed) = &x.act else { return };
    let caller = flushed.caller.lock().clone();
    if let Some(c) = caller {
        let call = c.call.lock();
        let same = call.as_ref().is_some_and(|y| Ref::same(&x, y));
        if same && flushed.flushed.load(Ordering::Relaxed) {
            leave(&x, Ending::Left);
        }
    }
}
