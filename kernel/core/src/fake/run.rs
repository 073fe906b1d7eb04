//! The fake machine's CPUs: every kernel context is a thread of the host, and a CPU is a baton that they pass on.
//!
//! Only the host thread that has a CPU's baton runs kernel code as that CPU. Programs are closures: a program counter is
//! the number of one, and a program makes system calls through [`user`] or, to save the tests from numbers, runs kernel
//! code in the place of one by [`kernel`]. An interrupt comes when a program asks by [`poll`], at the end of a system
//! call, or while the CPU idles.

use super::memory::LOADED;
use crate::base::Ref;
use crate::entry::{self, Fault};
use crate::machine::{Context, Entry, Ipi, Root, Vector};
use crate::sched;
use crate::thread::Thread;
use abi::note::Frame;
use abi::portal::Request;
use abi::sys::Sys;
use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex};
use std::time::{Duration, Instant};

/// How many CPUs run.
pub const CPUS: usize = 2;
/// The number of a host thread that is no CPU.
const NO_CPU: usize = 7;

/// What passes from one context to the next.
#[derive(Clone, Copy)]
struct Go {
    cpu: usize,
    loaded: u64,
}

/// Where a context waits for its turn. Leaked: a context may be left for ever.
#[derive(Default)]
struct Baton {
    go: Mutex<Option<Go>>,
    came: Condvar,
}

thread_local! {
    static CPU: Cell<usize> = const { Cell::new(0) };
    static MINE: &'static Baton = Box::leak(Box::default());
}

impl Baton {
    fn of(context: &Context) -> &'static Baton {
        // SAFETY: `sp` was made by `place` from a leaked baton.
        unsafe { &*std::ptr::with_exposed_provenance::<Baton>(context.sp as usize) }
    }

    fn place(&'static self) -> u64 {
        std::ptr::from_ref(self).expose_provenance() as u64
    }

    fn pass(&self) {
        *self.go.lock().unwrap() = Some(Go { cpu: CPU.get(), loaded: LOADED.get() });
        self.came.notify_one();
    }

    fn wait(&self) {
        let mut go = self.go.lock().unwrap();
        while go.is_none() {
            go = self.came.wait(go).unwrap();
        }
        let go = go.take().unwrap();
        CPU.set(go.cpu);
        LOADED.set(go.loaded);
    }
}

/// The payload with which a host thread unwinds whose kernel stack is forgotten.
struct Forgotten;
/// The payload with which a program unwinds that is killed: what it owns goes, then the kernel ends it.
struct Dying;

/// Runs a program until it returns, or dies.
fn run_until_death(body: impl FnOnce()) {
    match catch_unwind(AssertUnwindSafe(body)) {
        Err(e) if e.is::<Dying>() => entry::deliver(&mut Frame::default()),
        Err(e) if !e.is::<Forgotten>() => fail(&*e),
        _ => {}
    }
}

fn context(body: impl FnOnce() + Send + 'static) -> &'static Baton {
    let baton: &'static Baton = Box::leak(Box::default());
    std::thread::spawn(move || {
        baton.wait();
        run_until_death(body);
    });
    baton
}

fn fail(e: &(dyn Any + Send)) -> ! {
    let words = e.downcast_ref::<String>().map(String::as_str).or(e.downcast_ref::<&str>().copied());
    eprintln!("a fake CPU panicked: {}", words.unwrap_or("?"));
    std::process::abort()
}

// Programs.

type Code = dyn Fn([u64; 6]) + Send + Sync;
/// Addresses of boxed programs: contexts that stand still for ever must not own one.
struct Programs(Vec<*mut Code>);
// SAFETY: the programs are Send and Sync.
unsafe impl Send for Programs {}
static PROGRAMS: Mutex<Programs> = Mutex::new(Programs(Vec::new()));
/// Numbers given to programs that are no more.
static GONE: AtomicU64 = AtomicU64::new(0);
/// Program counter of program 0; below it is [`HERE`].
const FIRST: u64 = 0x1000;
/// Program counter of whoever is in a system call.
const HERE: u64 = 1;
/// A stack pointer with room below it, in every process made by tests.
pub const STACK: u64 = 0x80_0000;

/// Gives a closure a program counter.
pub fn program(code: impl Fn([u64; 6]) + Send + Sync + 'static) -> u64 {
    let mut all = PROGRAMS.lock().unwrap();
    all.0.push(Box::into_raw(Box::new(code)));
    FIRST + GONE.load(Ordering::SeqCst) + all.0.len() as u64 - 1
}

/// Drops all programs and what they own. None runs any more, nor will.
pub fn forget_programs() {
    let mut all = PROGRAMS.lock().unwrap();
    GONE.fetch_add(all.0.len() as u64, Ordering::SeqCst);
    for code in std::mem::take(&mut all.0) {
        // SAFETY: made by `into_raw` in `program`; by the caller's promise nobody is in it.
        drop(unsafe { Box::from_raw(code) });
    }
}

fn run(pc: u64, args: [u64; 6]) {
    let code = PROGRAMS.lock().unwrap().0[(pc - FIRST - GONE.load(Ordering::SeqCst)) as usize];
    // SAFETY: programs are dropped only when none runs any more.
    unsafe { (*code)(args) }
}

/// A system call.
pub fn user(sys: Sys, args: [u64; 6]) -> u64 {
    let out = entry::syscall(sys as u64, args);
    leave(out.value)
}

/// Runs kernel code as the body of a system call.
pub fn kernel<T>(body: impl FnOnce() -> T) -> T {
    let result = body();
    leave(0);
    result
}

/// Lets interrupts come, as between two instructions of a program.
pub fn poll() {
    interrupts();
    leave(0);
}

/// The way out of the kernel.
fn leave(value: u64) -> u64 {
    interrupts();
    let mut frame = Frame { pc: HERE, sp: STACK, ..Frame::default() };
    frame.general[0] = value;
    while entry::pending() {
        if crate::thread::current().has_pending(crate::thread::KILL) {
            resume_unwind(Box::new(Dying));
        }
        entry::deliver(&mut frame);
        if frame.pc != HERE {
            let [_, a, b, c, ..] = frame.general;
            run(frame.pc, [a, b, c, 0, 0, 0]);
            entry::syscall(Sys::Noted as u64, [0; 6]);
        }
    }
    frame.general[0]
}

// CPUs.

#[derive(Default)]
struct Lines {
    asked: Mutex<bool>,
    came: Condvar,
}

static LINES: LazyLock<[Lines; CPUS]> = LazyLock::new(Default::default);
static TIMER: [AtomicU64; CPUS] = [const { AtomicU64::new(u64::MAX) }; CPUS];
static BOOT: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Handles what has come: true if there was something.
fn interrupts() -> bool {
    let me = CPU.get();
    let asked = std::mem::take(&mut *LINES[me].asked.lock().unwrap());
    if asked {
        entry::reschedule();
    }
    let due = TIMER[me].load(Ordering::SeqCst) <= now();
    if due {
        TIMER[me].store(u64::MAX, Ordering::SeqCst);
        entry::timer();
    }
    asked || due
}

type Job = Box<dyn FnOnce() + Send>;
static JOBS: [Mutex<Vec<Job>>; CPUS] = [const { Mutex::new(Vec::new()) }; CPUS];
static WORKERS: [Mutex<Option<Ref<Thread>>>; CPUS] = [const { Mutex::new(None) }; CPUS];
static STARTED: AtomicBool = AtomicBool::new(false);

/// Starts the CPUs, once. The caller has the memory (see [`super::memory`]).
pub fn start() {
    CPU.set(NO_CPU);
    if STARTED.swap(true, Ordering::SeqCst) {
        return;
    }
    for (number, slot) in WORKERS.iter().enumerate() {
        let up = Arc::new(Baton::default());
        let told = up.clone();
        std::thread::spawn(move || {
            CPU.set(number);
            sched::start(number).unwrap();
            if number == 0 {
                Thread::start(&sched::kernel_thread().unwrap(), crate::call::reap::run, 0);
            }
            let worker = sched::kernel_thread().unwrap();
            worker.held.store(sched::PINNED, Ordering::SeqCst);
            *slot.lock().unwrap() = Some(worker.clone());
            Thread::start(&worker, work, number);
            told.pass();
            sched::run_idle()
        });
        let mut go = up.go.lock().unwrap();
        while go.is_none() {
            go = up.came.wait(go).unwrap();
        }
    }
}

/// Runs something in the kernel on a CPU, soon.
pub fn on_cpu(cpu: usize, job: impl FnOnce() + Send + 'static) {
    JOBS[cpu].lock().unwrap().push(Box::new(job));
    let worker = WORKERS[cpu].lock().unwrap().clone().unwrap();
    Thread::unpark(&worker);
}

extern "C" fn work(cpu: usize) -> ! {
    sched::arrive();
    loop {
        let jobs = std::mem::take(&mut *JOBS[cpu].lock().unwrap());
        jobs.into_iter().for_each(|job| job());
        crate::thread::park(u64::MAX);
    }
}

pub(super) fn fault(addr: u64, write: bool) -> bool {
    STARTED.load(Ordering::SeqCst)
        && CPU.get() != NO_CPU
        && entry::kernel_fault(addr, if write { Fault::Write } else { Fault::Read })
}

#[unsafe(no_mangle)]
fn cpu() -> usize {
    CPU.get()
}

#[unsafe(no_mangle)]
fn local() -> *const () {
    sched::block(CPU.get())
}

#[unsafe(no_mangle)]
fn set_local(_: *const ()) {}

#[unsafe(no_mangle)]
fn cpus() -> usize {
    CPUS
}

#[unsafe(no_mangle)]
fn now() -> u64 {
    BOOT.elapsed().as_nanos() as u64
}

#[unsafe(no_mangle)]
fn epoch() -> u64 {
    0
}

#[unsafe(no_mangle)]
fn set_timer(at: u64) {
    TIMER[CPU.get()].store(at, Ordering::SeqCst);
}

#[unsafe(no_mangle)]
fn idle() {
    let me = CPU.get();
    loop {
        if interrupts() {
            return;
        }
        let asked = LINES[me].asked.lock().unwrap();
        if !*asked {
            let left = TIMER[me].load(Ordering::SeqCst).saturating_sub(now()).min(1_000_000_000);
            let _ = LINES[me].came.wait_timeout(asked, Duration::from_nanos(left)).unwrap();
        }
    }
}

#[unsafe(no_mangle)]
fn ipi(cpu: usize, why: Ipi) {
    if cpu >= CPUS {
        return;
    }
    if why == Ipi::Shootdown {
        // There is nothing to forget: the fake looks every address up.
        let me = CPU.replace(cpu);
        crate::mem::shootdown::serve();
        CPU.set(me);
        return;
    }
    *LINES[cpu].asked.lock().unwrap() = true;
    LINES[cpu].came.notify_one();
}

#[unsafe(no_mangle)]
fn debug(byte: u8) {
    eprint!("{}", byte as char);
}

#[unsafe(no_mangle)]
fn new_stack() -> Option<u64> {
    static NEXT: AtomicU64 = AtomicU64::new(1 << 20);
    Some(NEXT.fetch_add(1 << 20, Ordering::Relaxed))
}

#[unsafe(no_mangle)]
fn free_stack(_top: u64) {}

#[unsafe(no_mangle)]
fn set_kernel_stack(_top: u64) {}

#[unsafe(no_mangle)]
fn has_vector() -> bool {
    false
}

#[unsafe(no_mangle)]
fn save_vector(_to: &mut Vector) {}

#[unsafe(no_mangle)]
fn restore_vector(_from: Option<&mut Vector>) {}

#[unsafe(no_mangle)]
fn new_context(_stack_top: u64, run: extern "C" fn(usize) -> !, arg: usize) -> Context {
    let baton = context(move || run(arg));
    Context { sp: baton.place(), vector: 0 }
}

#[unsafe(no_mangle)]
fn switch(from: &mut Context, to: &Context) {
    let mine = MINE.with(|m| *m);
    from.sp = mine.place();
    Baton::of(to).pass();
    mine.wait();
}

#[unsafe(no_mangle)]
fn resume_user(frame: &mut Frame) -> ! {
    let [_, a, b, c, ..] = frame.general;
    run_until_death(|| {
        run(frame.pc, [a, b, c, 0, 0, 0]);
        user(Sys::Exits, [0; 6]);
    });
    unreachable!("a process goes on after its end")
}

#[unsafe(no_mangle)]
fn set_result(frame: &mut Frame, value: u64) {
    frame.general[0] = value;
}

#[unsafe(no_mangle)]
fn call_handler(frame: &mut Frame, handler: u64, sp: u64, args: [u64; 3]) {
    (frame.pc, frame.sp) = (handler, sp);
    frame.general[1..4].copy_from_slice(&args);
}

#[unsafe(no_mangle)]
fn enter_portal_clean(back: &mut Context, entry: &Entry, request: &Request) {
    enter_portal(back, entry, request);
}

#[unsafe(no_mangle)]
fn enter_portal(back: &mut Context, entry: &Entry, request: &Request) {
    let mine = MINE.with(|m| *m);
    back.sp = mine.place();
    let (pc, r) = (entry.pc, *request);
    let handler = context(move || {
        run(pc, [r.head, r.fids, r.offset, r.session, r.payload, r.page]);
        user(Sys::Exits, [0; 6]);
    });
    LOADED.set(entry.root.0.0);
    handler.pass();
    mine.wait();
}

#[unsafe(no_mangle)]
fn leave_portal(back: &Context, root: Root, _kernel_stack: u64) -> ! {
    LOADED.set(root.0.0);
    Baton::of(back).pass();
    resume_unwind(Box::new(Forgotten))
}
