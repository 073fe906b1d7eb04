//! [`Queues`]: what a kernel would keep of a server's wait queues: how often each was woken, and the wakes to act on.

use crate::lock;
use serve::{Wake, wire::Wakes};
use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, PoisonError};

/// The wait queues of one service. One lock, never held while anything else is locked.
#[derive(Debug, Default)]
pub struct Queues {
    state: Mutex<State>,
    woken: Condvar,
}

#[derive(Debug, Default)]
struct State {
    seqs: HashMap<u64, u64>,
    pending: VecDeque<(u64, u32)>,
}

impl Queues {
    /// The next wake to act on.
    pub(crate) fn next(&self) -> (u64, u32) {
        let mut state = lock(&self.state);
        loop {
            if let Some(wake) = state.pending.pop_front() {
                return wake;
            }
            state = self.woken.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Wake for Queues {
    fn wake(&self, queue: u64, n: u32) {
        let mut state = lock(&self.state);
        *state.seqs.entry(queue).or_default() += 1;
        state.pending.push_back((queue, n));
        self.woken.notify_one();
    }
}

impl Wakes for Queues {
    fn seq(&self, queue: u64) -> u64 {
        lock(&self.state).seqs.get(&queue).copied().unwrap_or(0)
    }
}
