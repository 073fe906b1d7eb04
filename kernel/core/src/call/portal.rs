//! [`Portal`]: the entry point of a server, with its pool of activations.
//!
//! Activations are made when they are needed, up to the limit, and kept. A free one lies on the list of the CPU where it
//! was last used, whose caches know it. A caller that finds none anywhere waits, the most urgent first, and lends its
//! priority to those who hold one.
//!
//! Locks: `all` is taken alone, but that under it a chain's `call` may be.

use super::act::{Act, Orphan};
use super::lend::Lent;
use super::pool::{Free, Pool, Waited};
use super::queue::Buckets;
use crate::base::{Bytes, List, Ref, Spin, number};
use crate::counters;
use crate::machine::{self, Entry, Rights};
use crate::mem::Space;
use crate::mem::fault::Access;
use crate::mem::space::Use;
use crate::msg::Result;
use crate::proc::{Proc, boot_word};
use crate::sched;
use crate::thread::{self, SERVER, Stack, State, Thread};
use abi::error::Error;
use abi::limit::{CALLS, PAGE};
use abi::portal::{
    ACTIVATION_STRIDE, ACTIVATIONS, ACTIVATIONS_END, Limits, PAGE_AT, STACK_DEFAULT, STACK_END, STACK_MAX,
    WANT_FLUSH, WINDOW_AT,
};
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering};

/// How long a caller that holds an activation itself waits for another, in nanoseconds: two servers that wait for each
/// other's last activation would wait for ever.
const HOLDING_WAIT: u64 = 2_000_000_000;

/// A server's entry point.
pub struct Portal {
    /// The server.
    pub proc: Ref<Proc>,
    pub(crate) space: Ref<Space>,
    pc: u64,
    pub(crate) limits: Limits,
    closed: AtomicBool,
    /// The name under which it stands in `#srv`, if it does.
    pub service: Spin<Bytes>,
    pool: Pool,
    /// Every activation.
    all: Spin<List<Ref<Thread>>>,
    made: AtomicU32,
    /// Pages of its files that are newer here.
    pub(crate) dirty: AtomicUsize,
    /// Does it share the pages of its files? See `mem::pager`.
    pub(crate) shares: AtomicU8,
    /// Where callers are parked.
    pub(crate) queues: Buckets,
}

/// What user space asks of a portal, checked.
fn sane(mut limits: Limits) -> Result<Limits> {
    if limits.stack == 0 {
        limits.stack = STACK_DEFAULT;
    }
    if let Some(most) = boot_word(b"pool").and_then(number) {
        limits.activations = limits.activations.min(u32::try_from(most).unwrap_or(u32::MAX));
    }
    let most = abi::limit::ACTIVATIONS as u32;
    let unknown = limits.flags & !WANT_FLUSH | limits.reserved;
    if limits.activations == 0 || limits.activations > most || limits.stack > STACK_MAX || unknown != 0 {
        return Err(Error::BadArg.into());
    }
    Ok(limits)
}

impl Portal {
    /// A portal of a process, with one activation, so that a server that exists can be called. The process's memory is
    /// wired: a server never faults on a server.
    pub fn new(proc: &Ref<Proc>, pc: u64, limits: Limits) -> Result<Ref<Portal>> {
        let limits = sane(limits)?;
        let space = proc.space().ok_or(Error::Died)?;
        space.wire()?;
        // Before it is made: without memory the value is dropped, and counts down.
        counters::PORTALS.up();
        let portal = Ref::new(Portal {
            proc: proc.clone(),
            space,
            pc,
            limits,
            closed: AtomicBool::new(false),
            service: Spin::new(Bytes::default()),
            pool: Pool::new(),
            all: Spin::new(List::new()),
            made: AtomicU32::new(0),
            dirty: AtomicUsize::new(0),
            shares: AtomicU8::new(0),
            queues: Buckets::new(),
        })?;
        let first = Portal::make(&portal)?;
        portal.give(first);
        if let Err(e) = proc.add_portal(&portal) {
            portal.close();
            return Err(e);
        }
        Ok(portal)
    }

    /// What tells it from all others for as long as it is open.
    pub fn id(&self) -> usize {
        core::ptr::from_ref(self).addr()
    }

    /// Is the server gone?
    #[inline]
    pub fn closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// This CPU's free activations, all of which are this CPU's.
    #[inline(always)]
    pub(crate) fn free(&self) -> &Free {
        self.pool.here()
    }

    /// Gives an activation back, whose kernel stack nobody is on.
    #[inline(never)]
    pub(crate) fn give(&self, x: Ref<Thread>) {
        self.give_to(self.free(), x);
    }

    /// The same without a call, for the measured path.
    #[inline(always)]
    pub(crate) fn give_to(&self, free: &Free, x: Ref<Thread>) {
        free.lock_inline().push(x);
        if self.pool.needs_care() {
            self.given();
        }
    }

    #[cold]
    #[inline(never)]
    fn given(&self) {
        if self.closed() {
            self.drain();
        } else {
            self.pool.wake();
        }
    }

    /// Makes an activation, if fewer than `most` are made.
    fn make_one(this: &Ref<Portal>, most: u32) -> Result<Ref<Thread>> {
        let tag = this.made.fetch_add(1, Ordering::Relaxed);
        let made = if tag < most { Portal::build(this, tag as u16) } else { Err(Error::Full.into()) };
        if made.is_err() {
            this.made.fetch_sub(1, Ordering::Relaxed);
        }
        made
    }

    fn make(this: &Ref<Portal>) -> Result<Ref<Thread>> {
        Portal::make_one(this, this.limits.activations)
    }

    /// From where in an activation, and how long, its stack and message page are.
    fn low_part(&self) -> (u64, u64) {
        let page = PAGE as u64;
        let stack = u64::from(self.limits.stack).next_multiple_of(page);
        let below = STACK_END.saturating_sub(stack);
        (below, PAGE_AT.saturating_add(page).saturating_sub(below))
    }

    /// Finds a place in the server's memory and makes the stack there: where the place begins.
    fn place(&self) -> Result<u64> {
        let (below, len) = self.low_part();
        for base in (ACTIVATIONS..ACTIVATIONS_END).step_by(ACTIVATION_STRIDE as usize) {
            match self.space.attach(base.saturating_add(below), len, Rights::Write, Use::Activation) {
                Ok(_) => return Ok(base),
                Err(e) if e == Error::Overlap.into() => {}
                Err(e) => return Err(e),
            }
        }
        Err(Error::NoMemory.into())
    }

    fn build(this: &Ref<Portal>, tag: u16) -> Result<Ref<Thread>> {
        let base = this.place()?;
        let made = Portal::build_at(this, tag, base);
        match &made {
            Ok(_) => counters::ACTIVATIONS.up(),
            Err(_) => this.unplace(base),
        }
        made
    }

    fn build_at(this: &Ref<Portal>, tag: u16, base: u64) -> Result<Ref<Thread>> {
        let (space, page) = (&this.space, PAGE as u64);
        let window = base.saturating_add(WINDOW_AT);
        space.attach(window, page.saturating_mul(2), Rights::Write, Use::Activation)?;
        let frame = |at: u64| space.resolve(at, Access::Write);
        let stack = Stack::new()?;
        let act = Act {
            portal: this.clone(),
            tag,
            base,
            entry: Entry {
                root: space.root(),
                kernel_stack: stack.top(),
                user_stack: base.saturating_add(STACK_END),
                pc: this.pc,
            },
            page: frame(base.saturating_add(PAGE_AT))?,
            window: [frame(window)?, frame(window.saturating_add(page))?],
            caller: Spin::new(None),
            lent: Spin::new(Lent::none()),
            orphan: Spin::new(Orphan::None),
            flushed: AtomicBool::new(false),
            flushes: AtomicU32::new(0),
            zombie: AtomicBool::new(false),
        };
        let x = Thread::new(this.proc.clone(), space.root(), Some(act), SERVER, stack)?;
        x.move_here();
        // Free and running a handler are both Running to the scheduler, which meets it only inside.
        x.run.lock().state = State::Running;
        this.all.lock().push(x.clone())?;
        Ok(x)
    }

    /// Takes an activation's memory out of the server again.
    fn unplace(&self, base: u64) {
        let (below, len) = self.low_part();
        // Only the splitting of attachments can fail, and whole ones are taken.
        let _ = self.space.detach(base.saturating_add(below), len);
        let _ = self.space.detach(base.saturating_add(WINDOW_AT), (PAGE as u64).saturating_mul(2));
    }

    /// An activation for a caller that found none on its CPU's list.
    #[cold]
    #[inline(never)]
    pub(crate) fn take_slow(this: &Ref<Portal>, me: &Thread) -> Result<Ref<Thread>> {
        counters::BUSY.up();
        loop {
            if this.closed() {
                return Err(Error::Died.into());
            }
            if let Some(x) = this.pool.find() {
                x.move_here();
                return Ok(x);
            }
            match Portal::make(this) {
                Err(e) if e == Error::Full.into() => {}
                other => return other,
            }
            if passes(this) {
                return Err(Error::Deadlock.into());
            }
            // Who brings memory back must not wait for those who wait for memory.
            if crate::mem::frames::reclaims()
                && let Some(x) = Portal::for_flush(this)
            {
                return Ok(x);
            }
            this.wait_for_one(me)?;
        }
    }

    fn wait_for_one(&self, me: &Thread) -> Result<()> {
        self.lend_priority(me.priority());
        let holds = me.act.is_some() || me.holds.load(Ordering::Relaxed);
        let until = if holds { machine::now().saturating_add(HOLDING_WAIT) } else { u64::MAX };
        match self.pool.wait(&thread::current_ref(), &self.closed, until)? {
            Waited::Late => Err(Error::Deadlock.into()),
            Waited::Look => Ok(()),
        }
    }

    /// Raises all who hold an activation, and whoever they are in a call of.
    fn lend_priority(&self, priority: u8) {
        // A guard in the loop's head would live as long as the loop.
        let count = self.all.lock().len();
        for i in 0..count {
            let mut at = self.all.lock().get(i).cloned();
            for _ in 0..CALLS {
                let Some(x) = at else { break };
                sched::raise(&x, priority);
                at = x.call.lock().clone();
            }
        }
    }

    /// The server is gone, or is another program from now on: every call ends, and nobody gets in any more.
    pub fn close(&self) {
        if self.closed.swap(true, Ordering::SeqCst) {
            return;
        }
        self.pool.close();
        // Downwards: what others take out meanwhile moves only those that have been dealt with.
        let count = self.all.lock().len();
        for at in (0..count).rev() {
            let x = self.all.lock().get(at).cloned();
            if let Some(x) = x {
                super::leave::server_died(&x);
            }
        }
        self.drain();
        self.queues.wake_all();
        crate::mem::segment::server_died(self.id());
        while self.pool.wake() {}
    }

    /// Discards the free activations of a closed portal.
    #[cold]
    fn drain(&self) {
        while let Some(x) = self.pool.find() {
            if let Some(act) = &x.act {
                self.unplace(act.base);
            }
            counters::ACTIVATIONS.down();
            let mut all = self.all.lock();
            let at = all.iter().position(|other| Ref::same(other, &x));
            let gone = at.and_then(|at| all.remove(at));
            drop(all);
            drop(gone);
        }
    }

    /// A free activation for a Tflush: one is kept beyond what callers may have.
    pub(crate) fn for_flush(this: &Ref<Portal>) -> Option<Ref<Thread>> {
        let most = this.limits.activations.saturating_add(1);
        this.pool.find().or_else(|| Portal::make_one(this, most).ok())
    }

    /// The activation of a number.
    pub(crate) fn activation(&self, tag: u32) -> Option<Ref<Thread>> {
        let is = |x: &&Ref<Thread>| x.act.as_ref().is_some_and(|a| u32::from(a.tag) == tag);
        self.all.lock().iter().find(is).cloned()
    }

    /// Visits every activation, for those who look.
    pub fn each(&self, mut visit: impl FnMut(&Ref<Thread>)) {
        self.all.lock().iter().for_each(&mut visit);
    }
}

impl Drop for Portal {
    fn drop(&mut self) {
        counters::PORTALS.down();
    }
}

/// Does the chain that ends with the current thread pass through a server?
fn passes(portal: &Ref<Portal>) -> bool {
    let mut at = thread::current_ref();
    for _ in 0..=CALLS {
        let Some(act) = &at.act else { return false };
        if Ref::same(&act.portal.proc, &portal.proc) {
            return true;
        }
        let next = act.caller.lock().clone();
        let Some(next) = next else { return false };
        at = next;
    }
    false
}

/// An activation whose handler ended with nobody to return to, off its kernel stack.
pub(crate) fn activation_idle(x: Ref<Thread>) {
    x.run.lock().state = State::Running;
    let Some(act) = &x.act else { return };
    super::lend::clear(act);
    act.flushed.store(false, Ordering::Relaxed);
    // Otherwise its caller, which has still to come by, gives it back.
    if !matches!(*act.orphan.lock(), Orphan::Answered(_)) {
        let portal = act.portal.clone();
        portal.give(x);
    }
}
