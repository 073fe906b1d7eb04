//! The portal call on the fake machine: two CPUs, servers and clients as closures, and every row of the table of what
//! goes wrong. After each test all counters must be where they were.

mod answers;
mod death;
mod leave;
mod pool;
mod wait;

use super::*;
use crate::base::Ref;
use crate::counters;
use crate::fake::{self, STACK, kernel, on_cpu, poll, program, user};
use crate::mem::fault::Access;
use crate::msg::{Data, Fail, Msg, Reply, Result, UserBuf};
use crate::proc::{self, Proc};
use crate::session::{self, Session};
use crate::thread::current;
use abi::error::Error;
use abi::file::Qid;
use abi::portal::{Answer, Limits, NOFID, RWAIT, Request, WANT_FLUSH, op};
use abi::sys::Sys;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Far longer than anything takes; only a broken kernel waits so long.
const LONG: Duration = Duration::from_secs(60);

/// The machine, and what was there when the test began.
struct Machine {
    _memory: fake::Memory,
    before: Vec<(&'static str, u64)>,
}

/// Counters that only rise say nothing of leaks.
fn counts() -> Vec<(&'static str, u64)> {
    let rising = ["switches", "readied", "busy", "contended"];
    counters::ALL.iter().filter(|(n, _)| !rising.contains(n)).map(|(n, c)| (*n, c.get())).collect()
}

fn machine() -> Machine {
    let memory = fake::memory();
    fake::start();
    // The CPUs' own threads come to rest first.
    std::thread::sleep(Duration::from_millis(20));
    Machine { _memory: memory, before: counts() }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        // Most of what is left ends as soon as its server is killed; then programs give up what they own.
        let end = Instant::now() + LONG;
        while counters::ZOMBIES.get() != 0 || counters::THREADS.get() != self.before[1].1 {
            assert!(Instant::now() < end, "not as before: {:?} {:?}", counts(), self.before);
            std::thread::sleep(Duration::from_millis(1));
        }
        fake::forget_programs();
        while counts() != self.before {
            assert!(Instant::now() < end, "not as before: {:?} {:?}", counts(), self.before);
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Runs a closure as a process, begun on a CPU.
fn process(cpu: usize, body: impl FnOnce() + Send + 'static) -> Ref<Proc> {
    let body = Mutex::new(Some(body));
    let pc = program(move |_| (body.lock().unwrap().take().unwrap())());
    let (tell, told) = channel();
    on_cpu(cpu, move || tell.send(proc::test_proc(pc, STACK).unwrap()).unwrap());
    told.recv_timeout(LONG).unwrap()
}

/// A server: its portal, and the process.
struct Server {
    portal: Option<Ref<Portal>>,
    proc: Ref<Proc>,
}

impl Server {
    fn portal(&self) -> &Ref<Portal> {
        self.portal.as_ref().unwrap()
    }

    fn kill(&self, cpu: usize) {
        let p = self.proc.clone();
        on_cpu(cpu, move || proc::kill(&p, b"killed"));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill(0);
        self.portal = None;
    }
}

fn serve_with(
    cpu: usize,
    limits: Limits,
    handler: impl Fn(Request) -> Answer + Send + Sync + 'static,
) -> Server {
    let pc = program(move |[head, fids, offset, session, payload, page]| {
        let a = handler(Request { head, fids, offset, session, payload, page });
        user(Sys::Reply, [a.head, a.w1, a.w2, a.w3, 0, 0]);
        // Only a reply without a call comes back; the server that made it is wrong.
        panic!("reply returned");
    });
    let (tell, told) = channel();
    let proc = process(cpu, move || {
        let portal = kernel(|| Portal::new(&current().proc, pc, limits)).unwrap();
        tell.send(portal).unwrap();
        loop {
            user(Sys::Sleep, [u64::MAX, 0, 0, 0, 0, 0]);
        }
    });
    Server { portal: Some(told.recv_timeout(LONG).unwrap()), proc }
}

fn limits(activations: u32) -> Limits {
    Limits { activations, flags: 0, stack: 4096, reserved: 0 }
}

fn serve(handler: impl Fn(Request) -> Answer + Send + Sync + 'static) -> Server {
    serve_with(0, limits(4), handler)
}

fn answer(r: &Request, count: u32) -> Answer {
    Answer { head: Answer::make_head(r.op() + 1, 0, count), ..Answer::default() }
}

fn error(e: Error) -> Answer {
    Answer { head: Answer::make_head(op::RERROR, e as u8 + 1, 0), ..Answer::default() }
}

fn message(op: u8, data: Data<'_>, count: u32) -> Msg<'_> {
    Msg { op, a: 0, fid: 1, fid2: NOFID, count, offset: 0, qid: Qid::default(), body: &[], data }
}

/// A client on a CPU that makes one read of nothing and tells what came.
fn client(cpu: usize, portal: &Ref<Portal>) -> (Ref<Proc>, Receiver<Result<Reply>>) {
    let session = Session::with(portal).unwrap();
    let (tell, told) = channel();
    let p = process(cpu, move || {
        catch_notes();
        let r = call_on(&session, op::TREAD);
        drop(session);
        tell.send(r).unwrap();
    });
    (p, told)
}

fn call_on(session: &Ref<Session>, op: u8) -> Result<Reply> {
    kernel(|| session::call(session, &mut message(op, Data::None, 0)))
}

fn read(portal: &Ref<Portal>) -> Result<Reply> {
    let session = kernel(|| Session::with(portal)).unwrap();
    let r = call_on(&session, op::TREAD);
    kernel(|| drop(session));
    r
}

fn outcome<T>(told: &Receiver<T>) -> T {
    told.recv_timeout(LONG).expect("no outcome")
}

/// Makes the current process take notes without ending.
fn catch_notes() {
    let pc = program(|_| {});
    user(Sys::Notify, [pc, 0, 0, 0, 0, 0]);
}

fn note(cpu: usize, p: &Ref<Proc>) {
    let p = p.clone();
    on_cpu(cpu, move || proc::post(&p, b"interrupt").unwrap());
}

fn sleep(nanoseconds: u64) -> Result<()> {
    if user(Sys::Sleep, [nanoseconds, 0, 0, 0, 0, 0]) == 0 { Ok(()) } else { Err(Error::Interrupted.into()) }
}

/// Whatever CPUs client, server and the one that makes trouble are on.
fn everywhere(test: impl Fn(usize, usize)) {
    for (a, b) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        test(a, b);
    }
}

fn gate() -> (Arc<AtomicBool>, impl Fn() + Send + Sync + Clone) {
    let open = Arc::new(AtomicBool::new(false));
    let at = open.clone();
    (open, move || {
        while !at.load(Ordering::SeqCst) {
            poll();
            std::thread::yield_now();
        }
    })
}

const DIED: Result<Reply> = Err(Fail::Known(Error::Died));
const INTERRUPTED: Result<Reply> = Err(Fail::Known(Error::Interrupted));
