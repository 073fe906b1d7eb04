//! The trait [`Server`] and what its methods speak of: [`Ctx`], [`Mode`], [`Opened`], [`Queue`].

use crate::{Fail, Listing, Result, Sink, Source};
use abi::error::Error;
use abi::file::{OCEXEC, OEXEC, ORCLOSE, ORDWR, OREAD, OTRUNC, OWRITE, Qid};
use core::sync::atomic::{AtomicU64, Ordering};
use ninep::Stat;

/// A file server. Every method has a default, which is the answer "operation not supported"; implement what the tree
/// can do. Methods run on several threads at once, so a server locks what it shares.
///
/// The engine has already checked what the protocol asks: the fid is known and in the right state, names are file
/// names, modes are sane, directories are not written. What is left to the server is what only it can know: which
/// files there are, and who may do what with them.
pub trait Server: Send + Sync {
    /// What a fid names: cheap to clone, such as an index or a counted pointer. It may carry what the server wants to
    /// know of one fid, as the user that attached; an open fid's node is the one that [`Server::open`] gave.
    type Node: Clone + Send + Sync;

    /// Makes an authentication file for the context's user (attach(5)).
    fn auth(&self, _: &Ctx<'_>, _aname: &str) -> Result<Self::Node> {
        Err(Fail::Error(Error::NoAuth))
    }

    /// The root of the tree `aname`, for the context's user, who proved who he is in `auth` if the server asked.
    fn attach(&self, _: &Ctx<'_>, _auth: Option<&Self::Node>, _aname: &str) -> Result<Self::Node> {
        unsupported()
    }

    /// The file's qid.
    fn qid(&self, node: &Self::Node) -> Qid;

    /// The file of that name in the directory; `..` is its parent, and the root's is the root.
    fn walk(&self, _: &Ctx<'_>, _: &Self::Node, _name: &str) -> Result<Self::Node> {
        Err(Fail::Error(Error::NotExist))
    }

    /// A walk has ended in this file, and these names were left, the first of them being what [`Server::walk`] refused.
    fn missed(&self, _: &Ctx<'_>, _at: &Self::Node, _names: &mut dyn Iterator<Item = &str>) {}

    /// Checks permissions and opens.
    fn open(&self, _: &Ctx<'_>, _: &Self::Node, _: Mode) -> Result<Opened<Self::Node>> {
        unsupported()
    }

    /// Checks permissions, makes a file in the directory and opens it. `perm` is as asked for: see
    /// [`crate::perm::created`].
    fn create(
        &self,
        _: &Ctx<'_>,
        _dir: &Self::Node,
        _name: &str,
        _perm: u32,
        _: Mode,
    ) -> Result<Opened<Self::Node>> {
        unsupported()
    }

    /// Reads a file; a sink that gets nothing says that the end is reached.
    fn read(&self, _: &Ctx<'_>, _: &Self::Node, _offset: u64, _: &mut Sink<'_>) -> Result<()> {
        unsupported()
    }

    /// Lists a directory from the place `from`, 0 being its start. A place is any number that the server gives with
    /// an entry for "after this one"; it has to lead on even if that entry goes away.
    fn list(&self, _: &Ctx<'_>, _dir: &Self::Node, _from: u64, _: &mut Listing<'_, '_>) -> Result<()> {
        unsupported()
    }

    /// Writes: how many bytes were taken.
    fn write(&self, _: &Ctx<'_>, _: &Self::Node, _offset: u64, _: &mut Source<'_>) -> Result<u32> {
        unsupported()
    }

    /// A fid that was open is gone, whether its client said so or vanished. Removing on close is the engine's.
    fn clunk(&self, _: &Ctx<'_>, _: &Self::Node, _: Mode) {}

    /// Checks permissions and removes the file.
    fn remove(&self, _: &Ctx<'_>, _: &Self::Node) -> Result<()> {
        unsupported()
    }

    /// Gives the file's stat record to `out`.
    fn stat(&self, _: &Ctx<'_>, _: &Self::Node, _out: &mut dyn FnMut(&Stat<'_>) -> Result<()>) -> Result<()> {
        unsupported()
    }

    /// Checks everything, then changes everything that the record asks for; or nothing.
    fn wstat(&self, _: &Ctx<'_>, _: &Self::Node, _: &Stat<'_>) -> Result<()> {
        unsupported()
    }

    /// The client takes back the request of this session with this tag, which is still being worked on. The handler
    /// may end it early, with [`Error::Interrupted`]; it may also just finish.
    fn flush(&self, _session: u64, _tag: u16) {}
}

/// The one routine behind every operation that a server does not have.
fn unsupported<T>() -> Result<T> {
    Err(Fail::Error(Error::NotSupported))
}

/// Who asks.
#[derive(Clone, Copy)]
pub struct Ctx<'a> {
    /// The session: a portal's, or a connection.
    pub session: u64,
    /// The request's tag, as a flush would name it.
    pub tag: u16,
    /// The user who attached, or who wants to.
    pub user: &'a str,
    /// How to wake a queue's waiters.
    pub wake: &'a dyn Wake,
}

/// Lets requests that wait on a queue try again: a system call behind a portal, a table of parked requests behind a
/// connection.
pub trait Wake: Send + Sync {
    /// Lets up to `n` of the queue's waiters try again, and ends the waits that are just about to begin.
    fn wake(&self, queue: u64, n: u32);
}

/// For servers that never make anybody wait.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoWake;

impl Wake for NoWake {
    fn wake(&self, _: u64, _: u32) {}
}

/// A queue of requests that wait for something, as a server sees it.
///
/// A handler takes the queue's [`Queue::seq`] first, then looks whether it can answer, and if not returns
/// [`Queue::wait`] with it. Whoever makes an answer possible does so first and then calls [`Queue::wake`]. A wake
/// between the look and the wait moves the count, and the request is tried again at once; none is lost.
#[derive(Debug)]
pub struct Queue {
    number: u64,
    seq: AtomicU64,
}

impl Queue {
    /// A queue; its number is unique in the server.
    pub const fn new(number: u64) -> Queue {
        Queue { number, seq: AtomicU64::new(0) }
    }

    /// The count of wakes, to be read before looking.
    pub fn seq(&self) -> u64 {
        self.seq.load(Ordering::SeqCst)
    }

    /// "Ask me again after the next wake."
    pub fn wait(&self, seq: u64) -> Fail {
        Fail::Wait { queue: self.number, seq }
    }

    /// Lets `n` waiters try again.
    pub fn wake(&self, wake: &dyn Wake, n: u32) {
        self.seq.fetch_add(1, Ordering::SeqCst);
        wake.wake(self.number, n);
    }
}

/// How a file is opened: the mode byte of open(5), checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mode(u8);

impl Mode {
    /// The mode, if it has no bits but the manual's. OCEXEC concerns nobody but the client's kernel and is dropped.
    pub fn new(byte: u8) -> Result<Mode> {
        if byte & !(3 | OTRUNC | ORCLOSE | OCEXEC) != 0 {
            return Err(Fail::Error(Error::BadOpen));
        }
        Ok(Mode(byte & !OCEXEC))
    }

    /// The mode byte.
    pub const fn byte(self) -> u8 {
        self.0
    }
    const fn access(self) -> u8 {
        self.0 & 3
    }
    /// May the fid read (OREAD, ORDWR, OEXEC)?
    pub const fn reads(self) -> bool {
        self.access() != OWRITE
    }
    /// May the fid write (OWRITE, ORDWR)?
    pub const fn writes(self) -> bool {
        matches!(self.access(), OWRITE | ORDWR)
    }
    /// Is it opened for execution?
    pub const fn executes(self) -> bool {
        self.access() == OEXEC
    }
    /// Is the file truncated first?
    pub const fn truncates(self) -> bool {
        self.0 & OTRUNC != 0
    }
    /// Is the file removed when the fid is clunked?
    pub const fn removes(self) -> bool {
        self.0 & ORCLOSE != 0
    }
    /// Is it the only way to open a directory: OREAD and nothing else?
    pub const fn only_reads(self) -> bool {
        self.0 == OREAD
    }
}

/// The answer of open and create.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opened<N> {
    /// What the fid names from now on: for most files the same node.
    pub node: N,
    /// Its qid.
    pub qid: Qid,
    /// Most bytes that one read or write moves as a whole; 0 if the server does not care.
    pub iounit: u32,
}
