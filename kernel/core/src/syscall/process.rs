//! System calls of processes and memory: from words to arguments, and back.

use crate::base::{Bytes, List, Text};
use crate::machine;
use crate::machine::Rights;
use crate::mem::space::Use;
use crate::mem::space::is_activations;
use crate::msg::{Result, UserBuf};
use crate::proc;
use crate::sched;
use crate::thread::{self, After, Doing, Thread};
use abi::error::Error;
use abi::file::{
    RFCENVG, RFCFDG, RFCNAMEG, RFENVG, RFFDG, RFMEM, RFNAMEG, RFNOMNT, RFNOTEG, RFNOWAIT, RFPROC, RFREND,
};
use abi::limit::{ARGS, ERROR, STATUS, USER_END};
use abi::sys::Str;

/// Copies from the program; `bad address` where it has no memory.
pub(crate) fn copy_in(to: &mut [u8], addr: u64) -> Result<()> {
    let buf = UserBuf { addr, len: to.len() };
    if machine::copy_in(to, buf) { Ok(()) } else { Err(Error::BadAddress.into()) }
}

/// Copies to the program.
pub(crate) fn copy_out(addr: u64, from: &[u8]) -> Result<()> {
    let to = UserBuf { addr, len: from.len() };
    if machine::copy_out(to, from) { Ok(()) } else { Err(Error::BadAddress.into()) }
}

/// A time from now; `u64::MAX` for never.
fn deadline(nanoseconds: u64) -> u64 {
    if nanoseconds == u64::MAX { u64::MAX } else { machine::now().saturating_add(nanoseconds) }
}

const FLAGS: u32 = RFNAMEG
    | RFENVG
    | RFFDG
    | RFNOTEG
    | RFPROC
    | RFMEM
    | RFNOWAIT
    | RFCNAMEG
    | RFCENVG
    | RFCFDG
    | RFREND
    | RFNOMNT;

pub(super) fn rfork(me: &Thread, a: &[u64; 6]) -> Result<u64> {
    let [flags, sp, ..] = *a;
    let flags = u32::try_from(flags).map_err(|_| Error::BadArg)?;
    let both = |x: u32, y: u32| flags & x != 0 && flags & y != 0;
    let twice = both(RFNAMEG, RFCNAMEG) || both(RFENVG, RFCENVG) || both(RFFDG, RFCFDG);
    // A handler's thread is its caller's, and divides nothing.
    let stack = me.act.is_some() || sp != 0 && (flags & RFMEM == 0 || sp >= USER_END);
    if flags & !FLAGS != 0 || twice || stack || (flags & RFMEM != 0 && sp == 0) {
        return Err(Error::BadArg.into());
    }
    // The rest needs the registers: entry does it on the way out.
    me.do_after(After::Fork(flags, sp));
    Ok(0)
}

pub(super) fn exits(me: &Thread, a: &[u64; 6]) -> Result<u64> {
    let [addr, len, ..] = *a;
    let mut status = [0u8; STATUS];
    let n = usize::try_from(len).unwrap_or(STATUS).min(STATUS);
    let to = status.get_mut(..n).unwrap_or(&mut []);
    // A program that ends ends, even if it says nonsense.
    let said = if copy_in(to, addr).is_ok() { &*to } else { b"bad address" };
    proc::exit(me, said);
    Ok(0)
}

pub(super) fn r#await(me: &Thread, a: &[u64; 6]) -> Result<u64> {
    let [addr, len, ..] = *a;
    if me.act.is_some() {
        return Err(Error::BadArg.into());
    }
    let child = proc::await_child()?;
    let mut text = Text::new();
    // A program's time and the kernel's are not told apart.
    text.number(u64::from(child.pid)).put(b" ").number(child.time() / 1_000_000).put(b" 0 ");
    text.number(machine::now().saturating_sub(child.began) / 1_000_000).put(b" '");
    for &b in child.status.lock().get() {
        text.put(if b == b'\'' { b"''" } else { core::slice::from_ref(&b) });
    }
    let text = text.put(b"'").get()?;
    let n = text.len().min(usize::try_from(len).unwrap_or(usize::MAX));
    copy_out(addr, text.get(..n).unwrap_or(&[]))?;
    Ok(n as u64)
}

pub(super) fn notify(me: &Thread, a: &[u64; 6]) -> Result<u64> {
    let [handler, ..] = *a;
    proc::notify(me, handler)
}

pub(super) fn noted(me: &Thread, a: &[u64; 6]) -> Result<u64> {
    let [how, ..] = *a;
    if me.act.is_some() {
        return Err(Error::BadArg.into());
    }
    me.do_after(After::Noted(how));
    Ok(0)
}

pub(super) fn alarm(me: &Thread, a: &[u64; 6]) -> Result<u64> {
    let [nanoseconds, ..] = *a;
    let at = if nanoseconds == 0 { u64::MAX } else { deadline(nanoseconds) };
    let old = proc::alarm::set(&me.proc, at);
    sched::rearm();
    Ok(if old == u64::MAX { 0 } else { old.saturating_sub(machine::now()) })
}

pub(super) fn sleep(_: &Thread, a: &[u64; 6]) -> Result<u64> {
    let [nanoseconds, ..] = *a;
    if nanoseconds == 0 {
        sched::yield_now();
        return Ok(0);
    }
    let until = deadline(nanoseconds);
    while machine::now() < until {
        thread::wait(Doing::Sleep, until)?;
    }
    Ok(0)
}

pub(super) fn rendezvous(me: &Thread, a: &[u64; 6]) -> Result<u64> {
    let [tag, value, ..] = *a;
    let groups = me.proc.groups()?;
    proc::rendezvous(&groups.rendezvous, tag, value)
}

pub(super) fn exchange(me: &Thread, a: &[u64; 6]) -> Result<u64> {
    let [tag, page, ..] = *a;
    let groups = me.proc.groups()?;
    proc::exchange(me, &groups.rendezvous, tag, page)
}

#[inline(never)]
pub(super) fn semacquire(addr: u64, nanoseconds: u64, me: &Thread) -> u64 {
    let until = if nanoseconds == 0 { 0 } else { deadline(nanoseconds) };
    proc::semacquire(me, addr, until).unwrap_or_else(|fail| crate::entry::failed(me, fail))
}

#[inline(never)]
pub(super) fn semrelease(addr: u64, count: u64, me: &Thread) -> u64 {
    proc::semrelease(me, addr, count).unwrap_or_else(|fail| crate::entry::failed(me, fail))
}

pub(super) fn errstr(me: &Thread, a: &[u64; 6]) -> Result<u64> {
    let [addr, len, ..] = *a;
    let room = usize::try_from(len).unwrap_or(usize::MAX).checked_sub(2).ok_or(Error::ShortBuffer)?;
    let mut head = [0; 2];
    copy_in(&mut head, addr)?;
    let given = usize::from(u16::from_le_bytes(head)).min(room).min(ERROR);
    let mut new = [0u8; ERROR];
    let new = new.get_mut(..given).unwrap_or(&mut []);
    copy_in(new, addr.wrapping_add(2))?;
    let old = me.error.lock().clone();
    let old = old.get();
    let n = old.len().min(room);
    copy_out(addr.wrapping_add(2), old.get(..n).unwrap_or(&[]))?;
    copy_out(addr, &u16::try_from(n).unwrap_or(0).to_le_bytes())?;
    me.set_error(new);
    Ok(n as u64)
}

pub(super) fn segattach(me: &Thread, a: &[u64; 6]) -> Result<u64> {
    let [flags, fd, offset, addr, len, _] = *a;
    let flags = u32::try_from(flags).map_err(|_| Error::BadArg)?;
    if fd != u64::MAX {
        let chan = me.proc.chan(fd);
        return match chan.file.session.portal() {
            Some(_) => crate::mem::file::attach(&*me.space()?, &chan, flags, offset, (addr, len)),
            None if flags == 0 && addr == 0 => crate::tree::hw::attach(&chan, &*me.space()?, offset, len),
            None => Err(Error::NotSupported.into()),
        };
    }
    if flags != 0 || offset != 0 {
        return Err(Error::BadArg.into());
    }
    me.space()?.attach(addr, len, Rights::Write, Use::Segment)
}

pub(super) fn segdetach(me: &Thread, a: &[u64; 6]) -> Result<u64> {
    let [addr, len, ..] = *a;
    // The kernel itself writes to the activations' pages, and takes them out when the portal closes.
    if is_activations(addr, addr.saturating_add(len)) {
        return Err(Error::BadArg.into());
    }
    let space = me.space()?;
    space.flush(addr, len)?;
    space.detach(addr, len).map(|()| 0)
}

pub(super) fn segbrk(me: &Thread, a: &[u64; 6]) -> Result<u64> {
    let [addr, ..] = *a;
    me.space()?.brk(addr)
}

pub(super) fn clock(me: &Thread, a: &[u64; 6]) -> Result<u64> {
    let [which, ..] = *a;
    match which {
        0 => Ok(machine::now()),
        1 => Ok(machine::epoch().saturating_add(machine::now())),
        2 => {
            sched::charge_now();
            Ok(me.proc.time())
        }
        3 => Ok(u64::from(me.proc.pid)),
        _ => Err(Error::BadArg.into()),
    }
}

const STR: usize = size_of::<Str>();

/// Copies the arguments of an exec.
fn arguments(argv: u64, argc: u64) -> Result<List<Bytes>> {
    let count = usize::try_from(argc).ok().filter(|&n| n <= ARGS / STR).ok_or(Error::TooMuchArg)?;
    let mut args = List::new();
    args.reserve(count)?;
    let mut room = ARGS.saturating_sub(count.saturating_mul(STR));
    for i in 0..argc {
        let mut raw = [[0; 8]; 2];
        copy_in(raw.as_flattened_mut(), argv.wrapping_add(i.wrapping_mul(STR as u64)))?;
        let [addr, len] = raw.map(u64::from_le_bytes);
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        room = room.checked_sub(len).ok_or(Error::TooMuchArg)?;
        let mut bytes = Bytes::zeroed(len)?;
        copy_in(&mut bytes, addr)?;
        args.push(bytes)?;
    }
    Ok(args)
}

/// Another program in this process. It returns only by failing; the rest is done when the call ends.
pub(super) fn exec(me: &Thread, a: &[u64; 6]) -> Result<u64> {
    let [path, path_len, argv, argc, ..] = *a;
    let len = usize::try_from(path_len).unwrap_or(usize::MAX);
    let path = UserBuf { addr: path, len };
    let load = || proc::open_program(crate::name::ops::path_in(path)?, arguments(argv, argc)?);
    let program = crate::mem::laundry::patiently(load)?;
    proc::replace(me, program)?;
    Ok(0)
}
