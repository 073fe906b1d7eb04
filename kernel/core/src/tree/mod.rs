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
pub mod trace;

pub use env::Env;
pub use mail::Mailbox;
pub(crate) use mbox::end as end_mailbox;
pub use parcel::Parcel;
pub use pipe::pipe;
pub use record::Entry;
pub(crate) use srv::successor;

use crate::base::{Ref, Short, Spin, copy};
use crate::machine;
use crate::msg::{Data, Msg, Reply, Result, UserBuf};
use crate::name::{Chan, File, Path, Place};
use crate::session::{Serve, Session};
use abi::error::Error;
use abi::file::{DMDIR, OEXEC, ORCLOSE, OREAD, OWRITE, QTDIR, QTFILE, Qid};
use abi::portal::op;

/// What a tree of the kernel adds to the common routine, which knows the files of its root that are always there and
/// who may open them. The default is to have no others, and that they take nothing but what is said here.
pub trait Tree: Sync {
    /// The file of that name in a directory.
    fn walk(&self, _dir: Qid, _name: &[u8]) -> Result<Qid> {
        Err(Error::NotExist.into())
    }
    /// A file's attributes, where they are not those of the table.
    fn stat(&self, _file: Qid, _e: &mut Entry) -> Result<()> {
        Ok(())
    }
    /// The file of a directory that comes at or after place `at`, and the place after it.
    fn list(&self, _dir: Qid, _at: u64) -> Result<Option<(Qid, u64)>> {
        Ok(None)
    }
    /// Checks permission and opens.
    fn open(&self, _file: Qid, _mode: u8) -> Result<()> {
        Ok(())
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

/// A name and permissions.
pub type Fixed = (&'static str, u32);

/// The place in a table of the file of that name.
fn position(files: &[Fixed], name: &[u8]) -> Option<u64> {
    // Most differ in the first byte, and then nothing is called to compare them.
    let is = |f: &Fixed| f.0.as_bytes().first() == name.first() && f.0.as_bytes() == name;
    files.iter().position(is).map(|i| (i as u64).saturating_add(1))
}

/// The file at a place of a table; places count from 1.
fn fixed(files: &'static [Fixed], place: u64) -> Option<Fixed> {
    files.get(usize::try_from(place.checked_sub(1)?).ok()?).copied()
}

/// The root of a tree.
const ROOT: Qid = Qid { kind: QTDIR, vers: 0, path: 0 };

/// A tree's file that is always there.
fn qid((_, mode): Fixed, path: u64) -> Qid {
    Qid { kind: if mode & DMDIR == 0 { QTFILE } else { QTDIR }, vers: 0, path }
}

/// A tree and its name; its bit in [`crate::name::Scope::trees`] is its place in the table.
struct Named {
    /// Its name after `#`.
    shown: &'static str,
    /// Permissions of its root.
    mode: u32,
    /// The files of its root that are always there; their qids' paths count from 1.
    files: &'static [Fixed],
    tree: &'static dyn Tree,
    /// Its root, from the first attach on.
    root: Spin<Option<Ref<Place>>>,
}

impl Serve for Named {
    fn name(&self) -> &'static str {
        self.shown.get(1..).unwrap_or("")
    }

    fn moves_pages(&self) -> bool {
        self.tree.moves_pages()
    }

    fn answer(&self, _: &Ref<Session>, m: &mut Msg<'_>) -> Result<Reply> {
        let tree = self.tree;
        let mut reply = Reply { qid: m.qid, ..Reply::default() };
        match m.op {
            op::TREAD if m.qid.is_dir() => return self.read_dir(m),
            op::TREAD => return tree.read(m.qid, m),
            op::TWRITE => return tree.write(m.qid, m),
            op::TWALK => return self.walk_names(m),
            op::TSTAT => return self.stat(m),
            op::TATTACH => {}
            op::TOPEN => self.open(m.qid, m.a)?,
            op::TCREATE => {
                let name = strings(m.body).next().ok_or(Error::BadName)?;
                reply.qid = tree.create(m.qid, name, m.count, m.a)?;
            }
            op::TCLUNK | op::TREMOVE => {
                if m.a & crate::name::WAS_OPEN != 0 {
                    tree.close(m.qid, m.a & !crate::name::WAS_OPEN);
                }
                if m.op == op::TREMOVE {
                    tree.remove(m.qid)?;
                }
            }
            op::TWSTAT => tree.wstat(m.qid, m.body)?,
            _ => return Err(Error::NotSupported.into()),
        }
        Ok(reply)
    }
}

impl Named {
    fn root(&'static self) -> Result<Ref<Place>> {
        if let Some(place) = &*self.root.lock() {
            return Ok(place.clone());
        }
        let file = File::tree(Session::tree(self)?, ROOT);
        let path = if self.name() == "root" { Path::root()? } else { Path::of_tree(self.name().as_bytes())? };
        let place = Ref::new(Place { file, path, union: None })?;
        let mut root = self.root.lock();
        // Whoever was first has made it.
        Ok(root.get_or_insert(place).clone())
    }

    fn walk(&self, dir: Qid, name: &[u8]) -> Result<Qid> {
        if !dir.is_dir() {
            return Err(Error::NotDir.into());
        }
        if name == b".." {
            return Ok(ROOT);
        }
        let known = if dir.path == 0 { position(self.files, name) } else { None };
        match known.and_then(|path| Some(qid(fixed(self.files, path)?, path))) {
            Some(qid) => Ok(qid),
            None => self.tree.walk(dir, name),
        }
    }

    fn walk_names(&self, m: &mut Msg<'_>) -> Result<Reply> {
        let mut at = m.qid;
        let mut count = 0u32;
        let Data::Qids(out) = &mut m.data else {
            // A copy of the file: there is nothing to do, since fids are nothing to a tree.
            return Ok(Reply::default());
        };
        for (name, slot) in strings(m.body).zip(out.iter_mut()) {
            match self.walk(at, name) {
                Ok(qid) => at = qid,
                Err(e) if count == 0 => return Err(e),
                Err(_) => break,
            }
            *slot = at;
            count = count.saturating_add(1);
        }
        Ok(Reply { count, qid: at, iounit: 0 })
    }

    /// A file that is always there is open to whom its permissions name as somebody; some trees ask for more.
    fn open(&self, file: Qid, mode: u8) -> Result<()> {
        if let Some((_, perm)) = fixed(self.files, file.path).filter(|f| f.1 & DMDIR == 0) {
            let any = perm | perm >> 3 | perm >> 6;
            let asked = asked(mode);
            if any & asked != asked || mode & ORCLOSE != 0 {
                return Err(Error::Perm.into());
            }
        }
        self.tree.open(file, mode)
    }

    /// A file's record.
    fn record<'b>(&self, file: Qid, buf: &'b mut [u8; record::LARGEST]) -> Result<&'b [u8]> {
        let (name, mode) = match file.path {
            0 => (self.shown, self.mode | DMDIR),
            path => fixed(self.files, path).unwrap_or(("", DMDIR | 0o555)),
        };
        let (name, user) = (Short::of(name.as_bytes()), Short::of(b"sys"));
        let mut e = Entry { qid: file, mode, length: 0, name, user };
        self.tree.stat(file, &mut e)?;
        e.encode(buf)
    }

    fn stat(&self, m: &mut Msg<'_>) -> Result<Reply> {
        let mut buf = [0; record::LARGEST];
        let record = self.record(m.qid, &mut buf)?;
        let count = put(&mut m.data, 0, record)?;
        if count as usize != record.len() {
            return Err(Error::ShortBuffer.into());
        }
        Ok(Reply { count, ..Reply::default() })
    }

    fn list(&self, dir: Qid, at: u64) -> Result<Option<(Qid, u64)>> {
        let path = at.saturating_add(1);
        match fixed(self.files, path) {
            Some(f) if dir.path == 0 => Ok(Some((qid(f, path), path))),
            _ => self.tree.list(dir, at),
        }
    }

    /// Directories are read by place: the offset is turned into one by listing anew, for a kernel's directories are
    /// short.
    fn read_dir(&self, m: &mut Msg<'_>) -> Result<Reply> {
        let room = m.count as usize;
        let mut place = 0;
        let mut passed = 0u64;
        let mut done = 0usize;
        let mut buf = [0; record::LARGEST];
        while let Some((qid, next)) = self.list(m.qid, place)? {
            place = next;
            // A file that has gone between the list and this is left out.
            let Ok(record) = self.record(qid, &mut buf) else { continue };
            if passed < m.offset {
                passed = passed.saturating_add(record.len() as u64);
            } else if done.saturating_add(record.len()) <= room {
                put(&mut m.data, done, record)?;
                done = done.saturating_add(record.len());
            } else if done == 0 {
                return Err(Error::ShortBuffer.into());
            } else {
                break;
            }
        }
        Ok(Reply { count: done as u32, ..Reply::default() })
    }
}

/// What an open mode asks for, as permission bits.
pub fn asked(mode: u8) -> u32 {
    match mode & 3 {
        OREAD => 4,
        OWRITE => 2,
        OEXEC => 1,
        _ => 6,
    }
}

/// May an open file be had again with this mode?
fn fits(chan: &Chan, mode: u8) -> bool {
    let asked = asked(mode);
    let reads = asked & 5 == 0 || chan.may_read();
    reads && (asked & 2 == 0 || chan.may_write())
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

/// Puts bytes where a message wants them, `at` bytes in: how many fitted.
pub fn put(data: &mut Data<'_>, at: usize, bytes: &[u8]) -> Result<u32> {
    let n = match data {
        Data::ToKernel(to) => copy(bytes, to.get_mut(at..).unwrap_or(&mut [])),
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
        Data::FromKernel(from) => Ok(copy(from.get(at..).unwrap_or(&[]), to)),
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
pub fn command<'b>(m: &Msg<'_>, buf: &'b mut [u8]) -> Result<&'b [u8]> {
    if usize::try_from(m.count).unwrap_or(usize::MAX) > buf.len() {
        return Err(Error::BadCtl.into());
    }
    let n = take(&m.data, 0, buf)?;
    let text = core::str::from_utf8(buf.get(..n).unwrap_or(&[])).map_err(|_| Error::BadCtl)?;
    Ok(text.trim_ascii_end().as_bytes())
}

/// The answer of a write that took everything.
pub fn wrote(m: &Msg<'_>) -> Result<Reply> {
    Ok(Reply { count: m.count, ..Reply::default() })
}

const COUNT: usize = 12;

macro_rules! trees {
    ($($shown:literal $mode:literal $files:expr, $tree:expr;)*) => {
        static TREES: [Named; COUNT] = [$(
            Named { shown: $shown, mode: $mode, files: $files, tree: &$tree, root: Spin::new(None) },
        )*];
    };
}

trees! {
    "#root" 0o555 root::FILES, root::Root;
    "#srv" 0o777 &[], srv::Board;
    "#pipe" 0o555 &[], pipe::Pipes;
    "#dup" 0o555 &[], dup::Dup;
    "#env" 0o777 &[], env::Envs;
    "#sys" 0o555 sys::FILES, sys::Sys;
    "#log" 0o555 log::FILES, log::Log;
    "#proc" 0o555 &[], proc::Procs;
    "#hw" 0o555 hw::FILES, hw::Hardware;
    "#cap" 0o555 cap::FILES, cap::Caps;
    "#trace" 0o555 trace::FILES, trace::Trace;
    "#mbox" 0o555 &[], mbox::Mboxes;
}

/// Every tree's bit.
pub const ALL: u32 = u32::MAX;

/// The bit of a tree.
pub fn bit(name: &[u8]) -> Option<u32> {
    let i = TREES.iter().position(|t| t.name().as_bytes() == name)?;
    1u32.checked_shl(u32::try_from(i).ok()?)
}

/// The root of the tree of that name, if the scope allows it.
pub fn attach(name: &[u8], allowed: u32) -> Result<Ref<Place>> {
    let bit = bit(name).ok_or(Error::NotExist)?;
    if allowed & bit == 0 {
        return Err(Error::Perm.into());
    }
    let i = usize::try_from(bit.trailing_zeros()).unwrap_or(usize::MAX);
    TREES.get(i).ok_or(Error::NotExist)?.root()
}

/// The root of every namespace.
pub fn root() -> Result<Ref<Place>> {
    let [first, ..] = &TREES;
    first.root()
}

/// The qid of a directory of the namespace's root, without a message that asks for it; none while messages are traced.
pub(crate) fn below_root(name: &[u8]) -> Option<Qid> {
    if trace::on() {
        return None;
    }
    let path = position(root::FILES, name)?;
    fixed(root::FILES, path).map(|f| qid(f, path)).filter(|q| q.is_dir())
}

/// The open file that a file of `#srv` or `#dup`, or a process's mailbox, stands for.
pub fn instead(file: &File, mode: u8) -> Result<Option<Ref<Chan>>> {
    if !file.session.is_tree() || file.qid.is_dir() {
        return Ok(None);
    }
    let name = file.session.tree_name();
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
