//! The server dies: in its handler, from outside, in the middle of a chain.

use super::*;

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
