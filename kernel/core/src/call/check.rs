//! Believing no answer: every field of what a server says is checked as if it came from the network.
//!
//! What passes has counts no larger than was asked, qids that can be, strings of bounded length; its bytes have been
//! fetched to where the request wanted them. What does not pass is `bad reply from server`.

use super::act::Act;
use super::payload::Source;
use super::portal::Portal;
use crate::counters;
use crate::machine::{self, Frame};
use crate::msg::{Data, Fail, Msg, Reply, Result, UserBuf};
use crate::thread::{self, INTERRUPT};
use abi::error::Error;
use abi::file::Qid;
use abi::limit::{COPY, ERROR, PAGE, STAT};
use abi::portal::{Answer, RWAIT, Term, op};
use core::sync::atomic::Ordering;

/// Smallest stat record: the fixed fields and four empty strings (stat(5)).
const STAT_LEAST: u32 = 49;

const BAD: Fail = Fail::Known(Error::BadReply);

/// How a call came back.
#[derive(Clone, Copy)]
pub(super) enum Back {
    Done,
    /// Wait on the queue that the answer names, then ask again.
    Wait,
}

/// Checks an answer, of which only the first two words are given, and fetches its bytes. The others are with the thread.
#[inline(always)]
pub(super) fn answer(
    portal: &Portal,
    act: &Act,
    m: &mut Msg<'_>,
    r: &Answer,
    reply: &mut Reply,
) -> Result<Back> {
    let count = r.count();
    if m.op == op::TCLUNK && r.op() == op::TCLUNK + 1 {
        // Each name that is looked up ends with one.
        return Ok(Back::Done);
    }
    if m.op != op::TREAD || r.op() != op::TREAD + 1 || r.a() != Term::Copy as u8 {
        return rare(portal, act, m, reply);
    }
    if count > m.count {
        return Err(BAD);
    }
    reply.count = count;
    if count != 0 {
        let [first, _] = act.window;
        fetch(portal, act, m, r.w1, (first, act.window_address()), count)?;
    }
    Ok(Back::Done)
}

/// Everything but an Rread whose bytes are copied.
#[inline(never)]
fn rare(portal: &Portal, act: &Act, m: &mut Msg<'_>, reply: &mut Reply) -> Result<Back> {
    let r = &thread::current().answer.get();
    let count = r.count();
    if r.op() != m.op.wrapping_add(1) {
        return if r.op() == RWAIT { Ok(Back::Wait) } else { Err(failure(portal, act, r)) };
    }
    reply.count = count;
    match m.op {
        op::TREAD => shared(portal, m, r)?,
        op::TWRITE if count > m.count => return Err(BAD),
        op::TWRITE | op::TREMOVE | op::TWSTAT => {}
        op::TATTACH | op::TAUTH | op::TOPEN | op::TCREATE => {
            reply.qid = Qid { kind: r.a(), vers: r.w2 as u32, path: r.w1 };
            reply.iounit = (r.w2 >> 32) as u32;
        }
        op::TWALK => reply.count = walked(act, m, r)?,
        op::TSTAT => stat(portal, act, m, r)?,
        _ => return Err(BAD),
    }
    Ok(Back::Done)
}

/// A page that the server shares, if it was asked to. One that can't be shared is as good as none.
fn shared(portal: &Portal, m: &mut Msg<'_>, r: &Answer) -> Result<()> {
    let Data::Page(page) = &mut m.data else { return Err(BAD) };
    if r.count() > m.count || r.a() != Term::Share as u8 {
        return Err(BAD);
    }
    **page = portal.space.share(r.w1).ok();
    counters::SHARED.rise(u64::from(page.is_some()));
    Ok(())
}

/// The words or the code of an Rerror; anything else of a wrong type is nonsense.
#[cold]
#[inline(never)]
fn failure(portal: &Portal, act: &Act, r: &Answer) -> Fail {
    if r.op() != op::RERROR {
        return BAD;
    }
    if let Some(code) = r.a().checked_sub(1) {
        return Error::from_code(code).map_or(BAD, known);
    }
    let len = r.count() as usize;
    let mut buf = [0u8; ERROR];
    let Some(words) = buf.get_mut(..len.min(ERROR)) else { return BAD };
    let at = if r.w1 == 0 { act.page_address() } else { r.w1 };
    if len == 0 || Source::new(portal, at).give_kernel(words).is_err() {
        return BAD;
    }
    // A character may have been cut at the end; what is before it must be text.
    let text = match core::str::from_utf8(words) {
        Ok(t) => t,
        Err(e) if e.error_len().is_none() && len > ERROR => {
            words.get(..e.valid_up_to()).and_then(|w| core::str::from_utf8(w).ok()).unwrap_or("")
        }
        Err(_) => return BAD,
    };
    match Error::from_text(text) {
        Some(e) => known(e),
        None => {
            thread::current().set_error(text.as_bytes());
            Fail::Words
        }
    }
}

/// A server's error of the list.
fn known(e: Error) -> Fail {
    if e == Error::Interrupted {
        // This is the end of the wait that an interrupt of our own caller was to end.
        thread::current().pending.fetch_and(!INTERRUPT, Ordering::Relaxed);
    }
    e.into()
}

/// Copies an answer's bytes to where the request wanted them. They are at `at`, or if that is 0 in the activation's own
/// page `known`, and behind it.
#[inline]
fn fetch(
    portal: &Portal,
    act: &Act,
    m: &mut Msg<'_>,
    at: u64,
    known: (Frame, u64),
    count: u32,
) -> Result<()> {
    let len = count as usize;
    let otherwise = known.1;
    let may_be_lent = m.count as usize > COPY;
    match &mut m.data {
        Data::ToUser(to) if at == 0 && may_be_lent && super::lend::in_place(act) => {
            super::lend::fetch_ends(act, *to, len)
        }
        // Nothing is looked up.
        Data::ToUser(to)
            if at == 0
                && len <= PAGE.min(to.len)
                && machine::frame_to_user(known.0, 0, UserBuf { addr: to.addr, len }) =>
        {
            Ok(())
        }
        Data::ToUser(to) if len <= to.len => {
            let from = if at == 0 { otherwise } else { at };
            Source::new(portal, from).give_user(UserBuf { addr: to.addr, len })
        }
        Data::ToKernel(to) => {
            let from = if at == 0 { otherwise } else { at };
            Source::new(portal, from).give_kernel(to.get_mut(..len).ok_or(Error::ShortBuffer)?)
        }
        // What was lent is in place already.
        Data::Frames(..) if at == 0 && super::lend::in_place(act) => Ok(()),
        Data::Frames(to, skip) => {
            let from = if at == 0 { otherwise } else { at };
            Source::new(portal, from).give_frames(to, *skip, len)
        }
        Data::None if len == 0 => Ok(()),
        Data::Page(_) => Ok(()),
        _ => Err(Error::ShortBuffer.into()),
    }
}

/// The qids of a walk: no more than names, some if there were names, and all but the last directories.
fn walked(act: &Act, m: &mut Msg<'_>, r: &Answer) -> Result<u32> {
    let n = r.a();
    if n > m.a || (n == 0 && m.a != 0) {
        return Err(BAD);
    }
    let Data::Qids(qids) = &mut m.data else {
        return if n == 0 { Ok(0) } else { Err(BAD) };
    };
    let mut at = 0usize;
    for i in 0..n {
        let mut b = [0u8; 16];
        machine::read_frame(act.page, at, &mut b);
        at = at.saturating_add(16);
        let [kind, _, _, _, v0, v1, v2, v3, path @ ..] = b;
        let qid = Qid { kind, vers: u32::from_le_bytes([v0, v1, v2, v3]), path: u64::from_le_bytes(path) };
        if !qid.is_dir() && i.saturating_add(1) < m.a && i.saturating_add(1) < n {
            return Err(BAD);
        }
        *qids.get_mut(usize::from(i)).ok_or(BAD)? = qid;
    }
    Ok(u32::from(n))
}

/// A stat record: its own length agrees with the answer's.
fn stat(portal: &Portal, act: &Act, m: &mut Msg<'_>, r: &Answer) -> Result<()> {
    let count = r.count();
    if count < STAT_LEAST || count as usize > STAT {
        return Err(BAD);
    }
    let mut size = [0; 2];
    match r.w1 {
        0 => machine::read_frame(act.page, 0, &mut size),
        at => Source::new(portal, at).give_kernel(&mut size)?,
    }
    if u32::from(u16::from_le_bytes(size)).wrapping_add(2) != count {
        return Err(BAD);
    }
    fetch(portal, act, m, r.w1, (act.page, act.page_address()), count)
}
