//! Callers that a server makes wait: parked, woken, interrupted.

use super::*;

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
