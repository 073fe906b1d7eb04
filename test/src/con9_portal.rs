//! A ramfs behind the portal's front, as a target of con9: what a mounter and the kernel do, in small.
//!
//! `ninep`'s session takes the connection's bytes apart, as an exporter does; each request becomes the words of a portal
//! call with message page and window, and the answer's words become a reply again.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use abi::error::Error;
use abi::portal::{Answer, Request, op};
use con9::link::{Link, Received, Target};
use ninep::session::{Event, Limits, Server as Session};
use ninep::{HEAD, Rmsg, Tag, Tmsg};
use ramfs::Ramfs;
use serve::portal::Portal;
use serve::{Held, NoWake};

use crate::con9_memory;
use crate::ctx::Failure;

/// What a connection in memory agrees to as well.
const LIMITS: Limits = Limits { msize: serve::wire::MSIZE, requests: serve::wire::REQUESTS };

/// The portal, and its sessions so far.
pub(crate) struct Machine {
    portal: Rc<Portal<Ramfs>>,
    sessions: Cell<u64>,
}

impl Machine {
    /// An empty tree.
    pub(crate) fn new() -> Result<Machine, Failure> {
        let words = |e: serve::Fail| e.text().to_string();
        let server = Ramfs::new(&con9_memory::options()).map_err(words)?;
        Ok(Machine { portal: Rc::new(Portal::new(server).map_err(words)?), sessions: Cell::new(0) })
    }

    /// Fids of all sessions.
    pub(crate) fn fids(&self) -> usize {
        self.portal.fids()
    }
}

impl Target for Machine {
    fn dial(&self) -> io::Result<Box<dyn Link>> {
        self.sessions.set(self.sessions.get() + 1);
        Ok(Box::new(Caller {
            activation: RefCell::new(Activation {
                page: vec![0; 4096],
                window: Vec::new(),
                held: Held::Nothing,
            }),
            portal: self.portal.clone(),
            number: self.sessions.get(),
            session: Session::new(LIMITS),
            come: Vec::new(),
            answers: VecDeque::new(),
            closed: false,
        }))
    }
}

/// Message page, window, and what the last answer named.
struct Activation {
    page: Vec<u8>,
    window: Vec<u8>,
    held: Held,
}

/// A connection, mounted.
struct Caller {
    activation: RefCell<Activation>,
    portal: Rc<Portal<Ramfs>>,
    number: u64,
    session: Session<Vec<u8>>,
    come: Vec<u8>,
    answers: VecDeque<Vec<u8>>,
    closed: bool,
}

impl Caller {
    fn message(&mut self, frame: &[u8]) {
        if let Err(reason) = self.session.receive(frame, |frame, _| frame.to_vec()) {
            let tag = frame.get(5..HEAD).and_then(|t| t.try_into().ok()).map_or(0, Tag::from_le_bytes);
            self.answer(tag, &Rmsg::error(reason));
        }
        self.transmit();
        while let Some(event) = self.session.next_event() {
            match event {
                Event::Start { ticket, kept } => {
                    let reply = self.call(&kept);
                    if self.session.finish(ticket).is_some() {
                        self.answers.push_back(reply);
                    }
                }
                Event::Interrupt(_) => {}
                Event::Reset => self.end(),
            }
            self.transmit();
        }
    }

    /// A request's portal call, and the reply on the wire.
    fn call(&self, frame: &[u8]) -> Vec<u8> {
        let Ok((tag, t)) = Tmsg::decode(frame) else { return Vec::new() };
        let msize = self.session.msize().unwrap_or(LIMITS.msize) as usize;
        let mut activation = self.activation.borrow_mut();
        let Activation { page, window, held } = &mut *activation;
        let t = match t {
            Tmsg::Tread { fid, offset, count } => {
                Tmsg::Tread { fid, offset, count: count.min((msize - HEAD - 4) as u32) }
            }
            other => other,
        };
        window.clear();
        match &t {
            Tmsg::Twrite { data, .. } => window.extend_from_slice(data),
            Tmsg::Tread { count, .. } => window.resize(*count as usize, 0),
            _ => {}
        }
        let Ok(request) = ninep::portal::request(tag, &t, page) else {
            return encode(tag, &Rmsg::error(Error::BadMessage));
        };
        let request = Request { session: self.number, ..request };
        let answer = self.portal.call(&request, page, window, held, &NoWake);
        let data = named(&answer, held).unwrap_or(window);
        let reply = match ninep::portal::rmsg(&answer, page, data) {
            Ok(r) => encode(tag, &r),
            Err(_) => encode(tag, &Rmsg::error(Error::BadReply)),
        };
        if reply.len() > msize { encode(tag, &Rmsg::error(Error::ShortBuffer)) } else { reply }
    }

    fn answer(&mut self, tag: Tag, r: &Rmsg<'_>) {
        self.answers.push_back(encode(tag, r));
    }

    /// The session's own answers, one by one.
    fn transmit(&mut self) {
        let mut room = [0; 256];
        let mut bytes = Vec::new();
        loop {
            let len = self.session.transmit(&mut room);
            if len == 0 {
                break;
            }
            bytes.extend_from_slice(&room[..len]);
        }
        while let Ok(Some(message)) = con9::link::take_message(&mut bytes) {
            self.answers.push_back(message);
        }
    }

    /// Ends the portal's session, as the kernel does at the last close.
    fn end(&self) {
        let mut activation = self.activation.borrow_mut();
        let Activation { page, window, held } = &mut *activation;
        let t = Tmsg::Tversion { msize: LIMITS.msize, version: "9P2000" };
        if let Ok(request) = ninep::portal::request(ninep::NOTAG, &t, page) {
            let request = Request { session: self.number, ..request };
            self.portal.call(&request, page, window, held, &NoWake);
        }
    }
}

/// The server's memory that an answer names.
fn named<'a>(answer: &Answer, held: &'a Held) -> Option<&'a [u8]> {
    if answer.op() != op::TREAD + 1 || answer.w1 == 0 {
        return None;
    }
    let memory = match held {
        Held::Page(page) => &page[..],
        Held::Text(text) => &text[..],
        Held::Nothing => &serve::ZERO_PAGE[..],
    };
    memory.get(answer.w1.checked_sub(memory.as_ptr() as u64)? as usize..)
}

fn encode(tag: Tag, r: &Rmsg<'_>) -> Vec<u8> {
    let mut out = vec![0; LIMITS.msize as usize];
    let len = r.encode(tag, &mut out).unwrap_or(0);
    out.truncate(len);
    out
}

impl Link for Caller {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.come.extend_from_slice(bytes);
        loop {
            let come = std::mem::take(&mut self.come);
            let len = match ninep::frame::next(&come, self.session.frame_max()) {
                Ok(ninep::frame::Frame::Whole { frame, .. }) => frame.len(),
                Ok(ninep::frame::Frame::Missing(_)) => {
                    self.come = come;
                    return Ok(());
                }
                Err(_) => {
                    self.closed = true;
                    return Ok(());
                }
            };
            self.message(&come[..len]);
            self.come = come[len..].to_vec();
        }
    }

    fn receive(&mut self, _: Duration) -> io::Result<Received> {
        Ok(match self.answers.pop_front() {
            Some(message) => Received::Message(message),
            None if self.closed => Received::Closed,
            None => {
                std::thread::sleep(Duration::from_millis(1));
                Received::Nothing
            }
        })
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.end();
    }
}
