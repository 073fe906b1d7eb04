//! The scheduler: for each CPU a run queue by priority, the thread that runs, and the threads that wait for a time.
//!
//! A CPU runs the most urgent of its own ready threads, the first come first, for a quantum at a time while others
//! are ready. A thread that becomes ready goes to the CPU where it last ran, since waking it elsewhere costs far
//! more; a CPU that has nothing to do takes ready threads from others, except those that are in a call or a handler,
//! which stay where they are. Without ready threads a CPU idles in a thread of its own. The timer is never later than
//! the first thing it is needed for: a thread's time, an alarm, or the end of the quantum while others are ready.
//!
//! Locks: `Cpu::ready` and `Cpu::timers` are taken last of all, never both.
#![allow(
    unsafe_code,
    reason = "each CPU's own data: its current thread, and contexts that only it may touch"
)]

use crate::base::{Queue, Ref, Spin};
use crate::counters;
use crate::machine::{self, Context, Ipi};
use crate::msg::Result;
use crate::proc::Proc;
use crate::thread::{KERNEL, PRIORITIES, RUN, Stack, State, TIME, Thread};
use abi::error::Error;
use abi::limit::CPUS;
use core::cell::UnsafeCell;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU64, Ordering};

/// How long a thread runs while others of its priority are ready, in nanoseconds.
const QUANTUM: u64 = 10_000_000;

/// A thread's saved place. Set before the thread is first made ready; after that touched only by the CPU that runs the
/// thread or switches to it.
pub(crate) struct ContextCell(UnsafeCell<Context>);

// SAFETY: as described at the type, one CPU at a time touches it, and a thread passes between CPUs through the locks of
// run queues.
unsafe impl Sync for ContextCell {}

impl ContextCell {
    pub(crate) const fn new(context: Context) -> ContextCell {
        ContextCell(UnsafeCell::new(context))
    }

    /// Sets the place of a thread that is on no queue and no CPU.
    pub(crate) fn set(&self, context: Context) {
        // SAFETY: no CPU uses the thread, see the type.
        unsafe { *self.0.get() = context };
    }

    /// For the CPU that has the thread. The lifetime is free because the reference to the thread moves on, to a queue or
    /// the next context, before the machine uses this; it lives there until the machine comes back.
    #[inline]
    pub(crate) fn get<'a>(&self) -> &'a mut Context {
        // SAFETY: see the type; callers pass it on to the machine at once and keep nothing.
        unsafe { &mut *self.0.get() }
    }
}

/// The ready threads of one CPU.
struct Ready {
    /// Bit `p`: queue `p` is not empty.
    some: u8,
    queues: [Queue<Thread, RUN>; PRIORITIES],
}

/// What belongs to one CPU. In this order, since the first is asked for everywhere.
#[repr(C)]
struct Cpu {
    /// The thread that runs, as `Ref::into_raw` gave it: the CPU holds a reference. Written by this CPU only.
    current: AtomicPtr<Thread>,
    /// The thread that ran before, until the next has arrived. As `current`.
    previous: AtomicPtr<Thread>,
    /// Its idle thread. As `current`, but never changes once set.
    idle: AtomicPtr<Thread>,
    /// Time of the next timer interrupt asked for.
    armed: AtomicU64,
    /// When the current thread began to run, for its time.
    since: AtomicU64,
    /// When its quantum is over.
    quantum: AtomicU64,
    /// Priority of the current thread; 0 while idle.
    priority: AtomicU8,
    /// A more urgent thread is ready, or the quantum is over.
    resched: AtomicBool,
    idling: AtomicBool,
    timers: Spin<Queue<Thread, TIME>>,
    ready: Spin<Ready>,
}

/// All zeroes until [`start`], so that the image need not hold them.
static ALL: [Cpu; CPUS] = [const {
    Cpu {
        current: AtomicPtr::new(ptr::null_mut()),
        previous: AtomicPtr::new(ptr::null_mut()),
        idle: AtomicPtr::new(ptr::null_mut()),
        ready: Spin::new(Ready { some: 0, queues: [const { Queue::new() }; PRIORITIES] }),
        timers: Spin::new(Queue::new()),
        armed: AtomicU64::new(0),
        since: AtomicU64::new(0),
        quantum: AtomicU64::new(0),
        priority: AtomicU8::new(0),
        resched: AtomicBool::new(false),
        idling: AtomicBool::new(false),
    }
}; CPUS];

#[inline]
fn cpu(number: usize) -> &'static Cpu {
    // The mask stands for a check of bounds: no machine starts more CPUs.
    #[expect(clippy::indexing_slicing, reason = "masked to the table's length")]
    &ALL[number & (CPUS - 1)]
}

/// A CPU's block, for the machine to keep at hand.
pub(crate) fn block(number: usize) -> *const () {
    ptr::from_ref(cpu(number)).cast()
}

#[inline(always)]
fn here() -> &'static Cpu {
    // SAFETY: `start` names the block before anything else of the kernel asks; it is a static's.
    unsafe { &*machine::local().cast() }
}

const _: () = assert!(CPUS.is_power_of_two());

/// The thread whose kernel stack this is.
#[inline(always)]
pub fn current<'a>() -> &'a Thread {
    // SAFETY: boot has set it before anything else of the kernel runs. The CPU's reference moves with the kernel
    // stack that code runs on: into `previous`, a run queue or a chain of calls, but it is not dropped before the
    // code on this stack is at its end. The lifetime is the caller's function's.
    unsafe { &*here().current.load(Ordering::Relaxed) }
}

/// Has this CPU's scheduler begun? Only then is there a current thread.
pub(crate) fn started() -> bool {
    !machine::local().is_null() && !here().current.load(Ordering::Relaxed).is_null()
}

/// A reference to the thread whose kernel stack this is.
#[inline]
pub fn current_ref() -> Ref<Thread> {
    // SAFETY: as in `current`; the pointer came from into_raw.
    unsafe { Ref::again(here().current.load(Ordering::Relaxed)) }
}

/// A reference to a thread of which only a borrow is at hand.
pub(crate) fn again(thread: &Thread) -> Ref<Thread> {
    // SAFETY: threads are made by `Thread::new` alone, inside a Ref.
    unsafe { Ref::again(ptr::from_ref(thread)) }
}

/// Makes another thread the current one of this CPU without switching contexts: for the two halves of a portal call,
/// which the machine then goes through. The reference to the one that was current comes back, and as [`current`] gives it
/// the one that is.
#[inline(always)]
pub(crate) fn become_current<'a>(next: Ref<Thread>) -> (Ref<Thread>, &'a Thread) {
    let me = here();
    me.priority.store(next.priority(), Ordering::Relaxed);
    let next = Ref::into_raw(next).cast_mut();
    let old = me.current.swap_relaxed(next);
    // SAFETY: the CPU held the old reference, and nothing leads to it any more; the new one it holds as in `current`.
    unsafe { (Ref::from_raw(old), &*next) }
}

/// A swap that need not be atomic towards other CPUs, which never write here.
trait SwapRelaxed {
    fn swap_relaxed(&self, new: *mut Thread) -> *mut Thread;
}

impl SwapRelaxed for AtomicPtr<Thread> {
    #[inline]
    fn swap_relaxed(&self, new: *mut Thread) -> *mut Thread {
        let old = self.load(Ordering::Relaxed);
        self.store(new, Ordering::Relaxed);
        old
    }
}

/// Bit of [`Thread::held`]: a CPU is on its kernel stack.
pub(crate) const ON_CPU: u8 = 1;
/// Bit of [`Thread::held`]: it is in a call or a handler.
pub(crate) const PINNED: u8 = 2;
/// Bit of [`Thread::held`]: it was told to stay on its CPU.
const WIRED: u8 = 4;
/// Bit of [`Thread::held`]: it goes to the CPU that it is wired to, as soon as its place here is saved.
const MOVING: u8 = 8;

/// The process of the kernel's own threads, made by the first CPU.
static KERNEL_PROC: Spin<Option<Ref<Proc>>> = Spin::new(None);

/// A thread of the kernel.
pub(crate) fn kernel_thread() -> Result<Ref<Thread>> {
    let proc = KERNEL_PROC.lock().clone();
    let proc = match proc {
        Some(p) => p,
        None => {
            let p = crate::proc::kernel_proc()?;
            *KERNEL_PROC.lock() = Some(p.clone());
            p
        }
    };
    let root = proc.space().ok_or(Error::NoMemory)?.root();
    Thread::new(proc, root, None, KERNEL, Stack::new()?)
}

/// Starts the scheduler on this CPU with the running code as its idle thread; returns, and the caller ends in
/// [`run_idle`].
pub(crate) fn start(number: usize) -> Result<()> {
    let me = cpu(number);
    machine::set_local(block(number));
    let idle = kernel_thread()?;
    idle.run.lock().state = State::Running;
    idle.held.store(ON_CPU | PINNED, Ordering::Relaxed);
    machine::set_kernel_stack(idle.stack.top());
    me.idle.store(Ref::into_raw(idle.clone()).cast_mut(), Ordering::Relaxed);
    me.armed.store(u64::MAX, Ordering::Relaxed);
    me.quantum.store(u64::MAX, Ordering::Relaxed);
    me.since.store(machine::now(), Ordering::Relaxed);
    me.current.store(Ref::into_raw(idle).cast_mut(), Ordering::Release);
    Ok(())
}

/// The idle thread's life.
pub(crate) fn run_idle() -> ! {
    let me = here();
    loop {
        me.idling.store(true, Ordering::SeqCst);
        if me.ready.lock().some == 0 && !can_steal() {
            crate::mem::shootdown::rest();
        }
        me.idling.store(false, Ordering::SeqCst);
        reschedule();
    }
}

/// Lets a parked thread go on, see [`Thread::unpark`]; the reference is the run queue's then.
#[inline(never)]
pub(crate) fn wake(thread: Ref<Thread>) {
    // SAFETY: if the reference moves on, it goes to a run queue; whoever takes it from there locks `run` before anything
    // else, so the thread outlives the guard.
    let t: &Thread = unsafe { &*ptr::from_ref(&*thread) };
    let mut run = t.run.lock_inline();
    if run.wake() {
        enqueue(thread);
    }
}

/// Puts a thread, whose state has just been made Ready, on its CPU's run queue.
pub(crate) fn enqueue(thread: Ref<Thread>) {
    counters::READIED.up();
    let number = thread.cpu.load(Ordering::Relaxed);
    let here = number == machine::cpu();
    let priority = thread.priority();
    let to = cpu(number);
    let crowd = push(to, thread, priority);
    let running = to.priority.load(Ordering::Relaxed);
    let urgent = priority > running || to.idling.load(Ordering::SeqCst);
    if urgent {
        to.resched.store(true, Ordering::Relaxed);
    }
    if here {
        // The idle thread has no quantum, and goes at once.
        if running != 0 {
            arm(to, to.quantum.load(Ordering::Relaxed));
        }
    } else if urgent || !crowd {
        // What runs there ran alone, without a tick: it is alone no more.
        machine::ipi(number, Ipi::Reschedule);
    }
    if crowd
        && let Some(idle) = (0..machine::cpus()).find(|&c| cpu(c).idling.load(Ordering::Relaxed))
        && idle != machine::cpu()
    {
        machine::ipi(idle, Ipi::Reschedule);
    }
}

/// True if there were others.
#[inline(always)]
fn push(to: &Cpu, thread: Ref<Thread>, priority: u8) -> bool {
    let mut ready = to.ready.lock_inline();
    let crowd = ready.some != 0;
    let level = priority & LEVELS;
    #[expect(clippy::indexing_slicing, reason = "masked to the table's length")]
    ready.queues[usize::from(level)].push_inline(thread);
    ready.some |= 1u8.wrapping_shl(u32::from(level));
    crowd
}

/// What priorities are masked by, to stand for a check of bounds.
const LEVELS: u8 = PRIORITIES as u8 - 1;
const _: () = assert!(PRIORITIES.is_power_of_two());

/// The most urgent ready thread of a CPU, and whether others are left.
#[inline(always)]
fn pop(from: &Cpu) -> (Option<Ref<Thread>>, bool) {
    let mut ready = from.ready.lock_inline();
    let Some(level) = ready.some.checked_ilog2() else { return (None, false) };
    #[expect(clippy::indexing_slicing, reason = "masked to the table's length")]
    let q = &mut ready.queues[usize::from(level as u8 & LEVELS)];
    let first = q.pop();
    if q.is_empty() {
        ready.some &= !1u8.wrapping_shl(level);
    }
    (first, ready.some != 0)
}

/// The most urgent ready thread of a CPU that may go elsewhere.
fn pop_stealable(from: &Cpu) -> Option<Ref<Thread>> {
    let mut ready = from.ready.lock();
    for level in (0..PRIORITIES).rev() {
        if let Some(q) = ready.queues.get_mut(level)
            && let Some(t) = q.take(stealable)
        {
            if q.is_empty() {
                ready.some &= !1u8.wrapping_shl(level as u32);
            }
            return Some(t);
        }
    }
    None
}

fn stealable(t: &Thread) -> bool {
    t.held.load(Ordering::Acquire) == 0
}

fn can_steal() -> bool {
    (0..machine::cpus())
        .any(|c| c != machine::cpu() && cpu(c).ready.lock().some != 0 && has_stealable(cpu(c)))
}

fn has_stealable(from: &Cpu) -> bool {
    let mut found = false;
    from.ready.lock().queues.iter().for_each(|q| q.each(|t| found |= stealable(t)));
    found
}

fn steal() -> Option<Ref<Thread>> {
    let me = machine::cpu();
    let t = (0..machine::cpus()).filter(|&c| c != me).find_map(|c| pop_stealable(cpu(c)))?;
    t.cpu.store(me, Ordering::Relaxed);
    Some(t)
}

/// Raises a thread's priority, wherever it is.
pub(crate) fn raise(thread: &Ref<Thread>, priority: u8) {
    if thread.priority() < priority {
        set_priority(thread, priority);
    }
}

/// Changes a thread's priority, wherever it is.
pub(crate) fn set_priority(thread: &Ref<Thread>, priority: u8) {
    let home = cpu(thread.cpu.load(Ordering::Relaxed));
    let old = usize::from(thread.priority());
    let mut ready = home.ready.lock();
    thread.priority.store(priority, Ordering::Relaxed);
    let queued = ready.queues.get_mut(old).and_then(|q| q.remove(thread));
    if ready.queues.get(old).is_some_and(Queue::is_empty) {
        ready.some &= !1u8.wrapping_shl(old as u32);
    }
    drop(ready);
    if let Some(t) = queued {
        push(home, t, priority);
        home.resched.store(true, Ordering::Relaxed);
    }
}

/// Gives the CPU to whoever is most urgent. The current thread has made itself Parked, Ready and queued, or Dead;
/// or it runs on if it is still the most urgent.
pub(crate) fn reschedule() {
    let me = here();
    me.resched.store(false, Ordering::Relaxed);
    let (next, more) = pop(me);
    let next = match next {
        Some(next) => next,
        None => other_work(me),
    };
    switch_to(me, next, more);
}

/// What a CPU without ready threads does: another's work, or nothing.
#[cold]
#[inline(never)]
fn other_work(me: &Cpu) -> Ref<Thread> {
    // SAFETY: `idle` was set by `start` from into_raw, and that reference is never dropped.
    steal().unwrap_or_else(|| unsafe { Ref::again(me.idle.load(Ordering::Relaxed)) })
}

/// Lets others of its priority run, if there are any.
pub fn yield_now() {
    let me = here();
    let thread = current_ref();
    if ptr::from_ref::<Thread>(&thread) == me.idle.load(Ordering::Relaxed).cast_const() {
        return;
    }
    thread.run.lock().state = State::Ready;
    let priority = thread.priority();
    push(me, thread, priority);
    reschedule();
}

#[inline(always)]
fn switch_to(me: &Cpu, next: Ref<Thread>, more: bool) {
    next.run.lock_inline().state = State::Running;
    let now = charge(me);
    let level = if is_idle(me, &next) { 0 } else { next.priority().max(1) };
    me.priority.store(level, Ordering::Relaxed);
    let quantum = now.wrapping_add(QUANTUM);
    me.quantum.store(quantum, Ordering::Relaxed);
    if more {
        arm(me, quantum);
    }
    let leaving = current();
    if ptr::eq::<Thread>(&*next, leaving) {
        return;
    }
    leaving.since.store(now, Ordering::Relaxed);
    counters::SWITCHES.up();
    next.held.fetch_or(ON_CPU, Ordering::Relaxed);
    next.load_space();
    machine::set_kernel_stack(next.stack.top());
    let to = next.context.get();
    let (old, _) = become_current(next);
    me.priority.store(level, Ordering::Relaxed);
    let from = old.context.get();
    me.previous.store(Ref::into_raw(old).cast_mut(), Ordering::Relaxed);
    machine::switch(from, to);
    arrive();
}

fn is_idle(me: &Cpu, t: &Thread) -> bool {
    ptr::eq(t, me.idle.load(Ordering::Relaxed))
}

/// What a context does first when it is switched to: lets go of the thread that ran before.
#[inline(always)]
pub(crate) fn arrive() {
    let me = here();
    let previous = me.previous.load(Ordering::Relaxed);
    if !previous.is_null() {
        arrive_from(me, previous);
    }
}

#[cold]
#[inline(never)]
fn arrive_from(me: &Cpu, previous: *mut Thread) {
    me.previous.store(ptr::null_mut(), Ordering::Relaxed);
    // SAFETY: `switch_to` put the reference there by into_raw, and it is taken out once.
    let previous = unsafe { Ref::from_raw(previous) };
    let held = previous.held.fetch_and(!(ON_CPU | MOVING), Ordering::Release);
    if held & MOVING != 0 {
        previous.cpu.store(usize::from(previous.wired.load(Ordering::Relaxed)), Ordering::Relaxed);
        return enqueue(previous);
    }
    if previous.act.is_some() && previous.run.lock().state == State::Dead {
        // An activation whose handler is at its end, with nobody to return to.
        crate::call::activation_idle(previous);
    }
}

/// Wires the current thread, which is in no call, to a CPU, and goes on there.
#[cold]
pub(crate) fn wire(thread: &Thread) {
    thread.held.fetch_or(WIRED, Ordering::Relaxed);
    if usize::from(thread.wired.load(Ordering::Relaxed)) != machine::cpu() {
        // Ready, but on no queue: whoever runs here next puts it there, when its place has been saved.
        thread.run.lock().state = State::Ready;
        thread.held.fetch_or(MOVING, Ordering::Relaxed);
        reschedule();
    }
}

/// Leaves this thread for good: it is not switched to again unless it is started anew.
pub(crate) fn die() -> ! {
    current().run.lock().state = State::Dead;
    loop {
        reschedule();
    }
}

/// Charges the time since the last charge to the process at the front of the current chain. Returns the time.
#[inline(always)]
fn charge(me: &Cpu) -> u64 {
    let now = machine::now();
    let spent = now.saturating_sub(me.since.load(Ordering::Relaxed));
    me.since.store(now, Ordering::Relaxed);
    let who = current();
    if who.act.is_some() {
        charge_front(spent);
    } else if !is_idle(me, who) {
        who.proc.add_time(spent);
    }
    now
}

#[cold]
#[inline(never)]
fn charge_front(spent: u64) {
    crate::call::front(current_ref()).proc.add_time(spent);
}

/// Brings the current process's time up to date.
pub(crate) fn charge_now() {
    charge(here());
}

/// Sees to it that a thread which runs at user level on some CPU comes through the kernel.
pub(crate) fn nudge(thread: &Thread) {
    let number = thread.cpu.load(Ordering::Relaxed);
    if number != machine::cpu() && ptr::eq(cpu(number).current.load(Ordering::Relaxed), thread) {
        machine::ipi(number, Ipi::Reschedule);
    }
}

/// Wakes a thread at a time: it is unparked, or its call's grace is over.
pub(crate) fn set_alarm(thread: Ref<Thread>, at: u64) {
    let number = machine::cpu();
    let me = here();
    thread.until.store(at, Ordering::Relaxed);
    thread.timer_cpu.store(number, Ordering::Relaxed);
    me.timers.lock().insert_before(thread, |t| t.until.load(Ordering::Relaxed) > at);
    arm(me, at);
}

/// Takes that back.
pub(crate) fn cancel_alarm(thread: &Thread) {
    let number = thread.timer_cpu.load(Ordering::Relaxed);
    let removed = cpu(number).timers.lock().remove(thread);
    thread.until.store(u64::MAX, Ordering::Relaxed);
    drop(removed);
}

/// Sees to it that this CPU's timer comes no later than at a time. One that is no longer needed is left: it comes once,
/// for nothing, which costs less than to program it at every switch.
#[inline(always)]
fn arm(me: &Cpu, at: u64) {
    if at < me.armed.load(Ordering::Relaxed) {
        me.armed.store(at, Ordering::Relaxed);
        machine::set_timer(at);
    }
}

/// Programs the timer for what comes next, whatever it was set to.
fn arm_anew(me: &Cpu) {
    let mut at = me.timers.lock().first().map_or(u64::MAX, |t| t.until.load(Ordering::Relaxed));
    if me.ready.lock().some != 0 {
        at = at.min(me.quantum.load(Ordering::Relaxed));
    }
    at = at.min(crate::proc::alarm::next());
    me.armed.store(at, Ordering::Relaxed);
    machine::set_timer(at);
}

/// The timer interrupt.
pub(crate) fn timer() {
    let me = here();
    let now = machine::now();
    loop {
        let due = me.timers.lock().take(|t| t.until.load(Ordering::Relaxed) <= now);
        let Some(thread) = due else { break };
        crate::call::time_came(&thread);
    }
    crate::proc::alarm::ring(now);
    if now >= me.quantum.load(Ordering::Relaxed) {
        me.quantum.store(now.wrapping_add(QUANTUM), Ordering::Relaxed);
        if me.ready.lock().some != 0 {
            me.resched.store(true, Ordering::Relaxed);
        }
    }
    arm_anew(me);
}

/// Another CPU says that there is something to do here.
pub(crate) fn poked() {
    let me = here();
    let top = me.ready.lock().some;
    let Some(top) = top.checked_ilog2() else { return };
    if top > u32::from(me.priority.load(Ordering::Relaxed)) {
        me.resched.store(true, Ordering::Relaxed);
    }
    arm(me, me.quantum.load(Ordering::Relaxed));
}

/// On the way out of the kernel: is another thread to run?
#[inline(always)]
pub(crate) fn wanted() -> bool {
    here().resched.load(Ordering::Relaxed)
}

/// Puts the current thread behind the others and runs the most urgent one.
pub(crate) fn preempt() {
    if wanted() {
        yield_now();
    }
}

/// An alarm was set: this CPU's timer is to see it.
pub(crate) fn rearm() {
    arm(here(), crate::proc::alarm::next());
}
