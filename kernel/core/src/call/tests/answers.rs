//! Calls that end by their answer: what they cost, what they carry, and what no answer can do.

use super::*;
use crate::base::watch::FOREIGN;

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
fn calls_on_two_cpus_take_no_lock_in_common() {
    let _m = machine();
    let s = serve(|r| answer(&r, 0));
    let here = Arc::new([const { AtomicU32::new(0) }; 2]);
    // Both come here before either goes on.
    let meet = |here: &AtomicU32| {
        here.fetch_add(1, Ordering::SeqCst);
        while !here.load(Ordering::SeqCst).is_multiple_of(2) {
            std::thread::yield_now();
        }
    };
    let (tell, told) = channel();
    let both = [0, 1].map(|cpu| {
        let (portal, here, tell) = (s.portal().clone(), here.clone(), tell.clone());
        process(cpu, move || {
            let session = kernel(|| Session::with(&portal)).unwrap();
            let read = || session::read(&session, current(), 1, UserBuf { addr: STACK, len: 0 }, 0);
            for _ in 0..3 {
                call_on(&session, op::TREAD).unwrap();
            }
            meet(&here[0]);
            let before = FOREIGN.load(Ordering::SeqCst);
            for _ in 0..100 {
                session::call(&session, &mut message(op::TREAD, Data::None, 0)).unwrap();
                assert_eq!(read(), Some(0), "not by the short way");
            }
            let after = FOREIGN.load(Ordering::SeqCst);
            meet(&here[1]);
            tell.send((before, after)).unwrap();
            kernel(|| drop((session, portal)));
        })
    });
    // A clock's interrupt may come to both meanwhile, and has locks in common; one of the call's would count hundreds.
    let all = [outcome(&told), outcome(&told)];
    assert!(all.iter().all(|&(before, after)| after - before < 20), "locks went from CPU to CPU: {all:?}");
    drop(both);
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
