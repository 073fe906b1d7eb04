//! [`Run`]: where a thread is between running and waiting, so that no wake-up is lost.
//!
//! A wake-up that comes before its park leaves a token; the park takes it and does not stop. The machine's scheduler does
//! what the answers of these two say, under the lock that guards the `Run`.

/// Where a thread is between running and waiting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// On a CPU, or in a call.
    Running,
    /// On a run queue.
    Ready,
    /// In [`crate::thread::park`].
    Parked,
    /// It will not run again.
    Dead,
}

/// A thread's state, and an unpark that came before its park.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) state: State,
    pub(crate) token: bool,
}

impl Run {
    /// Somebody wakes it: is it to be put on a run queue?
    #[must_use]
    pub(crate) fn wake(&mut self) -> bool {
        match self.state {
            State::Parked => {
                self.state = State::Ready;
                return true;
            }
            State::Running | State::Ready => self.token = true,
            State::Dead => {}
        }
        false
    }

    /// It wants to stop: is it to?
    #[must_use]
    pub(crate) fn park(&mut self) -> bool {
        if core::mem::take(&mut self.token) {
            return false;
        }
        self.state = State::Parked;
        true
    }
}
