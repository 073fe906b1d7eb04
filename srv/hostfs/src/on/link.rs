//! [`Link`]: requests to the device, several at once, each with buffers that the device may know.
//!
//! A handler takes a [`Job`], which is a place for one request and its answer, sends, and sleeps until the process that
//! waits for the device's interrupts has found the answer. A handler that is interrupted leaves its job: the place, and
//! the fid that the request may have made, are free again only when the answer has come, so that neither a tag nor a
//! fid is used twice.
//!
//! Data never moves inside a buffer: an answer's or a request's head is put right before the page where its data begins.
//!
//! Locks: `device` is held while a queue is looked after, never while somebody waits.
#![allow(unsafe_code, reason = "makes slices of buffers that the device gave back")]

use core::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use hostfs::errors;
use ninep::dialect::l::{Rmsg, Tmsg};
use ninep::{Ask, Effect, Name, Names};
use portolan::abi::limit::PAGE;
use portolan::alloc::boxed::Box;
use portolan::alloc::vec::Vec;
use portolan::{Mutex, sys};
use serve::{Error, Fail, Qid, Result};
use virtio::{Device, Feature, Machine, Memory, SomeTransport, Transport, VirtQueue};

/// Requests in flight.
const JOBS: usize = 16;
/// Those of them that move more than a page.
const LARGE: usize = 4;
/// Each request is two pieces of memory to the queue: what is sent, and room for the answer.
const QUEUE: usize = 2 * JOBS;
/// The device has one queue.
const FIRST: u16 = 0;
/// Pages that the queue itself takes of the memory, at most.
const QUEUE_PAGES: usize = 4;
/// Bytes before the data of an Rread or Rreaddir, and of a Twrite.
const READ_HEAD: usize = 11;
const WRITE_HEAD: usize = 23;
/// What the largest message has besides data, as 9P counts it.
const IOHDR: u32 = 24;
/// The number of Rwalk: the one answer that makes a fid, but for that of the attach.
const RWALK: u8 = 111;
const RATTACH: u8 = 105;

/// A piece of the driver's memory.
#[derive(Clone, Copy)]
struct Piece {
    at: usize,
    len: usize,
}

/// What is known of a request while its place is in use.
#[derive(Clone, Copy)]
struct Flight {
    sent: Piece,
    room: Piece,
    effect: Effect,
    /// Bytes of the answer, when it has come.
    answer: Option<usize>,
    /// Nobody waits for the answer.
    left: bool,
    large: Option<usize>,
}

struct Places {
    queue: VirtQueue<Machine, QUEUE>,
    transport: SomeTransport<'static>,
    free: Vec<usize>,
    free_large: Vec<usize>,
    flights: [Option<Flight>; JOBS],
    /// Whose request has a descriptor of the queue as its first.
    owner: [usize; QUEUE],
    fids: Vec<u32>,
    next_fid: u32,
}

/// The device.
pub(super) struct Link {
    device: Mutex<Places>,
    /// How many places are free.
    free: AtomicI32,
    free_large: AtomicI32,
    /// Nobody waits for interrupts yet: whoever wants an answer looks for it.
    polls: AtomicBool,
    /// One for each place: released when its answer has come.
    done: [AtomicI32; JOBS],
    /// Two pages for each place, then the large buffers.
    buffers: usize,
    /// Bytes of data that a large buffer takes.
    pub(super) data: usize,
}

fn acquire(sem: &AtomicI32) -> Result<()> {
    match sys::semacquire(sem, -1) {
        Some(1) => Ok(()),
        _ => Err(Error::Interrupted.into()),
    }
}

fn release(sem: &AtomicI32) {
    // Fails only for a bad address.
    let _ = sys::semrelease(sem, 1);
}

impl Link {
    /// Resets the device and gives it a queue; `pages` is how much memory it may know.
    pub(super) fn new(mut device: Device, pages: usize) -> portolan::Result<&'static Link> {
        let wrong = |e| portolan::Error::of("virtio", e);
        // Reset comes first: the memory may be that of a driver that is gone.
        let _ = device.transport.begin_init(Feature::VERSION_1);
        let memory = Memory::attach(pages)?;
        let queue = VirtQueue::new(&mut device.transport, FIRST, false, false).map_err(wrong)?;
        device.transport.finish_init();
        let each = (pages - QUEUE_PAGES - 2 * JOBS) / LARGE;
        let cut = memory.cut(2 * JOBS + LARGE * each).ok_or(portolan::Error::new("too little memory"))?;
        let places = Places {
            queue,
            transport: device.transport,
            free: (0..JOBS).collect(),
            free_large: (0..LARGE).collect(),
            flights: [None; JOBS],
            owner: [0; QUEUE],
            fids: Vec::new(),
            next_fid: 0,
        };
        Ok(Box::leak(Box::new(Link {
            device: Mutex::new(places),
            free: AtomicI32::new(JOBS as i32),
            free_large: AtomicI32::new(LARGE as i32),
            polls: AtomicBool::new(true),
            done: [const { AtomicI32::new(0) }; JOBS],
            buffers: cut.as_ptr() as usize,
            data: (each - 1) * PAGE,
        })))
    }

    /// Somebody waits for interrupts from now on.
    pub(super) fn wait_from_now_on(&self) {
        self.polls.store(false, Ordering::Release);
    }

    /// The largest message.
    pub(super) fn msize(&self) -> u32 {
        self.data as u32 + IOHDR
    }

    fn small(&self, job: usize, answer: bool) -> Piece {
        Piece { at: self.buffers + (2 * job + usize::from(answer)) * PAGE, len: PAGE }
    }

    /// Where a large buffer's data begins; a page is free before it.
    fn large(&self, index: usize) -> usize {
        self.buffers + 2 * JOBS * PAGE + index * (self.data + PAGE) + PAGE
    }

    /// A place for a request; waits for one.
    pub(super) fn job(&'static self) -> Result<Job> {
        acquire(&self.free)?;
        Ok(self.taken(false))
    }

    /// A place if one is free.
    pub(super) fn job_at_once(&'static self) -> Option<Job> {
        (sys::semacquire(&self.free, 0) == Some(1)).then(|| self.taken(false))
    }

    /// A place for a request that moves data; waits for one unless told not to.
    pub(super) fn large_job(&'static self, waits: bool) -> Result<Option<Job>> {
        if waits {
            acquire(&self.free_large)?;
        } else if sys::semacquire(&self.free_large, 0) != Some(1) {
            return Ok(None);
        }
        if let Err(e) = acquire(&self.free) {
            release(&self.free_large);
            return Err(e);
        }
        Ok(Some(self.taken(true)))
    }

    fn taken(&'static self, large: bool) -> Job {
        let mut device = self.device.lock();
        // The semaphores count what is in the lists.
        let place = device.free.pop().unwrap_or(0);
        let large = if large { device.free_large.pop() } else { None };
        Job { link: self, place, large, waited: false }
    }

    /// A fid's number that is not in use.
    fn number(&self) -> u32 {
        let mut device = self.device.lock();
        device.fids.pop().unwrap_or_else(|| {
            device.next_fid += 1;
            device.next_fid - 1
        })
    }

    /// The root of what is shared.
    pub(super) fn attach(&'static self) -> Result<Fid> {
        let mut job = self.job()?;
        let fid = self.number();
        job.send(&Tmsg::Tattach { fid, afid: ninep::NOFID, uname: "", aname: "", n_uname: u32::MAX })?;
        job.made(fid)
    }

    /// A fid for a file of a directory, or with no name for the same file.
    pub(super) fn walk(&'static self, from: &Fid, name: Option<&str>) -> Result<Fid> {
        let mut job = self.job()?;
        let newfid = job.send_walk(from, name)?;
        job.made(newfid)
    }

    /// A fid for a file of a directory, and the host's qid of it.
    pub(super) fn step(&'static self, from: &Fid, name: &str) -> Result<(Fid, Qid)> {
        let mut job = self.job()?;
        let number = job.send_walk(from, Some(name))?;
        let qid = match job.wait()? {
            Rmsg::Rwalk { wqid } => wqid.iter().last().unwrap_or_default(),
            _ => return Err(Error::BadReply.into()),
        };
        Ok((Fid { link: self, number }, qid))
    }

    /// Sends a request and makes something of its answer.
    pub(super) fn ask<T>(
        &'static self,
        t: &Tmsg<'_>,
        take: impl FnOnce(&Rmsg<'_>) -> Option<T>,
    ) -> Result<T> {
        let mut job = self.job()?;
        job.send(t)?;
        take(&job.wait()?).ok_or(Fail::Error(Error::BadReply))
    }

    /// The device has interrupted: what it has answered is told to those who wait.
    pub(super) fn answered(&self) {
        let mut guard = self.device.lock();
        let device = &mut *guard;
        device.transport.ack_interrupt();
        while let Some(token) = device.queue.peek_used() {
            let Some(&place) = device.owner.get(usize::from(token)) else { return };
            let Some(Some(mut flight)) = device.flights.get(place).copied() else { return };
            // SAFETY: these are the pieces that were added with this token.
            let len = unsafe {
                let (sent, room) = (bytes(flight.sent), bytes(flight.room));
                device.queue.pop_used(token, &[sent], &mut [room])
            };
            let Ok(len) = len else { return };
            flight.answer = Some((len as usize).min(flight.room.len));
            self.settle(device, place, flight);
        }
    }

    /// An answer has come: the number of a fid that it ends is free, and somebody waits, or nobody.
    fn settle(&self, device: &mut Places, place: usize, mut flight: Flight) {
        if let Some(fid) = flight.effect.creates {
            // SAFETY: the device has given the room back.
            let kind = unsafe { bytes(flight.room) }.get(4).copied();
            if !matches!(kind, Some(RWALK | RATTACH)) {
                device.fids.push(fid);
                flight.effect.creates = None;
            }
        }
        device.fids.extend(flight.effect.ends);
        if flight.left {
            return self.leave(device, place, flight);
        }
        if let (Some(slot), Some(done)) = (device.flights.get_mut(place), self.done.get(place)) {
            *slot = Some(flight);
            release(done);
        }
    }

    /// Nobody wants an answer that has come: a file that it made is let go of, in the same place.
    fn leave(&self, device: &mut Places, place: usize, flight: Flight) {
        let Some(fid) = flight.effect.creates else { return self.free(device, place, flight.large) };
        let t = Tmsg::Tclunk { fid };
        let (sent, room) = (self.small(place, false), self.small(place, true));
        // SAFETY: the place's own buffer, which the device has given back.
        let len = t.encode(place as u16, unsafe { bytes(sent) }).unwrap_or(0);
        let sent = Piece { len, ..sent };
        device.post(place, Flight { sent, room, effect: t.effect(), answer: None, left: true, ..flight });
    }

    fn free(&self, device: &mut Places, place: usize, large: Option<usize>) {
        if let (Some(slot), Some(done)) = (device.flights.get_mut(place), self.done.get(place)) {
            *slot = None;
            done.store(0, Ordering::Relaxed);
        }
        device.free.push(place);
        release(&self.free);
        if let Some(large) = large {
            device.free_large.push(large);
            release(&self.free_large);
        }
    }
}

/// The bytes of a piece.
///
/// # Safety
/// The piece is whole in the link's memory, the device does not have it, and nobody else uses it meanwhile.
unsafe fn bytes(piece: Piece) -> &'static mut [u8] {
    // SAFETY: as the caller says; the memory is attached and initialised for as long as the process lives.
    unsafe { core::slice::from_raw_parts_mut(piece.at as *mut u8, piece.len) }
}

impl Places {
    /// Gives a request to the device.
    fn post(&mut self, place: usize, flight: Flight) {
        // SAFETY: the pieces stay where they are and are the device's until it has answered: a place is free only then.
        let token = unsafe { self.queue.add(&[bytes(flight.sent)], &mut [bytes(flight.room)]) };
        // The queue has room for every place.
        let Ok(token) = token else { return };
        if let (Some(owner), Some(slot)) =
            (self.owner.get_mut(usize::from(token)), self.flights.get_mut(place))
        {
            *owner = place;
            *slot = Some(flight);
        }
        if self.queue.should_notify() {
            self.transport.notify(FIRST);
        }
    }
}

/// A file that the host knows by number. Dropping it lets go of the file.
pub(super) struct Fid {
    link: &'static Link,
    number: u32,
}

impl Fid {
    /// Its number.
    pub(super) const fn number(&self) -> u32 {
        self.number
    }

    /// Its link.
    pub(super) const fn link(&self) -> &'static Link {
        self.link
    }
}

impl Drop for Fid {
    fn drop(&mut self) {
        // An interrupted wait is taken up again: the fid has to go.
        let mut job = loop {
            if let Ok(job) = self.link.job() {
                break job;
            }
        };
        // Nobody waits for the answer. A message this short always fits.
        let _ = job.send(&Tmsg::Tclunk { fid: self.number });
    }
}

/// A place for one request and its answer.
pub(super) struct Job {
    link: &'static Link,
    place: usize,
    large: Option<usize>,
    /// The answer has been seen.
    waited: bool,
}

impl Job {
    /// Sends a request.
    pub(super) fn send(&mut self, t: &Tmsg<'_>) -> Result<()> {
        let room = self.link.small(self.place, true);
        self.send_for(t, room)
    }

    fn send_for(&mut self, t: &Tmsg<'_>, room: Piece) -> Result<()> {
        let sent = self.link.small(self.place, false);
        // SAFETY: the place's own buffer, and nothing is in flight from it.
        let len = t.encode(self.place as u16, unsafe { bytes(sent) }).map_err(|_| Error::NameTooLong)?;
        self.post(Piece { len, ..sent }, room, t.effect());
        Ok(())
    }

    fn post(&mut self, sent: Piece, room: Piece, effect: Effect) {
        let flight = Flight { sent, room, effect, answer: None, left: false, large: self.large };
        self.link.device.lock().post(self.place, flight);
    }

    /// Sends a walk; the number of the fid that it makes.
    pub(super) fn send_walk(&mut self, from: &Fid, name: Option<&str>) -> Result<u32> {
        let list = [Name::new(name.unwrap_or(".")).map_err(|_| Error::NotExist)?];
        let list = if name.is_some() { &list[..] } else { &[] };
        let wname = Names::new(list).map_err(|_| Error::NotExist)?;
        let newfid = self.link.number();
        self.send(&Tmsg::Twalk { fid: from.number, newfid, wname })?;
        Ok(newfid)
    }

    /// Waits for the fid that was to be made.
    pub(super) fn made(mut self, number: u32) -> Result<Fid> {
        self.wait()?;
        Ok(Fid { link: self.link, number })
    }

    /// Sends a Tread for up to a large buffer's bytes.
    pub(super) fn send_read(&mut self, fid: &Fid, offset: u64, count: usize) -> Result<()> {
        let Some(large) = self.large else { return Err(Error::BadArg.into()) };
        let count = count.min(self.link.data);
        let room = Piece { at: self.link.large(large) - READ_HEAD, len: READ_HEAD + count };
        self.send_for(&Tmsg::Tread { fid: fid.number, offset, count: count as u32 }, room)
    }

    /// Where the data of a Twrite goes.
    pub(super) fn outgoing(&mut self, len: usize) -> &mut [u8] {
        let len = len.min(self.link.data);
        match self.large {
            // SAFETY: the job's own large buffer, and nothing is in flight from it.
            Some(large) => unsafe { bytes(Piece { at: self.link.large(large), len }) },
            None => &mut [],
        }
    }

    /// Sends a Twrite of the first `len` bytes of [`Job::outgoing`]. Written by hand: the codec would copy them.
    pub(super) fn send_write(&mut self, fid: &Fid, offset: u64, len: usize) {
        let Some(large) = self.large else { return };
        let sent = Piece { at: self.link.large(large) - WRITE_HEAD, len: WRITE_HEAD + len };
        let effect = Tmsg::Twrite { fid: fid.number, offset, data: &[] }.effect().with_most(len);
        // SAFETY: the job's own large buffer with the bytes before it, and nothing is in flight from it.
        let head = unsafe { bytes(Piece { len: WRITE_HEAD, ..sent }) };
        let fields: [&[u8]; 6] = [
            &(sent.len as u32).to_le_bytes(),
            &[effect.op],
            &(self.place as u16).to_le_bytes(),
            &fid.number.to_le_bytes(),
            &offset.to_le_bytes(),
            &(len as u32).to_le_bytes(),
        ];
        for (to, &from) in head.iter_mut().zip(fields.into_iter().flatten()) {
            *to = from;
        }
        self.post(sent, self.link.small(self.place, true), effect);
    }

    /// Waits for the answer. An error of the host's is an error here.
    pub(super) fn wait(&mut self) -> Result<Rmsg<'_>> {
        let done = self.link.done.get(self.place).ok_or(Error::BadArg)?;
        while self.link.polls.load(Ordering::Acquire) {
            self.link.answered();
            if done.load(Ordering::Acquire) > 0 {
                break;
            }
            let _ = sys::sleep(0);
        }
        acquire(done)?;
        self.waited = true;
        let flight = self.link.device.lock().flights.get(self.place).copied().flatten();
        let Some(Flight { room, effect, answer: Some(len), .. }) = flight else {
            return Err(Error::BadReply.into());
        };
        // SAFETY: the answer has come, so the device has given the room back; it is this job's until that is dropped.
        let frame = unsafe { bytes(Piece { len, ..room }) };
        let (tag, r) = Rmsg::decode(frame).map_err(|_| Error::BadReply)?;
        if usize::from(tag) != self.place || effect.check(&r).is_err() {
            return Err(Error::BadReply.into());
        }
        match r {
            Rmsg::Rlerror { ecode } => Err(errors::fail(ecode)),
            r => Ok(r),
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let mut guard = self.link.device.lock();
        let device = &mut *guard;
        match device.flights.get_mut(self.place) {
            Some(Some(flight)) if flight.answer.is_none() => flight.left = true,
            Some(&mut Some(flight)) if !self.waited => self.link.leave(device, self.place, flight),
            _ => self.link.free(device, self.place, self.large),
        }
    }
}
