//! [`File`]: a fid of a session, clunked when it is dropped.

use crate::base::{Bytes, Ref, copy};
use crate::call::Portal;
use crate::mem::{pager, segment};
use crate::msg::{Data, Fail, Msg, Reply, Result};
use crate::session::{self, Session};
use abi::error::Error;
use abi::file::Qid;
use abi::portal::{NOFID, op};
use core::sync::atomic::Ordering;

/// Set in `a` of a kernel tree's Tclunk and Tremove if the file was open; the mode is below it.
pub const WAS_OPEN: u8 = 0x80;

/// A file that was walked to. It owns the fid.
pub struct File {
    /// Whose file it is.
    pub session: Ref<Session>,
    /// Its number there; [`NOFID`] once it is given back. Trees of the kernel know files by their qids and use no
    /// numbers.
    fid: u32,
    /// The server's name of it.
    pub qid: Qid,
    /// The mode of the open, with [`WAS_OPEN`].
    opened: u8,
    /// It was found by a way that changes nothing (`MRDONLY`), and so is all that is found from it.
    pub read_only: bool,
}

/// A string as it stands in a message page, appended to `to`.
pub fn body_string(to: &mut [u8], at: usize, s: &[u8]) -> Result<usize> {
    let start = at.saturating_add(2);
    let end = start.saturating_add(s.len());
    let len = u16::try_from(s.len()).map_err(|_| Error::NameTooLong)?;
    let (Some(head), true) = (to.get_mut(at..start), s.len() <= usize::from(u16::MAX)) else {
        return Err(Error::NameTooLong.into());
    };
    copy(&len.to_le_bytes(), head);
    copy(s, to.get_mut(start..end).ok_or(Error::NameTooLong)?);
    Ok(end)
}

/// The two strings of a Tauth or Tattach.
fn strings(user: &[u8], aname: &[u8]) -> Result<Bytes> {
    let mut body = Bytes::zeroed(user.len().saturating_add(aname.len()).saturating_add(4))?;
    let end = body_string(&mut body, 0, user)?;
    body_string(&mut body, end, aname)?;
    Ok(body)
}

impl File {
    /// Attaches to a server's tree: the root.
    pub fn attach(session: Ref<Session>, afid: u32, user: &[u8], aname: &[u8]) -> Result<File> {
        File::introduce(op::TATTACH, session, afid, strings(user, aname)?)
    }

    /// Attaches to a server that has taken the place of a session's: the root, for the same user and tree.
    pub fn attach_again(old: &Session, portal: &Ref<Portal>) -> Result<File> {
        let body = Bytes::new(&old.attached.lock())?;
        File::introduce(op::TATTACH, Session::with(portal)?, NOFID, body)
    }

    /// Asks a server for an authentication file.
    pub fn auth(session: Ref<Session>, user: &[u8], aname: &[u8]) -> Result<File> {
        File::introduce(op::TAUTH, session, NOFID, strings(user, aname)?)
    }

    /// The requests that name a user instead of a file.
    fn introduce(op: u8, session: Ref<Session>, afid: u32, body: Bytes) -> Result<File> {
        let file = File::reserve(&session)?;
        let mut m = file.message(op);
        m.fid2 = afid;
        m.body = &body;
        let reply = session::call(&session, &mut m);
        let file = file.settle(reply)?;
        if op == op::TATTACH {
            session.root.store(file.qid.path, Ordering::Relaxed);
            *session.attached.lock() = body;
        }
        Ok(file)
    }

    /// A file of a tree of the kernel, not open.
    pub fn tree(session: Ref<Session>, qid: Qid) -> File {
        File { session, fid: 0, qid, opened: 0, read_only: false }
    }

    /// A file of a tree of the kernel that the tree itself has opened.
    pub fn opened_tree(session: Ref<Session>, qid: Qid, mode: u8) -> File {
        File { session, fid: 0, qid, opened: mode | WAS_OPEN, read_only: false }
    }

    /// A number for a file to come.
    pub(super) fn reserve(session: &Ref<Session>) -> Result<File> {
        let fid = if session.is_tree() { 0 } else { session.take_fid()? };
        Ok(File { session: session.clone(), fid, qid: Qid::default(), opened: 0, read_only: false })
    }

    /// Takes the answer of the request that was to give a reserved number its file.
    pub(super) fn settle(mut self, reply: Result<Reply>) -> Result<File> {
        match reply {
            Ok(r) => {
                self.qid = r.qid;
                Ok(self)
            }
            Err(e) => {
                self.unused(e);
                Err(e)
            }
        }
    }

    /// The reserved number names no file: it is given back, unless a call that was left may still use it.
    pub(super) fn unused(&mut self, why: Fail) {
        let fid = core::mem::replace(&mut self.fid, NOFID);
        if why != Fail::Left && !self.session.is_tree() {
            self.session.give_fid(fid);
        }
    }

    /// A request about this file.
    #[inline]
    pub fn message(&self, op: u8) -> Msg<'static> {
        Msg {
            op,
            a: 0,
            fid: self.fid,
            fid2: NOFID,
            count: 0,
            offset: 0,
            qid: self.qid,
            body: &[],
            data: Data::None,
        }
    }

    /// The fid, for messages that name two.
    pub fn fid(&self) -> u32 {
        self.fid
    }

    /// The mode of the open: reading, writing, both or executing.
    pub fn mode(&self) -> u8 {
        self.opened & 3
    }

    /// Another number for the same file.
    pub fn copy(&self) -> Result<File> {
        let mut new = File::reserve(&self.session)?;
        let mut m = self.message(op::TWALK);
        m.fid2 = new.fid;
        let reply = session::call(&self.session, &mut m);
        new.qid = self.qid;
        new.read_only = self.read_only;
        match reply {
            Ok(_) => Ok(new),
            Err(e) => {
                new.unused(e);
                Err(e)
            }
        }
    }

    /// May it be changed by the way that it was found?
    pub fn may_change(&self) -> Result<()> {
        if self.read_only { Err(Error::ReadOnly.into()) } else { Ok(()) }
    }

    /// Opens it: the iounit.
    pub fn open(&mut self, mode: u8) -> Result<u32> {
        let mut m = self.message(op::TOPEN);
        m.a = mode;
        let r = session::call(&self.session, &mut m)?;
        self.qid = r.qid;
        self.opened = mode | WAS_OPEN;
        Ok(r.iounit)
    }

    /// Creates a file in this directory; from then on this is the new file, and open: the iounit.
    pub fn create(&mut self, name: &[u8], perm: u32, mode: u8) -> Result<u32> {
        self.may_change()?;
        let mut body = [0u8; abi::limit::NAME + 2];
        let len = body_string(&mut body, 0, name)?;
        let mut m = self.message(op::TCREATE);
        m.a = mode;
        m.count = perm;
        m.body = body.get(..len).unwrap_or(&[]);
        let r = session::call(&self.session, &mut m)?;
        self.qid = r.qid;
        self.opened = mode | WAS_OPEN;
        Ok(r.iounit)
    }

    /// Reads or stats into wherever `data` says.
    pub fn stat(&self, data: Data<'_>) -> Result<u32> {
        let m = self.message(op::TSTAT);
        session::call(&self.session, &mut Msg { data, ..m }).map(|r| r.count)
    }

    /// Changes attributes to those of a stat record. One that changes nothing asks that everything be written (stat(5));
    /// any other may change the length.
    pub fn wstat(&self, record: &[u8]) -> Result<()> {
        self.may_change()?;
        let m = self.message(op::TWSTAT);
        let count = u32::try_from(record.len()).map_err(|_| Error::BadStat)?;
        let user = if segment::cacheable(self) { segment::find(self) } else { None };
        if let Some(user) = &user {
            pager::flush(user.segment())?;
        }
        session::call(&self.session, &mut Msg { body: record, count, ..m })?;
        user.map_or(Ok(()), |user| user.segment().refresh(self))
    }

    /// Removes it; the fid is gone whether or not that worked (remove(5)).
    pub fn remove(mut self) -> Result<()> {
        self.may_change()?;
        self.end(op::TREMOVE)
    }

    /// Gives it back now instead of later. The server's word on it matters where a close does something.
    pub fn clunk(mut self) -> Result<()> {
        self.end(op::TCLUNK)
    }

    fn end(&mut self, op: u8) -> Result<()> {
        let mut m = self.message(op);
        m.a = self.opened;
        let fid = core::mem::replace(&mut self.fid, NOFID);
        let r = session::call(&self.session, &mut m).map(drop);
        if r != Err(Fail::Left) && !self.session.is_tree() {
            self.session.give_fid(fid);
        }
        r
    }
}

impl Drop for File {
    fn drop(&mut self) {
        if self.fid == NOFID {
            return;
        }
        if self.session.is_tree() {
            // In place: no server is called. What a tree says to a clunk concerns nobody.
            let _ = self.end(op::TCLUNK);
        } else {
            session::clunk_later(&self.session, self.fid);
        }
    }
}
