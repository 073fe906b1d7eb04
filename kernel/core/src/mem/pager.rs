//! Paging: what a segment asks of its server, by the requests that every server knows.
//!
//! A page that is absent is a Tread by the thread that touched it, on its own time; whoever else touches it waits, and one
//! of those takes over if that thread leaves. No lock is held meanwhile, and the frames are the reader's until they are
//! the page's.

use super::frames;
use super::segment::{self, AROUND, Inner, Segment};
use super::space::PAGE64;
use super::state::{Event, State};
use crate::base::{Bytes, Held, Ref};
use crate::machine::{self, Frame};
use crate::msg::{Data, Result};
use crate::name::File;
use crate::session;
use crate::thread::{self, Doing, current_ref};
use abi::error::Error;
use abi::limit::{PAGE, STAT};
use abi::portal::op;

/// A file's version and length.
pub fn stat(file: &File) -> Result<(u32, u64)> {
    let mut record = Bytes::zeroed(STAT)?;
    let n = usize::try_from(file.stat(Data::ToKernel(&mut record))?).unwrap_or(0);
    let record = record.get(..n).unwrap_or(&[]);
    // stat(5): size, type, dev, qid (kind, vers, path), mode, atime, mtime, length.
    let vers = record.get(9..13).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes);
    let length = record.get(33..41).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes);
    let length = length.filter(|&l| i64::try_from(l).is_ok());
    Ok((vers.ok_or(Error::BadReply)?, length.ok_or(Error::BadReply)?))
}

/// Frames that are on their way to become pages.
struct Batch {
    frames: [Frame; AROUND as usize],
    count: usize,
}

impl Batch {
    /// At least one, at most so many.
    fn new(want: usize) -> Result<Batch> {
        let mut b = Batch { frames: [Frame(0); AROUND as usize], count: 0 };
        for slot in b.frames.iter_mut().take(want) {
            match frames::zeroed() {
                Ok(f) => *slot = f,
                Err(e) if b.count == 0 => return Err(e),
                Err(_) => break,
            }
            b.count = b.count.saturating_add(1);
        }
        Ok(b)
    }

    fn get(&self) -> &[Frame] {
        self.frames.get(..self.count).unwrap_or(&[])
    }
}

/// Sees to it that a page is here, or that it is worth another look. `file` is read, or what the segment has to read by.
#[inline(never)]
pub fn page_in(segment: &Segment, page: u64, file: Option<&Ref<File>>) -> Result<()> {
    let inner = segment.inner.lock();
    match inner.pages.get(page).0 {
        State::Absent => {}
        State::Reading | State::Stale => return wait(segment, inner),
        _ => return Ok(()),
    }
    let (first, last) = block(&inner, page);
    drop(inner);
    // With the lock free, so that other pages of this segment can make room.
    let batch = Batch::new(last.saturating_sub(first) as usize)?;
    let mut inner = segment.inner.lock();
    let file = file.or(inner.reader.as_ref()).cloned();
    let (first, last) = block(&inner, page);
    let ready = inner.pages.get(page).0 == State::Absent && inner.pages.reserve(page).is_ok();
    let Some(file) = file.filter(|_| ready) else {
        // Somebody else was first, or there is no memory: the next touch tells.
        batch.get().iter().for_each(|&f| frames::free(f));
        return if inner.pages.get(page).0 == State::Absent { Err(Error::NoMemory.into()) } else { Ok(()) };
    };
    // With fewer frames than pages the block begins at the page itself.
    let all = batch.count as u64 >= last.saturating_sub(first);
    let first = if all { first } else { page };
    let last = last.min(first.saturating_add(batch.count as u64));
    for p in first..last {
        inner.pages.event(p, Event::Fetch, Frame(0));
    }
    let length = inner.length.min(last.saturating_mul(PAGE64));
    drop(inner);
    let start = first.saturating_mul(PAGE64);
    let read = fetch(&file, start, length, batch.get());
    let mut inner = segment.inner.lock();
    for (p, &frame) in (first..).zip(batch.get()) {
        // Whole pages that have come, and the last with its tail of zeroes.
        let came = read.is_ok_and(|end| p.saturating_mul(PAGE64) < end);
        let event = if came { Event::Fetched } else { Event::NotFetched };
        let after = (p < last).then(|| inner.pages.event(p, event, frame)).flatten();
        if after.is_none_or(|(s, _)| !s.here()) {
            frames::free(frame);
        }
    }
    if let Ok(end) = read
        && end < length
    {
        // The file has become shorter.
        inner.length = inner.length.min(end);
    }
    inner.wake();
    drop(inner);
    read.map(drop)
}

/// The absent pages around one, at most [`AROUND`].
fn block(inner: &Inner, page: u64) -> (u64, u64) {
    let begin = page & !(AROUND - 1);
    let end = begin.saturating_add(AROUND).min(inner.length.div_ceil(PAGE64)).max(page.saturating_add(1));
    let absent = |p: &u64| inner.pages.get(*p).0 == State::Absent;
    let first = (begin..page).rev().take_while(absent).last().unwrap_or(page);
    let last = (page..end).take_while(absent).last().unwrap_or(page);
    (first, last.saturating_add(1))
}

/// Reads from a place in a file up to another into frames: up to where there were bytes. A short read is not the end.
fn fetch(file: &File, start: u64, end: u64, frames: &[Frame]) -> Result<u64> {
    let mut at = start;
    while at < end {
        let skip = at.saturating_sub(start) as usize;
        let mut m = file.message(op::TREAD);
        m.offset = at;
        m.count = u32::try_from(end.saturating_sub(at)).unwrap_or(0);
        m.data = Data::Frames(frames, skip);
        let n = session::call(&file.session, &mut m)?.count;
        if n == 0 {
            break;
        }
        at = at.saturating_add(u64::from(n));
    }
    zero_tail(frames, at.saturating_sub(start) as usize);
    Ok(at)
}

/// A server may write more into what it is lent than it says.
fn zero_tail(frames: &[Frame], from: usize) {
    let zeroes = [0u8; 64];
    let Some(&frame) = frames.get(from / PAGE) else { return };
    let mut at = from % PAGE;
    while at != 0 && at < PAGE {
        let n = zeroes.len().min(PAGE.saturating_sub(at));
        machine::write_frame(frame, at, zeroes.get(..n).unwrap_or(&[]));
        at = at.saturating_add(n);
    }
}

/// Waits until a page that is under way has come, or has not.
#[cold]
fn wait(segment: &Segment, mut inner: Held<'_, Inner>) -> Result<()> {
    let me = current_ref();
    inner.waiters.push(me.clone());
    drop(inner);
    let waited = thread::wait(Doing::Page, u64::MAX);
    segment.inner.lock().waiters.remove(&me);
    waited
}

/// How often `torture=evict` on the boot line evicts every page that can be, in nanoseconds.
const TORTURE: u64 = 3_000_000;

/// The life of the thread that does so.
pub(crate) extern "C" fn torture(_: usize) -> ! {
    crate::sched::arrive();
    loop {
        thread::park(machine::now().saturating_add(TORTURE));
        segment::evict(usize::MAX);
    }
}
