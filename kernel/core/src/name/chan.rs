//! [`Chan`]: an open file, what a descriptor leads to.
//!
//! Two reads at once on one descriptor each get some place, as in Plan 9. Locks: the listing of a union is held across requests to servers by marking it busy, never by its lock.

use super::dir::Listing;
use super::file::File;
use super::{Head, Path, Scope};
use crate::base::{Ref, Spin};
use crate::entry;
use crate::mem::pager;
use crate::mem::segment::{self, User};
use crate::msg::{Data, Msg, Reply, Result, UserBuf};
use crate::session;
use crate::thread::Thread;
use abi::error::Error;
use abi::file::{OCEXEC, OEXEC, ORDWR, OREAD, OTRUNC, OWRITE};
use abi::limit;
use abi::portal::{ALL_RIGHTS, op, right};
use core::sync::atomic::{AtomicU64, Ordering};

/// An open file.
pub struct Chan {
    /// The fid. Segments share it, so that a file which is attached stays open when its descriptors are closed.
    pub file: Ref<File>,
    /// How it was found.
    pub path: Path,
    /// Requests that may be sent on it.
    pub rights: u16,
    /// The file may have a segment, whose pages are then read and written instead.
    cacheable: bool,
    /// Most bytes that its server moves at once; never 0.
    pub iounit: usize,
    /// Where the next read or write begins that names no offset.
    pub offset: AtomicU64,
    /// For a directory: the elements of its union, if it is one, and where a listing stands.
    pub listing: Option<Ref<Spin<Listing>>>,
}

/// The rights that an open mode gives: everything but reading or writing where it does not ask for them.
fn rights(mode: u8) -> u16 {
    match mode & 3 {
        OREAD | OEXEC => ALL_RIGHTS & !right(op::TWRITE),
        OWRITE => ALL_RIGHTS & !right(op::TREAD),
        _ => ALL_RIGHTS,
    }
}

/// Is this a mode that open(2) knows?
pub(crate) fn check_mode(mode: u8) -> Result<()> {
    let flags = abi::file::ORCLOSE | OTRUNC | OCEXEC;
    if mode & !(3 | flags) != 0 || (mode & 3 == OEXEC && mode & OTRUNC != 0) {
        return Err(Error::BadOpen.into());
    }
    Ok(())
}

impl Chan {
    /// The open file of a fid that has just been opened.
    pub fn new(file: File, path: Path, mode: u8, iounit: u32, union: Option<Ref<Head>>) -> Result<Ref<Chan>> {
        let listing = match file.qid.is_dir() {
            true => Some(Ref::new(Spin::new(Listing::new(union)))?),
            false => None,
        };
        let iounit = match usize::try_from(iounit).unwrap_or(0) {
            0 => limit::IO,
            n => n.min(limit::IO),
        };
        let cacheable = segment::cacheable(&file);
        let file = Ref::new(file)?;
        Ref::new(Chan {
            cacheable,
            file,
            path,
            rights: rights(mode),
            iounit,
            offset: AtomicU64::new(0),
            listing,
        })
    }

    /// What an unassigned port leads to: a file of nobody's that may be asked anything.
    pub fn nowhere() -> Result<Ref<Chan>> {
        let file = File::reserve(&session::Session::nowhere()?)?;
        Chan::new(file, Path::root()?, ORDWR, 0, None)
    }

    /// The descriptor of a portal: it can be posted and mounted, and is no file.
    pub fn handle(portal: Ref<crate::call::Portal>) -> Result<Ref<Chan>> {
        let file = File::reserve(&session::Session::handle(portal)?)?;
        Chan::new(file, Path::of_tree(b"portal")?, ORDWR, 0, None)
    }

    /// Sends a request on the file.
    #[inline]
    pub fn call(&self, m: &mut Msg<'_>) -> Result<Reply> {
        if self.rights & right(m.op) == 0 {
            return Err(Error::BadMode.into());
        }
        session::call(&self.file.session, m)
    }

    /// Reads at an offset; `None` for the descriptor's own, which moves.
    pub fn read(&self, scope: &dyn Fn() -> Scope, to: UserBuf, at: Option<u64>) -> Result<usize> {
        if self.listing.is_some() {
            return self.read_directory(scope, to, at);
        }
        let offset = at.unwrap_or_else(|| self.offset.load(Ordering::Relaxed));
        let n = self.read_at(to, offset)?;
        if at.is_none() {
            self.offset.store(offset.saturating_add(n as u64), Ordering::Relaxed);
        }
        Ok(n)
    }

    /// The segment of the file, if there is one: then what it has here is the file.
    #[inline]
    pub(super) fn segment(&self) -> Option<User> {
        if self.cacheable { segment::find(&self.file) } else { None }
    }

    /// Reads a file that may have a segment: what is here of that, else from its server.
    #[inline(never)]
    fn read_pages(&self, to: UserBuf, offset: u64) -> Result<usize> {
        if self.may_read()
            && let Some(n) = pager::read(&self.file, to, offset)?
        {
            return Ok(n);
        }
        let n = self.transfer(op::TREAD, offset, Data::ToUser(to), to.len)?;
        if n > 0
            && let Some(user) = self.segment()
        {
            // It has grown.
            user.segment().refresh(&self.file)?;
        }
        Ok(n)
    }

    /// Reads at an offset, of a file that is no directory.
    #[inline(always)]
    pub fn read_at(&self, to: UserBuf, offset: u64) -> Result<usize> {
        match self.cacheable {
            true => self.read_pages(to, offset),
            false => self.transfer(op::TREAD, offset, Data::ToUser(to), to.len),
        }
    }

    /// Reads at an offset by the measured paths, of a file that may have a segment or is its server's alone: the system
    /// call's result. None, and nothing is done, if neither is for this.
    #[inline(always)]
    pub fn read_short(&self, me: &Thread, to: UserBuf, offset: u64) -> Option<u64> {
        if self.cacheable {
            return Some(entry::moved(me, self.read_pages(to, offset)));
        }
        if self.listing.is_some() || !self.may_read() {
            return None;
        }
        session::read(&self.file.session, me, self.file.fid(), to, offset)
    }

    #[inline(never)]
    fn transfer(&self, op: u8, offset: u64, data: Data<'_>, len: usize) -> Result<usize> {
        let mut m = self.file.message(op);
        m.offset = offset;
        m.count = u32::try_from(len.min(limit::IO)).unwrap_or(0);
        m.data = data;
        if self.rights & right(op) == 0 {
            return Err(Error::BadMode.into());
        }
        let mut reply = Reply::default();
        session::ask(&self.file.session, &mut m, &mut reply)?;
        Ok(reply.count as usize)
    }

    /// Reads into the kernel's own memory.
    pub fn read_kernel(&self, to: &mut [u8], offset: u64) -> Result<usize> {
        let len = to.len();
        self.transfer(op::TREAD, offset, Data::ToKernel(to), len)
    }

    /// Writes at an offset; `u64::MAX` for the descriptor's own, which moves. Long writes go in pieces; an error after
    /// the first says how much was written.
    #[inline(always)]
    pub fn write(&self, from: UserBuf, at: u64) -> Result<usize> {
        let own = at == u64::MAX;
        let offset = if own { self.offset.load(Ordering::Relaxed) } else { at };
        if offset > i64::MAX as u64 {
            return Err(Error::BadOffset.into());
        }
        let done = if from.len <= self.iounit && !self.cacheable {
            self.transfer(op::TWRITE, offset, Data::FromUser(from), from.len)?
        } else {
            self.write_pieces(from, offset)?
        };
        if own {
            self.offset.store(offset.wrapping_add(done as u64), Ordering::Relaxed);
        }
        Ok(done)
    }

    #[inline(never)]
    fn write_pieces(&self, from: UserBuf, offset: u64) -> Result<usize> {
        let mut done = 0usize;
        loop {
            let len = from.len.saturating_sub(done).min(self.iounit);
            let at = offset.saturating_add(done as u64);
            let part = UserBuf { addr: from.addr.wrapping_add(done as u64), len };
            match self.transfer(op::TWRITE, at, Data::FromUser(part), len) {
                Ok(n) => {
                    if let Some(user) = self.segment() {
                        pager::written(user.segment(), UserBuf { len: n, ..part }, at)?;
                    }
                    done = done.saturating_add(n);
                    if n < len || done >= from.len {
                        return Ok(done);
                    }
                }
                Err(e) if done == 0 => return Err(e),
                Err(_) => return Ok(done),
            }
        }
    }

    #[inline(never)]
    fn read_directory(&self, scope: &dyn Fn() -> Scope, to: UserBuf, at: Option<u64>) -> Result<usize> {
        let Some(listing) = &self.listing else { return Err(Error::NotDir.into()) };
        let here = self.offset.load(Ordering::Relaxed);
        let offset = at.unwrap_or(here);
        if offset != 0 && offset != here {
            return Err(Error::BadOffset.into());
        }
        let simple = listing.lock().is_simple() && self.file.session.mounts.load(Ordering::Relaxed) == 0;
        let n = if simple {
            self.transfer(op::TREAD, offset, Data::ToUser(to), to.len)?
        } else {
            // The listing leaves its place while servers are asked; who finds it gone reads a busy directory.
            let mut l = core::mem::replace(&mut *listing.lock(), Listing::taken());
            if offset == 0 {
                l.rewind();
            }
            let r = l.read(&scope(), &self.file, to);
            *listing.lock() = l;
            r?
        };
        self.offset.store(offset.saturating_add(n as u64), Ordering::Relaxed);
        Ok(n)
    }

    /// Closes it now, for its last holder.
    pub fn close(self) -> Result<()> {
        // What programs have written to its pages goes first; if that fails the pages stay, and the file with them.
        let flushed = match self.segment() {
            Some(user) if self.may_write() => pager::flush(user.segment()),
            _ => Ok(()),
        };
        let closed = match Ref::into_inner(self.file) {
            Some(file) => file.clunk(),
            None => Ok(()),
        };
        flushed.and(closed)
    }

    /// May it be written?
    pub fn may_write(&self) -> bool {
        self.rights & right(op::TWRITE) != 0
    }

    /// May it be read?
    pub fn may_read(&self) -> bool {
        self.rights & right(op::TREAD) != 0
    }
}
