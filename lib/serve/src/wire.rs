//! The front of a connection: bytes of 9P2000 in, bytes out ([`Connection`]), with no input, output or thread of its
//! own. The owner moves the bytes; tests play both ends in memory.
//!
//! `ninep`'s session decides which requests may start, and here they run at once, on the thread that brought the
//! bytes; a batch that arrives in one piece is answered in one piece. A handler that answers [`Fail::Wait`] has its
//! request parked until the owner calls [`Connection::retry`]. The bytes of a request are copied only if it
//! can't run at once.
//!
//! What a client can make the server keep is bounded: one message half received, [`REQUESTS`] that wait, [`FIDS`]
//! fids, and the answers to one piece of input, which the owner sends before it reads on.

use crate::{At, Engine, Fail, Qid, Result, Server, Sink, Source, Table, Wake};
use abi::error::Error;
use abi::limit;
use alloc::vec::Vec;
use ninep::frame::{self, Frame};
use ninep::session::{Event, Limits, Server as Session, Ticket};
use ninep::{HEAD, IOHDR, Qids, Rmsg, Tag, Tmsg};

/// Largest message that a connection agrees to.
pub const MSIZE: u32 = (limit::IO + IOHDR) as u32;
/// Most requests that wait on one connection.
pub const REQUESTS: usize = 256;
/// Most fids of one connection.
pub const FIDS: usize = 16384;
/// Most bytes of the requests that wait on one connection: any one, and many small ones.
const WAITING: usize = 2 * MSIZE as usize;
/// Answers are worth sending when they are this many bytes, even if more input is at hand.
const ENOUGH: usize = 64 << 10;

/// The wakes of all connections: what the owner keeps of every queue.
pub trait Wakes: Wake {
    /// How many wakes the queue has seen.
    fn seq(&self, queue: u64) -> u64;
}

impl Wakes for crate::NoWake {
    fn seq(&self, _: u64) -> u64 {
        0
    }
}

/// The peer broke the protocol in a way that leaves nothing to say: close the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hopeless;

/// What is kept of a request until it may start.
enum Kept {
    /// Nothing: it starts while its message is still at hand.
    AtHand,
    /// It waits for one whose handler waits.
    Copy(Vec<u8>),
    /// There was no room for a copy.
    Lost,
}

/// A request whose handler waits on a queue.
struct Parked {
    ticket: Ticket,
    message: Vec<u8>,
    queue: u64,
}

/// A client's connection.
pub struct Connection<S: Server> {
    number: u64,
    session: Session<Kept>,
    table: Table<S>,
    input: Vec<u8>,
    /// How much of the input is done with.
    used: usize,
    output: Vec<u8>,
    /// Requests that were started and wait on a queue.
    parked: Vec<Parked>,
    /// There was no memory for an answer that the client waits for.
    lost: bool,
}

impl<S: Server> Connection<S> {
    /// A new connection; `number` is unique among those of the engine.
    pub fn new(number: u64) -> Result<Self> {
        Ok(Connection {
            number,
            session: Session::new(Limits { msize: MSIZE, requests: REQUESTS }),
            table: Table::new(1, FIDS)?,
            input: Vec::new(),
            used: 0,
            output: Vec::new(),
            parked: Vec::new(),
            lost: false,
        })
    }

    /// Takes bytes from the client. Then work with [`Connection::run`].
    pub fn receive(&mut self, bytes: &[u8]) -> Result<()> {
        self.input.try_reserve(bytes.len())?;
        self.input.extend_from_slice(bytes);
        Ok(())
    }

    /// Works on what has come until the answers are worth sending; `true` if there may be more to do.
    pub fn run(&mut self, engine: &Engine<S>, wakes: &dyn Wakes) -> core::result::Result<bool, Hopeless> {
        while self.output.len() < ENOUGH {
            let rest = self.input.get(self.used..).unwrap_or_default();
            let len = match frame::next(rest, self.session.frame_max()) {
                Ok(Frame::Whole { frame, .. }) => frame.len(),
                Ok(Frame::Missing(_)) => {
                    self.input.drain(..self.used);
                    self.used = 0;
                    if self.input.is_empty() && self.input.capacity() > ENOUGH {
                        self.input = Vec::new();
                    }
                    return Ok(false);
                }
                Err(_) => return Err(Hopeless),
            };
            // The input is lent to the handlers meanwhile; nothing of them touches it.
            let input = core::mem::take(&mut self.input);
            let message = input.get(self.used..self.used + len).unwrap_or_default();
            self.message(engine, wakes, message);
            self.input = input;
            self.used += len;
            if self.lost {
                return Err(Hopeless);
            }
        }
        Ok(true)
    }

    /// Can a request be waiting on this queue?
    pub fn waits_on(&self, queue: u64) -> bool {
        self.parked.iter().any(|p| p.queue == queue)
    }

    /// Tries up to `n` of the requests that wait on a queue again: how many of them were answered.
    pub fn retry(&mut self, engine: &Engine<S>, wakes: &dyn Wakes, queue: u64, n: usize) -> usize {
        let mut answered = 0;
        let mut at = 0;
        // Those that wait again go to the end, and are not looked at twice.
        for _ in 0..self.parked.len() {
            if answered >= n {
                break;
            }
            if self.parked.get(at).is_none_or(|p| p.queue != queue) {
                at += 1;
                continue;
            }
            let Parked { ticket, message, .. } = self.parked.remove(at);
            answered += usize::from(self.start(engine, wakes, ticket, &message));
            self.go_on(engine, wakes, &[]);
        }
        answered
    }

    /// What is to be sent to the client.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// How many fids the client has.
    pub fn fids(&self) -> usize {
        self.table.len()
    }

    /// Is there nothing left to say, as when [`Connection::run`] fails? To be asked after [`Connection::retry`].
    pub fn is_hopeless(&self) -> bool {
        self.lost
    }

    /// Has the client agreed on a version?
    pub fn has_version(&self) -> bool {
        self.session.msize().is_some()
    }

    /// The client is gone.
    pub fn end(&mut self, engine: &Engine<S>, wakes: &dyn Wakes) {
        self.parked.clear();
        engine.end_session(self.at(0, wakes));
    }

    fn at<'a>(&'a self, tag: Tag, wake: &'a dyn Wakes) -> At<'a, S> {
        At { table: &self.table, session: self.number, tag, wake }
    }

    fn message(&mut self, engine: &Engine<S>, wakes: &dyn Wakes, message: &[u8]) {
        let room = self.room();
        let keep = |m, at_once| match at_once {
            true => Kept::AtHand,
            false => copy(m, room).map_or(Kept::Lost, Kept::Copy),
        };
        if let Err(reason) = self.session.receive(message, keep) {
            let tag = message.get(5..HEAD).and_then(|t| t.try_into().ok()).map_or(0, Tag::from_le_bytes);
            self.answer(tag, &Rmsg::error(reason));
        }
        self.go_on(engine, wakes, message);
    }

    /// Does whatever the session says can be done now. `at_hand` is the message just received, if one was.
    fn go_on(&mut self, engine: &Engine<S>, wakes: &dyn Wakes, at_hand: &[u8]) {
        self.transmit();
        while let Some(event) = self.session.next_event() {
            match event {
                Event::Start { ticket, kept: Kept::AtHand } => {
                    self.start(engine, wakes, ticket, at_hand);
                }
                Event::Start { ticket, kept: Kept::Copy(message) } => {
                    self.start(engine, wakes, ticket, &message);
                }
                Event::Start { ticket, kept: Kept::Lost } => {
                    if let Some(tag) = self.session.finish(ticket) {
                        self.answer(tag, &Rmsg::error(Error::NoMemory));
                    }
                }
                Event::Interrupt(ticket) => self.interrupt(ticket),
                Event::Reset => self.end(engine, wakes),
            }
            self.transmit();
        }
    }

    /// Bytes of messages that the client may still have waiting.
    fn room(&self) -> usize {
        let kept = self.session.kept().map(|k| if let Kept::Copy(m) = k { m.len() } else { 0 });
        let waiting: usize = kept.chain(self.parked.iter().map(|p| p.message.len())).sum();
        WAITING.saturating_sub(waiting)
    }

    fn interrupt(&mut self, ticket: Ticket) {
        if let Some(at) = self.parked.iter().position(|p| p.ticket == ticket) {
            self.parked.remove(at);
            self.session.abandon(ticket);
        }
    }

    /// Runs a request. `false` if it waits on.
    fn start(&mut self, engine: &Engine<S>, wakes: &dyn Wakes, ticket: Ticket, message: &[u8]) -> bool {
        loop {
            let Ok((tag, t)) = Tmsg::decode(message) else {
                self.session.finish(ticket);
                return true;
            };
            let start = self.output.len();
            let done = self.handle(engine, wakes, tag, &t).and_then(|()| self.fits(start));
            let fail = match done {
                Ok(()) => {
                    if self.session.finish(ticket).is_none() {
                        self.output.truncate(start);
                    }
                    return true;
                }
                Err(fail) => fail,
            };
            self.output.truncate(start);
            let Fail::Wait { queue, seq } = fail else {
                if self.session.finish(ticket).is_some() {
                    self.answer(tag, &Rmsg::Rerror { ename: fail.text() });
                }
                return true;
            };
            if wakes.seq(queue) == seq {
                return !self.park(ticket, tag, message, queue);
            }
        }
    }

    /// An answer that is longer than the client takes is an error (intro(5)). Only a stat record can be: the other
    /// answers are shorter than any msize agreed to, or cut to it.
    fn fits(&self, start: usize) -> Result<()> {
        let most = self.session.msize().unwrap_or(MSIZE) as usize;
        if self.output.len() - start > most { Err(Fail::Error(Error::ShortBuffer)) } else { Ok(()) }
    }

    fn park(&mut self, ticket: Ticket, tag: Tag, message: &[u8], queue: u64) -> bool {
        let (Ok(copy), Ok(())) = (copy(message, self.room()), self.parked.try_reserve(1)) else {
            if self.session.finish(ticket).is_some() {
                self.answer(tag, &Rmsg::error(Error::NoMemory));
            }
            return false;
        };
        self.parked.push(Parked { ticket, message: copy, queue });
        // A clunk of the fid need not wait for what may never come.
        self.session.release(ticket);
        true
    }

    /// Sends the session's own answers.
    fn transmit(&mut self) {
        let mut room = [0; 256];
        loop {
            let len = self.session.transmit(&mut room);
            if len == 0 {
                return;
            }
            self.lost |= append(&mut self.output, room.get(..len).unwrap_or_default()).is_err();
        }
    }

    fn answer(&mut self, tag: Tag, r: &Rmsg<'_>) {
        let mut room = [0; 512];
        // It fits: no error's words are longer than limit::ERROR.
        let len = r.encode(tag, &mut room).unwrap_or(0);
        self.lost |= append(&mut self.output, room.get(..len).unwrap_or_default()).is_err();
    }

    /// Calls the engine and appends the answer.
    fn handle(&mut self, engine: &Engine<S>, wakes: &dyn Wakes, tag: Tag, t: &Tmsg<'_>) -> Result<()> {
        let at = At { table: &self.table, session: self.number, tag, wake: wakes };
        let mut qids;
        let r = match *t {
            Tmsg::Tread { fid, offset, count } => {
                let most = self.session.msize().unwrap_or(MSIZE).saturating_sub(HEAD as u32 + 4);
                return read(engine, at, &mut self.output, fid, offset, count.min(most));
            }
            Tmsg::Twrite { fid, offset, data } => {
                Rmsg::Rwrite { count: engine.write(at, fid, offset, &mut Source::slice(data))? }
            }
            Tmsg::Tstat { fid } => return stat(engine, at, &mut self.output, fid),
            Tmsg::Tauth { afid, uname, aname } => Rmsg::Rauth { aqid: engine.auth(at, afid, uname, aname)? },
            Tmsg::Tattach { fid, afid, uname, aname } => {
                Rmsg::Rattach { qid: engine.attach(at, fid, afid, uname, aname)? }
            }
            Tmsg::Twalk { fid, newfid, wname } => {
                qids = [Qid::default(); limit::WALK];
                let n = engine.walk(at, fid, newfid, &wname, &mut qids)?;
                let wqid = Qids::new(qids.get(..n).unwrap_or_default()).map_err(|_| Error::BadMessage)?;
                Rmsg::Rwalk { wqid }
            }
            Tmsg::Topen { fid, mode } => {
                let o = engine.open(at, fid, mode)?;
                Rmsg::Ropen { qid: o.qid, iounit: self.iounit(o.iounit) }
            }
            Tmsg::Tcreate { fid, name, perm, mode } => {
                let o = engine.create(at, fid, name.as_str(), perm, mode)?;
                Rmsg::Rcreate { qid: o.qid, iounit: self.iounit(o.iounit) }
            }
            Tmsg::Tclunk { fid } => {
                engine.clunk(at, fid)?;
                Rmsg::Rclunk {}
            }
            Tmsg::Tremove { fid } => {
                engine.remove(at, fid)?;
                Rmsg::Rremove {}
            }
            Tmsg::Twstat { fid, stat } => {
                engine.wstat(at, fid, &stat)?;
                Rmsg::Rwstat {}
            }
            Tmsg::Tversion { .. } | Tmsg::Tflush { .. } => return Err(Fail::Error(Error::BadMessage)),
        };
        let mut room = [0; 512];
        let len = r.encode(tag, &mut room).map_err(|_| Error::BadMessage)?;
        append(&mut self.output, room.get(..len).unwrap_or_default())
    }

    /// What fits a message, if the server does not want less.
    fn iounit(&self, wanted: u32) -> u32 {
        let fits = self.session.msize().unwrap_or(MSIZE).saturating_sub(IOHDR as u32);
        if wanted == 0 { 0 } else { wanted.min(fits) }
    }
}

/// Copies a message that has to wait, if there is that much room.
fn copy(message: &[u8], room: usize) -> Result<Vec<u8>> {
    if message.len() > room {
        return Err(Fail::Error(Error::NoMemory));
    }
    let mut copy = Vec::new();
    append(&mut copy, message)?;
    Ok(copy)
}

fn append(output: &mut Vec<u8>, bytes: &[u8]) -> Result<()> {
    output.try_reserve(bytes.len())?;
    output.extend_from_slice(bytes);
    Ok(())
}

/// Puts the head before a body that was appended from `start + HEAD` on.
fn finish(output: &mut [u8], start: usize, op: u8, tag: Tag) {
    let size = ((output.len() - start) as u32).to_le_bytes();
    let [t0, t1] = tag.to_le_bytes();
    let head = [size[0], size[1], size[2], size[3], op, t0, t1];
    if let Some(to) = output.get_mut(start..start + HEAD) {
        to.copy_from_slice(&head);
    }
}

/// A read's data goes from the server's memory to the answer's place.
fn read<S: Server>(
    engine: &Engine<S>,
    at: At<'_, S>,
    output: &mut Vec<u8>,
    fid: u32,
    offset: u64,
    count: u32,
) -> Result<()> {
    let (start, tag) = (output.len(), at.tag);
    append(output, &[0; HEAD + 4])?;
    let mut sink = Sink::new(output, count as usize, false);
    engine.read(at, fid, offset, &mut sink)?;
    let len = (output.len() - start - HEAD - 4) as u32;
    if let Some(to) = output.get_mut(start + HEAD..start + HEAD + 4) {
        to.copy_from_slice(&len.to_le_bytes());
    }
    finish(output, start, abi::portal::op::TREAD + 1, tag);
    Ok(())
}

fn stat<S: Server>(engine: &Engine<S>, at: At<'_, S>, output: &mut Vec<u8>, fid: u32) -> Result<()> {
    let (start, tag) = (output.len(), at.tag);
    let mut record = [0; limit::STAT];
    let len = engine.stat(at, fid, &mut record)?;
    append(output, &[0; HEAD])?;
    append(output, &(len as u16).to_le_bytes())?;
    append(output, record.get(..len).unwrap_or_default())?;
    finish(output, start, abi::portal::op::TSTAT + 1, tag);
    Ok(())
}
