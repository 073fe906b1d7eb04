//! [`Mailbox`]: the messages that wait for a process, and [`Side`]: an open file of one, its reader's or a sender's.
//!
//! Nothing here parks; [`super::mbox`] does, on the waiters kept here. A message is a [`Letter`]: who sent it, as the
//! kernel knows, its bytes, and the sender's open file, where the reply goes. A sender's side counts the messages that
//! may still be answered, so that its reader knows when there is nothing to wait for: a message is settled by
//! its reply, by the reader's taking the next one, or by the end of the mailbox.

use super::Parcel;
use crate::base::{Bytes, List, Ref, Spin};
use crate::call::Portal;
use crate::counters;
use crate::msg::Result;
use crate::thread::{Thread, Waiters};
use abi::error::Error;
use abi::limit::{MAIL, MAIL_BYTES};

/// A message or a reply. It goes from hand to hand as one word.
pub(super) struct Letter {
    /// Where the reply goes; none for a reply.
    pub(super) from: Option<Ref<Side>>,
    /// The sender's number and user.
    pub(super) pid: u32,
    pub(super) user: Ref<Bytes>,
    pub(super) parcel: Parcel,
    /// How much of its first line has been read.
    pub(super) done: usize,
}

impl Letter {
    pub(super) fn new(
        from: Option<Ref<Side>>,
        pid: u32,
        user: Ref<Bytes>,
        parcel: Parcel,
    ) -> Result<Ref<Letter>> {
        counters::LETTERS.up();
        Ref::new(Letter { from, pid, user, parcel, done: 0 })
    }
}

impl Drop for Letter {
    fn drop(&mut self) {
        counters::LETTERS.down();
    }
}

/// Who may send.
pub(super) enum Mode {
    /// Nobody.
    Closed,
    /// Everybody.
    Open,
    /// One process.
    From(u32),
    /// Opening the file leads to this portal instead.
    Portal(Ref<Portal>),
}

/// A process's mailbox. Its lock is taken alone.
pub struct Mailbox {
    /// The process.
    pub(super) pid: u32,
    pub(super) state: Spin<State>,
}

pub(super) struct State {
    pub(super) mode: Mode,
    /// The process has ended.
    dead: bool,
    /// The process whose opens are the reader's side.
    pub(super) reader: u32,
    queue: List<Ref<Letter>>,
    /// Bytes of all that are queued.
    bytes: usize,
    pub(super) readers: Waiters,
    pub(super) writers: Waiters,
}

/// Lets all go on that wait.
pub(super) fn wake(waiters: &mut Waiters) {
    while let Some(t) = waiters.pop() {
        Thread::unpark(&t);
    }
}

impl State {
    /// May this process send?
    pub(super) fn admits(&self, pid: u32) -> Result<()> {
        match self.mode {
            _ if self.dead => Err(Error::Died.into()),
            Mode::Open => Ok(()),
            Mode::From(one) if one == pid => Ok(()),
            _ => Err(Error::NoMail.into()),
        }
    }

    /// A message finds room, however long, where none waits.
    pub(super) fn room(&self, len: usize) -> bool {
        let few = self.queue.len() < MAIL && self.bytes.saturating_add(len) <= MAIL_BYTES;
        self.queue.is_empty() || few
    }

    /// Comes nothing any more?
    fn over(&self) -> bool {
        self.dead || matches!(self.mode, Mode::Closed)
    }

    /// Has a reader something to look at: a message, or that none comes?
    pub(super) fn readable(&self) -> bool {
        !self.queue.is_empty() || self.over()
    }
}

impl Mailbox {
    /// The mailbox of a process, closed.
    pub fn new(pid: u32) -> Result<Ref<Mailbox>> {
        let state = State {
            mode: Mode::Closed,
            dead: false,
            reader: pid,
            queue: List::new(),
            bytes: 0,
            readers: Waiters::new(),
            writers: Waiters::new(),
        };
        Ref::new(Mailbox { pid, state: Spin::new(state) })
    }

    /// How many messages wait, and whether anybody may send.
    pub(super) fn look(&self) -> (u64, bool) {
        let s = self.state.lock();
        (s.queue.len() as u64, !matches!(s.mode, Mode::Closed))
    }

    /// Changes who may send.
    pub(super) fn set_mode(&self, mode: Mode) {
        let mut s = self.state.lock();
        let old = core::mem::replace(&mut s.mode, mode);
        wake(&mut s.writers);
        wake(&mut s.readers);
        drop(s);
        drop(old);
    }

    /// Its process's portals close: one that stands here closes the mailbox.
    pub(crate) fn unseat(&self) {
        if matches!(self.state.lock().mode, Mode::Portal(_)) {
            self.set_mode(Mode::Closed);
        }
    }

    /// Queues a message; it stays where it is when there is no room, or on an error.
    pub(super) fn put(&self, letter: &mut Option<Ref<Letter>>) -> Result<()> {
        let Some(l) = letter else { return Ok(()) };
        let (pid, len) = (l.pid, l.parcel.size());
        let mut s = self.state.lock();
        s.admits(pid)?;
        if !s.room(len) {
            return Ok(());
        }
        s.queue.reserve(1)?;
        if let Some(l) = letter.take() {
            s.queue.push(l)?;
            s.bytes = s.bytes.saturating_add(len);
            wake(&mut s.readers);
        }
        Ok(())
    }

    /// Takes the next message; without one, says whether none comes.
    pub(super) fn take(&self) -> (Option<Ref<Letter>>, bool) {
        let mut s = self.state.lock();
        let letter = s.queue.remove(0);
        if let Some(letter) = &letter {
            s.bytes = s.bytes.saturating_sub(letter.parcel.size());
            wake(&mut s.writers);
        }
        (letter, s.over())
    }

    /// Is its process gone?
    pub(super) fn dead(&self) -> bool {
        self.state.lock().dead
    }

    /// Its process ends: nobody waits any more, and nothing is kept. What waits for replies is for the caller to wake.
    pub(super) fn end(&self) {
        let mut s = self.state.lock();
        s.dead = true;
        let queue = s.queue.take();
        s.bytes = 0;
        drop(s);
        self.set_mode(Mode::Closed);
        drop(queue);
    }
}

/// An open file of a mailbox.
pub(super) struct Side {
    pub(super) mailbox: Ref<Mailbox>,
    /// The reader's, or a sender's?
    pub(super) reads: bool,
    pub(super) state: Spin<SideState>,
}

/// Taken alone, but for a moment under the list of sides.
pub(super) struct SideState {
    /// The reader's: what is left of the message read last. A sender's: its replies.
    letters: List<Ref<Letter>>,
    /// A sender's: messages that may still be answered.
    waiting: u32,
    /// The reader's: whom a write answers.
    last: Option<Ref<Side>>,
    closed: bool,
    pub(super) readers: Waiters,
}

impl Side {
    pub(super) fn new(mailbox: Ref<Mailbox>, reads: bool) -> Result<Ref<Side>> {
        let state = SideState {
            letters: List::new(),
            waiting: 0,
            last: None,
            closed: false,
            readers: Waiters::new(),
        };
        Ref::new(Side { mailbox, reads, state: Spin::new(state) })
    }

    /// The letter to go on with.
    pub(super) fn next(&self) -> Option<Ref<Letter>> {
        self.state.lock().letters.remove(0)
    }

    /// Puts back one that has not been read to its end. Without memory for it the rest is lost.
    pub(super) fn keep(&self, letter: Ref<Letter>) {
        let _ = self.state.lock().letters.insert(0, letter);
    }

    /// The reader's: a message has been taken; writes answer its sender, and who was not answered won't be.
    pub(super) fn took(&self, letter: &Letter) {
        let old = core::mem::replace(&mut self.state.lock().last, letter.from.clone());
        if let Some(old) = old {
            old.settle();
        }
    }

    /// The reader's: whom to answer. Once only.
    pub(super) fn whom(&self) -> Option<Ref<Side>> {
        self.state.lock().last.take()
    }

    /// A sender's: one more message may be answered.
    pub(super) fn expect(&self) {
        let mut s = self.state.lock();
        s.waiting = s.waiting.saturating_add(1);
    }

    /// A sender's: one less.
    pub(super) fn settle(&self) {
        let mut s = self.state.lock();
        s.waiting = s.waiting.saturating_sub(1);
        wake(&mut s.readers);
    }

    /// A sender's: a reply. Who has closed the file gets none, nor who leaves too many unread.
    pub(super) fn answer(&self, reply: &mut Option<Ref<Letter>>) -> Result<()> {
        let mut s = self.state.lock();
        s.waiting = s.waiting.saturating_sub(1);
        let r = if s.closed {
            Err(Error::Hungup.into())
        } else if s.letters.len() >= MAIL {
            Err(Error::Full.into())
        } else {
            s.letters.reserve(1).and_then(|()| reply.take().map_or(Ok(()), |r| s.letters.push(r)))
        };
        wake(&mut s.readers);
        r
    }

    /// A sender's: may a reply come that is not there?
    pub(super) fn waits(s: &SideState) -> bool {
        s.letters.is_empty() && s.waiting != 0
    }

    /// It is closed for the last time.
    pub(super) fn close(&self) {
        let mut s = self.state.lock();
        s.closed = true;
        let (letters, last) = (s.letters.take(), s.last.take());
        drop(s);
        drop(letters);
        if let Some(last) = last {
            last.settle();
        }
    }
}

#[cfg(test)]
#[path = "mail_model.rs"]
mod model;
