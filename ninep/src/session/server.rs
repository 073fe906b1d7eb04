//! The server's end of a connection.
//!
//! The owner reads bytes, cuts them into frames ([`crate::frame::next`] with [`Server::frame_max`]) and hands each to
//! [`Server::receive`]; then it acts on every [`Event`] and sends what [`Server::transmit`] writes. Whenever
//! the handling of a request ends it calls [`Server::finish`], sends the answer, and does the same again.
//! Bad messages, versions, flushes and tags in use are the session's own business.

use super::map::Map;
use super::order::Order;
use super::version;
use crate::{Ask, Error, NOTAG, Rmsg, Tag, Tmsg, Touches, frame};
use abi::error::Error as Reason;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// What an owner grants a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Largest message, its head included.
    pub msize: u32,
    /// Most requests in flight, waiting ones included, and as many flushes.
    pub requests: usize,
}

/// A request in flight, never the same twice in the life of a session, whatever its tag.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(u64);

/// What the owner has to do.
#[derive(PartialEq, Eq, Debug)]
pub enum Event<T> {
    /// Handle this request now. It decodes.
    Start {
        /// Names the request from now on.
        ticket: Ticket,
        /// What the owner kept of it.
        kept: T,
    },
    /// The client does not want this request any more: end it early, if that can be done.
    Interrupt(Ticket),
    /// A new session begins: every fid is gone, and nobody waits for an answer to what is running.
    Reset,
}

/// The session. `T` is what the owner keeps of a request until it may start: its bytes, or where they are.
#[derive(Debug)]
pub struct Server<T> {
    limits: Limits,
    /// The agreed size of messages, once there is one.
    msize: Option<u32>,
    ordered: bool,
    /// Requests in flight, in the order of arrival.
    requests: Map<u64, Request<T>>,
    /// Number of the next request.
    next: u64,
    /// Tags in use. Invariant: exactly those of `requests` and of the flushes that wait in them.
    tags: Map<Tag, Holder>,
    order: Order,
    events: VecDeque<Pending>,
    /// Answers of the session's own that have not been sent.
    own: VecDeque<(Tag, Own)>,
}

#[derive(Debug)]
struct Request<T> {
    tag: Tag,
    touches: Touches,
    /// How many of its accesses are not yet admitted.
    waits: u8,
    /// Present until the request is started.
    kept: Option<T>,
    /// Tags of the flushes to be answered when this ends, in the order of arrival.
    flushes: Vec<Tag>,
}

/// Who has a tag.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Holder {
    Request(u64),
    /// A flush that waits for this request.
    Flush(u64),
}

/// An event, before it is looked at whether its request is still there.
#[derive(Clone, Copy, Debug)]
enum Pending {
    Start(u64),
    Interrupt(u64),
    Reset,
}

/// An answer that the session gives by itself.
#[derive(Clone, Copy, Debug)]
enum Own {
    Flush,
    Error(Reason),
    Version(u32, &'static str),
}

impl<T> Server<T> {
    /// A connection on which nothing has been said.
    pub const fn new(limits: Limits) -> Self {
        Server {
            limits,
            msize: None,
            ordered: false,
            requests: Map::new(),
            next: 0,
            tags: Map::new(),
            order: Order::new(),
            events: VecDeque::new(),
            own: VecDeque::new(),
        }
    }

    /// The largest frame that the client may send now; after a larger one the connection can't be used.
    pub fn frame_max(&self) -> u32 {
        self.msize.unwrap_or(self.limits.msize)
    }

    /// The agreed size of messages, if a version has been agreed on.
    pub const fn msize(&self) -> Option<u32> {
        self.msize
    }

    /// Does the client know that the order of requests is kept?
    pub const fn is_ordered(&self) -> bool {
        self.ordered
    }

    /// Requests in flight.
    pub fn in_flight(&self) -> usize {
        self.requests.len()
    }

    /// What is kept of the requests that have not started.
    pub fn kept(&self) -> impl Iterator<Item = &T> {
        self.requests.values().filter_map(|r| r.kept.as_ref())
    }

    /// Takes a frame. `keep` is called for a request that is to be handled, and returns what [`Event::Start`] gives back;
    /// it is told whether that comes at once, so that the owner need not copy what it still has at hand. What was
    /// kept is dropped if the request never starts.
    ///
    /// An error means that the session has taken no note of the frame: the limit on requests in flight is reached
    /// ([`Reason::Full`]; hand it in again after the next finish) or there is no memory ([`Reason::NoMemory`]).
    pub fn receive<'f>(
        &mut self,
        frame: &'f [u8],
        keep: impl FnOnce(&'f [u8], bool) -> T,
    ) -> Result<(), Reason> {
        self.reserve()?;
        let (tag, t) = match Tmsg::decode(frame) {
            Ok(message) => message,
            Err(bad) => {
                self.own.push_back((bad.tag, Own::Error(bad.error.reason())));
                return Ok(());
            }
        };
        if let Tmsg::Tversion { msize, version } = t {
            self.version(tag, msize, version);
            return Ok(());
        }
        let refused = if self.msize.is_none() {
            Some(Reason::NoVersion)
        } else if tag == NOTAG {
            Some(Reason::BadMessage)
        } else if self.tags.contains(tag) {
            Some(Reason::TagInUse)
        } else {
            None
        };
        if let Some(reason) = refused {
            self.own.push_back((tag, Own::Error(reason)));
            return Ok(());
        }
        if let Tmsg::Tflush { oldtag } = t {
            return self.flush(tag, oldtag);
        }
        if self.requests.len() >= self.limits.requests {
            return Err(Reason::Full);
        }
        let id = self.next;
        self.next = id.wrapping_add(1);
        let touches = t.effect().touches;
        let waits = self.order.enter(id, &touches);
        if waits == 0 {
            self.events.push_back(Pending::Start(id));
        }
        self.tags.insert(tag, Holder::Request(id));
        self.requests.insert(
            id,
            Request { tag, touches, waits, kept: Some(keep(frame, waits == 0)), flushes: Vec::new() },
        );
        Ok(())
    }

    /// The next thing to do.
    pub fn next_event(&mut self) -> Option<Event<T>> {
        loop {
            match self.events.pop_front()? {
                Pending::Reset => return Some(Event::Reset),
                Pending::Start(id) => {
                    if let Some(kept) = self.requests.get_mut(id).and_then(|r| r.kept.take()) {
                        return Some(Event::Start { ticket: Ticket(id), kept });
                    }
                }
                Pending::Interrupt(id) => {
                    if self.requests.contains(id) {
                        return Some(Event::Interrupt(Ticket(id)));
                    }
                }
            }
        }
    }

    /// The handling of a request has ended with an answer. It is to be sent under the returned tag, before anything
    /// that [`Server::transmit`] writes from now on; without a tag it is to be dropped, as its session is over.
    pub fn finish(&mut self, ticket: Ticket) -> Option<Tag> {
        let request = self.requests.remove(ticket.0)?;
        self.tags.remove(request.tag);
        for tag in request.flushes {
            self.tags.remove(tag);
            self.own.push_back((tag, Own::Flush));
        }
        self.leave(ticket.0, &request.touches);
        Some(request.tag)
    }

    /// The handling of a request has ended, having changed nothing, and without an answer. That may be if a flush
    /// waits for it (or its session is over); otherwise this does nothing and returns false, and it has to be answered.
    pub fn abandon(&mut self, ticket: Ticket) -> bool {
        match self.requests.get(ticket.0) {
            Some(request) if request.flushes.is_empty() => false,
            _ => {
                self.finish(ticket);
                true
            }
        }
    }

    /// A running request does not look at the fids any more that it uses (those that it changes stay its own until it
    /// ends). Requests that wait for it may start. A handler that may block for long calls this first, or a clunk of its
    /// fid waits for it.
    pub fn release(&mut self, ticket: Ticket) {
        let Some(request) = self.requests.get_mut(ticket.0) else { return };
        let mut uses = [None, None];
        for (touch, used) in request.touches.iter_mut().zip(&mut uses) {
            if touch.is_some_and(|(_, change)| !change) {
                *used = touch.take();
            }
        }
        self.leave(ticket.0, &uses);
    }

    /// Writes answers of the session's own into `room`: how many bytes. 0 when there are no more, or no room for the next.
    pub fn transmit(&mut self, room: &mut [u8]) -> usize {
        let mut len = 0usize;
        while let Some(&(tag, own)) = self.own.front() {
            let r = match own {
                Own::Flush => Rmsg::Rflush {},
                Own::Error(reason) => Rmsg::error(reason),
                Own::Version(msize, version) => Rmsg::Rversion { msize, version },
            };
            let written: Result<usize, Error> =
                frame::encode(&r, tag, room.get_mut(len..).unwrap_or_default());
            let Ok(n) = written else { break };
            self.own.pop_front();
            len = len.saturating_add(n);
        }
        len
    }

    fn waiting_flushes(&self) -> usize {
        self.tags.len().saturating_sub(self.requests.len())
    }

    /// Makes room for all that a further frame can lead to, until the next: then nothing else here needs memory. A request
    /// makes two events at most, and every flush that waits is answered once.
    fn reserve(&mut self) -> Result<(), Reason> {
        self.requests.reserve()?;
        self.tags.reserve()?;
        self.order.reserve()?;
        let events = self.requests.len().saturating_add(1).saturating_mul(2);
        self.events.try_reserve(events).map_err(|_| Reason::NoMemory)?;
        let own = self.waiting_flushes().saturating_add(2);
        self.own.try_reserve(own).map_err(|_| Reason::NoMemory)
    }

    /// Takes accesses away and starts what that admits.
    fn leave(&mut self, id: u64, touches: &Touches) {
        let (requests, events) = (&mut self.requests, &mut self.events);
        self.order.leave(id, touches, |admitted| {
            let Some(r) = requests.get_mut(admitted) else { return };
            r.waits = r.waits.saturating_sub(1);
            if r.waits == 0 {
                events.push_back(Pending::Start(admitted));
            }
        });
    }

    /// A flush: what has not started is forgotten, what runs is interrupted and answered first.
    fn flush(&mut self, tag: Tag, oldtag: Tag) -> Result<(), Reason> {
        let flushes = self.waiting_flushes();
        match self.tags.get(oldtag).copied() {
            None => {}
            Some(Holder::Flush(target)) => {
                self.tags.remove(oldtag);
                if let Some(r) = self.requests.get_mut(target) {
                    r.flushes.retain(|t| *t != oldtag);
                }
            }
            Some(Holder::Request(id)) => match self.requests.get_mut(id) {
                Some(r) if r.kept.is_none() => {
                    if flushes >= self.limits.requests {
                        return Err(Reason::Full);
                    }
                    r.flushes.try_reserve(1).map_err(|_| Reason::NoMemory)?;
                    if r.flushes.is_empty() {
                        self.events.push_back(Pending::Interrupt(id));
                    }
                    r.flushes.push(tag);
                    self.tags.insert(tag, Holder::Flush(id));
                    return Ok(());
                }
                _ => {
                    self.finish(Ticket(id));
                }
            },
        }
        self.own.push_back((tag, Own::Flush));
        Ok(())
    }

    /// A version: whatever is going on ends, and a new session begins if the two agree.
    fn version(&mut self, tag: Tag, msize: u32, asked: &str) {
        self.requests.clear();
        self.tags.clear();
        self.order.clear();
        self.events.clear();
        self.own.clear();
        self.events.push_back(Pending::Reset);
        let answered = version::answer(asked);
        self.ordered = answered == version::ORDERED;
        self.msize = None;
        if msize < version::MSIZE_MIN {
            self.own.push_back((tag, Own::Error(Reason::SmallMsize)));
            return;
        }
        let msize = msize.min(self.limits.msize);
        if answered != version::UNKNOWN {
            self.msize = Some(msize);
        }
        self.own.push_back((tag, Own::Version(msize, answered)));
    }
}
