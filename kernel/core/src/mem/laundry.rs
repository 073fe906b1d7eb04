//! The laundry: threads of the kernel that write back what programs have left dirty.
//!
//! One thread waits for work: a segment whose last user has gone, memory that nobody can free, or time. For each server with
//! dirty pages it starts a thread, which writes that server's and ends; so a server that does not answer holds up only
//! its own pages. Who writes more than a server may have dirty does that server's laundry himself.

use super::frames::{self, For};
use super::pager;
use super::segment::{self, Segment};
use super::swap;
use crate::base::{List, Ref, Spin};
use crate::counters;
use crate::machine;
use crate::msg::{Fail, Result};
use crate::sched;
use crate::thread::{self, Doing, Thread, Waiters};
use abi::error::Error;
use core::sync::atomic::{AtomicBool, Ordering};

/// How long a page may stay dirty that nobody asks for, in nanoseconds.
const AGE: u64 = 5_000_000_000;
/// How long who needs memory waits for the laundry before he looks again, and how often.
const WAIT: u64 = 20_000_000;
const WAITS: usize = 250;
/// How often something is tried again.
const TRIES: usize = 10;

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
            let dirty = counters::DIRTY.get() != 0;
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
    tell();
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

/// Who waits for memory.
static WAITERS: Spin<Waiters> = Spin::new(Waiters::new());

/// Lets all who wait for memory look.
pub(super) fn tell() {
    loop {
        let next = WAITERS.lock().pop();
        let Some(t) = next else { break };
        Thread::unpark(&t);
    }
}

/// There is no memory for a program's page, or for a process: makes some, or waits until there is. With no lock held.
#[cold]
pub fn make_room(what: For) -> Result<()> {
    let enough = evicted(what, frames::EVICTED);
    swap::ask_if_scarce();
    if enough { Ok(()) } else { wait_for_memory(what) }
}

/// Drops clean pages: were there any, and enough? For a page each is worth a try.
fn evicted(what: For, want: usize) -> bool {
    segment::evict(want) > 0 && (what == For::Program || frames::enough(what))
}

/// Pages that have been written back or gone to swap since boot: while they become more, waiting has a sense.
fn progress() -> u64 {
    counters::LAUNDERED.get().wrapping_add(counters::SWAPPED.get())
}

/// There is no memory and nothing clean: waits until something dirty has been written, or pages have gone to swap. Not if
/// there is neither or servers take neither, nor in a handler, whose server others wait for.
#[cold]
fn wait_for_memory(what: For) -> Result<()> {
    let me = thread::current_ref();
    let (mut waits, mut last) = (0, progress());
    let mut asked = None;
    while waits < WAITS && me.act.is_none() {
        let dirty = counters::DIRTY.get() != 0;
        if dirty {
            wake();
        }
        // What is dirty comes first, unless its server takes its time.
        if asked.is_none() && (!dirty || waits > 0) {
            asked = swap::ask();
        }
        if !dirty && asked.is_none() {
            break;
        }
        WAITERS.lock().push(me.clone());
        let waited = thread::wait(Doing::Page, machine::now().saturating_add(WAIT));
        WAITERS.lock().remove(&me);
        waited?;
        if frames::enough(what) || evicted(what, 1) {
            return Ok(());
        }
        waits = waits.saturating_add(1);
        let now = progress();
        if now != last {
            // Others were first to take what there was.
            (waits, last) = (0, now);
        } else if !dirty && asked.is_some_and(swap::heard) {
            break;
        }
        asked = asked.filter(|&n| !swap::heard(n));
    }
    Err(Error::NoMemory.into())
}

/// Does something that makes a process or a program and has no effect if it fails; without memory it waits until there is
/// as much as a process is begun with, and tries again a few times.
pub fn patiently<T>(mut run: impl FnMut() -> Result<T>) -> Result<T> {
    for _ in 0..TRIES {
        if !frames::enough(For::Process) {
            make_room(For::Process)?;
        }
        match run() {
            Err(Fail::Known(Error::NoMemory)) => make_room(For::Process)?,
            done => return done,
        }
    }
    Err(Error::NoMemory.into())
}
