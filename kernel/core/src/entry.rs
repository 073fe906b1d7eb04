//! Where the machine enters the portable kernel: system calls, faults, the timer, interrupts, notes on the way out.
//!
//! Each function is entered with interrupts off, on the kernel stack of the current thread or activation, from user
//! mode, but for [`irq`], [`timer`] and [`reschedule`], which may also come while the CPU idles, and
//! [`kernel_fault`], which comes from within a copy to or from user memory.

use crate::base::{Short, hexadecimal};
use crate::call;
use crate::machine;
use crate::mem;
use crate::mem::fault::Access;
use crate::msg::{Fail, Result, UserBuf};
use crate::proc;
use crate::sched;
use crate::syscall;
use crate::thread::{AFTER, After, KILL, MOVE, NOTE, REAP, STOP, Thread, current, current_ref, park};
use abi::error::Error;
use abi::note::{Frame, TRAP};
use core::sync::atomic::{AtomicBool, Ordering};

/// What a system call leaves: both words come back in registers.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Outcome {
    /// The result, for the program.
    pub value: u64,
    /// Not 0: build the full frame, put `value` into it and call [`deliver`] before going back to the program.
    pub pending: u64,
}

/// What a processor fault was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Fault {
    /// A read of memory.
    Read,
    /// A write.
    Write,
    /// An instruction fetch.
    Fetch,
    /// An instruction that does not exist or may not be used.
    Instruction,
    /// A division by zero, or another error of arithmetic.
    Divide,
    /// A vector or floating-point error.
    Float,
    /// A breakpoint.
    Breakpoint,
    /// Anything else.
    Other,
}

impl Fault {
    fn access(self) -> Option<Access> {
        match self {
            Fault::Read => Some(Access::Read),
            Fault::Write => Some(Access::Write),
            Fault::Fetch => Some(Access::Exec),
            _ => None,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Fault::Read => "fault read",
            Fault::Write => "fault write",
            Fault::Fetch => "fault execute",
            Fault::Instruction => "invalid instruction",
            Fault::Divide => "divide error",
            Fault::Float => "floating-point error",
            Fault::Breakpoint => "breakpoint",
            Fault::Other => "processor exception",
        }
    }
}

/// A system call.
#[inline(always)]
pub fn syscall(number: u64, args: [u64; 6]) -> Outcome {
    let value = syscall::dispatch(current(), number, args);
    Outcome { value, pending: u64::from(pending()) }
}

/// A transfer's result as the program sees it.
#[inline(always)]
pub(crate) fn moved(me: &Thread, n: Result<usize>) -> u64 {
    match n {
        Ok(n) => n as u64,
        Err(fail) => failed(me, fail),
    }
}

/// What a system call that failed returns; its words are then in the error string.
#[cold]
#[inline(never)]
pub(crate) fn failed(me: &Thread, fail: Fail) -> u64 {
    // A bad address may be a good one whose page could not be brought.
    let paging = me.paging.lock().take().filter(|_| fail == Error::BadAddress.into());
    me.set_fail(paging.unwrap_or(fail));
    u64::MAX
}

/// Has [`deliver`] something to do before this thread goes on at user level?
#[inline(always)]
pub fn pending() -> bool {
    let me = current();
    (me.pending.load(Ordering::Relaxed) & me.out != 0) | sched::wanted()
}

/// On the way out with the program's registers: what a system call left to do, death, stopping, notes, other threads.
pub fn deliver(frame: &mut Frame) {
    let me = current();
    if me.pending.load(Ordering::Relaxed) & AFTER != 0 {
        me.pending.fetch_and(!AFTER, Ordering::Relaxed);
        let after = me.after.lock().take();
        if let Some(after) = after {
            do_after(me, frame, after);
        }
    }
    loop {
        let pending = me.pending.load(Ordering::Acquire);
        if pending & KILL != 0 {
            end();
        }
        if me.act.is_none() {
            if pending & REAP != 0 {
                call::reap::before_leaving(me);
                continue;
            }
            if pending & MOVE != 0 {
                me.pending.fetch_and(!MOVE, Ordering::SeqCst);
                sched::wire(me);
                continue;
            }
            if pending & STOP != 0 {
                park(u64::MAX);
                continue;
            }
            if pending & NOTE != 0 {
                proc::deliver_notes(me, frame);
                if me.has_pending(NOTE | KILL) {
                    continue;
                }
            }
        }
        if !sched::wanted() {
            return;
        }
        sched::preempt();
    }
}

fn end() -> ! {
    let me = current_ref();
    if me.act.is_some() {
        call::end_handler(me);
    }
    drop(me);
    proc::die()
}

fn do_after(me: &Thread, frame: &mut Frame, after: After) {
    match after {
        After::Fork(flags, sp) => {
            let value = match proc::fork(me, frame, flags, sp) {
                Ok(v) => v,
                Err(fail) => failed(me, fail),
            };
            machine::set_result(frame, value);
        }
        After::Noted(how) => proc::noted(me, frame, how),
        After::Crash => proc::deliver_crash(me, frame),
        After::Start(pc, sp, count, array) => machine::call_handler(frame, pc, sp, [count, array, 0]),
    }
}

/// A fault of the current program at user level, at an address, with the program counter there. [`deliver`] follows if
/// [`pending`].
pub fn fault(addr: u64, kind: Fault, pc: u64) {
    let me = current();
    let mut why = Some(kind.word());
    if let Some(access) = kind.access() {
        match me.space().and_then(|s| s.fault(addr, access)) {
            Ok(()) => return,
            // A note has come, or the process's end: first that, and if it goes on it touches the page again.
            Err(_) if me.act.is_none() && me.has_pending(NOTE | KILL) => return,
            // The page may be had; the machine has none, or its server says why not.
            Err(Fail::Known(e)) if e != Error::BadAddress => why = Some(e.text()),
            Err(Fail::Words) => why = None,
            Err(_) => {}
        }
    }
    let mut words = Short::<{ abi::limit::NOTE }>::of(TRAP.as_bytes());
    match why {
        Some(why) => words.add(why.as_bytes()),
        // The server's own.
        None => words.add(me.error.lock().get()),
    }
    words.add(b" pc=0x");
    words.add(hexadecimal(pc, &mut [0; 16]));
    words.add(b" addr=0x");
    words.add(hexadecimal(addr, &mut [0; 16]));
    // A handler's fault is its server's end, which it may tell of; so is one in a program that takes no notes, or can't.
    let takes = proc::takes_notes(&me.proc);
    if takes && me.act.is_some() {
        me.set_error(words.get());
        me.do_after(After::Crash);
    } else if !takes || proc::post(&me.proc, words.get()).is_err() {
        log_end(me, words.get());
        proc::kill(&me.proc, words.get());
    }
}

#[cold]
fn log_end(me: &Thread, words: &[u8]) {
    say(&me.proc.name.lock());
    say(b": ");
    say(words);
    say(b"\n");
}

/// A fault inside a copy to or from user memory: is the page there now? No server is called in the midst of a copy: who
/// copies does that, see [`bring`]. Before there are threads nothing is there.
pub fn kernel_fault(addr: u64, kind: Fault) -> bool {
    let here = |access| current().space().and_then(|s| s.fault_here(addr, access)).is_ok();
    sched::started() && kind.access().is_some_and(here)
}

/// A copy from or to a program's memory has failed: brings the pages of files that it touches, from their servers. True
/// if the copy is worth another try; else the reason stands with the thread, and [`failed`] tells it.
#[cold]
#[inline(never)]
pub fn bring(buf: UserBuf, access: Access) -> bool {
    if !sched::started() || buf.len == 0 {
        return false;
    }
    let me = current();
    let page = abi::limit::PAGE as u64;
    let Some(last) = buf.addr.checked_add((buf.len as u64).wrapping_sub(1)) else { return false };
    let mut at = buf.addr;
    while at <= last {
        if let Err(e) = me.space().and_then(|s| s.fault(at, access)) {
            *me.paging.lock() = Some(e);
            return false;
        }
        at = (at | page.wrapping_sub(1)).saturating_add(1);
    }
    true
}

/// The timer's interrupt. Self-tests ask for it before anything is scheduled.
pub fn timer() {
    if sched::started() {
        sched::timer();
    }
}

/// Another CPU wants this one to look at its run queue, or at its thread's pending bits.
pub fn reschedule() {
    sched::poked();
}

/// An interrupt of a device.
pub fn irq(line: usize) {
    crate::tree::hw::fired(line);
}

/// The first CPU has made what all need.
static READY: AtomicBool = AtomicBool::new(false);

/// The kernel of one CPU. Each calls it once; the first makes what all need and starts the first process.
pub fn boot() -> ! {
    if machine::cpu() == 0 {
        if let Err(why) = boot_first() {
            let words = match why {
                Fail::Known(e) => e.text(),
                _ => "server's error",
            };
            no_first(words.as_bytes());
        }
        READY.store(true, Ordering::Release);
    } else {
        while !READY.load(Ordering::Acquire) {
            machine::relax();
        }
        // Without memory for its idle thread a CPU stays out of it.
        if sched::start(machine::cpu()).is_err() {
            loop {
                mem::shootdown::rest();
            }
        }
    }
    sched::run_idle()
}

/// Exit code of a machine that has nothing to run.
const NO_FIRST: u8 = 120;

/// The first process can't be had, or has ended: so does the machine.
pub(crate) fn no_first(why: &[u8]) -> ! {
    [b"kernel: no first process: ", why, b"\n"].into_iter().for_each(say);
    machine::power_off(NO_FIRST)
}

fn boot_first() -> Result<()> {
    proc::init()?;
    sched::start(0)?;
    let reaper = sched::kernel_thread()?;
    Thread::start(&reaper, call::reap::run, 0);
    Thread::start(&sched::kernel_thread()?, mem::laundry::run, 0);
    if proc::boot_word(b"torture") == Some(b"evict") {
        Thread::start(&sched::kernel_thread()?, mem::pager::torture, 0);
    }
    mem::frames::keep_some();
    proc::start_first()
}

fn say(bytes: &[u8]) {
    bytes.iter().for_each(|&b| machine::debug(b));
}
