//! The reaper: clunks fids whose last holder let go of them in a place where no server can be called.
//!
//! A process's own thread clunks what it dropped before its system call ends, so that a close has happened when it
//! returns. A handler never does, since it would call servers, perhaps its own, under locks that it holds; nor does
//! a thread that dies or is the kernel's: theirs are left to a thread of the kernel.

use crate::base::{Queue, Ref, Spin};
use crate::session::Session;
use crate::thread::{self, KERNEL, KILL, REAP, Thread, current, park};
use core::sync::atomic::Ordering;

/// Sessions with doomed fids. Taken under no other lock but a session's `fids`, and under it none.
static DOOMED: Spin<Queue<Session, 0>> = Spin::new(Queue::new());
static REAPER: Spin<Option<Ref<Thread>>> = Spin::new(None);

/// A session has a doomed fid.
pub(crate) fn announce(session: Ref<Session>) {
    DOOMED.lock().push(session);
    let me = current();
    // One of the kernel's has no way out of a system call.
    if me.act.is_none() && me.priority() < KERNEL && !me.has_pending(KILL) {
        me.pending.fetch_or(REAP, Ordering::Relaxed);
    } else {
        wake();
    }
}

fn wake() {
    let reaper = REAPER.lock().clone();
    if let Some(t) = reaper {
        Thread::unpark(&t);
    }
}

/// Clunks what there is.
pub(crate) fn drain() {
    loop {
        let session = DOOMED.lock().pop();
        let Some(session) = session else { break };
        loop {
            let fid = session.fids.lock().doomed_pop();
            let Some(fid) = fid else { break };
            super::enter::clunk(&session, fid);
        }
    }
}

/// On the way out of a system call with [`REAP`].
#[cold]
pub(crate) fn before_leaving(me: &Thread) {
    me.pending.fetch_and(!REAP, Ordering::Relaxed);
    if me.has_pending(KILL) {
        return wake();
    }
    // The clunks' errors are nobody's: the system call's own words stay.
    let words = me.error.lock().clone();
    drain();
    *me.error.lock() = words;
}

/// The reaper's life. A server that does not answer a clunk holds it up for the grace only.
pub(crate) extern "C" fn run(_: usize) -> ! {
    crate::sched::arrive();
    *REAPER.lock() = Some(thread::current_ref());
    loop {
        drain();
        park(u64::MAX);
    }
}
