//! [`Link`]: requests on the wire, several at once, which one thread writes, and their answers, which the process itself reads
//! and hands out.
//!
//! A handler submits to the session and sleeps until its answer has come. It does not write: an interrupt would leave half a
//! message on the wire, and what follows would be taken for the rest. One that is interrupted has its request flushed and
//! leaves; a fid that the request made after all is clunked. The reader does not write either, since the other end may read
//! nothing before it has written its answers.
//!
//! Locks: `state` is never held while somebody waits.

use core::sync::atomic::AtomicI32;
use ninep::frame::{self, Frame};
use ninep::session::{Client, ClientEvent as Event, ClientTicket as Ticket};
use ninep::{Ask, Rmsg, Tmsg};
use portolan::alloc::format;
use portolan::alloc::vec::Vec;
use portolan::{File, Mutex, exit, fs, process, sys};
use serve::{Error, Fail, Result};
use sync::Shared;

/// Largest message that is offered.
const MSIZE: u32 = 1 << 16;
/// Requests in flight: one for each activation, and clunks that nobody waits for.
const REQUESTS: usize = 256;

/// Nanoseconds after which the writer looks whether it is still wanted.
const LOOK: i64 = 1_000_000_000;
/// Bytes that are read at once.
const PIECE: usize = 16 << 10;

/// Why there is no wire any more.
const GONE: &str = "the other end of the wire is gone";
const STRANGE: &str = "the other end of the wire does not speak 9P2000";

/// Where an answer is awaited.
#[derive(Default)]
struct Turn {
    done: AtomicI32,
    frame: Mutex<Vec<u8>>,
}

/// A request in flight.
struct Flight {
    ticket: Ticket,
    /// None if nobody waits.
    turn: Option<Shared<Turn>>,
    /// The fid that it may make.
    makes: Option<u32>,
}

struct State {
    session: Client,
    flights: Vec<Flight>,
}

/// The wire.
pub(super) struct Link {
    wire: File,
    state: Mutex<State>,
    /// Released when the session has something to say.
    more: AtomicI32,
}

/// The other end's words, where the whole system knows them.
fn fail(words: &str) -> Fail {
    Error::from_text(words).map_or(Fail::Words("the other end of the wire refuses"), Fail::Error)
}

impl Link {
    /// A wire on which nothing has been said.
    pub(super) fn new(wire: File) -> Link {
        let state = State { session: Client::new(MSIZE, REQUESTS), flights: Vec::new() };
        Link { wire, state: Mutex::new(state), more: AtomicI32::new(0) }
    }

    /// Agrees on a version, before there are requests.
    pub(super) fn begin(&self) -> core::result::Result<(), &'static str> {
        self.send();
        let mut input = Vec::new();
        while !self.state.lock().session.is_ready() {
            self.take(&mut input)?;
        }
        Ok(())
    }

    /// Bytes of data that a message has room for.
    pub(super) fn room(&self) -> usize {
        (self.state.lock().session.msize() as usize).saturating_sub(ninep::IOHDR)
    }

    /// A fid that is not in use.
    pub(super) fn fid(&self) -> Result<u32> {
        self.state.lock().session.fid().ok_or(Error::NoMemory.into())
    }

    /// Has what the session has to say written.
    fn send(&self) {
        // Fails only for a bad address.
        let _ = sys::semrelease(&self.more, 1);
    }

    /// Writes what the session has to say, until the wire ends or the process whose link it is does.
    pub(super) fn write(&self, owner: u32) {
        let mut bytes = [0; PIECE];
        loop {
            if sys::semacquire(&self.more, LOOK) != Some(1) {
                if !fs::exists(format!("#proc/{owner}")) {
                    return;
                }
                continue;
            }
            while let Some(piece) = self.next(&mut bytes) {
                if self.wire.write_all(piece).is_err() {
                    // The reader finds the end too, or what it waits for never comes.
                    let _ = process::kill(owner);
                    return;
                }
            }
        }
    }

    /// The next of what the session has to say, as much as there is room for.
    fn next<'b>(&self, room: &'b mut [u8; PIECE]) -> Option<&'b [u8]> {
        let session = &mut self.state.lock().session;
        let n = session.output().len().min(PIECE);
        let piece = room.get_mut(..n).filter(|p| !p.is_empty())?;
        piece.copy_from_slice(session.output().get(..n)?);
        session.sent(n);
        Some(piece)
    }

    /// A request whose answer nobody waits for.
    pub(super) fn tell(&self, t: &Tmsg<'_>) {
        // Without memory for it the fid stays with the other end until the wire is closed.
        if self.state.lock().session.submit(t).is_ok() {
            self.send();
        }
    }

    /// Sends a request and makes something of its answer.
    pub(super) fn ask<T>(&self, t: &Tmsg<'_>, take: impl FnOnce(&Rmsg<'_>) -> Option<T>) -> Result<T> {
        let turn = Shared::try_new(Turn::default())?;
        let ticket = {
            let mut state = self.state.lock();
            state.flights.try_reserve(1)?;
            let ticket = match state.session.submit(t) {
                Ok(ticket) => ticket,
                Err(e) => {
                    if let Some(fid) = t.effect().creates {
                        state.session.forget(fid);
                    }
                    return Err(e.into());
                }
            };
            state.flights.push(Flight { ticket, turn: Some(turn.clone()), makes: t.effect().creates });
            ticket
        };
        self.send();
        if sys::semacquire(&turn.done, -1) != Some(1) && self.left(ticket) {
            self.send();
            return Err(Error::Interrupted.into());
        }
        let frame = core::mem::take(&mut *turn.frame.lock());
        match Rmsg::decode(&frame) {
            Ok((_, Rmsg::Rerror { ename })) => Err(fail(ename)),
            Ok((_, r)) => take(&r).ok_or(Error::BadReply.into()),
            Err(_) if frame.is_empty() => Err(Error::NoMemory.into()),
            Err(_) => Err(Error::BadReply.into()),
        }
    }

    /// Nobody waits for an answer any more; false if it is there.
    fn left(&self, ticket: Ticket) -> bool {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let Some(at) = state.flights.iter().position(|f| f.ticket == ticket) else { return false };
        if state.session.flush(ticket) == Ok(true) {
            state.flights.swap_remove(at);
        } else if let Some(flight) = state.flights.get_mut(at) {
            flight.turn = None;
        }
        true
    }

    /// Reads and hands out answers until the wire ends, and with it this process.
    pub(super) fn read(&self) -> ! {
        let mut input = Vec::new();
        loop {
            if let Err(words) = self.take(&mut input) {
                exit(words);
            }
        }
    }

    /// Reads what there is, behind what has come of a message, and hands out what is whole.
    fn take(&self, input: &mut Vec<u8>) -> core::result::Result<(), &'static str> {
        let before = input.len();
        input.try_reserve(PIECE).map_err(|_| "no memory for what comes by the wire")?;
        input.resize(before + PIECE, 0);
        let n = self.wire.read(input.get_mut(before..).unwrap_or_default()).unwrap_or(0);
        input.truncate(before + n);
        if n == 0 {
            return Err(GONE);
        }
        let mut used = 0;
        loop {
            match frame::next(input.get(used..).unwrap_or_default(), MSIZE) {
                Ok(Frame::Whole { frame, .. }) => {
                    used += frame.len();
                    self.receive(frame)?;
                }
                Ok(Frame::Missing(_)) => break,
                Err(_) => return Err(STRANGE),
            }
        }
        input.drain(..used);
        Ok(())
    }

    fn receive(&self, frame: &[u8]) -> core::result::Result<(), &'static str> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let (ticket, answered) = match state.session.receive(frame) {
            Ok(Event::Ready | Event::Nothing) => return Ok(()),
            Ok(Event::Answer(ticket, r)) => (ticket, !matches!(r, Rmsg::Rerror { .. })),
            Ok(Event::Flushed(ticket)) => (ticket, false),
            Ok(Event::Refused | Event::Bad(..)) | Err(_) => return Err(STRANGE),
        };
        // Of what was only told there is none.
        let Some(at) = state.flights.iter().position(|f| f.ticket == ticket) else { return Ok(()) };
        let flight = state.flights.swap_remove(at);
        if let Some(turn) = flight.turn {
            let mut copy = turn.frame.lock();
            // Without memory it stays empty, which says so.
            if copy.try_reserve_exact(frame.len()).is_ok() {
                copy.extend_from_slice(frame);
            }
            drop(copy);
            // Fails only for a bad address.
            let _ = sys::semrelease(&turn.done, 1);
        } else if let Some(fid) = flight.makes.filter(|_| answered) {
            let _ = state.session.submit(&Tmsg::Tclunk { fid });
        }
        // That, or what waited for this answer.
        if !state.session.output().is_empty() {
            self.send();
        }
        Ok(())
    }
}
