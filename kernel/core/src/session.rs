//! A session: one attach to a server by one user, and the function that every request on its files goes through.
//!
//! [`call`] is a table of functions indexed by the session's state: a kernel tree's, a portal's, or one of
//! the two common routines, `nowhere` and `died`. A server that dies closes its portal; the first call of each session
//! to find it closed stores that in the session, and no port or session is ever searched for.

use crate::base::{Bytes, Link, Linked, List, Ref, Spin};
use crate::call::Portal;
use crate::counters;
use crate::msg::{Msg, Reply, Result, UserBuf};
use crate::thread::Thread;
use crate::tree::trace;
use abi::error::Error;
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

/// What serves a session from inside the kernel: a `#` tree.
pub trait Serve: Sync {
    /// Answers one request of a session, in place, on the caller's kernel stack.
    fn answer(&self, session: &Ref<Session>, m: &mut Msg<'_>) -> Result<Reply>;

    /// Does it pass on pages that are given?
    fn moves_pages(&self) -> bool {
        false
    }

    /// The tree's name.
    fn name(&self) -> &'static str {
        ""
    }
}

/// Who answers.
pub enum Server {
    /// Nobody.
    Nobody,
    /// A tree of the kernel.
    Tree(&'static dyn Serve),
    /// A user-level server.
    Portal(Ref<Portal>),
}

/// One attach.
pub struct Session {
    /// Index into [`FUNCTIONS`]; only ever changes to [`DIED`].
    state: AtomicU8,
    /// Numbered from 1, never used twice.
    pub number: u64,
    /// Mount points among its files; while 0 a walk need not look for any.
    pub mounts: AtomicU32,
    /// The Tattach's strings, user and tree, as they stood in its page: a server that is started again is asked anew.
    pub attached: Spin<Bytes>,
    /// qid.path of the root that was attached.
    pub root: AtomicU64,
    /// The numbers of its fids.
    pub fids: Spin<Fids>,
    server: Server,
    /// On the reaper's queue while it has doomed fids.
    doomed: Link<Session>,
}

/// A session's function for requests.
pub(crate) type Function = fn(&Ref<Session>, &mut Msg<'_>, &mut Reply) -> Result<()>;

const NOWHERE: u8 = 0;
const DIED: u8 = 1;
const TREE: u8 = 2;
const DOMAIN: u8 = 3;
const HANDLE: u8 = 4;

/// By state. Eight, so that a mask replaces the check of bounds.
static FUNCTIONS: [Function; 8] =
    [nowhere, died, tree_call, crate::call::domain_call, handle, nowhere, nowhere, nowhere];

static NEXT: AtomicU64 = AtomicU64::new(1);

impl Session {
    fn make(state: u8, server: Server) -> Result<Ref<Session>> {
        // Before it is made: without memory the value is dropped, and counts down.
        counters::SESSIONS.up();
        let session = Ref::new(Session {
            state: AtomicU8::new(state),
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            mounts: AtomicU32::new(0),
            attached: Spin::new(Bytes::default()),
            root: AtomicU64::new(0),
            fids: Spin::new(Fids::new()),
            server,
            doomed: Link::new(),
        })?;
        Ok(session)
    }

    /// The session of an unassigned port.
    pub fn nowhere() -> Result<Ref<Session>> {
        Session::make(NOWHERE, Server::Nobody)
    }

    /// A session of a kernel tree.
    pub fn tree(tree: &'static dyn Serve) -> Result<Ref<Session>> {
        Session::make(TREE, Server::Tree(tree))
    }

    /// The session that a portal's own descriptor stands for: it leads to the portal, but none of its files do.
    pub fn handle(portal: Ref<Portal>) -> Result<Ref<Session>> {
        Session::make(HANDLE, Server::Portal(portal))
    }

    /// A new session with the server behind a portal; the caller sends the Tauth or Tattach.
    pub fn with(portal: &Ref<Portal>) -> Result<Ref<Session>> {
        Session::make(DOMAIN, Server::Portal(portal.clone()))
    }

    /// The server died: from now on every request is answered so.
    pub fn die(&self) {
        self.state.store(DIED, Ordering::Release);
    }

    /// Has its server died?
    pub fn died(&self) -> bool {
        self.state.load(Ordering::Acquire) == DIED
    }

    /// Has its server gone, whether or not a call has found out?
    pub fn gone(&self) -> bool {
        self.portal().is_some_and(|p| p.closed())
    }

    /// The portal behind it, if a user-level server is.
    #[inline]
    pub fn portal(&self) -> Option<&Ref<Portal>> {
        match &self.server {
            Server::Portal(p) => Some(p),
            _ => None,
        }
    }

    /// Does its server pass on pages that are given?
    pub fn moves_pages(&self) -> bool {
        matches!(self.server, Server::Tree(tree) if tree.moves_pages())
    }

    /// Is it a portal's own descriptor, from which one can mount?
    pub fn is_handle(&self) -> bool {
        self.state.load(Ordering::Relaxed) == HANDLE
    }

    /// A number for a new fid.
    pub fn take_fid(&self) -> Result<u32> {
        let fid = self.fids.lock().take()?;
        counters::FIDS.up();
        Ok(fid)
    }

    /// Gives a fid's number back.
    pub fn give_fid(&self, fid: u32) {
        self.fids.lock().give(fid);
        counters::FIDS.down();
    }

    /// Is it the session of unassigned ports?
    pub fn is_nowhere(&self) -> bool {
        self.state.load(Ordering::Relaxed) == NOWHERE
    }

    /// The name of the tree that it is of; empty if of none.
    pub fn tree_name(&self) -> &'static str {
        match &self.server {
            Server::Tree(t) => t.name(),
            _ => "",
        }
    }

    /// Is it a session of a tree of the kernel?
    #[inline]
    pub fn is_tree(&self) -> bool {
        !matches!(self.server, Server::Portal(_))
    }
}

/// Reads as [`ask`] would, by the short way if it is a user-level server's file and there is one: see [`crate::call::read`].
#[inline(always)]
pub fn read(session: &Ref<Session>, me: &Thread, fid: u32, to: UserBuf, offset: u64) -> Option<u64> {
    if session.state.load(Ordering::Relaxed) != DOMAIN || trace::on() {
        return None;
    }
    crate::call::read(session, me, fid, to, offset)
}

/// Sends a request and waits for its answer.
pub fn call(session: &Ref<Session>, m: &mut Msg<'_>) -> Result<Reply> {
    let mut reply = Reply::default();
    ask(session, m, &mut reply).map(|()| reply)
}

/// As [`call`]. The answer's fields go to `reply`, those that the request has.
#[inline(always)]
pub fn ask(session: &Ref<Session>, m: &mut Msg<'_>, reply: &mut Reply) -> Result<()> {
    let state = session.state.load(Ordering::Relaxed);
    #[expect(clippy::indexing_slicing, reason = "masked to the table's length")]
    let function = FUNCTIONS[usize::from(state & 7)];
    if trace::on() {
        return trace::call(function, session, m, reply);
    }
    function(session, m, reply)
}

/// Has a fid clunked that its last holder has dropped: before the system call ends, or by the reaper.
pub fn clunk_later(session: &Ref<Session>, fid: u32) {
    let mut fids = session.fids.lock();
    fids.doomed_push(fid);
    drop(fids);
    crate::call::reap::announce(session.clone());
}

impl Linked<0> for Session {
    fn link(&self) -> &Link<Session> {
        &self.doomed
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        counters::SESSIONS.down();
    }
}

/// What an unassigned port leads to.
fn nowhere(_: &Ref<Session>, _: &mut Msg<'_>, _: &mut Reply) -> Result<()> {
    Err(Error::Nowhere.into())
}

/// What a dead server's files lead to.
fn died(_: &Ref<Session>, _: &mut Msg<'_>, _: &mut Reply) -> Result<()> {
    Err(Error::Died.into())
}

/// A portal's descriptor is no file.
fn handle(_: &Ref<Session>, _: &mut Msg<'_>, _: &mut Reply) -> Result<()> {
    Err(Error::NotSupported.into())
}

fn tree_call(session: &Ref<Session>, m: &mut Msg<'_>, reply: &mut Reply) -> Result<()> {
    match session.server {
        Server::Tree(tree) => tree.answer(session, m).map(|r| *reply = r),
        _ => nowhere(session, m, reply),
    }
}

/// The numbers of a session's fids: each is in use, free, doomed (to be clunked by the reaper) or in quarantine, that
/// is, in use by nobody but a call whose caller left.
///
/// Room on both lists for every number is made when it is first taken, so that giving one back can't fail.
#[derive(Debug)]
pub struct Fids {
    next: u32,
    free: List<u32>,
    doomed: List<u32>,
}

impl Fids {
    const fn new() -> Fids {
        Fids { next: 0, free: List::new(), doomed: List::new() }
    }

    /// A number that is not in use.
    pub fn take(&mut self) -> Result<u32> {
        if let Some(fid) = self.free.pop() {
            return Ok(fid);
        }
        let next = self.next.checked_add(1).filter(|&n| n != abi::portal::NOFID).ok_or(Error::NoMemory)?;
        let all = usize::try_from(next).unwrap_or(usize::MAX);
        self.free.reserve(all.saturating_sub(self.free.len()))?;
        self.doomed.reserve(all.saturating_sub(self.doomed.len()))?;
        Ok(core::mem::replace(&mut self.next, next))
    }

    /// Gives a number back.
    pub fn give(&mut self, fid: u32) {
        // There is room; see above.
        let _ = self.free.push(fid);
    }

    fn doomed_push(&mut self, fid: u32) {
        // There is room; see above.
        let _ = self.doomed.push(fid);
    }

    /// A fid to be clunked.
    pub(crate) fn doomed_pop(&mut self) -> Option<u32> {
        self.doomed.pop()
    }

    /// How many are in use.
    pub fn used(&self) -> usize {
        usize::try_from(self.next).unwrap_or(usize::MAX).saturating_sub(self.free.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fids_are_unique_while_in_use_and_used_again_after() {
        let mut fids = Fids::new();
        let a = fids.take().unwrap();
        let b = fids.take().unwrap();
        assert_ne!(a, b);
        fids.give(a);
        assert_eq!(fids.used(), 1);
        assert_eq!(fids.take().unwrap(), a);
        fids.next = abi::portal::NOFID - 1;
        assert!(fids.take().is_err(), "NOFID names no file");
    }
}
