//! [`Thread`]: a kernel stack with what runs on it: a process's own thread, or an activation inside a server.
//!
//! The scheduler runs threads. A portal call is a chain of them, each [in a call](Thread::call) of the next; only the
//! last runs or waits, the others' kernel stacks stand still in [`crate::machine::enter_portal`]. Time is charged to the
//! first of the chain. When the middle of a chain dies the chain is cut there: what is left is two chains, and no
//! thread has to become another.
//!
//! Blocking is [`park`] and [`Thread::unpark`], with a token in between, so that a wake-up that comes early is not
//! lost. Whoever waits for something puts itself on that thing's queue under that thing's lock, lets go of the lock,
//! parks, and looks again: to be woken for nothing is allowed.
//!
//! Locks: `run` is taken under any object's lock, and under it only the run queue's. `call` is taken from the front of
//! a chain to its end.

use crate::base::{ErrorText, Link, Linked, Queue, Ref, Spin};
use crate::call::{Act, Portal};
use crate::counters;
use crate::machine::{self, Context, Frame, Root};
use crate::mem::Space;
use crate::msg::{Fail, Result};
use crate::proc::Proc;
pub(crate) use crate::run::{Run, State};
use crate::sched::{self, ContextCell};
use abi::error::Error;
use abi::portal::Answer;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};

pub use crate::sched::{current, current_ref};

/// Kind of the queues of threads that are ready to run.
pub const RUN: usize = 0;
/// Kind of the queues of threads that wait for something.
pub const WAIT: usize = 1;
/// Kind of the queues of threads that wait for a time.
pub const TIME: usize = 2;

/// Threads that wait for one thing, first come first served.
pub type Waiters = Queue<Thread, WAIT>;

/// The thread is to end as soon as it is not in a handler's way: its process was killed.
pub const KILL: u8 = 1;
/// A note waits for its process.
pub const NOTE: u8 = 2;
/// An activation's caller was interrupted: the handler's next or present blocking call is to return `interrupted`.
pub const INTERRUPT: u8 = 4;
/// The process is to stop before it goes on at user level.
pub const STOP: u8 = 8;
/// Something is to be done with all of the program's registers: [`After`].
pub const AFTER: u8 = 16;
/// Fids wait to be clunked before this system call ends.
pub const REAP: u8 = 32;
/// It is to go on at another CPU: [`Thread::wired`].
pub const MOVE: u8 = 64;

/// What is dealt with on the way out of the kernel.
const OUT: u8 = KILL | NOTE | STOP | AFTER | REAP | MOVE;

/// What is left to do when a system call returns, with the program's registers at hand.
#[derive(Clone, Copy, Debug)]
pub enum After {
    /// rfork: flags and stack pointer.
    Fork(u32, u64),
    /// noted.
    Noted(u64),
    /// exec: pc, stack pointer and two arguments.
    Start(u64, u64, u64, u64),
    /// A fault in a handler, which the server's own routine for notes is to tell of; the words are the error string.
    Crash,
}

/// Priorities, from idle to urgent.
pub const PRIORITIES: usize = 8;
/// What a process starts with.
pub const NORMAL: u8 = 3;
/// Floor of whoever serves: a client of low priority does not hold up a server's others. No higher than [`NORMAL`], so
/// that a handler that never ends shares its CPU.
pub const SERVER: u8 = NORMAL;
/// The reaper and other threads of the kernel.
pub const KERNEL: u8 = 6;

/// Where a call's answer is left for its caller. No lock: one writes, and then lets the reader go on.
#[derive(Debug, Default)]
pub(crate) struct AnswerCell([AtomicU64; 4]);

impl AnswerCell {
    #[inline(always)]
    pub(crate) fn set(&self, a: &Answer) {
        let [head, w1, w2, w3] = &self.0;
        head.store(a.head, Ordering::Relaxed);
        w1.store(a.w1, Ordering::Relaxed);
        w2.store(a.w2, Ordering::Relaxed);
        w3.store(a.w3, Ordering::Relaxed);
    }

    #[inline(always)]
    pub(crate) fn get(&self) -> Answer {
        let [.., w2, w3] = &self.0;
        Answer { w2: w2.load(Ordering::Relaxed), w3: w3.load(Ordering::Relaxed), ..self.short() }
    }

    /// The first two words: type, count, and where the bytes are.
    #[inline(always)]
    pub(crate) fn short(&self) -> Answer {
        let [head, w1, ..] = &self.0;
        Answer { head: head.load(Ordering::Relaxed), w1: w1.load(Ordering::Relaxed), ..Answer::default() }
    }
}

/// A kernel stack, given back when dropped.
#[derive(Debug)]
pub(crate) struct Stack(u64);

impl Stack {
    pub(crate) fn new() -> Result<Stack> {
        machine::new_stack().map(Stack).ok_or(Error::NoMemory.into())
    }

    /// First address above it.
    pub(crate) fn top(&self) -> u64 {
        self.0
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        machine::free_stack(self.0);
    }
}

/// A kernel stack and what runs on it. In this order, since what lies first is reached by shorter instructions: what is
/// used often before an activation's part, and all else behind it.
#[repr(C)]
pub struct Thread {
    /// Whose ports, names, memory and user it has: for an activation the server's.
    pub proc: Ref<Proc>,
    /// The activation that it is in a call of.
    pub(crate) call: Spin<Option<Ref<Thread>>>,
    pub(crate) run: Spin<Run>,
    /// Not 0 while it may not move to another CPU: bit 0 while one is on its kernel stack, bit 1 in a call or handler,
    /// bit 2 for one that is wired, bit 3 on the way to that CPU.
    pub(crate) held: AtomicU8,
    pub(crate) priority: AtomicU8,
    /// [`KILL`], [`NOTE`], [`INTERRUPT`], [`STOP`].
    pub(crate) pending: AtomicU8,
    /// Those of them that are dealt with on the way out of the kernel.
    pub(crate) out: u8,
    /// Interrupts of the present call.
    pub(crate) interrupts: AtomicU8,
    /// The CPU whose run queue it goes to. That of an activation has its space [marked](crate::mem::Space::mark).
    pub(crate) cpu: AtomicUsize,
    /// What makes it an activation.
    pub act: Option<Act>,
    /// The root of the space that is loaded while it runs.
    root: AtomicU64,
    pub(crate) stack: Stack,
    /// Its place while it does not run; touched only by the CPU that it belongs to.
    pub(crate) context: ContextCell,
    /// How the present call ended: written by whoever took the right to end it, before this thread goes on.
    pub(crate) answer: AnswerCell,
    /// When [`park`] or a call's grace ends; `u64::MAX` for never.
    pub(crate) until: AtomicU64,
    /// The CPU on whose timer queue it is.
    pub(crate) timer_cpu: AtomicUsize,
    /// Why a page could not be brought that the present system call was to copy from or to.
    pub(crate) paging: Spin<Option<Fail>>,
    /// The queue, semaphore or tag at which it waits.
    pub(crate) queue: AtomicU64,
    /// Its value for a rendezvous; the other's, when they have met.
    pub(crate) value: AtomicU64,
    /// The server on whose queue it waits.
    pub(crate) waits_for: Spin<Option<Ref<Portal>>>,
    /// Since when, in nanoseconds since boot.
    pub(crate) since: AtomicU64,
    /// Calls in the chain up to here.
    pub(crate) depth: AtomicU8,
    /// The CPU that it is to be wired to.
    pub(crate) wired: AtomicU8,
    /// It has an activation that it has not entered or has left, and calls for a page meanwhile.
    pub(crate) holds: AtomicBool,
    /// Type of its last request to a server.
    pub(crate) op: AtomicU8,
    /// What it is doing, for those who look: see [`Doing`].
    pub(crate) doing: AtomicU8,
    run_link: Link<Thread>,
    wait_link: Link<Thread>,
    time_link: Link<Thread>,
    /// With [`AFTER`].
    pub(crate) after: Spin<Option<After>>,
    /// The error string.
    pub error: Spin<ErrorText>,
}

/// What a thread that does not run waits for, as `/proc` tells it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Doing {
    /// Nothing in particular: it runs, or could.
    Run,
    /// A time.
    Sleep,
    /// The end of a child.
    Await,
    /// A semaphore.
    Semaphore,
    /// Somebody at a tag.
    Rendezvous,
    /// A free activation.
    Pool,
    /// A server's queue.
    Queue,
    /// To be started again.
    Stop,
    /// Something in a tree of the kernel.
    Tree,
    /// A mailbox: a message, a reply, or room.
    Mail,
    /// A page that another thread brings.
    Page,
}

impl Doing {
    const ALL: [(Doing, &'static str); 11] = [
        (Doing::Run, "Running"),
        (Doing::Sleep, "Sleep"),
        (Doing::Await, "Await"),
        (Doing::Semaphore, "Semacquire"),
        (Doing::Rendezvous, "Rendez"),
        (Doing::Pool, "Pool"),
        (Doing::Queue, "Queue"),
        (Doing::Stop, "Stopped"),
        (Doing::Tree, "Wait"),
        (Doing::Mail, "Mail"),
        (Doing::Page, "Page"),
    ];
}

impl Linked<RUN> for Thread {
    fn link(&self) -> &Link<Thread> {
        &self.run_link
    }
}

impl Linked<WAIT> for Thread {
    fn link(&self) -> &Link<Thread> {
        &self.wait_link
    }
}

impl Linked<TIME> for Thread {
    fn link(&self) -> &Link<Thread> {
        &self.time_link
    }
}

impl Thread {
    /// The space that its system calls work on.
    pub fn space(&self) -> Result<Ref<Space>> {
        match &self.act {
            Some(act) => Ok(act.portal.space.clone()),
            None => self.proc.space().ok_or(Error::Died.into()),
        }
    }

    /// A thread on a kernel stack. It runs nothing yet; see [`Thread::start`] and the portal call.
    pub(crate) fn new(
        proc: Ref<Proc>,
        root: Root,
        act: Option<Act>,
        priority: u8,
        stack: Stack,
    ) -> Result<Ref<Thread>> {
        // Before it is made: without memory the value is dropped, and counts down.
        counters::THREADS.up();
        let thread = Ref::new(Thread {
            proc,
            // A handler does not take its server's notes: only its end concerns it, and its own crash.
            out: if act.is_some() { KILL | AFTER } else { OUT },
            act,
            root: AtomicU64::new(root.0.0),
            stack,
            context: ContextCell::new(Context { sp: 0, vector: 0 }),
            run: Spin::new(Run { state: State::Parked, token: false }),
            cpu: AtomicUsize::new(machine::cpu()),
            held: AtomicU8::new(0),
            wired: AtomicU8::new(0),
            priority: AtomicU8::new(priority),
            pending: AtomicU8::new(0),
            call: Spin::new(None),
            interrupts: AtomicU8::new(0),
            answer: AnswerCell::default(),
            depth: AtomicU8::new(0),
            until: AtomicU64::new(u64::MAX),
            timer_cpu: AtomicUsize::new(0),
            error: Spin::new(ErrorText::new()),
            holds: AtomicBool::new(false),
            paging: Spin::new(None),
            after: Spin::new(None),
            queue: AtomicU64::new(0),
            value: AtomicU64::new(0),
            op: AtomicU8::new(0),
            waits_for: Spin::new(None),
            doing: AtomicU8::new(Doing::Run as u8),
            since: AtomicU64::new(0),
            run_link: Link::new(),
            wait_link: Link::new(),
            time_link: Link::new(),
        })?;
        Ok(thread)
    }

    /// Makes it ready to run `run(arg)` on its kernel stack, for the first time or, for an activation that is not in
    /// use, anew.
    pub(crate) fn start(this: &Ref<Thread>, run: extern "C" fn(usize) -> !, arg: usize) {
        this.context.set(machine::new_context(this.stack.top(), run, arg));
        let mut state = this.run.lock();
        state.state = State::Ready;
        state.token = false;
        sched::enqueue(this.clone());
    }

    /// Makes this CPU an activation's, whose space counts as loaded here from now on.
    #[cold]
    #[inline(never)]
    pub(crate) fn move_here(&self) {
        if let Some(act) = &self.act {
            act.portal.space.mark();
        }
        self.cpu.store(machine::cpu(), Ordering::Relaxed);
    }

    /// The root that is loaded while it runs.
    #[inline]
    pub(crate) fn root(&self) -> Root {
        Root(Frame(self.root.load(Ordering::Relaxed)))
    }

    /// Exec gave it another space.
    pub(crate) fn set_root(&self, root: Root) {
        self.root.store(root.0.0, Ordering::Relaxed);
    }

    /// Lets a parked thread go on; one that is not parked will not stop at its next [`park`].
    pub fn unpark(this: &Ref<Thread>) {
        sched::wake(this.clone());
    }

    /// Lets a thread go on that stood in a call; its answer is there.
    pub(crate) fn resume(this: &Ref<Thread>) {
        let mut run = this.run.lock();
        run.state = State::Ready;
        sched::enqueue(this.clone());
    }

    /// Sets bits of [`Thread::pending`] and sees to it that it notices: parked, it goes on; running elsewhere, it
    /// comes through the kernel.
    pub(crate) fn poke(this: &Ref<Thread>, bits: u8) {
        this.pending.fetch_or(bits, Ordering::SeqCst);
        Thread::unpark(this);
        sched::nudge(this);
    }

    /// Does one of these bits wait?
    #[inline]
    pub(crate) fn has_pending(&self, bits: u8) -> bool {
        self.pending.load(Ordering::Acquire) & bits != 0
    }

    /// Its effective priority.
    #[inline]
    pub(crate) fn priority(&self) -> u8 {
        self.priority.load(Ordering::Relaxed)
    }

    /// Leaves something to do for the end of the system call.
    pub(crate) fn do_after(&self, after: After) {
        *self.after.lock() = Some(after);
        self.pending.fetch_or(AFTER, Ordering::Relaxed);
    }

    /// Says to its space that this CPU loads it, and loads it. What is loaded has been told.
    #[inline(always)]
    pub(crate) fn load_space(&self) {
        let root = self.root();
        if machine::is_loaded(root) {
            return;
        }
        match &self.act {
            Some(act) => act.portal.space.mark(),
            None => self.proc.mark_space(),
        }
        machine::load(root);
    }

    /// What it is doing in a word, and since when.
    pub fn doing(&self) -> (&'static str, u64) {
        let doing = self.doing.load(Ordering::Relaxed);
        let word = Doing::ALL.iter().find(|d| d.0 as u8 == doing).map_or("Running", |d| d.1);
        (word, self.since.load(Ordering::Relaxed))
    }

    /// Leaves words in the error string.
    pub fn set_error(&self, words: &[u8]) {
        self.error.lock().set(words);
    }

    /// Leaves a failure's words in the error string.
    pub fn set_fail(&self, fail: Fail) {
        match fail {
            Fail::Known(e) => self.set_error(e.text().as_bytes()),
            Fail::Left => self.set_error(Error::Interrupted.text().as_bytes()),
            Fail::Words => {}
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        counters::THREADS.down();
    }
}

/// Stops the current thread until it is unparked or a time has come, in nanoseconds since boot; `u64::MAX` for no
/// time. It may also go on for no reason.
pub fn park(until: u64) {
    let me = current();
    if !me.run.lock_inline().park() {
        return;
    }
    if until != u64::MAX {
        sched::set_alarm(current_ref(), until);
    }
    sched::reschedule();
    if until != u64::MAX {
        sched::cancel_alarm(me);
    }
}

/// As [`park`], for waits that a note, a kill or an interrupted caller ends: `interrupted`, at once if one is there
/// already. An interrupt of an activation's caller ends one wait only.
pub fn wait(doing: Doing, until: u64) -> Result<()> {
    let me = current();
    interrupted(me)?;
    me.doing.store(doing as u8, Ordering::Relaxed);
    park(until);
    me.doing.store(Doing::Run as u8, Ordering::Relaxed);
    interrupted(me)
}

/// Looks at what a lock guards until there is something, and waits on one of its queues meanwhile, as [`wait`] does. Whoever
/// changes what is looked at wakes the queue; to be woken for nothing is allowed.
#[inline(always)]
pub(crate) fn until<T, R>(
    doing: Doing,
    lock: &Spin<T>,
    queue: impl Fn(&mut T) -> &mut Waiters,
    mut look: impl FnMut(&mut T) -> Option<R>,
) -> Result<R> {
    let me = current();
    loop {
        let mut guarded = lock.lock_inline();
        let found = look(&mut guarded);
        // It may have gone on without being woken.
        if found.is_some() && me.wait_link.is_on() {
            drop(queue(&mut guarded).remove(me));
        }
        if let Some(found) = found {
            return Ok(found);
        }
        queue(&mut guarded).push(current_ref());
        drop(guarded);
        if let Err(e) = wait(doing, u64::MAX) {
            drop(queue(&mut lock.lock()).remove(me));
            return Err(e);
        }
    }
}

/// Lets all of a queue go on; each looks again.
#[inline]
pub(crate) fn wake_all(waiters: &mut Waiters) {
    if !waiters.is_empty() {
        wake_some(waiters);
    }
}

#[inline(never)]
fn wake_some(waiters: &mut Waiters) {
    while let Some(t) = waiters.pop() {
        sched::wake(t);
    }
}

/// Has something come that ends a wait?
#[inline(always)]
pub(crate) fn interrupted(me: &Thread) -> Result<()> {
    let pending = me.pending.load(Ordering::Acquire);
    if pending & (KILL | NOTE | INTERRUPT) == 0 {
        return Ok(());
    }
    me.pending.fetch_and(!INTERRUPT, Ordering::Relaxed);
    Err(Error::Interrupted.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_errors_are_cut_at_a_characters_start() {
        let mut e = ErrorText::new();
        let words = "a".repeat(abi::limit::ERROR - 1) + "é";
        e.set(words.as_bytes());
        assert_eq!(e.get(), &words.as_bytes()[..abi::limit::ERROR - 1]);
        e.set(b"short");
        assert_eq!(e.get(), b"short");
    }

    #[test]
    fn every_wait_has_a_word() {
        for (i, d) in Doing::ALL.iter().enumerate() {
            assert_eq!(d.0 as usize, i);
        }
    }
}
