//! Meeting: rendezvous and the exchange of a page at a tag, and semaphores in shared memory.

use crate::base::{Queue, Ref, Spin};
use crate::machine;
use crate::mem::frames;
use crate::mem::space::Access;
use crate::msg::Result;
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

/// A semaphore: where it is in physical memory, so that all who share it mean the same one. The frame is held meanwhile,
/// so that a fork leaves it where it is.
struct Place {
    frame: machine::Frame,
    offset: usize,
}

impl Place {
    fn of(me: &Thread, addr: u64) -> Result<Place> {
        if !addr.is_multiple_of(4) {
            return Err(Error::BadAddress.into());
        }
        let space = match &me.act {
            Some(act) => act.portal.space.clone(),
            None => me.proc.space().ok_or(Error::BadAddress)?,
        };
        let frame = space.hold(addr, Access::Write)?;
        Ok(Place { frame, offset: addr as usize & (PAGE - 1) })
    }

    fn key(&self) -> u64 {
        self.frame.0.wrapping_mul(PAGE as u64).wrapping_add(self.offset as u64)
    }

    #[expect(clippy::indexing_slicing, reason = "masked to the table's length")]
    fn bucket(&self) -> &'static Spin<Waiters> {
        let key = self.key() >> 2;
        &SEMAPHORES[(key ^ key >> 10) as usize & (BUCKETS - 1)]
    }

    /// Adds if the result is not negative: the new value.
    fn add(&self, n: i32) -> Option<i32> {
        machine::add_in_frame(self.frame, self.offset, n)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        frames::release(self.frame);
    }
}

/// Takes one, or waits until a time; 0 for not at all.
pub fn semacquire(me: &Thread, addr: u64, until: u64) -> Result<u64> {
    loop {
        let place = Place::of(me, addr)?;
        {
            let mut waiters = place.bucket().lock();
            if place.add(-1).is_some() {
                return Ok(1);
            }
            if until <= machine::now() {
                return Ok(0);
            }
            me.queue.store(place.key(), Ordering::Relaxed);
            waiters.push(current_ref());
        }
        let waited = thread::wait(Doing::Semaphore, until);
        let still = place.bucket().lock().remove(me).is_some();
        if let Err(e) = waited {
            if !still {
                wake(&place, 1);
            }
            return Err(e);
        }
    }
}

/// Adds, and wakes so many: the new value.
pub fn semrelease(me: &Thread, addr: u64, count: u64) -> Result<u64> {
    let n = i32::try_from(count).map_err(|_| Error::BadArg)?;
    let place = Place::of(me, addr)?;
    let value = place.add(n).ok_or(Error::BadArg)?;
    wake(&place, n);
    Ok(value as u64)
}

fn wake(place: &Place, n: i32) {
    for _ in 0..n {
        let next = place.bucket().lock().take(|t| t.queue.load(Ordering::Relaxed) == place.key());
        let Some(t) = next else { break };
        Thread::unpark(&t);
    }
}
