//! The system calls on files and names: arguments in, [`crate::name::ops`] for the work.
//!
//! Each takes the six argument words as they came and gives the result's word. A word from a program is an allegation:
//! the first line of a handler narrows it, and a pointer becomes a [`UserBuf`].

use crate::base::{Bytes, Ref, copy};
use crate::entry::moved;
use crate::machine;
use crate::mem::pager;
use crate::msg::{Data, Result, UserBuf};
use crate::name::{Chan, Scope, ops};
use crate::thread::{self, Thread};
use crate::tree;
use abi::error::Error;
use abi::file::{GIVE, OCEXEC, TAKE};
use abi::sys::Str;
use core::sync::atomic::Ordering;

/// The argument words.
pub(super) type Args<'a> = &'a [u64; 6];

/// A range that a program names.
fn buf(addr: u64, len: u64) -> UserBuf {
    // A length that no memory has can't be copied either.
    UserBuf { addr, len: usize::try_from(len).unwrap_or(usize::MAX) }
}

fn path(addr: u64, len: u64) -> Result<Bytes> {
    ops::path_in(buf(addr, len))
}

#[inline(never)]
fn chan(me: &Thread, fd: u64) -> Ref<Chan> {
    me.proc.chan(fd)
}

fn mode_of(word: u64) -> Result<u8> {
    u8::try_from(word).map_err(|_| Error::BadOpen.into())
}

fn flags_of(word: u64) -> Result<u32> {
    u32::try_from(word).map_err(|_| Error::BadArg.into())
}

fn assign(me: &Thread, chan: Ref<Chan>, mode: u8) -> Result<u64> {
    me.proc.ports().add(chan, mode & OCEXEC != 0)
}

/// An offset; -1 is the descriptor's own.
fn offset(word: u64) -> Result<Option<u64>> {
    match word {
        u64::MAX => Ok(None),
        o if i64::try_from(o).is_ok() => Ok(Some(o)),
        _ => Err(Error::BadOffset.into()),
    }
}

fn word(n: usize) -> Result<u64> {
    u64::try_from(n).map_err(|_| Error::BadArg.into())
}

/// Reads.
#[inline(never)]
pub(super) fn pread(fd: u64, addr: u64, len: u64, at: u64, me: &Thread) -> u64 {
    let chan = me.proc.chan(fd);
    let to = buf(addr, len);
    let short = if at <= i64::MAX as u64 { chan.read_short(me, to, at) } else { None };
    let n = short.unwrap_or_else(|| {
        moved(me, offset(at).and_then(|at| chan.read(&|| thread::current().proc.scope(), to, at)))
    });
    Ref::let_go(chan);
    n
}

/// Writes.
#[inline(never)]
pub(super) fn pwrite(fd: u64, addr: u64, len: u64, at: u64, me: &Thread) -> u64 {
    let chan = me.proc.chan(fd);
    let n = chan.write(buf(addr, len), at);
    Ref::let_go(chan);
    moved(me, n)
}

/// Reads on the reader's terms.
pub(super) fn take(me: &Thread, &[fd, addr, len, at, terms, _]: Args<'_>) -> Result<u64> {
    if terms != u64::from(TAKE) {
        return Err(Error::BadArg.into());
    }
    word(chan(me, fd).take(buf(addr, len), offset(at)?)?)
}

/// Writes on the writer's terms.
pub(super) fn give(me: &Thread, &[fd, addr, len, at, terms, _]: Args<'_>) -> Result<u64> {
    if terms != u64::from(GIVE) {
        return Err(Error::BadArg.into());
    }
    word(chan(me, fd).give(buf(addr, len), offset(at)?)?)
}

/// What a system call does with the path that its first two words name.
type ByPath = fn(&Thread, &Scope, Bytes, Args<'_>) -> Result<u64>;

/// The calls by path, which share their beginning and their end.
pub(super) fn by_path(me: &Thread, a: Args<'_>, call: ByPath) -> Result<u64> {
    let [addr, len, ..] = *a;
    let path = path(addr, len)?;
    call(me, &me.proc.scope(), path, a)
}

/// Opens.
pub(super) fn open(me: &Thread, scope: &Scope, path: Bytes, &[_, _, mode, ..]: Args<'_>) -> Result<u64> {
    let mode = mode_of(mode)?;
    assign(me, ops::open(scope, path, mode)?, mode)
}

/// Creates.
pub(super) fn create(
    me: &Thread,
    scope: &Scope,
    path: Bytes,
    &[_, _, mode, perm, ..]: Args<'_>,
) -> Result<u64> {
    let mode = u32::try_from(mode).map_err(|_| Error::BadOpen)?;
    let chan = ops::create(scope, path, mode, flags_of(perm)?)?;
    assign(me, chan, u8::try_from(mode & 0xff).unwrap_or(0))
}

/// Closes. The clunk is done here and now if nobody else has the open file, so that its server's word is known.
pub(super) fn close(me: &Thread, &[fd, ..]: Args<'_>) -> Result<u64> {
    let chan = me.proc.ports().close(fd)?;
    match Ref::into_inner(chan) {
        Some(chan) => chan.close().map(|()| 0),
        None => Ok(0),
    }
}

/// Moves the offset.
pub(super) fn seek(me: &Thread, &[fd, at, whence, ..]: Args<'_>) -> Result<u64> {
    let chan = chan(me, fd);
    if chan.file.session.is_nowhere() {
        return Err(Error::Nowhere.into());
    }
    let by = i64::from_ne_bytes(at.to_ne_bytes());
    let base = match whence {
        0 => 0,
        1 => chan.offset.load(Ordering::Relaxed),
        2 => pager::stat(&chan.file)?.1,
        _ => return Err(Error::BadArg.into()),
    };
    let new = base.checked_add_signed(by).filter(|&n| i64::try_from(n).is_ok()).ok_or(Error::BadOffset)?;
    if chan.file.qid.is_dir() && new != 0 {
        return Err(Error::BadOffset.into());
    }
    chan.offset.store(new, Ordering::Relaxed);
    Ok(new)
}

/// Copies a port.
pub(super) fn dup(me: &Thread, &[old, new, ..]: Args<'_>) -> Result<u64> {
    let proc = &me.proc;
    let chan = chan(me, old);
    if chan.file.session.is_nowhere() {
        return Err(Error::Nowhere.into());
    }
    // Descriptors are 32 bits wide; -1 may come in either width.
    if new == u64::MAX || new == u64::from(u32::MAX) {
        return proc.ports().add(chan, false);
    }
    let replaced = proc.ports().set(new, chan)?;
    if let Some(c) = Ref::into_inner(replaced) {
        // Its server's word on the close is for nobody here.
        let _ = c.close();
    }
    Ok(new)
}

/// Makes a pipe.
pub(super) fn pipe(me: &Thread, &[fds, ..]: Args<'_>) -> Result<u64> {
    let ports = me.proc.ports();
    let [a, b] = tree::pipe()?;
    let first = ports.add(a, false)?;
    let second = ports.add(b, false).inspect_err(|_| drop(ports.close(first)))?;
    let mut both = [0; 8];
    for (to, fd) in both.chunks_exact_mut(4).zip([first, second]) {
        copy(&u32::try_from(fd).unwrap_or(0).to_le_bytes(), to);
    }
    if !machine::copy_out(UserBuf { addr: fds, len: both.len() }, &both) {
        drop((ports.close(first), ports.close(second)));
        return Err(Error::BadAddress.into());
    }
    Ok(0)
}

/// The stat record of a path.
pub(super) fn stat(_: &Thread, scope: &Scope, path: Bytes, &[_, _, to, room, ..]: Args<'_>) -> Result<u64> {
    ops::stat(scope, path, buf(to, room))
}

/// Changes the stat record of a path.
pub(super) fn wstat(
    _: &Thread,
    scope: &Scope,
    path: Bytes,
    &[_, _, from, size, ..]: Args<'_>,
) -> Result<u64> {
    ops::wstat(scope, path, &ops::record_in(buf(from, size))?).map(|()| 0)
}

/// The stat record of a descriptor.
pub(super) fn fstat(me: &Thread, &[fd, to, room, ..]: Args<'_>) -> Result<u64> {
    chan(me, fd).file.stat(Data::ToUser(buf(to, room))).map(u64::from)
}

/// Changes the stat record of a descriptor.
pub(super) fn fwstat(me: &Thread, &[fd, from, size, ..]: Args<'_>) -> Result<u64> {
    let record = ops::record_in(buf(from, size))?;
    chan(me, fd).file.wstat(&record).map(|()| 0)
}

/// Removes a file.
pub(super) fn remove(_: &Thread, scope: &Scope, path: Bytes, _: Args<'_>) -> Result<u64> {
    ops::remove(scope, path).map(|()| 0)
}

/// Changes the working directory.
pub(super) fn chdir(me: &Thread, scope: &Scope, path: Bytes, _: Args<'_>) -> Result<u64> {
    me.proc.set_dot(ops::chdir(scope, path)?);
    Ok(0)
}

/// The path of a descriptor.
pub(super) fn fd2path(me: &Thread, &[fd, to, room, ..]: Args<'_>) -> Result<u64> {
    let chan = chan(me, fd);
    if chan.file.session.is_nowhere() {
        return Err(Error::Nowhere.into());
    }
    let text = chan.path.text();
    let to = buf(to, room);
    if text.len() > to.len {
        return Err(Error::ShortBuffer.into());
    }
    if !machine::copy_out(UserBuf { addr: to.addr, len: text.len() }, text) {
        return Err(Error::BadAddress.into());
    }
    word(text.len())
}

/// Binds.
pub(super) fn bind(
    _: &Thread,
    scope: &Scope,
    new: Bytes,
    &[_, _, old, old_len, flags, _]: Args<'_>,
) -> Result<u64> {
    ops::bind(scope, new, path(old, old_len)?, flags_of(flags)?).map(|()| 0)
}

/// A [`Str`] in user memory, and what it names.
fn string(addr: u64) -> Result<Bytes> {
    if addr == 0 {
        return Bytes::new(b"");
    }
    let mut raw = [0; size_of::<Str>()];
    if !machine::copy_in(&mut raw, UserBuf { addr, len: size_of::<Str>() }) {
        return Err(Error::BadAddress.into());
    }
    let (a, l) = raw.split_at(8);
    let number = |b: &[u8]| b.try_into().map(u64::from_le_bytes).unwrap_or(0);
    path(number(a), number(l))
}

/// May the caller mount?
fn may_mount(me: &Thread, scope: &Scope, on: &[u8]) -> Result<()> {
    me.proc.may_mount().inspect_err(|_| ops::tell_mount(scope, on))
}

/// Mounts.
pub(super) fn mount(me: &Thread, &[fd, afd, old, old_len, flags, aname]: Args<'_>) -> Result<u64> {
    let flags = flags_of(flags)?;
    let server = chan(me, fd);
    let auth = (afd != u64::MAX && afd != u64::from(u32::MAX)).then(|| chan(me, afd));
    let (old, aname) = (path(old, old_len)?, string(aname)?);
    let proc = &me.proc;
    let scope = proc.scope();
    may_mount(me, &scope, &old)?;
    let user = proc.user(Bytes::new)?;
    ops::mount(&scope, &server, auth.as_deref(), &user, old, flags, &aname).map(|()| 0)
}

/// Unmounts.
pub(super) fn unmount(
    me: &Thread,
    scope: &Scope,
    new: Bytes,
    &[_, _, old, old_len, ..]: Args<'_>,
) -> Result<u64> {
    let old = path(old, old_len)?;
    // What a mount covers may be more than the process is to see.
    may_mount(me, scope, &old)?;
    ops::unmount(scope, new, old).map(|()| 0)
}

/// Asks for an authentication file.
pub(super) fn fauth(me: &Thread, &[fd, aname, len, ..]: Args<'_>) -> Result<u64> {
    let server = chan(me, fd);
    let aname = path(aname, len)?;
    let user = me.proc.user(Bytes::new)?;
    assign(me, ops::fauth(&server, &user, &aname)?, 0)
}
