//! Attaching files: what segattach and exec make of an open file.

use super::Space;
use super::segment::{self, may_attach};
use super::space::{PAGE64, Use};
use crate::machine::Rights;
use crate::msg::{Fail, Result, UserBuf};
use crate::name::Chan;
use abi::error::Error;
use abi::file::{SGEXEC, SGPRIVATE, SGWRITE};
use abi::limit::PAGE;

/// Attaches a range of an open file to the current program's space: where. A file that its server does not let be
/// cached can be had as a copy only.
pub fn attach(space: &Space, chan: &Chan, flags: u32, offset: u64, at: (u64, u64)) -> Result<u64> {
    let (rights, private) = match flags {
        0 => (Rights::Read, false),
        SGWRITE => (Rights::Write, false),
        SGEXEC => (Rights::Exec, false),
        SGPRIVATE => (Rights::Read, true),
        _ => return Err(Error::BadArg.into()),
    };
    if !offset.is_multiple_of(PAGE64) {
        return Err(Error::BadArg.into());
    }
    if chan.file.qid.is_dir() {
        return Err(Error::IsDir.into());
    }
    if !may_attach(chan, rights) {
        return Err(Error::BadMode.into());
    }
    match segment::cacheable(&chan.file) {
        true if !private => share(space, chan, rights, Use::Segment, offset, at),
        _ if rights == Rights::Read => snapshot(space, chan, offset, at),
        _ => Err(Error::NotSupported.into()),
    }
}

/// Attaches the file's segment.
fn share(space: &Space, chan: &Chan, rights: Rights, kind: Use, offset: u64, at: (u64, u64)) -> Result<u64> {
    let user = segment::of(chan)?;
    let end = offset.checked_add(at.1).ok_or(Error::BadArg)?;
    if at.1 == 0 || end.div_ceil(PAGE64) > user.segment().length().div_ceil(PAGE64) {
        return Err(Error::BadArg.into());
    }
    let at = space.attach_file(at, rights, kind, (user, offset / PAGE64), &chan.file)?;
    if space.is_wired()
        && let Err(e) = space.bring()
    {
        space.detach(at, end.saturating_sub(offset))?;
        return Err(e);
    }
    Ok(at)
}

/// Puts whole pages of a file in the place of a buffer that is made of segments, to be read: how many bytes. None if
/// they don't fit, or the file is none that can be shared, so that it is to be read.
pub fn take(space: &Space, chan: &Chan, to: UserBuf, offset: u64) -> Result<Option<usize>> {
    if !segment::cacheable(&chan.file) || !may_attach(chan, Rights::Read) {
        return Ok(None);
    }
    let user = segment::of(chan)?;
    let rest = user.segment().length().saturating_sub(offset);
    let len = rest.min(to.len as u64) & !(PAGE64 - 1);
    if len == 0 || !(offset | to.addr).is_multiple_of(PAGE64) || !space.is_segments(to.addr, len / PAGE64) {
        return Ok(None);
    }
    if space.detach(to.addr, len).is_err() {
        // Some call uses it right now.
        return Ok(None);
    }
    let put =
        space.attach_file((to.addr, len), Rights::Read, Use::Segment, (user, offset / PAGE64), &chan.file);
    if let Err(e) = put {
        // What was there is lost, but not its place.
        space.attach(to.addr, len, Rights::Write, Use::Segment)?;
        return Err(e);
    }
    Ok(Some(len as usize))
}

/// Attaches a copy of what the file has now.
fn snapshot(space: &Space, chan: &Chan, offset: u64, (addr, len): (u64, u64)) -> Result<u64> {
    let at = space.attach(addr, len, Rights::Write, Use::Segment)?;
    let mut done = 0u64;
    let mut read = Ok(());
    while done < len {
        let rest = usize::try_from(len.saturating_sub(done)).unwrap_or(usize::MAX);
        let to = UserBuf { addr: at.saturating_add(done), len: rest };
        match chan.read_at(to, offset.saturating_add(done)) {
            Ok(0) if done.next_multiple_of(PAGE64) >= len && done != 0 => break,
            // It ends before the range does.
            Ok(0) => read = Err(Error::BadArg.into()),
            Ok(n) => done = done.saturating_add(n as u64),
            Err(e) => read = Err(e),
        }
        if read.is_err() {
            space.detach(at, len)?;
            break;
        }
    }
    read.map(|()| at)
}

/// A program's code or constants, `len` bytes of its file from a page's beginning on, at an address of a new space.
/// False if it can't be shared and is to be copied.
pub fn text(space: &Space, chan: &Chan, rights: Rights, offset: u64, at: (u64, u64)) -> Result<bool> {
    if !segment::cacheable(&chan.file) {
        return Ok(false);
    }
    let start = match share(space, chan, rights, Use::Text, offset, at) {
        Ok(start) => start,
        Err(e) if e == Error::NoMemory.into() => return Err(e),
        // The range is none, or not the file's.
        Err(Fail::Known(Error::BadArg | Error::Overlap)) => return Err(Error::BadExec.into()),
        // Its server does not even stat.
        Err(_) => return Ok(false),
    };
    if at.1 <= WHOLE {
        // So small a program loads completely: it never waits for its server again.
        for page in (start..start.saturating_add(at.1)).step_by(PAGE) {
            space.fault(page, super::fault::Access::Read)?;
        }
    }
    Ok(true)
}

/// Texts up to here load completely at exec.
const WHOLE: u64 = 64 << 10;
