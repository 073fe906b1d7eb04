//! The trees that the kernel itself serves, named with `#`: one table, one routine for all, and what each adds.
//!
//! A tree knows its files by their qids alone; it keeps nothing for a fid. Each has one session for the whole machine,
//! so that what a process mounts on a kernel's directory is found by that session and the qid. A process's scope has a
//! bit for each tree, and the bits only ever go.

mod cap;
mod dup;
mod env;
mod here;
pub mod hw;
mod log;
mod mail;
mod mbox;
mod parcel;
mod pipe;
mod proc;
mod record;
mod root;
mod srv;
mod sys;
mod text;
pub mod trace;

pub use env::Env;
pub use mail::Mailbox;
pub(crate) use mbox::end as end_mailbox;
pub use parcel::Parcel;
pub use pipe::pipe;
pub use record::Entry;
pub(crate) use srv::successor;
pub use text::Text;

use crate::base::{Ref, Spin};
use crate::machine;
use crate::msg::{Data, Msg, Reply, Result, UserBuf};
use crate::name::{Chan, File, Path, Place};
use crate::session::{Serve, Session};
use abi::error::Error;
use abi::file::{DMDIR, OREAD, Qid};
use abi::portal::op;

/// What a tree of the kernel adds to the common routine. Every default is an error of the list.
pub trait Tree: Sync {
    /// The file of that name in a directory, or of `..`.
    fn walk(&self, dir: Qid, name: &[u8]) -> Result<Qid>;
    /// A file's attributes.
    fn stat(&self, file: Qid, give: &mut dyn FnMut(&Entry<'_>) -> Result<()>) -> Result<()>;
    /// The file of a directory that comes at or after place `at`, and the place after it.
    fn list(&self, dir: Qid, at: u64) -> Result<Option<(Qid, u64)>>;
    /// Checks permission and opens: the qid of the open file.
    fn open(&self, file: Qid, _mode: u8) -> Result<Qid> {
        Ok(file)
    }
    /// Makes a file in a directory and opens it.
    fn create(&self, _dir: Qid, _name: &[u8], _perm: u32, _mode: u8) -> Result<Qid> {
        Err(Error::Perm.into())
    }
    /// Reads: [`give`] takes what there is.
    fn read(&self, _file: Qid, _m: &mut Msg<'_>) -> Result<Reply> {
        Err(Error::Perm.into())
    }
    /// Writes.
    fn write(&self, _file: Qid, _m: &mut Msg<'_>) -> Result<Reply> {
        Err(Error::Perm.into())
    }
    /// Are its reads and writes made for pages that are given?
    fn moves_pages(&self) -> bool {
        false
    }
    /// An open file is closed for the last time.
    fn close(&self, _file: Qid, _mode: u8) {}
    /// Removes a file.
    fn remove(&self, _file: Qid) -> Result<()> {
        Err(Error::Perm.into())
    }
    /// Changes attributes.
    fn wstat(&self, _file: Qid, _record: &[u8]) -> Result<()> {
        Err(Error::Perm.into())
    }
}

/// The common routine over a tree.
struct Common(&'static dyn Tree);

impl Serve for Common {
    fn moves_pages(&self) -> bool {
        self.0.moves_pages()
    }

    fn answer(&self, _: &Ref<Session>, m: &mut Msg<'_>) -> Result<Reply> {
        let tree = self.0;
        match m.op {
            op::TREAD if m.qid.is_dir() => read_dir(tree, m),
            op::TREAD => tree.read(m.qid, m),
            op::TWRITE => tree.write(m.qid, m),
            op::TWALK => walk_names(tree, m),
            op::TATTACH => Ok(Reply { qid: m.qid, ..Reply::default() }),
            op::TOPEN => tree.open(m.qid, m.a).map(|qid| Reply { qid, ..Reply::default() }),
            op::TCREATE => {
                let name = strings(m.body).next().ok_or(Error::BadName)?;
                tree.create(m.qid, name, m.count, m.a).map(|qid| Reply { qid, ..Reply::default() })
            }
            op::TCLUNK => {
                if m.a & crate::name::WAS_OPEN != 0 {
                    tree.close(m.qid, m.a & !crate::name::WAS_OPEN);
                }
                Ok(Reply::default())
            }
            op::TREMOVE => {
                if m.a & crate::name::WAS_OPEN != 0 {
                    tree.close(m.qid, m.a & !crate::name::WAS_OPEN);
                }
                tree.remove(m.qid).map(|()| Reply::default())
            }
            op::TSTAT => stat(tree, m),
            op::TWSTAT => tree.wstat(m.qid, m.body).map(|()| Reply::default()),
            _ => Err(Error::NotSupported.into()),
        }
    }
}

/// The strings of a message's body, in order.
pub fn strings(mut body: &[u8]) -> impl Iterator<Item = &[u8]> {
    core::iter::from_fn(move || {
        let (len, rest) = body.split_first_chunk::<2>()?;
        let (s, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*len)))?;
        body = rest;
        Some(s)
    })
}

fn walk_names(tree: &dyn Tree, m: &mut Msg<'_>) -> Result<Reply> {
    let mut at = m.qid;
    let mut count = 0u32;
    let Data::Qids(out) = &mut m.data else {
        // A copy of the file: there is nothing to do, since fids are nothing to a tree.
        return Ok(Reply::default());
    };
    for (name, slot) in strings(m.body).zip(out.iter_mut()) {
        let next = if at.is_dir() { tree.walk(at, name) } else { Err(Error::NotDir.into()) };
        match next {
            Ok(qid) => at = qid,
            Err(e) if count == 0 => return Err(e),
            Err(_) => break,
        }
        *slot = at;
        count = count.saturating_add(1);
    }
    Ok(Reply { count, qid: at, iounit: 0 })
}

fn stat(tree: &dyn Tree, m: &mut Msg<'_>) -> Result<Reply> {
    let mut reply = Reply::default();
    tree.stat(m.qid, &mut |e| {
        let mut buf = [0; record::LARGEST];
        let record = e.encode(&mut buf)?;
        reply.count = put(&mut m.data, 0, record)?;
        if usize::try_from(reply.count) != Ok(record.len()) {
            return Err(Error::ShortBuffer.into());
        }
        Ok(())
    })?;
    Ok(reply)
}

/// Directories are read by place: the offset is turned into one by listing anew, for a kernel's directories are short.
fn read_dir(tree: &dyn Tree, m: &mut Msg<'_>) -> Result<Reply> {
    let room = usize::try_from(m.count).unwrap_or(0);
    let mut place = 0;
    let mut passed = 0u64;
    let mut done = 0usize;
    while let Some((qid, next)) = tree.list(m.qid, place)? {
        let mut full = false;
        let r = tree.stat(qid, &mut |e| {
            let mut buf = [0; record::LARGEST];
            let record = e.encode(&mut buf)?;
            if passed < m.offset {
                passed = passed.saturating_add(u64::try_from(record.len()).unwrap_or(0));
                return Ok(());
            }
            if done.saturating_add(record.len()) > room {
                full = true;
                return Ok(());
            }
            put(&mut m.data, done, record)?;
            done = done.saturating_add(record.len());
            Ok(())
        });
        // A file that has gone between the list and the stat is left out.
        if r == Err(Error::BadAddress.into()) {
            return Err(Error::BadAddress.into());
        }
        if full {
            if done == 0 {
                return Err(Error::ShortBuffer.into());
            }
            break;
        }
        place = next;
    }
    Ok(Reply { count: u32::try_from(done).unwrap_or(0), ..Reply::default() })
}

/// Puts bytes where a message wants them, `at` bytes in: how many fitted.
pub fn put(data: &mut Data<'_>, at: usize, bytes: &[u8]) -> Result<u32> {
    let n = match data {
        Data::ToKernel(to) => {
            let to = to.get_mut(at..).unwrap_or(&mut []);
            let n = to.len().min(bytes.len());
            if let (Some(t), Some(f)) = (to.get_mut(..n), bytes.get(..n)) {
                t.copy_from_slice(f);
            }
            n
        }
        Data::ToUser(to) | Data::Take(to) => {
            let n = to.len.saturating_sub(at).min(bytes.len());
            let addr = to.addr.wrapping_add(u64::try_from(at).unwrap_or(0));
            if n > 0 && !machine::copy_out(UserBuf { addr, len: n }, bytes.get(..n).unwrap_or(&[])) {
                return Err(Error::BadAddress.into());
            }
            n
        }
        _ => 0,
    };
    u32::try_from(n).map_err(|_| Error::BadArg.into())
}

/// Answers a read of a file whose whole contents these are.
pub fn give(m: &mut Msg<'_>, all: &[u8]) -> Result<Reply> {
    let from = usize::try_from(m.offset).unwrap_or(usize::MAX).min(all.len());
    let rest = all.get(from..).unwrap_or(&[]);
    let rest = rest.get(..usize::try_from(m.count).unwrap_or(0)).unwrap_or(rest);
    let count = put(&mut m.data, 0, rest)?;
    Ok(Reply { count, ..Reply::default() })
}

/// Takes up to a buffer's length of what a write brings, from `at` bytes in: how many there were.
pub fn take(data: &Data<'_>, at: usize, to: &mut [u8]) -> Result<usize> {
    match data {
        Data::FromKernel(from) => {
            let from = from.get(at..).unwrap_or(&[]);
            let n = from.len().min(to.len());
            if let (Some(t), Some(f)) = (to.get_mut(..n), from.get(..n)) {
                t.copy_from_slice(f);
            }
            Ok(n)
        }
        Data::FromUser(from) => {
            let n = from.len.saturating_sub(at).min(to.len());
            let addr = from.addr.wrapping_add(u64::try_from(at).unwrap_or(0));
            let to = to.get_mut(..n).unwrap_or(&mut []);
            if n > 0 && !machine::copy_in(to, UserBuf { addr, len: n }) {
                return Err(Error::BadAddress.into());
            }
            Ok(n)
        }
        _ => Ok(0),
    }
}

/// A short write as text, such as a control message: without white space at its end.
pub fn command<'b>(m: &Msg<'_>, buf: &'b mut [u8]) -> Result<&'b str> {
    if usize::try_from(m.count).unwrap_or(usize::MAX) > buf.len() {
        return Err(Error::BadCtl.into());
    }
    let n = take(&m.data, 0, buf)?;
    let text = core::str::from_utf8(buf.get(..n).unwrap_or(&[])).map_err(|_| Error::BadCtl)?;
    Ok(text.trim_end())
}

/// The answer of a write that took everything.
pub fn wrote(m: &Msg<'_>) -> Result<Reply> {
    Ok(Reply { count: m.count, ..Reply::default() })
}

/// May only read: the check of trees whose files have no owner.
pub fn only_read(mode: u8) -> Result<()> {
    if mode & 3 == OREAD && mode & abi::file::ORCLOSE == 0 { Ok(()) } else { Err(Error::Perm.into()) }
}

/// A tree and its name; its bit in [`crate::name::Scope::trees`] is its place in the table.
struct Named {
    name: &'static str,
    tree: &'static Common,
    /// Its root, from the first attach on.
    root: Spin<Option<Ref<Place>>>,
}

const COUNT: usize = 12;

macro_rules! trees {
    ($($name:literal $tree:expr,)*) => {
        static TREES: [Named; COUNT] = [$(Named { name: $name, tree: &Common(&$tree), root: Spin::new(None) },)*];
    };
}

trees! {
    "root" root::Root,
    "srv" srv::Board,
    "pipe" pipe::Pipes,
    "dup" dup::Dup,
    "env" env::Envs,
    "sys" sys::Sys,
    "log" log::Log,
    "proc" proc::Procs,
    "hw" hw::Hardware,
    "cap" cap::Caps,
    "trace" trace::Trace,
    "mbox" mbox::Mboxes,
}

/// Every tree's bit.
pub const ALL: u32 = u32::MAX;

/// The bit of a tree.
pub fn bit(name: &[u8]) -> Option<u32> {
    let i = TREES.iter().position(|t| t.name.as_bytes() == name)?;
    1u32.checked_shl(u32::try_from(i).ok()?)
}

/// The root of the tree of that name, if the scope allows it.
pub fn attach(name: &[u8], allowed: u32) -> Result<Ref<Place>> {
    let bit = bit(name).ok_or(Error::NotExist)?;
    if allowed & bit == 0 {
        return Err(Error::Perm.into());
    }
    let i = usize::try_from(bit.trailing_zeros()).unwrap_or(usize::MAX);
    let tree = TREES.get(i).ok_or(Error::NotExist)?;
    if let Some(place) = &*tree.root.lock() {
        return Ok(place.clone());
    }
    let session = Session::tree(tree.tree)?;
    let file = File::tree(session, Qid { kind: abi::file::QTDIR, vers: 0, path: 0 });
    let path = if name == b"root" { Path::root()? } else { Path::of_tree(name)? };
    let place = Ref::new(Place { file, path, union: None })?;
    let mut root = tree.root.lock();
    // Whoever was first has made it.
    Ok(root.get_or_insert(place).clone())
}

/// The root of every namespace.
pub fn root() -> Result<Ref<Place>> {
    attach(b"root", ALL)
}

/// The name of the tree that a session is of; empty if of none.
pub fn name_of(session: &Session) -> &'static str {
    let has = |t: &&Named| {
        t.root.lock().as_ref().is_some_and(|p| core::ptr::eq::<Session>(&*p.file.session, session))
    };
    TREES.iter().find(has).map_or("", |t| t.name)
}

/// The open file that a file of `#srv` or `#dup`, or a process's mailbox, stands for.
pub fn instead(file: &File, mode: u8) -> Result<Option<Ref<Chan>>> {
    if !file.session.is_tree() || file.qid.is_dir() {
        return Ok(None);
    }
    let name = name_of(&file.session);
    if name == "srv" {
        srv::posted(file.qid, mode).map(Some)
    } else if name == "dup" {
        dup::port(file.qid, mode).map(Some)
    } else if name == "proc" {
        proc::instead(file.qid, mode)
    } else {
        Ok(None)
    }
}

/// A directory's mode.
pub const DIR: u32 = DMDIR | 0o555;
