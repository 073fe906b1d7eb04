//! The caller is interrupted, and leaves: flushes, lent pages, quarantine.

use super::*;

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
