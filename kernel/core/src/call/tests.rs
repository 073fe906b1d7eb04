//! The portal call on the fake machine: two CPUs, servers and clients as closures, and every row of the table of what
//! goes wrong. After each test all counters must be where they were.

use super::*;
use crate::base::Ref;
use crate::counters;
use crate::fake::{self, STACK, kernel, on_cpu, poll, program, user};
use crate::mem::space::Access;
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
    let rising = ["switches", "readied", "busy"];
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

#[test]
fn a_thousand_calls_ask_neither_scheduler_nor_allocator() {
    let _m = machine();
    let s = serve(|r| answer(&r, 0));
    let portal = s.portal().clone();
    let (tell, told) = channel();
    let p = process(0, move || {
        let session = kernel(|| Session::with(&portal)).unwrap();
        call_on(&session, op::TREAD).unwrap();
        let before = (counters::SWITCHES.get(), counters::READIED.get(), counters::BUSY.get(), counts());
        for _ in 0..1000 {
            session::call(&session, &mut message(op::TREAD, Data::None, 0)).unwrap();
        }
        let after = (counters::SWITCHES.get(), counters::READIED.get(), counters::BUSY.get(), counts());
        crate::sched::charge_now();
        tell.send((before, after, current().proc.time())).unwrap();
        kernel(|| drop((session, portal)));
    });
    let (before, after, time) = outcome(&told);
    assert_eq!(before, after);
    assert!(time > 0 && s.proc.time() < time, "the caller pays: {time} against {}", s.proc.time());
    drop(p);
}

#[test]
fn bytes_go_there_and_back_in_every_size() {
    let _m = machine();
    // Answers a write with its count, a read with bytes that say where they are.
    let s = serve_with(1, limits(2), |r| {
        let n = r.count() as usize;
        let mut b = vec![0; n];
        if r.op() == op::TWRITE {
            let there = crate::machine::copy_in(&mut b, UserBuf { addr: r.payload, len: n });
            assert!(there && b.iter().enumerate().all(|(i, &x)| x == (i * 7) as u8), "{n} bytes came wrong");
        } else {
            b.iter_mut().enumerate().for_each(|(i, x)| *x = (i * 5) as u8);
            assert!(crate::machine::copy_out(UserBuf { addr: r.payload, len: n }, &b));
        }
        answer(&r, n as u32)
    });
    let portal = s.portal().clone();
    let (tell, told) = channel();
    process(0, move || {
        let session = kernel(|| Session::with(&portal)).unwrap();
        for len in [0, 1, 4096, 8191, 8192, 8193, 12288, 12289, 20000, 65536, 200_000] {
            for skew in [0u64, 1, 4095] {
                let at = STACK - (1 << 20) + 4096 + skew;
                let out: Vec<u8> = (0..len).map(|i| (i * 7) as u8).collect();
                assert!(crate::machine::copy_out(UserBuf { addr: at, len }, &out));
                let buf = UserBuf { addr: at, len };
                let w = session::call(&session, &mut message(op::TWRITE, Data::FromUser(buf), len as u32));
                assert_eq!(w.unwrap().count as usize, len);
                let r = session::call(&session, &mut message(op::TREAD, Data::ToUser(buf), len as u32));
                assert_eq!(r.unwrap().count as usize, len);
                let mut back = vec![0; len + 2];
                assert!(crate::machine::copy_in(&mut back, UserBuf { addr: at - 1, len: len + 2 }));
                assert!(
                    back[1..=len].iter().enumerate().all(|(i, &x)| x == (i * 5) as u8),
                    "{len} at {skew}"
                );
                assert_eq!((back[0], back[len + 1]), (0, 0), "beside the buffer, {len} at {skew}");
                assert!(crate::machine::copy_out(UserBuf { addr: at, len }, &vec![0; len]));
            }
        }
        kernel(|| drop((session, portal)));
        tell.send(()).unwrap();
    });
    outcome(&told);
}

#[test]
fn a_server_that_ends_in_its_handler_is_dead_to_its_caller_and_ever_after() {
    everywhere(|a, b| {
        let _m = machine();
        let s = serve_with(a, limits(2), |r| {
            user(Sys::Exits, [0; 6]);
            answer(&r, 0)
        });
        let (_p, told) = client(b, s.portal());
        assert_eq!(outcome(&told), DIED);
        let (_p, told) = client(a, s.portal());
        assert_eq!(outcome(&told), DIED);
    });
}

#[test]
fn a_server_that_faults_in_its_handler_dies() {
    let _m = machine();
    let s = serve(|r| {
        kernel(|| crate::entry::fault(0x10, crate::entry::Fault::Write, 0x1234));
        answer(&r, 0)
    });
    let (_p, told) = client(1, s.portal());
    assert_eq!(outcome(&told), DIED);
    let status = s.proc.status.lock().get().to_vec();
    assert_eq!(status, b"sys: trap: fault write pc=0x1234 addr=0x10");
}

#[test]
fn a_server_killed_while_its_handler_computes_or_blocks_lets_its_caller_go() {
    everywhere(|a, b| {
        for blocks in [false, true] {
            let _m = machine();
            let (entered, inside) = channel();
            let entered = Mutex::new(entered);
            let s = serve_with(a, limits(2), move |r| {
                entered.lock().unwrap().send(()).unwrap();
                while !blocks || sleep(u64::MAX).is_err() {
                    poll();
                }
                answer(&r, 0)
            });
            let (_p, told) = client(b, s.portal());
            outcome(&inside);
            s.kill(a);
            assert_eq!(outcome(&told), DIED);
        }
    });
}

#[test]
fn when_the_middle_of_a_chain_dies_its_front_returns_at_once_and_its_end_is_not_hurt() {
    everywhere(|a, b| {
        let _m = machine();
        let (entered, inside) = channel();
        let entered = Mutex::new(entered);
        let (open, wait) = gate();
        let (finished, end) = channel();
        let finished = Mutex::new(finished);
        let c = serve_with(a, limits(2), move |r| {
            entered.lock().unwrap().send(()).unwrap();
            wait();
            finished.lock().unwrap().send(()).unwrap();
            answer(&r, 0)
        });
        let to_c = c.portal().clone();
        let middle = serve_with(b, limits(2), move |r| match read(&to_c) {
            Ok(_) => answer(&r, 0),
            Err(_) => error(Error::Io),
        });
        let (_p, told) = client(a, middle.portal());
        outcome(&inside);
        middle.kill(b);
        assert_eq!(outcome(&told), DIED);
        assert!(end.try_recv().is_err(), "the end of the chain had not to be waited for");
        open.store(true, Ordering::SeqCst);
        outcome(&end);
        // Its server serves on.
        let (_p, told) = client(b, c.portal());
        assert!(outcome(&told).is_ok());
    });
}

#[test]
fn an_interrupt_ends_the_handlers_own_wait_down_the_chain() {
    everywhere(|a, b| {
        let _m = machine();
        let (entered, inside) = channel();
        let entered = Mutex::new(entered);
        let c = serve_with(a, limits(2), move |r| {
            entered.lock().unwrap().send(()).unwrap();
            match sleep(u64::MAX) {
                Ok(()) => answer(&r, 0),
                Err(_) => error(Error::Interrupted),
            }
        });
        let to_c = c.portal().clone();
        let b_interrupted = Arc::new(AtomicBool::new(false));
        let said = b_interrupted.clone();
        let middle = serve_with(b, limits(2), move |r| match read(&to_c) {
            Err(e) => {
                said.store(e == Error::Interrupted.into(), Ordering::SeqCst);
                error(Error::Interrupted)
            }
            Ok(_) => answer(&r, 0),
        });
        let (p, told) = client(b, middle.portal());
        outcome(&inside);
        note(a, &p);
        assert_eq!(outcome(&told), INTERRUPTED);
        assert!(b_interrupted.load(Ordering::SeqCst));
    });
}

#[test]
fn a_second_interrupt_a_kill_or_the_grace_frees_the_caller_of_a_deaf_server() {
    for how in ["twice", "kill", "grace"] {
        everywhere(|a, b| {
            let _m = machine();
            let (entered, inside) = channel();
            let entered = Mutex::new(entered);
            let (open, wait) = gate();
            let s = serve_with(a, limits(2), move |r| {
                entered.lock().unwrap().send(()).unwrap();
                wait();
                answer(&r, 0)
            });
            let (p, told) = client(b, s.portal());
            outcome(&inside);
            match how {
                "twice" => {
                    note(a, &p);
                    note(b, &p);
                    assert_eq!(outcome(&told), Err(Fail::Left));
                }
                "grace" => {
                    note(a, &p);
                    assert_eq!(outcome(&told), Err(Fail::Left));
                }
                _ => {
                    let q = p.clone();
                    on_cpu(a, move || proc::kill(&q, b"killed"));
                    assert!(told.recv_timeout(LONG).is_err(), "a killed client goes on");
                }
            }
            assert_eq!(counters::ZOMBIES.get(), 1);
            open.store(true, Ordering::SeqCst);
        });
    }
}

#[test]
fn a_server_that_wants_to_see_flushes_sees_them_and_ends_the_call_by_rflush() {
    let _m = machine();
    let (entered, inside) = channel();
    let entered = Mutex::new(entered);
    let (flushed, flush) = channel();
    let flushed = Mutex::new(flushed);
    let (open, wait) = gate();
    let tag = Arc::new(AtomicU32::new(0));
    let s = serve_with(1, Limits { flags: WANT_FLUSH, ..limits(1) }, move |r| {
        if r.op() == op::TFLUSH {
            flushed.lock().unwrap().send((r.offset, tag.load(Ordering::SeqCst))).unwrap();
            return answer(&r, 0);
        }
        tag.store(u32::from(r.tag()), Ordering::SeqCst);
        entered.lock().unwrap().send(()).unwrap();
        wait();
        answer(&r, 0)
    });
    let (p, told) = client(0, s.portal());
    outcome(&inside);
    note(0, &p);
    let (old, tag) = outcome(&flush);
    assert_eq!(old, u64::from(tag));
    assert_eq!(outcome(&told), Err(Fail::Left));
    open.store(true, Ordering::SeqCst);
}

#[test]
fn nothing_writes_to_the_pages_of_a_caller_that_left_however_far_they_were_lent() {
    everywhere(|a, b| {
        let _m = machine();
        const LEN: usize = 40_000;
        let (entered, inside) = channel();
        let entered = Mutex::new(entered);
        let (open, wait) = gate();
        let scribble = |r: &Request| {
            assert!(crate::machine::copy_out(UserBuf { addr: r.payload, len: LEN }, &vec![0xaa; LEN]));
        };
        let c = serve_with(a, limits(2), move |r| {
            entered.lock().unwrap().send(()).unwrap();
            wait();
            scribble(&r);
            answer(&r, LEN as u32)
        });
        let to_c = c.portal().clone();
        let middle = serve_with(b, limits(2), move |r| {
            let session = kernel(|| Session::with(&to_c)).unwrap();
            // Lends on what it was lent, from the middle of a page on.
            let buf = UserBuf { addr: r.payload + 100, len: LEN };
            let done =
                kernel(|| session::call(&session, &mut message(op::TREAD, Data::ToUser(buf), LEN as u32)));
            kernel(|| drop(session));
            scribble(&r);
            done.map_or(error(Error::Io), |_| answer(&r, LEN as u32))
        });
        let session = Session::with(middle.portal()).unwrap();
        let (tell, told) = channel();
        let p = process(b, move || {
            catch_notes();
            let buf = UserBuf { addr: STACK - 100_000, len: LEN + 200 };
            let mut m = message(op::TREAD, Data::ToUser(buf), buf.len as u32);
            let r = kernel(|| session::call(&session, &mut m));
            drop(session);
            tell.send(r).unwrap();
            loop {
                user(Sys::Sleep, [u64::MAX, 0, 0, 0, 0, 0]);
            }
        });
        outcome(&inside);
        assert!(counters::LENT.get() > 0, "nothing was lent");
        note(a, &p);
        note(b, &p);
        assert_eq!(outcome(&told), Err(Fail::Left));
        open.store(true, Ordering::SeqCst);
        let end = Instant::now() + LONG;
        while counters::ZOMBIES.get() != 0 {
            assert!(Instant::now() < end);
            std::thread::yield_now();
        }
        let space = p.space().unwrap();
        for at in (STACK - 104_000..STACK - 40_000).step_by(4096) {
            let frame = space.resolve(at, Access::Read).unwrap();
            let mut page = [0; 4096];
            crate::machine::read_frame(frame, 0, &mut page);
            assert!(page.iter().all(|&x| x == 0), "written at {at:#x}");
        }
        drop(space);
        on_cpu(a, move || proc::kill(&p, b"done"));
    });
}

#[test]
fn a_fid_made_by_a_call_that_was_left_is_clunked_when_the_call_succeeds_after_all() {
    let _m = machine();
    let (entered, inside) = channel();
    let entered = Mutex::new(entered);
    let (open, wait) = gate();
    let (clunked, clunks) = channel();
    let clunked = Mutex::new(clunked);
    let s = serve_with(1, limits(2), move |r| {
        match r.op() {
            op::TWALK => {
                entered.lock().unwrap().send(()).unwrap();
                wait();
            }
            op::TCLUNK => clunked.lock().unwrap().send(r.fid()).unwrap(),
            _ => {}
        }
        answer(&r, 0)
    });
    let session = Session::with(s.portal()).unwrap();
    let (tell, told) = channel();
    let p = process(0, move || {
        catch_notes();
        let fid = kernel(|| session.take_fid()).unwrap();
        let mut m = Msg { fid: NOFID - 1, fid2: fid, ..message(op::TWALK, Data::None, 0) };
        let r = kernel(|| session::call(&session, &mut m));
        tell.send((r, fid, session.fids.lock().used())).unwrap();
        kernel(|| drop(session));
    });
    outcome(&inside);
    note(1, &p);
    note(1, &p);
    let (r, fid, used) = outcome(&told);
    assert_eq!((r, used), (Err(Fail::Left), 1), "the fid is in quarantine");
    assert!(clunks.try_recv().is_err());
    open.store(true, Ordering::SeqCst);
    assert_eq!(outcome(&clunks), fid);
}

#[test]
fn callers_wait_for_the_only_activation_and_each_gets_its_turn() {
    let _m = machine();
    let inside = Arc::new(AtomicU32::new(0));
    let s = serve_with(0, limits(1), move |r| {
        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two handlers on one activation");
        for _ in 0..100 {
            poll();
            std::thread::yield_now();
        }
        let _ = sleep(1_000_000);
        inside.fetch_sub(1, Ordering::SeqCst);
        answer(&r, 0)
    });
    let all: Vec<_> = (0..8).map(|i| client(i % 2, s.portal())).collect();
    for (_, told) in &all {
        assert!(outcome(told).is_ok());
    }
}

#[test]
fn a_waiter_lends_its_priority_to_the_holder() {
    let _m = machine();
    let (entered, inside) = channel();
    let entered = Mutex::new(entered);
    let (open, wait) = gate();
    let seen = Arc::new(AtomicU32::new(0));
    let priority = seen.clone();
    let s = serve_with(0, limits(1), move |r| {
        entered.lock().unwrap().send(()).unwrap();
        wait();
        priority.fetch_max(u32::from(current().priority()), Ordering::SeqCst);
        answer(&r, 0)
    });
    let (_low, first) = client(0, s.portal());
    outcome(&inside);
    let portal = s.portal().clone();
    let (tell, second) = channel();
    process(1, move || {
        current().priority.store(7, Ordering::SeqCst);
        tell.send(read(&portal)).unwrap();
        kernel(|| drop(portal));
    });
    let end = Instant::now() + LONG;
    let mut raised = false;
    while !raised {
        assert!(Instant::now() < end, "nothing was lent");
        s.portal().each(|x| raised |= x.priority() == 7);
    }
    open.store(true, Ordering::SeqCst);
    assert!(outcome(&first).is_ok());
    outcome(&inside);
    assert!(outcome(&second).is_ok());
    assert_eq!(seen.load(Ordering::SeqCst), 7);
}

#[test]
fn a_chain_that_comes_back_to_a_full_server_is_a_deadlock_at_once() {
    let _m = machine();
    let own = Arc::new(Mutex::new(None::<Ref<Portal>>));
    let mine = own.clone();
    let s = serve_with(0, limits(1), move |_| {
        let portal = mine.lock().unwrap().clone().unwrap();
        let e = read(&portal);
        kernel(|| drop(portal));
        assert_eq!(e, Err(Error::Deadlock.into()));
        error(Error::Deadlock)
    });
    *own.lock().unwrap() = s.portal.clone();
    let (_p, told) = client(1, s.portal());
    assert_eq!(outcome(&told), Err(Error::Deadlock.into()));
    own.lock().unwrap().take();
}

#[test]
fn two_servers_that_wait_for_each_others_last_activation_are_told_in_time() {
    let _m = machine();
    let others: [Arc<Mutex<Option<Ref<Portal>>>>; 2] = Default::default();
    let both = Arc::new(AtomicU32::new(0));
    let make = |i: usize| {
        let (other, both) = (others[1 - i].clone(), both.clone());
        serve_with(i, limits(1), move |r| {
            both.fetch_add(1, Ordering::SeqCst);
            while both.load(Ordering::SeqCst) < 2 {
                poll();
                std::thread::yield_now();
            }
            let portal = other.lock().unwrap().clone().unwrap();
            let e = read(&portal);
            kernel(|| drop(portal));
            match e {
                Err(Fail::Known(e)) => error(e),
                _ => answer(&r, 0),
            }
        })
    };
    let servers = [make(0), make(1)];
    for i in 0..2 {
        *others[i].lock().unwrap() = servers[i].portal.clone();
    }
    let clients = [client(0, servers[0].portal()), client(1, servers[1].portal())];
    let outcomes: Vec<_> = clients.iter().map(|(_, told)| outcome(told)).collect();
    assert!(outcomes.contains(&Err(Error::Deadlock.into())), "{outcomes:?}");
    others.iter().for_each(|o| drop(o.lock().unwrap().take()));
}

#[test]
fn a_chain_is_sixteen_calls_deep_at_most() {
    let _m = machine();
    let own = Arc::new(Mutex::new(None::<Ref<Portal>>));
    let (mine, deepest) = (own.clone(), Arc::new(AtomicU32::new(0)));
    let depth = deepest.clone();
    let s = serve_with(0, limits(64), move |r| {
        depth.fetch_add(1, Ordering::SeqCst);
        let portal = mine.lock().unwrap().clone().unwrap();
        let e = read(&portal);
        kernel(|| drop(portal));
        match e {
            Err(Fail::Known(e)) => error(e),
            _ => answer(&r, 0),
        }
    });
    *own.lock().unwrap() = s.portal.clone();
    let (_p, told) = client(0, s.portal());
    assert_eq!(outcome(&told), Err(Error::TooDeep.into()));
    assert_eq!(deepest.load(Ordering::SeqCst), abi::limit::CALLS as u32);
    own.lock().unwrap().take();
}

#[test]
fn whatever_a_server_answers_is_an_error_or_makes_sense() {
    let _m = machine();
    let words = Arc::new(Mutex::new(Answer::default()));
    let said = words.clone();
    let s = serve_with(0, limits(1), move |_| *said.lock().unwrap());
    let portal = s.portal().clone();
    let (tell, told): (Sender<()>, _) = channel();
    process(0, move || {
        let session = kernel(|| Session::with(&portal)).unwrap();
        let mut seed = 7u64;
        let mut random = move || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        let ops =
            [op::TREAD, op::TWRITE, op::TWALK, op::TSTAT, op::TOPEN, op::TCLUNK, op::TATTACH, op::TWSTAT];
        for i in 0..4000u32 {
            let op = ops[random() as usize % ops.len()];
            let kind = [op + 1, op::RERROR, random() as u8][random() as usize % 3];
            let kind = if kind == RWAIT { 0 } else { kind };
            let addr = [0, 0x10, STACK - 64, 1 << 46, u64::MAX - 3][random() as usize % 5];
            let count = [0, 1, 5, 4096, u32::MAX][random() as usize % 5];
            *words.lock().unwrap() = Answer {
                head: Answer::make_head(kind, random() as u8 % 20, count),
                w1: addr,
                w2: random(),
                w3: random(),
            };
            let (mut qids, mut room) = ([Qid::default(); 2], [0; 8]);
            let data = match op {
                op::TWALK => Data::Qids(&mut qids),
                op::TREAD | op::TSTAT => Data::ToKernel(&mut room),
                _ => Data::None,
            };
            let mut m = Msg { a: 2, ..message(op, data, 8) };
            let r = kernel(|| session::call(&session, &mut m));
            if let Ok(r) = r {
                assert_eq!(kind, op + 1, "call {i}");
                let most = match op {
                    op::TREAD | op::TWRITE | op::TSTAT => 8,
                    op::TWALK => 2,
                    _ => u32::MAX,
                };
                assert!(r.count <= most, "call {i}: {r:?}");
            }
        }
        kernel(|| drop((session, portal)));
        tell.send(()).unwrap();
    });
    outcome(&told);
}

#[test]
fn a_caller_that_is_made_wait_comes_again_after_a_wake_and_no_wake_is_lost() {
    let _m = machine();
    let items = Arc::new(AtomicU64::new(0));
    let there = items.clone();
    let s = serve_with(0, limits(2), move |r| {
        let took = there.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
        if took {
            return answer(&r, 0);
        }
        poll();
        Answer { head: Answer::make_head(RWAIT, 0, 0), w1: 5, ..Answer::default() }
    });
    let all: Vec<_> = (0..6).map(|i| client(i % 2, s.portal())).collect();
    for _ in 0..6 {
        items.fetch_add(1, Ordering::SeqCst);
        let portal = s.portal().clone();
        on_cpu(1, move || {
            wake(&portal, 5, 1);
            kernel(|| drop(portal));
        });
    }
    for (_, told) in &all {
        assert!(outcome(told).is_ok());
    }
}

#[test]
fn an_interrupted_waiter_leaves_its_queue_and_passes_its_wake_on() {
    let _m = machine();
    let items = Arc::new(AtomicU64::new(0));
    let there = items.clone();
    let s = serve_with(0, limits(2), move |r| {
        let took = there.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
        if took {
            answer(&r, 0)
        } else {
            Answer { head: Answer::make_head(RWAIT, 0, 0), w1: 5, ..Answer::default() }
        }
    });
    let (p, first) = client(0, s.portal());
    let (_q, second) = client(1, s.portal());
    std::thread::sleep(Duration::from_millis(50));
    let (portal, n) = (s.portal().clone(), p.clone());
    on_cpu(1, move || {
        // Woken and interrupted in one breath: the wake is the other's.
        items.fetch_add(1, Ordering::SeqCst);
        wake(&portal, 5, 1);
        proc::post(&n, b"interrupt").unwrap();
    });
    let end = Instant::now() + LONG;
    while ![&first, &second].iter().any(|told| matches!(told.try_recv(), Ok(Ok(_)))) {
        assert!(Instant::now() < end, "the wake was lost");
        std::thread::yield_now();
    }
    let portal = s.portal().clone();
    on_cpu(0, move || portal.close());
}
