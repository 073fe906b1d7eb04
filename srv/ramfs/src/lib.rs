//! A file server that keeps its files in memory: the tree. Permissions, quotas, append-only and exclusive files,
//! removal on close and wstat are as section 5 of the Plan 9 manual has them.
//!
//! [`Ramfs`] implements [`Server`]; `main.rs` serves it on a host. The parts: `inode` (attributes and locks),
//! `pages` (contents), `entries` (directories), `users` (groups, quotas), `change` (remove and wstat).
//!
//! When a file was last read is noted as it is opened and closed for reading, not at each read: a clock costs more
//! than a read does.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod change;
mod entries;
mod inode;
mod pages;
mod users;

use abi::file::{DMAPPEND, DMDIR, DMEXCL, DMEXEC, DMWRITE, Qid};
use alloc::string::String;
use core::sync::atomic::{AtomicU64, Ordering};
use entries::{Entries, Name};
use inode::{File, Inode, Meta};
use ninep::Stat;
use pages::{MOST, Pages};
use serve::{Ctx, Error, Fail, Listing, Mode, Opened, Result, Server, Sink, Source, perm};
use sync::{Lock, Shared};
use users::{Users, Who, copy_name};

pub use users::{Group, User};

/// What a file is charged besides its pages.
const FILE_COST: u64 = 512;

/// What kind of file server it is.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes of memory for all files.
    pub size: u64,
    /// Bytes of memory for the files of one user.
    pub quota: u64,
    /// Who owns the root.
    pub owner: String,
    /// Permissions of the root.
    pub root_mode: u32,
    /// Users and groups that are known from the start.
    pub groups: alloc::vec::Vec<Group>,
    /// Is any user let in, or only those of `groups`?
    pub open: bool,
    /// What POSIX clients want and stat(5) forbids: a rename replaces a plain file of that name, and an owner sets
    /// the time of last access.
    pub posix: bool,
    /// The time in seconds since 1970.
    pub now: fn() -> u32,
    /// A secret number: the key of the directories' hash.
    pub key: (u64, u64),
}

/// The file server.
pub struct Ramfs {
    users: Shared<Users>,
    root: File,
    /// Held while names, parents or the contents of directories change: see [`inode`].
    tree: Lock<()>,
    next_path: AtomicU64,
    posix: bool,
    now: fn() -> u32,
    key: (u64, u64),
}

/// What a fid names: a file, and the user who does.
#[derive(Clone)]
pub struct Node {
    file: File,
    who: Who,
}

impl Ramfs {
    /// An empty tree.
    pub fn new(options: &Options) -> Result<Ramfs> {
        let users = Shared::try_new(Users::new(options.size, options.quota, options.open))?;
        for group in &options.groups {
            users.add(group)?;
        }
        let owner = match users.find(&options.owner) {
            Ok(who) => who,
            Err(_) => users.add(&Group { name: copy_name(&options.owner)?, ..Group::default() })?,
        };
        let meta = Meta {
            mode: DMDIR | (options.root_mode & 0o777),
            vers: 1,
            atime: (options.now)(),
            mtime: (options.now)(),
            length: 0,
            uid: owner.clone(),
            gid: owner.clone(),
            muid: owner,
            name: Name::new(options.key, "/")?,
            parent: None,
            removed: false,
            opens: 0,
            charged: 0,
            pages: Pages::default(),
            entries: Entries::new(options.key),
        };
        let root = Inode { path: 0, dir: true, meta: Lock::new(meta), users: users.clone() };
        Ok(Ramfs {
            users,
            root: Shared::try_new(root)?,
            tree: Lock::new(()),
            next_path: AtomicU64::new(1),
            posix: options.posix,
            now: options.now,
            key: options.key,
        })
    }

    /// Bytes that the files take, as quotas count them.
    pub fn used(&self) -> u64 {
        self.users.used()
    }

    /// A new file of the user's, charged, and not yet in any directory.
    fn make(&self, who: &Who, dir: &File, parent: &Meta, name: Shared<Name>, perm: u32) -> Result<File> {
        let cost = FILE_COST + name.len() as u64;
        let now = (self.now)();
        let meta = Meta {
            mode: if self.posix { perm } else { perm::created(perm, parent.mode) },
            vers: 1,
            atime: now,
            mtime: now,
            length: 0,
            uid: who.clone(),
            gid: parent.gid.clone(),
            muid: who.clone(),
            name,
            parent: Some(dir.clone()),
            removed: false,
            opens: 1,
            charged: 0,
            pages: Pages::default(),
            entries: Entries::new(self.key),
        };
        let inode = Inode {
            path: self.next_path.fetch_add(1, Ordering::Relaxed),
            dir: perm & DMDIR != 0,
            meta: Lock::new(meta),
            users: self.users.clone(),
        };
        let file = Shared::try_new(inode)?;
        self.users.charge(who, cost)?;
        file.meta.lock().charged = cost;
        Ok(file)
    }

    /// May the user remove the file from its directory?
    fn check_removal(&self, node: &Node) -> Result<()> {
        let parent = node.file.meta.lock().parent.clone().ok_or(Error::Perm)?;
        parent.meta.lock().check(&node.who, DMWRITE)
    }

    /// Writes page by page, each charged before it is made and settled after.
    fn put(&self, meta: &mut Meta, mut offset: u64, source: &mut Source<'_>) -> Result<u32> {
        let mut taken = 0;
        while source.left() > 0 {
            let cost = meta.pages.cost(offset);
            let written = self.users.charge(&meta.uid, cost).and_then(|()| {
                let before = meta.pages.bytes();
                let written = meta.pages.write(offset, source);
                let grown = meta.pages.bytes() - before;
                // Without memory for the page itself only what leads to it is there.
                self.users.refund(&meta.uid, cost - grown);
                meta.charged += grown;
                written
            });
            match written {
                Ok(n) => {
                    offset += n as u64;
                    taken += n as u32;
                    meta.length = meta.length.max(offset);
                }
                Err(e) if taken == 0 => return Err(e),
                Err(_) => break,
            }
        }
        Ok(taken)
    }

    /// Shortens or, with a hole, lengthens a file.
    fn resize(&self, meta: &mut Meta, length: u64) -> Result<()> {
        if length < meta.length {
            let before = meta.pages.bytes();
            meta.pages.cut(length)?;
            // A copy of the last page may have been made in the place of one that is read just now.
            let freed = before - meta.pages.bytes();
            meta.charged -= freed;
            self.users.refund(&meta.uid, freed);
        }
        meta.length = length;
        Ok(())
    }
}

impl Server for Ramfs {
    type Node = Node;

    fn attach(&self, cx: &Ctx<'_>, _: Option<&Node>, aname: &str) -> Result<Node> {
        if !matches!(aname, "" | "/") {
            return Err(Error::NotExist.into());
        }
        Ok(Node { file: self.root.clone(), who: self.users.enter(cx.user)? })
    }

    fn qid(&self, node: &Node) -> Qid {
        node.file.qid(&node.file.meta.lock())
    }

    fn walk(&self, _: &Ctx<'_>, node: &Node, name: &str) -> Result<Node> {
        let meta = node.file.meta.lock();
        if name == ".." {
            let parent = meta.parent.clone();
            drop(meta);
            let up = parent.unwrap_or_else(|| node.file.clone());
            return Ok(Node { file: up, who: node.who.clone() });
        }
        meta.check(&node.who, DMEXEC)?;
        let file = meta.entries.get(name).ok_or(Error::NotExist)?.clone();
        Ok(Node { file, who: node.who.clone() })
    }

    fn open(&self, _: &Ctx<'_>, node: &Node, mode: Mode) -> Result<Opened<Node>> {
        if mode.removes() {
            self.check_removal(node)?;
        }
        let mut meta = node.file.meta.lock();
        meta.check(&node.who, perm::needed(mode))?;
        if meta.mode & DMEXCL != 0 && meta.opens > 0 {
            return Err(Error::Exclusive.into());
        }
        // An append-only file opens, but is not truncated (open(5)).
        if mode.truncates() && meta.mode & DMAPPEND == 0 {
            self.resize(&mut meta, 0)?;
            meta.changed(&node.who, (self.now)());
        }
        if mode.reads() {
            meta.atime = (self.now)();
        }
        meta.opens += 1;
        let qid = node.file.qid(&meta);
        drop(meta);
        Ok(Opened { node: node.clone(), qid, iounit: 0 })
    }

    fn create(&self, _: &Ctx<'_>, dir: &Node, name: &str, perm: u32, _: Mode) -> Result<Opened<Node>> {
        let _tree = self.tree.lock();
        let mut parent = dir.file.meta.lock();
        if parent.removed {
            return Err(Error::NotExist.into());
        }
        parent.check(&dir.who, DMWRITE)?;
        let name = Name::new(self.key, name)?;
        if parent.entries.get_name(&name).is_some() {
            return Err(Error::Exists.into());
        }
        parent.entries.reserve()?;
        let file = self.make(&dir.who, &dir.file, &parent, name.clone(), perm)?;
        let qid = file.qid(&file.meta.lock());
        parent.entries.insert(name, file.clone());
        parent.changed(&dir.who, (self.now)());
        Ok(Opened { node: Node { file, who: dir.who.clone() }, qid, iounit: 0 })
    }

    #[inline]
    fn read(&self, _: &Ctx<'_>, node: &Node, offset: u64, sink: &mut Sink<'_>) -> Result<()> {
        let meta = node.file.meta.lock();
        meta.pages.read(offset, meta.length.saturating_sub(offset), sink)
    }

    fn list(&self, _: &Ctx<'_>, dir: &Node, from: u64, out: &mut Listing<'_, '_>) -> Result<()> {
        let meta = dir.file.meta.lock();
        for (place, file) in meta.entries.after(from) {
            let child = file.meta.lock();
            if !out.entry(&file.stat(&child), place)? {
                break;
            }
        }
        Ok(())
    }

    fn write(&self, _: &Ctx<'_>, node: &Node, offset: u64, source: &mut Source<'_>) -> Result<u32> {
        let mut meta = node.file.meta.lock();
        let offset = if meta.mode & DMAPPEND != 0 { meta.length } else { offset };
        if offset.checked_add(source.left() as u64).is_none_or(|end| end > MOST) {
            return Err(Error::BadOffset.into());
        }
        if source.left() == 0 {
            return Ok(0);
        }
        let taken = self.put(&mut meta, offset, source)?;
        meta.changed(&node.who, (self.now)());
        Ok(taken)
    }

    fn clunk(&self, _: &Ctx<'_>, node: &Node, mode: Mode) {
        let mut meta = node.file.meta.lock();
        meta.opens = meta.opens.saturating_sub(1);
        if mode.reads() {
            meta.atime = (self.now)();
        }
    }

    fn remove(&self, _: &Ctx<'_>, node: &Node) -> Result<()> {
        self.unlink(node)
    }

    fn stat(&self, _: &Ctx<'_>, node: &Node, out: &mut dyn FnMut(&Stat<'_>) -> Result<()>) -> Result<()> {
        let meta = node.file.meta.lock();
        out(&node.file.stat(&meta))
    }

    fn wstat(&self, _: &Ctx<'_>, node: &Node, stat: &Stat<'_>) -> Result<()> {
        self.change(node, stat)
    }
}

impl Drop for Ramfs {
    /// Breaks the circles of directories and files, one directory after the other.
    fn drop(&mut self) {
        let mut left = alloc::vec![self.root.clone()];
        while let Some(dir) = left.pop() {
            let mut meta = dir.meta.lock();
            meta.parent = None;
            left.extend(meta.entries.drain());
        }
    }
}

/// The failure of a check.
fn refuse<T>(e: Error) -> Result<T> {
    Err(Fail::Error(e))
}
