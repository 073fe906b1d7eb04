//! [`read`]: a Tread of few bytes into a program's memory. It is what programs ask most, and the measured path: the words of
//! the request go to the server, and those of the answer are looked at, without a [`Msg`] between. What is not as
//! usual falls back on [`domain_call`], or on its parts.
//!
//! `portal_null` takes 140 instructions less than by `domain_call`, and so does each short read.

use super::check::{self, Back};
use super::enter::{LEFT, cross, domain_call, failed, left};
use super::portal::Portal;
use super::queue;
use crate::base::Ref;
use crate::entry;
use crate::machine;
use crate::msg::{Data, Msg, Reply, Result, UserBuf};
use crate::session::Session;
use crate::thread::Thread;
use abi::error::Error;
use abi::file::Qid;
use abi::limit::{CALLS, COPY, PAGE};
use abi::portal::{Answer, NOFID, Request, Term, op};
use core::sync::atomic::Ordering;

/// What is read: a file's fid, where to, and from which offset on.
#[derive(Clone, Copy)]
struct What {
    fid: u32,
    to: UserBuf,
    offset: u64,
}

/// Reads up to [`COPY`] bytes: the system call's result. None, and nothing is done, if there are more, or no activation is
/// free on this CPU.
#[inline(always)]
pub fn read(session: &Ref<Session>, me: &Thread, fid: u32, to: UserBuf, offset: u64) -> Option<u64> {
    let portal: &Portal = session.portal()?;
    let depth = me.depth.load(Ordering::Relaxed);
    if to.len > COPY || depth >= CALLS as u8 {
        return None;
    }
    let wakes = portal.queues.wakes();
    let free = portal.free();
    let x = free.lock_inline().pop()?;
    let act = x.act.as_ref()?;
    let request = Request {
        head: Request::make_head(op::TREAD, 0, act.tag, to.len as u32),
        fids: u64::from(fid) | u64::from(NOFID) << 32,
        offset,
        session: session.number,
        payload: act.window_address(),
        page: act.page_address(),
    };
    let [first, _] = act.window;
    let (x, answer) = cross(portal, me, x, (op::TREAD, depth), &request, machine::enter_portal_clean)?;
    let count = answer.count() as usize;
    let usual = answer.head as u16 == const { (op::TREAD as u16 + 1) | ((Term::Copy as u16) << 8) }
        && count <= to.len.min(PAGE)
        && (count == 0
            || answer.w1 == 0 && machine::frame_to_user(first, 0, UserBuf { addr: to.addr, len: count }));
    if !usual {
        let done = otherwise(session, x, What { fid, to, offset }, answer, wakes);
        return Some(done.map_or_else(|fail| entry::failed(me, fail), |n| n as u64));
    }
    portal.give_to(free, x);
    Some(count as u64)
}

/// Ends a call whose answer is not the usual one.
#[cold]
#[inline(never)]
fn otherwise(
    session: &Ref<Session>,
    x: Ref<Thread>,
    what: What,
    answer: Answer,
    wakes: u64,
) -> Result<usize> {
    let portal = session.portal().ok_or(Error::Nowhere)?;
    let What { fid, to, offset } = what;
    let (qid, count, data) = (Qid::default(), to.len as u32, Data::ToUser(to));
    let mut m = Msg { op: op::TREAD, a: 0, fid, fid2: NOFID, count, offset, qid, body: &[], data };
    let mut reply = Reply::default();
    let ended = if answer.op() == LEFT {
        Err(left(session, &m, x, answer.a()))
    } else {
        let act = x.act.as_ref().ok_or(Error::Died)?;
        let checked = check::answer(portal, act, &mut m, &answer, &mut reply);
        portal.give(x);
        checked
    };
    match ended {
        Ok(Back::Done) => {}
        Ok(Back::Wait) => {
            queue::wait(portal, answer.w1, wakes)?;
            domain_call(session, &mut m, &mut reply)?;
        }
        Err(e) => return Err(failed(session, portal, e)),
    }
    Ok(reply.count as usize)
}
