//! What threads share: channels hand over each value once and in order, a lock lets many read or one write, a condition
//! wakes those who wait for it, and a value that is made once is the same for all.

use super::check;
use core::sync::atomic::{AtomicI32, AtomicU32, Ordering::SeqCst};
use core::time::Duration;
use portolan::alloc::sync::Arc;
use portolan::alloc::vec::Vec;
use portolan::sync::{
    Barrier, Condvar, Disconnected, LazyLock, Mutex, OnceLock, RecvError, RwLock, SendError, channel,
    sync_channel,
};
use portolan::{Error, Result, thread, time};

pub(super) const TESTS: &[super::Test] = &[
    ("t85_channels", channels),
    ("t85_channel_ends", channel_ends),
    ("t85_readers_and_writers", readers_and_writers),
    ("t85_conditions", conditions),
    ("t85_made_once", made_once),
    ("t85_scoped", scoped),
    ("t85_thread_that_dies", dies),
];

const EACH: u32 = 200;
const SENDERS: u32 = 3;

fn joined<T>(threads: Vec<thread::JoinHandle<T>>) -> Result<()> {
    threads.into_iter().try_for_each(|t| t.join().map(drop))
}

/// Several send, one receives: every value once, each sender's in order, then the end. With and without a bound.
fn channels() -> Result<()> {
    for bounded in [false, true] {
        let (to, from) = if bounded { sync_channel(2) } else { channel() };
        let mut threads = Vec::new();
        for sender in 0..SENDERS {
            let to = to.clone();
            threads.push(thread::spawn(move || (0..EACH).all(|i| to.send((sender, i)).is_ok()))?);
        }
        drop(to);
        let mut next = [0; SENDERS as usize];
        for (sender, i) in from.iter() {
            check!(next[sender as usize] == i, "{i} of sender {sender} instead of {next:?}");
            next[sender as usize] = i + 1;
        }
        check!(next == [EACH; SENDERS as usize], "received {next:?}");
        check!(from.recv() == Err(Disconnected), "a value after the last");
        joined(threads)?;
    }
    Ok(())
}

/// What is not there is told at once or in time, and who waits for room learns that the receiver is gone.
fn channel_ends() -> Result<()> {
    let (to, from) = sync_channel(1);
    check!(from.try_recv() == Err(RecvError::Empty), "a value out of nothing");
    check!(from.recv_timeout(Duration::from_millis(5)) == Err(RecvError::Empty), "a value out of nothing");
    to.send(1).map_err(|_| Error::new("not sent"))?;
    let (second, is_sent) = sync_channel(1);
    let waits = thread::spawn(move || {
        let two = to.send(2);
        let _ = second.send(());
        [two, to.send(3)]
    })?;
    check!(from.recv() == Ok(1), "not the first");
    check!(is_sent.recv() == Ok(()), "the second is not sent");
    time::sleep(Duration::from_millis(20))?;
    drop(from);
    let sent = waits.join()?;
    check!(sent == [Ok(()), Err(SendError(3))], "{sent:?}");
    Ok(())
}

/// Writers are alone, readers are not, and neither is left out.
fn readers_and_writers() -> Result<()> {
    let lock = Arc::new((RwLock::new(0u32), AtomicI32::new(0), AtomicU32::new(0)));
    let mut threads = Vec::new();
    for n in 0..4 {
        let lock = lock.clone();
        threads.push(thread::spawn(move || {
            let (lock, inside, wrong) = &*lock;
            for _ in 0..EACH {
                if n == 0 {
                    let mut value = lock.write();
                    *value += 1;
                    if inside.fetch_sub(1000, SeqCst) != 0 {
                        wrong.fetch_add(1, SeqCst);
                    }
                    let _ = time::sleep(Duration::from_nanos(1));
                    inside.fetch_add(1000, SeqCst);
                } else {
                    let value = lock.read();
                    if inside.fetch_add(1, SeqCst) < 0 || *value > EACH {
                        wrong.fetch_add(1, SeqCst);
                    }
                    let _ = time::sleep(Duration::from_nanos(1));
                    inside.fetch_sub(1, SeqCst);
                }
            }
        })?);
    }
    joined(threads)?;
    check!(lock.2.load(SeqCst) == 0, "{} times not alone", lock.2.load(SeqCst));
    check!(*lock.0.read() == EACH, "{} writes", *lock.0.read());
    let held = lock.0.read();
    check!(lock.0.try_read().is_some() && lock.0.try_write().is_none(), "a reader keeps a reader out");
    drop(held);
    check!(lock.0.try_write().is_some(), "nobody keeps a writer out");
    Ok(())
}

/// Some take what one brings, and wait while there is nothing; who waits for what does not come is late.
fn conditions() -> Result<()> {
    let shared = Arc::new((Mutex::new((0u32, false)), Condvar::new()));
    let mut threads = Vec::new();
    for _ in 0..SENDERS {
        let shared = shared.clone();
        threads.push(thread::spawn(move || {
            let (state, changed) = &*shared;
            let mut taken = 0;
            loop {
                let mut state = changed.wait_while(state.lock(), |s| s.0 == 0 && !s.1);
                if state.0 == 0 {
                    return taken;
                }
                state.0 -= 1;
                taken += 1;
            }
        })?);
    }
    let (state, changed) = &*shared;
    for i in 0..EACH {
        state.lock().0 += 1;
        changed.notify_one();
        if i % 16 == 0 {
            time::sleep(Duration::from_millis(1))?;
        }
    }
    state.lock().1 = true;
    changed.notify_all();
    let taken = threads.into_iter().try_fold(0, |sum, t| t.join().map(|n| sum + n))?;
    check!(taken == EACH, "{taken} taken of {EACH}");
    let (guard, late) = changed.wait_timeout(state.lock(), Duration::from_millis(5));
    check!(late && guard.1, "woken by nobody");
    drop(guard);
    // Who gave up waiting is not in the way of who comes later.
    let later = shared.clone();
    let waits = thread::spawn(move || {
        let (state, changed) = &*later;
        changed.wait_timeout(state.lock(), Duration::from_secs(5)).1
    })?;
    time::sleep(Duration::from_millis(20))?;
    changed.notify_one();
    check!(!waits.join()?, "not woken");
    Ok(())
}

static MADE: AtomicU32 = AtomicU32::new(0);
static LAZY: LazyLock<u32> = LazyLock::new(|| {
    let _ = time::sleep(Duration::from_millis(5));
    MADE.fetch_add(1, SeqCst)
});

/// However many ask at once, one makes it.
fn made_once() -> Result<()> {
    let once = OnceLock::new();
    check!(once.get().is_none() && once.set(1) == Ok(()), "not set");
    check!(once.set(2) == Err(2) && *once.get_or_init(|| 3) == 1, "set twice");
    let before = MADE.load(SeqCst);
    let threads = (0..4).map(|_| thread::spawn(|| *LAZY)).collect::<Result<Vec<_>>>()?;
    for t in threads {
        let seen = t.join()?;
        check!(seen == *LAZY, "{seen} and {}", *LAZY);
    }
    check!(MADE.load(SeqCst) <= 1.max(before), "made {} times", MADE.load(SeqCst));
    Ok(())
}

/// Threads borrow from the one that starts them, which goes on when all have ended; at a barrier none goes on before all
/// have come.
fn scoped() -> Result<()> {
    let begun = time::Instant::now();
    let (barrier, came, mut counts) = (Barrier::new(4), AtomicU32::new(0), [0u32; 3]);
    let (last, sum) = thread::scope(|s| {
        let mut threads = Vec::new();
        for (i, count) in counts.iter_mut().enumerate() {
            let (barrier, came) = (&barrier, &came);
            threads.push(s.spawn(move || {
                let mut last = 0;
                for round in 0..EACH {
                    came.fetch_add(1, SeqCst);
                    last += u32::from(barrier.wait());
                    *count += u32::from(came.load(SeqCst) >= 4 * (round + 1));
                    barrier.wait();
                }
                (last, i)
            })?);
        }
        let mut mine = 0;
        for _ in 0..EACH {
            came.fetch_add(1, SeqCst);
            mine += u32::from(barrier.wait());
            barrier.wait();
        }
        // Nobody joins this one, which has still ended when the scope has.
        s.spawn(|| {
            let _ = time::sleep(Duration::from_millis(10));
            came.store(0, SeqCst);
        })?;
        threads.into_iter().try_fold((mine, 0), |(l, s), t| t.join().map(|(m, i)| (l + m, s + i)))
    })?;
    check!(counts == [EACH; 3], "passed before all had come: {counts:?}");
    check!(last == EACH && sum == 3, "{last} times the last of all, results {sum}");
    check!(came.load(SeqCst) == 0, "a thread goes on after its scope");
    let ten = Duration::from_millis(10);
    check!(begun.elapsed() >= ten && begun + ten <= time::Instant::now(), "{:?}", begun.elapsed());
    Ok(())
}

/// Who waits for a thread that a note ends is told so.
fn dies() -> Result<()> {
    let endless = thread::spawn(|| time::sleep(Duration::from_secs(1000)).is_ok())?;
    portolan::fs::write(portolan::alloc::format!("#proc/{}/note", endless.id()), "kill")?;
    let end = endless.join();
    check!(matches!(&end, Err(e) if e.is(abi::error::Error::Died)), "{end:?}");
    Ok(())
}
