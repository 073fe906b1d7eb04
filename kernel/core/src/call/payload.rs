//! Moving a request's bytes to the server, and an answer's to the caller.
//!
//! Short payloads are copied by the kernel: of a Twrite into the activation's window, of a Tread from wherever the
//! server says straight to where the caller wants them, once. Longer ones are lent, see [`super::lend`]. The caller's
//! memory is used by its addresses, since its space is loaded; the server's by its frames, which stay what they are
//! because nothing here spins, switches or leaves the kernel in between.

use super::act::Act;
use super::lend;
use super::portal::Portal;
use crate::base::Ref;
use crate::entry;
use crate::machine::{self, Frame};
use crate::mem::fault::Access;
use crate::msg::{Data, Msg, Result, UserBuf};
use crate::session::Session;
use abi::error::Error;
use abi::limit::{COPY, PAGE};
use abi::portal::{Request, op};
use core::sync::atomic::Ordering;

/// Puts a request where the server finds it: the words to enter with.
#[inline(always)]
pub(super) fn request(session: &Ref<Session>, act: &Act, m: &mut Msg<'_>) -> Result<Request> {
    if !m.body.is_empty() {
        if m.body.len() > PAGE {
            return Err(Error::NameTooLong.into());
        }
        machine::write_frame(act.page, 0, m.body);
    }
    let mut payload = act.window_address();
    match m.data {
        // Pages are given to trees alone.
        Data::None | Data::Qids(_) | Data::Give(_) | Data::Take(_) | Data::Page(_) => {}
        Data::ToUser(b) if b.len.min(m.count as usize) > COPY => payload = lend::lend(act, m, b, true)?,
        Data::ToUser(_) => {}
        Data::Frames(f, at) => payload = frames(act, m, f, at)?,
        Data::FromUser(b) if b.len.min(m.count as usize) > COPY => payload = lend::lend(act, m, b, false)?,
        Data::FromUser(b) => from_user(act, 0, UserBuf { addr: b.addr, len: b.len.min(m.count as usize) })?,
        Data::ToKernel(ref b) => m.count = clip(m.count, b.len()),
        Data::FromKernel(b) => {
            m.count = clip(m.count, b.len());
            from_kernel(act, b.get(..m.count as usize).unwrap_or(&[]));
        }
    }
    Ok(Request {
        head: Request::make_head(m.op, m.a, act.tag, m.count),
        fids: u64::from(m.fid) | u64::from(m.fid2) << 32,
        offset: m.offset,
        session: session.number,
        payload,
        page: act.page_address(),
    })
}

/// Pages of a segment: lent if they begin with a page and are many, else copied.
fn frames(act: &Act, m: &mut Msg<'_>, frames: &[Frame], at: usize) -> Result<u64> {
    let write = m.op == op::TREAD;
    let room = frames.len().saturating_mul(PAGE).saturating_sub(at);
    if at & (PAGE - 1) == 0 && room.min(m.count as usize) > COPY {
        return lend::lend_frames(act, m, frames.get(at / PAGE..).unwrap_or(&[]), write);
    }
    // What does not begin with a page goes up to the next.
    let skew = at & (PAGE - 1);
    let room = if write || skew == 0 { room } else { room.min(PAGE.saturating_sub(skew)) };
    m.count = clip(m.count, room);
    if !write {
        let mut done = 0usize;
        each_piece(frames, at, m.count as usize, |frame, offset, n| {
            let to = act.window.get(done / PAGE);
            if let Some(&to) = to {
                // Pieces of a Twrite begin with a page, in the window too.
                machine::copy_frames(to, 0, frame, offset, n);
            }
            done = done.saturating_add(n);
            Ok(())
        })?;
    }
    Ok(act.window_address())
}

/// Visits what lies in frames from `at` bytes on, `len` bytes: frame, offset in it, length.
fn each_piece(
    frames: &[Frame],
    at: usize,
    len: usize,
    mut visit: impl FnMut(Frame, usize, usize) -> Result<()>,
) -> Result<()> {
    let (mut at, mut left) = (at, len);
    while left > 0 {
        let Some(&frame) = frames.get(at / PAGE) else { return Err(Error::ShortBuffer.into()) };
        let offset = at & (PAGE - 1);
        let n = left.min(PAGE.saturating_sub(offset));
        visit(frame, offset, n)?;
        at = at.saturating_add(n);
        left = left.saturating_sub(n);
    }
    Ok(())
}

/// The kernel's own payloads are copied: a longer one moves in part.
fn clip(count: u32, len: usize) -> u32 {
    count.min(u32::try_from(len.min(COPY)).unwrap_or(0))
}

/// Brings pages of the caller's memory that a copy did not find, while it holds an activation.
#[cold]
#[inline(never)]
fn bring(buf: UserBuf, access: Access) -> Result<()> {
    let me = crate::thread::current();
    let outer = me.holds.swap(true, Ordering::Relaxed);
    let there = entry::bring(buf, access);
    me.holds.store(outer, Ordering::Relaxed);
    if there { Ok(()) } else { Err(Error::BadAddress.into()) }
}

/// Copies from the loaded space into the window, from an offset in it on.
pub(super) fn from_user(act: &Act, at: usize, from: UserBuf) -> Result<()> {
    let mut at = at;
    let mut from = from;
    for frame in act.window {
        if at >= PAGE {
            at = at.saturating_sub(PAGE);
            continue;
        }
        let n = from.len.min(PAGE.saturating_sub(at));
        let piece = UserBuf { addr: from.addr, len: n };
        while n != 0 && !machine::frame_from_user(frame, at, piece) {
            bring(piece, Access::Read)?;
        }
        at = 0;
        from = UserBuf { addr: from.addr.wrapping_add(n as u64), len: from.len.saturating_sub(n) };
    }
    Ok(())
}

fn from_kernel(act: &Act, from: &[u8]) {
    for (frame, part) in act.window.iter().zip(from.chunks(PAGE)) {
        machine::write_frame(*frame, 0, part);
    }
}

/// A place in the server's memory, page by page: the window's own pages are known, others are looked up.
pub(super) struct Source<'a> {
    portal: &'a Portal,
    addr: u64,
}

impl<'a> Source<'a> {
    pub(super) fn new(portal: &'a Portal, addr: u64) -> Source<'a> {
        Source { portal, addr }
    }

    /// The next piece of at most `len` bytes: frame, offset, length. None where the server has no memory.
    #[inline]
    fn next(&mut self, len: usize) -> Option<(Frame, usize, usize)> {
        let offset = self.addr as usize & (PAGE - 1);
        let n = len.min(PAGE.wrapping_sub(offset));
        let frame = self.portal.space.resolve(self.addr, Access::Read).ok()?;
        self.addr = self.addr.checked_add(n as u64)?;
        Some((frame, offset, n))
    }

    /// Copies to the loaded space.
    #[inline]
    pub(super) fn give_user(&mut self, to: UserBuf) -> Result<()> {
        let mut to = to;
        while to.len != 0 {
            let at = self.addr;
            let (frame, offset, n) = self.next(to.len).ok_or(Error::BadReply)?;
            let piece = UserBuf { addr: to.addr, len: n };
            if !machine::frame_to_user(frame, offset, piece) {
                bring(piece, Access::Write)?;
                // The frame may be another by now.
                self.addr = at;
                continue;
            }
            to = UserBuf { addr: to.addr.wrapping_add(n as u64), len: to.len.wrapping_sub(n) };
        }
        Ok(())
    }

    /// Copies to pages of a segment.
    pub(super) fn give_frames(&mut self, frames: &[Frame], at: usize, len: usize) -> Result<()> {
        each_piece(frames, at, len, |to, offset, n| {
            let (mut to_offset, mut left) = (offset, n);
            while left > 0 {
                let (from, from_offset, n) = self.next(left).ok_or(Error::BadReply)?;
                machine::copy_frames(to, to_offset, from, from_offset, n);
                to_offset = to_offset.saturating_add(n);
                left = left.saturating_sub(n);
            }
            Ok(())
        })
    }

    /// Copies to the kernel.
    pub(super) fn give_kernel(&mut self, mut to: &mut [u8]) -> Result<()> {
        while !to.is_empty() {
            let (frame, offset, n) = self.next(to.len()).ok_or(Error::BadReply)?;
            let Some((now, rest)) = to.split_at_mut_checked(n) else { break };
            machine::read_frame(frame, offset, now);
            to = rest;
        }
        Ok(())
    }
}
