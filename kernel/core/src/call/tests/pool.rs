//! Every activation is busy: turns, lent priority, deadlocks, and chains too deep.

use super::*;

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
