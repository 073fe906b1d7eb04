//! What threads share: locks, conditions, values made once, and channels in the manner of `std::sync::mpsc`.
//!
//! A value that is sent is taken by one receiver, in the order of sending. [`sync_channel`] has room for so many; its
//! senders wait for room. When all senders are gone a receiver gets what is left and then [`Disconnected`]; when the
//! receiver is gone, so does a sender, with its value back.

pub use super::cond::{Barrier, Condvar, LazyLock, OnceLock};
use crate::alloc::collections::VecDeque;
use crate::alloc::sync::Arc;
use crate::sys;
use core::fmt;
use core::sync::atomic::AtomicI32;
use core::time::Duration;
pub use rt::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The other side is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Disconnected;

impl fmt::Display for Disconnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the other end of the channel is gone")
    }
}

/// A value that could not be sent, since the receiver is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SendError<T>(pub T);

/// Why there is no value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecvError {
    /// None has come, in this time.
    Empty,
    /// All senders are gone.
    Disconnected,
}

struct State<T> {
    values: VecDeque<T>,
    senders: usize,
    receiver: bool,
}

struct Channel<T> {
    state: Mutex<State<T>>,
    /// One for each value, and one for good when the last sender has gone.
    there: AtomicI32,
    /// One for each value that there is still room for, and one for good when the receiver has gone.
    room: Option<AtomicI32>,
}

/// Waits for a semaphore, whatever notes come: did it get it, in this time?
pub(super) fn take(sem: &AtomicI32, timeout: Option<Duration>) -> bool {
    let begun = super::time::now();
    loop {
        let wait = timeout.map_or(-1, |t| {
            i64::try_from(t.saturating_sub(super::time::now() - begun).as_nanos()).unwrap_or(i64::MAX)
        });
        if let Some(got) = sys::semacquire(sem, wait) {
            return got == 1;
        }
    }
}

pub(super) fn give(sem: &AtomicI32) {
    // Only a bad address could fail here.
    let _ = sys::semrelease(sem, 1);
}

/// The end that sends; there may be many.
#[derive(Debug)]
pub struct Sender<T>(Arc<Channel<T>>);

/// The end that receives.
#[derive(Debug)]
pub struct Receiver<T>(Arc<Channel<T>>);

fn made<T>(room: Option<AtomicI32>) -> (Sender<T>, Receiver<T>) {
    let state = Mutex::new(State { values: VecDeque::new(), senders: 1, receiver: true });
    let channel = Arc::new(Channel { state, there: AtomicI32::new(0), room });
    (Sender(channel.clone()), Receiver(channel))
}

/// A channel with room for whatever memory holds.
pub fn channel<T: Send>() -> (Sender<T>, Receiver<T>) {
    made(None)
}

/// A channel with room for so many values, at least one.
pub fn sync_channel<T: Send>(room: u16) -> (Sender<T>, Receiver<T>) {
    made(Some(AtomicI32::new(i32::from(room.max(1)))))
}

impl<T: Send> Sender<T> {
    /// Sends a value, waiting for room if the channel has a bound.
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        if let Some(room) = &self.0.room {
            take(room, None);
        }
        let mut state = self.0.state.lock();
        if !state.receiver {
            drop(state);
            // For the next who waits for room.
            self.0.room.iter().for_each(give);
            return Err(SendError(value));
        }
        state.values.push_back(value);
        drop(state);
        give(&self.0.there);
        Ok(())
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        self.0.state.lock().senders += 1;
        Sender(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.senders -= 1;
        let last = state.senders == 0;
        drop(state);
        if last {
            give(&self.0.there);
        }
    }
}

impl<T: Send> Receiver<T> {
    /// Waits for the next value.
    pub fn recv(&self) -> Result<T, Disconnected> {
        self.next_within(None).map_err(|_| Disconnected)
    }

    /// The next value, if one is there.
    pub fn try_recv(&self) -> Result<T, RecvError> {
        self.next_within(Some(Duration::ZERO))
    }

    /// Waits for the next value so long.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvError> {
        self.next_within(Some(timeout))
    }

    /// The values, until all senders are gone.
    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        core::iter::from_fn(|| self.recv().ok())
    }

    fn next_within(&self, timeout: Option<Duration>) -> Result<T, RecvError> {
        if !take(&self.0.there, timeout) {
            return Err(RecvError::Empty);
        }
        let value = self.0.state.lock().values.pop_front();
        let Some(value) = value else {
            // It was the last sender's, and stays.
            give(&self.0.there);
            return Err(RecvError::Disconnected);
        };
        self.0.room.iter().for_each(give);
        Ok(value)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.receiver = false;
        let left = core::mem::take(&mut state.values);
        drop(state);
        drop(left);
        self.0.room.iter().for_each(give);
    }
}

impl<T> fmt::Debug for Channel<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Channel")
    }
}
