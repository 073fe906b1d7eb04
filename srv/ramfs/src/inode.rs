//! [`Inode`]: one file: its attributes and contents, under one lock.
//!
//! Lock order: the tree's lock, then a directory's, then that of a file in it. Name, parent and membership in a directory
//! change only under the tree's lock; everything else under the file's own. A directory and its files refer to each
//! other; removing a file breaks that circle.

use crate::entries::{Entries, Name};
use crate::pages::Pages;
use crate::users::{User, Users, Who};
use abi::file::{DMDIR, Qid};
use ninep::Stat;
use serve::perm::{Class, allows};
use serve::{Error, Result};
use sync::{Lock, Shared};

/// A file as directories and fids refer to it.
pub(crate) type File = Shared<Inode>;

/// A file.
pub(crate) struct Inode {
    /// qid.path: never given again.
    pub(crate) path: u64,
    pub(crate) dir: bool,
    pub(crate) meta: Lock<Meta>,
    /// Where its memory is given back to.
    pub(crate) users: Shared<Users>,
}

/// What a file's lock protects.
pub(crate) struct Meta {
    pub(crate) mode: u32,
    pub(crate) vers: u32,
    pub(crate) atime: u32,
    pub(crate) mtime: u32,
    pub(crate) length: u64,
    pub(crate) uid: Who,
    pub(crate) gid: Who,
    pub(crate) muid: Who,
    pub(crate) name: Shared<Name>,
    /// `None` for the root and for what is removed.
    pub(crate) parent: Option<File>,
    pub(crate) removed: bool,
    /// Open fids.
    pub(crate) opens: u32,
    /// What the owner was charged: the file itself and its pages.
    pub(crate) charged: u64,
    pub(crate) pages: Pages,
    pub(crate) entries: Entries,
}

impl Meta {
    /// May the user do all of `want`?
    pub(crate) fn allows(&self, who: &User, want: u32) -> bool {
        if self.mode & want == want {
            // Anybody may.
            return true;
        }
        let class = Class { owner: who.name() == self.uid.name(), group: who.is_member(&self.gid) };
        allows(self.mode, class, want)
    }

    /// As [`Meta::allows`], as a result.
    pub(crate) fn check(&self, who: &User, want: u32) -> Result<()> {
        if self.allows(who, want) { Ok(()) } else { Err(Error::Perm.into()) }
    }

    /// The contents have changed: counts it, never as 0, which would say "don't cache".
    pub(crate) fn changed(&mut self, who: &Who, now: u32) {
        self.vers = self.vers.checked_add(1).unwrap_or(1);
        self.mtime = now;
        if !Shared::same(&self.muid, who) {
            self.muid = who.clone();
        }
    }

    pub(crate) fn is_dir(&self) -> bool {
        self.mode & DMDIR != 0
    }
}

impl Inode {
    pub(crate) fn qid(&self, meta: &Meta) -> Qid {
        Qid { kind: (meta.mode >> 24) as u8, vers: meta.vers, path: self.path }
    }

    pub(crate) fn stat<'m>(&self, meta: &'m Meta) -> Stat<'m> {
        Stat {
            kind: 0,
            dev: 0,
            qid: self.qid(meta),
            mode: meta.mode,
            atime: meta.atime,
            mtime: meta.mtime,
            length: meta.length,
            name: &meta.name,
            uid: meta.uid.name(),
            gid: meta.gid.name(),
            muid: meta.muid.name(),
        }
    }
}

impl Drop for Inode {
    /// The last directory or fid has let go of the file: its memory is its owner's again.
    fn drop(&mut self) {
        let meta = self.meta.lock();
        self.users.refund(&meta.uid, meta.charged);
    }
}
