//! Lending: for one call, whole pages of the caller appear in the activation's window.
//!
//! The window begins with two pages of the activation's own. A payload that is lent begins in the second of them, if its
//! head is no whole page, or right behind it; its whole pages follow; its tail lies in the first page, which appears
//! once more behind them. Heads and tails are copied.
//!
//! When a caller leaves, its pages in the window are replaced at once by the activation's own first page, also in the
//! windows to which the handler has lent them on; then every CPU forgets them, and a CPU that copies has finished
//! before it does. So nothing can write to a page of a caller that is gone.

use super::act::Act;
use super::payload::{self, Source};
use crate::base::Ref;
use crate::counters;
use crate::machine::{Frame, Rights};
use crate::mem::fault::Access;
use crate::mem::{Space, frames};
use crate::msg::{Data, Msg, Result, UserBuf};
use crate::thread::{Thread, current};
use abi::error::Error;
use abi::limit::{COPY, IO, PAGE};
use abi::portal::Term;
use core::sync::atomic::Ordering;

const PAGE64: u64 = PAGE as u64;

/// What is lent to an activation.
pub(crate) struct Lent {
    /// Whole pages; they begin at page 2 of the window.
    pages: u64,
    /// Address of the first of them in the caller's memory.
    from: u64,
    /// Bytes before and after them.
    head: usize,
    tail: usize,
    /// Is anything lent?
    on: bool,
    /// The caller gives it: the server may have its whole pages.
    gives: bool,
    /// The caller's memory, which keeps its attachments meanwhile; none for pages of a segment.
    space: Option<Ref<Space>>,
}

impl Lent {
    pub(crate) const fn none() -> Lent {
        Lent { pages: 0, from: 0, head: 0, tail: 0, on: false, gives: false, space: None }
    }
}

fn window_page(act: &Act, i: u64) -> u64 {
    act.window_address().wrapping_add(i.wrapping_add(2).wrapping_mul(PAGE64))
}

/// Lends a buffer of the current thread's memory: the payload's address in the server. The message's count may become
/// smaller.
#[inline(never)]
pub(super) fn lend(act: &Act, m: &mut Msg<'_>, b: UserBuf, write: bool) -> Result<u64> {
    let len = b.len.min(m.count as usize).min(IO);
    m.count = len as u32;
    b.addr.checked_add(len as u64).ok_or(Error::BadAddress)?;
    let skew = b.addr & (PAGE64 - 1);
    let head = if skew == 0 { 0 } else { (PAGE64.wrapping_sub(skew) as usize).min(len) };
    let rest = len.saturating_sub(head);
    let (pages, tail) = ((rest / PAGE) as u64, rest & (PAGE - 1));
    let from = b.addr.wrapping_add(head as u64);
    let space = match &current().act {
        Some(mine) => mine.portal.space.clone(),
        None => current().proc.space().ok_or(Error::BadAddress)?,
    };
    if !write {
        payload::from_user(act, PAGE.wrapping_add(skew as usize), UserBuf { addr: b.addr, len: head })?;
        let at = from.wrapping_add(pages.wrapping_mul(PAGE64));
        payload::from_user(act, 0, UserBuf { addr: at, len: tail })?;
    }
    space.lending(true);
    let gives = !write && m.a == Term::Give as u8;
    *act.lent.lock() = Lent { pages, from, head, tail, on: true, gives, space: Some(space.clone()) };
    // To bring a page of the caller's may be a call, while this one has its activation.
    let outer = current().holds.swap(true, Ordering::Relaxed);
    let mapped = map(act, &space, pages, from, write);
    current().holds.store(outer, Ordering::Relaxed);
    if let Err(e) = mapped {
        clear(act);
        return Err(e);
    }
    Ok(if head == 0 { window_page(act, 0) } else { window_page(act, 0).wrapping_sub(head as u64) })
}

fn map(act: &Act, space: &Space, pages: u64, from: u64, write: bool) -> Result<()> {
    let (access, rights) = if write { (Access::Write, Rights::Write) } else { (Access::Read, Rights::Read) };
    let server = &act.portal.space;
    for i in 0..pages {
        let frame = space.hold(from.wrapping_add(i.wrapping_mul(PAGE64)), access)?;
        if !server.lend(window_page(act, i), frame, rights) {
            frames::release(frame);
            return Err(Error::NoMemory.into());
        }
        counters::LENT.up();
    }
    let [first, _] = act.window;
    if !server.lend(window_page(act, pages), first, Rights::Write) {
        return Err(Error::NoMemory.into());
    }
    Ok(())
}

/// Lends pages of a segment; the message's count may become smaller.
#[inline(never)]
pub(super) fn lend_frames(act: &Act, m: &mut Msg<'_>, frames: &[Frame], write: bool) -> Result<u64> {
    let len = frames.len().saturating_mul(PAGE).min(m.count as usize).min(IO);
    m.count = len as u32;
    let pages = len.div_ceil(PAGE);
    *act.lent.lock() = Lent { pages: pages as u64, on: true, ..Lent::none() };
    let rights = if write { Rights::Write } else { Rights::Read };
    for (i, &frame) in frames.iter().take(pages).enumerate() {
        let lent = frames::share(frame).is_ok();
        if !lent || !act.portal.space.lend(window_page(act, i as u64), frame, rights) {
            if lent {
                frames::release(frame);
            }
            clear(act);
            return Err(Error::NoMemory.into());
        }
        counters::LENT.up();
    }
    Ok(window_page(act, 0))
}

/// In a handler: puts whole pages of the payload, if its writer gives it, in the place of the server's own at `to`; they
/// begin `offset` bytes into it. How many bytes; the others are to be copied.
#[cold]
#[inline(never)]
pub(crate) fn take_payload(to: UserBuf, offset: u64) -> Result<usize> {
    let Some(act) = &current().act else { return Err(Error::NotOwn.into()) };
    let lent = act.lent.lock();
    let skip = offset.checked_sub(lent.head as u64).filter(|s| (s | to.addr).is_multiple_of(PAGE64));
    let (skip, space) = skip.zip(lent.space.as_ref().filter(|_| lent.gives)).ok_or(Error::NotOwn)?;
    let (first, mut done) = (skip / PAGE64, 0u64);
    while done < ((to.len / PAGE) as u64).min(lent.pages.saturating_sub(first)) {
        let from = lent.from.wrapping_add(first.wrapping_add(done).wrapping_mul(PAGE64));
        let at = to.addr.wrapping_add(done.wrapping_mul(PAGE64));
        if space.hand_over(from, &act.portal.space, at).is_err() {
            break;
        }
        counters::GIVEN.up();
        done = done.saturating_add(1);
    }
    Ok((done as usize).saturating_mul(PAGE))
}

/// Is the answer's data, if it is at the payload, in the caller's memory already?
#[inline]
pub(super) fn in_place(act: &Act) -> bool {
    act.lent.lock().on
}

/// Fetches the head and the tail of data that the server put at the payload.
pub(super) fn fetch_ends(act: &Act, to: UserBuf, count: usize) -> Result<()> {
    let (head, tail, pages) = {
        let l = act.lent.lock();
        (l.head.min(count), l.tail, l.pages)
    };
    let portal = &act.portal;
    let start = window_page(act, 0).wrapping_sub(act.lent.lock().head as u64);
    Source::new(portal, start).give_user(UserBuf { addr: to.addr, len: head })?;
    let before = act.lent.lock().head.saturating_add((pages as usize).saturating_mul(PAGE));
    let rest = count.saturating_sub(before).min(tail);
    let addr = to.addr.wrapping_add(before as u64);
    Source::new(portal, window_page(act, pages)).give_user(UserBuf { addr, len: rest })
}

/// The call is over: what was lent goes. Nothing was unless the count, as it is since the request was made, is above
/// what is copied; a short call need not look.
#[inline(always)]
pub(super) fn end(act: &Act, m: &Msg<'_>) {
    if m.count as usize > COPY && matches!(m.data, Data::ToUser(_) | Data::FromUser(_) | Data::Frames(..)) {
        clear(act);
    }
}

/// Frames that have been taken out of a server's window, and are let go once no CPU knows them there any more.
struct Taken<'a> {
    act: &'a Act,
    count: usize,
    frames: [Frame; 32],
}

impl<'a> Taken<'a> {
    fn new(act: &'a Act) -> Taken<'a> {
        Taken { act, count: 0, frames: [Frame(0); 32] }
    }

    /// Takes page `i` out. The activation's own first page, which may stand there too, stays what it is.
    fn take(&mut self, i: u64) {
        let [own, _] = self.act.window;
        let Some(frame) = self.act.portal.space.unlend(window_page(self.act, i)).filter(|&f| f != own) else {
            return;
        };
        if self.count == self.frames.len() {
            self.finish();
        }
        if let Some(slot) = self.frames.get_mut(self.count) {
            *slot = frame;
            self.count = self.count.saturating_add(1);
        }
    }

    fn finish(&mut self) {
        self.act.portal.space.forget();
        self.frames.iter().take(self.count).for_each(|&f| frames::release(f));
        counters::LENT.sink(self.count as u64);
        self.count = 0;
    }
}

/// Takes what is lent, or what has replaced it, out of the window.
pub(super) fn clear(act: &Act) {
    let lent = core::mem::replace(&mut *act.lent.lock(), Lent::none());
    if !lent.on {
        return;
    }
    let mut taken = Taken::new(act);
    (0..=lent.pages).for_each(|i| taken.take(i));
    taken.finish();
    if let Some(space) = lent.space {
        space.lending(false);
    }
}

/// The caller of an activation leaves: replaces all that it has lent.
pub(super) fn replace(x: &Ref<Thread>) {
    let Some(act) = &x.act else { return };
    let mut lent = act.lent.lock();
    if !lent.on {
        return;
    }
    // The activation's own memory stands in, and is taken out when the handler ends: if that is now, it waits for the
    // lock, and nothing is put where it has taken out.
    act.portal.space.lending(true);
    lent.gives = false;
    let space = lent.space.replace(act.portal.space.clone());
    replace_range(x, 0, lent.pages);
    drop(lent);
    if let Some(space) = space {
        space.lending(false);
    }
}

/// Replaces whole pages `from..to` of what is lent to an activation, here and where the handler has lent them on.
fn replace_range(x: &Ref<Thread>, from: u64, to: u64) {
    let Some(act) = &x.act else { return };
    let [first, _] = act.window;
    let mut taken = Taken::new(act);
    for i in from..to {
        taken.take(i);
        // It was mapped, so there are tables for it.
        act.portal.space.lend(window_page(act, i), first, Rights::Write);
    }
    taken.finish();
    let inner = x.call.lock();
    let Some(y) = &*inner else { return };
    let Some(next) = &y.act else { return };
    let (begin, count) = {
        let l = next.lent.lock();
        (l.from, if l.on { l.pages } else { 0 })
    };
    // Which of the inner call's pages are among these?
    let low = window_page(act, from).max(begin);
    let high = window_page(act, to).min(begin.wrapping_add(count.wrapping_mul(PAGE64)));
    if low < high {
        let first = low.wrapping_sub(begin) / PAGE64;
        let last = high.wrapping_sub(begin).wrapping_add(PAGE64 - 1) / PAGE64;
        replace_range(y, first, last.min(count));
    }
}
