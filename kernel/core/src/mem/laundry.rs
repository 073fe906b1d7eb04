//! The laundry: threads of the kernel that write back what programs have left dirty.
//!
//! One thread waits for work: a segment whose last user has gone, memory that nobody can free, or time. For each server with
//! dirty pages it starts a thread, which writes that server's and ends; so a server that does not answer holds up only
//! its own pages. Who writes more than a server may have dirty does that server's laundry himself.

use super::pager;
use super::segment::{self, Segment};
use crate::base::{List, Ref, Spin};
use crate::machine;
use crate::msg::Result;
use crate::sched;
use crate::thread::{self, Doing, Thread};
use abi::error::Error;
use core::sync::atomic::{AtomicBool, Ordering};

/// How long a page may stay dirty that nobody asks for, in nanoseconds.
const AGE: u64 = 5_000_000_000;
/// How long who needs memory waits for the laundry before he looks again, and how often.
const WAIT: u64 = 20_000_000;
const WAITS: usize = 250;

static WASHER: Spin<Option<Ref<Thread>>> = Spin::new(None);
/// Servers whose laundry is being done. Taken alone.
static BUSY: Spin<List<usize>> = Spin::new(List::new());
/// Somebody has left something to do since the last round.
static WORK: AtomicBool = AtomicBool::new(false);

/// There is something to do. Called under any lock above that of a thread.
pub(super) fn wake() {
    WORK.store(true, Ordering::SeqCst);
    let washer = WASHER.lock().clone();
    if let Some(t) = washer {
        Thread::unpark(&t);
    }
}

/// The life of the thread that waits for work.
pub(crate) extern "C" fn run(_: usize) -> ! {
    sched::arrive();
    *WASHER.lock() = Some(thread::current_ref());
    loop {
        if !WORK.swap(false, Ordering::SeqCst) {
            let dirty = crate::counters::DIRTY.get() != 0;
            thread::park(if dirty { machine::now().saturating_add(AGE) } else { u64::MAX });
        }
        segment::dirty_servers(start);
    }
}

/// Starts a server's laundry, unless it is under way.
fn start(server: usize) {
    let mut busy = BUSY.lock();
    if busy.contains(&server) || busy.push(server).is_err() {
        return;
    }
    drop(busy);
    match sched::kernel_thread() {
        Ok(t) => Thread::start(&t, wash, server),
        // Without memory for a thread it waits for the next round.
        Err(_) => end(server),
    }
}

fn end(server: usize) {
    BUSY.lock().retain(|&s| s != server);
}

/// The life of a server's laundry thread.
extern "C" fn wash(server: usize) -> ! {
    sched::arrive();
    while let Some(user) = segment::dirty(Some(server)) {
        // A server that does not take its pages is asked again in the next round.
        if pager::flush(user.segment()).is_err() {
            break;
        }
    }
    end(server);
    sched::die()
}

/// The server of a segment has too many dirty pages: the current thread, who wants another, writes some.
pub(super) fn relieve(segment: &Segment) -> Result<()> {
    match segment::dirty(Some(segment.server())) {
        Some(user) => pager::flush(user.segment()),
        None => Ok(()),
    }
}

/// There is no memory and nothing clean: waits until something dirty has been written, if there is anything.
#[cold]
pub(super) fn wait_for_memory() -> Result<()> {
    for _ in 0..WAITS {
        if crate::counters::DIRTY.get() == 0 || thread::current().act.is_some() {
            break;
        }
        wake();
        thread::wait(Doing::Page, machine::now().saturating_add(WAIT))?;
        if segment::evict(1) > 0 {
            return Ok(());
        }
    }
    Err(Error::NoMemory.into())
}
