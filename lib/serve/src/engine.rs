//! [`Engine`]: the rules of section 5 that hold for every server, between a front and a [`Server`].
//!
//! Each method is one message. The engine holds no lock while the server works; where two requests race for one fid
//! (which a well-behaved client never lets happen), the table decides who was first and the other gets an error.

use crate::table::{At, Fid, User};
use crate::{Fail, Listing, Mode, Opened, Result, Server, Sink, Source};
use abi::error::Error;
use abi::file::{DMAPPEND, DMDIR, DMEXCL, DMTMP, NOCHANGE32, NOCHANGE64, QTAUTH, Qid};
use abi::limit;
use abi::portal::NOFID;
use alloc::string::String;
use ninep::{Names, Stat};
use sync::{Lock, Shared};

/// A server and the rules around it.
pub struct Engine<S: Server> {
    server: S,
}

/// The answer of open and create.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opening {
    /// The file.
    pub qid: Qid,
    /// As in [`Opened`].
    pub iounit: u32,
}

/// Mode bits that a create may ask for.
const CREATABLE: u32 = DMDIR | DMAPPEND | DMEXCL | DMTMP | 0o777;

impl<S: Server> Engine<S> {
    /// An engine for a server.
    pub const fn new(server: S) -> Self {
        Engine { server }
    }

    /// The server.
    pub fn server(&self) -> &S {
        &self.server
    }

    /// Tauth.
    pub fn auth(&self, at: At<'_, S>, afid: u32, uname: &str, aname: &str) -> Result<Qid> {
        free_fid(&at, afid)?;
        let user = make_user(uname)?;
        let node = self.server.auth(&at.ctx(uname), aname)?;
        let mut qid = self.server.qid(&node);
        qid.kind |= QTAUTH;
        let fid =
            Fid { node, user, dir: false, auth: true, mode: Some(Mode::new(2)?), place: Lock::default() };
        at.table.insert(at.session, afid, Shared::try_new(fid)?)?;
        Ok(qid)
    }

    /// Tattach.
    pub fn attach(&self, at: At<'_, S>, fid: u32, afid: u32, uname: &str, aname: &str) -> Result<Qid> {
        free_fid(&at, fid)?;
        let auth = match afid {
            NOFID => None,
            _ => Some(at.table.get(at.session, afid)?),
        };
        if auth.as_ref().is_some_and(|a| !a.auth || a.user() != uname) {
            return Err(Fail::Error(Error::AuthFailed));
        }
        let user = make_user(uname)?;
        let node = self.server.attach(&at.ctx(uname), auth.as_ref().map(|a| &a.node), aname)?;
        let qid = self.server.qid(&node);
        let auth = qid.kind & QTAUTH != 0;
        let new = Fid { node, user, dir: qid.is_dir(), auth, mode: None, place: Lock::default() };
        at.table.insert(at.session, fid, Shared::try_new(new)?)?;
        Ok(qid)
    }

    /// Twalk: how many names were walked, whose qids are in `qids`, which has room for all. Binds `newfid` only if every
    /// name was walked (walk(5)).
    pub fn walk(
        &self,
        at: At<'_, S>,
        fid: u32,
        newfid: u32,
        names: &Names<'_>,
        qids: &mut [Qid],
    ) -> Result<usize> {
        if newfid == NOFID {
            return Err(Fail::Error(Error::UnknownFid));
        }
        let from = at.table.get(at.session, fid)?;
        if from.mode.is_some() {
            return Err(Fail::Error(Error::AlreadyOpen));
        }
        let cx = at.ctx(from.user());
        let mut walked = 0;
        let mut reached: Option<S::Node> = None;
        let (mut dir, mut auth) = (from.dir, from.auth);
        for (name, qid) in names.iter().zip(qids) {
            let here = reached.as_ref().unwrap_or(&from.node);
            match self.step(&cx, here, dir, name.as_str()) {
                Ok(next) => {
                    *qid = self.server.qid(&next);
                    reached = Some(next);
                }
                Err(wait @ Fail::Wait { .. }) => return Err(wait),
                Err(e) => {
                    self.server.missed(&cx, here, &mut names.iter().skip(walked).map(|n| n.as_str()));
                    // What a partial walk stopped at is for the next walk to say, but not that it could not have bound the fid.
                    if walked == 0 {
                        return Err(e);
                    }
                    return if newfid == fid { Ok(walked) } else { free_fid(&at, newfid).map(|()| walked) };
                }
            }
            (dir, auth) = (qid.is_dir(), qid.kind & QTAUTH != 0);
            walked += 1;
        }
        if newfid != fid || walked != 0 {
            let node = reached.unwrap_or_else(|| from.node.clone());
            let (user, mode, place) = (from.user.clone(), None, Lock::default());
            let new = Shared::try_new(Fid { node, user, dir, auth, mode, place })?;
            if newfid != fid {
                at.table.insert(at.session, newfid, new)?;
            } else {
                at.table.replace(at.session, fid, &from, new)?;
            }
        }
        Ok(walked)
    }

    fn step(&self, cx: &crate::Ctx<'_>, node: &S::Node, dir: bool, name: &str) -> Result<S::Node> {
        if !dir {
            return Err(Fail::Error(Error::NotDir));
        }
        match name {
            "." => Err(Fail::Error(Error::NotExist)),
            _ => self.server.walk(cx, node, name),
        }
    }

    /// Topen.
    pub fn open(&self, at: At<'_, S>, fid: u32, mode: u8) -> Result<Opening> {
        let old = at.table.get(at.session, fid)?;
        if old.mode.is_some() {
            return Err(Fail::Error(Error::AlreadyOpen));
        }
        let mode = Mode::new(mode)?;
        if old.dir && !mode.only_reads() {
            return Err(Fail::Error(Error::IsDir));
        }
        let opened = self.server.open(&at.ctx(old.user()), &old.node, mode)?;
        self.opened(&at, fid, &old, opened, mode)
    }

    /// Tcreate: makes a file in the directory that the fid names, which then names the file.
    pub fn create(&self, at: At<'_, S>, fid: u32, name: &str, perm: u32, mode: u8) -> Result<Opening> {
        let old = at.table.get(at.session, fid)?;
        if old.mode.is_some() {
            return Err(Fail::Error(Error::AlreadyOpen));
        }
        if !old.dir {
            return Err(Fail::Error(Error::NotDir));
        }
        valid_name(name)?;
        let mode = Mode::new(mode)?;
        if perm & !CREATABLE != 0 {
            return Err(Fail::Error(Error::NotSupported));
        }
        if perm & DMDIR != 0 && !mode.only_reads() {
            return Err(Fail::Error(Error::IsDir));
        }
        let cx = at.ctx(old.user());
        let opened = self.server.create(&cx, &old.node, name, perm, mode)?;
        let node = opened.node.clone();
        self.opened(&at, fid, &old, opened, mode).inspect_err(|_| {
            // The client must not find a file that it was told it didn't get.
            let _ = self.server.remove(&cx, &node);
        })
    }

    /// The fid is open from now on, or the server's work is undone.
    fn opened(
        &self,
        at: &At<'_, S>,
        fid: u32,
        old: &Shared<Fid<S>>,
        opened: Opened<S::Node>,
        mode: Mode,
    ) -> Result<Opening> {
        let Opened { node, qid, iounit } = opened;
        let new = Fid {
            node: node.clone(),
            user: old.user.clone(),
            dir: qid.is_dir(),
            auth: false,
            mode: Some(mode),
            place: Lock::default(),
        };
        let bound = Shared::try_new(new)
            .map_err(Fail::from)
            .and_then(|new| at.table.replace(at.session, fid, old, new));
        if let Err(e) = bound {
            self.server.clunk(&at.ctx(old.user()), &node, mode);
            return Err(e);
        }
        Ok(Opening { qid, iounit })
    }

    /// Tread: the data goes to the sink.
    #[inline]
    pub fn read(&self, at: At<'_, S>, fid: u32, offset: u64, sink: &mut Sink<'_>) -> Result<()> {
        let file = at.table.get(at.session, fid)?;
        match file.mode {
            Some(mode) if mode.reads() => {}
            Some(_) => return Err(Fail::Error(Error::BadMode)),
            None => return Err(Fail::Error(Error::NotOpen)),
        }
        let cx = at.ctx(file.user());
        if file.dir {
            return self.read_dir(&cx, &file, offset, sink);
        }
        self.server.read(&cx, &file.node, offset, sink)
    }

    /// A directory is read from its start or from where the last read ended (read(5)).
    fn read_dir(&self, cx: &crate::Ctx<'_>, file: &Fid<S>, offset: u64, sink: &mut Sink<'_>) -> Result<()> {
        let (end, place) = *file.place.lock();
        if offset != 0 && offset != end {
            return Err(Fail::Error(Error::BadOffset));
        }
        let room = sink.left();
        let mut listing = Listing::new(sink, if offset == 0 { 0 } else { place });
        self.server.list(cx, &file.node, if offset == 0 { 0 } else { place }, &mut listing)?;
        let place = listing.finish()?;
        *file.place.lock() = (offset + (room - sink.left()) as u64, place);
        Ok(())
    }

    /// Twrite: how many bytes were taken.
    pub fn write(&self, at: At<'_, S>, fid: u32, offset: u64, source: &mut Source<'_>) -> Result<u32> {
        let file = at.table.get(at.session, fid)?;
        match file.mode {
            Some(mode) if mode.writes() => {}
            Some(_) => return Err(Fail::Error(Error::BadMode)),
            None => return Err(Fail::Error(Error::NotOpen)),
        }
        self.server.write(&at.ctx(file.user()), &file.node, offset, source)
    }

    /// Tclunk.
    pub fn clunk(&self, at: At<'_, S>, fid: u32) -> Result<()> {
        let file = at.table.take(at.session, fid)?;
        self.close(&at, &file);
        Ok(())
    }

    /// Tremove: removes the file, and forgets the fid whether that worked or not (remove(5)).
    pub fn remove(&self, at: At<'_, S>, fid: u32) -> Result<()> {
        let file = at.table.take(at.session, fid)?;
        let cx = at.ctx(file.user());
        let removed =
            if file.auth { Err(Fail::Error(Error::Perm)) } else { self.server.remove(&cx, &file.node) };
        if let Some(mode) = file.mode.filter(|_| !file.auth) {
            self.server.clunk(&cx, &file.node, mode);
        }
        removed
    }

    /// Tstat: the record, encoded, at the start of `out`; its length.
    pub fn stat(&self, at: At<'_, S>, fid: u32, out: &mut [u8]) -> Result<usize> {
        let file = at.table.get(at.session, fid)?;
        let mut len = 0;
        self.server.stat(&at.ctx(file.user()), &file.node, &mut |stat| {
            len = stat.encode(out).map_err(|_| Error::ShortBuffer)?;
            Ok(())
        })?;
        Ok(len)
    }

    /// Twstat.
    pub fn wstat(&self, at: At<'_, S>, fid: u32, stat: &Stat<'_>) -> Result<()> {
        let file = at.table.get(at.session, fid)?;
        if !stat.name.is_empty() {
            valid_name(stat.name)?;
        }
        if file.dir && stat.length != NOCHANGE64 && stat.length != 0 {
            return Err(Fail::Error(Error::IsDir));
        }
        if stat.mode != NOCHANGE32 && (stat.mode & DMDIR != 0) != file.dir {
            return Err(Fail::Error(Error::Perm));
        }
        self.server.wstat(&at.ctx(file.user()), &file.node, stat)
    }

    /// Tflush of a request that a handler is still at.
    pub fn flush(&self, session: u64, oldtag: u16) {
        self.server.flush(session, oldtag);
    }

    /// The session is over, or begins anew: forgets all its fids, as if each had been clunked.
    pub fn end_session(&self, at: At<'_, S>) {
        loop {
            let (mut from, mut found) = (usize::MAX, false);
            while let Some(file) = at.table.take_below(at.session, &mut from) {
                self.close(&at, &file);
                found = true;
            }
            if !found {
                return;
            }
        }
    }

    fn close(&self, at: &At<'_, S>, file: &Fid<S>) {
        let Some(mode) = file.mode else { return };
        let cx = at.ctx(file.user());
        self.server.clunk(&cx, &file.node, mode);
        if mode.removes() && !file.auth {
            // Nobody is there to hear of a failure; the file may be gone already.
            let _ = self.server.remove(&cx, &file.node);
        }
    }
}

fn make_user(uname: &str) -> Result<User> {
    if uname.len() > limit::USER {
        return Err(Fail::Error(Error::NoUser));
    }
    let mut name = String::new();
    name.try_reserve_exact(uname.len())?;
    name.push_str(uname);
    Ok(Shared::try_new(name)?)
}

fn free_fid<S: Server>(at: &At<'_, S>, fid: u32) -> Result<()> {
    match fid {
        NOFID => Err(Fail::Error(Error::UnknownFid)),
        _ if at.table.has(at.session, fid) => Err(Fail::Error(Error::FidInUse)),
        _ => Ok(()),
    }
}

/// A name that a file can be given: create(5) and stat(5) forbid `.`, `..`, and `/`; control characters would make
/// listings lie.
fn valid_name(name: &str) -> Result<()> {
    if name.len() > limit::NAME {
        return Err(Fail::Error(Error::NameTooLong));
    }
    if matches!(name, "" | "." | "..") || name.chars().any(|c| c == '/' || c.is_control()) {
        return Err(Fail::Error(Error::BadName));
    }
    Ok(())
}
