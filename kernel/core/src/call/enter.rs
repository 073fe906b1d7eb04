//! The call itself: [`domain_call`] on the caller's kernel stack, [`reply`] on the activation's.
//!
//! Neither allocates, queues or asks the scheduler while an activation is free on this CPU. The answer's words are left
//! with the caller's thread, and the caller's own kernel code checks them and fetches what they point at, so that
//! nothing of a server's is touched on the way back but these words.

use super::act::{Act, Orphan, Quarantine};
use super::check::{self, Back};
use super::payload;
use super::portal::Portal;
use super::queue;
use crate::base::{Ref, Spin};
use crate::entry;
use crate::machine::{self, Context, Entry};
use crate::msg::{Data, Fail, Msg, Reply, Result};
use crate::sched::{self, ON_CPU, PINNED};
use crate::session::{self, Session};
use crate::thread::{self, INTERRUPT, KILL, NOTE, Thread, current};
use abi::error::Error;
use abi::limit::CALLS;
use abi::portal::{Answer, Request, op};
use core::sync::atomic::Ordering;

/// Sends a request to a user-level server and waits for the answer: the session's function.
pub fn domain_call(session: &Ref<Session>, m: &mut Msg<'_>, reply: &mut Reply) -> Result<()> {
    let Some(portal) = session.portal() else { return Err(Error::Nowhere.into()) };
    loop {
        let wakes = portal.queues.wakes();
        match once(session, portal, m, reply) {
            Ok(Back::Done) => return Ok(()),
            Ok(Back::Wait) => queue::wait(portal, current().answer.get().w1, wakes)?,
            Err(e) => return Err(failed(session, portal, e)),
        }
    }
}

#[cold]
#[inline(never)]
pub(super) fn failed(session: &Ref<Session>, portal: &Ref<Portal>, e: Fail) -> Fail {
    if portal.closed() {
        session.die();
    }
    e
}

#[inline(always)]
fn once(session: &Ref<Session>, portal: &Ref<Portal>, m: &mut Msg<'_>, reply: &mut Reply) -> Result<Back> {
    let me = current();
    let depth = me.depth.load(Ordering::Relaxed);
    if depth >= CALLS as u8 {
        return Err(Error::TooDeep.into());
    }
    // Followed once: what is stored on the way might change a reference in memory, for all the compiler knows.
    let (counted, portal) = (portal, &**portal);
    let free = portal.free();
    let x = free.lock_inline().pop();
    let x = match x {
        Some(x) => x,
        None => Portal::take_slow(counted, me)?,
    };
    let Some(act) = &x.act else { return Err(Error::Died.into()) };
    let request = match payload::request(session, act, m) {
        Ok(r) => r,
        Err(e) => {
            portal.give(x);
            return Err(e);
        }
    };
    let (x, answer) =
        cross(portal, me, x, (m.op, depth), &request, machine::enter_portal).ok_or(Error::Died)?;
    if answer.op() == LEFT {
        return Err(left(session, m, x, answer.a()));
    }
    let Some(act) = &x.act else { return Err(Error::Died.into()) };
    let checked = check::answer(portal, act, m, &answer, reply);
    super::lend::end(act, m);
    portal.give_to(free, x);
    checked
}

/// Makes the current thread's call run on an activation, and goes on when it has ended: with the activation, and the first
/// two words of the answer, whose type is [`LEFT`] if the server gave none.
#[inline(always)]
pub(super) fn cross(
    portal: &Portal,
    me: &Thread,
    x: Ref<Thread>,
    (op, depth): (u8, u8),
    request: &Request,
    enter: fn(&mut Context, &Entry, &Request),
) -> Option<(Ref<Thread>, Answer)> {
    me.op.store(op, Ordering::Relaxed);
    debug_assert_eq!(x.cpu.load(Ordering::Relaxed), machine::cpu());
    x.held.store(ON_CPU | PINNED, Ordering::Relaxed);
    x.depth.store(depth.wrapping_add(1), Ordering::Relaxed);
    x.priority.store(me.priority().max(thread::SERVER), Ordering::Relaxed);
    x.pending.store(0, Ordering::Relaxed);
    let held = me.held.load(Ordering::Relaxed);
    me.held.store(PINNED, Ordering::Relaxed);
    let next = x.clone();
    hold(&me.call, x);
    // Its reference is the CPU's now, and the call's.
    let (caller, x) = sched::become_current(next);
    let act = x.act.as_ref()?;
    hold(&act.caller, caller);
    // Whoever closes the portal or pokes this thread after this sees the call.
    if (portal.closed() || me.has_pending(u8::MAX)) && must_not(portal, me, op) {
        call_off(me);
    } else {
        enter(me.context.get(), &act.entry, request);
        sched::arrive();
    }
    me.held.store(held, Ordering::Release);
    let x = me.call.lock_inline().take()?;
    if me.interrupts.load(Ordering::Relaxed) != 0 {
        calm(me, act);
    }
    Some((x, me.answer.short()))
}

/// Puts a thread into a slot that is empty: a call begins only when the last has ended. So nothing is dropped, and
/// nothing is asked.
#[inline(always)]
fn hold(slot: &Spin<Option<Ref<Thread>>>, x: Ref<Thread>) {
    let old = slot.lock_inline().replace(x);
    debug_assert!(old.is_none());
    core::mem::forget(old);
}

/// The type of the kernel's own answer when a call ends otherwise than by the server's: no message has it.
pub(super) const LEFT: u8 = 0;

/// Such an answer: `died`, or the caller has left, or it never entered.
pub(super) fn ending(why: Ending) -> Answer {
    Answer { head: Answer::make_head(LEFT, why as u8, 0), ..Answer::default() }
}

/// Why a call ended without the server's answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Ending {
    /// The server died.
    Died,
    /// The caller leaves; the server works on.
    Left,
    /// It was called off before the server knew of it.
    Never,
}

/// Has something come up that keeps the call from being made?
#[cold]
#[inline(never)]
fn must_not(portal: &Portal, me: &Thread, op: u8) -> bool {
    let stop = if op == op::TCLUNK { KILL } else { KILL | NOTE | INTERRUPT };
    portal.closed() || me.has_pending(stop)
}

/// Something came up just before the server was entered.
#[cold]
fn call_off(me: &Thread) {
    let act = current().act.as_ref();
    let caller = act.and_then(|a| a.caller.lock().take());
    match caller {
        Some(caller) => {
            me.answer.set(&ending(Ending::Never));
            drop(sched::become_current(caller).0);
        }
        None => {
            // Somebody else ended the call, and this thread is, or is about to be, on the run queue: go through it. No
            // handler was entered that could end, so the activation is given back here.
            if let Some(act) = act {
                super::leave::orphan_ended(act, false);
            }
            drop(sched::become_current(sched::again(me)).0);
            sched::reschedule();
            let x = me.call.lock().clone();
            if let Some(x) = x {
                super::portal::activation_idle(x);
            }
        }
    }
}

/// Takes back what an interrupt during the call left: the timer of its grace.
#[cold]
fn calm(me: &Thread, act: &Act) {
    sched::cancel_alarm(me);
    me.interrupts.store(0, Ordering::Relaxed);
    if me.answer.short().op() != LEFT {
        act.flushed.store(false, Ordering::Relaxed);
    }
}

/// The call ended without the server's answer.
#[cold]
#[inline(never)]
pub(super) fn left(session: &Ref<Session>, m: &Msg<'_>, x: Ref<Thread>, why: u8) -> Fail {
    let Some(act) = &x.act else { return Error::Died.into() };
    if why == Ending::Never as u8 {
        let died = act.portal.closed();
        super::lend::end(act, m);
        let portal = act.portal.clone();
        portal.give(x);
        return if died { Error::Died.into() } else { Error::Interrupted.into() };
    }
    if why == Ending::Died as u8 {
        return Error::Died.into();
    }
    let quarantine = match m.op {
        op::TWALK if m.fid2 != m.fid => Some((m.fid2, true)),
        op::TATTACH | op::TAUTH => Some((m.fid, true)),
        op::TCLUNK | op::TREMOVE => Some((m.fid, false)),
        _ => None,
    };
    let quarantine = quarantine.map(|(fid, makes)| Quarantine { session: session.clone(), fid, makes });
    let mut orphan = act.orphan.lock();
    let before = core::mem::replace(&mut *orphan, Orphan::None);
    match before {
        // The handler is at its end, and has left the activation to us.
        Orphan::Answered(success) => {
            drop(orphan);
            if let Some(q) = quarantine {
                q.end(success);
            }
            let portal = act.portal.clone();
            portal.give(x);
        }
        // A dead server's fids are gone with it.
        _ if act.portal.closed() => {
            drop(orphan);
            if let Some(q) = quarantine {
                q.end(false);
            }
        }
        _ => *orphan = Orphan::Left(quarantine),
    }
    Fail::Left
}

/// The system call `reply`.
#[inline(always)]
pub fn reply(head: u64, w1: u64, w2: u64, w3: u64, me: &Thread) -> u64 {
    // Locked, it is about to be emptied; and no server may speak as the kernel does.
    if let Some(act) = &me.act
        && head as u8 != LEFT
        && let Some(mut slot) = act.caller.try_lock()
        && let Some(caller) = slot.take()
    {
        drop(slot);
        caller.answer.set(&Answer { head, w1, w2, w3 });
        answered(caller);
    }
    reply_otherwise(head, w1, w2, w3, me)
}

/// The same where it is not as usual. Apart, so that the usual way saves no registers.
#[cold]
#[inline(never)]
fn reply_otherwise(head: u64, w1: u64, w2: u64, w3: u64, me: &Thread) -> u64 {
    let Some(act) = &me.act else { return entry::failed(me, Error::BadArg.into()) };
    // Type 1 is no answer either, and says nothing.
    let head = if head as u8 == LEFT { 1 } else { head };
    let answer = Answer { head, w1, w2, w3 };
    let caller = act.caller.lock().take();
    let Some(caller) = caller else { super::leave::orphan_answered(me, act, &answer) };
    caller.answer.set(&answer);
    answered(caller)
}

/// Goes back to a caller, whose answer is there.
#[inline(always)]
fn answered(caller: Ref<Thread>) -> ! {
    let (me, caller) = sched::become_current(caller);
    // The call in the caller's thread keeps the activation.
    Ref::let_go_one(me);
    machine::leave_portal(caller.context.get(), caller.root(), caller.stack.top())
}

/// Sends the clunk of a fid, on behalf of nobody; the number is given back.
pub(super) fn clunk(session: &Ref<Session>, fid: u32) {
    let mut m = Msg {
        op: op::TCLUNK,
        a: 0,
        fid,
        fid2: abi::portal::NOFID,
        count: 0,
        offset: 0,
        qid: abi::file::Qid::default(),
        body: &[],
        data: Data::None,
    };
    if session::call(session, &mut m) != Err(Fail::Left) {
        session.give_fid(fid);
    }
}
