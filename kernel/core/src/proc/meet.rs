//! Meeting: rendezvous and the exchange of a page at a tag, and semaphores in shared memory.

use crate::base::{Held, Queue, Ref, Spin};
use crate::machine::{self, Rights};
use crate::mem::fault::Access;
use crate::mem::frames;
use crate::msg::Result;
use crate::sched;
use crate::thread::{self, Doing, Thread, Waiters, current_ref};
use abi::error::Error;
use abi::limit::PAGE;
use core::sync::atomic::Ordering;

/// A rendezvous group: those who wait for somebody, their tag and value in their threads.
pub struct Rendezvous {
    values: Spin<Waiters>,
    pages: Spin<Waiters>,
}

impl Rendezvous {
    /// A group.
    pub fn new() -> Result<Ref<Rendezvous>> {
        Ref::new(Rendezvous { values: Spin::new(Queue::new()), pages: Spin::new(Queue::new()) })
    }
}

/// Waits for another process at a tag, or meets the one that waits: its value.
pub fn rendezvous(group: &Rendezvous, tag: u64, value: u64) -> Result<u64> {
    meet(&group.values, tag, value)
}

/// Exchanges a page with another process at a tag. While it waits nobody has the page at its place; it comes back if
/// nobody comes.
pub fn exchange(me: &Thread, group: &Rendezvous, tag: u64, page: u64) -> Result<u64> {
    let space = me.space()?;
    let mut pages = space.give(page, 1)?;
    let mut met = Ok(0);
    pages.exchange(|mine| {
        met = meet(&group.pages, tag, mine.0);
        // If nobody came it is this one's own that comes back.
        met.map_or(mine, machine::Frame)
    });
    space.receive(page, &mut pages, 1)?;
    met.map(|_| 0)
}

fn meet(group: &Spin<Waiters>, tag: u64, value: u64) -> Result<u64> {
    let me = current_ref();
    {
        let mut waiters = group.lock();
        if let Some(other) = waiters.take(|t| t.queue.load(Ordering::Relaxed) == tag) {
            let theirs = other.value.swap(value, Ordering::Relaxed);
            Thread::unpark(&other);
            return Ok(theirs);
        }
        me.queue.store(tag, Ordering::Relaxed);
        me.value.store(value, Ordering::Relaxed);
        waiters.push(me.clone());
    }
    loop {
        let waited = thread::wait(Doing::Rendezvous, u64::MAX);
        let mut waiters = group.lock();
        if !waiters.has(&me) {
            // Met, even if a note came too.
            return Ok(me.value.load(Ordering::Relaxed));
        }
        if let Err(e) = waited {
            waiters.remove(&me);
            return Err(e);
        }
    }
}

/// Buckets of those who wait for semaphores, by the physical address.
const BUCKETS: usize = 64;
static SEMAPHORES: [Spin<Waiters>; BUCKETS] = [const { Spin::new(Queue::new()) }; BUCKETS];

/// A semaphore: where it is in physical memory, so that all who share it mean the same one.
///
/// It is found by one walk of the loaded tables. The frame stays what it is until this CPU spins, so the bucket is locked
/// without serving shootdowns; whoever waits holds the frame, so that a fork leaves it where it is.
#[derive(Clone, Copy)]
struct Place {
    frame: machine::Frame,
    offset: usize,
}

impl Place {
    #[inline(always)]
    fn of(me: &Thread, addr: u64) -> Result<Place> {
        loop {
            match machine::lookup(me.root(), addr) {
                Some((frame, Rights::Write)) if addr.is_multiple_of(4) => {
                    return Ok(Place { frame, offset: addr as usize & (PAGE - 1) });
                }
                _ => bring(me, addr)?,
            }
        }
    }

    fn key(self) -> u64 {
        self.frame.0.wrapping_mul(PAGE as u64).wrapping_add(self.offset as u64)
    }

    #[inline(always)]
    fn waiters(self) -> Held<'static, Waiters> {
        let key = self.key() >> 2;
        #[expect(clippy::indexing_slicing, reason = "masked to the table's length")]
        SEMAPHORES[(key ^ key >> 10) as usize & (BUCKETS - 1)].lock_still()
    }

    /// Adds if the result is not negative: the new value.
    fn add(self, n: i32) -> Option<i32> {
        machine::add_in_frame(self.frame, self.offset, n)
    }
}

/// Makes the page of a semaphore, or brings it.
#[cold]
#[inline(never)]
fn bring(me: &Thread, addr: u64) -> Result<()> {
    if !addr.is_multiple_of(4) {
        return Err(Error::BadAddress.into());
    }
    me.space()?.fault(addr, Access::Write)
}

/// Takes one, or waits until a time; 0 for not at all.
pub fn semacquire(me: &Thread, addr: u64, until: u64) -> Result<u64> {
    let place = Place::of(me, addr)?;
    {
        let mut waiters = place.waiters();
        if place.add(-1).is_some() {
            return Ok(1);
        }
        if until == 0 {
            return Ok(0);
        }
        frames::hold(place.frame)?;
        wait_at(me, place, &mut waiters);
    }
    let taken = acquire_held(me, place, until);
    frames::release(place.frame);
    taken
}

fn wait_at(me: &Thread, place: Place, waiters: &mut Waiters) {
    me.queue.store(place.key(), Ordering::Relaxed);
    waiters.push(current_ref());
}

/// Waits, being on the queue of a semaphore whose frame is held.
fn acquire_held(me: &Thread, place: Place, until: u64) -> Result<u64> {
    loop {
        let waited = thread::wait(Doing::Semaphore, until);
        let mut waiters = place.waiters();
        let still = waiters.remove(me).is_some();
        if let Err(e) = waited {
            if !still {
                wake(place, &mut waiters, 1);
            }
            return Err(e);
        }
        if place.add(-1).is_some() {
            return Ok(1);
        }
        if until != u64::MAX && until <= machine::now() {
            return Ok(0);
        }
        wait_at(me, place, &mut waiters);
    }
}

/// Adds, and wakes so many: the new value.
pub fn semrelease(me: &Thread, addr: u64, count: u64) -> Result<u64> {
    let n = i32::try_from(count).map_err(|_| Error::BadArg)?;
    let place = Place::of(me, addr)?;
    let mut waiters = place.waiters();
    let value = place.add(n).ok_or(Error::BadArg)?;
    wake(place, &mut waiters, n);
    Ok(value as u64)
}

fn wake(place: Place, waiters: &mut Waiters, n: i32) {
    for _ in 0..n {
        let next = waiters.take(|t| t.queue.load(Ordering::Relaxed) == place.key());
        let Some(t) = next else { break };
        sched::wake(t);
    }
}
