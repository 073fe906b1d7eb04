//! The client's end of a connection.
//!
//! The owner submits messages and sends what [`Client::output`] holds; it cuts what it reads into frames
//! ([`crate::frame::next`] with [`Client::frame_max`]) and hands each to [`Client::receive`], which says whose answer
//! it is. The first message, the version, is the session's own.
//!
//! Where the server keeps the order of requests on a fid, all are sent at once; elsewhere one that depends on another
//! is held back until that is answered. A flushed request keeps its tag and its fids until the Rflush.

use super::map::Map;
use super::order::Order;
use super::version;
use crate::frame::Message;
use crate::{Ask, Dialect, Effect, Error, Fid, NOFID, NOTAG, Plain, Rmsg, Tag, Tmsg, Touches, frame};
use abi::error::Error as Reason;
use abi::portal::op;
use alloc::vec::Vec;
use core::marker::PhantomData;

/// Most requests in flight, whatever the owner asks for: flushes need tags too.
const REQUESTS_MAX: usize = 0x7fff;
/// The number of Rflush.
const RFLUSH: u8 = op::TFLUSH.wrapping_add(1);

/// A request, never the same twice in the life of a session, whatever its tag.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(u64);

/// What a frame means; `R` is an answer of the dialect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event<R> {
    /// The session has begun: requests may be submitted.
    Ready,
    /// The server speaks no version that this session does, or no useful message size.
    Refused,
    /// The answer to a request.
    Answer(Ticket, R),
    /// The answer to a request, which breaks the protocol. What the server did is not known.
    Bad(Ticket, Error),
    /// The request was flushed and will not be answered: it is as if it had never been sent.
    Flushed(Ticket),
    /// The session's own business.
    Nothing,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// The version of this place in the dialect's list has been asked for.
    Asked(usize),
    Ready,
    Refused,
}

/// The session. It speaks 9P2000 unless the type says that it speaks another dialect.
#[derive(Debug)]
pub struct Client<D: Dialect = Plain> {
    dialect: PhantomData<D>,
    state: State,
    /// Offered, then agreed.
    msize: u32,
    ordered: bool,
    /// Most requests in flight.
    most: usize,
    /// Requests whose tag is in use, in the order of submission.
    requests: Map<u64, Request>,
    /// Number of the next request.
    next: u64,
    /// Tags in use, with the request that each is about.
    tags: Map<Tag, u64>,
    /// Where the search for a free tag begins.
    next_tag: Tag,
    /// Empty where the server keeps the order itself.
    order: Order,
    fids: Fids,
    /// Bytes to be sent. There is always room for those that are held back, too.
    out: Vec<u8>,
    /// Bytes of messages that are held back.
    held: usize,
}

#[derive(Debug)]
struct Request {
    tag: Tag,
    effect: Effect,
    waits: u8,
    /// The message while it is held back.
    held: Vec<u8>,
    /// The tag of the flush that is under way.
    flush: Option<Tag>,
    /// The fid that its answer made free.
    freed: Option<Fid>,
    answered: bool,
}

/// Numbers for fids.
#[derive(Debug, Default)]
struct Fids {
    /// Fids in use. One that has ended stays while requests that name it are in flight: what is sent after a walk that
    /// fails, up to the clunk, must not meet the fid's next owner.
    /// Indexed by the fid; there is room in `free` for all of them.
    used: Vec<Option<Use>>,
    free: Vec<Fid>,
}

#[derive(Debug, Default)]
struct Use {
    /// Requests in flight that name the fid.
    requests: usize,
    ended: bool,
}

impl<D: Dialect> Client<D> {
    /// A session that offers this message size and keeps at most so many requests in flight.
    pub fn new(msize: u32, requests: usize) -> Self {
        let mut client = Client {
            dialect: PhantomData,
            state: State::Refused,
            msize,
            ordered: false,
            most: requests.min(REQUESTS_MAX),
            requests: Map::new(),
            next: 0,
            tags: Map::new(),
            next_tag: 0,
            order: Order::new(),
            fids: Fids::default(),
            out: Vec::new(),
            held: 0,
        };
        client.ask(0);
        client
    }

    /// The agreed size of messages, or the offered one before.
    pub const fn msize(&self) -> u32 {
        self.msize
    }

    /// The largest frame that the server may send; after a larger one the connection can't be used.
    pub const fn frame_max(&self) -> u32 {
        self.msize
    }

    /// May requests be submitted?
    pub fn is_ready(&self) -> bool {
        self.state == State::Ready
    }

    /// Does the server keep the order of requests on a fid?
    pub const fn is_ordered(&self) -> bool {
        self.ordered
    }

    /// Requests in flight, flushed ones included.
    pub fn in_flight(&self) -> usize {
        self.requests.len()
    }

    /// A fid that is not in use. It is in use until an answer ends it (a clunk, a remove, a failed attempt to create it) or
    /// [`Client::forget`] does. None: all are, or there is no memory for another.
    pub fn fid(&mut self) -> Option<Fid> {
        self.fids.take()
    }

    /// Gives back a fid that no message has named.
    pub fn forget(&mut self, fid: Fid) {
        self.fids.end(fid);
    }

    /// Submits a request: it goes to the output, now or when what it depends on has been answered.
    pub fn submit(&mut self, t: &D::Request<'_>) -> Result<Ticket, Reason> {
        if !self.is_ready() {
            return Err(Reason::NoVersion);
        }
        if matches!(t.op(), op::TVERSION | op::TFLUSH) {
            return Err(Reason::BadArg);
        }
        if self.requests.len() >= self.most {
            return Err(Reason::Full);
        }
        let tag = self.free_tag().ok_or(Reason::Full)?;
        let message = encoded(t, tag, self.msize)?;
        self.reserve(message.len())?;
        let id = self.next;
        self.next = id.wrapping_add(1);
        let effect = t.effect();
        let waits = if self.ordered { 0 } else { self.order.enter(id, &effect.touches) };
        let mut request =
            Request { tag, effect, waits, held: Vec::new(), flush: None, freed: None, answered: false };
        if waits == 0 {
            self.out.extend_from_slice(&message);
        } else {
            self.held = self.held.saturating_add(message.len());
            request.held = message;
        }
        self.fids.enter(&effect.touches);
        self.tags.insert(tag, id);
        self.requests.insert(id, request);
        Ok(Ticket(id))
    }

    /// Takes a request back. True: it had not been sent, is forgotten, and nothing more will come of it. False: its answer or
    /// [`Event::Flushed`] will still come, whichever the server sends first.
    pub fn flush(&mut self, ticket: Ticket) -> Result<bool, Reason> {
        let Some(request) = self.requests.get(ticket.0) else { return Ok(false) };
        if request.flush.is_some() || request.answered {
            return Ok(false);
        }
        if request.waits > 0 {
            if let Some(fid) = request.effect.creates {
                self.fids.end(fid);
            }
            self.end(ticket.0);
            return Ok(true);
        }
        let oldtag = request.tag;
        let tag = self.free_tag().ok_or(Reason::Full)?;
        let message = encoded(&Tmsg::Tflush { oldtag }, tag, self.msize)?;
        self.reserve(message.len())?;
        self.out.extend_from_slice(&message);
        self.tags.insert(tag, ticket.0);
        if let Some(request) = self.requests.get_mut(ticket.0) {
            request.flush = Some(tag);
        }
        Ok(false)
    }

    /// Bytes to be sent.
    pub fn output(&self) -> &[u8] {
        &self.out
    }

    /// So many bytes of the output have been sent.
    pub fn sent(&mut self, n: usize) {
        self.out.drain(..n.min(self.out.len()));
    }

    /// Takes a frame. An error means that the server can't be understood and the connection is to be closed.
    pub fn receive<'a>(&mut self, frame: &'a [u8]) -> Result<Event<D::Answer<'a>>, Error> {
        if let State::Asked(asked) = self.state {
            return self.version(asked, frame);
        }
        let (tag, r) = match frame::decode::<D::Answer<'a>>(frame) {
            Ok((tag, r)) => (tag, Ok(r)),
            Err(bad) => (bad.tag, Err(bad.error)),
        };
        let id = *self.tags.get(tag).ok_or(Error::Answer)?;
        let request = self.requests.get_mut(id).ok_or(Error::Answer)?;
        if request.flush == Some(tag) {
            return if r?.op() == RFLUSH { Ok(self.flushed(id)) } else { Err(Error::Answer) };
        }
        if request.waits > 0 || request.answered {
            return Err(Error::Answer);
        }
        request.answered = true;
        let event = match r.and_then(|r| request.effect.check(&r).map(|()| r)) {
            Ok(r) => {
                request.freed = request.effect.freed(&r);
                Event::Answer(Ticket(id), r)
            }
            // The fids stay in use for good.
            Err(error) => Event::Bad(Ticket(id), error),
        };
        if request.flush.is_none() {
            self.end(id);
        }
        Ok(event)
    }

    /// Asks for the version of this place in the list.
    fn ask(&mut self, at: usize) {
        let version = D::VERSIONS.get(at).copied().unwrap_or(version::UNKNOWN);
        let message = encoded(&Tmsg::Tversion { msize: self.msize, version }, NOTAG, self.msize);
        match message.and_then(|m| self.reserve(m.len()).map(|()| m)) {
            Ok(message) => {
                self.out.extend_from_slice(&message);
                self.state = State::Asked(at);
            }
            Err(_) => self.state = State::Refused,
        }
    }

    /// The answer to the version: in every dialect the same but for errors, which here all say no.
    fn version<R>(&mut self, asked: usize, frame: &[u8]) -> Result<Event<R>, Error> {
        let (msize, answered) = match Rmsg::decode(frame) {
            Ok((_, Rmsg::Rversion { msize, version })) => (msize, version),
            Ok((_, Rmsg::Rerror { .. })) => (self.msize, version::UNKNOWN),
            Err(bad) if matches!(bad.error, Error::Type(_) | Error::Trailing) => {
                (self.msize, version::UNKNOWN)
            }
            Err(bad) => return Err(bad.error),
            Ok(_) => return Err(Error::Answer),
        };
        let known = D::VERSIONS.iter().skip(asked).any(|v| *v == answered);
        let next = asked.saturating_add(1);
        if known && (version::MSIZE_MIN..=self.msize).contains(&msize) {
            self.msize = msize;
            self.ordered = answered == version::ORDERED;
            self.state = State::Ready;
            Ok(Event::Ready)
        } else if !known && next < D::VERSIONS.len() {
            self.ask(next);
            Ok(Event::Nothing)
        } else {
            self.state = State::Refused;
            Ok(Event::Refused)
        }
    }

    /// The flush of a request has been answered.
    fn flushed<R>(&mut self, id: u64) -> Event<R> {
        let Some(request) = self.requests.get_mut(id) else { return Event::Nothing };
        let answered = request.answered;
        if !answered {
            request.freed = request.effect.creates;
        }
        self.end(id);
        if answered { Event::Nothing } else { Event::Flushed(Ticket(id)) }
    }

    /// A request is over: its tags and what it freed may be used again, and what waited for it is sent.
    fn end(&mut self, id: u64) {
        let Some(request) = self.requests.remove(id) else { return };
        self.tags.remove(request.tag);
        if let Some(tag) = request.flush {
            self.tags.remove(tag);
        }
        if let Some(fid) = request.freed {
            self.fids.end(fid);
        }
        self.fids.leave(&request.effect.touches);
        if self.ordered {
            return;
        }
        self.held = self.held.saturating_sub(request.held.len());
        let (requests, out, held) = (&mut self.requests, &mut self.out, &mut self.held);
        self.order.leave(id, &request.effect.touches, |admitted| {
            let Some(r) = requests.get_mut(admitted) else { return };
            r.waits = r.waits.saturating_sub(1);
            if r.waits == 0 {
                *held = held.saturating_sub(r.held.len());
                out.append(&mut r.held);
            }
        });
    }

    /// Makes room for a request or a flush whose message has this length, and for all that follows from it.
    fn reserve(&mut self, message: usize) -> Result<(), Reason> {
        self.requests.reserve()?;
        self.tags.reserve()?;
        self.order.reserve()?;
        self.out.try_reserve(self.held.saturating_add(message)).map_err(|_| Reason::NoMemory)
    }

    /// A tag that is not in use.
    fn free_tag(&mut self) -> Option<Tag> {
        let start = self.next_tag;
        let mut tag = start;
        while tag == NOTAG || self.tags.contains(tag) {
            tag = tag.wrapping_add(1);
            if tag == start {
                return None;
            }
        }
        self.next_tag = tag.wrapping_add(1);
        Some(tag)
    }
}

/// A message's bytes, at most `msize`.
fn encoded<'a>(t: &impl Message<'a>, tag: Tag, msize: u32) -> Result<Vec<u8>, Reason> {
    let size = t.size();
    if u32::try_from(size).map_or(true, |n| n > msize) {
        return Err(Reason::ShortBuffer);
    }
    let mut message = Vec::new();
    message.try_reserve_exact(size).map_err(|_| Reason::NoMemory)?;
    message.resize(size, 0);
    frame::encode(t, tag, &mut message)?;
    Ok(message)
}

impl Fids {
    fn take(&mut self) -> Option<Fid> {
        let fid = match self.free.pop() {
            Some(fid) => fid,
            None => {
                let fid = Fid::try_from(self.used.len()).ok().filter(|fid| *fid != NOFID)?;
                self.used.try_reserve(1).ok()?;
                // `free` is empty: there is to be room in it for every fid.
                self.free.try_reserve(self.used.len().saturating_add(1)).ok()?;
                self.used.push(None);
                fid
            }
        };
        if let Some(used) = self.used.get_mut(fid as usize) {
            *used = Some(Use::default());
        }
        Some(fid)
    }

    fn used(&mut self, fid: Fid) -> Option<&mut Use> {
        self.used.get_mut(fid as usize)?.as_mut()
    }

    /// A request that names these fids is in flight from now on.
    fn enter(&mut self, touches: &Touches) {
        for (fid, _) in touches.iter().flatten() {
            if let Some(used) = self.used(*fid) {
                used.requests = used.requests.saturating_add(1);
            }
        }
    }

    /// A request that names these fids has ended.
    fn leave(&mut self, touches: &Touches) {
        for (fid, _) in touches.iter().flatten() {
            if let Some(used) = self.used(*fid) {
                used.requests = used.requests.saturating_sub(1);
            }
            self.settle(*fid);
        }
    }

    /// The server does not know the fid any more, or never did.
    fn end(&mut self, fid: Fid) {
        if let Some(used) = self.used(fid) {
            used.ended = true;
        }
        self.settle(fid);
    }

    /// Frees a fid that has ended and is in no request.
    fn settle(&mut self, fid: Fid) {
        let Some(used) = self.used.get_mut(fid as usize) else { return };
        if used.as_ref().is_some_and(|used| used.ended && used.requests == 0) {
            *used = None;
            self.free.push(fid);
        }
    }
}
