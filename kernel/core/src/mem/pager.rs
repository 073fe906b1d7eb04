//! Paging: what a segment asks of its server, by the requests that every server knows.
//!
//! A page that is absent is a Tread by the thread that touched it, on its own time; whoever else touches it waits, and one
//! of those takes over if that thread leaves. No lock is held meanwhile, and the frames are the reader's until they are
//! the page's.

use super::fault::Access;
use super::frames::{self, For};
use super::segment::{self, AROUND, Inner, Segment};
use super::shootdown;
use super::space::PAGE64;
use super::state::{Event, State};
use crate::base::{Held, List, Ref};
use crate::counters;
use crate::machine::{self, Frame};
use crate::msg::{Data, Result, UserBuf};
use crate::name::File;
use crate::session;
use crate::thread::{self, Doing, current_ref};
use abi::error::Error;
use abi::limit::{IO, PAGE, STAT};
use abi::portal::{Term, op};
use core::sync::atomic::Ordering;

/// What is known of a server: nothing, or how it has answered a request for a page to be shared.
const UNKNOWN: u8 = 0;
const COPIES: u8 = 1;
const SHARES: u8 = 2;
/// The place of a frame that is not there.
const NONE: Frame = Frame(0);

/// A file's version and length.
pub fn stat(file: &File) -> Result<(u32, u64)> {
    let mut record = List::zeroed(STAT)?;
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
            match frames::zeroed(For::Program) {
                Ok(f) => *slot = f,
                Err(e) if b.count == 0 => return Err(e),
                Err(_) => break,
            }
            b.count = b.count.saturating_add(1);
        }
        Ok(b)
    }

    /// So many that are still to be found.
    fn places(count: u64) -> Batch {
        Batch { frames: [Frame(0); AROUND as usize], count: count.min(AROUND) as usize }
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
        State::Failed => return Err(Error::Died.into()),
        _ => return Ok(()),
    }
    let file = file.or(inner.reader.as_ref()).cloned();
    // The first write to a page that is shared needs memory, which a server must not wait for.
    let portal = file.as_ref().and_then(|f| f.session.portal()).filter(|_| !inner.is_wired());
    let shares = portal.map_or(COPIES, |p| p.shares.load(Ordering::Relaxed));
    // The first answer is only to tell.
    let block =
        |inner: &Inner| if shares == UNKNOWN { (page, page.saturating_add(1)) } else { block(inner, page) };
    let (first, last) = block(&inner);
    drop(inner);
    // With the lock free, so that other pages of this segment can make room.
    let mut batch = match (shares, last.saturating_sub(first)) {
        (COPIES, n) => Batch::new(n as usize)?,
        (_, n) => Batch::places(n),
    };
    let mut inner = segment.inner.lock();
    let (first, last) = block(&inner);
    let ready = inner.pages.get(page).0 == State::Absent && inner.pages.reserve(page).is_ok();
    let Some(file) = file.filter(|_| ready) else {
        // Somebody else was first, or there is no memory: the next touch tells.
        batch.get().iter().filter(|&&f| f != NONE).for_each(|&f| frames::free(f));
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
    let read = match shares {
        COPIES => fetch(&file, start, length, batch.get()),
        _ => share(&file, start, length, batch.frames.get_mut(..batch.count).unwrap_or(&mut [])),
    };
    let mut inner = segment.inner.lock();
    inner.shares |= shares != COPIES;
    let mut fetched = 0u64;
    for (p, &frame) in (first..).zip(batch.get()) {
        // Whole pages that have come, and the last with its tail of zeroes.
        let came = read.is_ok_and(|end| p.saturating_mul(PAGE64) < end);
        let event = if came { Event::Fetched } else { Event::NotFetched };
        let after = (p < last).then(|| inner.pages.event(p, event, frame)).flatten();
        if after.is_some_and(|(s, _)| s.here()) {
            fetched = fetched.wrapping_add(1);
        } else if frame != NONE {
            frames::free(frame);
        }
    }
    counters::FETCHED.rise(fetched);
    if let Ok(end) = read
        && end < length
    {
        // The file has become shorter.
        let length = inner.length.min(end);
        inner.set_length(length);
    }
    inner.wake();
    drop(inner);
    read.map(drop)
}

/// Reads from a place in a file up to another page by page, each to be shared by its server: up to where there were bytes.
/// Pages that it does not share are read into frames.
fn share(file: &File, start: u64, end: u64, pages: &mut [Frame]) -> Result<u64> {
    let mut at = start;
    for slot in pages {
        let to = end.min(at.saturating_add(PAGE64));
        if at >= to {
            break;
        }
        let came = match shared(file, at, to)? {
            Some(frame) => {
                *slot = frame;
                to
            }
            None => {
                *slot = frames::zeroed(For::Program)?;
                fetch(file, at, to, core::slice::from_ref(slot))?
            }
        };
        at = came;
        if at < to {
            break;
        }
    }
    Ok(at)
}

/// Asks for a page to be shared.
fn shared(file: &File, at: u64, to: u64) -> Result<Option<Frame>> {
    let mut page = None;
    let mut m = file.message(op::TREAD);
    (m.a, m.offset, m.count) = (Term::Share as u8, at, PAGE as u32);
    m.data = Data::Page(&mut page);
    let came = session::call(&file.session, &mut m)?.count;
    if let Some(portal) = file.session.portal() {
        let tells = if page.is_some() { SHARES } else { COPIES };
        // Once yes, ever yes: what it could not share was one page.
        portal.shares.fetch_max(tells, Ordering::Relaxed);
    }
    // A page is not put together.
    if at.saturating_add(u64::from(came)) < to {
        page.take().into_iter().for_each(frames::free);
    }
    Ok(page)
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
pub(super) fn fetch(file: &File, start: u64, end: u64, frames: &[Frame]) -> Result<u64> {
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

/// Writes every dirty page back: with the first that its server does not take it ends, and the pages stay. What is
/// written meanwhile may be written back or not.
#[inline(never)]
pub fn flush(segment: &Segment) -> Result<()> {
    let (mut at, mut any) = (0u64, false);
    loop {
        let mut inner = segment.inner.lock();
        let Some((first, _, _)) = inner.pages.next(at, |s| s == State::Dirty) else {
            if inner.pages.next(0, |s| matches!(s, State::Writing | State::WritingDirty)).is_some() {
                // Another thread writes; its word is not known here, so what it could not write is tried again.
                wait(segment, inner)?;
                at = 0;
                continue;
            }
            break;
        };
        any = true;
        let writer = inner.writer.clone().ok_or(Error::BadMode)?;
        let mut frames = [Frame(0); AROUND as usize];
        let mut last = first;
        for slot in &mut frames {
            let (state, frame) = inner.pages.get(last);
            if state != State::Dirty {
                break;
            }
            *slot = frame;
            inner.event(last, Event::Launder, frame);
            inner.unmap(last);
            last = last.saturating_add(1);
        }
        // Nobody writes to them unnoticed from here on, but those calls to which they are lent.
        shootdown::everywhere();
        let end = inner.length.min(last.saturating_mul(PAGE64));
        drop(inner);
        let done = store(&writer, first.saturating_mul(PAGE64), end, &frames);
        let mut inner = segment.inner.lock();
        for (p, &frame) in (first..last).zip(&frames) {
            if frames::shared(frame) {
                inner.event(p, Event::Write, frame);
            }
            inner.event(p, if done.is_ok() { Event::Laundered } else { Event::NotLaundered }, frame);
            if done == Err(Error::Died.into()) && inner.event(p, Event::Lose, frame).is_some() {
                inner.unmap(p);
                shootdown::everywhere();
                frames::free(frame);
            }
        }
        inner.wake();
        drop(inner);
        counters::LAUNDERED.rise(last.saturating_sub(first));
        done?;
        at = last;
    }
    let file = segment.inner.lock().writer.clone().filter(|_| any);
    if let Some(Ok((vers, _))) = file.map(|f| stat(&f)) {
        // The new version is of what is here.
        segment.inner.lock().vers = vers;
    }
    Ok(())
}

/// Writes frames to a place in a file, up to another.
pub(super) fn store(file: &File, start: u64, end: u64, frames: &[Frame]) -> Result<()> {
    let mut at = start;
    while at < end {
        let mut m = file.message(op::TWRITE);
        m.offset = at;
        m.count = u32::try_from(end.saturating_sub(at)).unwrap_or(0);
        m.data = Data::Frames(frames, at.saturating_sub(start) as usize);
        let n = session::call(&file.session, &mut m)?.count;
        if n == 0 {
            return Err(Error::Io.into());
        }
        at = at.saturating_add(u64::from(n));
    }
    Ok(())
}

/// Rows of frames that are looked up together: a file's pages are mostly in a few.
const ROWS: usize = 4;
/// Bytes that are copied at once after some had to be brought where they go to: so many are there together however little
/// memory there is, so each copy gets on.
const BROUGHT: usize = 16 * PAGE;

/// Reads from the pages of a file that has a segment, bringing those that are not here: how many bytes, as many as a server
/// would move at most; none without a segment, or beyond the file's end, where its server is to be asked.
#[inline(never)]
pub fn read(file: &Ref<File>, to: UserBuf, offset: u64) -> Result<Option<usize>> {
    let to = UserBuf { len: to.len.min(IO), ..to };
    let mut done = 0usize;
    // Without one, what is brought could be let go at once.
    let mut user = None;
    let mut most = IO;
    loop {
        let mut at = offset.saturating_add(done as u64);
        let mut rows = [(NONE, 0); ROWS];
        let left = segment::look(file, at, to.len.saturating_sub(done), &mut rows).unwrap_or(0);
        if left == 0 {
            return Ok((done != 0).then_some(done));
        }
        let end = done.saturating_add(left);
        for &(frame, pages) in &rows {
            let skip = (at % PAGE64) as usize;
            let row = (pages as usize).wrapping_mul(PAGE).saturating_sub(skip).min(end.wrapping_sub(done));
            if row == 0 {
                break;
            }
            let len = row.min(most);
            let addr = to.addr.wrapping_add(done as u64);
            if !machine::frame_to_user(frame, skip, UserBuf { addr, len }) {
                most = BROUGHT;
                bring(UserBuf { addr, len: len.min(most) }, Access::Write)?;
                // The pages may be others by now.
                break;
            }
            done = done.wrapping_add(len);
            at = at.wrapping_add(len as u64);
            if len < row {
                break;
            }
        }
        if done == to.len {
            return Ok(Some(done));
        }
        if let [(_, 0), ..] = &rows {
            user = user.or_else(|| segment::find(file));
            if let Some(user) = &user
                && let Err(e) = page_in(user.segment(), at / PAGE64, Some(file))
            {
                return if done > 0 { Ok(Some(done)) } else { Err(e) };
            }
        }
    }
}

fn bring(buf: UserBuf, access: Access) -> Result<()> {
    if crate::entry::bring(buf, access) { Ok(()) } else { Err(Error::BadAddress.into()) }
}

/// A request has written to the file: pages that are clean are old now, and in those that are dirty the same is written.
#[inline(never)]
pub fn written(segment: &Segment, from: UserBuf, offset: u64) -> Result<()> {
    let end = offset.saturating_add(from.len as u64);
    let pages = (offset / PAGE64, end.div_ceil(PAGE64));
    {
        let mut inner = segment.inner.lock();
        let length = inner.length.max(end);
        inner.set_length(length);
        inner.changed(pages.0, pages.1);
        if inner.dirty() == 0 {
            return Ok(());
        }
    }
    for page in pages.0..pages.1 {
        let start = page.saturating_mul(PAGE64).max(offset);
        let piece = UserBuf {
            addr: from.addr.wrapping_add(start.saturating_sub(offset)),
            len: (page.saturating_add(1).saturating_mul(PAGE64).min(end)).saturating_sub(start) as usize,
        };
        loop {
            // As in `read`, nobody holds it.
            let (state, frame) = segment.inner.lock().pages.get(page);
            if !state.here() || machine::frame_from_user(frame, (start % PAGE64) as usize, piece) {
                break;
            }
            bring(piece, Access::Read)?;
        }
    }
    Ok(())
}

/// How often `torture=evict` on the boot line evicts every page that can be, in nanoseconds.
const TORTURE: u64 = 3_000_000;

/// The life of the thread that does so.
pub(crate) extern "C" fn torture(_: usize) -> ! {
    crate::sched::arrive();
    loop {
        thread::park(machine::now().saturating_add(TORTURE));
        segment::evict(usize::MAX);
        super::swap::ask();
    }
}
