//! The models: what must hold in every order of events. Loom itself finds who waits for ever.
#![cfg(loom)]
#![allow(unsafe_code, reason = "looks into the cell that shows whether a lock excludes")]

use kernel_loom::base::{Ref, lock};
use kernel_loom::call::open::{self, Pool};
use kernel_loom::call::portal::Portal;
use kernel_loom::call::queue;
use kernel_loom::shootdown::Mailboxes;
use kernel_loom::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use kernel_loom::thread::{self, Thread};
use std::sync::Arc;

/// Runs a model with at most this many switches away from a thread that could go on.
fn model(switches: usize, body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(switches);
    builder.check(body);
}

/// A thread of the kernel on a CPU.
fn on_cpu(cpu: usize, body: impl FnOnce() + 'static) -> (Ref<Thread>, loom::thread::JoinHandle<()>) {
    let t = Thread::new(cpu);
    let me = t.clone();
    let handle = loom::thread::spawn(move || {
        Thread::become_current(&me);
        body();
    });
    (t, handle)
}

/// Without spinning, whose end loom can't see: who does not get the lock goes on without it.
#[test]
fn a_lock_excludes_and_hands_on_what_it_guards() {
    model(4, || {
        let count = Arc::new(lock::Spin::new(loom::cell::UnsafeCell::new(0)));
        drop(count.try_lock());
        drop(count.try_lock());
        let threads: Vec<_> = (0..2)
            .map(|cpu| {
                let count = count.clone();
                let body = move || {
                    for _ in 0..2 {
                        if let Some(held) = count.try_lock() {
                            // SAFETY: the lock excludes, or loom says that it does not.
                            held.with_mut(|n| unsafe { *n += 1 });
                        }
                    }
                };
                on_cpu(cpu, body).1
            })
            .collect();
        threads.into_iter().for_each(|t| t.join().unwrap());
        let count = Arc::into_inner(count).unwrap().into_inner();
        // SAFETY: nobody else is left.
        assert!(count.with(|n| unsafe { *n }) >= 1);
    });
}

#[test]
fn a_wake_up_is_never_lost() {
    model(3, || {
        let there = Arc::new(AtomicBool::new(false));
        there.load(Ordering::Relaxed);
        let seen = there.clone();
        let (sleeper, t) = on_cpu(0, move || {
            while !seen.load(Ordering::Relaxed) {
                thread::park();
            }
        });
        there.store(true, Ordering::Relaxed);
        Thread::unpark(&sleeper);
        t.join().unwrap();
    });
}

#[test]
fn cpus_that_shoot_at_each_other_pass_only_after_both_forgot() {
    model(3, || {
        let boxes = Arc::new(Mailboxes::new());
        // Each CPU's change to the tables, and what the other had of it when it forgot.
        let changed: Arc<[AtomicU64; 2]> = Arc::default();
        let forgot: Arc<[AtomicU64; 2]> = Arc::default();
        let left = Arc::new(AtomicU64::new(2));
        changed.iter().chain(&*forgot).chain([&*left]).for_each(|n| assert!(n.load(Ordering::Relaxed) < 3));
        (0..2).for_each(|cpu| assert!(!boxes.serve(cpu, || ())));
        boxes.reached(0, 3);
        let cpu = |me: usize| {
            let (boxes, changed, forgot, left) =
                (boxes.clone(), changed.clone(), forgot.clone(), left.clone());
            move || {
                let serve = || {
                    boxes.serve(me, || {
                        forgot[me].store(1 + changed[1 - me].load(Ordering::Relaxed), Ordering::Relaxed);
                    });
                };
                changed[me].store(1, Ordering::Relaxed);
                let number = boxes.ask();
                while !boxes.reached(number, 1 << (1 - me)) {
                    serve();
                    loom::thread::yield_now();
                }
                assert_eq!(forgot[1 - me].load(Ordering::Relaxed), 2, "passed, and the other knows the old");
                left.fetch_sub(1, Ordering::AcqRel);
                while left.load(Ordering::Acquire) != 0 {
                    serve();
                    loom::thread::yield_now();
                }
            }
        };
        let threads = [on_cpu(0, cpu(0)).1, on_cpu(1, cpu(1)).1];
        threads.into_iter().for_each(|t| t.join().unwrap());
    });
}

#[test]
fn a_cpu_that_rests_is_not_waited_for_and_wakes_to_what_is_new() {
    model(4, || {
        let boxes = Arc::new(Mailboxes::new());
        let (changed, freed): (Arc<AtomicBool>, Arc<AtomicBool>) = Default::default();
        assert!(!changed.load(Ordering::Relaxed) && !freed.load(Ordering::Relaxed));
        (0..2).for_each(|cpu| assert!(!boxes.serve(cpu, || ())));
        boxes.reached(0, 3);
        boxes.rest(1);
        let (b, c, f) = (boxes.clone(), changed.clone(), freed.clone());
        let asker = on_cpu(0, move || {
            c.store(true, Ordering::Relaxed);
            let number = b.ask();
            while !b.reached(number, 2) {
                loom::thread::yield_now();
            }
            f.store(true, Ordering::Release);
        });
        let sleeper = on_cpu(1, move || {
            boxes.rouse(1);
            let old = !changed.load(Ordering::Relaxed);
            assert!(!(old && freed.load(Ordering::Acquire)), "what it has looked up is gone");
            boxes.serve(1, || ());
            boxes.rest(1);
        });
        [asker.1, sleeper.1].into_iter().for_each(|t| t.join().unwrap());
    });
}

/// A caller: takes the activation, or waits for it.
fn call(pool: &Pool, closed: &AtomicBool, inside: &AtomicUsize) {
    loop {
        if closed.load(Ordering::Acquire) {
            return;
        }
        if let Some(x) = pool.take() {
            assert_eq!(inside.fetch_add(1, Ordering::Relaxed), 0, "one activation, two handlers");
            inside.fetch_sub(1, Ordering::Relaxed);
            pool.give(x);
            return;
        }
        if pool.wait(&thread::current_ref(), closed).is_err() {
            return;
        }
    }
}

type Scene = (Arc<Pool>, Arc<AtomicBool>, Arc<AtomicUsize>);

/// A pool of one activation.
fn scene() -> Scene {
    let pool = Arc::new(Pool::new());
    Thread::become_current(&Thread::new(0));
    pool.give(Thread::new(0));
    pool.touch();
    let closed = Arc::new(AtomicBool::new(false));
    closed.load(Ordering::Relaxed);
    (pool, closed, Arc::default())
}

fn caller(cpu: usize, (pool, closed, inside): &Scene) -> (Ref<Thread>, loom::thread::JoinHandle<()>) {
    let (pool, closed, inside) = (pool.clone(), closed.clone(), inside.clone());
    on_cpu(cpu, move || call(&pool, &closed, &inside))
}

#[test]
fn callers_of_the_only_activation_each_get_it() {
    model(3, || {
        let s = scene();
        let threads = [caller(0, &s).1, caller(1, &s).1];
        threads.into_iter().for_each(|t| t.join().unwrap());
        assert!(s.0.take().is_some(), "the activation is lost");
    });
}

#[test]
fn a_waiter_that_is_interrupted_passes_its_activation_on() {
    model(2, || {
        let s = scene();
        let used = s.0.take();
        let (first, a) = caller(0, &s);
        let (_, b) = caller(1, &s);
        // Both may wait, and the first is told of the activation and interrupted in one breath.
        used.into_iter().for_each(|x| s.0.give(x));
        Thread::poke(&first);
        [a, b].into_iter().for_each(|t| t.join().unwrap());
        assert!(s.0.take().is_some(), "the activation is lost");
    });
}

#[test]
fn whoever_waits_when_the_portal_closes_is_told() {
    model(3, || {
        let s = scene();
        // In use for ever.
        let used = s.0.take();
        let (_, t) = caller(1, &s);
        s.1.store(true, Ordering::SeqCst);
        s.0.wake_all();
        t.join().unwrap();
        drop(used);
    });
}

type Asker = (Ref<Thread>, Arc<AtomicBool>, loom::thread::JoinHandle<()>);

/// A caller that the server makes wait until there is an item; whether it took one.
fn asker(cpu: usize, portal: &Ref<Portal>, items: &Arc<AtomicU64>) -> Asker {
    let (portal, items, took) = (portal.clone(), items.clone(), Arc::new(AtomicBool::new(false)));
    took.load(Ordering::Relaxed);
    let says = took.clone();
    let (t, handle) = on_cpu(cpu, move || {
        loop {
            let wakes = open::wakes(&portal);
            let took = items.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| n.checked_sub(1)).is_ok();
            if took || open::wait(&portal, 5, wakes).is_err() {
                says.store(took, Ordering::Release);
                break;
            }
        }
    });
    (t, took, handle)
}

fn item(portal: &Ref<Portal>, items: &AtomicU64) {
    items.fetch_add(1, Ordering::AcqRel);
    queue::wake(portal, 5, 1);
}

#[test]
fn a_caller_that_was_made_wait_comes_again() {
    model(2, || {
        let (portal, items) = (Ref::new(Portal::new()), Arc::new(AtomicU64::new(0)));
        items.load(Ordering::Relaxed);
        let threads = [asker(0, &portal, &items).2, asker(1, &portal, &items).2];
        item(&portal, &items);
        item(&portal, &items);
        threads.into_iter().for_each(|t| t.join().unwrap());
    });
}

#[test]
fn a_wake_of_one_that_is_interrupted_is_the_others() {
    model(2, || {
        let (portal, items) = (Ref::new(Portal::new()), Arc::new(AtomicU64::new(0)));
        items.load(Ordering::Relaxed);
        let (first, took, a) = asker(0, &portal, &items);
        let (_, _, b) = asker(1, &portal, &items);
        item(&portal, &items);
        Thread::poke(&first);
        a.join().unwrap();
        if took.load(Ordering::Acquire) {
            item(&portal, &items);
        }
        b.join().unwrap();
    });
}
